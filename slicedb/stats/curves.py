"""Shapes that a ranking can have: the share of positives from the top rank to the last.

A prior over receiver operating characteristics, held as a fixed set of curves spread evenly over
the parameters (a Kronecker sequence), so that a posterior is one weight per curve. There are three
sets of them:

1. the family, for texts that mean what is labelled. Positives and negatives are normal with unequal
   spread (the binormal model, Dorfman & Alf 1969), made robust: a part of the positives may lie
   low (the text misses them), a cloud of hard negatives may lie high, and both tails may be heavy;
2. wide ones of the same form, for texts that mean something else: most positives may be missed, lie
   below other samples or at the end of the ranking;
3. free ones without any form: the log-odds of a positive are a sum of waves over the ranking.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

N_FAMILY = 16_384
N_WIDE = 16_384
N_FREE = 8_192
N_CURVES = N_FAMILY + N_WIDE + N_FREE
"""Curves of all three sets, numbered in this order."""
_RARE = 0.75
"""Share of the curves whose prevalence lies under `_MIDDLE`; both parts are even in logarithms."""
_MIDDLE = 0.6
_PARTS = 9
_RANKS = np.unique(
    np.concatenate([[0.0], np.geomspace(2e-5, 1.0, 140), 1 - np.geomspace(2e-3, 0.07, 16)])
)
"""Share of the ranking from its top, at which a curve is kept; dense at both ends."""
_CUTS = np.concatenate(
    [np.linspace(14, 5, 25)[:-1], np.linspace(5, -5, 121), np.linspace(-5, -14, 25)[1:]]
)
_LEVEL = 9.0
"""Largest log-odds of a prevalence."""
_WAVES = 5
"""Half waves of a free curve over the whole ranking."""


class _Mixture(NamedTuple):
    """Parameters of curves, float64 (curves,) each; scores are in spreads of the negatives."""

    prevalence: Array
    distance: Array
    """Mean of the positives above that of the negatives."""
    width: Array
    """Spread of the positives."""
    low: Array
    """Share of the positives that lie apart from the others."""
    where_low: Array
    hard: Array
    """Share of the negatives that lie apart from the others."""
    where_hard: Array
    tail: Array
    """Share of the positives with three times the spread."""
    negative_tail: Array


def spread(n: int, dimensions: int) -> Array:
    """Return n points spread evenly over the unit cube (n, dimensions), always the same.

    The Kronecker sequence of the generalised golden ratio (Roberts 2018).

    >>> spread(2, 1).round(3).tolist()
    [[0.118], [0.736]]
    """
    ratio = 2.0
    for _ in range(64):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    steps = ratio ** -np.arange(1.0, dimensions + 1)
    return np.asarray((0.5 + np.arange(1, n + 1)[:, None] * steps) % 1.0)


def _above(share: Array, least: float, most: float, power: float = 1.0) -> Array:
    """Return 0 where `share` is under `least`, else a value rising from 0 to `most`."""
    return np.where(share < least, 0.0, most * ((share - least) / (1 - least)) ** power)


def _prevalence(u: Array) -> Array:
    """Return prevalences of even u: half of them even in the log-odds, half by Jeffreys' prior.

    The first half knows rare classes, and the second keeps thirty labels that are all "no" from
    proving that a class is rare.
    """
    even = 1 / (1 + np.exp(-_LEVEL * (4 * u - 1)))
    return np.where(u < 0.5, even, np.sin(np.pi / 2 * (2 * u - 1)).clip(1e-3, 1 - 1e-4) ** 2)


def _family() -> _Mixture:
    u = spread(N_FAMILY, _PARTS)
    prevalence = _prevalence(u[:, 0])
    distance, width = 0.2 + 4.8 * u[:, 1], 0.5 * 4.0 ** u[:, 2]
    low, where_low = _above(u[:, 3], 0.6, 0.25, 2), 0.8 * u[:, 4] * distance
    hard = np.minimum(_above(u[:, 5], 0.6, 4.0) * prevalence / (1 - prevalence), 0.5)
    where_hard = (0.4 + 0.5 * u[:, 6]) * distance
    tail, negative_tail = _above(u[:, 7], 0.5, 0.15), _above(u[:, 8], 0.5, 0.1)
    return _Mixture(
        prevalence, distance, width, low, where_low, hard, where_hard, tail, negative_tail
    )


def _wide() -> _Mixture:
    u = spread(N_WIDE, _PARTS)
    prevalence = _prevalence(u[:, 0])
    distance, width = -2.5 + 6.5 * u[:, 1], 0.3 * 7.0 ** u[:, 2]
    low, where_low = _above(u[:, 3], 0.3, 0.9), -1.5 + 3.0 * u[:, 4]
    hard, where_hard = _above(u[:, 5], 0.3, 0.4, 2), -1.0 + 4.5 * u[:, 6]
    tail, negative_tail = _above(u[:, 7], 0.5, 0.3), _above(u[:, 8], 0.5, 0.2)
    return _Mixture(
        prevalence, distance, width, low, where_low, hard, where_hard, tail, negative_tail
    )


def _of_mixture(parameters: _Mixture) -> npt.NDArray[np.float32]:
    """Return the recall at each of `_RANKS`: float32 (curves, ranks)."""
    from scipy.special import ndtr

    n = len(parameters.prevalence)
    recall = np.empty((n, len(_RANKS)), dtype=np.float32)
    for start in range(0, n, 2048):
        block = slice(start, start + 2048)
        p, d, s, a, va, b, vb, t, tn = (column[block, None] for column in parameters)
        positive = (1 - a) * ((1 - t) * ndtr((d - _CUTS) / s) + t * ndtr((d - _CUTS) / (3 * s)))
        positive += a * ndtr(va - _CUTS)
        negative = (1 - b) * ((1 - tn) * ndtr(-_CUTS) + tn * ndtr(-_CUTS / 2.5))
        negative += b * ndtr(vb - _CUTS)
        rank = p * positive + (1 - p) * negative
        recall[block] = [np.interp(_RANKS, x, y) for x, y in zip(rank, positive)]
    recall[:, 0], recall[:, -1] = 0, 1
    return recall


def _free() -> tuple[npt.NDArray[np.float32], Array]:
    """Return recall at each of `_RANKS`, and prevalence, of the curves without a form."""
    from scipy.special import expit, ndtri

    u = spread(N_FREE, 2 + _WAVES)
    waves = np.arange(1, _WAVES + 1)
    strength = 0.3 * 16.0 ** u[:, 1:2] * ndtri(u[:, 2:]) / waves  # (curves, waves)
    middle = (_RANKS[1:] + _RANKS[:-1]) / 2
    # ranks and their logarithms share the axis, as strata are even in the logarithm
    place = (middle + np.log(middle / _RANKS[1]) / np.log(1 / _RANKS[1])) / 2
    level = _prevalence(u[:, :1])
    log_odds = np.log(level / (1 - level)) + strength @ np.cos(np.pi * waves[:, None] * place)
    found = np.cumsum(expit(log_odds) * np.diff(_RANKS), axis=1)  # (curves, ranks - 1)
    recall = np.pad(found / found[:, -1:], ((0, 0), (1, 0))).astype(np.float32)
    return recall, np.asarray(found[:, -1])


@lru_cache(maxsize=1)
def _library() -> tuple[npt.NDArray[np.float32], Array]:
    """Return the recall at each of `_RANKS` (curves, ranks), and the prevalence of each curve."""
    family, wide = _family(), _wide()
    free, level = _free()
    recall = np.concatenate([_of_mixture(family), _of_mixture(wide), free])
    return recall, np.concatenate([family.prevalence, wide.prevalence, level])


@lru_cache(maxsize=1)
def _halves() -> npt.NDArray[np.bool_]:
    sizes = ((N_FAMILY, _PARTS), (N_WIDE, _PARTS), (N_FREE, 2 + _WAVES))
    return np.concatenate([spread(n, parts)[:, 0] >= 0.5 for n, parts in sizes])


def by_jeffreys(curves: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Return whether the prevalence of each curve is from Jeffreys' half of its prior, (n,).

    Curves by score, whose numbers begin at `N_CURVES`, have no such half.
    """
    return np.asarray(np.append(_halves(), False)[np.minimum(curves, N_CURVES)])


