"""COCO JSON: images, categories, annotations (https://cocodataset.org/#format-data)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slicedb.export.tables import metadata

if TYPE_CHECKING:
    from slicedb.store import Store


def write_coco(store: Store, keys: np.ndarray, path: Path) -> int:
    """Write boxes as COCO annotations; a sample without boxes has its label in `images`."""
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    numbers: dict[str, int] = {}
    for _, table in metadata(store, keys):
        columns = ["id", "uri", "width", "height", "label", "objects"]
        for row in table.select(columns).to_pylist():
            images.append(
                {
                    "id": len(images) + 1,
                    "file_name": row["id"],
                    "width": row["width"],
                    "height": row["height"],
                    "label": row["label"],
                }
            )
            for found in row["objects"] or []:
                category = numbers.setdefault(found["label"], len(numbers) + 1)
                boxes.append(_annotation(len(boxes) + 1, len(images), category, found))
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    whole = {"images": images, "annotations": boxes, "categories": categories}
    path.write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
    return len(keys)


def _annotation(number: int, image: int, category: int, found: dict[str, Any]) -> dict[str, Any]:
    x, y, w, h = found["bbox"]
    extra = json.loads(found["attributes"]) if found["attributes"] else {}
    score = {} if found["score"] is None else {"score": found["score"]}
    return {
        **extra,
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [x, y, w, h],
        "area": w * h,
        "iscrowd": int(extra.get("iscrowd", 0)),
        **score,
    }
