"""Turn clusters of errors into regions: predicates over similarity to a few samples.

A cluster gives a direction: from what is near to what its errors have in common. The direction is
written as a sum of samples, some to be like and some to be unlike, and cut where the errors of the
samples it was found on end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slicedb.curate.mixture import k_means, mixture, reduced
from slicedb.curate.sliceline import Evidence
from slicedb.curate.units import Ints

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]

_COMPONENTS = 24
"""Of the mixture."""
_ERRORS = 8
"""Clusters of the errors alone."""
_KEPT = 8
"""Clusters that are made into regions."""
_LIKE, _UNLIKE = 6, 4
"""Samples that a direction is written with."""
_POOL = 300
"""Samples that they are chosen from."""
_NOTHING = 1e-9
_FEWEST = 2.0
"""Errors of the smallest cluster that is looked at."""
_STEPS = 3
"""How often a direction is made anew from the errors in its own region."""


@dataclass(frozen=True, eq=False)
class Region:
    """Samples that are like some samples, and unlike others."""

    like: tuple[int, ...]
    """Rows."""
    unlike: tuple[int, ...]
    fair: Floats
    """float64 (n,): the similarity of each sample where its own fold took no part in the fit, in
    deviations from the mean: each fit has a scale of its own."""
    evidence: float
    """Of the best cut of `fair`."""


@dataclass(frozen=True, eq=False)
class Judged:
    """The samples that regions are found on.

    Args:
        vectors: float32 (n, d), unit length.
        error: float64 (n,), not negative.
        label: float64 (n, c): 1 at the label; (n, 0) where there is none.
        said: float64 (n, c): predicted probabilities; (n, 0) where there are none.
        fold: int64 (n,), from 0: samples of one fold are not looked at to score one another.
    """

    vectors: Vectors
    error: Floats
    label: Floats
    said: Floats
    fold: Ints


def regions(judged: Judged, least: int, seed: int = 0) -> list[Region]:
    """Return the regions with most evidence that a model errs more there, the best first.

    Args:
        judged: the samples.
        least: samples of the smallest region.
        seed: of the mixture.
    """
    n = len(judged.error)
    wrong = (
        judged.error > np.quantile(judged.error, 0.8) if _is_graded(judged) else judged.error > 0
    )
    components = int(np.clip(n // max(2 * least, 1), 2, _COMPONENTS))
    if int(wrong.sum()) < 2 or n < 2 * least:
        return []
    x = reduced(judged.vectors)
    share = mixture(x, judged.label, judged.said, wrong, components, seed).share
    # Where errors are few, no component of the mixture may settle on them; clusters of them do.
    at = np.flatnonzero(wrong)
    cluster = np.zeros((n, min(_ERRORS, len(at))))
    cluster[at, k_means(x[at], cluster.shape[1], seed)] = 1
    found = []
    for weight in (np.concatenate([share, cluster], axis=1) * judged.error[:, None]).T:
        if weight.sum() >= _FEWEST:
            found.append(_region(judged, weight, least))
    kept: list[Region] = []
    for region in sorted(found, key=lambda r: -r.evidence):
        if region.evidence > 0 and all(set(region.like) != set(k.like) for k in kept):
            kept.append(region)
    return kept[:_KEPT]


def _is_graded(judged: Judged) -> bool:
    return bool(((judged.error != 0) & (judged.error != 1)).any())


def _region(judged: Judged, weight: Floats, least: int) -> Region:
    """Return the region around weighted samples.

    A direction that is fitted to errors has many of them on its side by chance. What it is worth
    is therefore told by scores that each fold has from a fit on the other folds.
    """
    fair = np.zeros(len(weight))
    for fold in range(int(judged.fold.max()) + 1):
        held = judged.fold == fold
        direction = _direction(judged, np.where(held, 0.0, weight), ~held, least)
        scores = along(judged.vectors, direction)
        mean, deviation = spread(scores)
        fair[held] = (scores[held] - mean) / deviation
    every = np.ones(len(weight), bool)
    like, unlike = _written(judged.vectors, _direction(judged, weight, every, least))
    value, _ = best_cut(fair, judged.error, Evidence(judged.error), least)
    return Region(like, unlike, fair, value)


def _direction(judged: Judged, weight: Floats, among: Bools, least: int) -> Floats:
    """Return float64 (d,), unit length: from the rest to weighted samples.

    It is moved to where the errors lie densest: to those above the best cut, and again.

    Args:
        judged: the samples.
        weight: float64 (n,): where to begin; 0 outside of `among`.
        among: bool (n,): the samples to look at.
        least: samples of the smallest region.
    """
    if weight.sum() <= _NOTHING:
        return np.zeros(judged.vectors.shape[1])
    vectors, error = judged.vectors[among], judged.error[among]
    evidence = Evidence(error)
    centre, rest = weight[among] @ vectors / weight.sum(), vectors.mean(axis=0)
    best, best_direction, inside = -np.inf, _unit(centre), weight[among]
    for _ in range(_STEPS):
        for direction in (_unit(centre), _unit(centre - rest)):
            value, at = best_cut(along(vectors, direction), error, evidence, least)
            if value > best:
                best, best_direction = value, direction
                inside = np.zeros(len(vectors))
                inside[at] = error[at]
        if not inside.sum() or inside.all():
            break
        centre = inside @ vectors / inside.sum()
        rest = vectors[inside == 0].mean(axis=0)
    return best_direction


def along(vectors: Vectors, direction: Floats) -> Vectors:
    """Return float32 (n,): how far vectors point into a direction."""
    return np.asarray(vectors @ direction.astype(np.float32))


def spread(scores: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Return mean and standard deviation of scores, the latter above 0."""
    return float(scores.mean()), max(float(scores.std()), _NOTHING)