def by_rank(edges: npt.ArrayLike, which: npt.NDArray[np.intp] | slice = slice(None)) -> Array:
    """Return the share of positives between ranks, for each curve of the prior.

    Args:
        edges: rising shares of the ranking (k + 1,), from 0 to 1.
        which: the curves wanted.

    Returns:
        float64 (curves, k), strictly between 0 and 1.
    """
    recall, prevalence = _library()
    recall, prevalence = recall[which], prevalence[which]
    logs = np.log(np.maximum(_RANKS, 1e-6))
    at = np.log(np.maximum(np.asarray(edges, float), 1e-6))
    left = np.clip(np.searchsorted(logs, at) - 1, 0, len(logs) - 2)
    part = np.clip((at - logs[left]) / (logs[left + 1] - logs[left]), 0, 1).astype(np.float32)
    reached = recall[:, left] * (1 - part) + recall[:, left + 1] * part
    share = np.diff(reached, axis=1) * prevalence[:, None] / np.diff(np.asarray(edges, float))
    return np.asarray(np.clip(share.astype(np.float64), 1e-8, 1 - 1e-6))


def by_score(log_odds: npt.ArrayLike, n: int = 4096) -> Array:
    """Return the share of positives at scores, for n ways in which the scores' scale is off.

    A score that is a log-odds may be too bold or too shy and shifted: `1 / (1 + exp(-b (z - m)))`
    (Platt 1999) with b in [0.25, 4] and m from the median to beyond the largest score; in a quarter
    of the ways from below the smallest score to the median, so that most samples may be positives.

    Args:
        log_odds: (k,), falling.
        n: how many.

    Returns:
        float64 (n, k), strictly between 0 and 1.
    """
    from scipy.special import expit

    z = np.asarray(log_odds, float)
    u = spread(n, 2)
    slope = 0.25 * 16.0 ** u[:, :1]
    low, high, least = float(np.median(z)), float(z.max()), float(z.min())
    upper = low + (u[:, 1:] - 1 + _RARE) / _RARE * (high - low + 3.0 / slope)
    lower = low - (1 - u[:, 1:] / (1 - _RARE)) * (low - least + 12.0 / slope)
    middle = np.where(u[:, 1:] < 1 - _RARE, lower, upper)
    return np.asarray(np.clip(expit(slope * (z - middle)), 1e-8, 1 - 1e-6))
