"""Spend a suite's error rate where a drop of the size that matters is decided."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slicedb.stats.intervals import Floats


def detection_weights(
    n: npt.ArrayLike,
    discordant: npt.ArrayLike,
    drop: float,
    alpha: float = 0.05,
    *,
    power: float = 0.9,
    share: float = 0.9,
) -> Floats:
    """Return each slice's share of the error rate, for `max_t`, so that a drop is not missed.

    A large slice shows a drop at a level far below alpha / s, a tiny one at none. So most
    of the error rate goes to the slices in the order of what they need to find the drop with the
    power wanted, the cheapest first, which serves the most slices; the rest is spread evenly.
    Sizes and numbers of discordant samples do not depend on the signs of the differences, so
    `max_t` holds its level with any weights made from them (Spjotvoll, Ann. Math. Statist. 1972;
    Roeder & Wasserman, Statist. Sci. 2009).

    Args:
        n: (s,) samples of each slice.
        discordant: (s,) samples of each on which exactly one model is right.
        drop: difference in accuracy that must not be missed, in (0, 1].
        alpha: error rate of all slices together.
        power: share of such drops that are to be found.
        share: part of alpha that is spent so.

    Returns:
        float64 (s,), positive, with sum 1 (empty without slices).

    >>> detection_weights([400, 1000, 4000], [70, 180, 700], 0.05).round(3).tolist()
    [0.291, 0.417, 0.291]
    """
    from scipy.special import ndtr, ndtri

    if not 0 < drop <= 1:
        raise ValueError(f"drop is {drop}; it must lie in (0, 1].")
    m = np.maximum(np.asarray(discordant, float), 1.0)
    lost = np.minimum(drop * np.asarray(n, float), m)
    shift, spread = lost / np.sqrt(m), np.sqrt(1 - (lost / m) ** 2)
    need = ndtr(ndtri(power) * spread - shift)  # the level at which the drop is found
    order = np.argsort(need, kind="stable")
    order = order[need[order] <= alpha * share]  # the others are too small whatever they get
    before = np.cumsum(need[order]) - need[order]
    spent = np.zeros(len(m))
    spent[order] = np.clip(alpha * share - before, 0.0, need[order])
    rest = alpha - spent.sum()
    return np.asarray((spent + rest / max(len(m), 1)) / alpha)
