"""Labels get the names of classes: as they are ingested, or later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fakes_boxes import box, objects
from fakes_judge import add_samples
from fakes_models import png

import slicedb
from slicedb.cli import main
from slicedb.errors import ClassesError, SliceDBError
from slicedb.schema import SAMPLES, keys_of

NAMES = ["Bread", "Dairy", "Dessert"]


@pytest.fixture
def food(tmp_path: Path) -> Path:
    folder = tmp_path / "food"
    for i in range(3):
        (folder / f"class_0{i}").mkdir(parents=True)
        (folder / f"class_0{i}" / "a.png").write_bytes(png((i * 80, 10, 10)))
    return folder


def labels_of(db: slicedb.Database) -> list[str]:
    return db.sql("SELECT label FROM samples ORDER BY id")["label"].to_pylist()


FORMS: dict[str, str] = {
    "classes.txt": "Bread\nDairy\n\nDessert\n",
    "map.txt": "class_00=Bread\nclass_01 = Dairy\nclass_02=Dessert",
    "map.csv": "class_00,Bread\nclass_01,Dairy\nclass_02,Dessert\n",
    "map.tsv": "class_00\tBread\nclass_01\tDairy\nclass_02\tDessert\n",
    "map.json": '{"class_00": "Bread", "class_01": "Dairy", "class_02": "Dessert"}',
    "list.json": '["Bread", "Dairy", "Dessert"]',
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_file_names_the_labels(name: str, food: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FORMS[name])
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(food, labels=tmp_path / name, progress=False)
    assert labels_of(db) == NAMES and report.notes == ()
    assert db.ingest(food, labels=tmp_path / name, progress=False).unchanged == 3
    assert labels_of(db) == NAMES


def test_mappings_and_lists_name_them_too(food: Path, tmp_path: Path) -> None:
    given: list[Any] = [
        NAMES,
        {"class_00": "Bread", "class_01": "Dairy", "class_02": "Dessert"},
        ["class_00=Bread", "class_01=Dairy", "class_02=Dessert"],
    ]
    db = slicedb.open(tmp_path / "data.slicedb")
    for i, labels in enumerate(given):
        db.ingest(food, labels=labels, prefix=f"p{i}", same="add", progress=False)
    assert labels_of(db) == NAMES * 3


def test_what_is_not_named_is_said(food: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(food, labels={"class_00": "Bread", "class_9": "X"}, progress=False)
    assert labels_of(db) == ["Bread", "class_01", "class_02"]
    assert "2 labels have no name and stay as they are: 'class_01', 'class_02'." in report.notes
    assert "Nothing has the label 'class_9', which a name was given for." in report.notes


def test_map_labels_names_labels_lists_and_boxes_later(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    ids = ["a", "b", "c"]
    add_samples(db.store, ids, ["0", "2", None])
    lists = pa.array([["0", "1"], None, []], pa.list_(pa.string()))
    boxes = objects([[box("1", 0, 0, 9, 9)], [], None])
    table = pa.table({"id": ids, "key": keys_of(ids), "labels": lists, "objects": boxes})
    db.store.upsert(SAMPLES, table)
    rows = pa.table({"id": ids, "probabilities": [[0.7, 0.2, 0.1]] * 3})
    db.log_predictions("m", rows, classes=NAMES)
    assert db.query("m.correct").count() == 0
    report = db.map_labels(model="m")
    assert report.changed == 2 and report.notes == ()
    rows = db.store.take(SAMPLES, keys_of(ids), ["label", "labels", "objects"]).to_pylist()
    assert [row["label"] for row in rows] == ["Bread", "Dessert", None]
    assert [row["labels"] for row in rows] == [["Bread", "Dairy"], None, []]
    assert [row["objects"] and row["objects"][0]["label"] for row in rows] == ["Dairy", [], None]
    assert db.query("m.correct").ids() == ["a"]
    assert db.map_labels(model="m").changed == 0
    assert db.map_labels(["Bread=Brot"], on="id = 'b'").changed == 0
    assert db.map_labels({"Bread": "Brot"}).changed == 1


def test_evaluate_names_the_command_where_labels_and_classes_do_not_meet(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    add_samples(db.store, ["a", "b"], ["class 00", "Bread"])
    rows = pa.table({"id": ["a", "b"], "probabilities": [[0.7, 0.2, 0.1]] * 2})
    db.log_predictions("m", rows, classes=NAMES)
    (warning,) = db.evaluate("m").warnings
    assert "slicedb map-labels 'class 00'=NAME" in warning
    assert "slicedb map-labels --model m" in warning
    assert db.map_labels(model="m").changed == 1
    assert db.evaluate("m").warnings == ()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a=1", "b"], "'a=1' is among class names"),
        (["a=1", "a=2"], "'a' is named twice"),
        (["x", "x"], "'x' comes twice"),
        ("none.txt", "cannot be read"),
        ([], "No labels are named"),
        ({}, "No labels are named"),
    ],
)
def test_what_names_nothing_is_refused(labels: Any, message: str, food: Path) -> None:
    db = slicedb.open(food.parent / "data.slicedb")
    with pytest.raises(ClassesError, match=message):
        db.ingest(food, labels=labels, progress=False)
    with pytest.raises(SliceDBError, match="Give names for the labels"):
        db.map_labels()
    assert db.query().count() == 0


def test_the_commands_take_repeated_options(
    food: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "data.slicedb")

    def run(*words: str) -> str:
        try:
            assert not main([*words, "--db", path])
        except SystemExit as end:
            assert not end.code
        return capsys.readouterr().out

    run("ingest", str(food), "--labels", "class_00=Bread", "--labels", "class_01=Dairy")
    db = slicedb.open(path)
    assert labels_of(db) == ["Bread", "Dairy", "class_02"]
    assert "1 sample has other labels" in run("map-labels", "class_02=Dessert")
    assert labels_of(slicedb.open(path)) == NAMES
    (tmp_path / "back.json").write_text(json.dumps({"Bread": "0", "Dairy": "1"}))
    assert "2 samples have other labels" in run("map-labels", str(tmp_path / "back.json"))
