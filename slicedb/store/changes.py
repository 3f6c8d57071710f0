"""Find which rows of a table changed between two versions, from what Lance says of its files.

A data file is never written again and has a name of its own, so a fragment whose files and
deletions are the same in both versions has the same rows. Only the others are looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from slicedb.keys import Keys

if TYPE_CHECKING:
    import lance


@dataclass(frozen=True, eq=False)
class Changes:
    """How the rows of one version become those of another.

    Those that are gone are taken out, and those that are new stand behind all that stay. A row
    that was updated is both.
    """

    gone: Keys
    """int64 (n,), ascending: places in the stored order before."""
    gone_keys: Keys
    """int64 (n,): their keys."""
    fragments: tuple[int, ...]
    """The fragments that hold the new rows."""
    new_keys: Keys
    """int64 (m,): the keys of the new rows, in stored order."""

    def __len__(self) -> int:
        return len(self.gone) + len(self.new_keys)

    @property
    def keys(self) -> Keys:
        """int64: the keys of all rows that changed, some of them twice."""
        return np.concatenate([self.gone_keys, self.new_keys])


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
    same = {i for i in old.keys() & new.keys() if _files(old[i], fields) == _files(new[i], fields)}
    order = list(new)
    kept = [i for i in order if i in same]
    if order[: len(kept)] != kept or [i for i in old if i in same] != kept:
        return None  # new rows stand between those that stay, or these in another order
    added = tuple(order[len(kept) :])
    if sum(_live(new[i]) for i in added) > most:
        return None
    if sum(_live(old[i]) for i in old if i not in same) > most:
        return None
    gone, gone_keys, start = [], [], 0
    for number, about in old.items():
        if number not in same or about.get("deletion_file") != new[number].get("deletion_file"):
            addresses, keys = _rows(before, number)
            left = _rows(after, number)[0] if number in same else addresses[:0]
            if not np.isin(left, addresses).all():
                return None  # a restored version has rows that were deleted meanwhile
            lost = ~np.isin(addresses, left)
            gone.append(start + np.flatnonzero(lost))
            gone_keys.append(keys[lost])
        start += _live(about)
    new_keys = read_fragments(after, added, ["key"])["key"].to_numpy()
    found = Changes(_joined(gone), _joined(gone_keys), added, new_keys)
    return found if len(found) <= most else None


def read_fragments(
    dataset: lance.LanceDataset, fragments: Iterable[int], columns: Sequence[str]
) -> pa.Table:
    """Return the rows of some fragments, in stored order."""
    wanted = [dataset.get_fragment(number) for number in fragments]
    if not wanted:
        return dataset.scanner(columns=list(columns), limit=0).to_table()
    return dataset.scanner(columns=list(columns), fragments=wanted, scan_in_order=True).to_table()


def _fragments(dataset: lance.LanceDataset) -> dict[int, dict[str, Any]]:
    """Return what is known of each fragment, by number, in stored order."""
    every = (fragment.metadata.to_json() for fragment in dataset.get_fragments())
    parsed = (json.loads(about) if isinstance(about, str) else about for about in every)
    return {int(about["id"]): about for about in parsed}


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


def _files(about: dict[str, Any], fields: dict[str, list[int]]) -> dict[int, str]:
    """Return what the values of each field are read from."""
    wanted = {i for ids in fields.values() for i in ids}
    files = {
        i: f"{file.get('base_id')}/{file['path']}"
        for file in about["files"]
        for i in file["fields"]
        if i in wanted
    }
    # Values that were put over those of the files, which Lance may come to write.
    return files | {-1: str(about.get("overlays") or "")}


def _live(about: dict[str, Any]) -> int:
    deletions = about.get("deletion_file") or {}
    return int(about["physical_rows"]) - int(deletions.get("num_deleted_rows") or 0)


def _rows(dataset: lance.LanceDataset, number: int) -> tuple[Keys, Keys]:
    """Return the addresses and the keys of the rows of a fragment, in stored order."""
    scanner = dataset.scanner(
        columns=["key"],
        fragments=[dataset.get_fragment(number)],
        with_row_address=True,
        scan_in_order=True,
    )
    table = scanner.to_table()
    return table["_rowaddr"].to_numpy().astype(np.int64), table["key"].to_numpy()


def _joined(parts: Sequence[Keys]) -> Keys:
    return np.concatenate([np.empty(0, np.int64), *parts]).astype(np.int64)
