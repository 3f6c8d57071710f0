"""Count the confusion matrix of a model over a slice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import sql, stats
from slicedb.errors import CheckError
from slicedb.judge.agreement import Agreement, agreements
from slicedb.judge.aligned import load, universe
from slicedb.judge.drawn import MOST_CLASSES, matrix
from slicedb.judge.slicewise import ids_of
from slicedb.judge.truth import OtherTruth
from slicedb.keys import Keys
from slicedb.show import numbers
from slicedb.show.html import Html
from slicedb.show.tabular import Grid, Part, Tabular
from slicedb.store import Store
from slicedb.tasks.detection import NOTHING
from slicedb.tasks.segmentation import PIXELS

if TYPE_CHECKING:
    import pandas as pd


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
    """What is counted; `boxes` of a detector, `pixels` of a segmenter."""
    least: float = 0.5
    """Of a detector: the score from which on a box counts."""
    top: int = 20
    """Classes that are shown at most."""
    label: str = "label"
    """SQL of the true class; "" of boxes."""
    truth: OtherTruth | None = None
    """What the model was judged against, if not the ground truth."""
    agreements: tuple[Agreement, ...] = ()
    """How far that truth agrees with the ground truth, and with the model."""
    ids_in: Callable[[int, int], list[str]] | None = field(default=None, repr=False)
    """The samples in a cell of boxes, against another truth."""

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

        Of a detector these are the samples that hold such a box; `(nothing)` is the class of boxes
        where nothing is annotated (truth), and of what was missed (prediction).
        """
        if self.unit == "samples":
            return cell_query(self.model, label, prediction, self.label)
        if self.unit == PIXELS and self.truth is None:
            return pixels_query(self.model, label, prediction)
        if self.ids_in is not None:
            i, j = self.classes.index(label), self.classes.index(prediction)
            return sql.is_in("id", self.ids_in(i, j))
        return f"id IN ({self.boxes_query(label, prediction, 'id')})"

    def boxes_query(self, label: str, prediction: str, columns: str = "*") -> str:
        """Return the SELECT of the boxes in one cell of a detector's matrix.

        Raises:
            CheckError: the cells count samples.
        """
        if self.unit in ("samples", PIXELS):
            raise CheckError(f"The cells count {self.unit}, not boxes.", "ask for query().")
        if self.truth is not None:
            raise CheckError(
                f"The boxes were matched with {self.truth}, and queries match with the annotated.",
                "query() names the samples of a cell.",
            )
        parts = {"outcome": "tp", "label": label, "prediction": prediction}
        if prediction == NOTHING:
            parts = {"outcome": "fn", "label": label}
        elif label == NOTHING:
            parts = {"outcome": "fp", "prediction": prediction}
        where = " AND ".join(f"{name} = {sql.string(value)}" for name, value in parts.items())
        rule = f"same_label => false, confidence => {self.least:g}"
        return f"SELECT {columns} FROM {sql.name(self.model)}.matches({rule}) WHERE {where}"

    def to_arrow(self) -> pa.Table:
        """Return label, prediction and n, one row per cell that is not empty."""
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

    def parts(self) -> Iterator[Part]:
        """Yield the matrix with n and accuracy of each class, and what was left out.

        Of many classes those with the most mistakes are shown.
        """
        accuracy = self.accuracy_per_class().to_pylist()
        shown = self.shown_classes()
        rows = []
        for i in shown:
            cells = [f"{x:,}" if x else "." for x in self.matrix[i, shown].tolist()]
            row = accuracy[i]
            rows.append([self.classes[i], *cells, f"{row['n']:,}", _share(row["value"])])
        by = "label" if self.truth is None else self.truth.name
        head = [f"{by} \\ predicted", *(self.classes[i] for i in shown), "n", "accuracy"]
        drawn = self._drawn if len(self.classes) <= MOST_CLASSES else None
        yield Grid(head, rows, align="<" + ">" * (len(head) - 1), drawn=drawn)
        left = numbers.count(self.left_out, "" if self.unit == "samples" else "sample")
        left = f"{left} left out"
        yield f"{self.n:,} {self.unit}, {left}"
        if self.truth is not None:
            yield f"judged against {self.truth}, not the ground truth"
        yield from map(str, self.agreements)
        if len(shown) < len(self.classes):
            yield (
                f"{len(shown)} of {numbers.count(len(self.classes), 'class', 'classes')}, those "
                "with the most mistakes; top= (--top) shows more, and -f csv every cell"
            )

    def within(self, width: int) -> Confusion:
        """Return the same with as many classes as a terminal of that many characters shows."""
        fits = (replace(self, top=top) for top in range(min(self.top, len(self.classes)), 1, -1))
        drawn = ((one, str(next(one.parts())).partition("\n")[0]) for one in fits)
        return next((one for one, line in drawn if len(line) <= width), replace(self, top=2))

    def shown_classes(self) -> list[int]:
        """Return the classes that are shown, in their order."""
        if len(self.classes) <= self.top:
            return list(range(len(self.classes)))
        right = np.diagonal(self.matrix)
        mistakes = self.matrix.sum(axis=0) + self.matrix.sum(axis=1) - 2 * right
        return sorted(np.argsort(-mistakes, kind="stable")[: self.top].tolist())

    def _drawn(self) -> Html:
        cells = zip(*(at.tolist() for at in np.nonzero(self.matrix)))
        queries = {(i, j): self.query(self.classes[i], self.classes[j]) for i, j in cells}
        return matrix(self.classes, self.matrix, queries)


