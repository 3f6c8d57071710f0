"""Choose where to cut a ranking: for a recall, for a precision, or for the best balance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from slicedb.stats.ranking import Ranking

Aim: TypeAlias = Literal["recall", "precision", "f1"]


@dataclass(frozen=True)
class Share:
    """An estimated fraction with its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class RankCut:
    """A place in a ranking, and what lies above it."""

    rank: int
    """How many samples lie above."""
    precision: Share
    """Of the samples above, the positives; of none, 1 with an interval from 0 to 1."""
    recall: Share
    """Of the positives, those above."""
    confidence: float
    """Of the intervals, two-sided, and of the aim, one-sided."""
    reached: bool = True
    """Whether the aim holds with that confidence."""


def choose(
    ranking: Ranking,
    positives: npt.NDArray[np.int64],
    aim: Aim,
    least: float = 0.0,
    confidence: float = 0.95,
    now: int | None = None,
) -> RankCut:
    """Return the cut for an aim.

    Args:
        ranking: what is cut.
        positives: draws of the positives above each cut, from `Ranking.draws`.
        aim: "recall" gives the fewest samples that reach `least`, "precision" the most that keep
            it, both with the confidence; "f1" the best balance.
        least: the share wanted; unused by "f1".
        confidence: of the aim and of the intervals.
        now: for "f1": the rank of the present cut, left only where a better balance is as sure as
            that.

    Returns:
        The cut; where no cut reaches the aim, the one that comes closest.
    """
    ranks = ranking.cuts[1:]
    recall, precision = shares(positives[:, 1:], ranks, positives[:, -1:])
    if aim == "f1":
        return _balanced(ranking, positives, confidence, now)
    chance = ((recall if aim == "recall" else precision) >= least).mean(axis=0)
    reached = np.flatnonzero(chance >= confidence)
    if aim == "recall":
        at = int(reached[0]) if len(reached) else len(ranks) - 1
    else:
        at = int(reached[-1]) if len(reached) else int(chance.argmax())
    return _cut(int(ranks[at]), precision[:, at], recall[:, at], confidence, bool(len(reached)))


def at_rank(
    ranking: Ranking, positives: npt.NDArray[np.int64], rank: int, confidence: float = 0.95
) -> RankCut:
    """Return what lies above any rank; between two cuts the positives are spread evenly."""
    above = _at(ranking, positives, rank)
    recall, precision = shares(above[:, None], np.array([rank]), positives[:, -1:])
    return _cut(rank, precision[:, 0], recall[:, 0], confidence, True)


def _at(ranking: Ranking, positives: npt.NDArray[np.int64], rank: int) -> npt.NDArray[np.float64]:
    right = int(np.clip(np.searchsorted(ranking.cuts, rank), 1, len(ranking.cuts) - 1))
    a, b = ranking.cuts[right - 1], ranking.cuts[right]
    part = (rank - a) / (b - a)
    return np.asarray(positives[:, right - 1] * (1 - part) + positives[:, right] * part)


def _balanced(
    ranking: Ranking, positives: npt.NDArray[np.int64], confidence: float, now: int | None
) -> RankCut:
    total = positives[:, -1:]
    scores = 2 * positives / np.maximum(ranking.cuts + total, 1)
    rank = int(ranking.cuts[1:][scores[:, 1:].mean(axis=0).argmax()])
    if now is not None:
        old = 2 * _at(ranking, positives, now) / np.maximum(now + total[:, 0], 1)
        new = 2 * _at(ranking, positives, rank) / np.maximum(rank + total[:, 0], 1)
        rank = rank if (new > old).mean() >= confidence else now
    return at_rank(ranking, positives, rank, confidence)


def shares(
    above: npt.NDArray[np.generic], ranks: npt.NDArray[np.int64], total: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return recall and precision; without positives recall is 1, of no samples precision is 1."""
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.where(total > 0, above / np.maximum(total, 1), 1.0)
        precision = np.where(ranks > 0, above / np.maximum(ranks, 1), 1.0)
    return recall, precision


def _cut(
    rank: int,
    precision: npt.NDArray[np.float64],
    recall: npt.NDArray[np.float64],
    confidence: float,
    reached: bool,
) -> RankCut:
    tail = (1 - confidence) / 2
    estimates = []
    for values in (precision, recall):
        low, middle, high = np.quantile(values, [tail, 0.5, 1 - tail])
        estimates.append(Share(float(middle), float(low), float(high)))
    if rank == 0:
        estimates[0] = Share(1.0, 0.0, 1.0)  # labels say nothing about samples that are not there
    return RankCut(rank, estimates[0], estimates[1], confidence, reached)
