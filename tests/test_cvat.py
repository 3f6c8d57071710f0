"""CVAT's XML for images: every kind of shape, tags, subsets, and what is wrong in some files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import slicedb
from slicedb.errors import SourceError
from slicedb.media.rle import mask_of
from slicedb.schema import SAMPLES

IMAGE = '<image id="{n}" name="{n}.png" width="80" height="40"{more}>{inside}</image>'


def image(n: int, *inside: str, more: str = "") -> str:
    return IMAGE.format(n=n, inside="".join(inside), more=more)


def write(folder: Path, *images: str) -> Path:
    """Write a task, and the pictures 1.png to 3.png below images/."""
    (folder / "images" / "train").mkdir(parents=True)
    for i in (1, 2, 3):
        home = folder / "images" / ("train" if i == 1 else ".")
        Image.new("RGB", (80, 40), (40 * i, 90, 200)).save(home / f"{i}.png")
    xml = f"<annotations><version>1.1</version><meta/>{''.join(images)}</annotations>"
    (folder / "annotations.xml").write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{xml}')
    return folder


def rows(db: slicedb.Database) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in db.store.table(SAMPLES).to_pylist()}


def test_every_shape_becomes_a_box(tmp_path: Path) -> None:
    runs = "1, 2, 3, 2"  # of a box 4 wide and 2 high
    inside = [
        '<box label="cat" xtl="1.5" ytl="2" xbr="11.5" ybr="7" occluded="1" z_order="0">'
        '<attribute name="pose">left</attribute><attribute name="shy">true</attribute></box>',
        '<box label="dog" xtl="30" ytl="10" xbr="50" ybr="20" rotation="90" occluded="0"/>',
        '<polygon label="tree" points="1,1;20,1;20,30"/>',
        '<ellipse label="eye" cx="40" cy="20" rx="10" ry="5"/>',
        f'<mask label="sky" rle="{runs}" left="10" top="5" width="4" height="2"/>',
        '<points label="spot" points="5,6;7,9"/>',
        '<skeleton label="person"><points label="nose" outside="0" occluded="1" points="9,8"/>'
        '<points label="ear" outside="1" occluded="0" points="1,1"/></skeleton>',
        '<polyline label="lane" points="1,1;2,2"/>',
    ]
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(write(tmp_path / "cvat", image(1, *inside, more=' subset="train"')))
    row = rows(db)["images/train/1.png"]
    assert row["split"] == "train"
    cat, dog, tree, eye, sky, spot, person = row["objects"]
    assert (cat["label"], cat["bbox"]) == ("cat", [1.5, 2, 10, 5])
    assert json.loads(cat["attributes"]) == {"occluded": 1, "pose": "left", "shy": True}
    assert dog["bbox"] == [35, 5, 10, 20]
    assert json.loads(dog["segmentation"]) == [[45, 5, 45, 25, 35, 25, 35, 5]]
    assert (tree["bbox"], json.loads(tree["segmentation"])) == (
        [1, 1, 19, 29],
        [[1, 1, 20, 1, 20, 30]],
    )
    assert eye["bbox"] == pytest.approx([30, 15, 20, 10])
    mask = np.zeros((40, 80), bool)
    mask[5, 11:13] = mask[6, 12:14] = True
    assert (mask_of(json.loads(sky["segmentation"])) == mask).all()
    assert sky["bbox"] == [11, 5, 3, 2]
    assert (spot["bbox"], spot["keypoints"]) == ([5, 6, 2, 3], [5, 6, 2, 7, 9, 2])
    assert person["keypoints"] == [9, 8, 1, 0, 0, 0]
    assert json.loads(person["attributes"])["keypoint_names"] == ["nose", "ear"]
    assert "1 shape was left out, which is no box: 1 polyline" in " ".join(report.notes)


def test_tags_are_labels_and_their_attributes_columns(tmp_path: Path) -> None:
    one = '<tag label="indoor"><attribute name="lux">200</attribute></tag>'
    source = write(tmp_path / "cvat", image(1, one), image(2, one), image(3))
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(source / "annotations.xml")
    found = rows(db)
    assert [found[f"{i}.png"]["label"] for i in (1, 2, 3)] == ["indoor", "indoor", None]
    assert [found[f"{i}.png"]["lux"] for i in (1, 2, 3)] == [200, 200, None]
    other = write(tmp_path / "many", image(1, one, '<tag label="night"/>'), image(2, one))
    db = slicedb.open(tmp_path / "many.slicedb")
    db.ingest(other)
    found = rows(db)
    assert found["images/train/1.png"]["labels"] == ["indoor", "night"]
    assert found["images/2.png"]["labels"] == ["indoor"]


def test_a_stated_size_is_held_against_the_picture(tmp_path: Path) -> None:
    wrong = image(2).replace('width="80"', 'width="90"')
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(write(tmp_path / "cvat", image(1), wrong))
    assert "1 picture has another size than its annotations state" in " ".join(report.notes)


BROKEN = [
    (
        image(1, '<box label="a" xtl="1" ytl="x" xbr="2" ybr="3"/>'),
        r"element 1: a box 'a'.*ytl is 'x'",
    ),
    (
        image(1, '<box label="a" xtl="1" ytl="2" xbr="2"/>'),
        "a box 'a' cannot be read: it has no ybr",
    ),
    (image(1, "<polygon/>"), "element 1: a polygon has no label"),
    (image(1, '<polygon label="p" points="1,2;3"/>'), "its points are '1,2;3'"),
    (
        image(1, '<mask label="m" rle="1,2" left="0" top="0" width="2" height="2"/>'),
        "its runs are of 3 pixels, its box of 4",
    ),
    (
        image(1, '<mask label="m" rle="0,4" left="79" top="0" width="2" height="2"/>'),
        "it reaches beyond the picture",
    ),
    (image(1, '<skeleton label="s"/>'), "a skeleton 's' cannot be read: it has no points"),
    ('<track id="0" label="car"/>', "holds the tracks of a video"),
    ('<image width="3"/>', "image 1: it has no name"),
    ("<image", "not well-formed"),
    ("", "names no image"),
]


@pytest.mark.parametrize(("inside", "fact"), BROKEN)
def test_what_is_broken_is_named_with_its_place(tmp_path: Path, inside: str, fact: str) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    with pytest.raises(SourceError, match=fact):
        db.ingest(write(tmp_path / "cvat", inside))
    assert db.query("").count() == 0
