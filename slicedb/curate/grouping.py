"""Put pairs of duplicates into groups."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.keys import KeyIndex, Keys
from slicedb.metrics.outcomes import Ints


def groups(keys: Keys, pairs: pa.Table, *, chain: bool = False) -> Ints:
    """Return the group of each sample, -1 where it has no duplicate.

    By default a group is a leader with the samples that are its own duplicates and nobody's before,
    so that a group has a bounded diameter and each member was compared with the leader: A may look
    like B and B like C without A looking like C. The leader is the first in the order of `keys`:
    give them in the order in which they should be kept. Identical pictures (distance 0) always
    share a group.

    Args:
        keys: int64 (n,), the best first.
        pairs: as of `near_pairs`; pairs with other keys are left out.
        chain: let groups grow along pairs, without a bound. For splits, which nothing may cross.

    Returns:
        int64 (n,): numbers from 0, in the order of the leaders.

    >>> def pairs(*rows):
    ...     return pa.table([list(c) for c in zip(*rows)], ["left", "right", "distance"])
    >>> groups(np.array([7, 8, 9, 6]), pairs((7, 8, 0.1), (8, 9, 0.1))).tolist()
    [0, 0, -1, -1]
    >>> groups(np.array([7, 8, 9, 6]), pairs((7, 8, 0.1), (8, 9, 0.1)), chain=True).tolist()
    [0, 0, 0, -1]
    >>> groups(np.array([7, 8, 9, 6]), pairs((7, 8, 0.1), (8, 9, 0.0))).tolist()
    [0, 0, 0, -1]
    """
    index = KeyIndex(keys)
    left, right = (index.find(pairs[side].to_numpy()) for side in ("left", "right"))
    inside = (left >= 0) & (right >= 0) & (left != right)
    left, right = left[inside], right[inside]
    equal = pc.equal(pairs["distance"], 0.0).to_numpy()[inside]
    n = len(keys)
    joined = components(n, left, right) if chain else components(n, left[equal], right[equal])
    if chain:
        return _numbered(joined)
    # Identical pictures are one node, named by the first of them; its leader is the first node
    # before it, in order, that leads and is its duplicate.
    one, other = joined[left[~equal]], joined[right[~equal]]
    leaders = _leaders(n, one, other)
    return _numbered(leaders[joined])


def components(n: int, left: Ints, right: Ints) -> Ints:
    """Return int64 (n,): the first row that each row is connected with."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(left):
        return np.arange(n)
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(n, n))
    _, numbers = connected_components(graph, directed=False)
    first = np.full(numbers.max() + 1, n, np.int64)
    np.minimum.at(first, numbers, np.arange(n))
    return np.asarray(first[numbers])


def _leaders(n: int, left: Ints, right: Ints) -> Ints:
    """Return int64 (n,): the leader of each row, itself where it has none before it."""
    leaders = np.arange(n)
    first, second = np.minimum(left, right), np.maximum(left, right)
    order = np.lexsort((first, second))
    first, second = first[order], second[order]
    starts = np.flatnonzero(np.diff(second, prepend=-1))
    # Only rows with a pair are gone over, in order; whether one leads depends on those before it.
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(second)]):
        mine = first[start:end]
        leading = mine[leaders[mine] == mine]
        if len(leading) and second[start] != leading[0]:
            leaders[second[start]] = leading[0]
    return leaders


def _numbered(leaders: Ints) -> Ints:
    """Return numbers of groups from 0 by their leader, -1 for groups of one."""
    sizes = np.bincount(leaders, minlength=len(leaders)) if len(leaders) else leaders
    is_group = sizes > 1
    numbers = np.where(is_group, np.cumsum(is_group) - 1, -1)
    return np.asarray(numbers[leaders]) if len(leaders) else leaders
