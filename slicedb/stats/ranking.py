"""A ranking with a few labels: where to look next, and how many positives lie where.

The ranking is cut into strata that grow geometrically from its top, so that a rare class and a
common one are both looked at where they begin to thin out. Labels are drawn at random inside a
stratum: a part everywhere, the others one by one where they most lower the variance of the rank at
which the aim is reached (a Bayesian c-optimal design, Chaloner & Verdinelli, Statistical Science
1995, in its linear form). The posterior over the number of positives is a weight for each curve of
`slicedb.stats.curves`: the labels of a stratum are binomial about the curve. A weight on too few
curves is flattened (the coarsened posterior of Miller & Dunson, JASA 2019), so that many labels
never speak more surely than the curves can.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from slicedb.stats.curves import N_CURVES, N_FAMILY, N_FREE, N_WIDE, by_jeffreys, by_rank, by_score

Aim: TypeAlias = Literal["recall", "precision", "f1"]
Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FIRST = 8
"""Samples in the first stratum."""
GROWTH = 1.4
"""How many times as long as what lies above it a stratum's end is."""
LONGEST = 0.1
"""Share of all samples that a stratum has at most: positives may lie at the end, too."""
PIECES = 8
"""Places in a stratum where a cut may lie."""
EVERYWHERE = 0.25
"""Share of the labels that goes to all strata alike."""
REACH = 0.9
"""Recall that labels are placed for where no other is wanted."""
PRECISE = 0.8
"""Precision that labels are placed for where no other is wanted."""
SHARP = 50.0
"""How steeply ranks with a lower F1 than the best count less for where the best is."""
BY_SCORE = 0.25
"""Prior chance that the score is a log-odds but for its scale; else only its order counts."""
WIDE, FREE = 0.4, 0.15
"""Prior chances of a text that means something else, and of a curve without any form. Labels that
contradict the family raise them, so that the wider answer wins."""
NEGLIGIBLE = 1e-7
"""Weight under which a curve does not count for where to look."""
LEAST = 25.0
"""Effective number of curves under which the posterior is flattened."""


_STARTS = np.cumsum([N_FAMILY, N_WIDE, N_FREE])
"""Numbers of curves at which another set of them begins."""


