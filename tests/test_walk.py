"""Which files of a folder belong: one walk for all readers, and nothing left out uncounted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import slicedb
from slicedb.database import Database
from slicedb.ingest import Location, Options, open_source
from slicedb.ingest.source import Source

BOX = "0 .5 .5 .5 .5\n"
"""[16, 12, 32, 24] of a picture of 64 x 48."""


def picture(path: Path, size: tuple[int, int] = (64, 48)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (len(path.name) * 9 % 256, 99, 7)).save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def voc(*corners: int, filename: str = "") -> str:
    box = "".join(f"<{c}>{v}</{c}>" for c, v in zip(("xmin", "ymin", "xmax", "ymax"), corners))
    named = f"<filename>{filename}</filename>" if filename else ""
    return (
        f"<annotation>{named}<object><name>cat</name><bndbox>{box}</bndbox></object></annotation>"
    )


def opened(root: Path, **options: Any) -> Source:
    return open_source(root, Options(**options))


def rows(source: Source) -> dict[str, Any]:
    found = {}
    for batch in source.batches:
        for row in batch.to_pylist():
            objects = row.get("objects")
            found[row["id"]] = None if objects is None else [o["bbox"] for o in objects]
    return found


def test_two_endings_of_one_name_are_two_images(tmp_path: Path) -> None:
    for place in ("yolo/images", "voc/JPEGImages", "beside"):
        picture(tmp_path / place / "a.jpg")
        picture(tmp_path / place / "a.png")
    text(tmp_path / "yolo" / "data.yaml", "names: [cat]\n")
    text(tmp_path / "yolo" / "labels" / "a.txt", BOX)
    text(tmp_path / "voc" / "Annotations" / "a.xml", voc(1, 2, 11, 12))
    text(tmp_path / "beside" / "a.xml", voc(1, 2, 11, 12, filename="a.png"))
    both = [[16, 12, 32, 24]]
    assert rows(opened(tmp_path / "yolo")) == {"images/a.jpg": both, "images/a.png": both}
    one = [[1, 2, 10, 10]]
    assert rows(opened(tmp_path / "voc")) == {"JPEGImages/a.jpg": one, "JPEGImages/a.png": one}
    assert rows(opened(tmp_path / "beside")) == {"a.jpg": None, "a.png": one}


def test_folders_are_searched_however_deep_they_are(tmp_path: Path) -> None:
    deep = "2024/01/02/cam1"
    text(tmp_path / "yolo" / "data.yaml", "names: [cat]\ntrain: images/train\n")
    picture(tmp_path / "yolo" / "images" / "train" / deep / "a.jpg")
    text(tmp_path / "yolo" / "labels" / "train" / deep / "a.txt", BOX)
    assert rows(opened(tmp_path / "yolo")) == {f"images/train/{deep}/a.jpg": [[16, 12, 32, 24]]}
    picture(tmp_path / "voc" / "w/x/y/z" / "JPEGImages" / deep / "a.jpg")
    text(tmp_path / "voc" / "w/x/y/z" / "Annotations" / deep / "a.xml", voc(1, 2, 11, 12))
    assert rows(opened(tmp_path / "voc")) == {f"w/x/y/z/JPEGImages/{deep}/a.jpg": [[1, 2, 10, 10]]}
    picture(tmp_path / "coco" / "u/v/w/x" / "train" / deep / "a.jpg")
    text(
        tmp_path / "coco" / "u/v/w/x" / "train" / "_annotations.coco.json",
        '{"images": [{"id": 1, "file_name": "' + deep + '/a.jpg"}], "categories": '
        '[{"id": 1, "name": "cat"}], "annotations": '
        '[{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}]}',
    )
    assert rows(opened(tmp_path / "coco")) == {f"u/v/w/x/train/{deep}/a.jpg": [[1, 2, 3, 4]]}


def test_files_of_a_mac_are_hidden_from_every_reader(tmp_path: Path) -> None:
    double = b"\0\5\x16\7\0\2\0\0Mac OS X        "
    for form in ("voc", "yolo", "coco", "folder"):
        picture(tmp_path / form / "images" / "a.jpg")
        (tmp_path / form / "images" / "._a.jpg").write_bytes(double)
        text(tmp_path / form / "__MACOSX" / "b.jpg", "no picture")
    text(tmp_path / "voc" / "annotations" / "a.xml", voc(1, 2, 11, 12))
    (tmp_path / "voc" / "annotations" / "._a.xml").write_bytes(double)
    text(tmp_path / "yolo" / "data.yaml", "names: [cat]\n")
    text(tmp_path / "yolo" / "labels" / "a.txt", BOX)
    (tmp_path / "yolo" / "._data.yaml").write_bytes(double)
    (tmp_path / "yolo" / "labels" / "._a.txt").write_bytes(double)
    coco = '{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}'
    text(tmp_path / "coco" / "instances_val.json", coco)
    (tmp_path / "coco" / "._instances_val.json").write_bytes(double)
    hidden = {"voc": 3, "yolo": 4, "coco": 3, "folder": 2}
    for form, n in hidden.items():
        source = opened(tmp_path / form)
        assert list(rows(source)) == ["images/a.jpg"]
        assert source.skipped == {"hidden": n}


@pytest.mark.parametrize("place", ["classes.txt", "labels/classes.txt", "images/classes.txt"])
def test_class_names_are_found_among_the_labels(tmp_path: Path, place: str) -> None:
    picture(tmp_path / "images" / "a.jpg")
    text(tmp_path / place, "cat\ndog\n")
    text(tmp_path / "labels" / "a.txt", BOX)
    text(tmp_path / "labels" / "lost.txt", BOX)
    source = opened(tmp_path)
    assert rows(source) == {"images/a.jpg": [[16, 12, 32, 24]]}
    assert source.skipped == {".txt": 1}  # a label file without an image


def test_folders_of_labels_may_be_called_in_capitals(tmp_path: Path) -> None:
    picture(tmp_path / "Images" / "train" / "a.jpg")
    text(tmp_path / "Labels" / "train" / "a.txt", BOX)
    text(tmp_path / "data.yaml", "names: [cat]\n")
    assert rows(opened(tmp_path)) == {"Images/train/a.jpg": [[16, 12, 32, 24]]}


def test_labels_without_class_names_are_told(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg")
    text(tmp_path / "labels" / "a.txt", BOX)
    source = opened(tmp_path)
    assert source.skipped == {".txt": 1}
    assert source.notes == [
        "1 text file is called as images are, for example 'labels/a.txt', and looks like YOLO's "
        "boxes; it was not read, since nothing names the classes. data.yaml with `names`, or "
        "classes.txt, does."
    ]


def test_annotations_of_pets_lie_beside_the_images_folder(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg")
    text(tmp_path / "annotations" / "xmls" / "a.xml", voc(1, 2, 11, 12))
    text(tmp_path / "annotations" / "xmls" / "build.xml", "<project/>")
    text(tmp_path / "annotations" / "list.txt", "a 1 1 1")
    source = opened(tmp_path)
    assert rows(source) == {"images/a.jpg": [[1, 2, 10, 10]]}
    assert source.skipped == {".xml": 1, ".txt": 1}


@pytest.mark.parametrize("form", ["folder", "yolo", "voc", "coco"])
def test_every_file_is_read_or_counted(tmp_path: Path, form: str) -> None:
    for name in ("a.jpg", "a.png", "b.JPG", "sub/c.webp"):
        picture(tmp_path / "images" / name)
    text(tmp_path / "images" / "notes.doc", "x")
    text(tmp_path / "images" / "README", "x")
    text(tmp_path / "images" / ".hidden.jpg", "x")
    other = {"folder": {}, "yolo": {".txt": 1}, "voc": {".xml": 1}, "coco": {".json": 1}}[form]
    if form == "yolo":
        text(tmp_path / "data.yaml", "names: [cat]\n")
        text(tmp_path / "labels" / "a.txt", BOX)
        text(tmp_path / "labels" / "gone.txt", BOX)
    elif form == "voc":
        text(tmp_path / "annotations" / "a.xml", voc(1, 2, 3, 4, filename="a.jpg"))
        text(tmp_path / "annotations" / "other.xml", "<svg/>")
    elif form == "coco":
        text(tmp_path / "coco.json", '{"images": [{"id": 1, "file_name": "images/a.jpg"}]}')
        text(tmp_path / "other.json", "[1]")
    source = opened(tmp_path)
    n = sum(len(batch) for batch in source.batches)
    counted = source.skipped.pop("images elsewhere in the folder", 0)
    assert n + counted == 4
    assert source.skipped == {".doc": 1, "without extension": 1, "hidden": 1, **other}


def test_a_location_is_walked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("x/a.jpg", "y/b.jpg"):
        picture(tmp_path / name)
    listed: list[str] = []
    real = Location.list
    monkeypatch.setattr(Location, "list", lambda self: listed.append(self.name) or real(self))
    opened(tmp_path)
    assert sorted(listed) == sorted([tmp_path.name, "x", "y"])


def test_the_report_says_what_was_passed_over(tmp_path: Path) -> None:
    picture(tmp_path / "d" / "images" / "a.jpg")
    text(tmp_path / "d" / "data.yaml", "names: [cat]\n")
    text(tmp_path / "d" / "labels" / "a.txt", BOX)
    text(tmp_path / "d" / "labels" / "gone.txt", BOX)
    text(tmp_path / "d" / "images" / "._a.jpg", "x")
    db: Database = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(tmp_path / "d")
    assert (report.added, report.quarantined) == (1, 0)
    assert "Passed over: 1 hidden, 1 .txt." in str(report)
