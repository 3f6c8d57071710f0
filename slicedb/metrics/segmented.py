"""Metrics of models that give every pixel a class, from how many pixels are taken for what.

An average over classes leaves out those that no pixel has and none is predicted as, as
torchmetrics' `MulticlassJaccardIndex` does; pixels without a truth (the ignored) count for nothing.
Sums over all pixels of all pictures come before the ratio, and intervals resample whole pictures.

>>> outcomes = PixelCounts.of(("road", "sky"), [0, 0, 0], [0, 0, 1], [0, 1, 1], [6, 2, 8], 1)
>>> metric = _ratio("miou", "iou")
>>> metric.compute(metric.name, outcomes).value.round(3).tolist()
[0.775]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from slicedb.metrics import ratios
from slicedb.metrics.estimate import count, mean
from slicedb.metrics.metric import POSITIVE, Metric, Weighted
from slicedb.metrics.outcomes import Bools, Floats, Ints
from slicedb.metrics.states import MetricState, PerSample, mean_state

if TYPE_CHECKING:
    import pyarrow as pa

TASK = "segmentation"
EMPTY = "no sample has both a label map and a predicted one"
_NEITHER = "no pixel is of the class or predicted as it"
_NO_PIXEL = "no pixel is of the class"
_NEVER = "no pixel is predicted as the class"
_NO_LABELLED = "no pixel has a truth"

Part = Literal["iou", "dice", "recall", "precision", "pixels"]
_MINIMUM = 20
"""Pictures from which on resampled intervals hold."""


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """How many pixels of each class are taken for each, of n pictures."""

    classes: tuple[str, ...]
    """Names; the model's classes first, then those of the truth that it does not know."""
    n: int
    """Number of pictures."""
    row: Ints
    """int64 (k,): the picture of each count."""
    truth: Ints
    """int64 (k,): index into `classes`."""
    prediction: Ints
    """int64 (k,): index into `classes`, -1 where the model says nothing."""
    pixels: Ints
    """int64 (k,)."""
    maps: tuple[pa.Array, pa.Array] | None = field(default=None, repr=False)
    """Truth and prediction as label maps, a row per picture, to draw them."""

    task: ClassVar[str] = TASK
    columns: ClassVar[frozenset[str]] = frozenset({"pixels"})

    @classmethod
    def of(
        cls,
        classes: Sequence[str],
        row: npt.ArrayLike,
        truth: npt.ArrayLike,
        prediction: npt.ArrayLike,
        pixels: npt.ArrayLike,
        n: int,
    ) -> PixelCounts:
        """Build from plain lists; see the fields."""
        rows, meant, said, counts = (
            np.asarray(part, np.int64) for part in (row, truth, prediction, pixels)
        )
        return cls(tuple(classes), n, rows, meant, said, counts)

    def _summed(self, codes: Ints, rows: Bools | None = None) -> Floats:
        """Return float64 (n, c): the pixels of each picture by a class."""
        kept = codes >= 0 if rows is None else rows & (codes >= 0)
        c = len(self.classes)
        cells = self.row[kept] * c + codes[kept]
        sums = np.bincount(cells, self.pixels[kept].astype(float), minlength=self.n * c)
        return np.asarray(sums.reshape(self.n, c), float)

    @cached_property
    def hit(self) -> Floats:
        """float64 (n, c): pixels of a class that are predicted as it."""
        return self._summed(self.truth, self.truth == self.prediction)

    @cached_property
    def actual(self) -> Floats:
        """float64 (n, c): pixels of a class."""
        return self._summed(self.truth)

    @cached_property
    def predicted(self) -> Floats:
        """float64 (n, c): pixels that are predicted as a class."""
        return self._summed(self.prediction)

    @property
    def correct(self) -> Bools:
        """bool (n,): every pixel is right."""
        return np.asarray(self.hit.sum(axis=1) == self.actual.sum(axis=1))

    def wrong(self, code: int | None = None) -> Bools:
        """Return bool (n,): some pixel is wrong, or one of a class or predicted as it."""
        if code is None:
            return ~self.correct
        off = self.actual[:, code] + self.predicted[:, code] - 2 * self.hit[:, code]
        return np.asarray(off > 0)

    def present_in(self, rows: Ints | slice) -> list[int]:
        """Return the codes of the classes that some pixel has."""
        return [int(c) for c in np.flatnonzero(self.actual[rows].any(axis=0))]

    def ious(self) -> Floats:
        """Return float64 (n,): of each picture the mean IoU of its classes; NaN without any."""
        return _of_pictures("iou", self)

    def accuracies(self) -> Floats:
        """Return float64 (n,): of each picture the share of its pixels that is right."""
        return _of_pictures("pixels", self)

    def losses(self) -> Floats:
        """Return float64 (n,): one minus the mean Dice score of a picture's classes, 0 to 1.

        It is of the predicted classes, not of their probabilities, which are not stored for pixels.
        """
        return np.nan_to_num(1 - _of_pictures("dice", self))

    def matrix(self, rows: Ints) -> Ints:
        """Return int64 (c, c): pixels by truth and prediction; of some it may say nothing."""
        c, chosen = len(self.classes), np.zeros(self.n, bool)
        chosen[rows] = True
        kept = chosen[self.row] & (self.prediction >= 0)
        cells = self.truth[kept] * c + self.prediction[kept]
        counts = np.bincount(cells, self.pixels[kept].astype(float), minlength=c * c)
        return counts.reshape(c, c).astype(np.int64)

    def take(self, rows: Ints) -> PixelCounts:
        """Return some pictures, in the order given; one may come several times."""
        import pyarrow as pa

        rows = np.asarray(rows, np.int64)
        order = np.argsort(self.row, kind="stable")
        starts = np.searchsorted(self.row[order], np.arange(self.n + 1))
        sizes = np.diff(starts)[rows]
        at = np.repeat(starts[:-1][rows] - np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes)
        cells = order[at + np.arange(int(sizes.sum()))] if len(rows) else np.empty(0, np.int64)
        maps = self.maps
        if maps is not None:
            chosen = pa.array(rows)
            maps = (maps[0].take(chosen), maps[1].take(chosen))
        return PixelCounts(
            self.classes,
            len(rows),
            np.repeat(np.arange(len(rows)), sizes),
            self.truth[cells],
            self.prediction[cells],
            self.pixels[cells],
            maps,
        )

    def with_classes(self, classes: tuple[str, ...]) -> PixelCounts:
        """Return the same with codes into `classes`, followed by names they lack."""
        if classes == self.classes:
            return self
        union = classes + tuple(c for c in self.classes if c not in classes)
        code = np.array([*(union.index(c) for c in self.classes), -1], np.int64)
        truth, prediction = code[self.truth], code[self.prediction]
        return PixelCounts(union, self.n, self.row, truth, prediction, self.pixels, self.maps)


