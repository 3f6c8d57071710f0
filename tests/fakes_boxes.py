"""Random boxes, and COCO's own evaluation of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from slicedb.schema import OBJECT

CLASSES = ("RBC", "WBC", "Platelets")


def objects(rows: list[Any]) -> pa.Array:
    """Return a column of objects."""
    return pa.array(rows, pa.list_(OBJECT))


def box(label: str, x: float, y: float, w: float, h: float, score: float | None = None) -> dict:
    """Return one object."""
    return {"label": label, "bbox": [x, y, w, h], "score": score, "attributes": None}


def draw(
    n: int,
    seed: int,
    *,
    most: int = 12,
    crowds: float = 0.0,
    ties: bool = False,
    size: float = 60.0,
    areas: float = 0.0,
    labels: tuple[str, ...] = CLASSES,
) -> tuple[list[Any], list[Any]]:
    """Return (found, truth) of n images: shifted, relabelled, missed and invented boxes."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(n):
        k = int(rng.integers(0, most + 1))
        corners, sides = rng.uniform(0, 300, (k, 2)), rng.uniform(4, 2 * size, (k, 2))
        names = rng.choice(labels, k)
        there = [box(str(a), *b, *c) for a, b, c in zip(names, corners.tolist(), sides.tolist())]
        for one in there:
            if rng.random() < crowds:
                one["attributes"] = json.dumps({"iscrowd": 1})
            if areas and rng.random() < areas:
                share = 0.6 * one["bbox"][2] * one["bbox"][3]
                known = json.loads(one["attributes"] or "{}")
                one["attributes"] = json.dumps({**known, "area": share})
        truth.append(there)
        said = []
        for one in there:
            for _ in range(int(rng.choice([0, 1, 1, 1, 2]))):
                x, y, w, h = np.array(one["bbox"]) + rng.normal(0, 4, 4)
                label = one["label"] if rng.random() < 0.85 else str(rng.choice(labels))
                said.append(box(label, x, y, max(w, 1.0), max(h, 1.0), rng.random()))
        for _ in range(int(rng.integers(0, 4))):
            x, y, w, h = rng.uniform(1, 2 * size, 4)
            said.append(box(str(rng.choice(labels)), x, y, w, h, rng.random() / 2))
        for k, one in enumerate(said if ties else ()):  # alike in other images, not in this one
            one["score"] = float(np.round(one["score"], 1)) + 1e-6 * k
        found.append(said)
    return found, truth


def coco(found: list[Any], truth: list[Any], classes: tuple[str, ...] = CLASSES) -> Any:
    """Return COCO's evaluation of the images, accumulated."""
    from faster_coco_eval import COCO, COCOeval_faster

    code = {name: i + 1 for i, name in enumerate(classes)}
    images = [{"id": i + 1, "width": 1000, "height": 1000} for i in range(len(truth))]
    notes, number = [], 0
    for i, row in enumerate(truth):
        for one in row:
            number += 1
            extra = json.loads(one["attributes"] or "{}")
            crowd = int("iscrowd" in extra)
            notes.append(
                {
                    "id": number,
                    "image_id": i + 1,
                    "category_id": code[one["label"]],
                    "bbox": one["bbox"],
                    "area": extra.get("area", one["bbox"][2] * one["bbox"][3]),
                    "iscrowd": crowd,
                }
            )
    said = [
        {"image_id": i + 1, "category_id": code[o["label"]], "bbox": o["bbox"], "score": o["score"]}
        for i, row in enumerate(found)
        for o in row
    ]
    categories = [{"id": v, "name": k} for k, v in code.items()]
    truths = COCO({"images": images, "annotations": notes, "categories": categories})
    judge = COCOeval_faster(truths, truths.loadRes(said), "bbox", print_function=lambda *_: None)
    judge.params.imgIds = [i + 1 for i in range(len(truth))]
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return judge
