"""The range of a metric over folds, and whether a test set's figure lies inside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import sql
from slicedb.curate.times import GAP
from slicedb.errors import CheckError, did_you_mean
from slicedb.schema import SAMPLES
from slicedb.selection import Single
from slicedb.show import numbers
from slicedb.show.tabular import Grid, Tabular
from slicedb.stats.intervals import tail

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slicedb.show.tabular import Part
    from slicedb.store import Store

MAKE_FOLDS = "`slicedb split --folds 5` makes folds."


@dataclass(frozen=True)
class FoldRow:
    """One metric over the folds."""

    metric: str
    values: tuple[float, ...]
    """Of each fold, in their order."""
    mean: float
    least: float
    most: float
    low: float
    """Where the figure of one more fold would lie, by Student's law."""
    high: float
    test: float | None
    """The figure of the test set; None where none was named."""

    @property
    def is_inside(self) -> bool | None:
        """Whether the test figure lies between the least and the largest of the folds."""
        return None if self.test is None else self.least <= self.test <= self.most


@dataclass(frozen=True)
class FoldRange(Tabular):
    """The range of each metric over folds."""

    model: str
    column: str
    folds: tuple[str, ...]
    sizes: tuple[int, ...]
    """Samples judged of each fold."""
    rows: tuple[FoldRow, ...]
    test: str = ""
    """The query of the test set."""
    confidence: float = 0.95

    def to_arrow(self) -> pa.Table:
        """Return one row per metric."""
        return pa.Table.from_pylist([{**asdict(r), "is_inside": r.is_inside} for r in self.rows])

    def parts(self) -> Iterable[Part]:
        """Yield the folds as a table, then a sentence on the test set."""
        head = ["metric", *(f"{self.column} {f}" for f in self.folds), "mean", "range", "one more"]
        cells = [
            (
                row.metric,
                *(f"{value:.3f}" for value in row.values),
                f"{row.mean:.3f}",
                f"{row.least:.3f} to {row.most:.3f}",
                numbers.interval(row.low, row.high),
            )
            for row in self.rows
        ]
        yield Grid(head, cells, align="<" + ">" * (len(head) - 1))
        size = numbers.count(round(float(np.mean(self.sizes))), "sample")
        yield f"One more: where another fold of some {size} would lie, {self.confidence:.0%}."
        k = len(self.folds)
        for row in self.rows:
            if row.test is None:
                continue
            if row.is_inside:
                yield f"{row.metric}: the test figure {row.test:.3f} lies inside the range."
                continue
            side = "below" if row.test < row.least else "above"
            beyond = not row.low <= row.test <= row.high
            verdict = "and beyond what one more fold would give" if beyond else "but not by much"
            yield (
                f"{row.metric}: the test figure {row.test:.3f} lies {side} the range, {verdict}. "
                f"By chance a figure lies outside of {k} others {2 / (k + 1):.0%} of the time."
            )


def refuse_no_folds(store: Store, column: str) -> None:
    """Raise if samples have no such column.

    Raises:
        CheckError: they do not.
    """
    columns = store.schema(SAMPLES).names
    if column not in columns:
        close = did_you_mean(column, columns, "columns")
        raise CheckError(
            f"There is no column '{column}' in samples.",
            MAKE_FOLDS if column == "fold" else close,
        )


def fold_range(
    model: str,
    column: str,
    folds: Sequence[object],
    evaluated: Callable[[str, Single], pa.Table],
    test: tuple[Single, str] | None,
    confidence: float,
) -> FoldRange:
    """Return the range of each metric over folds; see `Database.folds`.

    Args:
        model: its name, or a pattern with "{fold}".
        column: that says the fold of each sample.
        folds: its values.
        evaluated: gives the rows of `Evaluation.to_arrow` of a model on some samples.
        test: the samples of the test set and what they are called; None for none.
        confidence: of the interval of one more fold.

    Raises:
        CheckError: there are fewer than two folds, or a metric is undefined on one of them.
    """
    kept = [value for value in folds if value != GAP]
    names = tuple(str(value) for value in kept)
    if len(kept) < 2:
        raise CheckError(
            f"'{column}' has {numbers.count(len(kept), 'fold')}; a range takes two or more.",
            MAKE_FOLDS,
        )
    rows = [
        evaluated(model.replace("{fold}", name), sql.equals(column, value)).to_pylist()
        for value, name in zip(kept, names)
    ]
    figures = _figures(model, names, evaluated, test)
    every = []
    for number, first in enumerate(rows[0]):
        metric = f"{first['metric']} of {first['of']}" if first["of"] else first["metric"]
        for name, part in zip(names, rows):
            if math.isnan(part[number]["value"]):
                raise CheckError(
                    f"{metric} is undefined on fold {name}: {part[number]['reason']}",
                    f"are the samples of {column} = {name} labelled and predicted?",
                )
        values = np.array([part[number]["value"] for part in rows])
        every.append(_row(metric, values, figures[number] if figures else None, confidence))
    sizes = tuple(part[0]["n"] for part in rows)
    return FoldRange(model, column, names, sizes, tuple(every), test[1] if test else "", confidence)


def _figures(
    model: str,
    names: Sequence[str],
    evaluated: Callable[[str, Single], pa.Table],
    test: tuple[Single, str] | None,
) -> list[float]:
    """Return the test figure of each metric: of the model, or the mean over those of a pattern."""
    if test is None:
        return []
    models = dict.fromkeys(model.replace("{fold}", name) for name in names)
    tables = [evaluated(one, test[0])["value"].to_numpy() for one in models]
    figures: list[float] = np.mean(tables, axis=0).tolist()
    return figures


def _row(
    metric: str, values: npt.NDArray[np.float64], figure: float | None, confidence: float
) -> FoldRow:
    from scipy.special import stdtrit

    k, mean = len(values), float(values.mean())
    half = -float(stdtrit(k - 1, tail(confidence, 2))) * float(values.std(ddof=1))
    half *= math.sqrt(1 + 1 / k)
    least, most = float(values.min()), float(values.max())
    return FoldRow(
        metric, tuple(values.tolist()), mean, least, most, mean - half, mean + half, figure
    )