@dataclass(frozen=True, eq=False)
class Draws:
    """How many positives may lie above each cut of a ranking, drawn from the posterior."""

    positives: Ints
    """int64 (size, j + 1), rising along a row from 0; the last column is all positives."""
    kinds: Ints
    """int64 (size,): the kind of curve that each row is from."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Samples in the order of their scores."""

    log_odds: Array
    """float64 (n,), falling: how much the score speaks for a positive."""

    @cached_property
    def edges(self) -> Ints:
        """Rising ranks at which strata end, from 0 to n: (k + 1,)."""
        n = len(self.log_odds)
        longest = int(np.ceil(n * LONGEST))
        ends: list[int] = [0, min(FIRST, n)]
        while ends[-1] < n:
            grown = int(np.ceil(ends[-1] * GROWTH))
            if grown - ends[-1] > longest:  # from here on they are of one length
                parts = -(-(n - ends[-1]) // longest)
                ends += np.linspace(ends[-1], n, parts + 1).round().astype(int)[1:].tolist()
                break
            ends.append(min(n, grown))
        if len(ends) > 3 and ends[-1] - ends[-2] < (ends[-2] - ends[-3]) / 2:
            del ends[-2]  # a last stratum that is too short joins the one before
        return self._past_ties(np.array(ends))

    @cached_property
    def cuts(self) -> Ints:
        """Ranks at which a cut may lie, from 0 to n, those of the strata included: (j + 1,)."""
        pairs = zip(self.edges[:-1], self.edges[1:])
        parts = [np.linspace(a, b, min(PIECES, b - a) + 1) for a, b in pairs]
        return self._past_ties(np.unique(np.round(np.concatenate(parts)).astype(np.int64)))

    def _past_ties(self, ranks: Ints) -> Ints:
        """Move ranks behind the samples that share the score before them."""
        last = self.log_odds[np.maximum(ranks - 1, 0)]
        moved = np.searchsorted(-self.log_odds, -last, side="right")
        return np.unique(np.where(ranks == 0, 0, moved)).astype(np.int64)

    def strata(self, ranks: npt.ArrayLike) -> Ints:
        """Return the stratum of each rank."""
        return np.searchsorted(self.edges, np.asarray(ranks), side="right") - 1

    @cached_property
    def _curves(self) -> tuple[Array, Array]:
        """Return the share of positives by stratum (curves, k), and the log prior (curves,)."""
        n = len(self.log_odds)
        ranked = by_rank(self.edges / n)
        scored = self._by_score()
        starts, sizes = self.cuts[:-1], np.diff(self.cuts)
        firsts = np.searchsorted(starts, self.edges[:-1])
        total = np.add.reduceat(scored * sizes, firsts, axis=1) / np.diff(self.edges)
        chances = [1 - WIDE - FREE - BY_SCORE, WIDE, FREE, BY_SCORE]
        counts = [N_FAMILY, N_WIDE, N_FREE, len(total)]
        prior = np.repeat(np.log(np.divide(chances, counts)), counts)
        return np.concatenate([ranked, total]), prior

    def _by_score(self) -> Array:
        starts, sizes = self.cuts[:-1], np.diff(self.cuts)
        return by_score(np.add.reduceat(self.log_odds, starts) / sizes)

    @cached_property
    def _logs(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        share = self._curves[0]
        return np.log(share).astype(np.float32), np.log1p(-share).astype(np.float32)

    def weights(self, yes: npt.ArrayLike, asked: npt.ArrayLike) -> Array:
        """Return the posterior weight of each curve, (curves,), which sum to 1.

        Args:
            yes: positives among the labels of each stratum, (k,).
            asked: labels of each stratum, (k,).
        """
        y, n = np.asarray(yes, np.float32), np.asarray(asked, np.float32)
        log_yes, log_no = self._logs
        logs = self._curves[1] + log_yes @ y + log_no @ (n - y)  # (curves, k) @ (k,) -> (curves,)
        return _flattened(logs - logs.max())

    def allocate(
        self,
        yes: npt.ArrayLike,
        asked: npt.ArrayLike,
        count: int,
        rng: np.random.Generator,
        gone: npt.ArrayLike = 0,
        aim: Aim = "recall",
        least: float = 0.0,
    ) -> Ints:
        """Return how many samples of each stratum to label next, (k,); `count` in all, or all left.

        Args:
            yes: positives among the labels of each stratum so far, (k,).
            asked: labels of each stratum so far, (k,).
            count: labels wanted.
            rng: decides which strata get the labels that go everywhere.
            gone: samples of each stratum that cannot be labelled.
            aim: what the cut is wanted for: the labels are to make certain where it lies.
            least: the share aimed at; 0 is 0.9 for a recall and 0.8 for a precision.
        """
        asked = np.asarray(asked, np.int64)
        room = np.diff(self.edges) - asked - np.asarray(gone, np.int64)
        ends = np.linspace(0, round(EVERYWHERE * count), len(room) + 1) + rng.random()
        wanted = np.minimum(np.diff(np.floor(ends)).astype(np.int64), room)
        weights = self.weights(yes, asked)
        counts = weights > NEGLIGIBLE
        reach = self._reach(aim, least, counts)
        return self._telling(weights[counts], self._curves[0][counts], reach, wanted, count, room)

    def _reach(self, aim: Aim, least: float, which: npt.NDArray[np.bool_]) -> Array:
        """Return the logarithm of the rank at which some curves reach an aim, (curves,)."""
        above = np.cumsum(self._curves[0][which] * np.diff(self.edges), axis=1)  # (curves, k)
        logs = np.log(self.edges[1:])
        if aim == "f1":
            scores = 2 * above / (self.edges[1:] + above[:, -1:])
            near = np.exp(SHARP * (scores - scores.max(axis=1, keepdims=True)))
            return np.asarray(near @ logs / near.sum(axis=1))
        if aim == "precision":
            good = above / self.edges[1:] >= (least or PRECISE)
            last = good.shape[1] - 1 - good[:, ::-1].argmax(axis=1)
            return np.where(good.any(axis=1), logs[last], 0.0)
        share = np.minimum(least or REACH, 0.99)
        above = np.pad(above / above[:, -1:], ((0, 0), (1, 0)))
        at, row = (above >= share).argmax(axis=1), np.arange(len(above))
        part = (share - above[row, at - 1]) / (above[row, at] - above[row, at - 1])
        logs = np.log(np.maximum(self.edges, 1))
        return np.asarray(logs[at - 1] * (1 - part) + logs[at] * part)

    def _telling(
        self, weights: Array, share: Array, reach: Array, wanted: Ints, count: int, room: Ints
    ) -> Ints:
        """Add labels to `wanted` until there are `count`, each where it tells most of `reach`.

        Args:
            weights: of the curves, (curves,).
            share: of positives by stratum, (curves, k).
            reach: what is to be made certain, (curves,).
        """
        weights = weights / weights.sum()
        mean = weights @ share
        about = (share - mean) * weights[:, None]
        spread, pull = about.T @ (share - mean), about.T @ (reach - weights @ reach)  # (k, k), (k,)
        noise, wanted = mean * (1 - mean), wanted.copy()
        for stratum in np.repeat(np.arange(len(wanted)), wanted).tolist():
            spread, pull = _after_label(spread, pull, noise, stratum)
        for _ in range(count - int(wanted.sum())):
            gain = np.where(room > wanted, pull**2 / (np.diag(spread) + noise), -1.0)
            stratum = int(gain.argmax())
            if gain[stratum] < 0:
                break
            wanted[stratum] += 1
            spread, pull = _after_label(spread, pull, noise, stratum)
        return wanted

    def draws(
        self,
        ranks: npt.ArrayLike,
        labels: npt.ArrayLike,
        rng: np.random.Generator,
        size: int = 2000,
        importance: npt.ArrayLike | None = None,
        held_out: npt.ArrayLike | None = None,
    ) -> Draws:
        """Draw, from the posterior, how many positives lie above each cut.

        Args:
            ranks: of the labelled samples, (m,).
            labels: bool (m,).
            rng: makes the draws.
            size: number of draws.
            importance: how many samples each labelled one stands for, (m,), where they were not
                drawn alike inside a stratum; None: they were.
            held_out: where the labelled samples would rank had the scores not seen their labels,
                (m,), which tells where others rank; None: the scores have seen none.
        """
        at, y = np.asarray(ranks, np.int64), np.asarray(labels, bool)
        k, strata = len(self.edges) - 1, self.strata(at if held_out is None else held_out)
        each = np.ones(len(at)) if importance is None else np.asarray(importance, float)
        total, squares = (np.bincount(strata, each**power, k) for power in (1, 2))
        # Kish's effective number of labels is worth * total.
        worth = total / np.maximum(squares, 1e-300)
        weights = self.weights(np.bincount(strata, each * y, k) * worth, total * worth)
        picked = np.sort(rng.choice(len(weights), size, p=weights))
        ranked, scored = picked[picked < N_CURVES], picked[picked >= N_CURVES] - N_CURVES
        share = by_rank(self.cuts / len(self.log_odds), ranked)
        if len(scored):
            share = np.concatenate([share, self._by_score()[scored]])
        piece = np.searchsorted(self.cuts, at, side="right") - 1
        known = np.bincount(piece, minlength=len(self.cuts) - 1)
        left = np.maximum(np.diff(self.cuts) - known, 0)
        positives = rng.binomial(left, share) + np.bincount(piece, weights=y, minlength=len(left))
        above = np.pad(np.cumsum(positives, axis=1), ((0, 0), (1, 0))).astype(np.int64)
        return Draws(above, _kinds(picked))


def _kinds(curves: npt.NDArray[np.intp]) -> Ints:
    """Return the kind of each curve: its set, and which half of the prior its prevalence is of."""
    kinds = 2 * np.searchsorted(_STARTS, curves, side="right")
    return np.asarray(kinds + by_jeffreys(curves), np.int64)


def _after_label(spread: Array, pull: Array, noise: Array, stratum: int) -> tuple[Array, Array]:
    """Return the covariances of the shares, and theirs with the reach, after one more label."""
    by = spread[:, stratum] / (spread[stratum, stratum] + noise[stratum])
    return spread - np.outer(by, spread[stratum]), pull - by * pull[stratum]


def _flattened(logs: Array) -> Array:
    """Return weights of log weights, to a power in (0, 1] that leaves enough of them."""

    def powered(power: float) -> Array:
        raised = np.exp(power * logs)
        return np.asarray(raised / raised.sum())

    weights = powered(1.0)
    if 1 / float((weights**2).sum()) >= LEAST:
        return weights
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        if 1 / float((powered(middle) ** 2).sum()) >= LEAST:
            low = middle
        else:
            high = middle
    return powered(low)
