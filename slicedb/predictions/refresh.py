"""Derive the columns that speak of the ground truth again where it changed, without the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from slicedb.cache import give_back
from slicedb.keys import KeyIndex, Keys
from slicedb.predictions.tables import models_of, table_of
from slicedb.schema import SAMPLES, keys_of
from slicedb.store import Store
from slicedb.tasks import TASKS, About, TruthColumn
from slicedb.tasks.arrays import differs, one_array

_CHUNK = 20_000
_CHUNK_BYTES = 256 << 20
"""Rows that are derived and written at once: so many, or what fits into so much memory."""
_ROW_BYTES = 200
"""What a row takes beside its probabilities."""
_MANY = 100_000
"""Samples from which reading all of them costs less than looking them up."""
_TRIES = 20
"""How often truths are read again because they changed while rows were derived from them."""


@dataclass(frozen=True, eq=False)
class Some:
    """Samples whose ground truth may have changed."""

    keys: Keys
    """int64 (n,)."""
    ids: Sequence[str] | None
    """Their ids, where they are at hand."""


def refresh(
    store: Store,
    model: str | None = None,
    *,
    ids: Sequence[str] | None = None,
    keys: Keys | None = None,
) -> int:
    """Derive loss, correct, tp, fp and the like again where the ground truth changed.

    Args:
        store: the database.
        model: one model; None refreshes all.
        ids: the samples whose ground truth may have changed; None compares all.
        keys: int64 (n,), the same samples where their keys are at hand.

    Returns:
        The number of prediction rows that changed.
    """
    if keys is None and ids is not None:
        keys = keys_of(ids)
    some = None if keys is None or len(keys) > _MANY else Some(keys, ids)
    changed = 0
    for _ in range(_TRIES):
        read, more = _refreshed(store, model, some, write=True)
        changed += more
        # Another process may have changed the truth after it was read here, and derived from it
        # before this one wrote.
        if all(store.version(table) == version for table, version in read.items()):
            break
    return changed


def stale(store: Store, model: str) -> int:
    """Return how many rows of a model speak of another ground truth than there is."""
    return _refreshed(store, model, None, write=False)[1]


def _refreshed(
    store: Store, model: str | None, some: Some | None, *, write: bool
) -> tuple[dict[str, int], int]:
    """Return the versions of the tables that truth was read from, and how many rows are stale."""
    models = models_of(store) if model is None else [model]
    abouts = {name: About.read(store, name) for name in models if store.has(table_of(name))}
    truths: dict[TruthColumn, tuple[KeyIndex, pa.Array]] = {}  # read once for all models
    versions: dict[str, int] = {}
    changed = 0
    for name, about in abouts.items():
        source = TASKS[about.task].truth_of(about)
        if not TASKS[about.task].is_judged:
            continue
        if not store.has(source.table) or source.column not in store.schema(source.table).names:
            continue
        if source not in truths:
            versions.setdefault(source.table, store.version(source.table))
            rows = _rows(store, source.table, ["key", source.column], some)
            truths[source] = KeyIndex(rows["key"].to_numpy()), one_array(rows[source.column])
        changed += _refresh(store, name, about, source, *truths[source], some, write)
        if some is None:
            give_back()
    return versions, changed


def _rows(store: Store, table: str, columns: list[str], some: Some | None) -> pa.Table:
    """Return columns of all rows of a table, or of those samples that have one."""
    if some is None:
        return store.table(table, columns)
    return store.find(table, some.keys, columns, ids=some.ids)[0]


def _refresh(
    store: Store,
    model: str,
    about: About,
    source: TruthColumn,
    index: KeyIndex,
    truth: pa.Array,
    some: Some | None,
    write: bool,
) -> int:
    name, task = table_of(model), TASKS[about.task]
    stored = store.schema(name).names
    columns = ["id", *(column for column in task.reads if column in stored)]
    # Of a few samples all that may be needed is read at once; of all samples, what is compared.
    first = [task.mark] if some is None else [task.mark, *columns]
    rows = _rows(store, name, list(dict.fromkeys(["key", *first])), some)
    keys = rows["key"].to_numpy()
    if not len(keys) or not len(index):
        return 0
    if np.array_equal(index.keys, keys):  # the usual case: nothing is looked up or copied
        has_row, now = np.ones(len(keys), bool), truth
    else:
        at = index.find(keys)
        has_row = at >= 0
        now = truth.take(pa.array(at, mask=~has_row))
    stale = differs(rows[task.mark], task.marks(now, about))
    if source.table == SAMPLES:  # a prediction whose sample is gone has no truth to speak of
        stale &= has_row
    changed = np.flatnonzero(stale)
    size = max(_CHUNK, _CHUNK_BYTES // (_ROW_BYTES + task.row_bytes(len(about.classes))))
    for start in range(0, len(changed) if write else 0, size):
        part = changed[start : start + size]
        old = store.take(name, keys[part], columns) if some is None else rows.take(pa.array(part))
        derived = task.derive(old, now.take(pa.array(part)), about)
        store.upsert(name, pa.table({"id": old["id"], **derived}), insert=False)
    return len(changed)
