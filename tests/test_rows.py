"""Rows by key on a database that has lived: the same answers as a fresh copy of its rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

import slicedb
from slicedb.schema import SAMPLES, keys_of
from slicedb.store import Store

N = 600
IDS = [f"{i:04d}" for i in range(N)]
COLUMNS = ["id", "label", "tags", "split"]


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> slicedb.Database:
    """Return a database of samples without pictures; reading rows by offset is an error."""
    made = slicedb.open(tmp_path / "lived.slicedb")
    for part in np.array_split(np.arange(N), 3):
        made.store.append(SAMPLES, samples([IDS[i] for i in part]))

    def offsets(*_: object, **__: object) -> None:
        raise AssertionError("beside a deletion this walks the fragment for every row")

    monkeypatch.setattr(lance.LanceDataset, "take", offsets)
    return made


def samples(ids: list[str], label: str = "a") -> pa.Table:
    """Return rows of `samples`."""
    n = len(ids)
    return pa.table({"id": ids, "key": keys_of(ids), "label": [label] * n, "status": ["ok"] * n})


def tag(db: slicedb.Database) -> None:
    db.tag("id IN ('0009', '0250', '0599')", "seen")


def relabel(db: slicedb.Database) -> None:
    db.relabel("id > '0100' AND id < '0130'", "b")


def delete_few(db: slicedb.Database) -> None:
    db.delete("id IN ('0000', '0301')")


def delete_a_third(db: slicedb.Database) -> None:
    db.delete("id > '0150' AND id < '0350'")


def merge(db: slicedb.Database) -> None:
    db.store.upsert(SAMPLES, samples(["0005", "new", "0005b", "0420"], "merged"))


def compact(db: slicedb.Database) -> None:
    db.store.compact(SAMPLES)


def late_column(db: slicedb.Database) -> None:
    db.store.add_columns(SAMPLES, [pa.field("late", pa.int64())])
    db.store.upsert(SAMPLES, pa.table({"id": ["0042"], "late": [1]}), insert=False)


def checkout(db: slicedb.Database) -> None:
    db.commit("now", tag="now")
    db.tag("id = '0055'", "lost again")
    db.commits.checkout("now", force=True)


def branch(db: slicedb.Database) -> None:
    db.commit("before the branch")
    db.commits.branch("side")
    db.delete("id = '0077'")
    db.commit("on the side")
    db.commits.checkout("main")


EDITS: tuple[Callable[[slicedb.Database], None], ...] = (
    tag,
    relabel,
    delete_few,
    merge,
    compact,
    late_column,
    delete_a_third,
    checkout,
    branch,
)


def check(db: slicedb.Database, folder: Path) -> None:
    """Compare rows by key with those of a fresh copy, in several orders."""
    table = db.store.table(SAMPLES)
    fresh = Store.open(folder)
    new = [field for field in table.schema if field.name not in fresh.schema(SAMPLES).names]
    fresh.add_columns(SAMPLES, new)
    fresh.append(SAMPLES, table)
    keys = table["key"].to_numpy()
    assert (db.store.positions(SAMPLES, keys) == np.arange(len(keys))).all()
    assert db.store.positions(SAMPLES, keys_of(["nobody"])).tolist() == [-1]
    rng = np.random.default_rng(len(keys))
    for asked in (keys, keys[::-1], rng.permutation(keys)[:50], keys[100:140], keys[[3, 3, 1]]):
        rows = db.store.take(SAMPLES, asked, COLUMNS)
        assert rows["id"].to_pylist() == fresh.take(SAMPLES, asked, ["id"])["id"].to_pylist()
        assert rows.to_pylist() == fresh.take(SAMPLES, asked, COLUMNS).to_pylist()
    assert db.query("").ids() == table["id"].to_pylist()


@pytest.mark.parametrize("edit", EDITS)
def test_rows_after_an_edit_are_those_of_a_fresh_copy(
    db: slicedb.Database, tmp_path: Path, edit: Callable[[slicedb.Database], None]
) -> None:
    edit(db)
    check(db, tmp_path / "copy.slicedb")


def test_rows_after_all_edits_and_at_each_version_are_those_of_a_fresh_copy(
    db: slicedb.Database, tmp_path: Path
) -> None:
    versions: dict[int, list[str]] = {}
    for edit in (*EDITS, *reversed(EDITS[:-2])):
        edit(db)
        versions[db.store.version(SAMPLES)] = db.store.table(SAMPLES, ["id"])["id"].to_pylist()
    check(db, tmp_path / "copy.slicedb")
    for version, ids in versions.items():
        asked = ids[::-7]
        rows = db.store.take(SAMPLES, keys_of(asked), ["id"], version=version)
        assert rows["id"].to_pylist() == asked
