"""Adjust the p-values of many tests made at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from slicedb.keys import mix
from slicedb.stats.intervals import Floats, Sides

if TYPE_CHECKING:
    from scipy import sparse

Sparse: TypeAlias = "sparse.csr_matrix"

_CELLS = 4_000_000

_MANY = 20_000
"""Rows from which those are looked for that are alike."""

_WORK = 200_000_000
"""Products after which flips with margins end: there, samples count on which nothing differs."""

_FEWEST = 2_000
"""Flips that are made all the same."""


def holm(p: npt.ArrayLike) -> Floats:
    """Return p-values adjusted for the family-wise error rate (Holm, Scand. J. Statist. 1979).

    Args:
        p: float (m,) in [0, 1]; NaN is a test that could not be made: it stays NaN and does not
            count.

    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    raw = np.asarray(p, float)
    adjusted = np.full(raw.shape, np.nan)
    made = np.flatnonzero(~np.isnan(raw))
    order = made[np.argsort(raw[made], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * raw[order]), 1.0)
    return adjusted


def benjamini_hochberg(p: npt.ArrayLike) -> Floats:
    """Return p-values adjusted for the false discovery rate (Benjamini & Hochberg, JRSS B 1995).

    Args:
        p: float (m,) in [0, 1]; NaN stays NaN and does not count.

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.04, 0.04]
    """
    raw = np.asarray(p, float)
    adjusted = np.full(raw.shape, np.nan)
    made = np.flatnonzero(~np.isnan(raw))
    order = made[np.argsort(raw[made], kind="stable")][::-1]
    factors = len(order) / (len(order) - np.arange(len(order)))
    adjusted[order] = np.minimum(np.minimum.accumulate(factors * raw[order]), 1.0)
    return adjusted


class MaxT(NamedTuple):
    """What `max_t` returns, one element per slice."""

    statistic: Floats
    """Sum of the differences over the root of the sum of their squares; NaN without any."""
    p: Floats
    """Adjusted p-value; NaN where no row of the slice is discordant."""


