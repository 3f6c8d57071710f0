"""Columns that speak of the ground truth, derived again where it changed, without the model."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from slicedb.predictions.about import About
from slicedb.predictions.tables import models_of, table_of
from slicedb.predictions.tasks import TASKS, text_of
from slicedb.predictions.truth import differs
from slicedb.schema import SAMPLES
from slicedb.store import Store

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
    about = {name: About.read(store, name) for name in models if store.has(table_of(name))}
    held: dict[str, tuple[np.ndarray, pa.Array]] = {}
    there = store.schema(SAMPLES).names if store.has(SAMPLES) else []
    changed = 0
    for name, facts in about.items():
        column = TASKS[facts.task].truth(facts)
        if column not in there:
            continue
        if column not in held:
            held[column] = _truths(store, column)
        changed += _refresh(store, name, facts, *held[column])
    return changed


def _truths(store: Store, column: str) -> tuple[np.ndarray, pa.Array]:
    """Return all keys, ascending, and the ground truth of each."""
    samples = store.table(SAMPLES, ["key", column])
    keys = samples["key"].to_numpy()
    order = np.argsort(keys)
    return keys[order], text_of(samples[column]).take(pa.array(order))


def _refresh(store: Store, model: str, about: About, keys: np.ndarray, truth: pa.Array) -> int:
    name, task = table_of(model), TASKS[about.task]
    rows = store.table(name, ["key", task.mark])
    mine = rows["key"].to_numpy()
    if not len(mine) or not len(keys):
        return 0
    at = np.minimum(np.searchsorted(keys, mine), len(keys) - 1)
    there = keys[at] == mine
    now = truth.take(pa.array(at, mask=~there))
    changed = np.flatnonzero(there & differs(rows[task.mark], task.marks(now, about)))
    stored = store.schema(name).names
    columns = ["id", *(column for column in task.said if column in stored)]
    for start in range(0, len(changed), _CHUNK):
        part = changed[start : start + _CHUNK]
        old = store.take(name, mine[part], columns)
        derived = task.derive(old, now.take(pa.array(part)), about)
        store.upsert(name, pa.table({"id": old["id"], **derived}), insert=False)
    return len(changed)
