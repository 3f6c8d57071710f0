"""Out-of-distribution scores: what is far from the reference set has the largest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from test_drift import filled, unit

import slicedb
from slicedb.cli import verbs
from slicedb.errors import CheckError


def test_what_is_new_scores_highest_and_a_sample_is_not_its_own_neighbour(tmp_path: Path) -> None:
    db = filled(tmp_path / "o.slicedb", 300, novel=15)
    report = db.outliers("split = 'one'", progress=False)
    rows = db.sql("SELECT id, label, split, outlier_score FROM samples ORDER BY outlier_score DESC")
    assert set(rows["label"].to_pylist()[:15]) == {"z"}
    assert report.n == 300 and report.reference == 150 and report.without == 0
    level, score, n, query = report.rows[1]
    assert level == 0.99 and n >= 15
    assert db.query(f"({query}) AND split = 'two'").count() == n
    matrix = db.engine.session.vectors.matrix("default")
    vectors = unit(np.asarray(matrix.vectors, np.float64))
    keys = dict(zip(matrix.keys.tolist(), range(300)))
    stored = dict(zip(rows["id"].to_pylist(), rows["outlier_score"].to_pylist()))
    reference = [keys[k] for k in db.keys("split = 'one'").tolist()]
    one = db.keys("id = 's00003'")[0]
    cosine = vectors[[r for r in reference if r != keys[one]]] @ vectors[keys[one]]
    assert stored["s00003"] == pytest.approx(1 - np.sort(cosine)[-10:].mean(), abs=2e-3)
    assert score > 0


def test_wrong_input_is_told(tmp_path: Path) -> None:
    db = filled(tmp_path / "o.slicedb", 100)
    with pytest.raises(CheckError, match="has 10 samples with a vector"):
        db.outliers("id < 's00010'", progress=False)
    bare = slicedb.open(tmp_path / "bare.slicedb")
    with pytest.raises(CheckError, match="There are no vectors"):
        bare.outliers("true")


def test_the_command_line_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "o.slicedb"
    filled(path, 120)
    args = ["--db", str(path), "outliers", "split = 'one'", "--into", "far", "--k", "3"]
    said = CliRunner().invoke(verbs, args, catch_exceptions=False).stdout
    assert "'far': the mean cosine distance of 120 samples" in said and "far > " in said
