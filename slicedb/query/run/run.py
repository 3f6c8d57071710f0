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
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from slicedb.errors import BindError, ParseError, QueryError, QueryTimeoutError, did_you_mean
from slicedb.query.bound.bound import Bound, Frame
from slicedb.query.bound.relation import ROW
from slicedb.query.hot.write import Writer, Written
from slicedb.query.run.plan import Plan
from slicedb.query.run.scores import Scores
from slicedb.vectors import Term, at_least_best

if TYPE_CHECKING:
    from slicedb.query.engine import Engine

_KINDS: dict[str, type[QueryError]] = {
    "Binder": BindError,
    "Catalog": BindError,
    "Parser": ParseError,
    "Syntax": ParseError,
}
_NOT_IN = re.compile(r'(?:Values list|Table) "(.*)" does not have a column named "(.*)"$')
_WAYS_OUT = {
    "cannot contain window functions": "they, and fuse, rank the rows that WHERE leaves: use them "
    "in ORDER BY or QUALIFY.",
    "cannot contain aggregates": "compare with a subquery, as in loss > (SELECT avg(loss) FROM "
    "v3), or use HAVING after GROUP BY.",
    "(BOOLEAN)'": "a BOOLEAN is counted as a number: write avg(x::INT).",
    'from expression "objects"': "it is a list of boxes: has_object('car'), FROM objects, or "
    "[o.label for o in objects].",
}
"""What DuckDB says, to the way out."""
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
        # rows without an order of their own are put in stored order afterwards, which costs less
        stored = narrow and select == "*" and not plan.is_ordered
        frame = Frame("hot", narrow, ordered and bound.top is not None and not stored)
        self._load(frame)
        cursor = self._engine.cursor()
        try:
            for name, keys in plan.pool.frozen.items():
                cursor.register(name, pa.table({"key": keys}))
            if plan.terms:
                scored = self._score(frame, cursor, select if narrow else "")
                if isinstance(scored, pa.Table):
                    return scored
                frame = scored
            written = Writer(frame, self._engine.types_of).write(bound)
            started = time.perf_counter()
            head = f"SELECT {select} FROM (\n"
            with run_sql(
                cursor.sql, head, written, "\n)", bound, self._clock.left, cursor
            ) as answer:
                table = answer.to_arrow_table()
            self._note("run the SQL", table.num_rows, started)
            return in_stored_order(table) if stored else table
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

    def _score(self, frame: Frame, cursor: Any, select: str) -> Frame | pa.Table:
        """Score the terms; return the answer, or a frame in which DuckDB gives it.

        Args:
            frame: how the SQL is written without scores.
            cursor: where the scores are registered.
            select: what a narrow run shows, `*` or a count; empty where it is not narrow.
        """
        plan = self._plan
        scores = Scores(self._engine, plan, self._clock.check)
        if plan.prunes:
            self._choose(scores, frame, cursor)
        started = time.perf_counter()
        if new := scores.add(list(plan.terms)):
            self._note(f"score {new} terms in one pass", scores.size, started)
        if plan.top_k is not None:
            best = self._best(scores)
            if best is not None and plan.top_k.alone and select == "*":
                return best
        elif plan.is_decided and select:
            return self._decided(scores, select == "*")
        columns = {slot: scores.values[term] for term, slot in plan.terms.items()}
        name = f"scores:{next(_numbers)}"
        if scores.rows is not None:
            columns["~at"] = scores.rows
        cursor.register(name, register(columns))
        pruned = None if scores.rows is None else plan.bound.top
        return replace(frame, scores=name, pruned=pruned)

    def _choose(self, scores: Scores, frame: Frame, cursor: Any) -> None:
        """Leave out rows that are in no answer: by the SQL part, then by cuts of scores."""
        plan, top = self._plan, self._plan.bound.top
        assert top is not None
        named = None if plan.indexed is None else self._indexed(plan.indexed, scores)
        if named is not None:
            scores.restrict(named)
            return
        if plan.conditions:
            scores.restrict(self._candidates(frame, cursor))
        elif not top.unfiltered:
            scores.keep(scores.visible)
        if plan.cuts:
            started = time.perf_counter()
            scores.decide(plan.cuts)
            said = f"decide {len(plan.cuts)} {'cut' if len(plan.cuts) == 1 else 'cuts'} of scores"
            self._note(said, scores.left, started)

    def _candidates(self, frame: Frame, cursor: Any) -> np.ndarray:
        """Return the rows the SQL part leaves."""
        plan, bound = self._plan, self._plan.bound
        writer = Writer(replace(frame, scored=False, ordered=False), self._engine.types_of)
        written = writer.candidates(bound, plan.conditions)
        started = time.perf_counter()
        with run_sql(cursor.sql, "", written, "", bound, self._clock.left, cursor) as answer:
            rows: np.ndarray = answer.to_arrow_table()["row"].to_numpy()
        self._note("find candidates by the SQL part", len(rows), started)
        return rows

    def _indexed(self, term: Term, scores: Scores) -> np.ndarray | None:
        """Return the rows an approximate index names, None where it has too few of them."""
        plan, engine = self._plan, self._engine
        assert plan.top_k is not None and plan.bound.top is not None
        info = plan.pool.catalog.embedding(term.embedding)
        samples = engine.tables.samples(plan.pool.catalog.samples)
        started = time.perf_counter()
        target = engine.vectors.direction(term.embedding, term.targets, info.version)
        found = engine.nearby.candidates(term.embedding, info.version, target, plan.top_k.k)
        if found is None:
            return None
        rows = engine.tables.places(samples, found)
        rows = rows[rows >= 0]
        if not plan.bound.top.unfiltered:
            rows = rows[scores.visible[rows]]
        self._note("ask the approximate index", len(rows), started)
        return rows if len(rows) >= plan.top_k.k else None

    def _decided(self, scores: Scores, whole: bool) -> pa.Table:
        """Return the rows still in as the result, or their number."""
        if not whole:
            return pa.table({"n": [scores.left]})
        at = scores.places()
        rows = at if scores.rows is None else scores.rows[at]
        columns = {slot: scores.values[term][at] for term, slot in self._plan.terms.items()}
        return register({"key": scores.keys[rows], ROW: rows} | columns)

    def _best(self, scores: Scores) -> pa.Table | None:
        """Keep the best k and their ties; return the best k when there are so many."""
        top_k = self._plan.top_k
        assert top_k is not None
        started, k = time.perf_counter(), max(top_k.k, 1)
        at = scores.places() if scores.mask is not None else None
        column = scores.values[top_k.term]
        kept = at_least_best(column if at is None else column[at], k)
        if len(kept) < k:
            return None  # samples without an embedding come last, and some are wanted
        scores.take(kept if at is None else at[kept])
        self._note(f"keep the best {top_k.k:,} and ties", len(kept), started)
        assert scores.rows is not None
        columns = {slot: scores.values[term] for term, slot in self._plan.terms.items()}
        order = np.lexsort((scores.rows, -scores.values[top_k.term]))[: top_k.k]
        rows = scores.rows[order]
        picked = {"key": scores.keys[rows], ROW: rows}
        return register(picked | {slot: values[order] for slot, values in columns.items()})


