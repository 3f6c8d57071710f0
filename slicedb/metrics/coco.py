"""Average precision as COCO defines it, for many weightings of the images at once.

A weighting says how often each image counts: ones give the value itself, 0 and 1 a slice, the
counts of a resample one replicate of the bootstrap. Boxes are matched and sorted once; a weighting
costs a few passes over them (Lin et al. 2014; `pycocotools.COCOeval.accumulate`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slicedb.metrics.detections import Detections
from slicedb.metrics.outcomes import Floats, Ints

IOUS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""The overlaps that mAP averages over."""

RECALLS = np.linspace(0.0, 1.0, 101)
"""The recalls that precision is read at."""

_Counts = npt.NDArray[np.number]
_Value = Callable[[_Counts, _Counts, Ints, Ints], Floats]

_EPSILON = np.spacing(1)
_CELLS = 1 << 18
"""Boxes x weightings at once: what stays in the caches."""


@dataclass(frozen=True, eq=False)
class _Class:
    """The boxes of one class, by falling score."""

    image: Ints
    """int64 (d,)."""
    hits: tuple[Ints, ...]
    """An overlap each: which of them have a ground truth."""
    counts: tuple[npt.NDArray[np.int32] | None, ...]
    """An overlap each: int32 (d, 1), 0 for boxes that count for nothing; None when all count."""


class Curves:
    """Precision over recall, a class and an overlap each.

    Args:
        boxes: those of n images.
        ious: overlaps.
        area: a key of `slicedb.metrics.detections.AREAS`.
        of: code of one class; None is all of them.
    """

    def __init__(
        self,
        boxes: Detections,
        ious: Sequence[float] = IOUS,
        area: str = "all",
        of: int | None = None,
    ) -> None:
        self._ious = ious
        codes = range(len(boxes.classes)) if of is None else [of]
        self._positives = boxes.positives(area)[:, list(codes)]
        score = boxes.predicted.score
        assert score is not None
        image = boxes.predicted.image
        order = np.lexsort((image if boxes.rank is None else boxes.rank[image], -score))
        label = boxes.predicted.label[order]
        self._classes = []
        for code in codes:
            rows = order[label == code]
            at = [boxes.hits(iou, area) for iou in ious]
            self._classes.append(
                _Class(
                    boxes.predicted.image[rows],
                    tuple(np.flatnonzero(h.hit[rows]) for h in at),
                    tuple(_counted(h.ignored[rows]) for h in at),
                )
            )

    def precision(self, weights: Floats) -> Floats:
        """Return average precision, float64 (b, ious, classes).

        NaN where a class has no ground truth that counts.

        Args:
            weights: (b, n), whole numbers.
        """
        return self._each(weights, _average_precision)

    def recall(self, weights: Floats) -> Floats:
        """Return the share of ground truth that is detected at all, float64 (b, ious, classes)."""
        return self._each(weights, _recall)

    def _each(self, weights: Floats, value: _Value) -> Floats:
        whole = np.asarray(weights).astype(np.int32)
        b, classes = len(whole), self._classes
        values = np.full((b, len(self._ious), len(classes)), np.nan)
        for j, one in enumerate(classes):
            step = max(8, _CELLS // max(len(one.image), 1))
            for start in range(0, b, step):
                part = np.ascontiguousarray(whole[start : start + step].T)  # (n, step)
                truths = self._positives[:, j].astype(np.int32) @ part
                if truths.any():
                    values[start : start + step, :, j] = _class_values(one, part, truths, value)
        return values


def _counted(ignored: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32] | None:
    return (~ignored).astype(np.int32)[:, None] if ignored.any() else None


def _class_values(one: _Class, part: npt.NDArray[np.int32], truths: Ints, value: _Value) -> Floats:
    """Return (b, ious) of one class; `truths` (b,) counts its ground truth."""
    weights = part[one.image]  # (d, b)
    total = np.cumsum(weights, axis=0, dtype=np.int32)
    most = int(truths.max())
    known = np.maximum(truths, 1)
    steps = np.searchsorted(RECALLS, np.arange(most + 1)[:, None] / known, side="right")
    out = np.empty((part.shape[1], len(one.hits)))
    for t, (hits, counted) in enumerate(zip(one.hits, one.counts)):
        so_far = total
        if counted is not None:
            so_far = np.cumsum(weights * counted, axis=0, dtype=np.int32)
        right = np.cumsum(weights[hits], axis=0, dtype=np.int32)  # (h, b)
        out[:, t] = value(right, so_far[hits], steps, known)
    out[truths == 0] = np.nan
    return out


def _average_precision(right: _Counts, so_far: _Counts, steps: Ints, truths: Ints) -> Floats:
    """Return the mean over `RECALLS` of the best precision at that recall or a higher one.

    Precision is best at hits, so only they are looked at. Each counts as often as recalls of
    `RECALLS` are reached first there.

    Args:
        right: int (h, b), hits so far.
        so_far: int (h, b), boxes so far.
        steps: int (most + 1, b), how many recalls so many hits reach.
        truths: int (b,), ground truth.
    """
    if not len(right):
        return np.zeros(right.shape[1])
    best = right / (so_far + _EPSILON)
    best = np.maximum.accumulate(best[::-1], axis=0)[::-1]
    b = right.shape[1]
    reached = steps.ravel()[right * np.intp(b) + np.arange(b)]
    first = np.diff(reached, axis=0, prepend=0)
    return np.asarray(np.einsum("hb,hb->b", best, first) / len(RECALLS))


def _recall(right: _Counts, so_far: _Counts, steps: Ints, truths: Ints) -> Floats:
    if not len(right):
        return np.zeros(right.shape[1])
    return np.asarray(right[-1] / truths)


def mean_over_classes(values: Floats) -> Floats:
    """Return float64 (b,): the mean over overlaps and the classes that have ground truth."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of nothing but NaN
        return np.asarray(np.nanmean(values, axis=(1, 2)))
