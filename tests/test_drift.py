"""Drift: alarms by chance are rare, what is planted is found, and wrong input is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import slicedb
from slicedb import schema
from slicedb.cli import verbs
from slicedb.curate.chance import Chance
from slicedb.curate.differences import differences
from slicedb.curate.domain import domain
from slicedb.curate.scan import densest
from slicedb.errors import CheckError, SliceDBError


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def filled(path: Path, n: int = 300, novel: int = 0, seed: int = 0) -> slicedb.Database:
    """Samples of two days; the last ones of the second day are of a kind of their own."""
    db = slicedb.open(path)
    rng = np.random.default_rng(seed)
    ids = [f"s{i:05d}" for i in range(n)]
    is_new = np.arange(n) >= n - novel
    labels = np.where(is_new, "z", rng.choice(["a", "b", "c"], n))
    rows = {
        "id": ids,
        "key": schema.keys_of(ids),
        "label": labels.tolist(),
        "status": ["ok"] * n,
        "split": ["one" if i < n // 2 else "two" for i in range(n)],
        "bytes": rng.integers(100, 9000, n),
    }
    db.store.append(schema.SAMPLES, pa.table(rows))
    middles = np.random.default_rng(9).normal(size=(4, 32)) * 0.8
    kind = np.where(is_new, 3, rng.integers(0, 3, n))
    vectors = unit(middles[kind] + rng.normal(size=(n, 32)) * 0.5)
    db.log_embeddings("default", {"id": ids, "vector": list(vectors)})
    about = {"id": ids, "prediction": labels.tolist(), "confidence": rng.random(n).tolist()}
    db.log_predictions("m", about, classes=["a", "b", "c", "z"])
    return db


@pytest.mark.slow
def test_sets_that_are_alike_raise_an_alarm_one_time_in_twenty() -> None:
    alarms = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(100, 800))
        rows = pa.table(
            {
                "word": rng.choice(list("abcde"), n),
                "number": rng.normal(size=n),
                "count": rng.poisson(3, n),
                "tags": [[t for t in "pqr" if rng.random() < 0.3] for _ in range(n)],
            }
        )
        is_b = np.zeros(n, bool)
        is_b[rng.permutation(n)[: n // 3]] = True
        found, _ = differences(rows, rows.column_names, Chance(is_b, seed=seed, draws=399))
        alarms.append(min(row.q for row in found) <= 0.05)
    assert 1 <= sum(alarms) <= 11


def test_groups_are_permuted_as_a_whole() -> None:
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(20), 30)
    camera = rng.normal(size=20)[group]  # what differs belongs to the group
    is_b = group < 10
    rows = pa.table({"light": camera})
    (alone,), _ = differences(rows, ["light"], Chance(is_b))
    (together,), _ = differences(rows, ["light"], Chance(is_b, group))
    assert alone.p <= 0.001 and together.p > 0.05


def test_a_classifier_tells_what_is_apart_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    alike = unit(rng.normal(size=(600, 40)))
    is_b = np.arange(600) >= 300
    same = domain(alike, Chance(is_b))
    assert 0.4 < same.auc < 0.6 and same.p > 0.05
    moved = unit(rng.normal(size=(600, 40)) + 0.5 * is_b[:, None])
    apart = domain(moved, Chance(is_b))
    assert apart.auc > 0.95 and apart.p == pytest.approx(1 / 500)


def test_the_densest_window_is_what_was_planted() -> None:
    rng = np.random.default_rng(2)
    middles = rng.normal(size=(9, 48)) * 0.8
    kind = rng.integers(0, 8, 1200)
    is_b = np.arange(1200) >= 600
    is_new = is_b & (rng.random(1200) < 0.05)
    kind[is_new] = 8
    vectors = unit(middles[kind] + rng.normal(size=(1200, 48)) * 0.6)
    window = densest(vectors, Chance(is_b))
    assert window is not None and window.p <= 0.01
    middle = unit(vectors[window.centre].sum(axis=0, keepdims=True))[0]
    inside = vectors @ middle >= window.cut
    assert (inside & is_new).sum() / inside.sum() >= 0.9
    assert (inside & is_new).sum() / is_new.sum() >= 0.8
    flat = unit(rng.normal(size=(1200, 48)))
    assert densest(flat, Chance(is_b)).p > 0.05  # type: ignore[union-attr]


@pytest.mark.slow
def test_what_is_new_comes_as_a_query(tmp_path: Path) -> None:
    db = filled(tmp_path / "d.slicedb", novel=20)
    report = db.drift("split = 'one'", "split = 'two'")
    assert report.is_alarm and {row.column for row in report.alarms} >= {"label", "m.prediction"}
    (driver,) = report.drivers
    novel = set(db.query("label = 'z'").ids())
    inside = set(db.query(driver.query).ids())
    assert len(inside & novel) >= 16 and len(inside - novel) <= 2
    assert (driver.n_a, driver.n_b) == (0, len(inside)) and "label = 'z'" in driver.said
    assert "split" in str(report.notes) and "New in B" in str(report)
    row = next(row for row in report.rows if row.column == "m.prediction")
    assert db.query(row.query).count() > 0
    assert report.to_arrow().num_rows == len(report.rows)


def test_sets_that_are_alike_have_no_drivers(tmp_path: Path) -> None:
    report = filled(tmp_path / "d.slicedb").drift("split = 'one'")
    assert report.b == "all others" and not report.is_alarm and not report.drivers


def test_what_came_since_a_commit_is_the_second_set(tmp_path: Path) -> None:
    path = tmp_path / "d.slicedb"
    db = filled(path, 120)
    db.commit("first", tag="first")
    ids = [f"t{i:05d}" for i in range(60)]
    rows = {
        "id": ids,
        "key": schema.keys_of(ids),
        "label": ["z"] * 60,
        "status": ["ok"] * 60,
    }
    db.store.append(schema.SAMPLES, pa.table(rows))
    report = slicedb.open(path).drift(since="first")
    assert (report.n_a, report.n_b) == (120, 60)
    assert report.rows[0].effect > 0.9


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"a": "label = 'a'", "b": "label IN ('a', 'b')"}, r"overlap in \d+ samples"),
        ({"a": "id < 's00010'"}, r"A \(id < 's00010'\) has 10 samples"),
        ({"a": "split = 'one'", "columns": ["lable"]}, "did you mean 'label'"),
        ({"a": "split = 'one'", "group": "camera"}, "no column 'camera'"),
        ({"a": "split = 'one'", "models": ["n"]}, "n"),
        ({"a": "split = 'one'", "embedding": "clip"}, "clip"),
        ({}, "Nothing says what the first set is"),
    ],
)
def test_wrong_input_is_told(tmp_path: Path, arguments: dict[str, object], says: str) -> None:
    db = filled(tmp_path / "d.slicedb", 200)
    with pytest.raises(SliceDBError, match=says) as caught:
        db.drift(**arguments)  # type: ignore[arg-type]
    if "overlap" in says:
        assert isinstance(caught.value, CheckError)


@pytest.mark.slow
def test_the_command_line_says_the_same(tmp_path: Path) -> None:
    path = str(tmp_path / "d.slicedb")
    filled(Path(path), novel=20)
    args = ["--db", path, "drift", "split = 'one'", "split = 'two'"]
    result = CliRunner().invoke(verbs, args, catch_exceptions=False)
    assert result.exit_code == 0 and "New in B" in result.stdout and "* label" in result.stdout
    rows = CliRunner().invoke(verbs, [*args, "--format", "csv"], catch_exceptions=False).stdout
    assert rows.startswith("column,kind,effect,p,q,query,share_a,share_b\n")
