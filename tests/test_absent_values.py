"""A misspelt split or label is named, where it leaves no sample; and columns have headings."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from fakes_models import fill, png

import slicedb
from slicedb.cli import main
from slicedb.database import Database
from slicedb.errors import QueryError


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    db = slicedb.open(tmp_path_factory.mktemp("absent") / "data.slicedb")
    fill(db.store, {"a": png((1, 2, 3)), "b": png((4, 5, 6))}, {"a": "cat", "b": "dog"})
    db.attach({"id": ["a", "b"], "split": ["train", "validation"], "n": [1, 2]})
    rows = {"id": ["a", "b"], "probabilities": [[0.9, 0.1], [0.2, 0.8]]}
    db.log_predictions("v1", pa.table(rows), classes=["cat", "dog"])
    return db


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("split = 'vlidation'", ["No sample has split 'vlidation'; did you mean 'validation'?"]),
        ("'x' = samples.split", ["No sample has split 'x'; values of split: train, validation."]),
        (
            "label IN ('cat', 'cta') AND split = 'train'",
            ["No sample has label 'cta'; did you mean 'cat'?"],
        ),
        ("split = 'train' AND label = 'dog'", []),
        ("v1.prediction = 'cow' AND id = 'c' AND n = 7", []),
        ("split <> 'test'", []),
    ],
)
def test_values_that_no_sample_has_are_named(db: Database, text: str, sentences: list[str]) -> None:
    assert db.query(text).absent() == sentences


def test_verbs_that_get_no_sample_say_why(
    db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    why = "No sample has split 'tain'; did you mean 'train'?"
    assert db.evaluate("v1", ["split = 'tain'"]).to_arrow()["n"].to_pylist() == [0]
    assert why in capsys.readouterr().err
    db.export("split = 'tain'", tmp_path / "none.csv")
    assert why in capsys.readouterr().err
    assert why in db.query("split = 'tain'")._repr_html_().replace("&#x27;", "'")
    assert db.query("split = 'train'").ids() == ["a"] and capsys.readouterr().err == ""


def ask(db: Database, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    with pytest.raises(SystemExit):
        main(["query", *words, "--db", db.path])
    return capsys.readouterr()


@pytest.mark.parametrize("words", [[], ["--count"], ["--ids"], ["-f", "json"]])
def test_the_command_says_why_nothing_is_found(
    db: Database, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert "did you mean 'train'?" in ask(db, capsys, "split = 'tain'", *words)[1]


def test_counts_have_the_heading_that_the_user_wrote(
    db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "SELECT count(*), count(*) / 2 FROM samples"
    assert json.loads(ask(db, capsys, text, "-f", "json")[0])[0] == {
        "count(*)": 2,
        "(count(*) / 2)": 1.0,
    }
    assert ask(db, capsys, text, "-f", "csv")[0].splitlines()[0] == "count(*),(count(*) / 2)"
    assert "count(*)" in db.query(text)._repr_html_()
    assert "count_star" not in db.query(text)._repr_html_()
    own = "SELECT count_star() FROM samples"
    assert json.loads(ask(db, capsys, own, "-f", "json")[0]) == [{"count_star()": 2}]


@pytest.mark.parametrize("text", ["v1.probabilities.cat > 0.5", "SELECT probabilities.cat FROM v1"])
def test_a_class_after_a_dot_is_answered_with_the_brackets(db: Database, text: str) -> None:
    with pytest.raises(QueryError, match=r"has no field 'cat'.*probabilities\['cat'\] is the prob"):
        db.query(text).to_arrow()
    assert db.query("v1.probabilities['cat'] > 0.5").ids() == ["a"]