def max_t(
    differences: npt.ArrayLike,
    members: npt.NDArray[np.bool_] | Sparse,
    *,
    margins: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    sides: Sides = 1,
    weights: npt.ArrayLike | None = None,
    replicates: int = 10_000,
    enough: int | None = 400,
    seed: int = 0,
) -> MaxT:
    """Return step-down max-T p-values that a slice got worse (Westfall & Young 1993).

    Under the null hypothesis the sign of each sample's difference is a fair coin, so all slices
    are tested against the same random flips of the discordant rows: slices that share samples
    share their luck, and overlap costs no power as it does with Holm.

    Args:
        differences: float (n,), candidate minus baseline per sample, higher is better (right -
            right gives -1, 0, 1); rows of 0 are skipped.
        members: (s, n) membership, boolean array or scipy sparse matrix.
        margins: float (s,): how much worse a slice may be; None for 0. The differences plus the
            margin are flipped (a wild bootstrap, Liu, Ann. Statist. 1988): no longer exact, but the
            statistic is normal in large slices, and worse samples outweigh the better ones where
            the null is true, which makes its lower tail the lighter one.
        groups: (n,) group of each sample; whole groups are flipped, for samples that are not
            independent (frames of one video).
        sides: 1 seeks slices that got worse, 2 slices that differ.
        weights: float (s,), positive: a slice's share of the error rate, fixed before the signs
            are seen (Genovese, Roeder & Wasserman, Biometrika 2006); None is the same for all.
        replicates: number of random flips; p is at least 1 / (replicates + 1).
        enough: stop once every slice has met so many flips as extreme as itself: its p is known
            to a twentieth then (Besag & Clifford, Biometrika 1991). None makes all flips.
        seed: seed of NumPy's default generator.

    Returns:
        statistic and adjusted p for "the slice is worse", float64 (s,).

    >>> d = np.array([-1.0] * 12 + [1.0] * 2)
    >>> result = max_t(d, np.array([[True] * 14, [False] * 12 + [True] * 2]))
    >>> bool(result.p[0] < 0.05 < result.p[1])
    True
    """
    from scipy import sparse

    d = np.asarray(differences, float)
    belongs = sparse.csr_matrix(members, dtype=float)
    shift = np.zeros(belongs.shape[0]) if margins is None else np.asarray(margins, float)
    rows = np.arange(len(d)) if shift.any() else np.flatnonzero(d)
    part = belongs if len(rows) == len(d) else belongs[:, rows]
    weighted = _like(part, part.data * d[rows][part.indices])
    if shift.any():
        weighted = sparse.csr_matrix(weighted + sparse.diags(shift) @ belongs)
        weighted.eliminate_zeros()
        replicates = min(replicates, max(_FEWEST, _WORK // max(weighted.nnz, 1)))
    del members, belongs, part  # each a gigabyte where slices are many and large
    if groups is not None:
        weighted = weighted @ _indicator(np.asarray(groups)[rows])  # (s, n) @ (n, g) -> (s, g)
    scale = np.sqrt(np.asarray(_like(weighted, weighted.data**2).sum(axis=1)).ravel())
    total = np.asarray(weighted.sum(axis=1)).ravel()
    statistic = np.where(scale > 0, total / np.where(scale > 0, scale, 1.0), np.nan)
    tested = np.flatnonzero(scale > 0)
    p = np.full(len(statistic), np.nan)
    if len(tested):
        share = None if weights is None else np.asarray(weights, float)[tested]
        scored = _score(sides, share)
        score = scored(statistic[tested, None])[:, 0]
        order = np.argsort(score, kind="stable")  # the worst first
        # sorted from worst to best, in units of each slice's own scale
        product = weighted[tested[order]]
        del weighted
        for i, row in enumerate(tested[order].tolist()):
            product.data[product.indptr[i] : product.indptr[i + 1]] *= 1 / scale[row]
        limit = replicates if enough is None else enough
        again = _score(sides, None if share is None else share[order])
        product, alike = _merged(product)
        counts, made = _count_more_extreme(
            product, alike, score[order], again, replicates, limit, seed
        )
        p[tested[order]] = np.maximum.accumulate((counts + 1) / (made + 1))
    return MaxT(statistic, p)


def _like(matrix: Sparse, data: Floats) -> Sparse:
    """Return the matrix with other values at the same places, which both share in memory."""
    from scipy import sparse

    return sparse.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _indicator(groups: npt.NDArray[np.generic]) -> Sparse:
    """Return the sparse matrix (n, g) that sums rows by group."""
    from scipy import sparse

    code = np.unique(groups, return_inverse=True)[1]
    n = len(code)
    size = int(code.max()) + 1 if n else 0
    return sparse.csr_matrix((np.ones(n), code, np.arange(n + 1)), shape=(n, size))


def _score(sides: Sides, weights: Floats | None) -> Callable[[Floats], Floats]:
    """Return the function from statistics (s, b) to scores, the lower the worse."""
    if weights is None:
        return (lambda t: t) if sides == 1 else (lambda t: -np.abs(t))
    from scipy.special import log_ndtr

    shift = np.log(weights)[:, None]
    return lambda t: log_ndtr(t if sides == 1 else -np.abs(t)) - shift


def _merged(product: Sparse) -> tuple[Sparse, npt.NDArray[np.int64] | None]:
    """Keep one of those columns that are alike, where there are many and few kinds of them.

    Samples in the same slices with the same difference flip by fair coins of their own, of which
    only the sum counts: one binomial number for all of them.

    Returns:
        (s, m), and int64 (m,): how many columns each stands for; None where each stands for itself.
    """
    width = product.shape[1]
    if width < _MANY:
        return product, None
    kind = np.zeros(width, np.uint64)  # of 64 bits by chance: two kinds do not share one
    for i in range(product.shape[0]):
        part = slice(product.indptr[i], product.indptr[i + 1])
        bits = product.data[part].view(np.uint64) ^ mix(np.array([i + 1]))
        kind[product.indices[part]] ^= mix(bits)
    if len(np.unique(kind[:: width // 1000 + 1])) > 500:
        return product, None
    order = np.argsort(kind)
    starts = np.flatnonzero(np.append(True, np.diff(kind[order]) != 0))
    counts = np.diff(np.append(starts, width))
    return product[:, order[starts]], counts


def _count_more_extreme(
    product: Sparse,
    alike: npt.NDArray[np.int64] | None,
    observed: Floats,
    scored: Callable[[Floats], Floats],
    replicates: int,
    enough: int,
    seed: int,
) -> tuple[npt.NDArray[np.int64], int]:
    """Count the flips whose minimum over this slice and the better ones is as low as observed.

    Returns:
        The counts, and the number of flips made.
    """
    rng = np.random.default_rng(seed)
    counts, made, width = np.zeros(len(observed), np.int64), 0, product.shape[1]
    block = max(1, min(1000, _CELLS // width))
    while made < replicates and counts.min() < enough:
        b = min(block, replicates - made)
        if alike is None:
            signs = rng.integers(0, 2, (width, b), dtype=np.int8) * 2.0 - 1.0
        else:
            signs = 2.0 * rng.binomial(alike[:, None], 0.5, (width, b)) - alike[:, None]
        flipped = scored(product @ signs)  # (s, width) @ (width, b) -> (s, b)
        lowest = np.minimum.accumulate(flipped[::-1], axis=0)[::-1]
        counts += (lowest <= observed[:, None] + 1e-9).sum(axis=1)
        made += b
    return counts, made
