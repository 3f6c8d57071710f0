"""Choose where to cut a ranking: for a recall, for a precision, or for the best balance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slicedb.stats.ranking import Aim, Draws, Ranking

WORSE = 0.01
"""Loss of F1, against the present cut, that counts as one."""
POWER = 0.8
"""Chance that as many labels as are said to be needed do."""
LIKELY = 0.05
"""Share of the draws from which on a set of curves has a say of its own in an interval."""


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
    draws: Draws,
    aim: Aim,
    least: float = 0.0,
    confidence: float = 0.95,
    now: int | None = None,
    risk: float = 0.05,
    stretch: float = 1.0,
) -> RankCut:
    """Return the cut for an aim.

    Args:
        ranking: what is cut.
        draws: of the positives above each cut, from `Ranking.draws`.
        aim: "recall" gives the fewest samples that reach `least`, "precision" the most that keep
            it, both with the confidence; "f1" the best balance.
        least: the share wanted; unused by "f1".
        confidence: of the aim and of the intervals.
        now: for "f1": the rank of the present cut. It is left only for one whose balance is better
            on average, and whose chance to be worse by more than 0.01 is at most `risk`.
        risk: see `now`.
        stretch: how much further from the median the ends of intervals lie, in log-odds, than the
            draws say; for rankings that the labels themselves have shaped.

    Returns:
        The cut; where no cut reaches the aim, the one that comes closest.
    """
    ranks, positives = ranking.cuts[1:], draws.positives
    recall, precision = shares(positives[:, 1:], ranks, positives[:, -1:])
    if aim == "f1":
        return _balanced(ranking, draws, confidence, now, risk, stretch)
    values = recall if aim == "recall" else precision
    chance = (values >= least).mean(axis=0)
    enough = chance >= confidence
    if stretch > 1:
        low, middle = np.quantile(values, [1 - confidence, 0.5], axis=0)
        enough &= _stretched(low, middle, stretch) >= least
    reached = np.flatnonzero(enough)
    if aim == "recall":
        at = int(reached[0]) if len(reached) else len(ranks) - 1
        if ranks[at] > ranking.edges[-2]:
            at = len(ranks) - 1  # labels do not tell where in the last stratum its positives are
    else:
        at = int(reached[-1]) if len(reached) else int(chance.argmax())
    return _cut(
        int(ranks[at]),
        precision[:, at],
        recall[:, at],
        draws,
        confidence,
        bool(len(reached)),
        stretch,
    )


def labels_needed(
    ranking: Ranking, draws: Draws, least: float, labels: int, confidence: float = 0.95
) -> float:
    """Return how many labels would show, in four cases of five, that some cut is precise enough.

    The spread of what is known of a precision shrinks with the root of the labels. Infinity where
    every cut is rather less precise than that: no number of labels would show it.

    Args:
        ranking: what is cut.
        draws: of the positives above each cut.
        least: the precision wanted.
        labels: those that there are.
        confidence: with which it is to be shown.
    """
    from scipy.special import ndtri

    precision = shares(draws.positives[:, 1:], ranking.cuts[1:], draws.positives[:, -1:])[1]
    gap, spread = np.median(precision, axis=0) - least, np.maximum(precision.std(axis=0), 1e-9)
    nearest = float((gap / spread).max())
    if nearest <= 0:
        return float("inf")
    return max(labels + 1.0, labels * float((ndtri(confidence) + ndtri(POWER)) / nearest) ** 2)


def at_rank(
    ranking: Ranking, draws: Draws, rank: int, confidence: float = 0.95, stretch: float = 1.0
) -> RankCut:
    """Return what lies above any rank; between two cuts the positives are spread evenly."""
    positives = draws.positives
    above = _at(ranking, positives, rank)
    recall, precision = shares(above[:, None], np.array([rank]), positives[:, -1:])
    return _cut(rank, precision[:, 0], recall[:, 0], draws, confidence, True, stretch)


def balance(ranking: Ranking, draws: Draws, rank: int) -> npt.NDArray[np.float64]:
    """Return float64 (size,): draws of the F1 of the samples above any rank."""
    above = _at(ranking, draws.positives, rank)
    return np.asarray(2 * above / np.maximum(rank + draws.positives[:, -1], 1))


def _at(ranking: Ranking, positives: npt.NDArray[np.int64], rank: int) -> npt.NDArray[np.float64]:
    right = int(np.clip(np.searchsorted(ranking.cuts, rank), 1, len(ranking.cuts) - 1))
    a, b = ranking.cuts[right - 1], ranking.cuts[right]
    part = (rank - a) / (b - a)
    return np.asarray(positives[:, right - 1] * (1 - part) + positives[:, right] * part)


def _balanced(
    ranking: Ranking,
    draws: Draws,
    confidence: float,
    now: int | None,
    risk: float,
    stretch: float,
) -> RankCut:
    positives = draws.positives
    total, ranks = positives[:, -1:], ranking.cuts[1:]
    scores = 2 * positives[:, 1:] / np.maximum(ranks + total, 1)
    mean = scores.mean(axis=0)
    if now is not None:
        old = balance(ranking, draws, now)
        worse = scores < old[:, None] - WORSE
        chance = np.max([worse[mine].mean(axis=0) for mine in _likely(draws.kinds)], axis=0)
        mean = np.where((chance <= risk) & (mean >= old.mean()), mean, -1.0)
    rank = int(ranks[mean.argmax()]) if mean.max() >= 0 or now is None else now
    return at_rank(ranking, draws, rank, confidence, stretch)


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
    draws: Draws,
    confidence: float,
    reached: bool,
    stretch: float,
) -> RankCut:
    estimates = [_share(values, draws.kinds, confidence, stretch) for values in (precision, recall)]
    if rank == 0:
        estimates[0] = Share(1.0, 0.0, 1.0)  # labels say nothing about samples that are not there
    return RankCut(rank, estimates[0], estimates[1], confidence, reached)


def _share(
    values: npt.NDArray[np.float64],
    kinds: npt.NDArray[np.int64],
    confidence: float,
    stretch: float,
) -> Share:
    """Return the median, and an interval that holds those of all kinds of curves that are likely.

    Labels seldom tell whether the positives end where the family of curves says so or trail on; the
    wider answer wins.
    """
    tail = (1 - confidence) / 2
    ends = [np.quantile(values[mine], [tail, 1 - tail]) for mine in _likely(kinds)]
    low, high = np.min(ends, axis=0)[0], np.max(ends, axis=0)[1]
    middle = float(np.median(values))
    if stretch > 1:
        low, high = _stretched(np.array([low, high]), np.full(2, middle), stretch)
    return Share(middle, float(low), float(high))


def _stretched(
    ends: npt.NDArray[np.float64], middle: npt.NDArray[np.float64], stretch: float
) -> npt.NDArray[np.float64]:
    """Return ends of intervals of shares, moved away from the middle on the scale of log-odds."""
    from scipy.special import expit, logit

    inside = [np.clip(x, 1e-9, 1 - 1e-9) for x in (ends, middle)]
    end, centre = (logit(x) for x in inside)
    moved = expit(centre + stretch * (end - centre))
    return np.asarray(np.where((ends <= 0) | (ends >= 1), ends, moved))


def _likely(kinds: npt.NDArray[np.int64]) -> list[npt.NDArray[np.bool_]]:
    """Return which draws count together: all of them, and those of each likely kind of curve."""
    each = [kinds == kind for kind in np.unique(kinds)]
    return [np.ones(len(kinds), bool), *(e for e in each if e.mean() >= LIKELY)]
