"""Detections beside the ground truth of annotated images, matched once.

>>> from slicedb.schema import OBJECT
>>> one = {"label": "cat", "bbox": [0, 0, 10, 10.0], "score": 0.9, "attributes": None}
>>> two = {**one, "bbox": [40, 40, 5, 5.0], "score": 0.6}
>>> column = lambda *rows: pa.array(rows, pa.list_(OBJECT))
>>> outcomes = Detections.of(column([one, two], []), column([one], [one]))
>>> [x.tolist() for x in outcomes.counts()]
[[1, 0], [1, 0], [0, 1]]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from slicedb.metrics.boxes import Boxes, Flat, Pairs, match, overlaps, rows_of
from slicedb.metrics.outcomes import Bools, Floats, Ints

IOU = 0.5
"""Overlap from which on a box counts as detected, where nobody says otherwise."""

CONFIDENCE = 0.5
"""Score from which on a box counts, where the model does not say otherwise."""

MOST = 100
"""Boxes of one class an image that count, the most confident ones, as in COCO."""

NAMELESS = "(no label)"
"""What boxes without a label are called."""

LEAST = 0.1
"""The smallest overlap that a metric may ask for."""

AREAS: dict[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""COCO's ranges of area, square pixels, both ends included: of the outline where an annotation
tells it, else of the box."""


class Hits(NamedTuple):
    """The outcome of one matching."""

    hit: Bools
    """bool (predicted,): the box has a ground truth that counts."""
    ignored: Bools
    """bool (predicted,): the box counts for nothing."""
    iou: Floats
    """float64 (predicted,): overlap with its ground truth, NaN without one."""
    positive: Bools
    """bool (truth,): the ground truth counts, matched or missed."""


class Counts(NamedTuple):
    """Boxes an image, int64 (n,) each."""

    tp: Ints
    fp: Ints
    fn: Ints


