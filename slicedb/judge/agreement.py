"""State how far two truths agree: that which models are judged against, and another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from slicedb import sql, stats
from slicedb.judge.aligned import Aligned, ground_truth, load, ranks, universe
from slicedb.judge.truth import OtherTruth, Truth
from slicedb.judge.truth import read as read_truth
from slicedb.keys import Keys, distinct
from slicedb.metrics import PredictedNumbers
from slicedb.metrics.outcomes import TaskOutcomes
from slicedb.show.numbers import count, interval, number, percent, verb
from slicedb.show.tabular import Record
from slicedb.store import Store
from slicedb.tasks import AlignedRows
from slicedb.tasks.arrays import null_in

_ALIKE = {
    "detection": "have the same boxes",
    "multilabel": "have the same set of labels",
}
"""What is counted as equal, by task."""


@dataclass(frozen=True)
class Agreement(Record):
    """How often two answers to the same question are equal."""

    a: str
    """The column of the ground truth, or a model."""
    b: str
    """The truth that models are judged against."""
    n: int
    """Samples that have both."""
    n_equal: int
    low: float
    """Wilson bound of the share that is equal."""
    high: float
    """Wilson bound of the share that is equal."""
    left_out: int
    """Samples that lack one of the two."""
    query: str
    """Finds those."""
    alike: str = "are equal"
    """What is counted as equal."""
    difference: float | None = None
    """Of numbers: the mean absolute difference."""
    is_exact: bool = True
    """Whether the query finds those alone: it cannot ask for the holdout share of a slice."""

    @property
    def share(self) -> float:
        """The share of the samples with both that is equal; NaN without samples."""
        return self.n_equal / self.n if self.n else float("nan")

    def __str__(self) -> str:
        whole = self.n + self.left_out
        have = verb(self.n, "has", "have")
        text = f"{self.a} and {self.b}: {self.n:,} of {count(whole, 'sample')} {have} both"
        if self.n:
            text += f"; {percent(self.share)} {interval(self.low, self.high)} of them {self.alike}"
        if self.difference is not None:
            text += f", the mean absolute difference is {number(self.difference)}"
        if not self.left_out:
            return text
        found = "" if self.is_exact else " (the query finds those of the whole slices)"
        return f"{text}; {self.left_out:,} left out: {self.query}{found}"


def agreements(
    store: Store,
    models: Sequence[str],
    truth: OtherTruth | None,
    keys: Sequence[Keys],
    *,
    scopes: Sequence[str] = (),
    confidence: float = 0.95,
) -> tuple[Agreement, ...]:
    """Return how far another truth agrees with the ground truth, and with each model under test.

    Args:
        store: the database.
        models: those that are judged.
        truth: what they are judged against; None, the ground truth, gives no lines.
        keys: int64 (n,) each, the samples.
        scopes: a predicate of each of those parts, "" for every sample.
        confidence: of the intervals.
    """
    if truth is None:
        return ()
    every = universe(store)
    rows = every.rows(distinct(np.concatenate([np.empty(0, np.int64), *keys])))
    scope = "" if "" in scopes else " OR ".join(f"({part})" for part in scopes)
    whole = f"({scope})" if scope and len(scopes) > 1 else scope[1:-1]
    aligned = [load(store, name, truth, light=True) for name in models]
    line = _Line(rows, whole, confidence)
    return (
        *_of_ground_truth(store, aligned[0], line),
        *(
            line.agreement(
                one.model,
                f"{sql.name(one.model)}.{sql.name(one.task.reads[0])}",
                _known(one.truth),
                one.row_of,
                one.outcomes,
            )
            for one in aligned
        ),
    )


@dataclass(frozen=True, eq=False)
class _Line:
    """What all lines are about."""

    rows: Keys
    """Rows of the universe."""
    scope: str
    confidence: float

    def agreement(
        self, a: str, column: str, truth: Truth, row_of: Keys, outcomes: TaskOutcomes
    ) -> Agreement:
        """Return one line.

        Args:
            a: a name.
            column: its SQL, NULL where it says nothing.
            truth: the truth.
            row_of: int64 (universe,), the row in `outcomes`, -1 where one of the two lacks.
            outcomes: the two side by side.
        """
        at = row_of[self.rows]
        at = at[at >= 0]
        n, equal = len(at), int(outcomes.correct[at].sum())
        low, high = stats.wilson(equal, n, self.confidence)
        lacks = f"{column} IS NULL OR {truth.column} IS NULL"
        gaps = np.abs(outcomes.residual[at]) if isinstance(outcomes, PredictedNumbers) else None
        return Agreement(
            a,
            truth.name,
            n,
            equal,
            float(low),
            float(high),
            len(self.rows) - n,
            sql.conjunction(self.scope, lacks),
            _ALIKE.get(outcomes.task, "are equal"),
            float(gaps.mean()) if gaps is not None and n else None,
        )


def _known(truth: Truth | None) -> Truth:
    assert truth is not None
    return truth


def _of_ground_truth(store: Store, aligned: Aligned, line: _Line) -> Iterator[Agreement]:
    """Yield the agreement of the ground truth with the other one, unless they are the same."""
    task, about, truth = aligned.task, aligned.about, _known(aligned.truth)
    source = task.truth_of(about)
    if source == truth.source or not store.has(source.table):
        return
    if source.column not in store.schema(source.table).names:
        return
    every = universe(store)
    label = ground_truth(store, task, about)
    _, said = read_truth(store, truth, every.keys, aligned.model, task, aligned.outcomes.classes)
    both = np.flatnonzero(~null_in(label, said))
    at = pa.array(both)
    outcomes = task.outcomes(
        AlignedRows(
            pa.table({"key": every.keys[both], task.reads[0]: _plain(said.take(at))}),
            np.arange(len(both)),
            label.take(at),
            about,
            lambda: ranks(store)[both],
        )
    )
    row_of = np.full(len(every.keys), -1)
    row_of[both] = np.arange(len(both))
    yield line.agreement(source.column, sql.name(source.column), truth, row_of, outcomes)


def _plain(array: pa.Array) -> pa.Array:
    return array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array