def cell_query(model: str, label: str, prediction: str, truth: str = "label") -> str:
    """Return the query text of the samples of one class that a model calls another.

    Args:
        model: the model.
        label: the true class.
        prediction: the predicted class.
        truth: SQL of the true class of a sample.

    >>> cell_query("v3", "Chef's salad", "Soup")
    "label = 'Chef''s salad' AND v3.prediction = 'Soup'"
    """
    predicted = f"{sql.name(model)}.prediction = {sql.string(prediction)}"
    return f"{truth} = {sql.string(label)} AND {predicted}"


def pixels_query(model: str, label: str, prediction: str) -> str:
    """Return the query of the samples with pixels of one class that are predicted as another."""
    where = f"c.truth = {sql.string(label)} AND c.prediction = {sql.string(prediction)}"
    cells = f"SELECT id, unnest(cells) AS c FROM {sql.name(model)}"
    return f"id IN (SELECT id FROM ({cells}) WHERE {where})"


def confusion(
    store: Store, model: str, keys: Keys, *, truth: OtherTruth | None = None, scope: str = ""
) -> Confusion:
    """Count labels against predictions over a slice; of a detector, boxes against boxes.

    Args:
        store: where labels and predictions are.
        model: one with predictions.
        keys: int64 (n,), the slice.
        truth: what stands in place of the ground truth.
        scope: a predicate of the slice, "" for every sample.

    Raises:
        UnknownModelError: the model has no predictions.
        CheckError: it predicts numbers, or several labels per sample.
    """
    aligned, asked = load(store, model, truth, light=True), np.asarray(keys, np.int64)
    rows, n = universe(store).named(asked)
    rows = aligned.members([rows]).positions[0]
    counts = aligned.task.confusion(aligned.outcomes, rows)
    if counts is None:
        raise CheckError(
            f"{model} does {aligned.task.name}: a sample has no one predicted class.",
            "confusion is for classifiers, detectors and segmenters.",
        )
    left_out, least = n - len(rows), aligned.about.confidence
    agreed = agreements(store, [model], truth, [asked], scopes=[scope])

    def ids_in(label: int, prediction: int) -> list[str]:
        cells = label * len(counts.classes) + prediction
        assert counts.image is not None and counts.codes is not None
        images = np.unique(counts.image[counts.codes == cells])
        return ids_of(store, aligned.keys[rows[images]])

    return Confusion(
        model,
        counts.classes,
        counts.matrix,
        left_out,
        counts.unit,
        least,
        label=aligned.label if aligned.task.one_class else "",
        truth=truth,
        agreements=agreed,
        ids_in=ids_in if truth is not None and counts.image is not None else None,
    )


def _share(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
