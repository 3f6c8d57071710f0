"""Run a plan: load columns, find candidates, score them, let DuckDB answer."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.query.bound.bound import Frame
from slicedb.query.bound.relation import OWN_ID, ROW
from slicedb.query.hot.write import Writer
from slicedb.query.run import answer
from slicedb.query.run.clock import Clock
from slicedb.query.run.plan import Plan
from slicedb.query.run.request import Request
from slicedb.query.run.scores import Scores
from slicedb.query.run.session import Session
from slicedb.schema import SAMPLES
from slicedb.show.numbers import count
from slicedb.store.without_pandas import arrow_array, taken
from slicedb.vectors import Term, at_least_best

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LATE = 20_000
"""Rows up to which columns are taken by key instead of loaded for all samples."""
_SCORES = "~scores"
"""Name that scores are registered under; no other cursor sees it."""


@dataclass(frozen=True)
class Step:
    """One step of a run, for the plan that `explain` shows."""

    what: str
    rows: int | None
    seconds: float


class Runner:
    """Runs one plan.

    The order of an answer is the text's own; ties, and rows that the text does not order, stand
    in stored order.

    Args:
        session: what is held open.
        plan: what is asked.
        request: what the run belongs to, beside the requests around it.
    """

    def __init__(self, session: Session, plan: Plan, request: Request | None = None) -> None:
        self._session = session
        self._plan = plan
        self._request = request
        self._clock = Clock(session.bounds)
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

    def ids(self) -> list[str]:
        """Return the ids of the samples of a plan that narrows, in order."""
        tables, info = self._session.tables, self._plan.pool.catalog.samples
        rows = self._run("*", narrow=True, ordered=True, named=True)
        if OWN_ID in rows.column_names:
            return list(rows[OWN_ID].to_pylist())
        places = rows[ROW].to_numpy()
        return tables.reading(lambda: tables.ids(tables.samples(info), places))

    def whole(self) -> pa.Table | None:
        """Return the result of a plan that narrows, its columns of `*` taken by key.

        None where taking costs more than loading: there are many rows, or a column is none of
        the stored ones.
        """
        plan, rows = self._plan, self.rows()
        assert plan.bound.top is not None and plan.bound.top.table is not None
        stored = plan.bound.top.table
        names = [name for name, _ in plan.columns]
        late = [name for name in names if name not in rows.column_names]
        if len(rows) > _LATE or any(name not in stored.types for name in late):
            return None
        columns = {name: rows[name] for name in names if name not in late}
        if late:
            keys = rows["key"].to_numpy()
            taken = self._session.store.take(SAMPLES, keys, late, version=stored.version)
            columns |= {name: taken[name] for name in late}
        return pa.table({name: columns[name] for name in names})

    def is_known(self, keys: np.ndarray) -> np.ndarray:
        """Return bool (n,): which keys are samples that the plan may see."""
        tables = self._session.tables
        name = tables.samples(self._plan.pool.catalog.samples)
        rows = tables.index(name).find(keys)
        if self._plan.bound.unfiltered:
            return np.asarray(rows >= 0)
        return np.append(tables.visible(name), False)[rows]  # row -1, of no sample, is the last

    def _run(self, select: str, *, narrow: bool, ordered: bool, named: bool = False) -> pa.Table:
        run = partial(self._ran, select, narrow=narrow, ordered=ordered, named=named)
        with self._session.run(self._plan.text, self._request) as self._clock:
            return self._session.tables.reading(run)

    def _ran(self, select: str, *, narrow: bool, ordered: bool, named: bool) -> pa.Table:
        plan, bound = self._plan, self._plan.bound
        narrow = narrow and bound.narrows
        # Rows that the text does not order are put in stored order afterwards: NumPy checks in one
        # pass that they are in order already, where DuckDB would sort them.
        stored = narrow and select == "*" and not plan.is_ordered
        frame = Frame("hot", narrow, ordered and bound.top is not None and not stored)
        self._load(frame)
        frame = replace(frame, named=named and not self._has_ids(), keyed=not named)
        cursor = self._session.cursor()
        try:
            for name, keys in plan.pool.frozen.items():
                cursor.register(name, pa.table({"key": arrow_array(keys)}))
            if plan.terms:
                scored = self._score(frame, cursor, select if narrow else "")
                if isinstance(scored, pa.Table):
                    return scored
                frame = scored
            written = Writer(frame, self._session.types.of).write(bound)
            started = time.perf_counter()
            table = answer.arrow(cursor, written, bound, self._clock, select)
            self._note("run the SQL", table.num_rows, started)
            return in_stored_order(table) if stored else table
        finally:
            cursor.close()

    def _has_ids(self) -> bool:
        """Return whether the ids of all samples are at hand, to be listed by row number."""
        tables = self._session.tables
        return tables.has_ids(tables.samples(self._plan.pool.catalog.samples))

    def _note(self, what: str, rows: int | None, started: float) -> None:
        self.steps.append(Step(what, rows, time.perf_counter() - started))

    def _load(self, frame: Frame) -> None:
        started = time.perf_counter()
        top = self._plan.bound.top
        relations = self._plan.bound.everywhere()
        # A narrow run reads `*` of the outermost relation later, by key, so it needs no columns.
        loaded = self._session.tables.ensure(relations, lambda r: frame.narrow or r is not top)
        if loaded:
            self._note(f"load {loaded} columns", None, started)

    def _score(self, frame: Frame, cursor: DuckDBPyConnection, select: str) -> Frame | pa.Table:
        """Score the terms; return the answer, or a frame in which DuckDB gives it.

        Args:
            frame: how the SQL is written without scores.
            cursor: where the scores are registered.
            select: what a narrow run shows, `*` or a count; empty where it is not narrow.
        """
        plan = self._plan
        scores = Scores(self._session, plan, self._clock.check)
        if plan.prunes:
            self._choose(scores, frame, cursor)
        started = time.perf_counter()
        if new := scores.add(list(plan.terms)):
            self._note(f"score {new} terms in one pass", scores.size, started)
        # Where the scores alone are the answer, DuckDB is not asked at all.
        if plan.top_k is not None:
            best = self._best(scores)
            if best is not None and plan.top_k.alone and select == "*":
                return best
        elif plan.is_decided and select:
            return self._decided(scores, select == "*")
        columns = {slot: scores.values[term] for term, slot in plan.terms.items()}
        if scores.rows is not None:
            columns["~at"] = scores.rows
        cursor.register(_SCORES, register(columns))
        pruned = None if scores.rows is None else plan.bound.top
        return replace(frame, scores=_SCORES, pruned=pruned)

    def _choose(self, scores: Scores, frame: Frame, cursor: DuckDBPyConnection) -> None:
        """Leave out rows that cannot match: by the SQL part first, then by cuts of scores."""
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
            cuts = count(len(plan.cuts), "cut")
            self._note(f"decide {cuts} of scores", scores.left, started)

    def _candidates(self, frame: Frame, cursor: DuckDBPyConnection) -> np.ndarray:
        """Return the rows that match the part of WHERE that is plain SQL."""
        plan, bound = self._plan, self._plan.bound
        writer = Writer(
            replace(frame, scored=False, ordered=False, named=False, keyed=True),
            self._session.types.of,
        )
        written = writer.candidates(bound, plan.conditions)
        started = time.perf_counter()

        def find() -> np.ndarray:
            table = answer.arrow(cursor, written, bound, self._clock)
            return np.asarray(table["row"].to_numpy())

        # The same filter is often asked with other texts to be similar to.
        is_kept = plan.is_steady and not plan.pool.frozen
        rows = self._session.candidates.get(written.sql, find) if is_kept else find()
        self._note("find candidates by the SQL part", len(rows), started)
        return rows

    def _indexed(self, term: Term, scores: Scores) -> np.ndarray | None:
        """Return the rows an approximate index names, None where it has too few of them."""
        plan, session = self._plan, self._session
        assert plan.top_k is not None and plan.bound.top is not None
        info = plan.pool.catalog.embedding(term.embedding)
        samples = session.tables.samples(plan.pool.catalog.samples)
        started = time.perf_counter()
        target = session.vectors.direction(term.embedding, term.targets, info.version)
        k = plan.top_k.k
        keys = session.approximate.candidates(term.embedding, info.version, target, k)
        if keys is None:
            return None
        rows = session.tables.index(samples).rows(keys)
        if not plan.bound.top.unfiltered:
            rows = rows[scores.visible[rows]]
        self._note("ask the approximate index", len(rows), started)
        return rows if len(rows) >= k else None

    def _decided(self, scores: Scores, whole: bool) -> pa.Table:
        """Return the rows that are left as the result, or their number."""
        if not whole:
            return pa.table({"n": arrow_array(np.array([scores.left]))})
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
        best = at_least_best(column if at is None else column[at], k)
        if len(best) < k:
            return None  # samples without an embedding come last, and some are wanted
        scores.take(best if at is None else at[best])
        self._note(f"keep the best {top_k.k:,} and ties", len(best), started)
        assert scores.rows is not None
        columns = {slot: scores.values[term] for term, slot in self._plan.terms.items()}
        order = np.lexsort((scores.rows, -scores.values[top_k.term]))[: top_k.k]
        rows = scores.rows[order]
        picked = {"key": scores.keys[rows], ROW: rows}
        return register(picked | {slot: values[order] for slot, values in columns.items()})


def register(values: dict[str, np.ndarray]) -> pa.Table:
    """Return columns of scores as an Arrow table, null where NaN."""
    fields = {
        name: arrow_array(column, np.isnan(column) if column.dtype.kind == "f" else None)
        for name, column in values.items()
    }
    return pa.table(fields)


def in_stored_order(table: pa.Table) -> pa.Table:
    """Return samples by their place in stored order."""
    rows = table[ROW].to_numpy()
    return table if (rows[1:] > rows[:-1]).all() else taken(table, np.argsort(rows))
