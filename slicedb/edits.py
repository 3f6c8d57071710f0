"""Change samples: labels, tags, deletion; and derive again what depends on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from slicedb import schema
from slicedb.cache import give_back
from slicedb.predictions import refresh
from slicedb.predictions.superseded import leave_out, shown
from slicedb.query.run.search import TextSearch, mark
from slicedb.show.numbers import count
from slicedb.show.tabular import Record
from slicedb.store import Store
from slicedb.store.without_pandas import without_pandas
from slicedb.tagging import Tag
from slicedb.tasks.arrays import differs
from slicedb.tasks.label_names import Given, LabelNames


@dataclass(frozen=True)
class LabelsReport(Record):
    """What renaming labels did."""

    changed: int
    """Samples with a label that has another name now."""
    notes: tuple[str, ...] = ()
    """Labels without a name, and names without a label, one sentence each."""

    def __str__(self) -> str:
        return "\n  ".join(
            [f"{count(self.changed, 'sample has', 'samples have')} other labels.", *self.notes]
        )


_MANY = 10_000
"""Samples from whose change on it is worth the time to give memory back."""


@without_pandas()
def relabel(store: Store, ids: Sequence[str], label: str | None) -> int:
    """Set the ground truth of samples and return how many of them changed.

    Args:
        store: the database.
        ids: the samples.
        label: the label; None removes it.
    """
    rows = store.take(schema.SAMPLES, schema.keys_of(ids), ["label"], ids=ids)
    changed = [i for i, old in zip(ids, rows["label"].to_pylist()) if old != label]
    if changed:
        table = pa.table({"id": changed, "label": pa.array([label] * len(changed), "string")})
        store.upsert(schema.SAMPLES, table, insert=False)
    labels_changed(store, ids)  # also where a call before this one was killed between the two
    _done(store, len(ids))
    return len(changed)


@without_pandas()
def rename_labels(store: Store, ids: Sequence[str], labels: Given) -> LabelsReport:
    """Give the labels of samples other names; see `Database.map_labels`."""
    names = LabelNames(labels)

    def change(rows: pa.Table) -> pa.Table:
        columns = ["label", "labels", "objects"]
        before = rows.select(columns).combine_chunks()
        batch = before.to_batches()[0] if len(before) else None
        if batch is None:
            return pa.table({"id": pa.array([], pa.string()), **before.to_pydict()})
        after = pa.Table.from_batches([names.rename_batch(batch)])
        moved = np.any([differs(before[c], after[c]) for c in columns], axis=0)
        table = pa.table({"id": pa.array(ids, pa.string()), **{c: after[c] for c in columns}})
        return table.take(pa.array(np.flatnonzero(moved)))

    changed = store.change(schema.SAMPLES, ids, ["label", "labels", "objects"], change)
    labels_changed(store, ids)
    store.sync()
    return LabelsReport(changed, tuple(names.notes()))


@without_pandas()
def tag(store: Store, ids: Sequence[str], tags: Sequence[str], *, remove: bool = False) -> int:
    """Add tags to samples, or remove them, and return how many samples changed."""

    def change(rows: pa.Table) -> pa.Table:
        changed: dict[str, list[str]] = {}
        for sample, old in zip(ids, rows["tags"].to_pylist()):
            before = old or []
            after = [t for t in dict.fromkeys([*before, *tags]) if not (remove and t in tags)]
            if after != before:
                changed[sample] = after
        lists = pa.array(changed.values(), pa.list_(pa.string()))
        return pa.table({"id": pa.array(changed, pa.string()), "tags": lists})

    changed = store.change(schema.SAMPLES, ids, ["tags"], change)
    _done(store, len(ids))
    return changed


@without_pandas()
def delete(store: Store, ids: Sequence[str]) -> int:
    """Remove samples with their images, vectors and predictions, and return how many."""
    for name in store.names():
        if name == schema.IMAGES or name.startswith(schema.PER_SAMPLE):
            store.delete(name, ids)
    # The samples go last, so that an interrupted delete can be asked for again.
    store.delete(schema.SAMPLES, ids)
    # Full text is not indexed again here: that would read every text. The next search does.
    _done(store, len(ids))
    return len(ids)


def _done(store: Store, n: int) -> None:
    """End a change of n samples."""
    store.sync()
    if n >= _MANY:
        give_back()


def labels_changed(store: Store, ids: Sequence[str] | None = None) -> None:
    """Derive loss and correctness again where a label is no longer the one they speak of.

    Args:
        store: the database.
        ids: the samples whose ground truth may have changed; None compares all.
    """
    if any(name.startswith(schema.PREDICTIONS) for name in store.names()):
        refresh(store, ids=ids)


def pictures_changed(store: Store) -> list[str]:
    """Leave out what speaks of earlier pictures, and return a sentence per table."""
    counts = leave_out(store)
    store.sync()
    return shown(store, counts)


def tagged(store: Store, tag: Tag, ids: Sequence[str]) -> None:
    """Bring what depends on a column that a model wrote up to date.

    Args:
        store: the database.
        tag: the column; texts of a callable are searched from now on.
        ids: the samples with another value now.
    """
    is_text = store.schema(schema.SAMPLES).field(tag.name).type == pa.string()
    if tag.kind == "callable" and is_text:
        mark(store, [*schema.searchable(store.metadata(schema.SAMPLES)), tag.name])
        texts_changed(store)
    if ids:
        labels_changed(store, ids)  # a regression may be held against the column
    store.sync()


def texts_changed(store: Store) -> None:
    """Bring the full-text index up to date, where there is one."""
    TextSearch(store).refresh()
