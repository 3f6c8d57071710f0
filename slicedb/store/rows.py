"""Find and read the rows of keys by their stable row ids, at one version of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.keys import KeyIndex, Keys
from slicedb.sql import string
from slicedb.store.upkeep import is_indexed
from slicedb.store.without_pandas import arrow_array

if TYPE_CHECKING:
    import lance

FEW = 4096
_SHARE = 25
"""Keys of one version that are looked up by a filter before all keys of the table are read: so
many, or one in twenty-five of its rows."""
LOOKUP = 64
"""Keys that one look-up counts for at least."""
_SCANS = 8
"""Look-ups in a table without an index that cost what reading all of its keys does."""


class Rows:
    """The rows of a table at one version, by key.

    Args:
        keys: int64 (n,), in stored order.
        row_ids: uint64 (n,), in the same order: the ids by which Lance finds a row wherever an
            update or a compaction has moved it.
    """

    def __init__(self, keys: Keys, row_ids: npt.NDArray[np.uint64]) -> None:
        self._index = KeyIndex(keys)
        self._row_ids = row_ids

    @classmethod
    def read(cls, dataset: lance.LanceDataset) -> Rows:
        """Read the keys of a table; some 80 ms a million rows."""
        table = dataset.scanner(columns=["key"], with_row_id=True, scan_in_order=True).to_table()
        return cls(table["key"].to_numpy(), table["_rowid"].to_numpy())

    @property
    def nbytes(self) -> int:
        """The memory this takes once keys were looked up."""
        return 60 * len(self._index)

    def positions(self, keys: npt.ArrayLike) -> Keys:
        """Return int64 (m,): the place of each key in stored order, -1 where it has no row."""
        return self._index.find(keys)

    def take(
        self, dataset: lance.LanceDataset, positions: Keys, columns: Sequence[str] | None
    ) -> pa.Table:
        """Read rows in the order given.

        Args:
            dataset: the table, at the version that was indexed.
            positions: int64 (m,), none of them negative; they may repeat.
            columns: projection; None reads all.
        """
        wanted = None if columns is None else list(columns)
        if not len(positions):
            return dataset.scanner(columns=wanted, limit=0).to_table()
        if len(positions) > 1 and (np.diff(positions) == 1).all():
            # A scan of neighbours costs half of what reading them one by one does.
            start = int(positions[0])
            scanner = dataset.scanner(
                columns=wanted, offset=start, limit=len(positions), scan_in_order=True
            )
            return scanner.to_table()
        # Not `dataset.take(offsets)`: beside a few deleted rows it walks the whole fragment for
        # every offset, 25 s for 10,000 of a million rows. The public ways to read by row id
        # (filters on `_rowid`) do not keep the order.
        return dataset._take_rows(arrow_array(self._row_ids[positions]), columns=wanted)


def most_lookups(dataset: lance.LanceDataset) -> int:
    """Return how many look-ups cost what reading all keys of a table does."""
    return max(FEW, int(dataset.count_rows()) // _SHARE)


def least_of(dataset: lance.LanceDataset, column: str) -> int:
    """Return how many look-ups one counts for at least: without an index it reads every row.

    Args:
        dataset: the table.
        column: what is looked up, `key` or `id`.
    """
    most = most_lookups(dataset)
    return LOOKUP if is_indexed(dataset, column) else max(LOOKUP, most // _SCANS)


def few_rows(
    dataset: lance.LanceDataset,
    keys: Keys,
    columns: Sequence[str] | None,
    ids: Sequence[str] | None = None,
) -> tuple[pa.Table, Keys]:
    """Read the rows of a few keys without reading the keys of the whole table.

    Args:
        dataset: the table.
        keys: int64 (m,).
        columns: projection; None reads all.
        ids: those of the keys, where they are at hand: every table has an index on `id`.

    Returns:
        The rows of the keys that have one, in the order of `keys`, and int64 (m,): the place of
        each key among them, -1 where it has no row.
    """
    wanted = dataset.schema.names if columns is None else list(columns)
    values = map(str, keys.tolist()) if ids is None else map(string, ids)
    where = f"{'key' if ids is None else 'id'} IN ({', '.join(values)})"
    read = list(dict.fromkeys([*wanted, "key"]))
    rows = dataset.scanner(columns=read, filter=where).to_table()
    positions = KeyIndex(rows["key"].to_numpy()).find(keys)
    return rows.select(wanted).take(arrow_array(positions[positions >= 0])), positions
