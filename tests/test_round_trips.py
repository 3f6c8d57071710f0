"""What is written in one format and read from it: through all of them, and each by itself.

Boxes are equal to the pixel: numbers of the annotation come back to within 0.001 pixels, the
decimals that readers keep where a format has fractions or percent of the picture.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import slicedb
from slicedb.ingest import FORMATS
from slicedb.media.rle import mask_of, rle_of
from slicedb.schema import SAMPLES

CHAIN = ("coco", "yolo", "huggingface", "label-studio", "voc")
ALL = ("coco", "voc", "yolo", "huggingface", "label-studio", "webdataset", "copy", "parquet")
FILES = {"parquet": "out.parquet"}
SHOWN = ("label", "split", "caption", "weather", "lux", "outdoors", "tags", "labels")


def read(path: Path, where: str = "") -> list[dict[str, Any]]:
    """Return the samples of a database in an order of their own: by their pixels."""
    db = slicedb.open(path)
    rows = db.store.table(SAMPLES).to_pylist()
    return sorted(rows, key=lambda row: row["sha256"])


def boxes(row: dict[str, Any], *fields: str) -> list[Any] | None:
    if row["objects"] is None:
        return None
    return [[box["label"], *box["bbox"], *(box[name] for name in fields)] for box in row["objects"]]


def assert_same_boxes(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    assert [row["sha256"] for row in one] == [row["sha256"] for row in other]
    for a, b in zip(one, other, strict=True):
        was, now = boxes(a), boxes(b)
        assert (was is None) == (now is None), a["id"]
        assert [box[0] for box in was or []] == [box[0] for box in now or []]
        if was:
            sides = [np.array([box[1:] for box in some], float) for some in (was, now or [])]
            assert np.abs(sides[0] - sides[1]).max() <= 1e-3


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Return a VOC data set of the shape that BCCD has, with metadata beside it."""
    rng = np.random.default_rng(5)
    voc = tmp_path / "voc"
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (voc / name).mkdir(parents=True)
    sets: dict[str, list[str]] = {"train": [], "val": []}
    lines = []
    for i in range(8):
        pixels = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        stem = f"BloodImage_{i:05d}"
        Image.fromarray(pixels).save(voc / "JPEGImages" / f"{stem}.jpg")
        sets["train" if i % 4 else "val"].append(stem)
        items = ""
        for k in range(i % 5):
            x, y = rng.integers(0, 40), rng.integers(0, 30)
            name = ("RBC", "WBC", "Platelets")[k % 3]
            items += (
                f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{x}</xmin>"
                f"<ymin>{y}</ymin><xmax>{x + 13}</xmax><ymax>{y + 11}</ymax></bndbox></object>"
            )
        if i != 7:  # one was never annotated
            size = "<size><width>64</width><height>48</height></size>"
            file = voc / "Annotations" / f"{stem}.xml"
            file.write_text(
                f"<annotation><filename>{stem}.jpg</filename>{size}{items}</annotation>"
            )
        lines.append(
            {
                "file_name": f"JPEGImages/{stem}.jpg",
                "label": ("smear", "culture")[i % 2],
                "caption": f"blood, slide {i}",
                "weather": ("sunny", "foggy")[i % 2],
                "lux": i * 100,
                "outdoors": bool(i % 3),
                "tags": ["lab", f"day {i}"],
            }
        )
    for split, stems in sets.items():
        (voc / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(stems))
    (voc / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return voc


def test_voc_coco_yolo_hugging_face_label_studio_and_back(cells: Path, tmp_path: Path) -> None:
    source, said = cells, {}
    slicedb.open(tmp_path / "start.slicedb").ingest(cells)
    start = read(tmp_path / "start.slicedb")
    for i, form in enumerate(CHAIN):
        db = slicedb.open(tmp_path / f"{i}.slicedb")
        db.ingest(source)
        said[form] = db.export("", tmp_path / f"{i}", form=form).notes
        source = tmp_path / f"{i}"
    db = slicedb.open(tmp_path / "end.slicedb")
    db.ingest(source)
    end = read(tmp_path / "end.slicedb")
    assert_same_boxes(start[:], [_unread_as_empty(a, b) for a, b in zip(start, end, strict=True)])
    assert [[row.get(name) for name in SHOWN] for row in start] == [
        [row.get(name) for name in SHOWN] for row in end
    ]
    assert said["coco"] == said["huggingface"] == said["label-studio"] == said["voc"] == ()
    assert said["yolo"] == (
        "Attributes of boxes left out: yolo has no place for difficult of 11 boxes.",
        "1 sample was never annotated: YOLO has no way to say so, and it comes back without boxes.",
    )


def _unread_as_empty(start: dict[str, Any], end: dict[str, Any]) -> dict[str, Any]:
    """Return a sample as it was where it was never annotated, which YOLO cannot say."""
    return {**end, "objects": None} if start["objects"] is None and end["objects"] == [] else end


@pytest.mark.realdata
@pytest.mark.slow
def test_real_blood_cells_go_through_all_formats(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "bccd" / "BCCD"
    slicedb.open(tmp_path / "start.slicedb").ingest(source)
    for i, form in enumerate(CHAIN):
        db = slicedb.open(tmp_path / f"{i}.slicedb")
        db.ingest(source)
        db.export("status = 'ok'", tmp_path / f"{i}", form=form)
        source = tmp_path / f"{i}"
    slicedb.open(tmp_path / "end.slicedb").ingest(source)
    start, end = read(tmp_path / "start.slicedb"), read(tmp_path / "end.slicedb")
    assert len(start) == 292 and sum(len(row["objects"] or []) for row in start) > 3_000
    assert_same_boxes(start, end)
    assert [row["split"] for row in start] == [row["split"] for row in end]


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Return a database whose boxes have everything: outlines, key points, scores, attributes."""
    images = tmp_path / "images"
    images.mkdir()
    mask = np.zeros((40, 60), bool)
    mask[5:20, 7:30] = True
    people = {"keypoint_names": ["nose", "ear", "tail"], "occluded": 1}
    rows = {
        "1.png": [
            _box("person", [5.5, 4, 20, 30], people, keypoints=[6, 5, 2, 9.25, 9, 1, 0, 0, 0]),
            _box("sky", [7, 5, 23, 15], {}, segmentation=rle_of(mask)),
            _box("cat", [1, 2, 30, 20], {"iscrowd": 1}, segmentation=[[1, 2, 31, 2, 31, 22]]),
        ],
        "2.png": [
            _box("dog", [1, 1, 20, 20], {"pose": "left", "shy": True}, score=0.25),
            _box(
                "two",
                [0, 0, 50, 30],
                {},
                segmentation=[[0, 0, 9, 0, 9, 9], [40, 20, 50, 20, 50, 30]],
            ),
        ],
        "3.png": [],
        "4.png": None,
    }
    lines = []
    for i, (name, objects) in enumerate(rows.items()):
        Image.new("RGB", (60, 40), (50 * i, 90, 200)).save(images / name)
        more: dict[str, Any] = {} if objects is None else {"objects": objects}
        label = "indoor" if i % 2 else None
        lines.append({"file_name": name, "label": label, "split": "test", "lux": i + 0.5, **more})
    (images / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    slicedb.open(tmp_path / "scenes.slicedb").ingest(images)
    return tmp_path / "scenes.slicedb"


def _box(label: str, bbox: list[float], attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    outline = more.pop("segmentation", None)
    row = {"label": label, "bbox": bbox, "attributes": json.dumps(attributes), **more}
    return row if outline is None else {**row, "segmentation": json.dumps(outline)}


@pytest.mark.parametrize("form", ["coco", "huggingface", "label-studio", "webdataset", "parquet"])
def test_outlines_key_points_scores_and_attributes_come_back(
    scenes: Path, tmp_path: Path, form: str
) -> None:
    db = slicedb.open(scenes)
    report = db.export("", tmp_path / FILES.get(form, "out"), form=form)
    assert report.notes == ()
    slicedb.open(tmp_path / "end.slicedb").ingest(tmp_path / FILES.get(form, "out"))
    start, end = read(scenes), read(tmp_path / "end.slicedb")
    assert_same_boxes(start, end)
    for a, b in zip(start, end, strict=True):
        for was, now in zip(a["objects"] or [], b["objects"] or [], strict=True):
            assert now["score"] == was["score"] and now["keypoints"] == was["keypoints"]
            known = [json.loads(box["attributes"] or "{}") for box in (was, now)]
            own = {known[1].pop(name, None) for name in ("area", "num_keypoints")}
            assert known[0] == known[1]
            assert own == {None} or form == "coco"  # it has both beside the outline
            outlines = [json.loads(box["segmentation"] or "null") for box in (was, now)]
            if isinstance(outlines[0], dict):
                assert (mask_of(outlines[0]) == mask_of(outlines[1])).all()
            else:
                assert outlines[0] == outlines[1]
    assert [row["lux"] for row in start] == [row["lux"] for row in end]
    assert [row["split"] for row in start] == [row["split"] for row in end]
    assert [row["label"] for row in start] == [row["label"] for row in end]


def test_what_a_format_has_no_room_for_is_counted(scenes: Path, tmp_path: Path) -> None:
    db = slicedb.open(scenes)
    notes = {form: db.export("", tmp_path / form, form=form).notes for form in ("voc", "yolo")}
    assert notes["voc"] == (
        "3 outlines left out: voc has no room for them. COCO keeps all.",
        "1 set of key points left out: voc has no room for them. COCO keeps all.",
        "1 score of boxes left out: voc has no place for them.",
    )
    assert notes["yolo"][2:] == (
        "1 score of boxes left out: yolo has no place for them.",
        "Attributes of boxes left out: yolo has no place for occluded of 1, iscrowd of 1, "
        "pose of 1, shy of 1 boxes.",
        "1 sample was never annotated: YOLO has no way to say so, and it comes back without boxes.",
    )
    csv = db.export("", tmp_path / "out.csv").notes
    assert csv == ("The pictures are not in a CSV: `uri` says where those of 4 samples lie.",)


@pytest.mark.parametrize("form", ALL)
def test_every_format_is_written_and_read_by_name_from_the_registry(
    scenes: Path, tmp_path: Path, form: str
) -> None:
    assert FORMATS[form].writer() is not None
    db = slicedb.open(scenes)
    dest = tmp_path / FILES.get(form, "out")
    assert db.export("", dest, form=form).n == 4
    end = slicedb.open(tmp_path / "end.slicedb")
    assert end.ingest(dest, form=form).added == 4
    assert sorted(r["sha256"] for r in end.store.table(SAMPLES).to_pylist()) == [
        row["sha256"] for row in read(scenes)
    ]


def test_an_export_of_label_studio_that_comes_back_changes_the_same_samples(
    scenes: Path, tmp_path: Path
) -> None:
    db = slicedb.open(scenes)
    db.export("", tmp_path / "ls", form="label-studio")
    file = tmp_path / "ls" / "tasks.json"
    tasks = json.loads(file.read_text())
    third = next(task for task in tasks if task["data"]["sample_id"] == "3.png")
    value = {"x": 0, "y": 0, "width": 50, "height": 50, "rectanglelabels": ["new"]}
    size = {"original_width": 60, "original_height": 40}
    third["annotations"][0]["result"] = [{"type": "rectanglelabels", "value": value, **size}]
    file.write_text(json.dumps(tasks))
    report = db.ingest(tmp_path / "ls")
    assert (report.added, report.total) == (0, 4)
    assert db.query("has_object('new')").ids() == ["3.png"]
