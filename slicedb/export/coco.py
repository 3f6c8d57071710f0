"""COCO JSON: images, categories, annotations (https://cocodataset.org/#format-data)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slicedb.export.folder import file_name, write_images
from slicedb.export.tables import metadata

if TYPE_CHECKING:
    from slicedb.store import Store

_COLUMNS = ["id", "width", "height", "label", "caption", "split", "objects", "format"]
_OWN = ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "score")


def write_coco(store: Store, keys: np.ndarray, path: Path) -> int:
    """Write boxes as COCO annotations; `slicedb ingest` reads them back as they were.

    A path that ends in .json is the annotations alone, whose `file_name` is the sample's id; any
    other is a folder with annotations.json and images/. Label, caption and split stand in
    `images`; `annotated` is false there where nobody has looked (objects NULL).
    """
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    numbers: dict[str, int] = {}
    alone = path.suffix.lower() == ".json"
    taken: set[str] = set()
    for chunk, table in metadata(store, keys):
        rows = table.select(_COLUMNS).to_pylist()
        names = [row["id"] for row in rows]
        if not alone:
            names = [file_name(row["id"], row["format"]) for row in rows]
            names = write_images(store, chunk, names, path / "images", taken)
        for name, row in zip(names, rows, strict=True):
            images.append(_image(len(images) + 1, name, row))
            for found in row["objects"] or []:
                category = numbers.setdefault(found["label"], len(numbers) + 1)
                boxes.append(_annotation(len(boxes) + 1, len(images), category, found))
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    whole = {"images": images, "annotations": boxes, "categories": categories}
    file = path if alone else path / "annotations.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
    return len(keys)


def _image(number: int, name: str, row: dict[str, Any]) -> dict[str, Any]:
    said = {"id": number, "file_name": name, "width": row["width"], "height": row["height"]}
    said["label"] = row["label"]
    said |= {k: row[k] for k in ("caption", "split") if row[k] is not None}
    return said if row["objects"] is not None else {**said, "annotated": False}


def _annotation(number: int, image: int, category: int, found: dict[str, Any]) -> dict[str, Any]:
    x, y, w, h = found["bbox"]
    extra = json.loads(found["attributes"]) if found["attributes"] else {}
    score = {} if found["score"] is None else {"score": found["score"]}
    return {
        **{name: value for name, value in extra.items() if name not in _OWN},
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [x, y, w, h],
        "area": extra.get("area", w * h),
        "iscrowd": int(extra.get("iscrowd", 0)),
        **score,
    }
