"""The engine: one sandboxed in-memory DuckDB over one database."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from slicedb.errors import BindError, SliceDBError, UnknownSliceError
from slicedb.query.bind import conditions
from slicedb.query.bind.bind import bind
from slicedb.query.bound.binding import Binding
from slicedb.query.bound.bound import Bound, CalibrationNamed, Frame, Pool
from slicedb.query.bound.boxes import MATCHED
from slicedb.query.bound.catalog import Catalog, TableInfo, duckdb_types
from slicedb.query.bound.relation import ROW, Relation
from slicedb.query.functions.duckdb import install
from slicedb.query.hot.tables import HotTables
from slicedb.query.hot.write import Writer
from slicedb.query.language.parse import parse
from slicedb.query.language.tree import Node
from slicedb.query.run.cuts import condition
from slicedb.query.run.plan import Plan
from slicedb.query.run.run import Runner, run_sql
from slicedb.query.run.search import TextSearch
from slicedb.schema import SAMPLES
from slicedb.vectors import Approximate, Meaning, Vectors

if TYPE_CHECKING:
    from slicedb.embedding import Encoder
    from slicedb.query.query import Query
    from slicedb.store import Store

_PLANS = 512
LATE = 20_000
"""Rows up to which columns are taken by key instead of loaded for all samples."""


def connect(store: Store, memory_limit: str | None) -> Any:
    """Open DuckDB with no way to files, to the network or to its own settings."""
    import duckdb

    config: dict[str, Any] = {
        "enable_external_access": "false",
        "python_enable_replacements": "false",
        "threads": str(os.cpu_count() or 1),
        "temp_directory": str(store.cache_dir / "duckdb"),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "errors_as_json": "true",
        "lambda_syntax": "ENABLE_SINGLE_ARROW",
    }
    if memory_limit:
        config["memory_limit"] = memory_limit
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("CREATE SCHEMA hot")
    install(connection)
    connection.execute("SET lock_configuration = true")
    return connection


class Engine:
    """Parses, binds and runs queries over one database.

    Args:
        store: the database.
        slice_named: gives a slice's query text (live) or its keys (frozen).
        encoder: gives the encoder an embedding was made with.
        calibration_named: gives what a slice was calibrated to.
        timeout: seconds one run may take; None is no limit.
        memory_limit: DuckDB's limit, for example "4GB".
        allow_files: whether image('file') may read files, where a call does not say.
        to_torch: makes a torch dataset of keys; `Query.to_torch` calls it.
        overlays: gives the pictures of keys with a model's maps laid over them, for a notebook.
    """

    def __init__(
        self,
        store: Store,
        *,
        slice_named: Callable[[str], str | np.ndarray],
        encoder: Callable[[str], Encoder],
        calibration_named: CalibrationNamed | None = None,
        timeout: float | None = None,
        memory_limit: str | None = None,
        allow_files: bool = False,
        to_torch: Callable[..., Any] | None = None,
        overlays: Callable[..., Any] | None = None,
    ) -> None:
        self.store = store
        self.to_torch = to_torch
        self.overlays = overlays
        self.allow_files = allow_files
        self.timeout = timeout
        self._slice_named = slice_named
        self._calibration_named = calibration_named
        self._connection = connect(store, memory_limit)
        self._infos: dict[tuple[str, int], TableInfo] = {}
        self._types: dict[tuple[str, int], dict[str, str]] = {}
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._lock = threading.RLock()
        self.tables = HotTables(store, self._connection)
        self.vectors = Vectors(store, encoder)
        self.meaning = Meaning(self.vectors)
        self.search = TextSearch(store)
        self.nearby = Approximate(self.vectors)

    def query(
        self,
        text: str | Query,
        *,
        at: dict[str, int] | None = None,
        files: bool | None = None,
        approximate: bool = False,
    ) -> Query:
        """Return a query, parsed and bound; no row is read.

        Args:
            text: a predicate over samples or a SELECT; a query is taken as its text.
            at: versions of tables to ask; the others are asked at their latest.
            files: whether image('file') may read files; None asks `allow_files`.
            approximate: whether `ORDER BY similarity(...) DESC LIMIT k` may take its rows from an
                approximate index, where there is one; nothing else ever does.

        Raises:
            ParseError, BindError, SandboxError: as `slicedb.errors` says, with the place.
        """
        from slicedb.query.query import Query

        if isinstance(text, Query):
            files, at, text = files or text.files, at if at is not None else text.at, text.text
        files = self.allow_files if files is None else files
        found = Query(self, text, at=at, files=files, approximate=approximate)
        found.plan()
        return found

    def sql(self, text: str, *, at: dict[str, int] | None = None, files: bool = False) -> pa.Table:
        """Run any query and return its result."""
        return self.query(text, at=at, files=files).to_arrow()

    def plan(
        self,
        text: str,
        at: dict[str, int] | None = None,
        files: bool = False,
        approximate: bool = False,
    ) -> Plan:
        """Return the plan of a text; plans are kept while tables and slices stay as they are."""
        slot = (text, tuple(sorted((at or {}).items())), files, approximate)
        with self._lock:
            found = self._plans.get(slot)
            if found is not None and self._is_current(found, at):
                return found
            catalog = Catalog(self.store, at, self._infos)
            pool = Pool(catalog, files=files, calibration_named=self._calibration_named)
            bound = self._bind(text, pool, ())
            columns = self._columns(bound, pool)
            plan = self._prune(Plan(text, bound, pool, columns, approximate=approximate))
            if len(self._plans) >= _PLANS:
                del self._plans[next(iter(self._plans))]
            self._plans[slot] = plan
            return plan

    def run(self, plan: Plan) -> Runner:
        """Return what runs a plan."""
        return Runner(self, plan)

    def is_known(self, plan: Plan, keys: np.ndarray) -> np.ndarray:
        """Return bool (n,): which keys are samples that the plan may see."""
        name = self.tables.samples(plan.pool.catalog.samples)
        stored = self.tables.keys(name)
        if not plan.bound.unfiltered:
            stored = stored[self.tables.visible(name)]
        return np.isin(keys, stored)

    def ids(self, plan: Plan, keys: pa.ChunkedArray, rows: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return the ids of samples, by their keys when they are few, else by their rows."""
        info = plan.pool.catalog.samples
        if len(keys) <= LATE:
            taken = self.store.take(SAMPLES, keys.to_numpy(), ["id"], version=info.version)
            return taken["id"]
        return self.tables.ids(self.tables.samples(info), info.version).take(rows)

    def cursor(self) -> Any:
        """Return a DuckDB cursor of its own, for one thread."""
        return self._connection.cursor()

    def _is_current(self, plan: Plan, at: dict[str, int] | None) -> bool:
        fresh = Catalog(self.store, at, self._infos)
        if not fresh.is_current(plan.pool.catalog.versions):
            return False
        if plan.pool.calibrations and not self._has_calibrations(plan.pool):
            return False
        for name, before in plan.pool.slices.items():
            try:
                now = self._slice_named(name)
            except SliceDBError:
                return False
            if isinstance(now, str) != isinstance(before, str):
                return False
            if not (now == before if isinstance(now, str) else np.array_equal(now, before)):
                return False
        return True

    def _has_calibrations(self, pool: Pool) -> bool:
        """Return whether slices are calibrated as they were when a text was bound."""
        fresh = Pool(pool.catalog, calibration_named=self._calibration_named)
        try:
            return all(fresh.calibration(n) == then for n, then in pool.calibrations.items())
        except SliceDBError:
            return False

    def _prune(self, plan: Plan) -> Plan:
        if not plan.prunes:
            return plan
        bound = plan.bound
        parts = conditions.split(bound, self.cursor())
        plain = [span for span, _ in parts or [] if conditions.is_plain(bound, span)]
        rest = [node for span, node in parts or [] if not conditions.is_plain(bound, span)]
        cuts = [found for node in rest if (found := condition(node, bound)) is not None]
        more = parts is None or len(cuts) < len(rest)
        return replace(plan, conditions=tuple(plain), cuts=tuple(cuts), filtered_by_more=more)

    # --- binding ------------------------------------------------------------------------------

    def _bind(self, text: str, pool: Pool, inside: tuple[str, ...]) -> Bound:
        context = f"In slice '{inside[-1]}'" if inside else ""
        parsed = parse(text, self.cursor(), context)

        def slice_named(binding: Binding, name: str, at: Node) -> Bound | str:
            return self._slice(binding, name, at, pool, inside)

        return bind(parsed, pool, slice_named)

    def _slice(
        self, binding: Binding, name: str, at: Node, pool: Pool, inside: tuple[str, ...]
    ) -> Bound | str:
        if name in inside:
            way = " -> ".join([*inside[inside.index(name) :], name])
            message = f"The slice '{name}' includes itself ({way})."
            raise binding.error(BindError, message, "take one of them out.", at)
        try:
            found = self._slice_named(name)
        except UnknownSliceError as error:
            message = f"No slice '{name}'."
            raise binding.error(BindError, message, error.hint, at) from error
        pool.slices[name] = found
        if not isinstance(found, str):
            table = f"slice:{name}"
            pool.frozen[table] = np.asarray(found, dtype=np.int64)
            return table
        bound = self._bind(found, pool, (*inside, name))
        if not bound.narrows:
            columns = [column.lower() for column, _ in self._columns(bound, pool)]
            if "id" not in columns:
                message = f"The slice '{name}' gives no id."
                raise binding.error(BindError, message, "its query must select id.", at)
        return bound

    def types_of(self, relation: Relation) -> dict[str, str]:
        """Return the DuckDB type of every column a relation can show."""
        assert relation.table is not None
        types = dict(self._table_types(relation.table))
        for extra, info in relation.extras.items():
            kind = self._table_types(info)[extra.column]
            types[extra.shown] = kind[: kind.rindex("[")] if extra.index else kind
        types |= {count.slot: count.kind for count in relation.counts.values()}
        types |= {n: MATCHED[column] for n, (_, column) in relation.matched.items()}
        if relation.owner is not None and relation.borrowed:
            lent = self.types_of(relation.owner)
            types |= {shown: lent[column] for shown, column in relation.borrowed.items()}
        types |= dict.fromkeys(relation.inner, "BIGINT")
        return types | dict.fromkeys(relation.slots, "FLOAT") | {ROW: "BIGINT"}

    def _table_types(self, info: TableInfo) -> dict[str, str]:
        slot = (info.name, info.version)
        if slot not in self._types:
            self._types[slot] = duckdb_types(self.cursor(), info.types)
        return self._types[slot]

    def _columns(self, bound: Bound, pool: Pool) -> list[tuple[str, str]]:
        """Bind in DuckDB over typed and empty relations; returns the result's columns."""
        frame = Frame("bare", ordered=bound.top is not None)
        written = Writer(frame, self.types_of).write(bound)
        cursor = self.cursor()
        empty = pa.table({"key": pa.array([], pa.int64())})
        for table in pool.frozen:
            cursor.register(table, empty)
        # execute() gives the place of an error, sql() of the same text does not
        head = "DESCRIBE SELECT * FROM (\n"
        with run_sql(cursor.execute, head, written, "\n)", bound, self.timeout, cursor) as answer:
            return [(str(row[0]), str(row[1])) for row in answer.fetchall()]
