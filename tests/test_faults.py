"""Every change of a table fails once: the same command run again then ends as a clean run does."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from fakes_judge import CLASSES, small_store
from fakes_models import MeanColour, fill, png

import slicedb
from slicedb.database import Database
from slicedb.errors import SliceDBError
from slicedb.store.door import watched

Verb = Callable[[Database], object]
_HARMLESS = ("lost images", "stray pins", "cut-off checkout")


class Killed(BaseException):
    """Reaches the caller as Ctrl-C or a kill does: nothing catches it."""


def world(root: Path) -> Database:
    store, _ = small_store(root)
    fill(store, {"red": png((255, 0, 0)), "green": png((0, 255, 0))})
    db = slicedb.open(store.path)
    db.log_predictions("m", given("cat"), classes=CLASSES)
    db.slices.add("cats", "label = 'cat'")
    db.commit("first", tag="first")
    db.models.add("mean", MeanColour())
    return db


def given(label: str) -> pa.Table:
    ids = ["cat/0.jpg", "cat/1.jpg"]
    return pa.table({"id": ids, "prediction": [label, label]})


def commit(db: Database) -> None:
    with contextlib.suppress(SliceDBError):  # it was there already when the run was killed
        db.commit("second", tag="second")


VERBS: dict[str, Verb] = {
    "log": lambda db: db.log_predictions("n", given("cat"), classes=CLASSES),
    "log more": lambda db: db.log_predictions("m", given("dog"), classes=CLASSES),
    "replace": lambda db: db.log_predictions("m", given("dog"), classes=CLASSES, replace=True),
    "relabel": lambda db: db.relabel("id = 'cat/0.jpg'", "dog"),
    "tag": lambda db: db.tag("label = 'cat'", "seen"),
    "delete": lambda db: db.delete("id = 'cat/0.jpg'"),
    "add": lambda db: db.slices.add("dogs", "label = 'dog'", replace=True),
    "freeze": lambda db: db.slices.freeze("cats"),
    "commit": commit,
    "reset": lambda db: db.commits.reset("first"),
    "drop model": lambda db: "mean" in db.models and db.models.drop("mean"),
}


def state(db: Database) -> str:
    """Return what a user sees, without what differs between two runs: ids, times, versions."""
    tables = {
        name: sorted(
            json.dumps({k: v for k, v in row.items() if k not in _OWN}, default=str)
            for row in db.store.table(name).to_pylist()
        )
        for name in db.store.names()
        if name not in ("commits", "slices", "models")
    }
    slices = {s.name: (s.kind, s.ids()) for s in db.slices.list()}
    tags = sorted(tag for c in db.commits.history() for tag in c.tags)
    return json.dumps([tables, slices, tags, [m.name for m in db.models.list()]], default=str)


_OWN = ("added_at", "created_at", "ingested_at")


def fails_at(at: int, moment: str) -> Callable[[str, str, str], None]:
    seen = 0

    def watch(when: str, change: str, table: str) -> None:
        nonlocal seen
        if when == moment:
            seen += 1
            if seen == at:
                raise Killed(f"{change} {table}")

    return watch


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_killed_at_any_change_and_run_again_equals_a_clean_run(
    verb: str, tmp_path: Path
) -> None:
    clean = world(tmp_path / "clean")
    changes = 0

    def count(when: str, change: str, table: str) -> None:
        nonlocal changes
        changes += when == "before"

    with watched(count):
        VERBS[verb](clean)
    expected = state(slicedb.open(clean.path))
    assert changes > 0
    for at in range(1, changes + 1):
        for moment in ("before", "after"):
            db = world(tmp_path / f"{at}{moment}")
            with contextlib.suppress(Killed), watched(fails_at(at, moment)):
                VERBS[verb](db)
            again = slicedb.open(db.path)
            assert [f for f in again.doctor() if f.problem not in _MENDED] == []
            VERBS[verb](again)
            assert state(slicedb.open(db.path)) == expected, f"{verb} killed {moment} change {at}"
            assert [f for f in again.doctor() if f.problem not in _HARMLESS] == []


_MENDED = (*_HARMLESS, "orphans", "stale truths", "missing pins")
"""What the doctor may find between a kill and the next run, and says how to mend."""
