"""Sort the mistakes of a detector into the six kinds of TIDE.

Source: Bolya, Foley, Hays, Hoffman, "TIDE: A General Toolbox for Identifying Object Detection
Errors", ECCV 2020. A predicted box that is matched with nothing is, in this order, badly placed
(right label, an overlap too small), of the wrong class (large enough, another label), double (the
object has a better box), extra (nothing is there), or both badly placed and of the wrong class. An
annotated box is missed if none is matched with it, and none is its badly placed or wrong one.

>>> sides = np.array([[0, 0, 10, 10.0]])
>>> truth = Boxes(np.array([0]), sides, np.array([0]))
>>> predicted = Boxes(np.array([0]), sides, np.array([1]), np.array([0.9]))
>>> kinds = mistaken(predicted, truth, np.array([True]))
>>> [KINDS[k] for k in kinds.predicted], kinds.truth.tolist()
(['wrong class'], [-1])
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slicedb.metrics.boxes import Boxes, Pairs, match, overlaps
from slicedb.metrics.outcomes import Bools, Floats, Ints
from slicedb.schema import MISTAKES

KINDS = MISTAKES
"""Kinds of mistakes."""

MISSED, EXTRA, WRONG, PLACED, BOTH, DOUBLE = range(len(KINDS))

ABOUT = {
    "missed": "an annotated object that no box is about",
    "extra": "a box where nothing is annotated",
    "wrong class": "a box at the right place, with another label",
    "badly placed": "a box with the right label, whose overlap is too small",
    "both": "a box with another label, whose overlap is too small",
    "double": "a second box of an object that has a better one",
}
"""What each kind is."""

BACKGROUND = 0.1
"""Overlap up to which a box is about nothing (the background threshold of the paper)."""


@dataclass(frozen=True, eq=False)
class Mistaken:
    """The kind of mistake of each box of both sides."""

    predicted: npt.NDArray[np.int8]
    """int8 (n,): index into `KINDS`; -1: right, ignored, or below the confidence."""
    truth: npt.NDArray[np.int8]
    """int8 (m,): `MISSED`, or -1."""
    partner: Ints
    """int64 (n,): the row of the annotated box that a wrong box is about; -1: none."""
    found: Bools
    """bool (m,): an annotated box is matched."""


def mistaken(
    predicted: Boxes,
    truth: Boxes,
    sure: Bools,
    *,
    iou: float = 0.5,
    background: float = BACKGROUND,
) -> Mistaken:
    """Return the kinds of mistakes at one overlap and one confidence.

    Args:
        predicted: predicted boxes.
        truth: ground truth; crowds are neither missed nor mistaken for.
        sure: bool (n,), the predicted boxes that count.
        iou: smallest overlap of a match.
        background: overlap up to which a box is about nothing.
    """
    pairs = overlaps(predicted, truth, least=min(iou, background))
    matched = match(_of(pairs, sure), predicted, truth, iou=iou)
    every = overlaps(predicted, truth, same_label=False, least=background)
    crowd = np.zeros(len(truth), bool) if truth.crowd is None else truth.crowd
    near = sure[every.predicted] & ~crowd[every.truth]
    f, t, share = every.predicted[near], every.truth[near], every.iou[near]
    same = predicted.label[f] == truth.label[t]
    right, right_at = _best(f[same], t[same], share[same], len(predicted))
    other, other_at = _best(f[~same], t[~same], share[~same], len(predicted))
    conditions = (
        ((right >= background) & (right < iou), PLACED, right_at),
        (other >= iou, WRONG, other_at),
        (right >= iou, DOUBLE, right_at),
        (np.maximum(right, other) <= background, EXTRA, np.full(len(predicted), -1)),
    )
    kind = np.full(len(predicted), BOTH, np.int8)
    partner = other_at.copy()
    for holds, code, at in reversed(conditions):
        kind[holds], partner[holds] = code, at[holds]
    wrong = sure & (matched.truth < 0) & ~matched.ignored
    kind[~wrong], partner[~wrong] = -1, -1
    partner[kind == EXTRA] = -1
    missed = (matched.predicted < 0) & ~crowd
    missed[partner[(kind == PLACED) | (kind == WRONG)]] = False
    never = np.where(missed, MISSED, -1).astype(np.int8)
    return Mistaken(kind, never, partner, matched.predicted >= 0)


def _of(pairs: Pairs, sure: Bools) -> Pairs:
    """Return the pairs of the predicted boxes that count."""
    kept = sure[pairs.predicted]
    return Pairs(pairs.predicted[kept], pairs.truth[kept], pairs.iou[kept], pairs.group[kept])


def _best(f: Ints, t: Ints, share: Floats, n: int) -> tuple[Floats, Ints]:
    """Return float64 (n,) and int64 (n,): the largest overlap of each box, and with which."""
    order = np.lexsort((share, f))
    best, at = np.zeros(n), np.full(n, -1, np.int64)
    best[f[order]], at[f[order]] = share[order], t[order]  # the last of each box stays
    return best, at
