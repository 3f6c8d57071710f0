"""Say what each kind of mistake costs a detector: how much AP rises where an oracle mends it.

Source: Bolya, Foley, Hays, Hoffman, "TIDE: A General Toolbox for Identifying Object Detection
Errors", ECCV 2020. A badly placed box, or one of the wrong class, is moved to the object that it is
about, unless another box has that object: then it is taken away, as are all but the surest box of
an object. Extra, double and both badly placed and wrong boxes are taken away, and missed objects
no longer count. Each kind is mended alone, and all boxes count whatever their score, so that the
gains do not add up to what is missing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from slicedb.metrics.coco import Curves, mean_over_classes
from slicedb.metrics.detections import IOU, Detections, Hits
from slicedb.metrics.mistaken import KINDS, MISSED, PLACED, WRONG, Mistaken, mistaken
from slicedb.metrics.outcomes import Floats, Ints


def gains(boxes: Detections, iou: float = IOU) -> Floats:
    """Return float64 (6,): the rise of AP at one overlap where all mistakes of a kind are mended.

    In the order of `KINDS`; NaN where nothing is annotated.
    """
    kinds = mistaken(boxes.predicted, boxes.truth, np.ones(len(boxes.predicted), bool), iou=iou)
    before = _ap(boxes, iou)
    return np.array(
        [_ap(_mended(boxes, kinds, code, iou), iou) - before for code in range(len(KINDS))]
    )


def _ap(boxes: Detections, iou: float) -> float:
    curves = Curves(boxes, (iou,))
    return float(mean_over_classes(curves.precision(np.ones((1, boxes.n))))[0])


def _mended(boxes: Detections, kinds: Mistaken, code: int, iou: float) -> Detections:
    """Return the boxes as they would be without the mistakes of one kind."""
    hits = boxes.hits(iou)
    hit, ignored, positive = hits.hit.copy(), hits.ignored.copy(), hits.positive.copy()
    label = boxes.predicted.label.copy()
    if code == MISSED:
        positive &= kinds.truth != MISSED
    else:
        ignored |= kinds.predicted == code
    if code in (WRONG, PLACED):
        rows = _surest(boxes, kinds, code)
        hit[rows], ignored[rows] = True, False
        label[rows] = boxes.truth.label[kinds.partner[rows]]
    return replace(
        boxes,
        predicted=replace(boxes.predicted, label=label),
        _known={(iou, "all"): Hits(hit, ignored, hits.iou, positive)},
    )


def _surest(boxes: Detections, kinds: Mistaken, code: int) -> Ints:
    """Return the surest wrong box of each object that no box is matched with."""
    rows = np.flatnonzero(kinds.predicted == code)
    rows = rows[~kinds.found[kinds.partner[rows]]]
    score = boxes.predicted.score
    assert score is not None
    rows = rows[np.argsort(-score[rows], kind="stable")]
    return rows[np.unique(kinds.partner[rows], return_index=True)[1]]
