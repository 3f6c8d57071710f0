"""Find what changed between two states of the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.keys import KeyIndex
from slicedb.schema import PLUMBING, PREDICTIONS, SAMPLES
from slicedb.show.tabular import Tabular
from slicedb.tasks import TASKS
from slicedb.tasks.about import TASK
from slicedb.tasks.arrays import differs

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
class PredictionMove:
    """How the predictions of one model moved between two states."""

    model: str
    added: int
    """Samples that have a prediction now and had none."""
    removed: int
    changed: int
    """Samples that are predicted otherwise, or whose logged columns have other values."""

    def __str__(self) -> str:
        return (
            f"predictions of {self.model}: +{self.added:,} -{self.removed:,}, "
            f"{self.changed:,} changed"
        )


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
    edited: dict[str, list[str]] = field(default_factory=dict)
    """The samples with another value in each other column, such as split, tags, objects."""
    predictions: tuple[PredictionMove, ...] = ()
    """The models whose predictions moved."""

    def to_arrow(self) -> pa.Table:
        """Return one row per sample and change.

        Its columns are change (added, removed, relabelled, changed or edited), id, and column,
        the name of the edited column (null for the other changes).
        """
        rows: list[tuple[str, str, str | None]] = [
            (kind, sample, None) for kind in _KINDS for sample in getattr(self, kind)
        ]
        rows += [("edited", sample, name) for name, ids in self.edited.items() for sample in ids]
        columns = zip(*rows) if rows else ((), (), ())
        names = ("change", "id", "column")
        return pa.table({n: pa.array(c, "string") for n, c in zip(names, columns, strict=True)})

    def __str__(self) -> str:
        lines = [
            f"{len(self.added):,} added, {len(self.removed):,} removed, "
            f"{len(self.relabelled):,} relabelled, {len(self.changed):,} with another image"
        ]
        for sign, kind in zip("+-~*", _KINDS, strict=True):
            lines += _listed(sign, getattr(self, kind))
        for name, ids in self.edited.items():
            lines += [f"{len(ids):,} with another {name}", *_listed("~", ids)]
        return "\n".join([*lines, *map(str, self.predictions), *map(str, self.slices)])


_KINDS = ("added", "removed", "relabelled", "changed")
_LISTED = 20
_FOLLOWS = frozenset({"id", "key", "label", "width", "height", "error"}) | PLUMBING - {"status"}
"""Columns of samples that are not compared one by one: they are said otherwise (label, image), or
follow from the image or from when it was read."""


def _listed(sign: str, ids: list[str]) -> list[str]:
    lines = [f"{sign} {i}" for i in ids[:_LISTED]]
    if len(ids) > _LISTED:
        lines.append(f"{sign} ... {len(ids) - _LISTED:,} more")
    return lines


def between(store: Store, old: Mapping[str, int], new: Mapping[str, int]) -> Difference:
    """Compare the samples and predictions of two states.

    Args:
        store: the database.
        old: version of each table before.
        new: version of each table after.
    """
    names = sorted({*old, *new})
    moved = {n: (old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)}
    columns = ["key", "id", "label", "sha256"]
    versions = old.get(SAMPLES), new.get(SAMPLES)
    a, b = (store.table(SAMPLES, columns, version=version) for version in versions)
    after = KeyIndex(b["key"].to_numpy())
    rows = after.find(a["key"].to_numpy())
    stayed = rows >= 0
    both_a, both_b = a.filter(pa.array(stayed)), b.take(pa.array(rows[stayed]))

    def ids_where(differ: npt.NDArray[np.bool_]) -> list[str]:
        return _ids(both_b.filter(pa.array(differ)))

    edited = {}
    for name, differ in _edited(store, versions, stayed, rows[stayed]):
        if differ.any():
            edited[name] = ids_where(differ)
    return Difference(
        added=_ids(b.filter(pa.array(~after.mask(a["key"].to_numpy())))),
        removed=_ids(a.filter(pa.array(~stayed))),
        relabelled=ids_where(differs(both_a["label"], both_b["label"])),
        changed=ids_where(differs(both_a["sha256"], both_b["sha256"])),
        tables=moved,
        edited=edited,
        predictions=tuple(_predictions(store, moved)),
    )


def _edited(
    store: Store,
    versions: tuple[int | None, int | None],
    stayed: npt.NDArray[np.bool_],
    rows: npt.NDArray[np.int64],
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Yield each other column of samples, and which of those that stayed have another value.

    One column is read at a time, in the order of the rows of the earlier table.
    """
    if versions[0] == versions[1]:
        return
    known = [set(store.schema(SAMPLES, version).names) for version in versions]
    for name in store.schema(SAMPLES, versions[1]).names:
        if name not in _FOLLOWS and name in known[0]:
            a, b = (store.table(SAMPLES, [name], version=version)[0] for version in versions)
            yield name, differs(a.filter(pa.array(stayed)), b.take(pa.array(rows)))
        elif name not in _FOLLOWS:
            b = store.table(SAMPLES, [name], version=versions[1])[0]
            yield name, np.asarray(pc.is_valid(b.take(pa.array(rows))))
    for name in sorted(known[0] - known[1] - _FOLLOWS):
        a = store.table(SAMPLES, [name], version=versions[0])[0]
        yield name, np.asarray(pc.is_valid(a.filter(pa.array(stayed))))


def _predictions(
    store: Store, moved: Mapping[str, tuple[int | None, int | None]]
) -> Iterator[PredictionMove]:
    """Yield the models whose predictions differ; what follows from the labels does not count."""
    for table, versions in moved.items():
        if not table.startswith(PREDICTIONS):
            continue
        a, b = (_predicted(store, table, version) for version in versions)
        index = KeyIndex(b["key"].to_numpy())
        rows = index.find(a["key"].to_numpy())
        stayed = rows >= 0
        changed = np.zeros(int(stayed.sum()), bool)
        for name in dict.fromkeys([*a.column_names, *b.column_names]):
            if name == "key":
                continue
            sides = [
                t[name] if name in t.column_names else pa.nulls(len(t), pa.null()) for t in (a, b)
            ]
            before, now = sides[0].filter(pa.array(stayed)), sides[1].take(pa.array(rows[stayed]))
            changed |= differs(before, now)
        added = int((~KeyIndex(a["key"].to_numpy()).has(b["key"].to_numpy())).sum())
        move = PredictionMove(
            table.removeprefix(PREDICTIONS), added, int((~stayed).sum()), int(changed.sum())
        )
        if move.added or move.removed or move.changed:
            yield move


def _predicted(store: Store, table: str, version: int | None) -> pa.Table:
    """Return key, what a model says and what was logged beside it; no rows without a version."""
    if version is None:
        return pa.table({"key": pa.array([], pa.int64())})
    task = TASKS[store.metadata(table, version).get(TASK, "classification")]
    ours = set(task.schema(1).names) - set(task.reads)
    names = [name for name in store.schema(table, version).names if name not in ours]
    return store.table(table, ["key", *names], version=version)


def _ids(table: pa.Table) -> list[str]:
    return sorted(table["id"].to_pylist())
