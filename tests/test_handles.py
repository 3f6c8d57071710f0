"""A database in another process, in a user's own tests, and what `evaluate` says of labels."""

from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow as pa
import pytest
from fakes_models import COLOURS, fill, png

import slicedb


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    made = slicedb.open(tmp_path / "data.slicedb", timeout=50)
    labels = {"red": "rot", "green": "green", "blue": "blau"}
    fill(made.store, {name: png(colour) for name, colour in COLOURS.items()}, labels)
    rows = pa.table({"id": list(COLOURS), "prediction": list(COLOURS)})
    made.log_predictions("m", rows, classes=["red", "green", "blue"])
    return made


def test_a_pickled_database_is_opened_again_at_the_same_commit(db: slicedb.Database) -> None:
    again = pickle.loads(pickle.dumps(db))
    assert (again.path, again._settings["timeout"]) == (db.path, 50)
    assert again.query("label = 'rot'").ids() == ["red"]
    db.commit("before", tag="before")
    db.relabel("id = 'red'", "red")
    past = pickle.loads(pickle.dumps(db.at("before")))
    assert past.query("label = 'rot'").ids() == ["red"]
    assert pickle.loads(pickle.dumps(db)).query("label = 'rot'").count() == 0


def test_evaluate_says_which_labels_are_no_classes(db: slicedb.Database) -> None:
    (warning,) = db.evaluate("m").warnings
    assert "2 samples have a label that is none of the classes of m, such as 'blau'" in warning
    db.relabel("id = 'red'", "red")
    db.relabel("id = 'blue'", "blue")
    assert db.evaluate("m").warnings == ()


OWN_TEST = """
def test_mine(slicedb_db, slicedb_model):
    assert slicedb_db.query("").count() == 3
    assert slicedb_db.query(f"{slicedb_model}.correct").count() == 1
"""


@pytest.mark.slow
def test_a_users_own_tests_have_the_database_and_the_model(
    db: slicedb.Database, tmp_path: Path
) -> None:
    import subprocess
    import sys

    (tmp_path / "test_mine.py").write_text(OWN_TEST)
    run = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(tmp_path / "test_mine.py"),
    ]
    named = ["--slicedb-db", db.path, "--slicedb-model", "m"]
    for more, outcome in ((named, "1 passed"), ([], "1 skipped")):
        result = subprocess.run([*run, *more], capture_output=True, text=True, cwd=tmp_path)
        assert outcome in result.stdout, result.stdout
