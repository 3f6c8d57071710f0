"""The size that an annotation states, the size of the picture, and EXIF's orientation between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import slicedb
from slicedb import media
from slicedb.database import Database
from slicedb.ingest.outlines import turned, turned_box, turned_outline

W, H = 64, 48
TURNED = "exif_orientation IS NOT NULL AND stated_width IS NOT NULL"
OTHER = "stated_width IS NOT NULL AND exif_orientation IS NULL"
UNSURE = "exif_orientation IS NOT NULL AND stated_width IS NULL"


def photo(path: Path, orientation: int = 1, size: tuple[int, int] = (W, H)) -> None:
    """Write a black picture as stored, with a white patch at [40, 10, 20, 20]."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[10:30, 40:60] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, exif=exif, quality=95)


def patch(path: Path) -> list[int]:
    """Return where the white patch is in the picture as displayed."""
    ys, xs = np.nonzero(media.decode_rgb(path.read_bytes())[..., 0] > 127)
    left, top = int(xs.min()), int(ys.min())
    return [left, top, int(xs.max()) + 1 - left, int(ys.max()) + 1 - top]


def coco(path: Path, *images: dict[str, Any], **more: Any) -> Path:
    boxes = [
        {"id": i, "image_id": image["id"], "category_id": 1, "bbox": [40, 10, 20, 20], **more}
        for i, image in enumerate(images)
    ]
    whole = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


def image(number: int, name: str, width: int | None = W, height: int | None = H) -> dict[str, Any]:
    size = {} if width is None else {"width": width, "height": height}
    return {"id": number, "file_name": name, **size}


def boxes(db: Database) -> dict[str, Any]:
    rows = db.store.table("samples", ["id", "objects"]).to_pylist()
    return {row["id"]: [o["bbox"] for o in row["objects"] or []] for row in rows}


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_made_for_the_stored_picture_are_turned_with_it(
    tmp_path: Path, orientation: int
) -> None:
    photo(tmp_path / "a.jpg", orientation)
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(coco(tmp_path / "a.json", image(1, "a.jpg")))
    expected = {5: [10, 40, 20, 20], 6: [18, 40, 20, 20], 7: [18, 4, 20, 20], 8: [10, 4, 20, 20]}
    assert boxes(db) == {"a.jpg": [expected[orientation]]}
    assert patch(tmp_path / "a.jpg") == expected[orientation]
    assert db.query(TURNED).ids() == ["a.jpg"]
    assert "1 picture is turned for display (EXIF) and was annotated as stored" in str(report)
    assert TURNED in str(report)


