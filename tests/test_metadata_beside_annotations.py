"""Metadata files that lie beside annotations, and what COCO says of a picture."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

import slicedb

XML = """<annotation><filename>1.png</filename>
<object><name>cat</name><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>
</object></annotation>"""


def test_annotated_pictures_have_the_columns_of_a_metadata_file(tmp_path: Path) -> None:
    voc = tmp_path / "voc"
    (voc / "Annotations").mkdir(parents=True)
    (voc / "JPEGImages").mkdir()
    for i in (1, 2):
        Image.new("RGB", (20, 10), (40 * i, 90, 200)).save(voc / "JPEGImages" / f"{i}.png")
    (voc / "Annotations" / "1.xml").write_text(XML)
    (voc / "metadata.jsonl").write_text(
        '{"file_name": "JPEGImages/1.png", "weather": "sunny", "label": "indoor"}\n'
        '{"file_name": "JPEGImages/3.png", "weather": "foggy", "label": "outdoor"}\n'
    )
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(voc)
    assert report.skipped == {}
    rows = db.query("SELECT id, label, weather, len(objects) n FROM samples ORDER BY id")
    assert [tuple(row.values()) for row in rows.to_arrow().to_pylist()] == [
        ("JPEGImages/1.png", "indoor", "sunny", 1),
        ("JPEGImages/2.png", None, None, None),
    ]
    said = " ".join(report.notes)
    assert "1 image has no row in the metadata files" in said
    assert "1 row of the metadata files names no image" in said


def test_coco_keeps_lists_of_texts_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "1.png")
    image = {"id": 7, "file_name": "1.png", "tags": ["night", "rain"], "camera": {"iso": 100}}
    coco = {"images": [image], "annotations": [], "categories": []}
    (tmp_path / "instances.json").write_text(json.dumps(coco))
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(tmp_path / "instances.json")
    assert db.query("list_contains(tags, 'rain')").ids() == ["1.png"]
    assert "What the pictures have of 'camera' was left out" in " ".join(report.notes)
