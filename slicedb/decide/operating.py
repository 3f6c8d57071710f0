"""Compute precision, recall and F1 of every threshold on a score, by one sort."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import stats
from slicedb.decide.curve import arrays_of, in_runs
from slicedb.metrics.outcomes import Floats, Ints
from slicedb.show import curves, numbers
from slicedb.show.html import Html
from slicedb.show.tabular import Figure, Grid, Part, Tabular

_SHOWN = 11
"""Rows for people: thresholds of even ranks."""


@dataclass(frozen=True, eq=False, repr=False)
class Operating(Tabular):
    """What every threshold finds, from the strictest down; the rule is `score >= threshold`."""

    threshold: Floats
    """float64 (k,): falling, every distinct score."""
    n_yes: Ints
    """int64 (k,): samples at or above the threshold."""
    hits: Ints
    """int64 (k,): those of them that are positive."""
    n_positive: int
    n: int
    confidence: float = 0.95
    """Level of the intervals."""

    @property
    def precision(self) -> Floats:
        """float64 (k,): share of what is decided yes that is positive."""
        return np.asarray(self.hits / self.n_yes)

    @property
    def recall(self) -> Floats:
        """float64 (k,): share of the positives that is decided yes; NaN without any."""
        positive = float(self.n_positive) or np.nan
        return np.asarray(self.hits / positive)

    @property
    def f1(self) -> Floats:
        """float64 (k,): the harmonic mean of both."""
        return np.asarray(2 * self.hits / (self.n_yes + self.n_positive))

    @property
    def best(self) -> int:
        """Index of the threshold of highest F1; of several the strictest."""
        return int(np.argmax(self.f1))

    def intervals(self) -> dict[str, stats.Interval]:
        """Return Wilson's intervals of precision and recall at each threshold."""
        positive = np.full(len(self.hits), self.n_positive)
        return {
            "precision": stats.Interval(*stats.wilson(self.hits, self.n_yes, self.confidence)),
            "recall": stats.Interval(*stats.wilson(self.hits, positive, self.confidence)),
        }

    def to_arrow(self) -> pa.Table:
        """Return one row per threshold."""
        columns: dict[str, npt.NDArray[np.generic]] = {
            "threshold": self.threshold,
            "n_yes": self.n_yes,
            "hits": self.hits,
        }
        ends = self.intervals()
        for name in ("precision", "recall"):
            columns[name] = getattr(self, name)
            columns[f"{name}_low"] = ends[name].low
            columns[f"{name}_high"] = ends[name].high
        return pa.table({**columns, "f1": self.f1})

    def parts(self) -> Iterator[Part]:
        """Yield how many samples it is of, some thresholds, and the curves."""
        of = numbers.count(self.n, "sample")
        yield f"{of}, {self.n_positive:,} positive; in brackets {self.confidence:.0%} intervals"
        at = np.unique(np.linspace(0, len(self.threshold) - 1, _SHOWN).astype(int)).tolist()
        ends = self.intervals()
        rows = [
            [
                f"{self.threshold[k]:.4g}",
                f"{self.n_yes[k]:,}",
                *(
                    f"{getattr(self, name)[k]:.3f} "
                    f"{numbers.interval(float(ends[name].low[k]), float(ends[name].high[k]))}"
                    for name in ("precision", "recall")
                ),
                f"{self.f1[k]:.3f}",
            ]
            for k in at
        ]
        yield Grid(["threshold", "n yes", "precision", "recall", "F1"], rows, align=">>>>>")
        yield Figure(lambda: Html(self.draw()))

    def draw(self, used: float | None = None) -> str:
        """Return the curves over the threshold as SVG.

        Args:
            used: a threshold to mark; None marks that of highest F1.
        """
        x = self.threshold[::-1].tolist()
        ends = self.intervals()
        series = [
            curves.Series(
                name,
                x,
                getattr(self, name)[::-1].tolist(),
                ends[name].low[::-1].tolist(),
                ends[name].high[::-1].tolist(),
            )
            for name in ("precision", "recall")
        ]
        series.append(curves.Series("F1", x, self.f1[::-1].tolist()))
        at = float(self.threshold[self.best]) if used is None else used
        marks = [curves.Mark(at, "best F1" if used is None else "threshold")]
        axes = curves.Axes("threshold", "value", (min(0.0, x[0]), max(1.0, x[-1])))
        title = (
            f"precision, recall and F1 by threshold, n = {self.n:,}, bands {self.confidence:.0%}"
        )
        return curves.lines(series, axes, title, marks if np.isfinite(at) else ())


def operating(
    score: npt.ArrayLike, positive: npt.ArrayLike, *, confidence: float = 0.95
) -> Operating:
    """Return what every threshold on a score finds.

    Args:
        score: float (n,); equal scores share a threshold.
        positive: bool (n,).
        confidence: of the intervals.

    Raises:
        SliceError: there are no samples, or a score is NaN.

    >>> found = operating([0.9, 0.8, 0.2, 0.1], [True, False, True, False])
    >>> found.threshold.tolist(), found.precision.round(2).tolist(), found.recall.tolist()
    ([0.9, 0.8, 0.2, 0.1], [1.0, 0.5, 0.67, 0.5], [0.5, 0.5, 1.0, 1.0])
    """
    is_positive = np.asarray(positive, bool)
    s, _, _ = arrays_of(score, 0.0, 0.0)
    n, ends, ordered, values = in_runs(s)
    hits = np.cumsum(is_positive[ordered])[ends]
    return Operating(values, ends + 1, hits, int(is_positive.sum()), n, confidence)
