"""Find which of a model's errors lie in which slice, and which in none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import ModelError
from slicedb.keys import Keys
from slicedb.predictions.tables import judged as judgeable
from slicedb.schema import PREDICTIONS, SAMPLES
from slicedb.show import numbers
from slicedb.show.heat import Tile, heat
from slicedb.show.html import Html
from slicedb.show.tabular import Grid, Part, Tabular
from slicedb.slices.overlap import membership
from slicedb.sql import name, string

if TYPE_CHECKING:
    from slicedb.store import Store


@dataclass(frozen=True, eq=False)
class SliceCoverage(Tabular):
    """The errors of a model, by slice."""

    model: str
    judged: int
    """Samples with a label and a prediction."""
    errors: int
    """Those of them that are wrong."""
    uncovered: int
    """Errors that lie in no slice."""
    table: pa.Table
    """slice, n (judged members), errors, error_rate, share (of all errors), only (errors that lie
    in no other slice), lift (its error rate over that of all); by falling errors."""
    query: str
    """Finds the errors that lie in no slice."""

    @property
    def share(self) -> float:
        """Share of the errors that lie in some slice; NaN without errors."""
        return 1 - self.uncovered / self.errors if self.errors else float("nan")

    def to_arrow(self) -> pa.Table:
        """Return the rows of the slices."""
        return self.table

    def parts(self) -> Iterable[Part]:
        """Yield how many errors lie in no slice, and one row per slice."""
        if not self.errors:
            yield f"{self.model} has no errors on {numbers.count(self.judged, 'sample')}"
            return
        yield (
            f"{self.model}: {numbers.count(self.errors, 'error')} on "
            f"{numbers.count(self.judged, 'sample')}, "
            f"{self.uncovered:,} ({self.uncovered / self.errors:.1%}) in no slice"
        )
        rows = [
            [
                r["slice"],
                f"{r['n']:,}",
                f"{r['errors']:,}",
                f"{r['error_rate']:.3f}",
                f"{r['share']:.1%}",
                f"{r['only']:,}",
                f"{r['lift']:.2f}",
            ]
            for r in self.table.to_pylist()
        ]
        head = ["slice", "n", "errors", "error rate", "of all errors", "in it alone", "lift"]
        yield Grid(head, rows, drawn=lambda: self._drawn(head, rows))
        yield f"those in no slice: {self.query}"

    def _drawn(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
        """Shade the shares of the errors; the stronger, the more of them lie in the slice."""
        shares = self.table["share"].to_pylist()
        lines = [
            (row[0], [Tile(c, s) if k == 3 else c for k, c in enumerate(row[1:])])
            for row, s in zip(rows, shares)
        ]
        return heat(head[0], head[1:], lines)


def coverage(store: Store, model: str, members: Mapping[str, Keys]) -> SliceCoverage:
    """Return how many of a model's errors lie in which slice.

    Args:
        model: a classifier with predictions.

    Raises:
        UnknownModelError: the model has no predictions.
        CheckError: it gave scores and no predictions.
        ModelError: its predictions are not right or wrong as a whole (a detector's).
    """
    judged, wrong = _errors(store, model)
    belongs = membership(store, members)
    sums = belongs.sum(np.stack([judged, wrong], axis=1).astype(np.float64))  # (s, n)@(n, 2)
    times = np.zeros(belongs.n, np.int32)
    for rows in belongs.positions:
        times[rows] += 1
    alone = wrong & (times == 1)
    only = belongs.sum(alone.astype(np.float64)[:, None])[:, 0]
    n, errors = sums[:, 0], sums[:, 1]
    total, rate = int(wrong.sum()), wrong.sum() / max(judged.sum(), 1)
    order = np.argsort(-errors, kind="stable")
    with np.errstate(invalid="ignore", divide="ignore"):
        table = pa.table(
            {
                "slice": pa.array(list(members), pa.string()),
                "n": n.astype(np.int64),
                "errors": errors.astype(np.int64),
                "error_rate": errors / n,
                "share": errors / total,
                "only": only.astype(np.int64),
                "lift": errors / n / rate,
            }
        ).take(pa.array(order))
    names = "".join(f" AND NOT in_slice({string(name)})" for name in members)
    uncovered = int((wrong & (times == 0)).sum())
    return SliceCoverage(
        model, int(judged.sum()), total, uncovered, table, f"NOT {name(model)}.correct{names}"
    )


def _errors(store: Store, model: str) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return bool (n,) over the samples in stored order: judged, and wrong."""
    predictions = PREDICTIONS + model
    judgeable(store, model)
    if "correct" not in store.schema(predictions).names:
        raise ModelError(
            f"The predictions of '{model}' are not right or wrong as a whole.",
            "coverage is for classifiers.",
        )
    table = store.table(predictions, ["key", "correct"])
    at = store.positions(SAMPLES, table["key"].to_numpy())
    known = np.asarray(pc.is_valid(table["correct"])) & (at >= 0)
    right = np.asarray(pc.fill_null(table["correct"], True))
    judged, wrong = np.zeros((2, store.count(SAMPLES)), bool)
    judged[at[known]] = True
    wrong[at[known & ~right]] = True
    return judged, wrong
