"""A database of labelled samples with a model's probabilities, and the real query engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from slicedb import schema
from slicedb.query import Engine, Query
from slicedb.schema import keys_of
from slicedb.store import Store
from slicedb.tasks import TASKS


def made_store(
    path: Path,
    labels: Sequence[str | None],
    probabilities: np.ndarray,
    classes: Sequence[str],
    *,
    model: str = "food_v2",
    status: str | None = schema.OK,
    **columns: Any,
) -> Store:
    """Return a store of samples "0000", "0001", ... with predictions as `predict` writes them."""
    store = Store.open(path / "made.slicedb")
    ids = [f"{i:04}" for i in range(len(labels))]
    if columns:
        tables = {name: pa.array(values) for name, values in columns.items()}
        have = set(schema.SAMPLES_SCHEMA.names)
        store.add_columns(
            schema.SAMPLES, [pa.field(n, v.type) for n, v in tables.items() if n not in have]
        )
    else:
        tables = {}
    samples = {
        "id": ids,
        "key": keys_of(ids),
        "label": pa.array(labels, pa.string()),
        "status": pa.array([status] * len(ids), pa.string()),
        **tables,
    }
    store.append(schema.SAMPLES, pa.table(samples))
    add_model(store, model, ids, labels, probabilities, classes)
    return store


def add_model(
    store: Store,
    model: str,
    ids: Sequence[str],
    labels: Sequence[str | None],
    probabilities: np.ndarray,
    classes: Sequence[str],
) -> None:
    """Add a model's predictions."""
    p = np.asarray(probabilities, np.float32)
    code = {name: i for i, name in enumerate(classes)}
    best = p.argmax(axis=1)
    said = [classes[i] for i in best]
    true = np.array([p[i, code[y]] if y in code else np.nan for i, y in enumerate(labels)])
    ranked = np.sort(p, axis=1)
    correct = [None if y is None else bool(y == s) for y, s in zip(labels, said)]
    name = schema.PREDICTIONS + model
    made = TASKS["classification"].schema(len(classes))
    store.create(name, made.with_metadata({"slicedb:classes": json.dumps(list(classes))}))
    true = np.maximum(true, np.finfo(np.float32).tiny)
    loss = pa.array(-np.log(true).astype(np.float32), mask=np.isnan(true))
    store.append(
        name,
        pa.table(
            {
                "id": list(ids),
                "key": keys_of(ids),
                "prediction": said,
                "confidence": p.max(axis=1),
                "loss": loss,
                "correct": pa.array(correct, pa.bool_()),
                "margin": ranked[:, -1] - ranked[:, -2],
                "probabilities": pa.FixedSizeListArray.from_arrays(
                    pa.array(p.ravel()), len(classes)
                ),
            }
        ),
    )


def ask(store: Store, text: str, **slices: str) -> Query:
    """Ask the real engine; `slices` are the texts of registered ones."""

    def no_encoder(name: str) -> Any:
        raise AssertionError(name)

    return Engine(store, slice_named=lambda name: slices[name], encoder=no_encoder).query(text)
