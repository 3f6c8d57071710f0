"""A small world with exact answers: eleven coloured samples, two models, a fake encoder."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from slicedb.cam import cams_schema
from slicedb.errors import SliceError, UnknownSliceError, did_you_mean
from slicedb.query import Engine
from slicedb.schema import (
    CAMS,
    EMBEDDINGS,
    MAPS_SCHEMA,
    MASKS,
    MASKS_SCHEMA,
    PREDICTIONS,
    SAMPLES,
    embeddings_schema,
    keys_of,
)
from slicedb.schema import (
    MAPS as POINTS,
)
from slicedb.store import Store
from slicedb.tasks import TASKS
from slicedb.tasks.labelmaps import LabelMap, areas_column, maps_column
from slicedb.vectors import Calibrated

AXES = {"red": 0, "green": 1, "blue": 2, "dull": 3}
CLASSES = ["red", "green", "blue"]

# id, label, split, vector, m1 (prediction, confidence, loss), m2
ROWS: list[tuple[Any, ...]] = [
    ("a1", "red", "train", (1, 0, 0, 0), ("red", 0.9, 0.1), ("red", 0.8, 0.2)),
    ("a2", "red", "test", (3, 1, 0, 0), ("red", 0.7, 0.4), ("blue", 0.6, 1.5)),
    ("a3", "red", "test", (1, 1, 0, 0), ("green", 0.95, 3.0), ("red", 0.5, 0.7)),
    ("b1", "green", "train", (0, 1, 0, 0), ("green", 0.8, 0.2), ("green", 0.9, 0.1)),
    ("b2", "green", "test", (0, 3, 1, 0), ("blue", 0.6, 1.2), ("blue", 0.99, 4.0)),
    ("b3", "green", "test", (0, 1, 1, 0), ("green", 0.5, 0.7), None),
    ("c1", "blue", "train", (0, 0, 1, 0), ("blue", 0.99, 0.01), ("blue", 0.9, 0.1)),
    ("c2", "blue", "test", (0, 0, 1, 1), ("red", 0.92, 2.5), ("blue", 0.7, 0.4)),
    ("c3", "blue", None, (0, 0, 0, 1), ("blue", 0.4, 0.9), ("red", 0.8, 2.0)),
    ("d1", None, None, None, None, None),  # neither label nor embedding
]
TAGS = {"a1": ["night"], "a2": ["night", "rain"], "b1": [], "c2": ["rain"]}
OBJECTS = {
    "a1": [("car", [0, 0, 10, 10], 0.9), ("car", [5, 5, 40, 20], 0.4)],
    "a2": [("person", [1, 1, 10, 30], None)],
    "b1": [],
    "c1": [("car", [0, 0, 30, 30], None), ("person", [0, 0, 5, 20], None)],
}
ATTRIBUTES = {
    "a2": [{"pose": "Left", "truncated": 0}],
    "c1": [{"pose": "Rear", "truncated": 1}, {"pose": "Left", "crowded": True}],
}
DETECTIONS = {
    "d1": {
        "a1": [
            ("car", [0, 0, 10, 9], 0.9),
            ("car", [6, 5, 40, 20], 0.8),
            ("car", [0, 0, 9, 9], 0.3),
        ],
        "a2": [("person", [1, 1, 10, 24], 0.7)],
        "a3": [("person", [1, 1, 9, 9], 0.5)],
        "b1": [("car", [0, 0, 5, 5], 0.6)],
        "c1": [],
    },
    "d2": {
        "a1": [("car", [0, 0, 10, 10], 0.95)],
        "a2": [("dog", [1, 1, 10, 30], 0.6)],
        "c1": [("car", [0, 0, 30, 20], 0.5), ("person", [0, 0, 5, 20], 0.9)],
    },
}
"""Boxes of two detectors; d2 has not seen b1, neither has seen b2 and those after it but c1."""
PHASHES = {"a1": 0x0F0F, "a2": 0x0F0E, "a3": 0x0F0E, "b3": 0x1234567, "c1": 0x1234567}
"""a1, of the training split, is all but a2 and a3, of the test split; c1 of the one is b3."""
WEATHER = {"a1": "sunny", "a2": "rainy", "b1": "sunny", "c1": "foggy"}
MAPS = {
    "a1": [1.0, 0.0, 0.0, 1.0],
    "a2": [0.2, 1.0, 0.0, 0.0],
    "b1": [0.0, 0.0, 0.0, 1.0],
    "b2": [0.0, 0.0, 0.0, 0.0],
    "c1": [1.0, 1.0, 1.0, 1.0],
}
SHOWN = {"a2": [0.0, 0.0, 20.0, 20.0], "c1": [30.0, 0.0, 70.0, 20.0]}
"""What a map covers; of the others it is the whole picture, 10 x its row by 20 pixels."""
BROKEN = "e1"
"""A quarantined sample: status 'truncated'."""


class FakeEncoder:
    """An encoder that reads colour words."""

    name = "fake"
    dim = 4
    fingerprint: dict[str, str] = {}
    logit_scale = 20.0
    background = ["something dull", "red", "green", "blue"]

    def encode_prompt(self, text: str, templates: Any = None) -> np.ndarray:
        """Return the sum of the axes of the colour words, unit length; dull for other words."""
        vector = np.zeros(4, dtype=np.float32)
        for word, axis in AXES.items():
            vector[axis] += word in text.lower()
        if not vector.any():
            vector[3] = 1
        return vector / np.linalg.norm(vector)

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        return np.stack([self.encode_prompt(text) for text in texts])

    def encode_images(self, images: list[Any]) -> np.ndarray:
        """Return the mean colour of each picture, unit length."""
        means = [np.asarray(i, dtype=np.float32).reshape(-1, 3).mean(0) for i in images]
        vectors = np.stack([np.append(m, 0) for m in means])
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def build(path: Path) -> Store:
    """Write the world to a database."""
    store = Store.open(path)
    store.add_columns(SAMPLES, [pa.field("weather", pa.string()), pa.field("lux", pa.float64())])
    rows = []
    for number, (name, label, split, *_) in enumerate([*ROWS, (BROKEN, "red", "test")]):
        objects = OBJECTS.get(name)
        rows.append(
            {
                "id": name,
                "uri": f"{name}.png",
                "width": 10 * (number + 1),
                "height": 20,
                "label": label,
                "split": split,
                "tags": TAGS.get(name),
                "phash": PHASHES.get(name),
                "turned_phash": PHASHES.get(name),
                "weather": WEATHER.get(name),
                "lux": float(number),
                "caption": f"a {label} picture",
                "status": "ok" if name != BROKEN else "truncated",
                "captured_at": datetime(2024, 1, 1 + number),
                "objects": None
                if objects is None
                else [
                    {"label": w, "bbox": b, "score": s, "attributes": a}
                    for (w, b, s), a in zip(objects, _attributes(name, len(objects)))
                ],
            }
        )
    schema = pa.schema([f for f in store.schema(SAMPLES) if f.name in rows[0] or f.name == "key"])
    keys = keys_of(row["id"] for row in rows)
    for row, key in zip(rows, keys.tolist()):
        row["key"] = key
    store.append(SAMPLES, pa.Table.from_pylist(rows, schema=schema))
    _embed(store)
    _place(store)
    _predict(store, "m1", 4)
    _predict(store, "m2", 5)
    for model in DETECTIONS:
        _detect(store, model)
    _look(store)
    _paint(store)
    return store


def _paint(store: Store) -> None:
    """Store label maps of a1, a2 and b1, and what `seg` predicts of a1."""
    names, ignored = ("road", "sky"), 255
    truth = {"a1": [0, 0, 0, 1], "a2": [1, 1, 1, 255], "b1": [255] * 4}
    said = {"a1": [0, 1, 1, 1]}
    for table, maps in ((MASKS, truth), (PREDICTIONS + "seg", said)):
        made = [LabelMap(np.array([row], np.uint8), names, ignored) for row in maps.values()]
        areas, pixels = areas_column(made)
        schema = MASKS_SCHEMA if table == MASKS else TASKS["segmentation"].schema(None)
        facts = {"slicedb:classes": json.dumps(names), "slicedb:task": "segmentation"}
        own = {"id": [*maps], "key": keys_of(maps), "mask": maps_column(made)}
        rows = pa.table({**own, "areas": areas, "pixels": pixels})
        store.create(table, schema.with_metadata(facts))
        store.append(table, rows)


def _look(store: Store) -> None:
    """Store what m1 looked at, as maps of 2 x 2 cells; the others have none, b2's is all zero."""
    name, metadata = CAMS + "m1", {"slicedb:grid": "[2, 2]"}
    schema = cams_schema(4).with_metadata(metadata)
    rows = [
        {"id": i, "key": int(keys_of([i])[0]), "map": MAPS[i], "shown": SHOWN.get(i)} for i in MAPS
    ]
    store.create(name, schema)
    store.append(name, pa.Table.from_pylist(rows[::-1], schema=schema))


