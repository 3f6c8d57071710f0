"""Read the query that an address asks, as every page that shows samples does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi import Request

from slicedb.errors import CheckError, QueryError
from slicedb.web.uploads import Uploads

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.query import Query


class Asked:
    """The query that an address asks: `q`, `sort`, `commit` and `p`.

    Args:
        request: has the address.
        uploads: the pictures that `p` may name.

    Raises:
        CheckError: `p` is no JSON object.
    """

    def __init__(self, request: Request, uploads: Uploads) -> None:
        given = request.query_params
        self._text = given.get("q", "")
        self._sort = given.get("sort", "")
        self._commit = given.get("commit") or None
        self._params = _object(given.get("p", ""))
        self._uploads = uploads

    @property
    def params(self) -> dict[str, object] | None:
        """The parameters, pictures in place of the names of uploads; None where there are none."""
        return self._uploads.filled(self._params) if self._params else None

    def placed(self, error: QueryError) -> QueryError:
        """Return an error that points into the text of the address, or nowhere."""
        start = error.start
        if start is None or (start <= len(self._text) and error.asked.startswith(self._text)):
            return error
        return type(error)(error.message, error.hint)  # of a column, or with parameters filled in

    def of(self, db: Database) -> Query:
        """Return the query of a database."""
        query = db.query(self._text, self.params, at=self._commit)
        return query.sorted(self._sort) if self._sort else query


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise CheckError(f"p is no JSON: {error}.") from error
    if not isinstance(value, dict):
        raise CheckError("p is no JSON object.", 'write {"name": value}.')
    return value
