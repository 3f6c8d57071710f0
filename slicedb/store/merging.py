"""Join rows with a table by `id`: many of them in parts, or column by column.

Lance joins within 300 MB of memory and fails where that is too little, and it writes whole rows
anew. A change of many rows is therefore written into the columns that it names, one file per
fragment and all of them in one commit, and other joins are cut into parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.keys import KeyIndex, Keys, distinct
from slicedb.schema import keys_of
from slicedb.sql import string
from slicedb.store.without_pandas import arrow_array

if TYPE_CHECKING:
    import lance

PART = 1 << 16
"""Rows that are joined at once, at most."""
WIDE = 1 << 16
_SHARE = 8
"""Rows of one change from which rewriting whole columns costs less than rewriting rows: so many,
and one in eight of the table's."""
FEW_DELETED = 64
"""Rows up to which those that are deleted are looked up one by one."""
_FRAGMENT = np.uint64(32)
"""Bits of a row's address below the number of its fragment."""


def is_exhausted(error: Exception) -> bool:
    """Return whether Lance refused a join for its memory."""
    return "Resources exhausted" in str(error)


def stored_places(dataset: lance.LanceDataset, rows: pa.Table) -> Keys:
    """Return int64 (n,): the place of each row's id in stored order, -1 where it is new."""
    stored = dataset.scanner(columns=["key"], scan_in_order=True).to_table()["key"]
    keys = rows["key"].to_numpy() if "key" in rows.column_names else keys_of(rows["id"])
    return KeyIndex(stored.to_numpy()).find(keys)


def is_wide(dataset: lance.LanceDataset, n: int) -> bool:
    """Return whether rewriting columns for n rows costs less than rewriting those rows."""
    return n >= max(WIDE, int(dataset.count_rows()) // _SHARE)


def delete_few(dataset: lance.LanceDataset, ids: Sequence[str]) -> None:
    """Delete the rows of a few ids, in one commit.

    Lance's own `delete` and joins read the row ids of all fragments, which take 30 ms in a table
    that has lived; this looks the ids up and marks rows in the fragments that have them. Where
    another writer has changed one of those, the commit is refused.

    Raises:
        OSError: another writer has changed a fragment that has one of the rows.
    """
    import lance

    where = f"id IN ({', '.join(map(string, ids))})"
    found = dataset.scanner(columns=[], filter=where, with_row_address=True).to_table()
    numbers = distinct(found["_rowaddr"].to_numpy() >> _FRAGMENT).tolist()
    if not numbers:
        return
    left = {number: dataset.get_fragment(number).delete(where) for number in numbers}
    deletion = lance.LanceOperation.Delete(
        updated_fragments=[part for part in left.values() if part is not None],
        deleted_fragment_ids=[number for number, part in left.items() if part is None],
        predicate=where,
    )
    lance.LanceDataset.commit(dataset.uri, deletion, read_version=dataset.version)


def rewrite_columns(dataset: lance.LanceDataset, rows: pa.Table, places: Keys) -> int:
    """Write values into existing columns of existing rows, in one commit; returns the version.

    Args:
        dataset: the table at the version that the values were made for.
        rows: `id` and the columns to write; an id that is not there is ignored.
        places: int64 (n,), from `stored_places`.

    Raises:
        OSError: another writer has changed the same rows since.
        ValueError: an id comes twice.
    """
    import lance

    is_there = np.flatnonzero(places >= 0)
    if len(distinct(places[is_there])) < len(is_there):
        raise ValueError("An id comes twice among the rows to write.")
    if not len(is_there):
        return int(dataset.version)
    about = dataset.scanner(
        columns=[], with_row_id=True, with_row_address=True, scan_in_order=True
    ).to_table()
    at = places[is_there]
    row_ids = about["_rowid"].to_numpy()[at]
    fragments = (about["_rowaddr"].to_numpy()[at] >> _FRAGMENT).astype(np.int64)
    order = np.argsort(fragments, kind="stable")
    names = [name for name in rows.column_names if name not in ("id", "key")]
    values = rows.select(names).take(arrow_array(is_there[order]))
    values = values.append_column("_rowid", arrow_array(row_ids[order]))
    starts = np.flatnonzero(np.append(True, np.diff(fragments[order]) != 0)).tolist()
    numbers = fragments[order][starts].tolist()
    changed, fields, offsets = [], [], {}
    for number, start, stop in zip(numbers, starts, [*starts[1:], len(order)]):
        fragment, fields, offsets[number] = dataset.get_fragment(number).update_columns(
            values.slice(start, stop - start), left_on="_rowid", with_offsets=True
        )
        changed.append(fragment)
    update = lance.LanceOperation.Update(
        updated_fragments=changed,
        fields_modified=fields,
        update_mode="rewrite_columns",
        updated_fragment_offsets=offsets,
    )
    done = lance.LanceDataset.commit(dataset, update, read_version=dataset.version)
    return int(done.version)
