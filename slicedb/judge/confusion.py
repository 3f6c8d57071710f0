"""The confusion matrix of a model over a slice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import sql, stats
from slicedb.errors import CheckError
from slicedb.judge.aligned import Aligned, load, universe
from slicedb.keys import Keys, distinct
from slicedb.metrics import boxes
from slicedb.show.tabular import Grid, Tabular
from slicedb.store import Store

if TYPE_CHECKING:
    import pandas as pd


NOTHING = "(nothing)"
"""The last class of a detector's confusion: boxes where nothing is, and what was missed."""


@dataclass(frozen=True, eq=False)
class Confusion(Tabular):
    """Counts of (label, prediction); rows are the truth."""

    model: str
    classes: tuple[str, ...]
    matrix: npt.NDArray[np.int64]
    """int64 (c, c): [i, j] counts the samples of class i that are predicted as class j."""
    left_out: int
    """Members without a label or without a prediction."""
    unit: str = "samples"
    """What is counted; `boxes` of a detector."""

    @property
    def n(self) -> int:
        """Samples counted."""
        return int(self.matrix.sum())

    def accuracy_per_class(self, confidence: float = 0.95) -> pa.Table:
        """Return label, value, low, high (Wilson), n; NaN for a class without samples."""
        hit, n = np.diagonal(self.matrix), self.matrix.sum(axis=1)
        low, high = stats.wilson(hit, n, confidence)
        value = np.divide(hit, n, out=np.full(len(n), np.nan), where=n > 0)
        return pa.table(
            {"label": list(self.classes), "value": value, "low": low, "high": high, "n": n}
        )

    def pairs(self, most: int | None = None) -> list[tuple[str, str, int]]:
        """Return (label, prediction, n) of the confused pairs, most frequent first."""
        off = self.matrix - np.diag(np.diagonal(self.matrix))
        order = np.argsort(-off, axis=None, kind="stable")
        order = order[: np.count_nonzero(off)][:most]
        rows, columns = np.unravel_index(order, off.shape)
        return [(self.classes[i], self.classes[j], int(off[i, j])) for i, j in zip(rows, columns)]

    def query(self, label: str, prediction: str) -> str:
        """Return the query text of the samples in one cell.

        Raises:
            CheckError: the cells count boxes.
        """
        if self.unit != "samples":
            raise CheckError(
                "The cells count boxes, not samples.",
                f"ask for {self.model}.fp > 0, {self.model}.fn > 0 and the like.",
            )
        return cell_query(self.model, label, prediction)

    def to_arrow(self) -> pa.Table:
        """Return label, prediction, n: a row a cell that is not empty."""
        i, j = np.nonzero(self.matrix)
        names = np.array(self.classes, dtype=object)
        return pa.table(
            {
                "label": pa.array(names[i], pa.string()),
                "prediction": pa.array(names[j], pa.string()),
                "n": self.matrix[i, j],
            }
        )

    def to_pandas(self) -> pd.DataFrame:
        """Return the square matrix as a data frame, labels down and predictions across."""
        import pandas as pd

        return pd.DataFrame(self.matrix, index=list(self.classes), columns=list(self.classes))

    def parts(self) -> Iterator[str | Grid]:
        """Yield the matrix with n and accuracy of each class, and what was left out."""
        accuracy = self.accuracy_per_class().to_pylist()
        rows = [
            [name, *(f"{x:,}" if x else "." for x in counts), f"{row['n']:,}", _share(row["value"])]
            for name, counts, row in zip(self.classes, self.matrix, accuracy)
        ]
        head = ["label \\ predicted", *self.classes, "n", "accuracy"]
        yield Grid(head, rows, align="<" + ">" * (len(head) - 1))
        left = f"{self.left_out:,}{'' if self.unit == 'samples' else ' samples'} left out"
        yield f"{self.n:,} {self.unit}, {left}"


def cell_query(model: str, label: str, prediction: str) -> str:
    """Return the query text of the samples of one class that a model calls another.

    >>> cell_query("v3", "Chef's salad", "Soup")
    "label = 'Chef''s salad' AND v3.prediction = 'Soup'"
    """
    predicted = f"{sql.name(model)}.prediction = {sql.string(prediction)}"
    return f"label = {sql.string(label)} AND {predicted}"


def confusion(store: Store, model: str, keys: Keys) -> Confusion:
    """Count labels against predictions over a slice; of a detector, boxes against boxes.

    Args:
        store: where labels and predictions are.
        model: one with predictions.
        keys: int64 (n,), the slice.

    Raises:
        UnknownModelError: the model has no predictions.
        CheckError: it predicts numbers, or several labels a sample.
    """
    aligned, every = load(store, model), universe(store)
    if aligned.outcomes.task == "detection":
        return _of_boxes(aligned, every.rows(np.asarray(keys, np.int64)), len(distinct(keys)))
    if aligned.outcomes.task != "classification":
        raise CheckError(
            f"{model} does {aligned.outcomes.task}: a sample has no one predicted class.",
            "confusion is for classifiers and detectors.",
        )
    asked = np.asarray(keys, np.int64)
    rows = every.places.find(asked)
    chosen = np.zeros(len(every.keys) + 1, bool)
    chosen[rows] = True  # -1, for unknown samples, is the place behind the last
    n_unknown = len(distinct(asked[rows < 0])) if chosen[-1] else 0
    n_known = int(np.count_nonzero(chosen[:-1]))
    if n_known + n_unknown < len(asked):
        rows = np.flatnonzero(chosen)  # a sample counts once, however often it is named
    c = len(aligned.outcomes.classes)
    counts = np.bincount(aligned.codes.take(rows), minlength=c * c + 1)[:-1]
    left_out = n_known + n_unknown - int(counts.sum())
    return Confusion(model, aligned.outcomes.classes, counts.reshape(c, c), left_out)


def _of_boxes(aligned: Aligned, rows: Keys, asked: int) -> Confusion:
    """Return boxes against boxes, matched whatever their labels, at an IoU of 0.5.

    The last row counts boxes where nothing is, the last column what was missed; boxes below the
    model's confidence and crowds are left aside.
    """
    members = aligned.members([rows])
    seen = aligned.outcomes.take(members.positions[0])
    sure = np.flatnonzero(seen.found.score >= seen.confidence)
    found = boxes.rows_of(seen.found, sure)
    matched = boxes.match(boxes.overlaps(found, seen.truth, same_label=False), found, seen.truth)
    crowd = seen.truth.crowd if seen.truth.crowd is not None else np.zeros(len(seen.truth), bool)
    c = len(seen.classes) + 1
    hit = matched.truth >= 0
    label = np.where(hit, np.append(seen.truth.label, c - 1)[matched.truth], c - 1)
    codes = (label * c + found.label)[~matched.ignored]
    missed = seen.truth.label[(matched.found < 0) & ~crowd] * c + c - 1
    counts = np.bincount(np.concatenate([codes, missed]), minlength=c * c)
    names = (*seen.classes, NOTHING)
    return Confusion(aligned.model, names, counts.reshape(c, c), asked - seen.n, "boxes")


def _share(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
