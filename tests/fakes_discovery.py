"""Databases of samples without pictures, and a model that errs where it was planted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import slicedb
from slicedb import schema


def planted(
    path: Path, columns: dict[str, Any], wrong: np.ndarray, labels: np.ndarray | None = None
) -> slicedb.Database:
    """Return a database with these columns, and a model "m" that is wrong on some samples."""
    n = len(wrong)
    db = slicedb.open(path)
    ids = [f"s{i:06d}" for i in range(n)]
    label = np.array(["cat", "dog"])[np.arange(n) % 2] if labels is None else labels
    names = sorted(set(label.tolist()))
    other = {name: names[(k + 1) % len(names)] for k, name in enumerate(names)}
    rows = {"id": ids, "key": schema.keys_of(ids), "label": label, "status": ["ok"] * n}
    db.store.append(schema.SAMPLES, pa.table(rows))
    if columns:
        db.attach(pa.table({"id": ids, **columns}), partial=True)
    said = [other[name] if bad else name for name, bad in zip(label.tolist(), wrong.tolist())]
    db.log_predictions("m", {"id": ids, "prediction": said}, classes=names)
    return db


def clusters(
    kind: str, seed: int, n: int = 3000, d: int = 48
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return vectors float32 (n, d), labels, what is wrong, and which samples were planted.

    Two classes of six clusters each around a common direction, as the vectors of CLIP have one.
    "rare" errs on a small cluster, "correlated" where an attribute that goes with a class is
    missing, "noisy" has wrong labels in a cluster.
    """
    rng = np.random.default_rng(seed)
    shares = np.array([0.3 if kind == "rare" else 1.0, 1, 1, 1, 1, 1])
    label, part = rng.integers(0, 2, n), rng.choice(6, n, p=shares / shares.sum())
    has = rng.random(n) < np.where(label == 1, 0.8, 0.2)
    vectors = 3 * rng.normal(size=d) + 1.2 * rng.normal(size=(2, d))[label]
    vectors += 0.5 * rng.normal(size=(2, 6, d))[label, part]
    vectors += 0.8 * has[:, None] * rng.normal(size=d) + 0.6 * rng.normal(size=(n, d))
    inside = (label == 1) & ~has if kind == "correlated" else (label == 0) & (part == 0)
    wrong = rng.random(n) < np.where(inside, 0.55, 0.1)
    if kind == "noisy":  # the model is right, and the label is not
        label = np.where(inside & wrong, 1, label)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = np.array(["cat", "dog"])[label]
    return vectors.astype(np.float32), names, wrong, inside
