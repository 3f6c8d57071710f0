"""Write COCO JSON: images, categories, annotations (https://cocodataset.org/#format-data)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from slicedb.export.about import about, as_text, said
from slicedb.export.folder import file_name, write_images
from slicedb.export.labelmaps import STUFF, count_maps, stuff_of, stuff_text
from slicedb.export.tables import Row, metadata
from slicedb.ingest.format import Written
from slicedb.keys import Keys
from slicedb.schema import KEYPOINT_NAMES, SAMPLES
from slicedb.show.numbers import count as numbers_text

if TYPE_CHECKING:
    from slicedb.schema import Box
    from slicedb.store import Store

_COLUMNS = ["id", "width", "height", "split", "objects", "format"]
_OWN = ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "score", KEYPOINT_NAMES)


def write_coco(store: Store, keys: Keys, path: Path) -> Written:
    """Write boxes as COCO annotations; `slicedb ingest` reads them back as they were.

    A path that ends in .json is the annotations alone, whose `file_name` is the sample's id; any
    other is a folder with annotations.json and images/. Split, label and other metadata stand in
    `images`; `annotated` is false there where it was never annotated (objects NULL).
    """
    images: list[Row] = []
    boxes: list[Row] = []
    numbers: dict[str, int] = {}
    points: dict[str, list[str]] = {}
    schema = store.schema(SAMPLES)
    columns = said(schema, "split")
    alone = path.suffix.lower() == ".json"
    samples: list[str] = []
    taken: set[str] = set()
    for chunk, table in metadata(store, keys):
        rows = table.select(_COLUMNS).to_pylist()
        names = [row["id"] for row in rows]
        samples += names
        if not alone:
            names = [file_name(row["id"], row["format"]) for row in rows]
            names = write_images(store, chunk, names, path / "images", taken)
        for name, row, more in zip(names, rows, about(table, columns), strict=True):
            images.append({**more, **_image(len(images) + 1, name, row)})
            for box in row["objects"] or []:
                points |= _point_names(box)
                category = numbers.setdefault(box["label"], len(numbers) + 1)
                boxes.append(_annotation(len(boxes) + 1, len(images), category, box))
    categories = [
        {"id": number, "name": name} | ({"keypoints": points[name]} if name in points else {})
        for name, number in numbers.items()
    ]
    whole = {"images": images, "annotations": boxes, "categories": categories}
    file = path if alone else path / "annotations.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
    notes = as_text(schema, columns)
    if alone:
        return Written(len(keys), (*notes, *_lost_maps(store, keys)))
    stuff = stuff_of(store, keys, dict(zip(samples, images, strict=True)))
    if stuff is not None:
        (path / STUFF).write_text(stuff_text(stuff), encoding="utf-8")
    return Written(len(keys), tuple(notes))


def _lost_maps(store: Store, keys: Keys) -> list[str]:
    n = count_maps(store, keys)
    if not n:
        return []
    text = numbers_text(n, "label map")
    return [f"{text} left out: name a folder, which gets {STUFF} beside the annotations."]


def _image(number: int, name: str, row: Row) -> Row:
    image = {"id": number, "file_name": name, "width": row["width"], "height": row["height"]}
    image |= {"split": row["split"]} if row["split"] is not None else {}
    return image if row["objects"] is not None else {**image, "annotated": False}


def _point_names(box: Box) -> dict[str, list[str]]:
    """Return how the key points of a box are called, by its label; none where they are not."""
    if not box.get("keypoints") or KEYPOINT_NAMES not in (box["attributes"] or ""):
        return {}
    names = json.loads(box["attributes"] or "{}").get(KEYPOINT_NAMES)
    return {str(box["label"]): names} if isinstance(names, list) else {}


def _outline(box: Box) -> Row:
    """Return outline and key points; databases of the first releases have none."""
    outline, points = box.get("segmentation"), box.get("keypoints")
    known: Row = {} if outline is None else {"segmentation": json.loads(outline)}
    if points is not None:
        known |= {"keypoints": points, "num_keypoints": sum(v > 0 for v in points[2::3])}
    return known


def _annotation(number: int, image: int, category: int, box: Box) -> Row:
    x, y, w, h = box["bbox"]
    extra = json.loads(box["attributes"]) if box["attributes"] else {}
    score = {} if box["score"] is None else {"score": box["score"]}
    return {
        **{name: value for name, value in extra.items() if name not in _OWN},
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [x, y, w, h],
        "area": extra.get("area", w * h),
        "iscrowd": int(extra.get("iscrowd", 0)),
        **_outline(box),
        **score,
    }
