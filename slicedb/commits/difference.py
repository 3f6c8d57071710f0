"""Find what changed between two states of the tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.keys import KeyIndex, Keys, distinct
from slicedb.schema import PLUMBING, PREDICTIONS, SAMPLES
from slicedb.show.tabular import Tabular
from slicedb.show.text import clean

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
        lines += [*map(str, self.predictions), *map(str, self.slices)]
        return "\n".join(map(clean, lines))


_KINDS = ("added", "removed", "relabelled", "changed")
_LISTED = 20
_MANY = 1_000
"""Rows up to which, or one in twenty, those that changed are read and not all."""
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
    versions = old.get(SAMPLES), new.get(SAMPLES)
    rows = _Both(store, SAMPLES, versions, ["id"])

    def moved_in(name: str) -> list[str]:
        return _ids(store, _Both(store, SAMPLES, versions, [name]).differing([name]), versions[1])

    edited = {name: moved_in(name) for name in _compared(store, versions)}
    return Difference(
        added=_ids(store, rows.added, versions[1]),
        removed=_ids(store, rows.removed, versions[0]),
        relabelled=moved_in("label"),
        changed=moved_in("sha256"),
        tables=moved,
        edited={name: ids for name, ids in edited.items() if ids},
        predictions=tuple(_predictions(store, moved)),
    )


class _Both:
    """The rows of a table at two versions: those that changed in some columns, where Lance knows
    which these are, else all.

    Args:
        store: the database.
        table: its name.
        versions: before and after; None is a table that was not there.
        columns: what is compared.
    """

    def __init__(
        self,
        store: Store,
        table: str,
        versions: tuple[int | None, int | None],
        columns: Sequence[str],
    ) -> None:
        self._store, self._table, self._versions = store, table, versions
        self._known = [
            set(store.schema(table, version).names) if version is not None else set()
            for version in versions
        ]
        self._asked = self._changed(columns)
        self._keys = [self._keys_at(version) for version in versions]
        rows = KeyIndex(self._keys[1]).find(self._keys[0])
        self._stayed = rows >= 0
        self._rows = rows[self._stayed]

    @property
    def added(self) -> Keys:
        """int64: the keys of rows that are new."""
        is_old = np.zeros(len(self._keys[1]), bool)
        is_old[self._rows] = True
        return self._keys[1][~is_old]

    @property
    def removed(self) -> Keys:
        """int64: the keys of rows that are there no more."""
        return self._keys[0][~self._stayed]

    def differing(self, columns: Iterable[str]) -> Keys:
        """Return the keys of rows that stayed and have another value in any of the columns."""
        from slicedb.tasks.arrays import differs

        differ = np.zeros(len(self._rows), bool)
        for name in columns:  # one at a time, for they may be large
            before, now = (self._column(side, name) for side in (0, 1))
            differ |= differs(before.filter(pa.array(self._stayed)), now.take(pa.array(self._rows)))
        return self._keys[1][self._rows][differ]

    def _changed(self, columns: Sequence[str]) -> Keys | None:
        """Return the keys of the rows that changed, None where they are many or not known."""
        before, after = self._versions
        if before is None or after is None:
            return None
        if before == after:
            return np.empty(0, np.int64)
        if not set(columns) <= self._known[0] & self._known[1]:
            return None
        most = max(_MANY, self._store.count(self._table, before) // 20)
        found = self._store.changes(self._table, before, after, columns, most)
        return None if found is None else distinct(found.keys)

    def _keys_at(self, version: int | None) -> Keys:
        if version is None or (self._asked is not None and not len(self._asked)):
            return np.empty(0, np.int64)
        if self._asked is not None:
            has = self._store.find(self._table, self._asked, ["key"], version=version)[1]
            return self._asked[has]
        keys = self._store.table(self._table, ["key"], version=version)["key"]
        return np.asarray(keys.to_numpy())

    def _column(self, side: int, name: str) -> pa.Array | pa.ChunkedArray:
        keys, version = self._keys[side], self._versions[side]
        if name not in self._known[side] or not len(keys):
            return pa.nulls(len(keys), pa.null())
        if self._asked is not None:
            return self._store.find(self._table, keys, [name], version=version)[0][0]
        return self._store.table(self._table, [name], version=version)[0]


def _compared(store: Store, versions: tuple[int | None, int | None]) -> list[str]:
    """Return the columns of samples that are compared one by one, at either version."""
    names = [name for v in reversed(versions) for name in store.schema(SAMPLES, v).names]
    return [name for name in dict.fromkeys(names) if name not in _FOLLOWS]


def _predictions(
    store: Store, moved: Mapping[str, tuple[int | None, int | None]]
) -> Iterator[PredictionMove]:
    """Yield the models whose predictions differ; what follows from the labels does not count."""
    for table, versions in moved.items():
        if not table.startswith(PREDICTIONS):
            continue
        listed = [name for version in versions for name in _predicted(store, table, version)]
        names = list(dict.fromkeys(listed))
        rows = _Both(store, table, versions, names)
        move = PredictionMove(
            table.removeprefix(PREDICTIONS),
            len(rows.added),
            len(rows.removed),
            len(rows.differing(names)),
        )
        if move.added or move.removed or move.changed:
            yield move


def _predicted(store: Store, table: str, version: int | None) -> list[str]:
    """Return the columns of what a model says and of what was logged beside it."""
    if version is None:
        return []
    # Every database that is opened looks at commits, and few of them at tasks.
    from slicedb.tasks import TASKS
    from slicedb.tasks.about import TASK

    task = TASKS[store.metadata(table, version).get(TASK, "classification")]
    ours = {"key"} | set(task.schema(1).names) - set(task.reads)
    return [name for name in store.schema(table, version).names if name not in ours]


def _ids(store: Store, keys: Keys, version: int | None) -> list[str]:
    """Return the ids of samples, sorted."""
    if not len(keys):
        return []
    return sorted(store.take(SAMPLES, keys, ["id"], version=version)["id"].to_pylist())