def best_cut(
    scores: npt.NDArray[np.floating], error: Floats, evidence: Evidence, least: int
) -> tuple[float, Ints]:
    """Return the most evidence of the samples above any cut, and which they are."""
    order = np.argsort(-scores, kind="stable")
    n = np.arange(1, len(order) + 1, dtype=np.float64)
    value = evidence(n, np.cumsum(error[order]))
    first, last = least - 1, max(least, len(order) // 2)
    at = first + int(value[first:last].argmax())
    return float(value[at]), order[: at + 1]


def cuts(scores: npt.NDArray[np.floating], error: Floats, least: int) -> list[float]:
    """Return cuts of rising size: the best one, and others within a half and twice of it.

    A cut lies halfway between two samples, so that no sample lies on it.
    """
    _, inside = best_cut(scores, error, Evidence(error), least)
    order = np.sort(scores)[::-1]
    sizes = {len(inside) * 2**k for k in (-1, -0.5, 0, 0.5, 1)}
    chosen = sorted({int(np.clip(size, least, len(order) - 1)) for size in sizes})
    return [float(order[size - 1] + order[size]) / 2 for size in chosen]


def _written(vectors: Vectors, direction: Floats) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the samples whose sum, those to be unlike taken off, comes nearest to a direction.

    They are chosen one at a time from those that point most along it and against it.
    """
    order = np.argsort(-along(vectors, direction), kind="stable")
    pool = min(_POOL, len(order))
    total = np.zeros(vectors.shape[1])
    chosen: list[tuple[int, int]] = []
    best = -np.inf
    signs = ((1, order[:pool], _LIKE), (-1, order[::-1][:pool], _UNLIKE))
    while True:
        proposals = []
        for sign, rows, most in signs:
            if sum(s == sign for s, _ in chosen) == most:
                continue
            if sign < 0 and not chosen:
                continue
            sums = total + sign * vectors[rows]
            cosine = sums @ direction / np.maximum(np.linalg.norm(sums, axis=1), 1e-9)
            taken = [row for _, row in chosen]
            cosine[np.isin(rows, taken)] = -np.inf
            k = int(cosine.argmax())
            proposals.append((float(cosine[k]), sign, int(rows[k])))
        value, sign, row = max(proposals, default=(-np.inf, 0, 0))
        if value <= best + 1e-4:
            break
        best = value
        chosen.append((sign, row))
        total = total + sign * vectors[row]
    like = tuple(row for sign, row in chosen if sign > 0)
    return like, tuple(row for sign, row in chosen if sign < 0)


def summed(vectors: Vectors, like: Sequence[int], unlike: Sequence[int]) -> Floats:
    """Return float64 (d,), unit length: the sum of some vectors, less that of others."""
    total = vectors[list(like)].sum(axis=0, dtype=np.float64)
    return _unit(total - vectors[list(unlike)].sum(axis=0, dtype=np.float64))


def _unit(vector: npt.NDArray[np.floating]) -> Floats:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float64)
