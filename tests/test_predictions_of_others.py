"""Predictions as other tools write them: read as they are, without a script in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import slicedb
from slicedb.database import Database
from slicedb.errors import PredictionError

NAMES = ["cat", "dog"]


@pytest.fixture
def db(tmp_path: Path) -> Database:
    for i, label in enumerate(("cat", "dog")):
        path = tmp_path / "in" / label / f"{i:06d}.jpg"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (64, 48), (i * 90, 9, 9)).save(path)
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(tmp_path / "in", prefix="val")
    return db


def table(db: Database, column: str) -> dict[str, Any]:
    rows = db.store.table("predictions__m", ["id", column]).to_pylist()
    return {row["id"].rsplit("/", 1)[-1]: row[column] for row in rows}


def boxes(db: Database) -> dict[str, Any]:
    return {
        name: [(o["label"], o["bbox"], o["score"]) for o in objects]
        for name, objects in table(db, "objects").items()
    }


def test_semicolons_and_commas(db: Database, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(
        "id;prediction;confidence\nval/cat/000000.jpg;cat;0,75\nval/dog/000001.jpg;cat;1\n"
    )
    db.log_predictions("m", tmp_path / "p.csv")
    assert table(db, "prediction") == {"000000.jpg": "cat", "000001.jpg": "cat"}
    assert table(db, "confidence") == {"000000.jpg": 0.75, "000001.jpg": 1}


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_any_delimiter(db: Database, tmp_path: Path, mark: str) -> None:
    lines = ["id,prediction", "val/cat/000000.jpg,cat", "val/dog/000001.jpg,dog"]
    (tmp_path / "p.csv").write_text("\n".join(lines).replace(",", mark) + "\n")
    db.log_predictions("m", tmp_path / "p.csv")
    assert table(db, "prediction") == {"000000.jpg": "cat", "000001.jpg": "dog"}


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("name", ["000000.jpg", "cat/000000.jpg", "in\\cat\\000000.jpg", None])
def test_predictions_of_ultralytics(
    db: Database, tmp_path: Path, first: int, name: str | None
) -> None:
    def one(image: object, category: int, named: str | None) -> dict[str, Any]:
        box = {"image_id": image, "category_id": category, "bbox": [1, 2, 3, 4], "score": 0.5}
        return box if named is None else {**box, "file_name": named}

    found = [one("000000" if name is None else 0, first, name), one("000001", first + 1, None)]
    (tmp_path / "predictions.json").write_text(json.dumps(found))
    report = db.log_predictions("m", tmp_path / "predictions.json", classes=NAMES)
    assert boxes(db) == {
        "000000.jpg": [("cat", [1, 2, 3, 4], 0.5)],
        "000001.jpg": [("dog", [1, 2, 3, 4], 0.5)],
    }
    assert ("Category 0 is the first class, since the file has a 0." in report.notes) == (not first)


CORNERS = {
    "xmin,ymin,xmax,ymax,confidence,class,name": "1,2,4,6,0.5,1,dog",
    "XMin,YMin,XMax,YMax,conf,cls": "1,2,4,6,0.5,1",
    "x1,y1,x2,y2,score,label": "1,2,4,6,0.5,dog",
    "left,top,right,bottom,score,class_name": "1,2,4,6,0.5,dog",
    "x,y,width,height,confidence,class": "1,2,3,4,0.5,1.0",
    "x,y,w,h,score,category_id": "1,2,3,4,0.5,1",
}


@pytest.mark.parametrize("head", CORNERS)
@pytest.mark.parametrize("column", ["id", "image", "filename", "image_id"])
def test_tables_of_boxes_however_they_are_called(
    db: Database, tmp_path: Path, head: str, column: str
) -> None:
    rows = f"{column},{head}\nval/cat/000000.jpg,{CORNERS[head]}\n"
    (tmp_path / "p.csv").write_text(rows)
    db.log_predictions("m", tmp_path / "p.csv", classes=NAMES)
    assert boxes(db) == {"000000.jpg": [("dog", [1, 2, 3, 4], 0.5)]}


def test_numbers_of_classes_of_boxes(db: Database, tmp_path: Path) -> None:
    rows = "id,x,y,w,h,score,class\nval/cat/000000.jpg,1,2,3,4,0.5,2\n"
    (tmp_path / "p.csv").write_text(rows)
    with pytest.raises(PredictionError, match="class number 2, and 2 classes"):
        db.log_predictions("m", tmp_path / "p.csv", classes=NAMES)
    db.log_predictions("m", tmp_path / "p.csv", classes=["2", "3"])
    assert boxes(db) == {"000000.jpg": [("2", [1, 2, 3, 4], 0.5)]}


def test_numbers_of_classes_of_pictures(db: Database, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,prediction\nval/cat/000000.jpg,0\nval/dog/000001.jpg,1\n")
    db.log_predictions("m", tmp_path / "p.csv", classes=NAMES)
    assert table(db, "prediction") == {"000000.jpg": "cat", "000001.jpg": "dog"}


@pytest.mark.parametrize("prefix", ["val/cat", "val/cat/"])
def test_a_prefix_with_and_without_its_slash(db: Database, tmp_path: Path, prefix: str) -> None:
    (tmp_path / "p.csv").write_text("id,prediction\n000000.jpg,cat\n")
    db.log_predictions("m", tmp_path / "p.csv", prefix=prefix)
    assert table(db, "prediction") == {"000000.jpg": "cat"}
    one = {"image_id": 1, "file_name": "000000.jpg", "category_id": 1, "bbox": [1, 2, 3, 4]}
    (tmp_path / "p.json").write_text(json.dumps([{**one, "score": 0.5}]))
    db.log_predictions("n", tmp_path / "p.json", prefix=prefix, classes=NAMES)
    assert db.store.table("predictions__n", ["id"])["id"].to_pylist() == ["val/cat/000000.jpg"]


def test_a_prefix_that_is_part_of_a_name_stays(db: Database, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,prediction\n0000.jpg,cat\n")
    db.log_predictions("m", tmp_path / "p.csv", prefix="val/cat/00")
    assert table(db, "prediction") == {"000000.jpg": "cat"}
