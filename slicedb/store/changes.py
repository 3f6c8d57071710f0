"""Find which rows of a table changed between two versions, from what Lance says of its files.

A data file is never written again and has a name of its own, so a fragment whose files and
deletions are the same in both versions has the same rows. Only the others are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.keys import Keys
from slicedb.store.without_pandas import arrow_array

if TYPE_CHECKING:
    import lance
    from lance.fragment import FragmentMetadata

RowAddresses: TypeAlias = npt.NDArray[np.uint64]
_ROW = np.uint64((1 << 32) - 1)
"""The bits of a row's address that say its place in its fragment."""


@dataclass(frozen=True, eq=False)
class Changes:
    """How the rows of one version become those of another.

    Those that are gone are taken out, and those that are new stand behind all that stay. A row
    that was updated is both, or altered.
    """

    gone: Keys
    """int64 (n,), ascending: places in the stored order before."""
    gone_keys: Keys
    """int64 (n,): their keys."""
    fragments: tuple[int, ...]
    """The fragments that hold the new rows."""
    new_keys: Keys
    """int64 (m,): the keys of the new rows, in stored order."""
    altered: Keys
    """int64 (k,): the keys of rows that have other values and stand where they stood."""

    def __len__(self) -> int:
        return len(self.gone) + len(self.new_keys) + len(self.altered)

    @property
    def moves_none(self) -> bool:
        """Whether all rows stand where they stood, though some may have other values."""
        return not len(self.gone) and not len(self.new_keys)

    @property
    def keys(self) -> Keys:
        """int64: the keys of all rows that changed, some of them twice."""
        return np.concatenate([self.gone_keys, self.new_keys, self.altered])


def changes(
    before: lance.LanceDataset, after: lance.LanceDataset, columns: Sequence[str], most: int
) -> Changes | None:
    """Return what changed in some columns, None where it is much or the rows moved otherwise.

    Args:
        before: a table at one version.
        after: the same table at a later one.
        columns: those that are compared, beside `key`; both versions have them.
        most: rows from which on it is much.
    """
    wanted = ["key", *columns]
    fields = _ids_of(before, wanted)
    if fields is None or fields != _ids_of(after, wanted):
        return None
    old, new = (_fragments(dataset) for dataset in (before, after))
    lists = {name for name in wanted if pa.types.is_nested(before.schema.field(name).type)}
    written = {i: _written(old[i], new[i], fields, lists) for i in old.keys() & new.keys()}
    same = {i for i, names in written.items() if "key" not in names}
    order = list(new)
    kept = [i for i in order if i in same]
    if order[: len(kept)] != kept or [i for i in old if i in same] != kept:
        return None  # new rows stand between those that stay, or these in another order
    added = tuple(order[len(kept) :])
    if sum(_live(new[i]) for i in added) > most:
        return None
    if sum(_live(old[i]) for i in old if i not in same) > most:
        return None
    starts = dict(zip(old, np.cumsum([0, *map(_live, old.values())]).tolist()))
    fewer = [i for i in old if i not in same or _deleted(old[i]) != _deleted(new[i])]
    rows = _rows(before, fewer)
    addresses, keys = rows["_rowaddr"].to_numpy(), rows["key"].to_numpy()
    left = _rows(after, [i for i in fewer if i in same])["_rowaddr"].to_numpy()
    stays = _stay(addresses, left, [(old[i], new[i] if i in same else None) for i in fewer])
    if np.count_nonzero(stays) < len(left):
        return None  # a restored version has rows that were deleted meanwhile
    places = [np.arange(starts[i], starts[i] + _live(old[i])) for i in fewer]
    gone, gone_keys = _joined(places)[~stays], keys[~stays]
    new_keys = read_fragments(after, added, ["key"])["key"].to_numpy()
    altered = [_altered(before, after, i, sorted(written[i])) for i in same if written[i]]
    found = Changes(gone, gone_keys, added, new_keys, _joined(altered))
    return found if len(found) <= most else None


def read_fragments(
    dataset: lance.LanceDataset, fragments: Iterable[int], columns: Sequence[str]
) -> pa.Table:
    """Return the rows of some fragments, in stored order."""
    wanted = [dataset.get_fragment(number) for number in fragments]
    if not wanted:
        return dataset.scanner(columns=list(columns), limit=0).to_table()
    return dataset.scanner(columns=list(columns), fragments=wanted, scan_in_order=True).to_table()


def _fragments(dataset: lance.LanceDataset) -> dict[int, FragmentMetadata]:
    """Return what is known of each fragment, by number, in stored order."""
    # Not `to_json`: what it says of the version of each row takes 300 kB after many edits.
    return {int(about.id): about for about in (f.metadata for f in dataset.get_fragments())}


