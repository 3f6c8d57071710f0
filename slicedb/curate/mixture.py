"""Cluster vectors together with what is right and what was said: Domino (Eyuboglu et al., 2022).

A mixture of normal distributions with diagonal covariances over the principal components of the
vectors; each component also has its own distribution of labels and of predictions, which count
with weights. Samples of one component lie together and are mistaken alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slicedb.curate.units import Ints

Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]

WEIGHT = 10.0
"""How much label and prediction count against the vector, as in the paper."""
_DIMENSIONS = 64
"""Principal components that are looked at."""
_ROUNDS = 50
_ENOUGH = 1e-4
"""Gain of the mean log-likelihood below which the fit ends."""
_FLOOR = 1e-3
"""Least variance, relative to the mean one."""
_TRIES = 10
"""Rounds of k-means."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Which component each sample is of, in shares."""

    share: Floats
    """float64 (n, k): rows sum to 1."""


def reduced(vectors: Vectors) -> Floats:
    """Return float64 (n, d): the first principal components of the vectors."""
    x = vectors.astype(np.float64)
    x -= x.mean(axis=0)
    if x.shape[1] <= _DIMENSIONS:
        return x
    values, directions = np.linalg.eigh(x.T @ x / len(x))  # ascending
    return np.asarray(x @ directions[:, np.argsort(-values)[:_DIMENSIONS]])


def mixture(
    x: Floats,
    label: Floats,
    said: Floats,
    wrong: npt.NDArray[np.bool_],
    components: int,
    seed: int = 0,
    weight: float = WEIGHT,
) -> Mixture:
    """Fit the mixture by expectation maximisation, from clusters of the errors and of the rest.

    Args:
        x: float64 (n, d): the vectors, reduced.
        label: float64 (n, c): 1 at the label of each sample; (n, 0) where there is none.
        said: float64 (n, c): predicted probabilities; (n, 0) where there are none.
        wrong: bool (n,): the errors, of which half of the components begin.
        components: how many.
        seed: of the beginning.
        weight: how much label and prediction count against the vector.
    """
    share = _begin(x, wrong, components, seed)
    least = _FLOOR * float(x.var(axis=0).mean())
    squared, before = x**2, -np.inf
    for _ in range(_ROUNDS):
        size = share.sum(axis=0) + 1e-9
        mean = share.T @ x / size[:, None]  # (k, n) @ (n, d) -> (k, d)
        variance = np.maximum(share.T @ squared / size[:, None] - mean**2, least)
        log = np.log(size / size.sum()) - 0.5 * np.log(variance).sum(axis=1)
        log = log - 0.5 * (mean**2 / variance).sum(axis=1)
        log = log + x @ (mean / variance).T - 0.5 * squared @ (1 / variance).T  # (n, k)
        for values in (label, said):
            if values.shape[1]:
                chance = (share.T @ values + 0.1 / values.shape[1]) / (size[:, None] + 0.1)
                log = log + weight * (values @ np.log(chance).T)
        top = log.max(axis=1, keepdims=True)
        share = np.exp(log - top)
        total = share.sum(axis=1, keepdims=True)
        share /= total
        now = float((top + np.log(total)).mean())
        if now - before < _ENOUGH * abs(now):
            break
        before = now
    return Mixture(share)


def _begin(x: Floats, wrong: npt.NDArray[np.bool_], components: int, seed: int) -> Floats:
    """Return float64 (n, k): the errors and the others in clusters of their own."""
    share = np.full((len(x), components), 0.01 / components)
    n_wrong = min(components // 2, int(wrong.sum()))
    for at, n, first in (
        (np.flatnonzero(wrong), n_wrong, 0),
        (np.flatnonzero(~wrong), components - n_wrong, n_wrong),
    ):
        if len(at) and n:
            share[at, first + k_means(x[at], min(n, len(at)), seed)] += 1
    return np.asarray(share / share.sum(axis=1, keepdims=True))


def k_means(x: Floats, k: int, seed: int = 0) -> Ints:
    """Return int64 (n,): the cluster of each sample, by Lloyd's rounds from k-means++."""
    rng = np.random.default_rng(seed)
    centres = x[[int(rng.integers(len(x)))]]
    nearest = ((x - centres[0]) ** 2).sum(axis=1)
    for _ in range(k - 1):
        total = nearest.sum()
        chosen = rng.choice(len(x), p=nearest / total) if total > 0 else rng.integers(len(x))
        centres = np.concatenate([centres, x[[int(chosen)]]])
        nearest = np.minimum(nearest, ((x - centres[-1]) ** 2).sum(axis=1))
    cluster = np.zeros(len(x), np.int64)
    for _ in range(_TRIES):
        distance = (centres**2).sum(axis=1) - 2 * x @ centres.T
        cluster = distance.argmin(axis=1)
        size = np.bincount(cluster, minlength=k)
        sums = np.zeros_like(centres)
        np.add.at(sums, cluster, x)
        centres = np.where(size[:, None] > 0, sums / np.maximum(size, 1)[:, None], centres)
    return cluster
