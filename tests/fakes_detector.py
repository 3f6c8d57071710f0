"""A detector with exact answers: each blob of a pure colour is an object; and pictures of blobs."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from scipy import ndimage

from slicedb.models import TorchDetector
from slicedb.schema import IMAGES, IMAGES_SCHEMA, OBJECT, SAMPLES, SAMPLES_SCHEMA, keys_of
from slicedb.store import Store

NAMES = ("red", "green", "blue")
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}

Blob = tuple[str, int, int, int, int]


class Blobs(torch.nn.Module):
    """Finds the connected areas where one channel alone is bright; labels count from 1.

    The score is the share of the blob's box that it fills, times `sure`.
    """

    def __init__(self, sure: float = 1.0, shrink: float = 0.0) -> None:
        super().__init__()
        self.sure = torch.nn.Parameter(torch.tensor(sure))
        self.shrink = shrink
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        assert not self.training
        self.seen.append(tuple(int(image.shape[-1]) for image in images))
        return [self._one(image) for image in images]

    def _one(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        boxes, labels, scores = [], [], []
        for channel in range(3):
            others = [c for c in range(3) if c != channel]
            mask = (image[channel] > 0.6) & (image[others] < 0.4).all(dim=0)
            areas, _ = ndimage.label(mask.numpy())
            for i, (rows, columns) in enumerate(ndimage.find_objects(areas), 1):
                cut = self.shrink * (columns.stop - columns.start)
                boxes.append([columns.start, rows.start, columns.stop - cut, rows.stop])
                labels.append(channel + 1)
                scores.append(float((areas[rows, columns] == i).mean()))
        return {
            "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            "labels": torch.tensor(labels, dtype=torch.int64),
            "scores": torch.tensor(scores, dtype=torch.float32) * self.sure,
        }


def detector(**options: Any) -> TorchDetector:
    """Return the detector of blobs."""
    shape = {k: options.pop(k) for k in ("sure", "shrink") if k in options}
    return TorchDetector(Blobs(**shape), classes=NAMES, **options)


def picture(blobs: list[Blob], size: tuple[int, int] = (60, 40)) -> bytes:
    """Return a black picture of (width, height) with (colour, x, y, w, h) on it, as PNG."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for colour, x, y, w, h in blobs:
        pixels[y : y + h, x : x + w] = COLOURS[colour]
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def objects(blobs: list[Blob] | None) -> list[dict[str, Any]] | None:
    """Return the ground truth of blobs."""
    if blobs is None:
        return None
    return [{"label": c, "bbox": [float(v) for v in (x, y, w, h)]} for c, x, y, w, h in blobs]


def fill(
    store: Store,
    images: dict[str, bytes],
    truth: dict[str, list[Blob] | None],
    **columns: list[Any],
) -> None:
    """Add samples with their objects and images."""
    ids = list(images)
    store.create(SAMPLES, SAMPLES_SCHEMA)
    for name, values in columns.items():
        if name not in store.schema(SAMPLES).names:
            store.add_columns(SAMPLES, [pa.field(name, pa.array(values).type)])
    table = {
        "id": ids,
        "key": keys_of(ids),
        "sha256": [hashlib.sha256(images[i]).hexdigest() for i in ids],
        "objects": pa.array([objects(truth.get(i)) for i in ids], pa.list_(OBJECT)),
        "status": ["ok"] * len(ids),
        **columns,
    }
    store.upsert(SAMPLES, pa.table(table))
    store.create(IMAGES, IMAGES_SCHEMA)
    encoded = pa.array(list(images.values()), pa.large_binary())
    store.upsert(IMAGES, pa.table({"id": ids, "key": keys_of(ids), "image": encoded}))


WORLD: dict[str, tuple[list[Blob], list[Blob] | None, tuple[int, int]]] = {
    # what is drawn, what is annotated, (width, height)
    "both": (
        [("red", 5, 5, 10, 10), ("blue", 30, 20, 8, 8)],
        [("red", 5, 5, 10, 10), ("blue", 30, 20, 8, 8)],
        (60, 40),
    ),
    "missed": ([("red", 2, 2, 6, 6)], [("red", 2, 2, 6, 6), ("green", 20, 4, 9, 9)], (32, 48)),
    "extra": ([("green", 0, 0, 20, 10)], [], (20, 20)),
    "half": ([("green", 0, 0, 20, 10)], [("green", 0, 0, 20, 16)], (100, 20)),
    "wrong": ([("green", 3, 3, 9, 9)], [("blue", 3, 3, 9, 9)], (33, 21)),
    "unknown": ([("red", 1, 1, 5, 5)], None, (16, 16)),
    "empty": ([], [], (24, 24)),
}


def world(path: Path) -> Store:
    """Return a database of the pictures of `WORLD`."""
    store = Store.open(path / "blobs.slicedb")
    images = {name: picture(drawn, size) for name, (drawn, _, size) in WORLD.items()}
    fill(store, images, {name: truth for name, (_, truth, _) in WORLD.items()})
    return store
