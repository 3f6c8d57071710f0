"""Splits: nothing crosses, every part has its share, and nothing that is placed moves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import slicedb
from slicedb import schema
from slicedb.cli import verbs
from slicedb.curate.placing import count, place
from slicedb.errors import CheckError

ROUNDS = 100


def filled(path: Path, n: int, seed: int = 0, start: int = 0) -> slicedb.Database:
    """A database of samples without pictures: patients, labels, ages, days."""
    db = slicedb.open(path)
    rng = np.random.default_rng(seed)
    ids = [f"s{i:06d}" for i in range(start, start + n)]
    patients = rng.integers(0, max(2, n // 8), n)
    rows = {
        "id": ids,
        "key": schema.keys_of(ids),
        "label": [f"c{v}" for v in (patients + rng.integers(0, 2, n)) % 4],
        "tags": [[["day", "night"][v]] for v in rng.integers(0, 2, n)],
        "status": ["ok"] * n,
    }
    db.store.append(schema.SAMPLES, pa.table(rows))
    about = {
        "id": ids,
        "patient": [f"p{v}" for v in patients],
        "age": rng.normal(50, 10, n),
        "day": pa.array(rng.integers(0, 100, n) * 86_400_000_000, pa.timestamp("us")),
    }
    db.attach(pa.table(about), partial=True)
    return db


def shares(db: slicedb.Database, column: str = "split") -> dict[str, int]:
    rows = db.sql(f"SELECT {column} AS part, count(*) AS n FROM samples GROUP BY ALL ORDER BY ALL")
    return dict(zip(rows["part"].to_pylist(), rows["n"].to_pylist()))


def test_parts_have_their_share_of_every_value(tmp_path: Path) -> None:
    db = filled(tmp_path / "s.slicedb", 1000)
    report = db.split(stratify=["label", "age", "tags"])
    assert shares(db) == {"test": 100, "train": 800, "val": 100}
    assert [row.asked for row in report.rows] == [0.8, 0.1, 0.1]
    assert max(d.size for d in report.deviations) < 0.01  # less than a sample of 100
    assert "1,000 samples were placed in 'split'; 0 kept the part they had." in str(report)
    text = "split = 'test' AND list_contains(tags, 'night')"
    assert abs(db.query(text).count() - db.query("list_contains(tags, 'night')").count() / 10) < 1


def test_no_group_of_any_column_crosses_whatever_the_structure() -> None:
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        n, n_units = int(rng.integers(30, 600)), int(rng.integers(3, 120))
        unit = rng.zipf(1.5, n) % n_units if seed % 2 else rng.integers(0, n_units, n)
        _, unit = np.unique(unit, return_inverse=True)
        cell, sample = 1 + rng.integers(0, 4, n), np.arange(n)
        counts = count(cell, sample, unit, int(unit.max()) + 1, 5)
        part = place(counts, np.array([0.7, 0.2, 0.1]))
        assert len(part) == unit.max() + 1 and set(part) <= {0, 1, 2}


def test_connected_groups_are_one(tmp_path: Path) -> None:
    db = filled(tmp_path / "s.slicedb", 400)
    ids = db.query().ids()
    sites = {"id": ids, "site": [f"{int(i[1:]) // 3}" for i in ids]}
    db.attach(sites)
    report = db.split({"train": 0.6, "test": 0.4}, group=["patient", "site"])
    assert [(c.what, c.n) for c in report.crossings] == [("patient", 0), ("site", 0)]
    for column in ("patient", "site"):
        text = f"SELECT {column} FROM samples GROUP BY ALL HAVING count(DISTINCT split) > 1"
        assert db.sql(text).num_rows == 0


def test_deviation_is_no_worse_than_that_of_scikit_learn() -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    def spread(fold: np.ndarray, label: np.ndarray) -> float:
        of = [[(label[fold == k] == v).mean() for k in range(5)] for v in range(5)]
        return float(np.mean(np.std(of, axis=1)))

    for seed in range(20):
        rng = np.random.default_rng(seed)
        n, n_groups = 1000, int(rng.integers(20, 150))
        group = rng.zipf(1.6, n) % n_groups if seed % 2 else rng.integers(0, n_groups, n)
        label = (rng.integers(0, 5, n) + group) % 5 if seed % 3 else rng.choice(5, n)
        _, unit = np.unique(group, return_inverse=True)
        counts = count(label + 1, np.arange(n), unit, int(unit.max()) + 1, 6)
        ours = place(counts, np.full(5, 0.2))[unit]
        theirs = np.empty(n, int)
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        for k, (_, test) in enumerate(folds.split(label, label, unit)):
            theirs[test] = k
        assert spread(ours, label) <= spread(theirs, label) + 1e-9


def test_new_samples_are_placed_and_old_ones_stay(tmp_path: Path) -> None:
    db = filled(tmp_path / "s.slicedb", 500)
    db.split({"train": 0.8, "test": 0.2}, group="patient", stratify="label")
    rows = db.sql("SELECT id, split FROM samples ORDER BY id").to_pylist()
    filled(tmp_path / "s.slicedb", 50, seed=1, start=500)
    report = db.split()
    assert (report.placed, report.kept) == (50, 500)
    assert db.sql("SELECT id, split FROM samples ORDER BY id").to_pylist()[:500] == rows
    assert report.crossings[0].n == 0
    assert abs(report.rows[1].share - 0.2) < 0.03
    again = db.split()
    assert again.placed == 0
    assert "550 kept the part they had. --anew (anew=True) places all of them." in str(again)


def test_a_part_without_samples_is_not_said_to_have_a_share_of_values(tmp_path: Path) -> None:
    db = filled(tmp_path / "s.slicedb", 60)
    db.attach({"id": db.query().ids(), "part": ["test"] * 60})
    report = db.split({"train": 0.8, "test": 0.2}, into="part", stratify="label")
    assert [row.n for row in report.rows] == [0, 60]
    assert [d.part for d in report.deviations] == ["test"]


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    db = filled(tmp_path / "s.slicedb", 100)
    before = db.store.version(schema.SAMPLES)
    assert "would be placed" in str(db.split(dry_run=True))
    assert db.store.version(schema.SAMPLES) == before


def test_anew_places_all_and_another_seed_places_otherwise(tmp_path: Path) -> None:
    db = filled(tmp_path / "s.slicedb", 200)
    db.split(seed=1)
    first = sorted(db.query("split = 'test'").ids())
    assert db.split(seed=2).placed == 0
    assert db.split(seed=2, anew=True).placed == 200
    assert sorted(db.query("split = 'test'").ids()) != first
    db.split(seed=1, anew=True)
    assert sorted(db.query("split = 'test'").ids()) == first


def test_splits_that_were_there_keep_their_names_and_samples(tmp_path: Path) -> None:
    db = filled(tmp_path / "s.slicedb", 200)
    ids = db.query().ids()
    db.attach({"id": ids[:60], "split": ["holdout"] * 60}, partial=True)
    report = db.split({"train": 0.5, "test": 0.5}, group="patient")
    assert report.kept == 60 and report.rows[2].name == "holdout" and report.rows[2].asked is None
    assert report.crossings[0].n == 0 or "cross" in str(report)
    assert db.query("split = 'holdout'").count() >= 60


def test_time_divides_earlier_from_later_with_a_gap(tmp_path: Path) -> None:
    db = filled(tmp_path / "s.slicedb", 1000)
    report = db.split({"train": 0.7, "test": 0.3}, time="day", gap="5d")
    ends = db.sql("SELECT split, min(day) AS a, max(day) AS b FROM samples GROUP BY 1 ORDER BY 1")
    gap, test, train = ends.to_pylist()
    assert train["b"] < gap["a"] and gap["b"] < test["a"]
    assert (test["a"] - train["b"]).days >= 5
    assert report.gap == db.query("split = 'gap'").count() > 0
    assert "split = 'gap'" in str(report) and "test begins at TIMESTAMP '1970-" in str(report)
    filled(tmp_path / "s.slicedb", 40, seed=3, start=1000)
    before = db.query("split = 'test' AND id < 's001000'").count()
    db.split()
    assert db.query("split = 'test' AND id < 's001000'").count() == before
    cut = test["a"]
    late = db.sql("SELECT day, split FROM samples WHERE id >= 's001000'").to_pylist()
    assert {row["split"] for row in late if row["day"] >= cut} == {"test"}


def test_time_and_group_leave_out_what_lies_on_both_sides(tmp_path: Path) -> None:
    db = filled(tmp_path / "s.slicedb", 600)
    report = db.split({"train": 0.6, "test": 0.4}, time="day", group="patient")
    assert report.crossings[0].n == 0 and report.gap > 0
    assert db.sql(
        "SELECT max(day) < (SELECT min(day) FROM samples WHERE split = 'test') AS ok "
        "FROM samples WHERE split = 'train'"
    )["ok"].to_pylist() == [True]


def test_folds_are_numbers_and_a_loader_leaves_one_out(tmp_path: Path) -> None:
    db = filled(tmp_path / "s.slicedb", 250)
    report = db.split(folds=5, group="patient", stratify="label")
    assert [row.name for row in report.rows] == ["0", "1", "2", "3", "4"]
    assert report.rows[3].query == "fold = 3"
    held, rest = db.query("fold = 3"), db.query("fold <> 3")
    assert held.count() + rest.count() == 250 and abs(held.count() - 50) <= 8
    assert db.query().split("fold = 3")[1].ids() == held.ids()
    assert report.rows[3].n == held.count()


def test_a_group_too_large_for_its_part_is_said(tmp_path: Path) -> None:
    db = filled(tmp_path / "s.slicedb", 100)
    ids = db.query().ids()
    db.attach({"id": ids, "camera": ["big"] * 60 + [f"c{i}" for i in range(40)]})
    report = db.split(folds=4, group="camera")
    assert "One group (camera = 'big') has 60 samples, 60.0% of all" in str(report)
    assert "25.0% was asked" in str(report)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ratios": {"train": 0.8, "test": 0.3}}, r"add up to 1\.1.*train=0\.727 test=0\.273"),
        ({"ratios": {"train": 1.0}}, "name two parts"),
        ({"ratios": {"train": 1.2, "test": -0.2}}, "name two parts"),
        ({"ratios": {"a": 0.5, "b": 0.5}, "folds": 3}, "ask for one"),
        ({"folds": 1}, "ask for two"),
        ({"group": "patiant"}, "did you mean 'patient'"),
        ({"group": "holes"}, r"NULL for 10 of 100 .*holes IS NOT NULL"),
        ({"time": "holes"}, "is NULL for 10"),
        ({"time": "label"}, "holds no times"),
        ({"time": "day", "gap": "7"}, "no gap between values of 'day'"),
        ({"time": "age", "gap": "7d"}, "the column holds numbers"),
        ({"stratify": "split"}, "cannot decide its own values"),
        ({"on": "id < 's000020'"}, "20 samples cannot be split"),
    ],
)
def test_wrong_input_is_told(tmp_path: Path, options: dict[str, object], says: str) -> None:
    db = filled(tmp_path / "s.slicedb", 100)
    ids: Sequence[str] = db.query().ids()
    db.attach({"id": ids, "holes": [None] * 10 + ["x"] * 90})
    before = db.store.version(schema.SAMPLES)
    with pytest.raises(CheckError, match=says):
        db.split(**options)  # type: ignore[arg-type]
    assert db.store.version(schema.SAMPLES) == before


def test_near_duplicates_are_one_group_and_the_nearest_across_is_said(tmp_path: Path) -> None:
    from fakes_models import png

    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(40):
        (tmp_path / "photos" / f"{i:02}.png").write_bytes(png(tuple(rng.integers(0, 255, 3))))
    db = slicedb.open(tmp_path / "n.slicedb")
    db.ingest(tmp_path / "photos", progress=False)
    ids = db.query().ids()
    vectors = rng.normal(size=(20, 16)).repeat(2, axis=0)  # each of two pictures
    db.log_embeddings("default", {"id": ids, "vector": list(vectors.astype(np.float32))})
    report = db.split({"train": 0.5, "test": 0.5}, near_duplicates=True, anew=True)
    assert [(c.what, c.n) for c in report.crossings] == [("near-duplicates", 0)]
    assert report.closest is not None and report.closest < 0.97 and report.compared == 20
    parts = dict(
        zip(*(db.sql("SELECT id, split FROM samples")[c].to_pylist() for c in ("id", "split")))
    )
    assert all(parts[a] == parts[b] for a, b in zip(ids[::2], ids[1::2]))
    loose = db.split({"train": 0.5, "test": 0.5}, anew=True)
    assert loose.closest is not None and loose.closest > 0.999


def test_the_command_line_says_the_same(tmp_path: Path) -> None:
    path = str(tmp_path / "s.slicedb")
    filled(Path(path), 200)

    def run(*args: str) -> str:
        result = CliRunner().invoke(verbs, ["--db", path, "split", *args], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    said = run("train=0.75", "test=0.25", "--group", "patient", "--stratify", "label")
    assert "200 samples were placed" in said and "patient: no group crosses." in said
    assert "0 samples were placed in 'split'; 200 kept" in run()
    assert '"part' not in run("--format", "csv") and "train,0.75" in run("--format", "csv")
    wrong = CliRunner().invoke(verbs, ["--db", path, "split", "train:0.8"])
    assert wrong.exit_code == 2 and "'train:0.8' is no part" in wrong.output
