"""Commits over all tables at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from slicedb.commits import Commit, Commits
from slicedb.doctor import examine
from slicedb.errors import DatabaseError
from slicedb.schema import IMAGES_SCHEMA, RUNS_SCHEMA, TESTS_SCHEMA, keys_of
from slicedb.store import Store


def add(store: Store, ids: list[str], label: str = "cat", sha: str = "00") -> None:
    n = len(ids)
    store.append(
        "samples",
        pa.table({"id": ids, "key": keys_of(ids), "label": [label] * n, "sha256": [sha] * n}),
    )


def ids(store: Store) -> list[str]:
    return sorted(store.table("samples", ["id"])["id"].to_pylist())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store.open(tmp_path / "data.slicedb")
    add(made, ["a", "b"])
    return made


def test_history_is_newest_first_and_get_takes_id_start_tag_and_branch(store: Store) -> None:
    commits = Commits(store)
    first = commits.commit("first", tag="v1")
    add(store, ["c"])
    second = commits.commit("second")
    assert [c.message for c in commits.history()] == ["second", "first"]
    assert second.parent == first.id
    for name in ("v1", first.id, first.id[:8]):
        assert commits.get(name).id == first.id
    assert commits.get("main").id == second.id
    with pytest.raises(DatabaseError, match=r"No commit 'mian'. Hint: did you mean 'main'"):
        commits.get("mian")


def test_checkout_brings_every_table_back_and_forth(store: Store) -> None:
    commits = Commits(store)
    first = commits.commit("two samples")
    add(store, ["c"])
    store.create("images", IMAGES_SCHEMA)
    store.append("images", pa.table({"id": ["a"], "key": keys_of(["a"]), "image": [b"x"]}))
    second = commits.commit("three samples and images")
    commits.checkout(first.id)
    assert (ids(store), store.has("images")) == (["a", "b"], False)
    assert commits.is_clean()
    commits.checkout(second.id)
    assert (ids(store), store.count("images")) == (["a", "b", "c"], 1)


def test_checkout_refuses_to_lose_changes_unless_forced(store: Store) -> None:
    commits = Commits(store)
    first = commits.commit("first")
    add(store, ["c"])
    with pytest.raises(DatabaseError, match="changes since the last commit"):
        commits.checkout(first.id)
    assert ids(store) == ["a", "b", "c"]
    commits.checkout(first.id, force=True)
    assert ids(store) == ["a", "b"]


def test_branches_go_their_own_ways(store: Store) -> None:
    commits = Commits(store)
    with pytest.raises(DatabaseError, match="no commit to branch from"):
        commits.branch("fix")
    commits.commit("base")
    commits.branch("fix")
    add(store, ["fixed"])
    commits.commit("on the branch")
    commits.checkout("main")
    assert (commits.branch_name, ids(store)) == ("main", ["a", "b"])
    commits.checkout("fix")
    assert (commits.branch_name, ids(store)) == ("fix", ["a", "b", "fixed"])


def test_reset_moves_the_branch(store: Store) -> None:
    commits = Commits(store)
    first = commits.commit("first")
    add(store, ["c"])
    commits.commit("second")
    commits.reset(first.id)
    assert ids(store) == ["a", "b"]
    assert commits.get("main").id == first.id


def test_diff_names_added_removed_relabelled_and_changed(store: Store) -> None:
    commits = Commits(store)
    commits.commit("before", tag="before")
    store.delete("samples", ["a"])
    store.upsert("samples", pa.table({"id": ["b"], "label": ["dog"]}), insert=False)
    add(store, ["c"])
    now = commits.diff("before")
    assert (now.added, now.removed, now.relabelled, now.changed) == (["c"], ["a"], ["b"], [])
    store.upsert("samples", pa.table({"id": ["b"], "sha256": ["11"]}), insert=False)
    commits.commit("after", tag="after")
    between = commits.diff("before", "after")
    assert between.changed == ["b"]
    assert str(between).startswith("1 added, 1 removed, 1 relabelled, 1 with another image")


def test_a_null_label_differs_from_a_label_only(store: Store) -> None:
    commits = Commits(store)
    commits.commit("before")
    empty = pa.table({"id": ["a"], "label": pa.array([None], pa.string())})
    store.upsert("samples", empty, insert=False)
    assert commits.diff().relabelled == ["a"]


def test_a_commit_survives_cleanup(store: Store) -> None:
    commits = Commits(store)
    first = commits.commit("first")
    for i in range(3):
        add(store, [f"later{i}"])
    store.cleanup(older_than=timedelta(0))
    commits.checkout(first.id, force=True)
    assert ids(store) == ["a", "b"]


def test_names_of_tags_and_branches_are_unique(store: Store) -> None:
    commits = Commits(store)
    commits.commit("first", tag="v1")
    for taken in ("v1", "main"):
        with pytest.raises(DatabaseError, match="is taken"):
            commits.commit("again", tag=taken)


def test_a_dropped_commit_is_passed_over_and_the_present_one_stays(store: Store) -> None:
    commits = Commits(store)
    first, second, third = (commits.commit(f"c{i}") for i in range(3))
    commits.drop(second.id)
    assert commits.get(third.id).parent == first.id
    commits.checkout(first.id)  # no branch stands there
    with pytest.raises(DatabaseError, match=f"stands at commit {first.id}"):
        commits.drop(first.id)


def test_going_back_keeps_the_records_of_what_was_done(store: Store) -> None:
    commits = Commits(store)
    first = commits.commit("first")
    for name, schema in (("runs", RUNS_SCHEMA), ("tests", TESTS_SCHEMA)):
        store.create(name, schema)
        store.append(name, pa.table({"id": ["run1"]}))
    assert commits.is_clean()
    commits.checkout(first.id)
    assert (store.count("runs"), store.count("tests")) == (1, 1)


def test_few_digits_are_no_commit(store: Store) -> None:
    commits = Commits(store)
    made = commits.commit("first")
    assert commits.get(made.id[:4]).id == made.id
    with pytest.raises(DatabaseError, match="No commit"):
        commits.get(made.id[:3])


# --- several processes, and processes that are killed --------------------------------------------


def chain(commits: Commits) -> list[str]:
    """Return the messages from the present commit back to the first."""
    known = {c.id: c for c in commits.history()}
    found, at = [], commits.get("HEAD").id
    while at is not None:
        found.append(known[at].message)
        at = known[at].parent  # type: ignore[assignment]
    return found


@pytest.mark.slow
def test_commits_made_at_once_come_one_after_another(store: Store) -> None:
    def several(name: str) -> None:
        mine = Commits(Store.open(store.path, create=False))
        for i in range(3):
            mine.commit(f"{name}{i}")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(several, "abc"))
    expected = [f"{name}{i}" for name in "abc" for i in range(3)]
    assert sorted(chain(Commits(store))) == expected
    for name in "abc":
        mine = [m for m in chain(Commits(store)) if m.startswith(name)]
        assert mine == [f"{name}{i}" for i in (2, 1, 0)]


@pytest.mark.parametrize("meanwhile", ["commit", "branch"])
def test_a_commit_follows_what_another_process_did_meanwhile(
    store: Store, meanwhile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits, other = Commits(store), Commits(Store.open(store.path, create=False))
    commits.commit("first")
    rewrite = store.rewrite

    def late(name: str, change: Any) -> None:
        getattr(other, meanwhile)("other")
        rewrite(name, change)

    monkeypatch.setattr(store, "rewrite", late)
    made = commits.commit("mine")
    if meanwhile == "commit":
        assert chain(commits) == ["mine", "other", "first"]
    else:
        assert (made.branch, commits.branch_name) == ("other", "other")
        assert set(commits.branches()) == {"main", "other"}
        assert commits.get("other").id == made.id
    assert commits.get(made.id) == made


@pytest.mark.slow
def test_a_checkout_cut_off_is_told_and_finished_by_reset(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = Commits(store)
    first = commits.commit("first")
    store.create("images", IMAGES_SCHEMA)
    add(store, ["c"])
    second = commits.commit("second")

    class Killed(BaseException):
        pass

    def restore(name: str, version: int | None) -> None:
        if name == "samples":
            raise Killed
        Store.restore(store, name, version)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(store, "restore", restore)
        commits.checkout(first.id)
    again = Commits(Store.open(store.path, create=False))
    assert not again.is_clean() and again.cut_off() == first.id
    for change in (lambda: again.commit("a mix"), lambda: again.checkout(second.id)):
        with pytest.raises(DatabaseError, match=f"cut off.*Hint: `slicedb reset {first.id}`"):
            change()
    assert [str(f) for f in examine(store) if f.table == "commits"] == [
        f"commits: 1 cut-off checkout (`slicedb reset {first.id}`)"
    ]
    again.reset(first.id)
    assert (ids(store), again.is_clean(), again.cut_off()) == (["a", "b"], True, None)
    again.checkout(second.id)
    assert ids(store) == ["a", "b", "c"]


_KILLED = """
import sys
from slicedb.commits import Commits
from slicedb.store import Store
commits = Commits(Store.open(sys.argv[1], create=False))
print("ready", flush=True)
number = 0
while True:
    number += 1
    made = commits.commit(f"c{number}", tag=f"t{number}")
    print(made.id, flush=True)
    commits.reset(commits.history()[-1].id)
"""


@pytest.mark.slow
def test_a_database_opens_whole_after_its_writer_was_killed(store: Store) -> None:
    Commits(store).commit("base")
    acknowledged: set[str] = set()
    for lines in (2, 4):
        worker = subprocess.Popen(
            [sys.executable, "-c", _KILLED, store.path], stdout=subprocess.PIPE, text=True
        )
        assert worker.stdout is not None
        told = [worker.stdout.readline() for _ in range(lines)]
        worker.send_signal(signal.SIGKILL)
        told += worker.communicate()[0].splitlines()
        acknowledged |= {line.strip() for line in told} - {"ready", ""}
        opened = Store.open(store.path, create=False)
        commits = Commits(opened)
        known: dict[str, Commit] = {c.id: c for c in commits.history()}
        assert acknowledged <= set(known)
        assert {*commits.branches().values(), *(c.parent for c in known.values())} <= {None, *known}
        for commit in known.values():
            for name, version in commit.tables.items():
                opened.count(name, version)
        commits.reset(commits.get("HEAD").id)
        assert commits.is_clean() and ids(opened) == ["a", "b"]
        lost = {"lost versions", "missing pins", "cut-off checkout"}
        assert [f for f in examine(opened) if f.problem in lost] == []
