"""Bind texts to the schema, and keep their plans while tables and slices stay as they are."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from slicedb.cache import Cache
from slicedb.errors import BindError, QueryError, SliceDBError, UnknownSliceError
from slicedb.query.bind import conditions
from slicedb.query.bind.bind import bind
from slicedb.query.bound.binding import Binding
from slicedb.query.bound.bound import Bound, CalibrationNamed, Frame, Pool
from slicedb.query.bound.catalog import Catalog
from slicedb.query.hot.write import Writer, Written
from slicedb.query.language.parse import heading, parse
from slicedb.query.language.tree import Node
from slicedb.query.run import answer
from slicedb.query.run.clock import Clock
from slicedb.query.run.cuts import condition
from slicedb.query.run.plan import Plan
from slicedb.query.run.request import Request
from slicedb.query.run.session import Session

_LONG = 10_000
"""Characters of a text that makes many tokens."""
_PLANS = 512
"""Plans kept."""
_TREES, _SHORT = 64, 1_000
"""Trees of conditions kept, and the most characters of such a text."""

_Slot = tuple[str, tuple[tuple[str, int], ...], bool, bool]


class Planner:
    """Makes plans of texts.

    Args:
        session: what is held open.
        slice_named: gives a slice's query text (live) or its keys (frozen).
        calibration_named: gives what a slice was calibrated to.
    """

    def __init__(
        self,
        session: Session,
        slice_named: Callable[[str], str | np.ndarray],
        calibration_named: CalibrationNamed | None,
    ) -> None:
        self._session = session
        self._slice_named = slice_named
        self._calibration_named = calibration_named
        self._plans = Cache[_Slot, Plan](_PLANS)
        self._shown = Cache[str, list[tuple[str, str]]](_PLANS)
        self._trees = Cache[str, Node](_TREES)

    def plan(
        self,
        text: str,
        at: dict[str, int] | None,
        files: bool,
        approximate: bool,
        request: Request | None = None,
    ) -> Plan:
        """Return the plan of a text; see `Engine.query` for the arguments.

        Raises:
            ParseError, BindError, SandboxError: as `slicedb.errors` says, with the place.
        """
        slot = (text, tuple(sorted((at or {}).items())), files, approximate)
        known = self._plans.find(slot)
        if known is not None and self._is_current(known, at):
            return known
        catalog = Catalog(self._session.store, at, self._session.infos)
        pool = Pool(
            catalog,
            files=files,
            pictures=self._session.vectors.pictures,
            calibration_named=self._calibration_named,
        )
        # No row is read, so that an editor need not wait for the queries of others.
        run = self._session.run(text, request, waits=False)
        with run as clock, _uncollected(text):
            bound = self._bind(text, pool, (), clock)
            columns = self._columns(bound, pool, clock)
            plan = self._split(Plan(text, bound, pool, columns, approximate=approximate))
        self._plans.put(slot, plan)
        return plan

    def _is_current(self, plan: Plan, at: dict[str, int] | None) -> bool:
        """Return whether the tables, slices and calibrations are as when a text was bound."""
        now = Catalog(self._session.store, at, self._session.infos)
        if not now.is_current(plan.pool.catalog.versions):
            return False
        if not all(map(self._session.vectors.pictures.find, plan.pool.handed)):
            return False
        pool = Pool(plan.pool.catalog, calibration_named=self._calibration_named)
        try:
            return all(
                pool.calibration(name) == then for name, then in plan.pool.calibrations.items()
            ) and all(
                _is_same(self._slice_named(name), then) for name, then in plan.pool.slices.items()
            )
        except SliceDBError:  # a slice or its calibration was dropped
            return False

    def _split(self, plan: Plan) -> Plan:
        """Return the plan with WHERE split into what SQL decides and what scores decide."""
        if not plan.prunes:
            return plan
        bound = plan.bound
        parts = conditions.split(bound, self._tree)
        plain = [span for span, _ in parts or [] if conditions.is_plain(bound, span)]
        rest = [node for span, node in parts or [] if not conditions.is_plain(bound, span)]
        cuts = [cut for node in rest if (cut := condition(node, bound)) is not None]
        more = parts is None or len(cuts) < len(rest)
        return replace(plan, conditions=tuple(plain), cuts=tuple(cuts), filtered_by_more=more)

    def _tree(self, text: str) -> Node:
        """Return the tree of a SELECT; the same filter is often asked with other terms."""
        if len(text) > _SHORT:
            return parse(text, self._session.cursor()).tree
        return self._trees.get(text, lambda: parse(text, self._session.cursor()).tree)

    def _bind(self, text: str, pool: Pool, inside: tuple[str, ...], clock: Clock) -> Bound:
        """Return a bound text; `inside` names the slices that it stands in, outermost first."""
        context = f"In slice '{inside[-1]}'" if inside else ""
        parsed = parse(text, self._session.cursor(), context, clock)

        def slice_named(binding: Binding, name: str, at: Node) -> Bound | str:
            return self._slice(binding, name, at, pool, inside, clock)

        cursor = self._session.cursor()
        return bind(parsed, pool, slice_named, clock.check, lambda text: heading(text, cursor))

    def _slice(
        self,
        binding: Binding,
        name: str,
        at: Node,
        pool: Pool,
        inside: tuple[str, ...],
        clock: Clock,
    ) -> Bound | str:
        """Return a live slice bound, or the name of the table of a frozen one's keys."""
        if name in inside:
            way = " -> ".join([*inside[inside.index(name) :], name])
            message = f"The slice '{name}' includes itself ({way})."
            raise binding.error(BindError, message, "take one of them out.", at)
        try:
            definition = self._slice_named(name)
        except UnknownSliceError as error:
            message = f"No slice '{name}'."
            raise binding.error(BindError, message, error.hint, at) from error
        pool.slices[name] = definition
        if not isinstance(definition, str):
            table = f"slice:{name}"
            pool.frozen[table] = np.asarray(definition, dtype=np.int64)
            return table
        try:
            bound = self._bind(definition, pool, (*inside, name), clock)
        except QueryError as error:
            # What was asked last includes all the others, so its place is the one that stays.
            here = binding.error(QueryError, "", "", at)
            error.include = here.text, here.start or 0, here.end or 0
            raise
        if not bound.narrows:
            columns = [column.lower() for column, _ in self._columns(bound, pool, clock)]
            if "id" not in columns:
                message = f"The slice '{name}' gives no id."
                raise binding.error(BindError, message, "its query must select id.", at)
        return bound

    def _columns(self, bound: Bound, pool: Pool, clock: Clock) -> list[tuple[str, str]]:
        """Bind in DuckDB over typed and empty relations; returns the result's columns."""
        frame = Frame("bare", ordered=bound.top is not None)
        written = Writer(frame, self._session.types.of).write(bound)
        # Texts that differ only in what they are similar to have one SQL.
        return self._shown.get(written.sql, lambda: self._described(written, bound, pool, clock))

    def _described(
        self, written: Written, bound: Bound, pool: Pool, clock: Clock
    ) -> list[tuple[str, str]]:
        cursor = self._session.cursor()
        empty = pa.Table.from_batches([], pa.schema([("key", pa.int64())]))
        for table in pool.frozen:
            cursor.register(table, empty)
        return answer.columns(cursor, written, bound, clock)


@contextlib.contextmanager
def _uncollected(text: str) -> Iterator[None]:
    """Pause Python's garbage collector while a long text is bound.

    A list of 20,000 ids makes 60,000 tokens and nodes that all live on. The collector would walk
    through them, and through everything else in the process, again and again: two thirds of the
    time.
    """
    pauses = len(text) > _LONG and gc.isenabled()
    if pauses:
        gc.disable()
    try:
        yield
    finally:
        if pauses:
            gc.enable()


def _is_same(now: str | np.ndarray, then: str | np.ndarray) -> bool:
    """Return whether a slice is defined as it was: by the same text, or the same keys."""
    if isinstance(now, str) or isinstance(then, str):
        return isinstance(now, str) and isinstance(then, str) and now == then
    return np.array_equal(now, then)
