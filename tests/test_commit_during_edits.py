"""A commit that is made while decisions are applied holds all of them or none."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from fakes_judge import add_samples

import slicedb
from slicedb import Database
from slicedb.commits import Commits, batch
from slicedb.errors import DatabaseError
from slicedb.schema import SAMPLES
from slicedb.store.door import watched

State = tuple[dict[str, tuple[str, tuple[str, ...]]], list[str], set[str]]
"""Labels and tags by id, ids of correct predictions, and how far the decisions got."""
BEFORE: State = ({"a": ("cat", ()), "b": ("dog", ()), "c": ("cow", ())}, ["c"], {"pending"})
AFTER: State = ({"a": ("cow", ("night",)), "c": ("cow", ())}, ["a", "c"], {"done"})


@pytest.fixture
def db(tmp_path: Path) -> Database:
    db = slicedb.open(tmp_path / "data.slicedb")
    add_samples(db.store, [*"abc"], ["cat", "dog", "cow"])
    db.log_predictions(
        "named", pa.table({"id": [*"abc"], "prediction": ["cow"] * 3}), classes=["cat", "cow"]
    )
    db.commit("before")
    db.decide("a", label="cow", tag=["night"], author="ada")
    db.decide("b", delete=True, author="ada")
    return db


def state(db: Database) -> State:
    rows = db.store.table(SAMPLES, ["id", "label", "tags"]).to_pylist()
    samples = {row["id"]: (row["label"], tuple(row["tags"] or ())) for row in rows}
    return samples, sorted(db.query("named.correct").ids()), {edit.state for edit in db.edits()}


def committed(db: Database, message: str) -> State:
    [commit] = [c for c in db.commits.history() if c.message == message]
    return state(db.at(commit.id))


def messages(db: Database) -> list[str]:
    return [commit.message for commit in db.commits.history()]


@pytest.mark.slow
@pytest.mark.parametrize("change", [1, 5, 8])
def test_a_commit_of_another_thread_waits_for_what_is_applied(db: Database, change: int) -> None:
    other = slicedb.open(db.path)
    applies, left = threading.get_ident(), change
    thread = threading.Thread(target=other.commit, args=("meanwhile",))

    def watch(when: str, what: str, table: str) -> None:
        nonlocal left
        if threading.get_ident() == applies and when == "after":
            left -= 1
            if left == 0:
                thread.start()
                thread.join(0.15)

    with watched(watch):
        db.apply_edits("reviewed")
    thread.join()
    assert left <= 0 and messages(db) == ["meanwhile", "reviewed", "before"]
    assert committed(db, "meanwhile") == committed(db, "reviewed") == AFTER
    assert state(db) == AFTER and db.commits.is_clean()


@pytest.mark.parametrize("n_read", [1, 3])
def test_a_commit_that_read_the_tables_before_and_after_reads_them_again(
    db: Database, n_read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = slicedb.open(db.path)
    versions, store = other.store.versions, other.store
    reads = 0

    def torn() -> dict[str, int]:
        """Read some tables, let all decisions be applied, and read the others."""
        nonlocal reads
        reads += 1
        if reads > 1:
            return versions()
        first = dict(list(versions().items())[:n_read])
        db.apply_edits("reviewed")
        return {**versions(), **first}

    monkeypatch.setattr(store, "versions", torn)
    other.commit("meanwhile")
    assert messages(db) == ["meanwhile", "reviewed", "before"] and reads >= 2
    assert committed(db, "meanwhile") == AFTER and db.commits.is_clean()
    pins = {tag for name in store.names() for tag in store.pins(name)}
    assert {f"commit-{c.id}" for c in db.commits.history()} == pins


def test_a_commit_that_was_ready_to_be_written_is_made_anew_of_what_was_applied(
    db: Database,
) -> None:
    other, pins = slicedb.open(db.path), 0

    def watch(when: str, what: str, table: str) -> None:
        nonlocal pins
        pins += what == "pin" and when == "before"
        if pins == 1 and what == "pin":
            pins += 1
            db.apply_edits("reviewed")

    with watched(watch):
        other.commit("meanwhile", tag="v1")
    assert messages(db) == ["meanwhile", "reviewed", "before"]
    assert state(db.at("v1")) == AFTER


_APPLIES = """
import os, signal, sys
import slicedb
from slicedb.store.door import watched
left = int(sys.argv[2])
def watch(when, what, table):
    global left
    left -= when == "after"
    if when == "after" and left == 0:
        print("half", flush=True)
        sys.stdin.readline()
with watched(watch):
    slicedb.open(sys.argv[1]).apply_edits("reviewed")
print("done", flush=True)
"""


def applies(db: Database, change: int) -> subprocess.Popen[str]:
    """Start a process that applies what is decided and stops after the n-th change."""
    worker = subprocess.Popen(
        [sys.executable, "-c", _APPLIES, db.path, str(change)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None and worker.stdout.readline() == "half\n"
    return worker


@pytest.mark.slow
def test_a_process_killed_half_way_is_finished_before_another_commits(db: Database) -> None:
    worker = applies(db, 7)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    db.commit("meanwhile")
    assert messages(db) == ["meanwhile", "reviewed", "before"]
    assert committed(db, "meanwhile") == committed(db, "reviewed") == state(db) == AFTER
    assert str(db.apply_edits()) == "Nothing was applied; nothing to commit"


@pytest.mark.slow
def test_commit_and_reset_wait_for_another_process_that_applies(db: Database) -> None:
    worker = applies(db, 5)
    before = db.commits.get("HEAD").id
    threads = [
        threading.Thread(target=db.commit, args=("meanwhile",)),
        threading.Thread(target=slicedb.open(db.path).commits.reset, args=(before,)),
    ]
    threads[0].start()
    threads[0].join(0.5)
    assert threads[0].is_alive() and messages(db) == ["before"]
    threads[1].start()
    threads[1].join(0.2)
    assert threads[1].is_alive() and db.commits.cut_off() is None
    assert worker.communicate("\n")[0] == "done\n"
    for thread in threads:
        thread.join()
    assert committed(db, "reviewed") == AFTER
    assert messages(db)[-2:] == ["reviewed", "before"]
    assert state(db)[0] == BEFORE[0] and db.commits.cut_off() is None


def test_nothing_is_applied_while_a_checkout_is_cut_off(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = slicedb.open(db.path)

    def cut(name: str, version: int | None) -> None:
        raise DatabaseError("out of room")

    monkeypatch.setattr(other.store, "restore", cut)
    with pytest.raises(DatabaseError, match="out of room"):
        other.commits.reset("HEAD")
    with pytest.raises(DatabaseError, match=r"A checkout of commit .* was cut off"):
        db.apply_edits()
    assert state(db) == BEFORE and batch.begun(db.store) is None
    db.commits.reset("HEAD")


def test_what_failed_half_way_is_not_waited_for_and_needs_the_database_to_be_finished(
    db: Database,
) -> None:
    n = 0

    def fail(when: str, what: str, table: str) -> None:
        nonlocal n
        n += when == "after"
        if n == 5:
            raise DatabaseError("out of room")

    with watched(fail), pytest.raises(DatabaseError, match="out of room"):
        db.apply_edits("reviewed")
    begun = batch.begun(db.store)
    assert begun is not None and not begun.is_at_work()
    with pytest.raises(DatabaseError, match=r"their process ended.*slicedb.open"):
        Commits(db.store).commit("half")
    db.commit("meanwhile")
    assert messages(db) == ["meanwhile", "reviewed", "before"] and state(db) == AFTER