def register(values: dict[str, np.ndarray]) -> pa.Table:
    """Return columns of scores as an Arrow table, null where NaN."""
    fields = {}
    for name, column in values.items():
        empty = np.isnan(column) if column.dtype.kind == "f" else None
        fields[name] = pa.array(column, mask=empty if empty is not None and empty.any() else None)
    return pa.table(fields)


def in_stored_order(table: pa.Table) -> pa.Table:
    """Return samples by their place in stored order."""
    rows = table[ROW].to_numpy()
    return table if (rows[1:] > rows[:-1]).all() else table.take(np.argsort(rows))


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
    elif column := _NOT_IN.match(message):
        message, hint = f"No column '{column[2]}' in {column[1]}", _not_in(column[2], bound)
    elif "Interrupt" in kind:
        return QueryTimeoutError("The query was interrupted.")
    hint = hint or next((way for said, way in _WAYS_OUT.items() if said in message), "")
    return source.error(_KINDS.get(kind, QueryError), f"{message}.", hint, at=at)


def _not_in(name: str, bound: Bound) -> str:
    """Return the way out where a CTE or a subquery has no such column."""
    if any(r.kind == "samples" for r in bound.everywhere()):
        hint = f"if '{name}' is a model, name its columns where FROM samples stands, or JOIN {name}"
        return f"{hint} USING (key)."
    return "name a column that its SELECT lists."


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