@dataclass(frozen=True, eq=False)
class Detections:
    """Images that have both annotations and detections, one row each."""

    classes: tuple[str, ...]
    """Names; the model's classes first, then labels it does not know."""
    n: int
    """Number of images."""
    predicted: Boxes
    """Predicted boxes by ascending image, labels as indices into `classes`."""
    truth: Boxes
    """Ground truth by ascending image."""
    confidence: float = CONFIDENCE
    """Score from which on a box counts in `counts`, unless told otherwise."""
    rank: Ints | None = None
    """int64 (n,): the order of images among boxes of equal score; None is that of the rows."""
    _root: Detections | None = None
    _predicted_rows: Ints | None = None
    _truth_rows: Ints | None = None
    _known: dict[tuple[float, str], Hits] = field(default_factory=dict)

    task: ClassVar[str] = "detection"
    columns: ClassVar[frozenset[str]] = frozenset({"boxes"})

    @classmethod
    def of(
        cls,
        predicted: pa.Array | pa.ChunkedArray,
        truth: pa.Array | pa.ChunkedArray,
        classes: Sequence[str] = (),
        confidence: float = CONFIDENCE,
        rank: Ints | None = None,
    ) -> Detections:
        """Build from two columns of objects, a list an image.

        Args:
            predicted: what the model predicted; a box without a score counts as sure.
            truth: the annotated objects.
            classes: names; labels that are not among them follow, sorted.
            confidence: score from which on a box counts.
            rank: int64 (n,), the order of images among boxes of equal score.
        """
        sides = [Flat.of(predicted), Flat.of(truth)]
        labels = {name for side in sides for name in side.label.unique().to_pylist()}
        names = [*classes, *sorted(n for n in labels if n is not None and n not in set(classes))]
        codes: dict[str | None, int] = {name: i for i, name in enumerate(names)}
        boxes, true_boxes = Boxes.of(predicted, codes), Boxes.of(truth, codes)
        assert boxes.score is not None
        nameless = codes.pop(None)
        if (boxes.label == nameless).any() or (true_boxes.label == nameless).any():
            codes[NAMELESS] = nameless
        score = np.where(np.isnan(boxes.score), 1.0, boxes.score)
        boxes = replace(boxes, score=score, crowd=None, area=None)
        most = np.flatnonzero(_places(boxes) < MOST)
        known = tuple(map(str, codes))
        return cls(known, len(predicted), rows_of(boxes, most), true_boxes, confidence, rank)

    def take(self, rows: Ints) -> Detections:
        """Return some images, in the order given; nothing is matched again."""
        predicted, image = _gather(self.predicted.image, self.n, rows)
        truth, true_image = _gather(self.truth.image, self.n, rows)
        return Detections(
            self.classes,
            len(rows),
            replace(rows_of(self.predicted, predicted), image=image),
            replace(rows_of(self.truth, truth), image=true_image),
            self.confidence,
            None if self.rank is None else self.rank[rows],
            self._root or self,
            predicted if self._predicted_rows is None else self._predicted_rows[predicted],
            truth if self._truth_rows is None else self._truth_rows[truth],
        )

    def with_classes(self, classes: tuple[str, ...]) -> Detections:
        """Return the same with codes into `classes`, followed by names it does not have."""
        if classes == self.classes:
            return self
        union = classes + tuple(c for c in self.classes if c not in classes)
        code = np.array([union.index(c) for c in self.classes], np.int64)
        recoded = [replace(b, label=code[b.label]) for b in (self.predicted, self.truth)]
        return replace(self, classes=union, predicted=recoded[0], truth=recoded[1])

    def hits(self, iou: float = IOU, area: str = "all") -> Hits:
        """Return who is matched at an overlap; each matching is made once.

        Args:
            iou: smallest overlap of a match, at least `LEAST`.
            area: a key of `AREAS`: boxes outside of it count for nothing.
        """
        key = (iou, area)
        if key not in self._known:
            if self._root is None:
                self._known[key] = self._matched(iou, area)
            else:
                whole = self._root.hits(iou, area)
                f, t = self._predicted_rows, self._truth_rows
                self._known[key] = Hits(
                    whole.hit[f], whole.ignored[f], whole.iou[f], whole.positive[t]
                )
        return self._known[key]

    @cached_property
    def _pairs(self) -> Pairs:
        return overlaps(self.predicted, self.truth, least=LEAST)

    def _matched(self, iou: float, area: str) -> Hits:
        crowd = np.zeros(len(self.truth), bool) if self.truth.crowd is None else self.truth.crowd
        outside = _outside(self.truth, area)
        matches = match(self._pairs, self.predicted, self.truth, iou=iou, ignored=outside)
        has = matches.truth >= 0
        ignored = np.where(has, matches.ignored, _outside(self.predicted, area))
        return Hits(has & ~ignored, ignored, matches.iou, ~(crowd | outside))

    def counts(
        self, iou: float = IOU, confidence: float | None = None, of: int | None = None
    ) -> Counts:
        """Return the true positives, false positives and missed boxes of each image.

        Args:
            iou: smallest overlap of a match.
            confidence: score from which on a box counts; None is the model's own.
            of: code of one class; None counts all of them.
        """
        at = self.hits(iou)
        counted = self._sure(confidence) & ~at.ignored
        positive = at.positive
        if of is not None:
            counted, positive = (
                counted & (self.predicted.label == of),
                positive & (self.truth.label == of),
            )
        tp = np.bincount(self.predicted.image[counted & at.hit], minlength=self.n)
        fp = np.bincount(self.predicted.image[counted & ~at.hit], minlength=self.n)
        return Counts(tp, fp, np.bincount(self.truth.image[positive], minlength=self.n) - tp)

    def overlap(
        self, iou: float = IOU, confidence: float | None = None, of: int | None = None
    ) -> tuple[Floats, Ints]:
        """Return the summed overlap of the matched boxes of each image, and how many there are."""
        at = self.hits(iou)
        hit = self._sure(confidence) & at.hit
        if of is not None:
            hit &= self.predicted.label == of
        image = self.predicted.image[hit]
        total = np.bincount(image, at.iou[hit], minlength=self.n).astype(float)
        return total, np.bincount(image, minlength=self.n)

    def mean_overlaps(self) -> Floats:
        """Return float64 (n,): the mean IoU over the annotated boxes, 0 for one that was missed.

        Where nothing is annotated it is 0 if some box is predicted, and NaN if none is.
        """
        total, _ = self.overlap()
        counts = self.counts()
        annotated = counts.tp + counts.fn
        value = total / np.maximum(annotated, 1)
        return np.where((annotated == 0) & (counts.fp == 0), np.nan, value)

    def speaks_of(self, code: int) -> Bools:
        """Return bool (n,): some box that counts, annotated or predicted, is of a class."""
        counts = self.counts(of=code)
        return np.asarray(counts.tp + counts.fp + counts.fn > 0)

    def present_in(self, rows: Ints | slice) -> list[int]:
        """Return the codes of the classes that some image among rows is annotated with."""
        asked = np.zeros(self.n, bool)
        asked[rows] = True
        return [int(c) for c in np.unique(self.truth.label[asked[self.truth.image]])]

    def losses(self) -> Floats:
        """Return float64 (n,): how wrong each image's boxes are, 0 when all is right and sure.

        (sum over the ground truth of 1 - score x IoU of the box that matches it, 1 where it was
        missed, plus the scores of the boxes that match nothing) / max(1, boxes of ground truth),
        matched at an IoU of 0.5. It is the localisation-recall-precision error (Oksuz et al.,
        ECCV 2018) weighed by confidence, so that it needs no cut and no training targets.
        """
        at = self.hits()
        score = self.predicted.score
        assert score is not None
        hit, false = at.hit, ~at.hit & ~at.ignored
        image = self.predicted.image
        right = np.bincount(image[hit], score[hit] * at.iou[hit], minlength=self.n)
        wrong = np.bincount(image[false], score[false], minlength=self.n)
        n_true = np.bincount(self.truth.image[at.positive], minlength=self.n)
        return np.asarray((n_true - right + wrong) / np.maximum(n_true, 1))

    @property
    def correct(self) -> Bools:
        """bool (n,): every box is detected, and none is there that should not be."""
        counts = self.counts()
        return np.asarray((counts.fp == 0) & (counts.fn == 0))

    def wrong(self, code: int | None = None) -> Bools:
        """Return bool (n,): some box is missed or should not be there, of one class or of any."""
        counts = self.counts(of=code)
        return np.asarray((counts.fp > 0) | (counts.fn > 0))

    def positives(self, area: str = "all") -> Ints:
        """Return int64 (n, classes): boxes of ground truth that count."""
        positive = self.hits(area=area).positive
        c = len(self.classes)
        codes = self.truth.image[positive] * c + self.truth.label[positive]
        return np.bincount(codes, minlength=self.n * c).reshape(self.n, c)

    def _sure(self, confidence: float | None) -> Bools:
        assert self.predicted.score is not None
        return self.predicted.score >= (self.confidence if confidence is None else confidence)


