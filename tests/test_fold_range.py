"""The range of a metric over folds, and where a test set's figure lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import slicedb
from slicedb import schema
from slicedb.cli import verbs
from slicedb.errors import CheckError


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> slicedb.Database:
    """Four folds of 25 with accuracies 0.80, 0.84, 0.88, 0.92, and 20 test samples at 0.5."""
    made = slicedb.open(tmp_path_factory.mktemp("folds") / "f.slicedb")
    ids = [f"s{i:03}" for i in range(120)]
    rows = {"id": ids, "key": schema.keys_of(ids), "label": ["a", "b"] * 60, "status": ["ok"] * 120}
    made.store.append(schema.SAMPLES, pa.table(rows))
    fold = [i // 25 if i < 100 else None for i in range(120)]
    made.attach(
        {"id": ids, "fold": pa.array(fold, pa.int64()), "split": ["dev"] * 100 + ["test"] * 20}
    )
    wrong = [i % 25 < 5 - i // 25 if i < 100 else i < 110 for i in range(120)]
    said = ["c" if w else label for w, label in zip(wrong, rows["label"])]
    for model in ("m", "m_0", "m_1", "m_2", "m_3"):
        made.log_predictions(model, {"id": ids, "prediction": said}, classes=["a", "b", "c"])
    return made


def test_the_range_is_that_of_the_folds(db: slicedb.Database) -> None:
    report = db.folds("m", test="split = 'test'")
    (row,) = report.rows
    assert row.values == (0.8, 0.84, 0.88, 0.92) and report.sizes == (25, 25, 25, 25)
    assert (row.least, row.most, row.test) == (0.8, 0.92, 0.5)
    values = np.array(row.values)
    half = 3.182446 * values.std(ddof=1) * np.sqrt(1 + 1 / 4)  # Student, 3 degrees, 97.5 %
    assert (row.low, row.high) == pytest.approx((0.86 - half, 0.86 + half), abs=1e-6)
    assert row.is_inside is False and "lies below the range, and beyond" in str(report)
    assert "40% of the time" in str(report)


def test_a_pattern_names_the_model_of_each_fold(db: slicedb.Database) -> None:
    report = db.folds("m_{fold}", test="fold = 1", metrics=["accuracy", "recall of a"])
    assert [row.metric for row in report.rows] == ["accuracy", "recall of a"]
    assert report.rows[0].is_inside is True and report.rows[0].test == pytest.approx(0.84)
    assert "lies inside the range" in str(report)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"column": "status"}, "'status' has 1 fold; a range takes two"),
        ({"column": "splt"}, "no column 'splt' in samples.*'split'"),
        ({"column": "label", "metrics": ["recall of a"]}, "undefined on fold b"),
    ],
)
def test_wrong_input_is_told(db: slicedb.Database, options: dict[str, object], says: str) -> None:
    with pytest.raises(CheckError, match=says):
        db.folds("m", **options)  # type: ignore[arg-type]


def test_folds_that_were_not_made_are_answered_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=r"no column 'fold' in samples.*slicedb split --folds 5"):
        slicedb.open(tmp_path / "f.slicedb").folds("m")


def test_the_command_line_says_the_same(db: slicedb.Database) -> None:
    args = ["--db", db.path, "folds", "m", "--test", "split = 'test'"]
    said = CliRunner().invoke(verbs, args, catch_exceptions=False).stdout
    assert "0.800 to 0.920" in said and "the test figure 0.500 lies below the range" in said
