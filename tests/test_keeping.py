"""Nothing a commit or a frozen slice names is ever lost: ingests, relabels, compaction, cleanup."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fakes_judge import CLASSES, add_predictions, add_samples, small_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import slicedb
from slicedb.database import Database
from slicedb.doctor import examine
from slicedb.errors import DatabaseError


@pytest.fixture
def db(tmp_path: Path) -> Database:
    store, _ = small_store(tmp_path)
    return slicedb.open(store.path, create=False)


def problems(db: Database, mend: bool = False) -> list[tuple[str, str, int, bool]]:
    """Return what the doctor finds; the samples here have no images, which it tells too."""
    found = examine(db.store, mend=mend)
    return [(f.table, f.problem, f.n, f.mended) for f in found if f.problem != "lost images"]


# --- everything at once --------------------------------------------------------------------------

_steps = st.lists(
    st.sampled_from(
        [
            "add",
            "relabel",
            "delete",
            "predict",
            "freeze",
            "thaw",
            "redefine",
            "commit",
            "checkout",
            "branch",
            "compact",
            "cleanup",
            "mend",
            "drop_commit",
        ]
    ),
    min_size=6,
    max_size=14,
)


@pytest.mark.slow
@settings(
    deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_steps, st.integers(0, 2**31))
def test_every_commit_and_frozen_slice_stays_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], seed: int
) -> None:
    random = np.random.default_rng(seed)
    store, _ = small_store(tmp_path_factory.mktemp("keep"))
    db = slicedb.open(store.path, create=False)
    db.slices.add("cats", "label = 'cat'")
    commits: dict[str, tuple[list[str], list[str], str]] = {}

    def remember() -> None:
        commit = db.commit(f"state {len(commits)}")
        commits[commit.id] = state(db)

    def state(of: Database) -> tuple[list[str], list[str], str]:
        rows = of.sql("SELECT id, label FROM samples ORDER BY id").to_pylist()
        return (
            [f"{r['id']} {r['label']}" for r in rows],
            sorted(of.slices.get("cats").ids()),
            of.slices.get("cats").kind,
        )

    remember()
    for number, step in enumerate([*steps, "commit", "compact", "cleanup"]):
        ids = db.query().ids()
        some = random.choice(ids, min(2, len(ids)), replace=False).tolist() if ids else []
        if step == "add":
            new = [f"cat/{number}.{i}.jpg" for i in range(3)]
            add_samples(db.store, new, random.choice(CLASSES, 3).tolist())
        elif step == "relabel" and some:
            add_samples(db.store, some, random.choice(CLASSES, len(some)).tolist())
        elif step == "delete" and len(ids) > 5:
            db.delete(f"id = '{some[0]}'")
        elif step == "predict":
            add_predictions(db.store, "m", some, ["cat"] * len(some))
        elif step in ("freeze", "thaw"):
            getattr(db.slices, step)("cats")
        elif step == "redefine":
            db.slices.add("cats", f"label <> '{random.choice(CLASSES)}'", replace=True)
        elif step == "commit":
            remember()
        elif step == "checkout":
            db.commits.checkout(str(random.choice(list(commits))), force=True)
        elif step == "branch":
            db.commits.branch(f"b{number}")
        elif step == "compact":
            for name in db.store.names():
                db.store.compact(name)
        elif step == "cleanup":
            db.store.cleanup(timedelta(0))
        elif step == "mend":
            examine(db.store, mend=True)
        elif step == "drop_commit":
            name = str(random.choice(list(commits)))
            try:
                db.commits.drop(name)
                del commits[name]
            except DatabaseError as error:
                assert "stands at commit" in str(error)
    for name, expected in commits.items():
        assert state(db.at(name)) == expected
        frozen = db.at(name).slices.get("cats")
        for table, version in frozen.tables.items():
            assert db.store.count(table, version) >= 0
    assert not {problem for _, problem, *_ in problems(db)} & {"lost versions", "missing pins"}
    for name, expected in list(commits.items())[:3]:
        db.commits.checkout(name, force=True)
        assert state(db) == expected
        assert not [p for p in problems(db) if p[1] in ("lost versions", "missing pins")]


@pytest.mark.slow
def test_a_slice_frozen_on_two_branches_keeps_both(db: Database) -> None:
    db.slices.add("cats", "label = 'cat'")
    base = db.commit("base")
    db.slices.freeze("cats")
    one = db.commit("frozen on main")
    db.commits.checkout(base.id)
    db.commits.branch("other")
    add_samples(db.store, ["cat/9.jpg"], ["cat"])
    db.slices.freeze("cats")
    two = db.commit("frozen on other")
    db.slices.thaw("cats")
    db.store.cleanup(timedelta(0))
    assert (db.at(one.id).slices.get("cats").count(), db.at(two.id).slices.get("cats").count()) == (
        4,
        5,
    )
    db.commits.checkout(one.id, force=True)
    add_samples(db.store, ["cat/0.jpg"], ["dog"])
    assert db.slices.diff("cats").removed == [("cat/0.jpg", "relabelled: cat -> dog")]


# --- dropping ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_dropped_commit_lets_go_of_its_versions(db: Database) -> None:
    first = db.commit("first", tag="v1")
    for i in range(3):
        add_samples(db.store, [f"x/{i}.jpg"], ["cat"])
    second = db.commit("second")
    third = db.commit("third")
    assert db.store.pins("samples").keys() == {f"commit-{c.id}" for c in (first, second, third)}
    assert db.cleanup(0, dry_run=True) > 0
    db.cleanup(0)
    assert db.query("", at="v1").count() == 12
    db.commits.drop("v1")
    assert [c.message for c in db.commits.history()] == ["third", "second"]
    assert db.commits.get(second.id).parent is None
    db.cleanup(0)
    with pytest.raises(DatabaseError, match="has no version"):
        db.store.count("samples", first.tables["samples"])
    with pytest.raises(DatabaseError, match="Branch main stands at commit"):
        db.commits.drop(third.id)


@pytest.mark.slow
def test_tags_and_branches_are_given_and_taken(db: Database) -> None:
    db.commit("first", tag="v1")
    db.commits.untag("v1")
    with pytest.raises(DatabaseError, match="No commit 'v1'"):
        db.commits.get("v1")
    db.commits.branch("side")
    with pytest.raises(DatabaseError, match="current branch"):
        db.commits.drop_branch("side")
    db.commits.checkout("main")
    db.commits.drop_branch("side")
    assert list(db.commits.branches()) == ["main"]


def test_a_table_that_a_commit_keeps_is_replaced_but_not_dropped(db: Database) -> None:
    add_predictions(db.store, "m", ["cat/0.jpg"], ["cat"])
    db.commit("with m", tag="with_m")
    with pytest.raises(DatabaseError, match="kept by 1 commit or frozen slices"):
        db.store.drop("predictions__m")
    db.log_predictions(
        "m",
        pa.table({"id": ["cat/0.jpg"], "prediction": ["dog"]}),
        classes=["cat", "dog"],
        replace=True,
    )
    assert db.query("m.prediction = 'cat'", at="with_m").count() == 1
    assert db.query("m.prediction = 'dog'").count() == 1
    db.commits.checkout("with_m", force=True)
    assert db.query("m.prediction = 'cat'").count() == 1


# --- the diff of commits -------------------------------------------------------------------------


@pytest.mark.slow
def test_the_diff_of_commits_tells_the_slices_that_moved(db: Database) -> None:
    db.slices.add("cats", "label = 'cat'")
    db.slices.add("same", "label = 'bird'")
    db.slices.add("gone", "true")
    db.slices.add("other", "label = 'dog'")
    add_predictions(db.store, "m", ["cat/0.jpg"], ["cat"])
    db.slices.add("of_m", "m.correct IS NOT NULL OR m.prediction = 'cat'")
    db.commit("before", tag="before")
    db.relabel("id = 'cat/0.jpg'", "dog")
    db.slices.add("other", "label IN ('dog')", replace=True)
    db.slices.add("fresh", "label = 'dog'")
    db.slices.drop("gone")
    found = db.diff()
    assert [str(move) for move in found.slices] == [
        "slice cats: +0 -1, 3 now",
        "slice fresh: +5 -0, 5 now (new)",
        "slice gone: +0 -12 (dropped)",
        "slice other: +1 -0, 5 now (redefined)",
    ]
    assert found.relabelled == ["cat/0.jpg"]
    assert str(found).startswith("0 added, 0 removed, 1 relabelled")
    back = db.diff("HEAD", "before")
    assert back.slices == () and back.relabelled == []


# --- the doctor ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_doctor_renews_pins_and_removes_stray_ones(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("slicedb.doctor.examine"), "_SETTLED", timedelta(0))
    db.slices.add("cats", "label = 'cat'")
    frozen = db.slices.freeze("cats")
    commit = db.commit("first")
    assert problems(db) == []
    db.store.unpin("samples", f"commit-{commit.id}")
    db.store.pin("samples", frozen.tables["samples"], "commit-000000000000")
    db.store.pin("samples", frozen.tables["samples"], "mine")
    assert problems(db, mend=True) == [
        ("samples", "missing pins", 1, True),
        ("samples", "stray pins", 1, True),
    ]
    assert problems(db) == []
    assert {f"commit-{commit.id}", "mine"} <= db.store.pins("samples").keys()


def test_the_doctor_tells_versions_that_are_lost(db: Database) -> None:
    commit = db.commit("first")
    add_samples(db.store, ["x"], ["cat"])
    db.store.unpin("samples", f"commit-{commit.id}")
    db.store.cleanup(timedelta(0))
    assert problems(db, mend=True) == [("samples", "lost versions", 1, False)]


@pytest.mark.slow
def test_the_doctor_finds_stray_files_and_stale_caches(db: Database) -> None:
    data = Path(db.path) / "samples.lance" / "data"
    stray = data / "010101010101010101010101aaaaaaaaaaaaaaaaaaaaaaaaaa.lance"
    shutil.copy(next(data.iterdir()), stray)
    assert problems(db) == []  # a writer may still be at it
    os.utime(stray, (1e9, 1e9))
    (db.store.cache_dir / "vectors" / "embeddings__gone@3").mkdir(parents=True)
    assert problems(db, mend=True) == [
        ("samples", "stray files", 1, True),
        (".cache", "stale caches", 1, True),
    ]
    assert problems(db) == [] and not stray.exists()
    assert db.query().count() == 12


def test_tables_are_described_with_versions_and_what_is_kept(db: Database) -> None:
    db.commit("first")
    add_samples(db.store, ["x"], ["cat"])
    db.delete("id = 'cat/0.jpg'")
    row = next(r for r in db.store.describe() if r["table"] == "samples")
    assert (row["rows"], row["deleted"], row["kept"]) == (12, 1, 1)
    assert row["versions"] == row["version"] and 0 < row["now"] < row["bytes"]
