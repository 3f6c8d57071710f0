"""Count how the members of all slices changed between two states of the database."""

from __future__ import annotations

import numpy as np

from slicedb.commits import SliceMove
from slicedb.errors import QueryError
from slicedb.slices import Slice, Slices
from slicedb.slices.overlap import n_shared
from slicedb.store import Store


def moves(store: Store, old: Slices, new: Slices) -> tuple[SliceMove, ...]:
    """Return the slices whose members or definitions are not the same, by name.

    Args:
        store: the tables of `new`.
    """
    before, after = ({s.name: s for s in slices} for slices in (old, new))
    moved = []
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        a, b = _keys(was), _keys(now)
        both = 0 if a is None or b is None else n_shared(store, b, a)
        come = 0 if b is None else len(b) - both
        gone = 0 if a is None else len(a) - both
        note = _note(was, now, a, b)
        if come or gone or note:
            moved.append(SliceMove(name, come, gone, None if b is None else len(b), note))
    return tuple(moved)


def _keys(s: Slice | None) -> np.ndarray | None:
    """Return the members, None where there are none to be told."""
    try:
        return None if s is None else s.keys()
    except QueryError:
        return None


def _note(was: Slice | None, now: Slice | None, a: np.ndarray | None, b: np.ndarray | None) -> str:
    if was is None or now is None:
        return "new" if was is None else "dropped"
    if a is not None and b is None:
        return "broken"
    if was.kind != now.kind:
        return {"frozen": "frozen", "live": "thawed"}[now.kind]
    return "" if was.text.strip() == now.text.strip() else "redefined"


def members(slices: Slices) -> dict[str, np.ndarray]:
    """Return the keys of every live slice whose text still means something, int64 (n,) each."""
    found = {s.name: _keys(s) for s in slices if s.kind == "live"}
    return {name: keys for name, keys in found.items() if keys is not None}


def changes(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> tuple[SliceMove, ...]:
    """Return the slices whose members are others, of those that were there before."""
    moved = []
    for name in sorted({*before} & {*after}):
        come = len(np.setdiff1d(after[name], before[name]))
        gone = len(np.setdiff1d(before[name], after[name]))
        if come or gone:
            moved.append(SliceMove(name, come, gone, len(after[name])))
    return tuple(moved)
