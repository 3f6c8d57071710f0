"""Read the query that an address asks, as every page that shows samples does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi import Request

from slicedb.errors import CheckError
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

    def of(self, db: Database) -> Query:
        """Return the query of a database."""
        params = self._uploads.filled(self._params) if self._params else None
        query = db.query(self._text, params, at=self._commit)
        return query.sorted(self._sort) if self._sort else query


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise CheckError(f"p is no JSON: {error}.") from error
    if not isinstance(value, dict):
        raise CheckError("p is no JSON object.", 'write {"name": value}.')
    return value
