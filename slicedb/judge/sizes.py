"""Count what a value rests on: samples, those of a class, and the boxes in them."""

from __future__ import annotations

import numpy as np

from slicedb.judge.aligned import Aligned
from slicedb.keys import Keys
from slicedb.metrics import Estimate, Membership, Metric


def samples_of(
    aligned: Aligned, members: Membership, metric: Metric, estimate: Estimate, code: int | None
) -> Keys:
    """Return int64 (s,): the samples that a metric of each slice rests on.

    Of one class these are its labels (recall), its predictions (precision) or both (F1), and of a
    detector the images in which a box of the class is annotated or predicted.

    Args:
        aligned: what the model predicted.
        members: the slices.
        metric: bound to the class, if there is one.
        estimate: its values.
        code: the class, or None for all of them.
    """
    if code is None:
        return members.sizes
    if aligned.task.annotated(aligned.outcomes, code) is not None:
        speaks = aligned.outcomes.speaks_of(code)
        return members.sum(speaks[:, None].astype(float))[:, 0].astype(np.int64)
    if metric.interval in ("share", "rank"):
        return np.asarray(estimate.size.astype(np.int64))
    return members.sizes


def boxes_of(aligned: Aligned, members: Membership, code: int | None) -> Keys | None:
    """Return int64 (s,): the annotated boxes of each slice; None where samples have none."""
    boxes = aligned.task.annotated(aligned.outcomes, code)
    if boxes is None:
        return None
    return members.sum(boxes[:, None].astype(float))[:, 0].astype(np.int64)
