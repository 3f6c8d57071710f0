"""The four kinds of YOLO's lines, and class names however they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import slicedb
from slicedb.errors import SourceError
from slicedb.ingest import Options, open_source


def opened(root: Path, yaml: str, *lines: str) -> tuple[list[Any], list[str]]:
    """Return the boxes of a picture of 64 x 48 whose label file has the lines, and the notes."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "labels").mkdir(exist_ok=True)
    Image.new("RGB", (64, 48)).save(root / "images" / "a.png")
    (root / "data.yaml").write_text(yaml)
    (root / "labels" / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    source = open_source(root, Options())
    [row] = [row for batch in source.batches for row in batch.to_pylist()]
    return row["objects"], source.notes


POSE3 = "0 .5 .5 .2 .2 .25 .5 2 0 0 0 .75 .5 1 .5 .25 2"
POSE2 = "0 .5 .5 .2 .2 .25 .5 0 0"


def test_key_points_are_no_outline(tmp_path: Path) -> None:
    yaml = "names: [person]\nkpt_shape: [4, 3]\nflip_idx: [0, 1, 2, 3]\n"
    [box, plain], _ = opened(tmp_path, yaml, POSE3, "0 .5 .5 .5 .5")
    assert box["bbox"] == [25.6, 19.2, 12.8, 9.6]
    assert box["keypoints"] == [16, 24, 2, 0, 0, 0, 48, 24, 1, 32, 12, 2]
    assert box["segmentation"] is None
    assert (plain["bbox"], plain["keypoints"]) == ([16, 12, 32, 24], None)


def test_key_points_of_two_numbers_are_visible_or_not_labelled(tmp_path: Path) -> None:
    [box], _ = opened(tmp_path, "names: [person]\nkpt_shape: [2, 2]\n", POSE2)
    assert box["bbox"] == [25.6, 19.2, 12.8, 9.6]
    assert box["keypoints"] == [16, 24, 2, 0, 0, 0]


def test_outlines_keep_their_polygon(tmp_path: Path) -> None:
    [box, scored], _ = opened(
        tmp_path, "names: [person]", "0 .25 .25 .5 .25 .5 .75", "0 .25 .25 .5 .25 .5 .75 .9"
    )
    assert json.loads(box["segmentation"]) == [[16, 12, 32, 12, 32, 36]]
    assert (box["bbox"], box["score"]) == ([16, 12, 16, 24], None)
    assert (json.loads(scored["segmentation"]), scored["score"]) == (
        [[16, 12, 32, 12, 32, 36]],
        0.9,
    )


def test_oriented_boxes_keep_their_corners(tmp_path: Path) -> None:
    [box], _ = opened(tmp_path, "names: [ship]", "0 .5 .25 .75 .5 .5 .75 .25 .5")
    assert json.loads(box["segmentation"]) == [[32, 12, 48, 24, 32, 36, 16, 24]]
    assert box["bbox"] == [16, 12, 32, 24]


def test_a_box_may_have_a_score(tmp_path: Path) -> None:
    [box], _ = opened(tmp_path, "names: [ship]", "\ufeff0 .5 .5 .5 .5 .75")
    assert (box["bbox"], box["score"], box["segmentation"]) == ([16, 12, 32, 24], 0.75, None)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("person", "person"),
        ("[person]", "person"),
        ("{0: person}", "person"),
        ("{'0': person}", "person"),
        ("[no, yes]", "no"),
        ("[007]", "007"),
        ("[1.0]", "1.0"),
        ("[null]", "null"),
        ("[2024-01-01]", "2024-01-01"),
        ("\n  - person # the only one", "person"),
    ],
)
def test_classes_are_called_as_they_are_written(tmp_path: Path, names: str, expected: str) -> None:
    [box], _ = opened(tmp_path, f"names: {names}\n", "0 .5 .5 .5 .5")
    assert box["label"] == expected


