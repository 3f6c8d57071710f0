"""A model with exact answers, pictures with known ones, and a database of them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from slicedb.models import Model
from slicedb.schema import IMAGES, IMAGES_SCHEMA, SAMPLES, keys_of
from slicedb.store import Store

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
SURE = 0.99990915
"""softmax([10, 0, 0])[0]: how sure MeanColour is of a pure colour."""


class MeanColour(Model):
    """Logits are ten times the mean of each channel; counts its images and batches."""

    classes = ("red", "green", "blue")
    input_size = 8
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def __init__(self, scale: float = 10.0) -> None:
        self.scale = scale

    batches: list[int] = []

    def predict_batch(self, images: Any) -> Any:
        type(self).batches.append(len(images))
        return self.scale * images.mean((2, 3))  # (n, 3, h, w) -> (n, 3)


def png(colour: tuple[int, int, int], size: tuple[int, int] = (12, 10)) -> bytes:
    """Return a picture of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def fill(
    store: Store,
    images: Mapping[str, bytes],
    labels: Mapping[str, str | None] | None = None,
    status: Mapping[str, str] | None = None,
) -> None:
    """Add samples and images, or change them."""
    ids = list(images)
    keys = keys_of(ids)
    samples = {
        "id": ids,
        "key": keys,
        "sha256": [hashlib.sha256(images[i]).hexdigest() for i in ids],
        "label": pa.array([(labels or {}).get(i) for i in ids], pa.string()),
        "status": [(status or {}).get(i, "ok") for i in ids],
    }
    store.upsert(SAMPLES, pa.table(samples))
    store.create(IMAGES, IMAGES_SCHEMA)
    encoded = pa.array([images[i] for i in ids], pa.large_binary())
    store.upsert(IMAGES, pa.table({"id": ids, "key": keys, "image": encoded}))


def colours(n: int, prefix: str = "") -> dict[str, bytes]:
    """Return n pictures, red, green, blue in turn: "0_red", "1_green", ..."""
    names = [list(COLOURS)[i % 3] for i in range(n)]
    return {f"{prefix}{i}_{name}": png(COLOURS[name]) for i, name in enumerate(names)}


def coloured_store(path: Path, n: int = 9) -> Store:
    """Return a database of n pictures labelled with their colour."""
    store = Store.open(path / "colours.slicedb")
    images = colours(n)
    fill(store, images, {name: name.split("_")[1] for name in images})
    return store


def rows(store: Store, table: str, columns: Sequence[str] | None = None) -> dict[str, Any]:
    """Return a table's rows by id."""
    wanted = None if columns is None else ["id", *columns]
    return {row["id"]: row for row in store.table(table, wanted).to_pylist()}
