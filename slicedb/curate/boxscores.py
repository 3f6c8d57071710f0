"""Doubt annotated boxes by a detector: overlooked, badly placed or swapped, scored per box.

The kinds are those of ObjectLab (Tkachenko, Thyagarajan and Mueller, 2023). ObjectLab looks at
predicted boxes above a fixed score only, and takes a box for overlooked only if it touches no
annotated one. Here every box counts by its score, and a box that some other prediction fits better
may be touched, since objects that are crowded are those that are overlooked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slicedb.metrics.boxes import Boxes, overlaps
from slicedb.metrics.outcomes import Floats, Ints

_SAME = 0.5
"""Overlap from which on two boxes are about one object."""
_ABOUT = 0.15
"""The same, where the predicted box is of that label and none fits better: the annotated box is
badly placed then, and nothing is overlooked."""


@dataclass(frozen=True, eq=False)
class BoxScores:
    """How sound annotations are, in [0, 1]; the lowest is the likeliest error."""

    overlooked: Floats
    """float64 (predicted,): of a predicted box, that it is annotated."""
    badly_placed: Floats
    """float64 (truth,): of an annotated box, that its place is right."""
    swapped: Floats
    """float64 (truth,): of an annotated box, that its label is right."""
    partner: Ints
    """int64 (truth,): the predicted box of that label which fits it best, -1 where none does."""
    rival: Ints
    """int64 (truth,): the predicted box of another label that speaks loudest, -1 without one."""


def box_scores(predicted: Boxes, truth: Boxes) -> BoxScores:
    """Score every box.

    overlooked: 1 - score x (1 - cover), where cover is how far the best annotated box covers it;
    badly placed: 1 - score x (1 - IoU) with the predicted box of that label that fits best, if no
    other annotated box of the label fits that one better; swapped: (own - other + 1) / 2, where
    own and other are the largest score x IoU of a box of that label and of another.

    Args:
        predicted: by ascending image, with scores.
        truth: by ascending image.
    """
    assert predicted.score is not None
    score = np.nan_to_num(predicted.score, nan=1.0)
    pairs = overlaps(predicted, truth, same_label=False)
    f, t, iou = pairs.predicted, pairs.truth, pairs.iou
    is_same = predicted.label[f] == truth.label[t]
    n_f, n_t = len(predicted), len(truth)

    best = _best(t, iou, n_t)  # the pair of the predicted box that fits each annotated one best
    is_best = best[t] == np.arange(len(t))
    is_about = (iou >= _SAME) | (is_best & is_same & (iou >= _ABOUT))
    cover = np.where(is_about, 1.0, np.where(is_best, 2 * iou, 0.0))
    covered = np.zeros(n_f)
    np.maximum.at(covered, f, cover)

    own = np.flatnonzero(is_same)
    fits = _best(t[own], iou[own], n_t)
    mine = _best(f[own], iou[own], n_f)
    placed, partner = np.ones(n_t), np.full(n_t, -1)
    at = np.flatnonzero(fits >= 0)
    chosen = own[fits[at]]
    partner[at] = f[chosen]
    is_mutual = own[mine[f[chosen]]] == chosen
    placed[at] = np.where(is_mutual, 1 - score[f[chosen]] * (1 - iou[chosen]), 1.0)

    voice = score[f] * iou
    said_own, said_other = np.zeros(n_t), np.zeros(n_t)
    np.maximum.at(said_own, t[own], voice[own])
    others = np.flatnonzero(~is_same)
    np.maximum.at(said_other, t[others], voice[others])
    loudest = _best(t[others], voice[others], n_t)
    rival = np.where(loudest >= 0, np.append(f[others], -1)[loudest], -1)
    return BoxScores(
        1 - score * (1 - covered), placed, (said_own - said_other + 1) / 2, partner, rival
    )


def _best(group: Ints, value: Floats, n: int) -> Ints:
    """Return int64 (n,): the row of the largest value of each group, -1 of an empty one."""
    order = np.lexsort((-np.arange(len(value)), value, group))
    best = np.full(n, -1)
    best[group[order]] = order  # the last one written counts: the largest, the first among equals
    return best
