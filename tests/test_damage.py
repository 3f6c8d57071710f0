"""A damaged database: every read names the table and the file, and the doctor goes on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from fakes_judge import CLASSES, small_store

import slicedb
from slicedb.database import Database
from slicedb.errors import DatabaseError

TABLE = "predictions__m"


@pytest.fixture
def db(tmp_path: Path) -> Database:
    store, _ = small_store(tmp_path)
    db = slicedb.open(store.path, create=False)
    table = pa.table({"id": ["cat/0.jpg"], "prediction": ["cat"]})
    db.log_predictions("m", table, classes=CLASSES)
    return db


def cut(folder: Path) -> None:
    for file in folder.glob("data/*.lance"):
        os.truncate(file, file.stat().st_size // 2)


def lose(folder: Path) -> None:
    for file in folder.glob("data/*.lance"):
        file.unlink()


def found(db: Database) -> set[tuple[str, str]]:
    problems = {(f.table, f.problem) for f in slicedb.open(db.path).doctor()}
    return {pair for pair in problems if pair[1] in ("damaged files", "lost manifests")}


@pytest.mark.parametrize("spoil", [cut, lose])
@pytest.mark.parametrize("table", ["samples", TABLE])
def test_the_doctor_names_what_is_damaged_and_goes_on(
    db: Database, table: str, spoil: object
) -> None:
    spoil(Path(db.path) / f"{table}.lance")  # type: ignore[operator]
    assert (table, "damaged files") in found(db)
    advice = next(f.advice for f in slicedb.open(db.path).doctor() if f.problem == "damaged files")
    assert f"{table}.lance/data/" in advice and "backup" in advice
    with pytest.raises(DatabaseError, match=f"Table '{table}' cannot be read"):
        slicedb.open(db.path).store.table(table)


def test_the_doctor_lists_tables_whose_manifests_are_lost(db: Database) -> None:
    shutil.rmtree(Path(db.path) / f"{TABLE}.lance" / "_versions")
    assert found(db) == {(TABLE, "lost manifests")}


def test_a_whole_database_has_no_damage(db: Database) -> None:
    assert found(db) == set()
