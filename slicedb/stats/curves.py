"""Shapes that a ranking can have: the share of positives from the top rank to the last.

A prior over receiver operating characteristics, held as a fixed set of curves spread evenly over
the parameters (a Kronecker sequence), so that a posterior is one weight per curve. Positives and
negatives are normal with unequal spread (the binormal model, Dorfman & Alf 1969), made robust: a
part of the positives may lie low (the text misses them), a cloud of hard negatives may lie high,
and both tails may be heavy.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

N_CURVES = 16_384
_RARE = 0.75
"""Share of the curves whose prevalence lies under `_MIDDLE`; both parts are even in logarithms."""
_MIDDLE = 0.6
_PARTS = 9
_RANKS = np.concatenate([[0.0], np.geomspace(2e-5, 1.0, 140)])
"""Share of the ranking from its top, at which a curve is kept."""
_CUTS = np.concatenate(
    [np.linspace(14, 5, 25)[:-1], np.linspace(5, -5, 121), np.linspace(-5, -14, 25)[1:]]
)


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


@lru_cache(maxsize=1)
def _library() -> tuple[npt.NDArray[np.float32], Array]:
    """Return the recall at each of `_RANKS` (curves, ranks), and the prevalence of each curve."""
    from scipy.special import ndtr

    u = spread(N_CURVES, _PARTS)
    # rare positives in three of four curves, rare negatives in the others
    rare = 1e-4 * (_MIDDLE / 1e-4) ** (u[:, 0] / _RARE)
    common = 1 - (1 - _MIDDLE) * (1e-5 / (1 - _MIDDLE)) ** ((u[:, 0] - _RARE) / (1 - _RARE))
    prevalence = np.where(u[:, 0] < _RARE, rare, common)
    distance, width = 0.2 + 4.8 * u[:, 1], 0.5 * 4.0 ** u[:, 2]
    low, where_low = _above(u[:, 3], 0.6, 0.25, 2), 0.8 * u[:, 4]
    hard = np.minimum(_above(u[:, 5], 0.6, 4.0) * prevalence / (1 - prevalence), 0.5)
    where_hard = 0.4 + 0.5 * u[:, 6]
    tail, negative_tail = _above(u[:, 7], 0.5, 0.15), _above(u[:, 8], 0.5, 0.1)
    recall = np.empty((N_CURVES, len(_RANKS)), dtype=np.float32)
    columns = (prevalence, distance, width, low, where_low, hard, where_hard, tail, negative_tail)
    for start in range(0, N_CURVES, 2048):
        block = slice(start, start + 2048)
        p, d, s, a, va, b, vb, t, tn = (c[block, None] for c in columns)
        positive = (1 - a) * ((1 - t) * ndtr((d - _CUTS) / s) + t * ndtr((d - _CUTS) / (3 * s)))
        positive += a * ndtr(va * d - _CUTS)
        negative = (1 - b) * ((1 - tn) * ndtr(-_CUTS) + tn * ndtr(-_CUTS / 2.5))
        negative += b * ndtr(vb * d - _CUTS)
        rank = p * positive + (1 - p) * negative
        recall[block] = [np.interp(_RANKS, x, y) for x, y in zip(rank, positive)]
    recall[:, 0], recall[:, -1] = 0, 1
    return recall, prevalence


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
