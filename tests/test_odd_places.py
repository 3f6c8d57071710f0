"""Databases that may only be read, names that are not UTF-8, and ids longer than a file name."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from fakes_judge import CLASSES, small_store, write
from fakes_models import png

import slicedb
from slicedb.cli import main
from slicedb.database import Database
from slicedb.errors import IngestError
from slicedb.store import Store


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database of which the system says that it may not be written to."""
    store: Store = small_store(tmp_path)[0]
    db = slicedb.open(store.path)
    ids = [f"cat/{i}.jpg" for i in range(4)]
    db.log_predictions("m", {"id": ids, "prediction": ["cat"] * 4}, classes=CLASSES)
    db.slices.add("cats", "label = 'cat'", expect=["accuracy >= 0.5"])
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    return slicedb.open(store.path)


def test_a_database_that_may_only_be_read_is_tested_and_says_that_nothing_is_recorded(
    read_only: Database, tmp_path: Path
) -> None:
    before = read_only.store.versions()
    report = read_only.test(["cats"], model="m")
    assert [r.value for r in report.results] == [1.0]
    assert any("may only be read" in warning for warning in report.warnings)
    assert "may only be read" in str(report)
    folder = write(tmp_path / "suite", cats2="/*\nexpect: accuracy >= 0.5\n*/\nlabel = 'cat'")
    assert [r.value for r in read_only.test(folder, model="m").results] == [1.0]
    read_only.models._loaded.clear()
    assert read_only.evaluate("m", ["cats"]).to_arrow()["value"].to_pylist() == [1.0]
    assert read_only.store.versions() == before


def test_the_doctor_needs_no_folder_for_caches(
    read_only: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert [f.problem for f in read_only.doctor()] == ["lost images"]


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_files_whose_names_are_not_utf8_are_left_out_and_counted(tmp_path: Path) -> None:
    root = tmp_path / "in"
    (root / "cat").mkdir(parents=True)
    (root / "cat" / "ok.png").write_bytes(png((1, 2, 3)))
    odd = os.fsencode(root / "cat") + b"/caf\xe9.png"
    try:
        Path(os.fsdecode(odd)).write_bytes(png((4, 5, 6)))
    except OSError:
        pytest.skip("this file system takes no such names")
    db = slicedb.open(tmp_path / "db")
    report = db.ingest(root, progress=False)
    assert report.skipped == {"name that is not UTF-8": 1} and report.added == 1
    assert "Passed over: 1 name that is not UTF-8" in str(report)
    with pytest.raises(IngestError, match="is not UTF-8"):
        db.ingest(os.fsdecode(odd))


@pytest.mark.parametrize("form", ["folder", "voc", "yolo"])
def test_ids_that_are_too_long_for_a_file_name_are_exported(form: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png((1, 2, 3)))
    ids = ["x" * 300, "x" * 301, "a/" * 2000 + "b", "é" * 200 + ".png", "../../up", "/abs"]
    with (tmp_path / "list.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerows([["id", "file", "label"], *([i, "a.png", "cat"] for i in ids)])
    db = slicedb.open(tmp_path / "db")
    db.ingest(tmp_path / "list.csv", progress=False)
    db.export("true", tmp_path / "out" / "side", form=form)
    written = list((tmp_path / "out").rglob("*.png"))
    assert len(written) == 6
    assert all(p.is_relative_to(tmp_path / "out" / "side") for p in written)


BAD = "\x1b[31mred\x07\u202e"


def test_what_a_commit_a_slice_and_a_difference_say_commands_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db = slicedb.open(small_store(tmp_path)[0].path)
    db.slices.add("s", "true", description=BAD)
    commit = db.commit(BAD)
    (tmp_path / "list.csv").write_text(f"id,label\n{BAD},cat\n")
    db.ingest(tmp_path / "list.csv", verify="later", progress=False)
    with pytest.raises(SystemExit):
        main(["--db", db.path, "query", f"label = '{BAD}' AND lable = 1"])
    said = [str(commit), str(db.diff()), str(db.slices.show("s")), capsys.readouterr().err]
    assert [c for text in said for c in "\x1b\x07\u202e" if c in text] == []
    assert all("␛[31mred␇\\u202e" in text for text in said)