def _sums(o: PixelCounts) -> Floats:
    """Return float64 (n, 3 c): right pixels, pixels and predictions of each class."""
    return np.concatenate([o.hit, o.actual, o.predicted], axis=1)


def _value(part: Part, of: int | None) -> Callable[[Floats], Floats]:
    """Return the function from sums (b, 3 c) to values (b,)."""

    def value(sums: Floats) -> Floats:
        hit, actual, predicted = np.split(sums, 3, axis=1)  # (b, c)
        if part == "pixels":
            hit, actual = hit.sum(axis=1), actual.sum(axis=1)
            return np.asarray(
                np.divide(hit, actual, out=np.full(len(hit), np.nan), where=actual > 0)
            )
        if of is not None:
            hit, actual, predicted = (x[:, of : of + 1] for x in (hit, actual, predicted))
        below = {
            "iou": actual + predicted - hit,
            "dice": (actual + predicted) / 2,
            "recall": actual,
            "precision": predicted,
        }[part]
        ratio = np.divide(hit, below, out=np.zeros_like(hit), where=below > 0)
        known = below > 0 if of is not None else actual + predicted > 0
        total = known.sum(axis=1)
        return np.asarray((ratio * known).sum(axis=1) / np.where(total > 0, total, np.nan))

    return value


def _of_pictures(part: Part, outcomes: PixelCounts) -> Floats:
    return _value(part, None)(_sums(outcomes))


def _ratio(name: str, part: Part, of: int | None = None, aliases: tuple[str, ...] = ()) -> Metric:
    value = _value(part, of)

    def weighted(outcomes: PixelCounts) -> Weighted:
        rows = _sums(outcomes)
        return lambda weights: value(np.asarray(weights) @ rows)

    undefined = {
        "iou": _NEITHER,
        "dice": _NEITHER,
        "recall": _NO_PIXEL,
        "precision": _NEVER,
        "pixels": _NO_LABELLED,
    }[part]
    return Metric(
        name,
        MetricState(f"pixels {name}", "ranked", ("pixels",), _sums),
        lambda _, outcomes: ratios.drawn(weighted(outcomes), outcomes.n, _BIAS),
        "draws",
        undefined,
        TASK,
        aliases=aliases,
        by_class=part != "pixels",
        bind=None if part == "pixels" else partial(_ratio, name, part),
        weighted=weighted,
        minimum=_MINIMUM,
        bias=_BIAS,
    )


_BIAS = 1.0
"""Ratios of sums over pictures are off by about one over their number."""
_LOSS = PerSample("loss", lambda o: o.losses())
_N = ("pixels",)

ROWS = (
    Metric("count", mean_state(_LOSS, _N), count, "exact", EMPTY, TASK, POSITIVE),
    _ratio("miou", "iou", aliases=("iou", "mean_iou", "jaccard")),
    _ratio("pixel_accuracy", "pixels"),
    _ratio("dice", "dice", aliases=("mean_dice",)),
    _ratio("recall", "recall", aliases=("mean_accuracy",)),
    _ratio("precision", "precision"),
    Metric(
        "dice_loss",
        mean_state(_LOSS, _N),
        mean,
        "mean",
        EMPTY,
        TASK,
        rises=False,
        sample=_LOSS,
    ),
)
