"""Label Studio: every kind of region, both forms of its export, and what is wrong in some."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import slicedb
from slicedb.errors import SourceError
from slicedb.ingest.brush import pack
from slicedb.media.rle import mask_of
from slicedb.schema import SAMPLES

SIZE = {"original_width": 80, "original_height": 40}


def region(kind: str, value: dict[str, Any], name: str = "box", **more: Any) -> dict[str, Any]:
    return {"type": kind, "from_name": name, "to_name": "image", "value": value, **SIZE, **more}


def rectangle(x: float, y: float, w: float, h: float, label: str, **more: Any) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": w, "height": h, "rectanglelabels": [label]}
    return region("rectanglelabels", value | more.pop("value", {}), **more)


def task(image: str, *results: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {"data": {"image": image, **data}, "annotations": [{"id": 1, "result": list(results)}]}


def write(folder: Path, tasks: list[Any]) -> Path:
    """Write an export and the pictures 1.png to 4.png beside it."""
    (folder / "images").mkdir(parents=True)
    for i in range(1, 5):
        Image.new("RGB", (80, 40), (40 * i, 90, 200)).save(folder / "images" / f"{i}.png")
    (folder / "tasks.json").write_text(json.dumps(tasks))
    return folder


def rows(db: slicedb.Database) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in db.store.table(SAMPLES).to_pylist()}


def test_rectangles_are_pixels_and_turned_ones_keep_their_corners(tmp_path: Path) -> None:
    turned = rectangle(50, 50, 25, 25, "dog", value={"rotation": 90})
    source = write(tmp_path / "ls", [task("1.png", rectangle(10, 25, 50, 50, "cat"), turned)])
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(source)
    cat, dog = rows(db)["images/1.png"]["objects"]
    assert (cat["label"], cat["bbox"], cat["segmentation"]) == ("cat", [8, 10, 40, 20], None)
    assert dog["bbox"] == [30, 20, 10, 20]  # 20 x 10 turned about (40, 20)
    assert json.loads(dog["segmentation"]) == [[40, 20, 40, 40, 30, 40, 30, 20]]
    assert json.loads(dog["attributes"]) == {"rotation": 90}


def test_polygons_masks_ellipses_and_key_points(tmp_path: Path) -> None:
    mask = np.zeros((40, 80), bool)
    mask[3:9, 10:31] = True
    results = [
        region("polygonlabels", {"points": [[10, 10], [50, 10], [50, 60]], "polygonlabels": ["p"]}),
        region("brushlabels", {"format": "rle", "rle": pack(mask), "brushlabels": ["m"]}),
        region(
            "ellipselabels",
            {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "ellipselabels": ["e"]},
        ),
        rectangle(0, 0, 50, 50, "person", id="a"),
        region(
            "keypointlabels",
            {"x": 25, "y": 50, "width": 1, "keypointlabels": ["nose"]},
            id="b",
            parentID="a",
        ),
        region(
            "keypointlabels",
            {"x": 5, "y": 10, "width": 1, "keypointlabels": ["ear"]},
            id="c",
            parentID="a",
            meta={"visibility": 1},
        ),
        region("keypointlabels", {"x": 100, "y": 100, "width": 1, "keypointlabels": ["lost"]}),
    ]
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(write(tmp_path / "ls", [task("1.png", *results)]))
    polygon, brush, ellipse, person, alone = rows(db)["images/1.png"]["objects"]
    assert json.loads(polygon["segmentation"]) == [[8, 4, 40, 4, 40, 24]]
    assert polygon["bbox"] == [8, 4, 32, 20]
    assert (mask_of(json.loads(brush["segmentation"])) == mask).all()
    assert brush["bbox"] == [10, 3, 21, 6]
    assert ellipse["bbox"] == pytest.approx([32, 12, 16, 16])
    assert person["keypoints"] == [20, 20, 2, 4, 4, 1]
    assert json.loads(person["attributes"]) == {"keypoint_names": ["nose", "ear"]}
    assert (alone["label"], alone["bbox"], alone["keypoints"]) == (
        "lost",
        [80, 40, 0, 0],
        [80, 40, 2],
    )
    assert "1 box has no area" in " ".join(report.notes)
    shown = db.query("FROM objects WHERE keypoints IS NOT NULL").to_arrow()
    assert shown["label"].to_pylist() == ["person", "lost"]


def test_choices_texts_and_data_become_columns(tmp_path: Path) -> None:
    choice = {"type": "choices", "from_name": "class", "value": {"choices": ["indoor"]}}
    many = {"type": "choices", "from_name": "defects", "value": {"choices": ["dirt", "blur"]}}
    one = {"type": "choices", "from_name": "defects", "value": {"choices": ["dirt"]}}
    text = {"type": "textarea", "from_name": "caption", "value": {"text": ["a cat"]}}
    stars = {"type": "rating", "from_name": "quality", "value": {"rating": 4}}
    tasks = [
        task("1.png", choice, many, text, stars, weather="sunny", split="train"),
        task("2.png", choice, one, sample_id="cam/2"),
        {"data": {"image": "3.png"}, "annotations": [{"result": [], "was_cancelled": True}]},
        {"data": {"image": "4.png"}, "predictions": [{"result": [rectangle(1, 1, 1, 1, "x")]}]},
    ]
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(write(tmp_path / "ls", tasks))
    found = rows(db)
    first = found["images/1.png"]
    assert [first[k] for k in ("label", "defects", "caption", "quality", "weather", "split")] == [
        "indoor",
        ["dirt", "blur"],
        "a cat",
        4,
        "sunny",
        "train",
    ]
    assert found["cam/2"]["defects"] == ["dirt"]
    assert [found[i]["objects"] for i in ("images/1.png", "images/3.png")] == [None, None]
    said = " ".join(report.notes)
    assert "1 task was skipped by its annotator" in said
    assert "1 prediction of models was left out: log-predictions takes it" in said


def test_the_annotation_that_counts_is_the_true_one_or_the_newest(tmp_path: Path) -> None:
    def given(label: str, at: str, **more: Any) -> dict[str, Any]:
        return {"result": [rectangle(0, 0, 10, 10, label)], "updated_at": at, **more}

    tasks = [
        {
            "data": {"image": "1.png"},
            "annotations": [given("new", "2026-02"), given("old", "2025")],
        },
        {
            "data": {"image": "2.png"},
            "annotations": [given("true", "2025", ground_truth=True), given("new", "2026")],
        },
    ]
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(write(tmp_path / "ls", tasks))
    assert [row["objects"][0]["label"] for row in rows(db).values()] == ["new", "true"]
    assert "2 tasks have several annotations" in " ".join(report.notes)


def test_json_min_and_the_addresses_of_uploads(tmp_path: Path) -> None:
    box = {"x": 10, "y": 25, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["cat"]}
    tasks = [
        {
            "image": "/data/upload/3/9f0e1a2b-1.png",
            "id": 1,
            "label": [box | SIZE],
            "annotation_id": 2,
        },
        {
            "image": "/data/local-files/?d=images/2.png",
            "weather": "foggy",
            "defects": {"choices": ["a", "b"]},
            "annotation_id": 3,
        },
    ]
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(write(tmp_path / "ls", tasks))
    found = rows(db)
    assert found["images/1.png"]["objects"][0]["bbox"] == [8, 10, 40, 20]
    assert (found["images/2.png"]["objects"], found["images/2.png"]["labels"]) == ([], ["a", "b"])
    assert found["images/2.png"]["weather"] == "foggy"


def test_sizes_come_from_the_picture_where_results_do_not_state_them(tmp_path: Path) -> None:
    result = rectangle(10, 25, 50, 50, "cat")
    del result["original_width"]
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(write(tmp_path / "ls", [task("1.png", result)]) / "tasks.json")
    assert rows(db)["1.png"]["objects"][0]["bbox"] == [8, 10, 40, 20]


def test_pictures_of_a_bucket_are_taken_from_the_folder_that_is_named(tmp_path: Path) -> None:
    tasks = [task("s3://team/scans/2024/1.png", rectangle(10, 25, 50, 50, "cat"))]
    source = write(tmp_path / "ls", tasks)
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(source / "tasks.json", images=source / "images")
    (row,) = rows(db).values()
    assert (row["id"], row["status"]) == ("scans/2024/1.png", "ok")
    assert row["uri"] == str(source / "images" / "1.png")


@pytest.mark.parametrize(
    ("tasks", "fact"),
    [
        ("[{", r"tasks.json', line 1, column 3"),
        ([{"data": {"text": "hello"}, "annotations": []}], "task 1 names no picture.*'text'"),
        ([3, {"data": {"image": "a"}, "annotations": []}], "task 1 is no object"),
        (
            [task("1.png", rectangle(1, 1, 1, "9", "cat"))],  # type: ignore[arg-type]
            r"task 1: result\[0\], a rectangle, cannot be read: height is '9'",
        ),
        (
            [task("1.png", region("polygonlabels", {"points": [[1, 2], [3]]}))],
            r"task 1: result\[0\], a polygon, cannot be read: a point is \[3\]",
        ),
        (
            [task("1.png", region("brushlabels", {"rle": [0, 0, 0], "brushlabels": ["m"]}))],
            r"result\[0\], a brush, cannot be read: the code of a mask is cut off",
        ),
        (
            [task("1.png", region("brushlabels", {"brushlabels": ["m"]}))],
            r"result\[0\], a brush, has no 'rle'",
        ),
        (
            [task("1.png", {"type": "rectanglelabels", "value": [3], **SIZE})],
            r"result\[0\] has no value",
        ),
    ],
)
def test_what_is_broken_is_named_with_its_place(
    tmp_path: Path, tasks: list[Any] | str, fact: str
) -> None:
    source = write(tmp_path / "ls", [])
    (source / "tasks.json").write_text(tasks if isinstance(tasks, str) else json.dumps(tasks))
    db = slicedb.open(tmp_path / "data.slicedb")
    with pytest.raises(SourceError, match=fact):
        db.ingest(source / "tasks.json", form="label-studio")
    assert db.query("").count() == 0
