"""Boxes from Pascal VOC, COCO and YOLO, and back."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_boxes import reference_iou

import slicedb
from slicedb.database import Database
from slicedb.errors import IngestError, SourceError
from slicedb.export import voc as voc_writer
from slicedb.export import yolo as yolo_writer
from slicedb.ingest import voc as voc_reader
from slicedb.ingest.yololine import Grammar
from slicedb.schema import PREDICTIONS
from slicedb.tasks import TASKS

W, H = 40, 20


def picture(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (W, H), (shade, 99, 7)).save(path)


def settle(root: Path) -> None:
    """Let files look old, so that a second ingest trusts their times."""
    for file in root.rglob("*"):
        if file.is_file():
            os.utime(file, (1_600_000_000, 1_600_000_000))


def rows(db: Database, *columns: str) -> list[Any]:
    table = db.store.table("samples", ["id", *columns]).to_pylist()
    return sorted((tuple(row.values()) for row in table), key=lambda row: row[0])


def boxes(db: Database) -> dict[str, Any]:
    found = {}
    for name, objects in rows(db, "objects"):
        found[name] = None if objects is None else [(o["label"], o["bbox"]) for o in objects]
    return found


# --- Pascal VOC -----------------------------------------------------------------------------------


def voc_object(name: str, *corners: float, more: str = "") -> str:
    inside = "".join(f"<{c}>{v}</{c}>" for c, v in zip(("xmin", "ymin", "xmax", "ymax"), corners))
    return f"<object>\n<name>{name}</name>\n{more}<bndbox>{inside}</bndbox>\n</object>\n"


def voc_file(path: Path, *objects: str, size: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    about = f"<size><width>{W}</width><height>{H}</height></size>\n" if size else ""
    path.write_text(f"<annotation>\n{about}{''.join(objects)}</annotation>\n", encoding="utf-8")


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    root = tmp_path / "voc"
    for i, name in enumerate("abcd"):
        picture(root / "VOC2007" / "JPEGImages" / f"{name}.png", i * 50)
    home = root / "VOC2007" / "Annotations"
    more = "<pose>Left</pose><difficult>1</difficult><occluded>0</occluded><empty/>"
    voc_file(
        home / "a.xml", voc_object("car", 1, 2, 11, 12, more=more), voc_object("dog", 3, 3, 3, 9)
    )
    voc_file(home / "b.xml", voc_object("car", 30, 10, 45.5, 15), size=False)
    voc_file(home / "c.xml")
    voc_file(home / "lost.xml", voc_object("car", 0, 0, 5, 5))
    sets = root / "VOC2007" / "ImageSets" / "Main"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("a\nb\n")
    (sets / "val.txt").write_text("c\n")
    (sets / "trainval.txt").write_text("a\nb\nc\nd\n")
    (sets / "car_train.txt").write_text("c  1\n")
    return root


def test_voc_boxes_splits_and_attributes(voc: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(voc)
    place = "VOC2007/JPEGImages"
    assert boxes(db) == {
        f"{place}/a.png": [("car", [1, 2, 10, 10]), ("dog", [3, 3, 0, 6])],
        f"{place}/b.png": [("car", [30, 10, 15.5, 5])],
        f"{place}/c.png": [],
        f"{place}/d.png": None,
        f"{place}/lost.jpg": [("car", [0, 0, 5, 5])],
    }
    assert [row[1:] for row in rows(db, "split", "status")] == [
        ("train", "ok"),
        ("train", "ok"),
        ("val", "ok"),
        ("trainval", "ok"),
        (None, "unreadable"),
    ]
    [first] = [o[0] for name, o in rows(db, "objects") if name == f"{place}/a.png"]
    assert json.loads(first["attributes"]) == {"pose": "Left", "difficult": 1, "occluded": 0}
    shown = str(report)
    assert "4 boxes: 3 car, 1 dog." in shown and "1 quarantined: 1 unreadable" in shown
    assert "1 box has no area; it is kept." in shown
    assert "1 box reaches beyond its image; it is kept as it is." in shown
    assert "1 image has no annotation: its objects are NULL." in shown
    outside = "least(x, y) < 0 OR x + w > samples.width OR y + h > samples.height"
    assert db.query(f"SELECT id FROM objects WHERE {outside}").ids() == [f"{place}/b.png"]
    assert db.query("has_object(attributes => {difficult: 1})").ids() == [f"{place}/a.png"]


def test_a_second_ingest_sees_what_was_annotated_anew(voc: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    settle(voc)
    db.ingest(voc)
    again = db.ingest(voc)
    assert (again.added, again.changed, again.unchanged) == (0, 0, 5)
    voc_file(voc / "VOC2007" / "Annotations" / "c.xml", voc_object("cat", 0, 0, 4, 4))
    third = db.ingest(voc)
    assert (third.added, third.changed, third.unchanged) == (0, 1, 4)
    assert boxes(db)["VOC2007/JPEGImages/c.png"] == [("cat", [0, 0, 4, 4])]


def test_images_elsewhere_are_counted(voc: Path, tmp_path: Path) -> None:
    picture(voc / "VOC2007" / "SegmentationClass" / "a.png")
    report = slicedb.open(tmp_path / "data.slicedb").ingest(voc)
    assert "Passed over: 1 image elsewhere in the folder, 1 .txt." in str(report)
    assert report.added == 5


def test_an_annotation_that_is_gone_leaves_null(voc: Path, tmp_path: Path) -> None:
    (voc / "VOC2007" / "ImageSets" / "Main" / "trainval.txt").unlink()
    voc_file(voc / "VOC2007" / "Annotations" / "d.xml", voc_object("cat", 0, 0, 4, 4))
    settle(voc)
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(voc)
    assert boxes(db)["VOC2007/JPEGImages/d.png"] == [("cat", [0, 0, 4, 4])]
    (voc / "VOC2007" / "Annotations" / "d.xml").unlink()
    assert db.ingest(voc).changed == 1
    assert boxes(db)["VOC2007/JPEGImages/d.png"] is None
    assert db.ingest(voc).changed == 0


def test_the_command_line_names_the_format(voc: Path, coco: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from slicedb.cli import verbs

    def run(*words: object) -> str:
        done = CliRunner().invoke(verbs, [str(word) for word in words])
        assert done.exit_code == 0, done.output
        return done.output

    db = tmp_path / "data.slicedb"
    assert "4 boxes: 3 car, 1 dog." in run("ingest", voc, "--as", "voc", "--db", db)
    file = coco / "annotations" / "instances_val2017.json"
    shown = run("ingest", file, "--images", coco / "val2017", "--prefix", "coco", "--db", db)
    assert "3 boxes: 2 car, 1 dog." in shown and "1 quarantined" in shown
    run("export", "has_object('dog')", tmp_path / "dogs", "--format", "yolo", "--db", db)
    assert len(list((tmp_path / "dogs").rglob("*.png"))) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<annotation>\n<object>\n</annotation>", r"a\.xml' is broken: .*line 3, column"),
        ("", r"a\.xml' is broken: no element found"),
        ("<annotation>\n<object><name>x</name></object></annotation>", r"line 2: an object has no"),
        (
            f"<annotation>\n{voc_object('car', 1, 2, 3, 4)}\n<object><name>x</name><bndbox>"
            "<xmin>one</xmin></bndbox></object></annotation>",
            r"line 7: an object has 'one' for its xmin",
        ),
        (
            "<annotation>\n\n<object><bndbox/></object></annotation>",
            r"line 3: an object has no name",
        ),
        ("<annotation>" + voc_object("x", 1, 2, float("nan"), 4) + "</annotation>", "for its xmax"),
    ],
)
def test_a_broken_voc_file_is_named_with_its_line(
    voc: Path, tmp_path: Path, text: str, says: str
) -> None:
    (voc / "VOC2007" / "Annotations" / "a.xml").write_text(text)
    db = slicedb.open(tmp_path / "data.slicedb")
    with pytest.raises(SourceError, match=says):
        db.ingest(voc, form="voc")
    assert db.query("").count() == 0


def test_voc_files_beside_the_images(tmp_path: Path) -> None:
    root = tmp_path / "flat"
    for split, name in (("train", "1"), ("valid", "2")):
        picture(root / split / f"{name}.jpg")
        voc_file(root / split / f"{name}.xml", voc_object("car", 0, 0, 4, 4))
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(root)
    assert rows(db, "split") == [("train/1.jpg", "train"), ("valid/2.jpg", "valid")]
    assert db.query("count_objects('car') = 1").count() == 2


def test_a_folder_can_be_taken_as_images_alone(voc: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(voc, form="folder")
    assert set(boxes(db).values()) == {None}
    with pytest.raises(IngestError, match=r"No format 'vco'.*did you mean 'voc'"):
        db.ingest(voc, form="vco")
    with pytest.raises(SourceError, match="No COCO annotations"):
        db.ingest(voc, form="coco")


# --- COCO -----------------------------------------------------------------------------------------

COCO: dict[str, Any] = {
    "images": [
        {"id": 7, "file_name": "1.png", "width": W, "height": H, "license": 3, "coco_url": ""},
        {"id": 9, "file_name": "sub/2.png", "width": W, "height": H, "license": None},
        {"id": 11, "file_name": "gone.png", "width": W, "height": H, "license": 1},
    ],
    "categories": [{"id": 5, "name": "car"}, {"id": 90, "name": "dog"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 7,
            "category_id": 90,
            "bbox": [1.5, 2, 10, 5],
            "area": 50.0,
            "iscrowd": 0,
            "segmentation": [[1, 2, 3, 4, 5, 6]],
        },
        {
            "id": 2,
            "image_id": 7,
            "category_id": 5,
            "bbox": [-1, 0, 10, 5],
            "area": 31.25,
            "iscrowd": 1,
            "attributes": {"occluded": True},
            "track_id": 4,
        },
        {"id": 3, "image_id": 11, "category_id": 5, "bbox": [0, 0, 1, 1], "score": 0.5},
        {"id": 4, "image_id": 99, "category_id": 5, "bbox": [0, 0, 1, 1]},
    ],
}


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    root = tmp_path / "coco"
    picture(root / "val2017" / "1.png", 1)
    picture(root / "val2017" / "sub" / "2.png", 2)
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(COCO))
    captions = {
        "images": COCO["images"],
        "annotations": [
            {"id": 1, "image_id": 7, "caption": "A car. "},
            {"id": 2, "image_id": 7, "caption": "A dog."},
        ],
    }
    (root / "annotations" / "captions_val2017.json").write_text(json.dumps(captions))
    return root


def test_coco_boxes_captions_and_metadata(coco: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(coco)
    assert boxes(db) == {
        "val2017/1.png": [("dog", [1.5, 2, 10, 5]), ("car", [-1, 0, 10, 5])],
        "val2017/sub/2.png": [],
        "val2017/gone.png": [("car", [0, 0, 1, 1])],
    }
    assert rows(db, "caption", "split", "image_id", "license", "status") == [
        ("val2017/1.png", "A car.\nA dog.", "val", 7, 3, "ok"),
        ("val2017/gone.png", None, "val", 11, 1, "unreadable"),
        ("val2017/sub/2.png", None, "val", 9, None, "ok"),
    ]
    first = db.store.table("samples", ["id", "objects"]).to_pylist()[0]["objects"]
    assert first[0]["attributes"] is None
    wanted = {"iscrowd": 1, "area": 31.25, "occluded": True, "track_id": 4}
    assert json.loads(first[1]["attributes"]) == wanted
    shown = str(report)
    assert "1 box reaches beyond" in shown and "1 quarantined" in shown
    assert "1 annotation of 'instances_val2017.json' speaks of no image in it" in shown


def test_a_coco_file_with_its_images_elsewhere(coco: Path, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.json"
    file.write_text(json.dumps(COCO))
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(file, images=coco / "val2017", split="test")
    assert rows(db, "split", "status")[0] == ("1.png", "test", "ok")
    assert set(boxes(db)) == {"1.png", "sub/2.png", "gone.png"}
    settle(coco)
    COCO_NEW = json.loads(json.dumps(COCO))
    COCO_NEW["annotations"][0]["bbox"] = [0, 0, 2, 2]
    db.ingest(file, images=coco / "val2017", split="test")
    file.write_text(json.dumps(COCO_NEW))
    again = db.ingest(file, images=coco / "val2017", split="test")
    assert (again.changed, again.unchanged) == (1, 2)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: '{"images": [,', r"line 1, column 13: Expecting value"),
        (lambda d: "[]", "it has no 'images'"),
        (lambda d: json.dumps({**d, "images": 5}), "'images' is not a list of objects"),
        (
            lambda d: json.dumps({**d, "annotations": [{"image_id": 7, "bbox": [1, 2], "id": 1}]}),
            r"annotations\[0\] has the bbox \[1, 2\], not \[x, y, w, h\]",
        ),
        (
            lambda d: json.dumps(
                {**d, "annotations": [{"image_id": 7, "bbox": [1, 2, 3, 4], "category_id": 6}]}
            ),
            r"annotations\[0\] has the category_id 6, which is none of 5, 90",
        ),
        (lambda d: json.dumps({**d, "images": [{"id": 1}]}), r"images\[0\] has no file_name"),
        (
            lambda d: json.dumps({**d, "images": d["images"][:1] * 2}),
            "two images have the id 7",
        ),
    ],
)
def test_a_broken_coco_file_is_named_with_the_place(tmp_path: Path, change: Any, says: str) -> None:
    file = tmp_path / "broken.json"
    file.write_text(change(COCO))
    db = slicedb.open(tmp_path / "data.slicedb")
    with pytest.raises(SourceError, match=rf"broken\.json'.*{says}"):
        db.ingest(file)
    assert db.query("").count() == 0


# --- YOLO -----------------------------------------------------------------------------------------


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    root = tmp_path / "yolo"
    picture(root / "images" / "train" / "1.png", 1)
    picture(root / "images" / "val" / "2.png", 2)
    picture(root / "images" / "val" / "3.png", 3)
    for split in ("train", "val"):
        (root / "labels" / split).mkdir(parents=True)
    (root / "labels" / "train" / "1.txt").write_text(
        "1 0.5 0.5 0.25 0.5\n0 1.0 0.5 0.1 0.1 0.75\n\n"
    )
    (root / "labels" / "val" / "2.txt").write_text("0 0.1 0.1 0.3 0.1 0.2 0.9\n")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [car, dog]\n")
    return root


def test_yolo_boxes_are_pixels(yolo: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(yolo)
    assert boxes(db) == {
        "images/train/1.png": [("dog", [15, 5, 10, 10]), ("car", [38, 9, 4, 2])],
        "images/val/2.png": [("car", [4, 2, 8, 16])],
        "images/val/3.png": [],
    }
    assert [row[1] for row in rows(db, "split")] == ["train", "val", "val"]
    scores = [o["score"] for o in db.store.table("samples", ["objects"])[0][0].as_py()]
    assert scores == [None, 0.75]
    assert "1 image has no label file" in str(report) and "1 box reaches beyond" in str(report)
    assert db.ingest(yolo / "data.yaml").unchanged == 3


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 0.5 0.5 0.1", "line 2: 4 numbers, where a box has 5"),
        ("2 0.5 0.5 0.1 0.1", "line 2: class 2 is none of the 2 that are named"),
        ("0 0.5 x 0.1 0.1", "line 2: '0 0.5 x 0.1 0.1' is not all numbers"),
        ("0 0.5 nan 0.1 0.1", "line 2: '0 0.5 nan 0.1 0.1' is not all numbers"),
    ],
)
def test_a_broken_yolo_line_is_named(yolo: Path, tmp_path: Path, line: str, says: str) -> None:
    (yolo / "labels" / "val" / "2.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(SourceError, match=rf"2\.txt', {says}"):
        slicedb.open(tmp_path / "data.slicedb").ingest(yolo)


def test_yolo_names_may_be_a_list_of_lines_or_broken(yolo: Path, tmp_path: Path) -> None:
    (yolo / "data.yaml").unlink()
    (yolo / "classes.txt").write_text("car\ndog\n")
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(yolo)
    assert db.query("has_object('dog')").ids() == ["images/train/1.png"]
    assert [row[1] for row in rows(db, "split")] == ["train", "val", "val"]
    (yolo / "data.yaml").write_text("names: [car\n")
    with pytest.raises(SourceError, match=r"data\.yaml', line 2"):
        db.ingest(yolo, form="yolo")
    (yolo / "data.yaml").write_text("names: 5\n")
    with pytest.raises(SourceError, match="names no classes"):
        db.ingest(yolo, form="yolo")


# --- and back -------------------------------------------------------------------------------------


pixels = st.floats(-10, 4000, width=32)
lengths = st.floats(0, 4000, width=32)
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)


@settings(max_examples=150, deadline=None)
@given(
    name=words.filter(lambda w: w.strip() == w),
    corner=st.tuples(pixels, pixels, lengths, lengths),
    value=st.one_of(st.integers(-9, 9), st.sampled_from(["Left", "Rear view", "0.25", "007"])),
)
def test_a_box_written_and_read_is_the_same(name: str, corner: Any, value: Any) -> None:
    said = json.dumps({"pose": value})
    found = {"label": name, "bbox": list(corner), "attributes": said}
    row = {"width": 4000, "height": 3000, "objects": [found]}
    text = ElementTree.tostring(voc_writer._annotation("x.jpg", row))
    [again], _ = voc_reader._boxes(ElementTree.fromstring(text))
    assert again["label"] == name
    assert again["bbox"] == pytest.approx(corner, abs=1e-6)
    assert json.loads(again["attributes"])["pose"] in (value, float("0.25"))
    line = yolo_writer._line(found, row, {})
    back = Grammar({0: name}).box(line.split(), (4000, 3000))
    assert back["label"] == name and back["bbox"] == pytest.approx(corner, abs=1e-3)


@pytest.mark.parametrize("form", ["coco", "voc", "yolo"])
def test_what_is_exported_comes_back(coco: Path, tmp_path: Path, form: str) -> None:
    (coco / "val2017" / "4.png").write_bytes((coco / "val2017" / "1.png").read_bytes())
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(coco)
    db.ingest(coco / "val2017", form="folder", prefix="more", split="test")
    db.export("status = 'ok'", tmp_path / "out", form=form)
    other = slicedb.open(tmp_path / "other.slicedb")
    report = other.ingest(tmp_path / "out")
    assert report.added == 5 and report.quarantined == 0

    def content(of: Database) -> list[Any]:
        found = of.store.table("samples", ["split", "objects", "status"]).to_pylist()
        return sorted(
            (row["split"], str(said(row["objects"]))) for row in found if row["status"] == "ok"
        )

    def said(objects: Any) -> Any:
        if objects is None:
            return [] if form == "yolo" else None  # a text file that is missing is no boxes
        return [
            (o["label"], o["bbox"], sorted(json.loads(o["attributes"] or "{}").items()))
            if form == "coco"
            else (o["label"], o["bbox"])
            for o in objects
        ]

    assert content(other) == content(db)


def test_a_coco_file_alone_reads_back_beside_its_images(coco: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(coco)
    db.export("status = 'ok'", tmp_path / "out.json")
    other = slicedb.open(tmp_path / "other.slicedb")
    other.ingest(tmp_path / "out.json", images=coco)
    assert boxes(other) == {k: v for k, v in boxes(db).items() if "gone" not in k}
    assert rows(other, "caption", "split") == [
        row for row in rows(db, "caption", "split") if "gone" not in row[0]
    ]


# --- real pictures --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.realdata
def test_blood_cells_equal_their_xml(shared_data: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "bccd.slicedb")
    report = db.ingest(shared_data / "bccd")
    wanted = {}
    sizes: Counter[tuple[str, str]] = Counter()
    for file in (shared_data / "bccd").rglob("*.xml"):
        found = []
        for item in ElementTree.parse(file).getroot().iter("object"):
            x, y, x2, y2 = (
                int(item.findtext(f"bndbox/{c}") or "") for c in ("xmin", "ymin", "xmax", "ymax")
            )
            found.append((item.findtext("name"), [x, y, x2 - x, y2 - y]))
            area = (x2 - x) * (y2 - y)
            size = "small" if area < 32**2 else "medium" if area < 96**2 else "large"
            sizes[item.findtext("name") or "", size] += 1
        wanted[f"BCCD/JPEGImages/{file.stem}.jpg"] = found
    assert boxes(db) == wanted and report.added == len(wanted) == 292
    text = (
        "SELECT label, CASE WHEN area < 1024 THEN 'small' WHEN area < 9216 THEN 'medium' "
        "ELSE 'large' END AS size, count(*) AS n FROM objects GROUP BY ALL"
    )
    counted = {(row["label"], row["size"]): row["n"] for row in db.sql(text).to_pylist()}
    assert counted == sizes
    crowded = [n for n, found in wanted.items() if sum(w == "RBC" for w, _ in found) > 20]
    assert sorted(db.query("count_objects('RBC') > 20").ids()) == sorted(crowded)
    tiny = {
        n for n, b in wanted.items() if any(w == "Platelets" and v[2] * v[3] < 900 for w, v in b)
    }
    assert set(db.query("has_object('Platelets', max_area => 899)").ids()) == tiny
    assert Counter(row[1] for row in rows(db, "split")) == {"train": 205, "val": 87}
    assert "2 boxes have no area" in str(report)


@pytest.mark.slow
@pytest.mark.realdata
def test_blood_cells_found_by_one_and_missed_by_another(shared_data: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "bccd.slicedb")
    db.ingest(shared_data / "bccd")
    truth = db.store.table("samples", ["id", "key", "objects"]).to_pylist()
    rng = np.random.default_rng(0)
    said: dict[str, dict[str, Any]] = {}
    for model, spread in (("a", 8), ("b", 25)):
        found = [
            {
                "id": row["id"],
                "key": row["key"],
                "objects": [
                    {
                        "label": o["label"],
                        "bbox": (np.array(o["bbox"]) + rng.normal(0, spread, 4)).clip(1).tolist(),
                        "score": float(rng.random()),
                    }
                    for o in row["objects"]
                    if rng.random() < 0.9
                ],
            }
            for row in truth
        ]
        said[model] = {str(row["id"]): row["objects"] for row in found}
        db.store.create(PREDICTIONS + model, TASKS["detection"].schema(None))
        table = pa.Table.from_pylist(found, schema=TASKS["detection"].schema(None))
        db.store.append(PREDICTIONS + model, table)

    def matched(boxes: list[Any], found: list[Any]) -> set[int]:
        free = set(range(len(boxes)))
        for one in sorted(found, key=lambda f: -f["score"]):
            near = [
                (value, i)
                for i in free
                if boxes[i]["label"] == one["label"]
                and (value := reference_iou(one["bbox"], boxes[i]["bbox"])) >= 0.5
            ]
            free -= {max(near)[1]} if near else set()
        return set(range(len(boxes))) - free

    wanted = []
    for row in truth:
        a, b = (matched(row["objects"], said[m][row["id"]]) for m in "ab")
        areas = [o["bbox"][2] * o["bbox"][3] for o in row["objects"]]
        wanted += [(row["id"], i + 1) for i in a - b if areas[i] < 5000]
    text = "SELECT id, index FROM objects WHERE a.found AND NOT b.found AND area < 5000"
    rows_found = db.sql(text).to_pylist()
    assert sorted((r["id"], r["index"]) for r in rows_found) == sorted(wanted)
    assert len(wanted) > 100
    some = db.query("has_object(found_by => 'a', missed_by => 'b', max_area => 4999)").ids()
    assert set(some) == {name for name, _ in wanted}
