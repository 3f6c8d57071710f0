"""What a query may name: tables, their columns and DuckDB types, models, classes, embeddings."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from slicedb.cache import Cache
from slicedb.schema import EMBEDDINGS, MAPS, PREDICTIONS, SAMPLES, unfit
from slicedb.sql import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from slicedb.store import Store


def bindable(kind: pa.DataType) -> pa.DataType:
    """Return the plain type a column is loaded with: half floats and dictionaries are widened."""
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_dictionary(kind):
        return bindable(kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(bindable(kind.value_type), kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(bindable(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([f.with_type(bindable(f.type)) for f in kind])
    return kind


@dataclass(frozen=True)
class TableInfo:
    """One table at one version."""

    name: str
    """Name in the store."""
    version: int
    types: dict[str, pa.DataType]
    """Column name to the Arrow type it is loaded with, in the table's order."""
    metadata: dict[str, str]
    lower: dict[str, str] = field(default_factory=dict)
    """Column name in lower case to its real name."""

    def column(self, name: str) -> str | None:
        """Return the real name of a column; names are not case-sensitive."""
        return self.lower.get(name.lower())

    @cached_property
    def classes(self) -> list[str]:
        """The classes of a model's probabilities, in order; empty when not stored."""
        raw = self.metadata.get("slicedb:classes")
        return [str(name) for name in json.loads(raw)] if raw else []


class Catalog:
    """The names of one database at one moment.

    Args:
        store: the database.
        at: versions of some tables; the others are taken at their latest.
        known: tables seen earlier, by (name, version), which spares reading their schemas.
    """

    def __init__(
        self,
        store: Store,
        at: dict[str, int] | None = None,
        known: Cache[tuple[str, int], TableInfo] | None = None,
    ) -> None:
        self._store = store
        self._at = dict(at or {})
        self._known = known if known is not None else Cache(1)
        self._used: dict[str, TableInfo] = {}

    @cached_property
    def names(self) -> list[str]:
        """All table names."""
        return self._store.names()

    @cached_property
    def models(self) -> dict[str, str]:
        """Models with predictions: lower-case name to name."""
        return self._stripped(PREDICTIONS)

    @cached_property
    def embeddings(self) -> dict[str, str]:
        """Embeddings: lower-case name to name."""
        return self._stripped(EMBEDDINGS)

    @cached_property
    def maps(self) -> dict[str, str]:
        """Maps: lower-case name to name."""
        return self._stripped(MAPS)

    def _stripped(self, prefix: str) -> dict[str, str]:
        names = [n.removeprefix(prefix) for n in self.names if n.startswith(prefix)]
        return {name.lower(): name for name in names}

    @property
    def samples(self) -> TableInfo:
        """The samples table."""
        return self.table(SAMPLES)

    def model(self, name: str) -> TableInfo:
        """Return the predictions table of a model that is there."""
        return self.table(PREDICTIONS + self.models[name.lower()])

    def embedding(self, name: str) -> TableInfo:
        """Return the table of an embedding that is there."""
        return self.table(EMBEDDINGS + self.embeddings[name.lower()])

    def table(self, name: str) -> TableInfo:
        """Return a table, and note that the query depends on it."""
        if name not in self._used:
            version = self._at.get(name) or self._store.version(name)
            self._used[name] = self._known.get(
                (name, version),
                lambda: _info(name, version, self._store.schema(name, version)),
            )
        return self._used[name]

    @property
    def versions(self) -> dict[str, int]:
        """Version of every table the query reads."""
        return {name: info.version for name, info in self._used.items()}

    def is_current(self, versions: dict[str, int]) -> bool:
        """Return whether these versions are the ones a query would read now."""
        # Not by their names: to list two hundred models at every query takes 2 ms.
        is_there = self._store.has if self._store.is_local else self.names.__contains__
        return all(
            is_there(name) and self.table(name).version == version
            for name, version in versions.items()
        )


def _info(name: str, version: int, schema: pa.Schema) -> TableInfo:
    # One column that DuckDB cannot read, written by another program, must not stop every query.
    types = {f.name: kind for f in schema if not unfit(kind := bindable(f.type))}
    metadata = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}
    return TableInfo(name, version, types, metadata, {n.lower(): n for n in types})


def duckdb_types(connection: DuckDBPyConnection, types: dict[str, pa.DataType]) -> dict[str, str]:
    """Return DuckDB's name of each Arrow type; DuckDB itself is asked for the rarer ones."""
    named = {name: _type_name(kind) for name, kind in types.items()}
    rare = {name: types[name] for name, known in named.items() if known is None}
    return named | _asked(connection, rare)  # type: ignore[return-value]


def _asked(connection: DuckDBPyConnection, types: dict[str, pa.DataType]) -> dict[str, str]:
    """Return what DuckDB itself calls each Arrow type."""
    if not types:
        return {}
    schema = pa.schema([pa.field(f"c{i}", kind) for i, kind in enumerate(types.values())])
    # Not empty_table(), which asks pyarrow whether a list is a pandas object, and so imports it.
    connection.register("~types", pa.Table.from_batches([], schema))
    try:
        rows = connection.execute('DESCRIBE SELECT * FROM "~types"').fetchall()
    finally:
        connection.unregister("~types")
    return {name: str(row[1]) for name, row in zip(types, rows)}


_NAMES = {
    pa.string(): "VARCHAR",
    pa.large_string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.uint8(): "UTINYINT",
    pa.uint16(): "USMALLINT",
    pa.uint32(): "UINTEGER",
    pa.uint64(): "UBIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.binary(): "BLOB",
    pa.large_binary(): "BLOB",
    pa.date32(): "DATE",
    pa.timestamp("us"): "TIMESTAMP",
}
"""The types that most columns have. Asking DuckDB registers a table, for which it imports
`pyarrow.dataset`: a tenth of the time of a short command."""


def _type_name(kind: pa.DataType) -> str | None:
    """Return DuckDB's name of a type, None where it is a rarer one."""
    if kind in _NAMES:
        return _NAMES[kind]
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = _type_name(kind.value_type)
        size = kind.list_size if pa.types.is_fixed_size_list(kind) else ""
        return None if inner is None else f"{inner}[{size}]"
    if pa.types.is_struct(kind):
        inside = [(field.name, _type_name(field.type)) for field in kind]
        if inside and all(known is not None for _, known in inside):
            return f"STRUCT({', '.join(f'{quoted(name)} {known}' for name, known in inside)})"
    return None
