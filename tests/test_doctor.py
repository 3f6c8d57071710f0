"""The doctor finds what is wrong and mends what can be mended."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from slicedb.doctor import examine
from slicedb.schema import IMAGES_SCHEMA, keys_of
from slicedb.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store.open(tmp_path / "data.slicedb")
    ids = ["a", "b"]
    made.append("samples", pa.table({"id": ids, "key": keys_of(ids), "status": ["ok", "ok"]}))
    made.create("images", IMAGES_SCHEMA)
    made.append("images", pa.table({"id": ids, "key": keys_of(ids), "image": [b"1", b"2"]}))
    return made


def test_a_healthy_database_has_no_findings(store: Store) -> None:
    assert examine(store) == []


def test_orphans_are_found_and_mended(store: Store) -> None:
    store.delete("samples", ["b"])
    (finding,) = examine(store)
    assert (finding.table, finding.problem, finding.n, finding.mended) == (
        "images",
        "orphans",
        1,
        False,
    )
    assert str(examine(store, mend=True)[0]) == "images: 1 orphans (mended)"
    assert examine(store) == []
    assert store.table("images", ["id"])["id"].to_pylist() == ["a"]


def test_many_fragments_are_compacted(store: Store) -> None:
    for i in range(25):
        new = [f"n{i}"]
        store.append("samples", pa.table({"id": new, "key": keys_of(new), "status": ["empty"]}))
    assert [f.problem for f in examine(store)] == ["fragments"]
    examine(store, mend=True)
    assert examine(store) == []


def test_lost_images_and_duplicates_are_reported_not_mended(store: Store, tmp_path: Path) -> None:
    there = tmp_path / "there.jpg"
    there.write_bytes(b"x")
    ids = ["there", "gone", "a"]
    uris = [str(there), str(tmp_path / "gone.jpg"), None]
    rows = {"id": ids, "key": keys_of(ids), "uri": uris, "status": ["ok"] * 3}
    store.append("samples", pa.table(rows))
    found = [(f.problem, f.n) for f in examine(store, mend=True)]
    assert found == [("duplicates", 1), ("lost images", 1)]


def test_the_pin_of_a_commit_being_made_is_left_alone(store: Store) -> None:
    store.pin("samples", store.version("samples"), "commit-being-made")
    assert examine(store, mend=True) == []
    assert "commit-being-made" in store.pins("samples")
