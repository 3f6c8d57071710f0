"""Name the DuckDB types of the columns that relations show."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from slicedb.cache import Cache
from slicedb.query.bound.boxes import MATCHED
from slicedb.query.bound.catalog import TableInfo, duckdb_types
from slicedb.query.bound.relation import OWN_KEY, ROW, Relation

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_TABLES = 256
"""Versions of tables whose types are kept."""


class Types:
    """The types of tables, as DuckDB itself names them.

    Args:
        cursor: gives a cursor of its own.
    """

    def __init__(self, cursor: Callable[[], DuckDBPyConnection]) -> None:
        self._cursor = cursor
        self._tables = Cache[tuple[str, int], dict[str, str]](_TABLES)

    def of(self, relation: Relation) -> dict[str, str]:
        """Return the DuckDB type of every column that a relation can show."""
        assert relation.table is not None
        types = dict(self._of_table(relation.table))
        for extra, info in relation.extras.items():
            kind = self._of_table(info)[extra.column]
            types[extra.shown] = kind[: kind.rindex("[")] if extra.index else kind
        types |= {count.slot: count.kind for count in relation.counts.values()}
        types |= {name: MATCHED[column] for name, (_, column) in relation.matched.items()}
        if relation.owner is not None and relation.borrowed:
            lent = self.of(relation.owner)
            types |= {shown: lent[column] for shown, column in relation.borrowed.items()}
        types |= dict.fromkeys(relation.inner, "BIGINT")
        return types | dict.fromkeys(relation.slots, "FLOAT") | {ROW: "BIGINT", OWN_KEY: "BIGINT"}

    def _of_table(self, info: TableInfo) -> dict[str, str]:
        slot = (info.name, info.version)
        return self._tables.get(slot, lambda: duckdb_types(self._cursor(), info.types))
