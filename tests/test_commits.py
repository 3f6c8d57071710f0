"""Commits over all tables at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from slicedb.commits import Commits
from slicedb.errors import DatabaseError
from slicedb.schema import IMAGES_SCHEMA, keys_of
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
    assert (ids(store), store.count("images")) == (["a", "b"], 0)
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
