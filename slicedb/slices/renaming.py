"""Give a slice another name, with all its versions, answers and pins."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa

from slicedb import schema
from slicedb.errors import SliceError
from slicedb.slices.slice import Slice
from slicedb.slices.table import SliceTable


def rename(table: SliceTable, s: Slice, new: str) -> None:
    """Rename a slice; texts of other slices that are made of it follow.

    Commits keep the slice under its earlier name.

    Args:
        table: the registry's.
        s: the newest version of the slice.
        new: a name that was checked.

    Raises:
        SliceError: the name is, or was once, that of another slice.
    """
    store, old = table.store, s.name
    versions = table.versions(old)
    if table.next_version(new) > 1:
        raise SliceError(
            f"There is, or was, a slice '{new}'.", "names of slices are not used twice."
        )

    def renamed(rows: pa.Table) -> pa.Table:
        changed = rows.to_pylist()
        for row in changed:
            if row["name"] == old:
                row["name"], row["id"] = new, f"{new}@{row['version']}"
            row["text"] = with_reference(row["text"], old, new)
        return pa.Table.from_pylist(changed, schema=rows.schema)

    if s.kind == "frozen":  # pinned under both names until the old one is gone
        table.pin(replace(s, name=new), s.tables)
    store.rewrite(schema.SLICES, renamed)
    if store.has(schema.ANSWERS):
        store.rewrite(schema.ANSWERS, _answers(old, new))
    for version in versions:
        if version.kind == "frozen":
            table.unpin(version)
    store.sync()


def with_reference(text: str, old: str, new: str) -> str:
    """Return a query text in which `in_slice('old')` speaks of the new name.

    >>> with_reference("in_slice('a') AND in_slice( 'a@2' ) AND label = 'a'", "a", "b")
    "in_slice('b') AND in_slice( 'b@2' ) AND label = 'a'"
    """
    pattern = rf"(\bin_slice\s*\(\s*'){re.escape(old)}(?=(@\d+)?')"
    return re.sub(pattern, lambda match: match[1] + new, text or "", flags=re.IGNORECASE)


def _answers(old: str, new: str) -> Callable[[pa.Table], pa.Table]:
    def renamed(rows: pa.Table) -> pa.Table:
        changed = rows.to_pylist()
        for row in changed:
            if row["slice"] == old:
                _, text, sample = json.loads(row["id"])
                row["slice"], row["id"] = new, json.dumps([new, text, sample])
        return pa.Table.from_pylist(changed, schema=rows.schema)

    return renamed