@pytest.mark.parametrize(
    ("yaml", "line", "message"),
    [
        ("names: [a]\nkpt_shape: [4, 3]", "0 .5 .5 .2 .2 .1 .1", "17 .kpt_shape"),
        ("names: [a]\nkpt_shape: 17", "0 .5 .5 .2 .2", "kpt_shape 17"),
        ("names: [a]\nkpt_shape: [4, 5]", "0 .5 .5 .2 .2", r"kpt_shape \[4, 5\]"),
        ("names: [a]", "0 .5 .5 .2", "4 numbers, where a box has 5"),
        ("names: [a]", "1 .5 .5 .2 .2", "class 1 is none of the 1"),
        ("names: ''", "0 .5 .5 .2 .2", "names no classes"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, yaml: str, line: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        opened(tmp_path, yaml, line)


def test_splits_that_lead_nowhere_are_noted(tmp_path: Path) -> None:
    yaml = "names: [a]\ntrain: images\nval: ../gone\ntest:\n"
    _, notes = opened(tmp_path, yaml, "0 .5 .5 .5 .5")
    assert "'val: ../gone' leads to no images." in notes
    assert sum("leads to no images" in note for note in notes) == 1


@pytest.mark.parametrize(
    ("yaml", "lines"),
    [
        ("names: [a, b]", ["0 .5 .5 .5 .5", "1 .25 .25 .5 .5"]),
        ("names: [a]", ["0 .25 .25 .5 .25 .5 .75", "0 .5 .25 .75 .5 .5 .75 .25 .5"]),
        ("names: [a]\nkpt_shape: [4, 3]", [POSE3, POSE3]),
    ],
)
def test_every_kind_comes_back_from_an_export(tmp_path: Path, yaml: str, lines: list[str]) -> None:
    before, _ = opened(tmp_path / "in", yaml, *lines)
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(tmp_path / "in")
    report = db.export("", tmp_path / "out", form="yolo")
    assert report.notes == ()
    source = open_source(tmp_path / "out", Options())
    [after] = [row["objects"] for batch in source.batches for row in batch.to_pylist()]
    assert after == before


def test_what_a_format_has_no_room_for_is_said(tmp_path: Path) -> None:
    opened(tmp_path / "in", "names: [a]", "0 .25 .25 .5 .25 .5 .75", "0 .5 .5 .5 .5")
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(tmp_path / "in")
    for form in ("voc", "yolo"):
        report = db.export("", tmp_path / form, form=form)
        assert f"1 outline left out: {form} has" in str(report)
        source = open_source(tmp_path / form, Options())
        [boxes] = [row["objects"] for batch in source.batches for row in batch.to_pylist()]
        assert [one["bbox"] for one in boxes] == [[16, 12, 16, 24], [16, 12, 32, 24]]
    assert db.export("", tmp_path / "coco", form="coco").notes == ()


def test_names_of_key_points_are_read_and_written(tmp_path: Path) -> None:
    for name in ("images", "labels"):
        (tmp_path / "set" / name).mkdir(parents=True)
    Image.new("RGB", (64, 48)).save(tmp_path / "set" / "images" / "1.png")
    (tmp_path / "set" / "labels" / "1.txt").write_text("0 .5 .5 .2 .2 .1 .2 2 .3 .4 1\n")
    (tmp_path / "set" / "data.yaml").write_text(
        "names: [person]\nkpt_shape: [2, 3]\nkpt_names: {0: [nose, ear]}\n"
    )
    source = tmp_path / "set"
    for i in range(2):
        db = slicedb.open(tmp_path / f"{i}.slicedb")
        db.ingest(source)
        query = "SELECT attributes->>'$.keypoint_names[1]' AS second FROM objects"
        assert db.query(query).to_arrow()["second"].to_pylist() == ["ear"]
        source = tmp_path / "out"
        if not i:
            assert db.export("", source, form="yolo").notes == ()
