"""Choose samples that stand for many others: the most typical of what nothing chosen is near yet.

A sample stands for another as far as a Gaussian of their distance says. The next one is always
the one that adds most to how well all are stood for, given what is labelled and chosen already
(MaxHerding: Bae, Noh and Sutherland, ECCV 2024). Its first picks are the typical samples of large
groups, as TypiClust's are (Hacohen, Dekel and Weinshall, ICML 2022), without a number of clusters,
and what is chosen first does not depend on how many are asked for.
"""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

from slicedb.metrics.outcomes import Floats, Ints

Vectors = npt.NDArray[np.float32]

_REFERENCES = 2000
"""Samples that are to be stood for; more are drawn from."""
_CANDIDATES = 20_000
"""Samples that may be chosen; more are drawn from."""
_WIDTH = 0.5
"""Width of the Gaussian, in median distances of two samples."""
_BLOCK = 1000


def herd(
    pool: Vectors,
    labelled: Vectors,
    n: int,
    *,
    worth: Floats | None = None,
    cost: Floats | None = None,
    budget: float | None = None,
    seed: int = 0,
) -> tuple[Ints, Floats]:
    """Choose samples one after the other, each the one that adds most.

    Args:
        pool: float32 (p, d), unit length: what may be chosen, and is to be stood for.
        labelled: float32 (m, d), unit length: what stands for others already.
        n: how many.
        worth: float64 (p,), not negative: how much it counts that each sample is stood for.
        cost: float64 (p,), above 0: of each sample; the gain per cost then decides.
        budget: the sum of costs that is not passed.
        seed: of what is drawn where the pool is large.

    Returns:
        int64 (k,): rows of the pool in their order, and float64 (k,): what each adds, as a share
        of what a sample would add that all others were equal to.
    """
    if not len(pool) or n < 1:
        return np.empty(0, np.int64), np.empty(0)
    rng = np.random.default_rng(seed)
    rows, candidates = _drawn(rng, len(pool), _REFERENCES), _drawn(rng, len(pool), _CANDIDATES)
    references = pool[rows]
    width = _WIDTH * _median_distance(references, rng)
    near = _kernel(pool[candidates], references, width)  # (c, r)
    weight = np.ones(len(rows), np.float32)
    if worth is not None and worth[rows].sum() > 0:
        weight = (worth[rows] / worth[rows].mean()).astype(np.float32)
    covered = np.zeros(len(rows), np.float32)
    for start in range(0, len(labelled), _BLOCK):
        block = _kernel(labelled[start : start + _BLOCK], references, width)
        np.maximum(covered, block.max(axis=0), out=covered)
    price = np.ones(len(candidates)) if cost is None else cost[candidates]
    chosen, gains = _greedy(near, covered, weight, price, n, np.inf if budget is None else budget)
    return candidates[chosen], gains


def _greedy(
    near: Vectors, covered: Vectors, weight: Vectors, price: Floats, n: int, budget: float
) -> tuple[Ints, Floats]:
    """Choose rows of `near` greedily.

    What a sample adds only falls while others are chosen, so that most need not be computed anew
    (Minoux 1978).
    """
    gain = np.concatenate(
        [
            np.maximum(near[start : start + _BLOCK] - covered, 0) @ weight
            for start in range(0, len(near), _BLOCK)
        ]
    )
    heap = [(-float(g) / float(c), i) for i, (g, c) in enumerate(zip(gain, price))]
    heapq.heapify(heap)
    chosen: list[int] = []
    gains: list[float] = []
    while heap and len(chosen) < n:
        _, i = heapq.heappop(heap)
        if price[i] > budget:
            continue
        fresh = float(np.maximum(near[i] - covered, 0) @ weight)
        if heap and (-fresh / float(price[i]), i) > heap[0]:
            heapq.heappush(heap, (-fresh / float(price[i]), i))
            continue
        chosen.append(i)
        gains.append(fresh / near.shape[1])
        budget -= float(price[i])
        np.maximum(covered, near[i], out=covered)
    return np.array(chosen, np.int64), np.array(gains)


def farthest(pool: Vectors, labelled: Vectors, n: int) -> tuple[Ints, Floats]:
    """Choose samples one after the other, each the one farthest from all labelled and chosen ones.

    The greedy k-center (Gonzalez 1985; core sets: Sener and Savarese, ICLR 2018). Without labelled
    samples the first is the one nearest to the mean.

    Returns:
        int64 (k,): rows of the pool, and float64 (k,): 1 - the cosine with the nearest of those
        before it, 0 for a first one.
    """
    closest = np.full(len(pool), -np.inf, np.float32)
    for start in range(0, len(labelled), _BLOCK):
        block = pool @ labelled[start : start + _BLOCK].T  # (p, d) @ (d, b) -> (p, b)
        np.maximum(closest, block.max(axis=1), out=closest)
    chosen: list[int] = []
    distances: list[float] = []
    for _ in range(min(n, len(pool))):
        is_first = not len(labelled) and not chosen
        at = int((pool @ pool.mean(axis=0)).argmax() if is_first else closest.argmin())
        chosen.append(at)
        distances.append(0.0 if is_first else max(0.0, 1 - float(closest[at])))
        np.maximum(closest, pool @ pool[at], out=closest)
        closest[at] = np.inf
    return np.array(chosen, np.int64), np.array(distances)


def _drawn(rng: np.random.Generator, n: int, most: int) -> Ints:
    if n <= most:
        return np.arange(n)
    return np.sort(rng.choice(n, most, replace=False))


def _median_distance(vectors: Vectors, rng: np.random.Generator) -> float:
    left, right = rng.integers(0, len(vectors), (2, 4096))
    cosine = (vectors[left] * vectors[right]).sum(axis=1)[left != right]
    if not len(cosine):
        return 1.0
    return max(float(np.sqrt(np.maximum(2 - 2 * np.median(cosine), 0))), 1e-3)


def _kernel(a: Vectors, b: Vectors, width: float) -> Vectors:
    """Return float32 (n, m): how far each of `a` stands for each of `b`, 1 where they are equal."""
    near = a @ b.T  # (n, d) @ (d, m) -> (n, m)
    near -= 1
    near *= 2 / width**2
    result: Vectors = np.exp(np.minimum(near, 0))
    return result