def _attributes(name: str, n: int) -> list[str | None]:
    return [json.dumps(a) for a in ATTRIBUTES.get(name, [])] or [None] * n


def _detect(store: Store, model: str) -> None:
    """Write a detector's boxes; what it found and missed is left to the queries."""
    rows = [
        {
            "id": name,
            "key": int(keys_of([name])[0]),
            "objects": [{"label": w, "bbox": b, "score": s} for w, b, s in boxes],
            "fp": len(boxes),
        }
        for name, boxes in DETECTIONS[model].items()
    ]
    store.create(PREDICTIONS + model, TASKS["detection"].schema(None))
    store.append(
        PREDICTIONS + model, pa.Table.from_pylist(rows, schema=TASKS["detection"].schema(None))
    )


PLACES = {"a1": (0, 0), "a2": (1, 0), "a3": (2, 1), "b1": (0, 2), "b2": (1, 1), "c1": (-1, -2.5)}
"""Points of the samples on the map `flat`; the others have none."""


def _place(store: Store) -> None:
    rows = [
        {"id": i, "key": int(keys_of([i])[0]), "x": x, "y": y, "fingerprint": 1, "fit": True}
        for i, (x, y) in PLACES.items()
    ]
    table = pa.Table.from_pylist(rows[::-1], schema=MAPS_SCHEMA)
    for name in ("flat", "pca"):
        store.create(POINTS + name, MAPS_SCHEMA, table)


