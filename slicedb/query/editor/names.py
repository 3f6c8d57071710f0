"""What a database has that a query text may name, kept while its tables do not change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, cast

from slicedb import sql
from slicedb.cache import Cache
from slicedb.errors import SliceDBError
from slicedb.query.bound.catalog import Catalog, TableInfo, duckdb_types
from slicedb.query.functions.duckdb import is_forbidden
from slicedb.query.functions.registry import functions
from slicedb.query.run.request import Request
from slicedb.schema import PLUMBING

if TYPE_CHECKING:
    from slicedb.query.engine import Engine

Named = Callable[[], Sequence[tuple[str, str]]]
"""Gives names, each with what is said of it."""

_MOST_VALUES = 200
_SECONDS = 2.0
"""In which the values of a column are counted, or none is offered."""
_HIDDEN = frozenset({"key"})
_REAL = ("DOUBLE", "FLOAT", "DECIMAL", "DATE", "TIMESTAMP")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_MEASURED = (
    *_WHOLE,
    *(f"U{kind}" for kind in _WHOLE),
    "DOUBLE",
    "FLOAT",
    "DECIMAL",
    "DATE",
    "TIMESTAMP",
)
_UNIQUE = frozenset("id key uri etag sha256 phash turned_phash dct_hash error stamp".split())
_UNLISTED = ("STRUCT", "MAP", "UNION", "BLOB", "DOUBLE", "FLOAT", "DECIMAL", "TUPLE")


@dataclass(frozen=True)
class Value:
    """One value of a column."""

    sql: str
    """As a text has it."""
    shown: str
    n: int
    """Samples that have it."""


class Names:
    """The names of one database, as they are now.

    Args:
        engine: asks the database.
        slices: gives the slices.
        commits: gives the commits that a text may ask, by their best names.
    """

    def __init__(self, engine: Engine, slices: Named, commits: Named) -> None:
        self._engine = engine
        self._slices, self._commits = slices, commits
        session = engine.session
        self._catalog = Catalog(session.store, None, session.infos)
        self._kept: Cache[tuple[object, ...], object] = session.offers

    def models(self) -> list[str]:
        """Return the models with predictions."""
        return list(self._catalog.models.values())

    def embeddings(self) -> list[str]:
        """Return the embeddings."""
        return list(self._catalog.embeddings.values())

    def maps(self) -> list[str]:
        """Return the maps."""
        return list(self._catalog.maps.values())

    def columns(self, table: str = "samples") -> dict[str, str]:
        """Return the columns of samples, of boxes or of a model, with their types."""
        if table == "objects":
            return self._shown("FROM objects")
        if table == "samples":
            return self._types(self._catalog.samples)
        is_model = table.lower() in self._catalog.models
        return self._types(self._catalog.model(table)) if is_model else {}

    def boxes(self) -> list[str]:
        """Return the columns of boxes: `objects`, if a sample has some, and those of detectors."""
        own = self._kept.get(("boxes", self._version("samples")), self._has_boxes)
        models = [name for name in self.models() if "objects" in self.columns(name)]
        return ["objects"] * bool(own) + [f"{sql.name(name)}.objects" for name in models]

    def _has_boxes(self) -> bool:
        # In stored order, so that the first picture with boxes ends it.
        store = self._engine.session.store
        if not store.has("samples") or "objects" not in store.schema("samples").names:
            return False
        return any(len(batch["objects"].flatten()) for batch in store.scan("samples", ["objects"]))

    def classes(self, model: str = "") -> list[str]:
        """Return the classes of a model, or of all models."""
        models = [model] if model.lower() in self._catalog.models else self.models()
        names = [name for one in models for name in self._catalog.model(one).classes]
        return list(dict.fromkeys(names))

    def slices(self) -> Sequence[tuple[str, str]]:
        """Return the slices, each with its text."""
        return self._at("slices", self._slices)

    def commits(self) -> Sequence[tuple[str, str]]:
        """Return commits, tags and branches, each with its message."""
        return self._at("commits", self._commits)

    def values(self, column: str) -> list[Value]:
        """Return the commonest values of a column, the elements of a list, or labels of boxes.

        Args:
            column: a column of samples or an expression such as `v3.prediction`.
        """
        versions = tuple((name, self._version(name)) for name in ("samples", *self._tables(column)))
        kept = self._kept.get((column, versions), lambda: self._counted(column))
        return cast("list[Value]", kept)

    def _counted(self, column: str) -> list[Value]:
        request = Request(timeout=_SECONDS, files=False)
        try:
            with request:
                query = self._engine.query("", request=request)
                facet = query.facets([column], most=_MOST_VALUES)[column]
        except SliceDBError:  # no column, or one without values: nothing is offered
            return []
        given = [v for v in facet.values if v.value is not None and v.value != []]
        return [Value(sql.literal(v.value), str(v.value), v.overall) for v in given]

    def _tables(self, column: str) -> list[str]:
        model = column.partition(".")[0].strip('"').lower()
        known = self._catalog.models.get(model)
        return [] if known is None else [f"predictions__{known}"]

    def _version(self, table: str) -> int:
        store = self._engine.session.store
        return store.version(table) if store.has(table) else 0

    def _at(self, table: str, named: Named) -> Sequence[tuple[str, str]]:
        kept = self._kept.get((table, self._version(table)), lambda: list(named()))
        return cast("list[tuple[str, str]]", kept)

    def _types(self, info: TableInfo) -> dict[str, str]:
        def types() -> dict[str, str]:
            return duckdb_types(self._engine.session.cursor(), info.types)

        kept = self._kept.get((info.name, info.version, "types"), types)
        named = cast("dict[str, str]", kept)
        return {name: kind for name, kind in named.items() if name not in _HIDDEN}

    def _shown(self, text: str) -> dict[str, str]:
        try:
            return dict(self._engine.query(text, files=False).plan().columns)
        except SliceDBError:
            return {}


def has_values(column: str, kind: str) -> bool:
    """Return whether the values of a column are few and worth counting.

    >>> has_values("label", "VARCHAR"), has_values("id", "VARCHAR"), has_values("lux", "DOUBLE")
    (True, False, False)
    """
    if column.rpartition(".")[2] in _UNIQUE:
        return False
    return not kind.startswith(_UNLISTED) or _is_boxes(kind)


def is_counted(column: str, kind: str) -> bool:
    """Return whether a facet of a column says something: few values, or a list of names."""
    return has_values(column, kind) and column not in _HARDLY


def is_for_people(column: str, kind: str) -> bool:
    """Return whether lists of columns show a column: its values can be read, and say something.

    >>> is_for_people("label", "VARCHAR"), is_for_people("dct_hash", "VARCHAR")
    (True, False)
    """
    return column not in _INTERNAL and not any(word in kind for word in _NESTED)


def is_aside(column: str) -> bool:
    """Return whether a column of samples is looked at only where somebody asks for it."""
    return column in _ASIDE


_INTERNAL = PLUMBING - set("uri format bytes status ingested_at".split())
_INTERNAL |= set("key content fingerprint truth".split())
"""Columns that serve ingest and predictions alone: hashes, and what tells of changes."""
_NESTED = ("STRUCT", "MAP", "UNION", "BLOB")
_ASIDE = PLUMBING | set("error mask_uri caption captured_at".split())

_HARDLY = (PLUMBING - {"status", "format"}) | {"width", "height"}


def is_measured(column: str, kind: str) -> bool:
    """Return whether a histogram of a column says something."""
    return kind.startswith(_MEASURED) and column not in PLUMBING - {"ingested_at", "bytes"}


def _is_boxes(kind: str) -> bool:
    return kind.startswith("STRUCT") and kind.endswith("[]") and "label" in kind


@cache
def own_functions() -> list[dict[str, str]]:
    """Return the functions that SliceDB and installed packages add, as `functions` does."""
    return functions()


@cache
def plain_functions() -> list[tuple[str, str, str]]:
    """Return name, signature and one line of help of DuckDB's functions, by name."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            "SELECT function_name, arg_min(parameters, len(parameters)), any_value(description) "
            "FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'macro') "
            "AND description IS NOT NULL AND regexp_full_match(function_name, '[a-z][a-z0-9_]*') "
            "GROUP BY 1 ORDER BY 1"
        ).fetchall()
    own = {row["name"] for row in own_functions()}
    return [
        (name, f"{name}({', '.join(parameters or ())})", about.split(". ")[0].strip())
        for name, parameters, about in rows
        if name not in own and not is_forbidden(name)
    ]