def test_boxes_made_for_the_displayed_picture_stay(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg", 6)
    photo(tmp_path / "b.jpg", 1)
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(coco(tmp_path / "a.json", image(1, "a.jpg", H, W), image(2, "b.jpg")))
    assert boxes(db) == {"a.jpg": [[40, 10, 20, 20]], "b.jpg": [[40, 10, 20, 20]]}
    assert "stated_width" not in db.store.schema("samples").names
    assert "EXIF" not in str(report)


def test_what_cannot_be_told_is_noted_with_its_query(tmp_path: Path) -> None:
    photo(tmp_path / "mirrored.jpg", 2)
    photo(tmp_path / "square.jpg", 6, (64, 64))
    photo(tmp_path / "unstated.jpg", 8)
    photo(tmp_path / "plain.jpg")
    images = (
        image(1, "mirrored.jpg"),
        image(2, "square.jpg", 64, 64),
        image(3, "unstated.jpg", None),
        image(4, "plain.jpg"),
    )
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(coco(tmp_path / "a.json", *images))
    assert set(map(str, boxes(db).values())) == {"[[40.0, 10.0, 20.0, 20.0]]"}
    assert sorted(db.query(UNSURE).ids()) == ["mirrored.jpg", "square.jpg", "unstated.jpg"]
    assert "3 annotated pictures are turned for display" in str(report) and UNSURE in str(report)


def test_other_sizes_are_noted_by_every_format_that_states_one(tmp_path: Path) -> None:
    for place in ("voc", "coco"):
        photo(tmp_path / place / "a.jpg")
        photo(tmp_path / place / "b.jpg")
    for name, (w, h) in {"a": (128, 96), "b": (W, H)}.items():
        size = f"<size><width>{w}</width><height>{h}</height></size>"
        box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
        xml = f"<annotation>{size}<object><name>cat</name>{box}</object></annotation>"
        (tmp_path / "voc" / f"{name}.xml").write_text(xml)
    coco(tmp_path / "coco" / "instances_val.json", image(1, "a.jpg", 128, 96), image(2, "b.jpg"))
    (tmp_path / "table").mkdir()
    for name in ("a.jpg", "b.jpg"):
        photo(tmp_path / "table" / name)
    objects = json.dumps([{"label": "cat", "bbox": [1, 2, 3, 4]}]).replace('"', '""')
    (tmp_path / "table" / "rows.csv").write_text(
        f'path,width,height,objects\na.jpg,128,96,"{objects}"\nb.jpg,64,48,"{objects}"\n'
    )
    for place in ("voc", "coco", "table/rows.csv"):
        db = slicedb.open(tmp_path / f"{place.split('/')[0]}.slicedb")
        report = db.ingest(tmp_path / place)
        assert db.query(OTHER).ids() == ["a.jpg"], place
        assert db.sql(f"SELECT stated_width, stated_height FROM samples WHERE {OTHER}")[
            0
        ].to_pylist() == [128]
        assert "1 picture has another size than its annotations state" in str(report)
        assert OTHER in str(report)


def test_a_table_turns_boxes_with_the_picture(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg", 6)
    objects = json.dumps([{"label": "cat", "bbox": [40, 10, 20, 20]}]).replace('"', '""')
    (tmp_path / "rows.csv").write_text(f'path,width,height,objects\na.jpg,64,48,"{objects}"\n')
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(tmp_path / "rows.csv")
    assert boxes(db) == {"a.jpg": [[18, 40, 20, 20]]}
    assert db.query(TURNED).ids() == ["a.jpg"]


def test_no_picture_is_opened_later(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg", 6)
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(coco(tmp_path / "a.json", image(1, "a.jpg")), verify="later")
    assert boxes(db) == {"a.jpg": [[40, 10, 20, 20]]}
    assert "sizes that the annotations state were not held against the pictures of 1 " in str(
        report
    )


def test_a_second_ingest_changes_nothing(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg", 6)
    photo(tmp_path / "b.jpg")
    file = coco(tmp_path / "a.json", image(1, "a.jpg"), image(2, "b.jpg"))
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(file)
    again = db.ingest(file)
    assert (again.changed, again.unchanged) == (0, 2)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_boxes_outlines_and_masks_turn_as_the_pixels_do(orientation: int) -> None:
    stored = np.zeros((48, 64), np.uint8)
    stored[10:30, 40:60] = 1
    shown = media.turn(stored, orientation)
    size = (shown.shape[1], shown.shape[0])
    ys, xs = np.nonzero(shown)
    expected = [xs.min(), ys.min(), 20, 20]
    assert turned_box([40, 10, 20, 20], orientation, size) == expected
    flat = stored.T.ravel()
    edges = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    mask = {"size": [48, 64], "counts": np.diff(edges).tolist()}
    again = json.loads(turned_outline(json.dumps(mask), orientation, size))
    inside = np.repeat(np.arange(len(again["counts"])) % 2, again["counts"])
    assert np.array_equal(inside.reshape(again["size"][::-1]).T, shown)
    corners = turned([40, 10, 60, 30], orientation, size)
    assert sorted([corners[0], corners[2]]) == [xs.min(), xs.max() + 1]


def test_key_points_and_outlines_turn_with_their_box(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg", 6)
    more = {"segmentation": [[40, 10, 60, 10, 60, 30]], "keypoints": [40, 10, 2, 0, 0, 0]}
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(coco(tmp_path / "a.json", image(1, "a.jpg"), **more))
    [[box]] = db.store.table("samples", ["objects"])["objects"].to_pylist()
    assert json.loads(box["segmentation"]) == [[38, 40, 38, 60, 18, 60]]
    assert box["keypoints"] == [38, 40, 2, 0, 0, 0]
