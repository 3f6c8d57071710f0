"""Derive the columns that speak of the ground truth again where it changed, without the model."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from slicedb.keys import KeyIndex
from slicedb.predictions.tables import models_of, table_of
from slicedb.schema import SAMPLES
from slicedb.store import Store
from slicedb.tasks import TASKS, About, TruthColumn
from slicedb.tasks.arrays import differs, one_array

_CHUNK = 20_000


def refresh(store: Store, model: str | None = None) -> int:
    """Derive loss, correct, tp, fp and the like again where the ground truth changed.

    Args:
        store: the database.
        model: one model; None refreshes all.

    Returns:
        The number of prediction rows that changed.
    """
    models = models_of(store) if model is None else [model]
    abouts = {name: About.read(store, name) for name in models if store.has(table_of(name))}
    truths: dict[TruthColumn, tuple[KeyIndex, pa.Array]] = {}  # read once for all models
    changed = 0
    for name, about in abouts.items():
        source = TASKS[about.task].truth_of(about)
        if not store.has(source.table) or source.column not in store.schema(source.table).names:
            continue
        if source not in truths:
            rows = store.table(source.table, ["key", source.column])
            truths[source] = KeyIndex(rows["key"].to_numpy()), one_array(rows[source.column])
        changed += _refresh(store, name, about, source, *truths[source])
    return changed


def _refresh(
    store: Store, model: str, about: About, source: TruthColumn, index: KeyIndex, truth: pa.Array
) -> int:
    name, task = table_of(model), TASKS[about.task]
    rows = store.table(name, ["key", task.mark])
    keys = rows["key"].to_numpy()
    if not len(keys) or not len(index):
        return 0
    at = index.find(keys)
    has_row = at >= 0
    now = truth.take(pa.array(at, mask=~has_row))
    stale = differs(rows[task.mark], task.marks(now, about))
    if source.table == SAMPLES:  # a prediction whose sample is gone has no truth to speak of
        stale &= has_row
    changed = np.flatnonzero(stale)
    stored = store.schema(name).names
    columns = ["id", *(column for column in task.reads if column in stored)]
    for start in range(0, len(changed), _CHUNK):
        part = changed[start : start + _CHUNK]
        old = store.take(name, keys[part], columns)
        derived = task.derive(old, now.take(pa.array(part)), about)
        store.upsert(name, pa.table({"id": old["id"], **derived}), insert=False)
    return len(changed)
