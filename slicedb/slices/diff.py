"""Compare two memberships: which samples entered, which left, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import schema
from slicedb.errors import SliceDBError
from slicedb.keys import KeyIndex, Keys
from slicedb.query import Reads
from slicedb.show.tabular import Tabular
from slicedb.slices.reasons import DEFINITION, OTHER_SLICE, OTHERS, REASONS, UNKNOWN, reasons
from slicedb.slices.slice import Members, Slice
from slicedb.store import Store

Definitions: TypeAlias = "Mapping[str, str | Keys]"
"""What a slice is made of: its own text under "", and by name those it uses: a live one's text,
a frozen one's keys."""

_SHOWN = 20


@dataclass(frozen=True, eq=False)
class Diff(Tabular):
    """The difference of two memberships."""

    old: str
    new: str
    kept: int
    """Samples in both."""
    table: pa.Table
    """change ("+" or "-"), id, reason (one of `REASONS`), detail; those that came in the order of
    the new members, then those that went in the order of the old."""

    @property
    def added(self) -> list[tuple[str, str]]:
        """(id, reason) of those that came."""
        return self._side("+")

    @property
    def removed(self) -> list[tuple[str, str]]:
        """(id, reason) of those that went."""
        return self._side("-")

    def _side(self, sign: str) -> list[tuple[str, str]]:
        rows = self.table.filter(pc.equal(self.table["change"], sign))
        why = pc.if_else(
            pc.equal(rows["detail"], ""),
            rows["reason"],
            pc.binary_join_element_wise(rows["reason"], rows["detail"], ": "),
        )
        return list(zip(rows["id"].to_pylist(), why.to_pylist()))

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """Reason -> how many came and how many went by it; in the order of `REASONS`."""
        table = self.table.group_by(["reason", "change"]).aggregate([([], "count_all")])
        numbers = {(r["reason"], r["change"]): r["count_all"] for r in table.to_pylist()}
        every = {reason for reason, _ in numbers}
        return {
            reason: (numbers.get((reason, "+"), 0), numbers.get((reason, "-"), 0))
            for reason in REASONS
            if reason in every
        }

    def to_arrow(self) -> pa.Table:
        """Return one row per sample that came or went."""
        return self.table

    def __str__(self) -> str:
        signs = self.table["change"].to_pylist()
        come = signs.count("+")
        head = f"{self.old} -> {self.new}: +{come:,} -{len(signs) - come:,}, {self.kept:,} kept"
        lines = [f"  {reason}: +{a:,} -{b:,}" for reason, (a, b) in self.counts.items()]
        for sign, start in (("+", 0), ("-", come)):
            stop = come if sign == "+" else len(signs)
            for row in self.table.slice(start, min(_SHOWN, stop - start)).to_pylist():
                why = f"{row['reason']}: {row['detail']}" if row["detail"] else row["reason"]
                lines.append(f"{sign} {row['id']}  ({why})")
            if stop - start > _SHOWN:
                lines.append(f"{sign} ... {stop - start - _SHOWN:,} more; --format csv has all")
        return "\n".join([head, *lines])


@dataclass(frozen=True)
class Side:
    """One of the two things compared."""

    title: str
    slice: Slice
    store: Store
    """The tables its members come from."""
    keys: Keys
    definitions: Definitions
    stored: Members | None = None
    """What a frozen slice keeps, which outlives the samples themselves."""


def diff(
    old: Side, new: Side, ask_anew: Callable[[Definitions], Keys], reads: Reads | None
) -> Diff:
    """Return the difference of two slices, or of one slice at two moments, with reasons.

    Where both the definition and the data changed, the old definition is asked over the new data:
    what moves then was moved by the data, what moves by the new definition alone was moved by it.

    Args:
        ask_anew: gives the members of definitions over the new data.
        reads: what the query reads, None where that is not known.
    """
    come = new.keys[~KeyIndex(old.keys).has(new.keys)]
    gone = old.keys[~KeyIndex(new.keys).has(old.keys)]
    in_both = len(new.keys) - len(come)
    changed = redefined(old.definitions, new.definitions)
    parts = [
        _explained(sign, keys, old, new, changed, ask_anew, reads)
        for sign, keys in (("+", come), ("-", gone))
    ]
    return Diff(old.title, new.title, in_both, pa.concat_tables(parts))


def redefined(old: Definitions, new: Definitions) -> list[str]:
    """Return the names whose definitions differ; "" is the slice itself."""
    return sorted(n for n in {*old, *new} if not _same(old.get(n), new.get(n)))


def _same(a: str | Keys | None, b: str | Keys | None) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return isinstance(a, str) and isinstance(b, str) and a.strip() == b.strip()


def _explained(
    sign: str,
    keys: Keys,
    old: Side,
    new: Side,
    changed: list[str],
    ask_anew: Callable[[Definitions], Keys],
    reads: Reads | None,
) -> pa.Table:
    by_definition = np.zeros(len(keys), bool)
    same_data = old.store is new.store
    if changed and same_data:
        by_definition[:] = True
    elif changed and len(keys):
        try:
            between = KeyIndex(ask_anew(old.definitions)).has(keys)
        except SliceDBError:  # the old definition does not bind to the new tables
            between = np.full(len(keys), sign == "-")
        by_definition = ~between if sign == "+" else between
    why = reasons(old.store, new.store, keys, None if changed else reads)
    lasting = np.isin(why.reason, ("new image", "deleted", UNKNOWN))
    take = by_definition & ~lasting
    why.reason[take] = OTHER_SLICE if old.slice.name != new.slice.name else DEFINITION
    names = ", ".join(n for n in changed if n)
    text = pa.array([names] * len(keys), pa.string())
    why.detail = pc.if_else(pa.array(take), text, why.detail)
    why.reason[why.reason == ""] = OTHERS
    side = new if sign == "+" else old
    return pa.table(
        {
            "change": pa.array([sign] * len(keys), pa.string()),
            "id": _ids(side, keys),
            "reason": pa.array(why.reason, pa.string()),
            "detail": why.detail,
        }
    )


def _ids(side: Side, keys: Keys) -> pa.Array | pa.ChunkedArray:
    if not len(keys):
        return pa.array([], pa.string())
    if side.stored is None:
        return side.store.take(schema.SAMPLES, keys, ["id"])["id"].combine_chunks()
    rows = KeyIndex(side.stored[0]).find(keys)
    return pa.array(side.stored[1], pa.string()).take(pa.array(rows))