def _embed(store: Store) -> None:
    rows = []
    for name, _, _, vector, *_ in ROWS:
        if vector is not None:
            array = np.array(vector, dtype=np.float32)
            unit = (array / np.linalg.norm(array)).tolist()
            rows.append({"id": name, "key": int(keys_of([name])[0]), "content": 1, "vector": unit})
    name = EMBEDDINGS + "default"
    store.create(name, embeddings_schema(4))
    store.append(name, pa.Table.from_pylist(rows[::-1], schema=embeddings_schema(4)))


def _predict(store: Store, model: str, column: int) -> None:
    rows = []
    for row in ROWS:
        found = row[column]
        if found is None:
            continue
        prediction, confidence, loss = found
        rest = (1 - confidence) / 2
        rows.append(
            {
                "id": row[0],
                "key": int(keys_of([row[0]])[0]),
                "prediction": prediction,
                "confidence": confidence,
                "loss": loss,
                "correct": prediction == row[1],
                "margin": confidence - rest,
                "entropy": 0.5,
                "label": row[1],
                "probabilities": [confidence if c == prediction else rest for c in CLASSES],
            }
        )
    name = PREDICTIONS + model
    metadata = {"slicedb:classes": json.dumps(CLASSES)}
    schema = TASKS["classification"].schema(3).with_metadata(metadata)
    store.create(name, schema)
    store.append(name, pa.Table.from_pylist(rows, schema=schema))


SLICES: dict[str, Any] = {
    "reds": "label = 'red'",
    "wrong": "NOT m1.correct",
    "wrong_reds": "in_slice('reds') AND in_slice('wrong')",
    "reddish": "matches('red')",
    "top_two": "ORDER BY m1.loss DESC LIMIT 2",
    "listed": "SELECT id FROM samples WHERE label = 'blue'",
    "loop_a": "in_slice('loop_b')",
    "loop_b": "label = 'red' OR in_slice('loop_a')",
    "counted": "SELECT count(*) FROM samples",
    "broken": "lable = 'red'",
    "held": keys_of(["b2", "a1"]),
    "handed": "similarity(image('upload:00000000000000ff')) > 0.5",
    "reading": "similarity(image('red.png')) > 0.5",
}


def slice_named(name: str) -> Any:
    """Return a slice as the registry would."""
    if name not in SLICES:
        hint = did_you_mean(name, SLICES, "slices")
        raise UnknownSliceError(f"No slice '{name}'.", hint)
    return SLICES[name]


CALIBRATIONS: dict[str, dict[str, Any]] = {
    "reddest": {"cut": 15.0},
    "red_or_greenish": {"cut": 15.0, "direction": np.float32([0, 10, 0, 0]).tobytes()},
    "shy_red": {"cut": 7.5, "slope": 0.5},
}
"""The log-odds of 'red' are 18.4 for a1, 12.1 for a2 and -0.5 for a3."""


def engine_of(store: Store, **options: Any) -> Engine:
    """Return an engine over the world."""
    encoder: Any = FakeEncoder()

    def calibration_named(name: str) -> Calibrated:
        if name not in CALIBRATIONS:
            slice_named(name)
            raise SliceError(f"Slice '{name}' is not calibrated.")
        version = store.version(EMBEDDINGS + "default")
        fingerprint = engine.session.meaning.fingerprint("default", version)
        return Calibrated("'red'", "default", fingerprint, **CALIBRATIONS[name])

    engine = Engine(
        store,
        slice_named=options.pop("named", slice_named),
        encoder=lambda _: encoder,
        calibration_named=calibration_named,
        **options,
    )
    return engine
