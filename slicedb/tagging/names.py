"""Check the name of a column of samples that is computed or that a model writes."""

from __future__ import annotations

import re

from slicedb import sql
from slicedb.errors import CheckError
from slicedb.schema import PREDICTIONS, SAMPLES
from slicedb.store import Store

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def check_column_name(store: Store, name: str) -> None:
    """Refuse a name that no column can have.

    Raises:
        CheckError: it is no identifier, a word of SQL, or the name of a model.
    """
    lower = name.lower()
    if not _NAME.match(name) or lower in sql.RESERVED:
        raise CheckError(
            f"{name!r} cannot be the name of a column.",
            "use letters, digits and '_', and no word of SQL.",
        )
    models = {t.removeprefix(PREDICTIONS).lower() for t in store.names()}
    if lower in models:
        raise CheckError(f"There is a model '{name}'.", "take another name.")


def refuse_taken(store: Store, name: str) -> None:
    """Refuse the name of a column that is there.

    Raises:
        CheckError: there is one, in whichever case.
    """
    if name.lower() in {column.lower() for column in store.schema(SAMPLES).names}:
        raise CheckError(f"There is a column '{name}' already.", "take another name.")
