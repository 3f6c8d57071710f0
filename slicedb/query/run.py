"""Run a plan: load columns, find candidates, score them, let DuckDB answer."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from slicedb.errors import BindError, ParseError, QueryError, QueryTimeoutError, did_you_mean
from slicedb.query.plan import Plan
from slicedb.query.scope import ROW, Bound, Frame, Search, Term
from slicedb.query.scored import at_least_best, register
from slicedb.query.write import Writer, Written

if TYPE_CHECKING:
    from slicedb.query.engine import Engine

_SELECTIVE = 0.2
"""Share of rows below which the SQL part runs first and only its rows are scored."""
_KINDS: dict[str, type[QueryError]] = {
    "Binder": BindError,
    "Catalog": BindError,
    "Parser": ParseError,
    "Syntax": ParseError,
}
_numbers = itertools.count()


@dataclass
class Step:
    """One step of a run, for the plan that `explain` shows."""

    what: str
    rows: int | None
    seconds: float


@dataclass
class Clock:
    """The time a run may take."""

    limit: float | None
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float | None:
        """Seconds left; None is no limit."""
        return None if self.limit is None else self.limit - (time.monotonic() - self.started)

    def check(self) -> None:
        """Raise when the time is used up."""
        left = self.left
        if left is not None and left <= 0:
            raise out_of_time(self.limit)


class Runner:
    """Runs one plan."""

    def __init__(self, engine: Engine, plan: Plan) -> None:
        self._engine = engine
        self._plan = plan
        self._clock = Clock(engine.timeout)
        self._best: pa.Table | None = None
        self.steps: list[Step] = []

    def rows(self) -> pa.Table:
        """Return key, row number, scores and listed columns of the samples, in order.

        For a plan that narrows: it shows `*` of the samples, whose columns are taken by key.
        """
        return self._run("*", narrow=True, ordered=True)

    def fetch(self, select: str = "*") -> pa.Table:
        """Return `SELECT <select> FROM (the query)`."""
        return self._run(select, narrow=False, ordered=True)

    def count(self) -> int:
        """Return the number of rows."""
        table = self._run("count(*) AS n", narrow=True, ordered=False)
        return int(table["n"][0].as_py())

    def _run(self, select: str, *, narrow: bool, ordered: bool) -> pa.Table:
        plan, bound = self._plan, self._plan.bound
        narrow = narrow and bound.narrows
        frame = Frame("hot", narrow, ordered and bound.top is not None)
        self._load(frame)
        cursor = self._engine.cursor()
        try:
            for name, keys in plan.pool.frozen.items():
                cursor.register(name, pa.table({"key": keys}))
            if plan.terms:
                frame = self._score(frame, cursor)
                if self._best is not None and narrow and select == "*":
                    return self._best
            written = Writer(frame, self._engine.types_of).write(bound)
            started = time.perf_counter()
            head = f"SELECT {select} FROM (\n"
            with run_sql(
                cursor.sql, head, written, "\n)", bound, self._clock.left, cursor
            ) as answer:
                table = answer.to_arrow_table()
            self._note("run the SQL", table.num_rows, started)
            return table
        finally:
            cursor.close()

    def _note(self, what: str, rows: int | None, started: float) -> None:
        self.steps.append(Step(what, rows, time.perf_counter() - started))

    def _load(self, frame: Frame) -> None:
        started = time.perf_counter()
        top = self._plan.bound.top
        relations = self._plan.bound.everywhere()
        loaded = self._engine.tables.ensure(relations, lambda r: frame.narrow or r is not top)
        if loaded:
            self._note(f"load {loaded} columns", None, started)

    def _score(self, frame: Frame, cursor: Any) -> Frame:
        """Score the terms, register them on the cursor, and return the frame that uses them."""
        plan, engine = self._plan, self._engine
        samples = engine.tables.samples(plan.pool.catalog.samples)
        total = engine.tables.rows(samples)
        rows = self._candidates(frame, cursor, total)
        started = time.perf_counter()
        keys, visible = engine.tables.keys(samples), engine.tables.visible(samples)
        check, catalog = self._clock.check, plan.pool.catalog
        meanings = [term for term in plan.terms if isinstance(term, Term)]
        searches = [term for term in plan.terms if isinstance(term, Search)]
        places = partial(engine.tables.places, samples)
        values: dict[Any, np.ndarray] = {
            **engine.meaning.score(meanings, catalog, keys, rows, visible, check),
            **engine.search.score(searches, catalog.samples, places, total, rows, check),
        }
        scored = total if rows is None else len(rows)
        how = "score all samples" if rows is None else "score the candidates"
        self._note(f"{how}, {len(plan.terms)} terms in one pass", scored, started)
        rows = self._cut(values, rows, visible)
        columns = {slot: values[term] for term, slot in plan.terms.items()}
        if rows is not None and plan.top_k is not None and plan.top_k.alone:
            self._best = self._answer(columns, rows, keys)
        name = f"scores:{next(_numbers)}"
        if rows is not None:
            columns["~at"] = rows
        cursor.register(name, register(columns))
        return replace(frame, scores=name, pruned=None if rows is None else plan.bound.top)

    def _candidates(self, frame: Frame, cursor: Any, total: int) -> np.ndarray | None:
        """Return the rows the SQL part leaves when they are few, else None."""
        plan, bound = self._plan, self._plan.bound
        if plan.indexed is not None:
            return self._indexed(plan.indexed)
        if not plan.prunes or not plan.conditions:
            return None
        writer = Writer(replace(frame, scored=False, ordered=False), self._engine.types_of)
        written = writer.candidates(bound, plan.conditions)
        started = time.perf_counter()
        with run_sql(cursor.sql, "", written, "", bound, self._clock.left, cursor) as answer:
            rows: np.ndarray = answer.to_arrow_table()["row"].to_numpy()
        self._note("find candidates by the SQL part", len(rows), started)
        if len(rows) > _SELECTIVE * total and plan.top_k is None:
            return None
        ordered: np.ndarray = np.sort(rows)
        return ordered

    def _indexed(self, term: Term) -> np.ndarray | None:
        """Return the rows an approximate index names, None where it has too few of them."""
        plan, engine = self._plan, self._engine
        assert plan.top_k is not None and plan.bound.top is not None
        info = plan.pool.catalog.embedding(term.embedding)
        samples = engine.tables.samples(plan.pool.catalog.samples)
        started = time.perf_counter()
        target = engine.meaning.direction(term, plan.pool.catalog)
        found = engine.nearby.candidates(info.name, info.version, target, plan.top_k.k)
        if found is None:
            return None
        rows = engine.tables.places(samples, found)
        rows = np.sort(rows[rows >= 0])
        if not plan.bound.top.unfiltered:
            rows = rows[engine.tables.visible(samples)[rows]]
        self._note("ask the approximate index", len(rows), started)
        return rows if len(rows) >= plan.top_k.k else None

    def _answer(
        self, columns: dict[str, np.ndarray], rows: np.ndarray, keys: np.ndarray
    ) -> pa.Table | None:
        """Return the best k rows as the result, when there are k of them."""
        top_k = self._plan.top_k
        assert top_k is not None
        scores = columns[self._plan.terms[top_k.term]]
        order = np.lexsort((rows, -scores))[: top_k.k]
        if len(order) < top_k.k or np.isnan(scores).any():
            return None
        picked = {"key": keys[rows[order]], ROW: rows[order]}
        return register(picked | {slot: values[order] for slot, values in columns.items()})

    def _cut(
        self, values: dict[Any, np.ndarray], rows: np.ndarray | None, visible: np.ndarray
    ) -> np.ndarray | None:
        """Keep the best k and their ties when no more are needed; changes `values`."""
        top_k, top = self._plan.top_k, self._plan.bound.top
        if top_k is None or top is None:
            return rows
        started = time.perf_counter()
        scores = values[top_k.term]
        if rows is None and not top.unfiltered:
            scores = np.where(visible, scores, np.nan)
        kept = at_least_best(scores, max(top_k.k, 1))
        if len(kept) < max(top_k.k, 1):
            return rows  # samples without an embedding come last, and some are wanted
        for term in values:
            values[term] = values[term][kept]
        self._note(f"keep the best {top_k.k:,} and ties", len(kept), started)
        left: np.ndarray = kept if rows is None else rows[kept]
        return left


@contextlib.contextmanager
def run_sql(
    ask: Callable[[str], Any],
    head: str,
    written: Written,
    tail: str,
    bound: Bound,
    timeout: float | None,
    cursor: Any,
) -> Iterator[Any]:
    """Ask DuckDB `head + written + tail`; its errors come out as ours, with their place."""
    import duckdb

    fired = threading.Event()

    def stop() -> None:
        fired.set()
        cursor.interrupt()

    timer = threading.Timer(max(timeout, 0.001), stop) if timeout is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield ask(head + written.sql + tail)
    except (duckdb.Error, pa.ArrowException) as error:
        if fired.is_set():
            raise out_of_time(timeout) from error
        raise _translate(error, len(head.encode()), written, bound) from error
    except RuntimeError as error:
        if "interrupt" in str(error).lower():
            if fired.is_set():
                raise out_of_time(timeout) from error
            raise KeyboardInterrupt from error
        raise
    finally:
        if timer is not None:
            timer.cancel()


def out_of_time(limit: float | None) -> QueryTimeoutError:
    """Return the error of a query that took too long."""
    shown = "" if limit is None else f" of {limit:g} s"
    return QueryTimeoutError(
        f"The query used up its time{shown}.", "narrow it, or give it more with timeout."
    )


def _translate(error: Exception, offset: int, written: Written, bound: Bound) -> QueryError:
    text = str(error)
    about: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        about = json.loads(text[text.index("{") :])
    message = str(about.get("exception_message") or text).strip().split("\n")[0].rstrip(".!")
    message = re.sub(r'column "~\w+"', "This value", message)  # a column of ours has no name
    kind = str(about.get("exception_type") or type(error).__name__)
    position = str(about.get("position", ""))
    place = written.locate(int(position) - offset) if position.isdigit() else None
    source, at = place if place is not None else (bound.source, None)
    hint = ""
    if about.get("error_subtype") == "COLUMN_NOT_FOUND":
        name = str(about.get("name", ""))
        message = f"No column '{name}'"
        hint = _column_hint(name, about, bound)
    elif "cannot contain window functions" in message:
        hint = "they, and fuse, rank the rows that WHERE leaves: use them in ORDER BY or QUALIFY."
    elif "Interrupt" in kind:
        return QueryTimeoutError("The query was interrupted.")
    return source.error(_KINDS.get(kind, QueryError), f"{message}.", hint, at=at)


def _column_hint(name: str, about: dict[str, Any], bound: Bound) -> str:
    tables = [r.table for r in bound.everywhere() if r.table is not None]
    if any(name == part for table in tables for part in [table.name]):
        return "name a column of it."
    names = [column for table in tables for column in table.types]
    owners = [r.owner.table for r in bound.everywhere() if r.owner and r.owner.table]
    if any(table.column(name) for table in owners):
        return f"write samples.{name} for the sample's column."
    more = str(about.get("candidates", "")).split(",")
    choices = [*names, *(c.strip() for c in more if c.strip() and "~" not in c)]
    quoted = f'"{name}"' in bound.source.text
    hint = did_you_mean(name, choices, "columns")
    return f"{hint} Text goes in single quotes, double quotes name a column." if quoted else hint
