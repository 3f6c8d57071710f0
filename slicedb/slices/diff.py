"""Who came to a slice and who went, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from slicedb import schema
from slicedb.slices.slice import Members, Slice
from slicedb.store import Store


@dataclass(frozen=True)
class Diff:
    """The difference of two memberships."""

    old: str
    new: str
    added: list[tuple[str, str]]
    """(id, reason) in the order of the new members; the reason is "" where it is not known."""
    removed: list[tuple[str, str]]
    """(id, reason) in the order of the old members."""
    kept: int

    def __str__(self) -> str:
        moves = f"+{len(self.added):,} -{len(self.removed):,}, {self.kept:,} kept"
        head = f"{self.old} -> {self.new}: {moves}"
        lines = [
            f"{sign} {i}" + (f"  ({why})" if why else "")
            for sign, rows in (("+", self.added), ("-", self.removed))
            for i, why in rows
        ]
        return "\n".join([head, *lines])


def diff(
    store: Store,
    old: Slice,
    new: Slice,
    members: Callable[[Slice, bool], Members],
) -> Diff:
    """Return the difference of two slices, with the reasons that the tables know.

    Args:
        store: for labels, status and what was deleted.
        old: the earlier one; when frozen, its samples table of that time is looked at.
        new: the later one.
        members: gives (keys, ids) of a slice, deleted samples included.
    """
    (old_keys, old_ids), (new_keys, new_ids) = members(old, False), members(new, False)
    gone, come = ~np.isin(old_keys, new_keys), ~np.isin(new_keys, old_keys)
    now = _facts(store, None)
    version = old.tables.get(schema.SAMPLES)
    then = now if version is None else _facts(store, version)
    removed = [(i, _why_removed(i, then, now)) for i, out in zip(old_ids, gone) if out]
    added = [(i, _why_added(i, then, now)) for i, is_new in zip(new_ids, come) if is_new]
    return Diff(_title(old), _title(new), added, removed, int((~gone).sum()))


_Facts = dict[str, tuple[str | None, str | None]]


def _facts(store: Store, version: int | None) -> _Facts:
    """Return id -> (label, status) at a version of the samples."""
    rows = store.table(schema.SAMPLES, ["id", "label", "status"], version=version)
    return dict(
        zip(rows["id"].to_pylist(), zip(rows["label"].to_pylist(), rows["status"].to_pylist()))
    )


def _why_removed(sample: str, then: _Facts, now: _Facts) -> str:
    if sample not in now:
        return "deleted"
    return _what_changed(sample, then, now)


def _why_added(sample: str, then: _Facts, now: _Facts) -> str:
    if sample not in then:
        return "new sample"
    return _what_changed(sample, then, now)


def _what_changed(sample: str, then: _Facts, now: _Facts) -> str:
    if sample not in then or sample not in now:
        return ""
    (old_label, old_status), (label, status) = then[sample], now[sample]
    if status != old_status:
        return f"status {old_status} -> {status}"
    return "" if label == old_label else f"label {old_label} -> {label}"


def _title(s: Slice) -> str:
    return f"{s.name}@{s.version}" if s.kind == "frozen" else s.name
