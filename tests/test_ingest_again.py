"""The same pictures again under another name, and splits by folders of any name."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from fakes_models import png

import slicedb
from slicedb.ingest.pipeline import SAME_BYTES


def pictures(root: Path, folders: list[str], n: int = 2) -> None:
    """Write pictures, each of its own bytes."""
    for i, folder in enumerate(folders):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for k in range(n):
            (root / folder / f"{k}.png").write_bytes(png((i * 20, k * 20, len(str(root)) % 251)))


def listed(file: Path, paths: list[str], **columns: list[str]) -> Path:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["path", *columns])
        writer.writerows(zip(paths, *columns.values()))
    return file


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    pictures(tmp_path / "bucket", ["cat", "dog"])
    made = slicedb.open(tmp_path / "data.slicedb")
    made.ingest(tmp_path / "bucket")
    return made


IDS = ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]


def test_a_table_whose_paths_name_files_that_are_samples_gives_them_columns(
    db: slicedb.Database, tmp_path: Path
) -> None:
    paths = [f"bucket/{name}" for name in IDS]
    file = listed(tmp_path / "more.csv", paths, light=["day", "night", "day", "day"])
    report = db.ingest(file)
    assert (report.added, report.changed, db.query("").count()) == (0, 4, 4)
    assert db.query("light = 'night'").ids() == ["cat/1.png"]
    assert "4 pictures are files that are samples already" in str(report)
    again = db.ingest(file)
    assert (again.added, again.changed, again.unchanged) == (0, 0, 4)
    later = db.ingest(file, verify="later")
    assert (later.added, db.query("").count()) == (0, 4)


def test_a_folder_inside_or_above_an_ingested_one_adds_nothing(
    db: slicedb.Database, tmp_path: Path
) -> None:
    assert db.ingest(tmp_path / "bucket" / "cat").added == 0
    assert db.ingest(tmp_path, form="folder").added == 0
    assert db.query("ORDER BY id").ids() == IDS


def test_a_prefix_or_an_id_column_makes_samples_of_their_own(
    db: slicedb.Database, tmp_path: Path
) -> None:
    report = db.ingest(tmp_path / "bucket", prefix="again")
    assert report.added == 4
    assert "4 of the added samples have the same bytes as samples from before" in str(report)
    paths = [f"bucket/{name}" for name in IDS]
    named = listed(tmp_path / "own.csv", paths, id=["a", "b", "c", "d"])
    assert db.ingest(named).added == 4


def test_copies_under_another_root_are_said_and_may_be_skipped(
    db: slicedb.Database, tmp_path: Path
) -> None:
    shutil.copytree(tmp_path / "bucket", tmp_path / "copy" / "images")
    (tmp_path / "copy" / "images" / "cat" / "new.png").write_bytes(png((1, 2, 3)))
    skipped = db.ingest(tmp_path / "copy", form="folder", same="skip", prefix="x")
    assert (skipped.added, skipped.duplicates) == (1, 4)
    report = db.ingest(tmp_path / "copy", form="folder", prefix="y")
    assert report.added == 5
    assert "5 of the added samples have the same bytes" in str(report)
    assert SAME_BYTES in str(report)
    assert db.query(SAME_BYTES).count() == 10
    assert db.ingest(tmp_path / "copy", form="folder", prefix="y").notes == ()


def test_our_own_export_comes_back_without_a_silent_double(
    db: slicedb.Database, tmp_path: Path
) -> None:
    db.export("", tmp_path / "out", form="voc")
    report = db.ingest(tmp_path / "out")
    assert "have the same bytes as samples from before" in str(report)
    assert db.ingest(tmp_path / "out", same="skip", prefix="z").added == 0


@pytest.mark.parametrize(
    ("folders", "splits", "said"),
    [
        (["training/a", "validation/b", "evaluation/a"], 3, "Splits, by folder"),
        (["train/a", "val/a", "eval/b"], 3, "Splits, by folder: eval, train, val."),
        (["train/a", "train/b", "test/a", "extra/b"], 3, "extra holds the same classes as"),
        (["train/a", "val/b", "strange/c"], 0, "No splits were taken"),
        (["train/a", "cat/x", "dog/x"], 0, "train is the name of splits, cat, dog are not"),
        (["Train/a", "TEST/b"], 2, "Splits, by folder"),
        (["a", "b"], 0, ""),
        (["images/train/a", "images/evaluation/a"], 2, "Splits, by folder"),
    ],
)
def test_splits_are_recognised_or_the_note_says_why_not(
    tmp_path: Path, folders: list[str], splits: int, said: str
) -> None:
    pictures(tmp_path / "in", folders)
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(tmp_path / "in")
    assert db.sql("SELECT count(DISTINCT split) n FROM samples")["n"].to_pylist() == [splits]
    assert said in str(report)
    if splits:
        labels = {folder.rpartition("/")[2] for folder in folders}
        rows = db.sql("SELECT DISTINCT label FROM samples")["label"].to_pylist()
        assert set(rows) == labels


def test_folders_of_any_name_are_splits_on_request(tmp_path: Path) -> None:
    pictures(tmp_path / "in", ["first/a", "first/b", "second/a"])
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(tmp_path / "in", split_folders=True)
    rows = db.sql("SELECT split, label, count(*) n FROM samples GROUP BY ALL ORDER BY ALL")
    assert [tuple(row.values()) for row in rows.to_pylist()] == [
        ("first", "a", 2),
        ("first", "b", 2),
        ("second", "a", 2),
    ]
