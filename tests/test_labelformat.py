"""labelformat, a converter of its own, reads what we export, and we read what it writes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import slicedb
from slicedb.schema import SAMPLES

formats = pytest.importorskip("labelformat.formats", reason="needs labelformat")

Boxes = dict[str, list[tuple[str, float, float, float, float]]]
BOXES: Boxes = {
    "0.png": [("cat", 3, 4, 20, 10), ("dog", 30, 11, 25, 29)],
    "1.png": [("cat", 0, 0, 60, 40)],
    "2.png": [("bird", 7, 8, 9, 10)],
}
SIZE = (60, 40)


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    """Return a database of three pictures with boxes, of one split."""
    images = tmp_path / "images"
    images.mkdir()
    lines = []
    for i, (name, boxes) in enumerate(BOXES.items()):
        Image.new("RGB", SIZE, (40 * i, 90, 200)).save(images / name)
        objects = [{"label": label, "bbox": list(sides)} for label, *sides in boxes]
        lines.append({"file_name": name, "split": "train", "objects": objects})
    (images / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    database = slicedb.open(tmp_path / "data.slicedb")
    database.ingest(images)
    return database


def theirs(read: Any) -> Counter[tuple[str, str, tuple[float, ...]]]:
    """Return what labelformat reads: file, label and box."""
    return Counter(
        (
            Path(label.image.filename).stem,
            one.category.name,
            tuple(round(side, 2) for side in one.box.to_format(_XYWH)),
        )
        for label in read.get_labels()
        for one in label.objects
    )


def ours(database: slicedb.Database) -> Counter[tuple[str, str, tuple[float, ...]]]:
    return Counter(
        (Path(row["id"]).stem, box["label"], tuple(round(side, 2) for side in box["bbox"]))
        for row in database.store.table(SAMPLES).to_pylist()
        for box in row["objects"] or []
    )


if formats:
    from labelformat.model.bounding_box import BoundingBoxFormat

    _XYWH = BoundingBoxFormat.XYWH

EXPECTED = Counter(
    (Path(name).stem, label, tuple(map(float, sides)))
    for name, boxes in BOXES.items()
    for label, *sides in boxes
)


def test_it_reads_our_coco_yolo_and_voc(db: slicedb.Database, tmp_path: Path) -> None:
    for form in ("coco", "yolo", "voc"):
        db.export("", tmp_path / form, form=form)
    coco = formats.COCOObjectDetectionInput(tmp_path / "coco" / "annotations.json")
    yolo = formats.YOLOv8ObjectDetectionInput(tmp_path / "yolo" / "data.yaml", "train")
    voc = formats.PascalVOCObjectDetectionInput(tmp_path / "voc" / "Annotations", "cat,dog,bird")
    assert theirs(coco) == theirs(yolo) == theirs(voc) == EXPECTED == ours(db)


def test_it_reads_our_outlines(tmp_path: Path, db: slicedb.Database) -> None:
    outline = {"label": "tree", "bbox": [1, 1, 19, 29], "segmentation": [[1, 1, 20, 1, 20, 30]]}
    code = {"size": [40, 60], "counts": [0, 2, 38, 2, 2358]}
    mask = {"label": "sky", "bbox": [0, 0, 2, 2], "segmentation": code, "iscrowd": 1}
    line = {"file_name": "0.png", "objects": [outline, mask]}
    (tmp_path / "images" / "metadata.jsonl").write_text(json.dumps(line))
    again = slicedb.open(tmp_path / "again.slicedb")
    again.ingest(tmp_path / "images")
    again.export("id = '0.png'", tmp_path / "coco", form="coco")
    read = formats.COCOInstanceSegmentationInput(tmp_path / "coco" / "annotations.json")
    (label,) = read.get_labels()
    first, second = (one.segmentation for one in label.objects)
    assert first.polygons == [[(1, 1), (20, 1), (20, 30)]]
    assert second.get_binary_mask().sum() == 4


@pytest.mark.parametrize("form", ["coco", "yolo", "voc", "cvat"])
def test_we_read_what_it_writes(db: slicedb.Database, tmp_path: Path, form: str) -> None:
    db.export("", tmp_path / "ours.json")
    read = formats.COCOObjectDetectionInput(tmp_path / "ours.json")
    out = tmp_path / form
    images = out / "images"
    images.mkdir(parents=True)
    for name in BOXES:
        (images / name).write_bytes((tmp_path / "images" / name).read_bytes())
    if form == "coco":
        formats.COCOObjectDetectionOutput(out / "labels.json").save(read)
    elif form == "yolo":
        formats.YOLOv8ObjectDetectionOutput(out / "data.yaml", "train").save(read)
    elif form == "voc":
        formats.PascalVOCObjectDetectionOutput(out / "Annotations").save(read)
    else:
        formats.CVATObjectDetectionOutput(out / "annotations.xml").save(read)
    back = slicedb.open(tmp_path / "back.slicedb")
    back.ingest(out)
    assert ours(back) == EXPECTED