def _ids_of(dataset: lance.LanceDataset, columns: Sequence[str]) -> dict[str, list[int]] | None:
    """Return the ids of the fields of each column; None where a column is not there.

    A column that was dropped and made again has another id.
    """
    fields = {field.name(): field for field in dataset.lance_schema.fields()}
    if any(name not in fields for name in columns):
        return None
    return {name: _descendants(fields[name]) for name in columns}


def _descendants(field: Any) -> list[int]:
    return [int(field.id()), *(i for child in field.children() for i in _descendants(child))]


def _files(about: FragmentMetadata, fields: dict[str, list[int]]) -> dict[int, str]:
    """Return what the values of each field are read from."""
    wanted = {i for ids in fields.values() for i in ids}
    files = {
        i: f"{file.base_id}/{file.path}" for file in about.files for i in file.fields if i in wanted
    }
    # Values that were put over those of the files, which Lance may come to write.
    return files | {-1: str(about.overlays or "")}


def _written(
    old: FragmentMetadata, new: FragmentMetadata, fields: dict[str, list[int]], lists: set[str]
) -> frozenset[str]:
    """Return the columns of a fragment that were written anew where its rows stand.

    An update of a few columns of a few rows writes those columns of all rows of the fragment. If
    `key` is among them, the rows are others; so are those that Arrow cannot compare.
    """
    if old.physical_rows != new.physical_rows:
        return frozenset({"key"})
    mine = {name: {name: ids} for name, ids in fields.items()}
    written = frozenset(n for n, one in mine.items() if _files(old, one) != _files(new, one))
    return written | {"key"} if written & lists else written


def _altered(
    before: lance.LanceDataset, after: lance.LanceDataset, number: int, columns: list[str]
) -> Keys:
    """Return the keys of the rows of a fragment that have other values in some columns."""
    import pyarrow.compute as pc

    old, new = (_rows(dataset, [number], columns) for dataset in (before, after))
    stayed = np.isin(old["_rowaddr"].to_numpy(), new["_rowaddr"].to_numpy())
    if not stayed.all():  # rows were deleted as well; both are in the order of their addresses
        old = old.filter(arrow_array(stayed))
    differ = np.zeros(len(new), bool)
    for name in columns:
        a, b = old[name], new[name]
        unequal = pc.fill_null(pc.not_equal(a, b), False)
        if pa.types.is_floating(a.type):  # NaN is what it was
            unequal = pc.and_not(unequal, pc.fill_null(pc.and_(pc.is_nan(a), pc.is_nan(b)), False))
        differ |= np.asarray(pc.or_(unequal, pc.xor(pc.is_null(a), pc.is_null(b))))
    return np.asarray(new["key"].to_numpy()[differ])


def _live(about: FragmentMetadata) -> int:
    return int(about.num_rows)


def _stay(
    addresses: RowAddresses,
    left: RowAddresses,
    fragments: Sequence[tuple[FragmentMetadata, FragmentMetadata | None]],
) -> npt.NDArray[np.bool_]:
    """Return bool (n,): which rows are still there.

    Args:
        addresses: of rows before, one fragment behind the other.
        left: of rows after, in the same order.
        fragments: each of them before and after; None where it is no more.
    """
    stays = np.zeros(len(addresses), bool)
    start = start_left = 0
    for old, new in fragments:
        stop = start + _live(old)
        if new is not None:
            stop_left = start_left + _live(new)
            is_left = np.zeros(old.physical_rows, bool)
            is_left[left[start_left:stop_left] & _ROW] = True
            stays[start:stop] = is_left[addresses[start:stop] & _ROW]
            start_left = stop_left
        start = stop
    return stays


def _deleted(about: FragmentMetadata) -> dict[str, Any] | None:
    """Return what is known of the file of a fragment's deletions."""
    return None if about.deletion_file is None else about.deletion_file.asdict()


def _rows(
    dataset: lance.LanceDataset, numbers: Sequence[int], columns: Sequence[str] = ()
) -> pa.Table:
    """Return the addresses, the keys and some columns of fragments, in stored order."""
    if not numbers:
        none = dataset.scanner(columns=["key", *columns], with_row_address=True, limit=0)
        return none.to_table()
    scanner = dataset.scanner(
        columns=list(dict.fromkeys(["key", *columns])),
        fragments=[dataset.get_fragment(number) for number in numbers],
        with_row_address=True,
        scan_in_order=True,
    )
    return scanner.to_table()


def _joined(parts: Sequence[Keys]) -> Keys:
    return np.concatenate([np.empty(0, np.int64), *parts]).astype(np.int64)
