"""Units: groups of samples that no split divides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import sql
from slicedb.curate.grouping import components
from slicedb.errors import CheckError
from slicedb.keys import KeyIndex, Keys

Ints = npt.NDArray[np.int64]


def codes_of(rows: pa.Table, column: str) -> Ints:
    """Return int64 (n,): a number for each distinct value of a column.

    Raises:
        CheckError: it is NULL somewhere.
    """
    values = rows[column].combine_chunks()
    if values.null_count:
        name = sql.name(column)
        raise CheckError(
            f"The group column '{column}' is NULL for {values.null_count:,} of {len(values):,} "
            "samples, of which nobody knows what they belong to.",
            f'give them a group (`attach`), or leave them out with on="{name} IS NOT NULL".',
        )
    coded = values.dictionary_encode()
    return np.asarray(coded.indices.to_numpy(zero_copy_only=False), np.int64)


def units_of(keys: Keys, groups: Sequence[Ints], pairs: npt.NDArray[np.int64]) -> Ints:
    """Return int64 (n,): the unit of each sample, from 0.

    Samples that share a group of any column, or that are paired, are one unit; so are those that
    are connected through others.

    Args:
        keys: int64 (n,): the samples.
        groups: for each group column int64 (n,): the group of each sample.
        pairs: int64 (m, 2): keys of samples that belong together; those that are not among `keys`
            count for nothing.
    """
    n = len(keys)
    if not groups and not len(pairs):
        return np.arange(n)
    if len(groups) == 1 and not len(pairs):
        return groups[0]
    left, right, n_nodes = [], [], n
    for group in groups:
        left.append(np.arange(n))
        right.append(group + n_nodes)
        n_nodes += int(group.max(initial=-1)) + 1
    if len(pairs):
        ends = KeyIndex(keys).find(pairs.reshape(-1)).reshape(-1, 2)
        ends = ends[(ends >= 0).all(axis=1)]
        left.append(ends[:, 0])
        right.append(ends[:, 1])
    component = components(n_nodes, np.concatenate(left), np.concatenate(right))
    _, unit = np.unique(component[:n], return_inverse=True)
    return np.asarray(unit, np.int64)


def crossing(unit: Ints, part: Ints) -> Ints:
    """Return int64: the samples of units that lie in more than one part; part -1 is in none."""
    at = np.flatnonzero(part >= 0)
    if not len(at):
        return at
    n = int(unit.max()) + 1
    least, most = np.full(n, np.iinfo(np.int64).max), np.full(n, -1)
    np.minimum.at(least, unit[at], part[at])
    np.maximum.at(most, unit[at], part[at])
    return np.asarray(at[(least != most)[unit[at]]])