def _outside(boxes: Boxes, area: str) -> Bools:
    low, high = AREAS[area]
    size = boxes.areas()
    return np.asarray((size < low) | (size > high))


def _places(boxes: Boxes) -> Ints:
    """Return int64 (n,): the place of each box among those of its image and label, by score."""
    assert boxes.score is not None
    order = np.lexsort((-boxes.score, boxes.label, boxes.image))
    image, label = boxes.image[order], boxes.label[order]
    new = np.append(True, (image[1:] != image[:-1]) | (label[1:] != label[:-1]))[: len(order)]
    start = np.flatnonzero(new)
    place = np.empty(len(order), np.int64)
    counts = np.diff(np.append(start, len(order)))
    place[order] = np.arange(len(order)) - np.repeat(start, counts)
    return place


def _gather(image: Ints, n: int, rows: Ints) -> tuple[Ints, Ints]:
    """Return the rows of boxes of some images, and the new numbers of their images."""
    edges = np.searchsorted(image, np.arange(n + 1))
    start, count = edges[rows], edges[np.asarray(rows) + 1] - edges[rows]
    ends = np.cumsum(count)
    total = int(ends[-1]) if len(ends) else 0
    at = np.arange(total) + np.repeat(start - (ends - count), count)
    return at, np.repeat(np.arange(len(rows)), count)
