"""Find what changed between two states of the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from slicedb.keys import KeyIndex
from slicedb.schema import SAMPLES
from slicedb.show.tabular import Tabular

if TYPE_CHECKING:
    from slicedb.store import Store


@dataclass(frozen=True)
class SliceMove:
    """How the members of one slice moved between two states."""

    name: str
    added: int
    removed: int
    count: int | None
    """Members afterwards, None where there is no such slice or its text does not bind."""
    note: str = ""
    """new, dropped, redefined or broken."""

    def __str__(self) -> str:
        count = "" if self.count is None else f", {self.count:,} now"
        note = f" ({self.note})" if self.note else ""
        return f"slice {self.name}: +{self.added:,} -{self.removed:,}{count}{note}"


@dataclass(frozen=True)
class Difference(Tabular):
    """What changed in `samples` between two states; each is a list of ids, sorted."""

    added: list[str]
    removed: list[str]
    relabelled: list[str]
    changed: list[str]
    """The image itself has other bytes."""
    tables: dict[str, tuple[int | None, int | None]]
    """Tables whose version differs: before and after; None where there was none."""
    slices: tuple[SliceMove, ...] = ()
    """The slices whose members or definitions moved; see `Database.diff`."""

    def to_arrow(self) -> pa.Table:
        """Return one row per sample: change (added, removed, relabelled or changed) and id."""
        kinds = ("added", "removed", "relabelled", "changed")
        rows = [(kind, sample) for kind in kinds for sample in getattr(self, kind)]
        changes, ids = zip(*rows) if rows else ((), ())
        return pa.table({"change": pa.array(changes, "string"), "id": pa.array(ids, "string")})

    def __str__(self) -> str:
        lines = [
            f"{len(self.added):,} added, {len(self.removed):,} removed, "
            f"{len(self.relabelled):,} relabelled, {len(self.changed):,} with another image"
        ]
        for sign, ids in zip(
            "+-~*", (self.added, self.removed, self.relabelled, self.changed), strict=True
        ):
            lines += [f"{sign} {i}" for i in ids[:20]]
            if len(ids) > 20:
                lines.append(f"{sign} ... {len(ids) - 20:,} more")
        return "\n".join([*lines, *map(str, self.slices)])


def between(store: Store, old: Mapping[str, int], new: Mapping[str, int]) -> Difference:
    """Compare the samples of two states.

    Args:
        store: the database.
        old: version of each table before.
        new: version of each table after.
    """
    names = sorted({*old, *new})
    moved = {n: (old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)}
    columns = ["key", "id", "label", "sha256"]
    a = store.table(SAMPLES, columns, version=old.get(SAMPLES))
    b = store.table(SAMPLES, columns, version=new.get(SAMPLES))
    after = KeyIndex(b["key"].to_numpy())
    rows = after.find(a["key"].to_numpy())
    stayed = rows >= 0
    both_a, both_b = a.filter(pa.array(stayed)), b.take(pa.array(rows[stayed]))
    return Difference(
        added=_ids(b.filter(pa.array(~after.mask(a["key"].to_numpy())))),
        removed=_ids(a.filter(pa.array(~stayed))),
        relabelled=_ids(both_b.filter(_differ(both_a["label"], both_b["label"]))),
        changed=_ids(both_b.filter(_differ(both_a["sha256"], both_b["sha256"]))),
        tables=moved,
    )


def _ids(table: pa.Table) -> list[str]:
    return sorted(table["id"].to_pylist())


def _differ(a: pa.ChunkedArray, b: pa.ChunkedArray) -> pa.Array:
    """Compare with null equal to null."""
    unequal = pc.fill_null(pc.not_equal(a, b), False)
    return pc.or_(unequal, pc.xor(pc.is_null(a), pc.is_null(b)))
