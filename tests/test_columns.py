"""Named expressions as columns of samples: added, refreshed, dropped."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from fakes_boxes import box, objects
from fakes_judge import add_samples

import slicedb
from slicedb import Database
from slicedb.cli import main
from slicedb.errors import CheckError, QueryError
from slicedb.schema import SAMPLES, keys_of

IDS = ["a", "b", "c"]


@pytest.fixture
def db(tmp_path: Path) -> Database:
    db = slicedb.open(tmp_path / "data.slicedb")
    add_samples(db.store, IDS, ["cat", "dog", None])
    people = objects([[box("person", 0, 0, 9, 9)] * 2, [], None])
    table = pa.table({"id": IDS, "key": keys_of(IDS), "objects": people})
    db.store.upsert(SAMPLES, table)
    return db


def values(db: Database, name: str) -> list[object]:
    return db.sql(f"SELECT {name} FROM samples ORDER BY id")[name].to_pylist()


def test_an_expression_is_a_column_of_every_query(db: Database) -> None:
    added = db.columns.add("num_people", "count_objects('person')")
    assert (added.name, added.type) == ("num_people", "int64")
    assert values(db, "num_people") == [2, 0, None]
    assert db.query("num_people > 1 AND label = 'cat'").ids() == ["a"]
    db.slices.add("crowd", "num_people > 1")
    db.columns.add("is_cat", "label = 'cat' -- a comment")
    assert values(db, "is_cat") == [True, False, None]
    assert [c.name for c in slicedb.open(db.path).columns.list()] == ["num_people", "is_cat"]


def test_new_predictions_are_computed_and_edits_are_stale_until_refreshed(db: Database) -> None:
    rows = pa.table({"id": IDS[:2], "prediction": ["cat", "cat"], "confidence": [0.9, 0.6]})
    db.log_predictions("m", rows)
    db.columns.add("sure", "m.confidence > 0.8")
    assert values(db, "sure") == [True, False, None]
    rows = pa.table({"id": IDS, "prediction": ["cat"] * 3, "confidence": [0.9, 0.9, 0.1]})
    db.log_predictions("m", rows, replace=True)
    assert values(db, "sure") == [True, True, False]
    db.columns.add("is_cat", "label = 'cat'")
    db.relabel("id = 'b'", "cat")
    assert {c.name: c.stale for c in db.columns.list()} == {"sure": 0, "is_cat": 1}
    assert db.columns.refresh() == {"sure": 0, "is_cat": 1}
    assert values(db, "is_cat") == [True, True, None]
    assert db.columns.refresh("is_cat") == {"is_cat": 0}


def test_a_column_is_replaced_and_dropped(db: Database) -> None:
    db.columns.add("x", "len(id)")
    with pytest.raises(CheckError, match=r"'x' already: len\(id\)"):
        db.columns.add("x", "1")
    db.columns.add("x", "label || '!'", replace=True)
    assert values(db, "x") == ["cat!", "dog!", None]
    db.slices.add("s", "x = 'cat!'")
    with pytest.raises(CheckError, match="named by s"):
        db.columns.drop("x")
    db.slices.drop("s")
    db.columns.drop("x")
    assert db.columns.list() == [] and "x" not in db.query().columns
    db.columns.add("x", "1")
    assert values(db, "x") == [1, 1, 1]


@pytest.mark.parametrize(
    ("name", "expression", "message"),
    [
        ("label", "1", "There is a column 'label'"),
        ("Label", "1", "There is a column 'Label'"),
        ("order", "1", "cannot be the name"),
        ("a b", "1", "cannot be the name"),
        ("m", "1", "There is a model 'm'"),
        ("ok", " ", "is empty"),
        ("ok", "1) AS x, (2", "not one value per sample"),
        ("ok", "count(*)", "must appear in the GROUP BY clause"),
    ],
)
def test_unsafe_names_and_expressions_are_refused(
    db: Database, name: str, expression: str, message: str
) -> None:
    db.log_predictions("m", pa.table({"id": ["a"], "prediction": ["cat"]}))
    before = db.query().columns
    with pytest.raises((CheckError, QueryError), match=message):
        db.columns.add(name, expression)
    with pytest.raises(QueryError):
        db.columns.add("ok", "lable = 'cat'")
    with pytest.raises(CheckError, match="no computed column 'label'"):
        db.columns.drop("label")
    assert db.query().columns == before


def test_the_commands(db: Database, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> str:
        try:
            assert not main([*words, "--db", db.path])
        except SystemExit as end:
            assert not end.code
        return capsys.readouterr().out

    assert "num_people = count_objects('person') (int64)" in run(
        "column", "add", "num_people", "count_objects('person')"
    )
    assert run("column", "list", "-f", "csv").splitlines()[1].startswith("num_people,")
    assert "num_people: 0 samples changed" in run("column", "refresh")
    assert "num_people: dropped" in run("column", "drop", "num_people")
