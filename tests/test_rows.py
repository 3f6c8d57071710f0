"""Rows by key on a database that has lived: the same answers as a fresh copy of its rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

import slicedb
from slicedb.errors import ConflictError
from slicedb.query.hot.tables import HotTables
from slicedb.schema import SAMPLES, keys_of
from slicedb.store import Store
from slicedb.store.rows import Rows

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
    db.commit("then", tag="then")
    db.tag("id = '0055'", "lost again")
    db.commits.checkout("then", force=True)


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


def log(db: slicedb.Database, model: str) -> None:
    """Log predictions of every sample: `a`, so that each is right as long as its label is."""
    n = len(IDS)
    table = pa.table({"id": IDS, "prediction": ["a"] * n, "confidence": [0.9] * n})
    db.log_predictions(model, table, classes=["a", "b"])


def test_an_edit_of_a_named_sample_reads_no_whole_table(
    db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(db, "one")
    log(db, "two")

    def whole(*_: object, **__: object) -> None:
        raise AssertionError("this reads every row")

    with monkeypatch.context() as patch:
        patch.setattr(Rows, "read", whole)
        patch.setattr(HotTables, "ensure", whole)
        assert db.relabel("id = '0009'", "b") == 1
        assert db.tag("id IN ('0599', '0009', 'nobody')", "seen") == 2
        assert db.delete("id = '0010'") == 1
        log_one = pa.table({"id": ["0011"], "prediction": ["b"], "confidence": [0.8]})
        assert db.log_predictions("one", log_one).logged == 1
    assert db.query("NOT one.correct").ids() == ["0011", "0009"]
    assert db.query("NOT two.correct").ids() == ["0009"]
    assert db.query("has_tag('seen')").ids() == ["0599", "0009"]
    assert db.store.count("predictions__one") == N - 1
    assert db.store.count(SAMPLES) == N - 1


def test_a_named_sample_that_queries_hide_is_not_edited(db: slicedb.Database) -> None:
    db.store.upsert(SAMPLES, pa.table({"id": ["0003"], "status": ["truncated"]}), insert=False)
    assert db.tag("id = '0003'", "seen") == db.delete("id IN ('0003', 'nobody')") == 0
    db.slices.add("mine", "id = '0004'")
    assert db.tag("mine", "seen") == 1


@pytest.mark.parametrize("n", [1, 3, 500])
def test_delete_is_one_version_of_each_table(db: slicedb.Database, n: int) -> None:
    log(db, "one")
    before = db.store.versions()
    assert db.delete(keys_of(IDS[:n])) == n
    assert db.store.versions() == {name: version + 1 for name, version in before.items()}
    assert db.store.table(SAMPLES, ["id"])["id"].to_pylist() == IDS[n:]
    db.store.delete(SAMPLES, [IDS[n], "nobody", IDS[n]])
    assert db.store.count(SAMPLES) == N - n - 1


def test_ids_and_keys_are_indexed_before_a_large_table_is_changed(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "large.slicedb")

    def unindexed() -> int:
        dataset = db.store.dataset(SAMPLES)
        inside = {
            tuple(index.field_names): {f for s in index.segments for f in s.fragment_ids}
            for index in dataset.describe_indices()
        }
        assert set(inside) in (set(), {("id",), ("key",)})
        fragments = dataset.get_fragments()
        assert all(f.physical_rows <= 1 << 16 for f in fragments)
        every = inside.get(("id",), set())
        return sum(f.count_rows() for f in fragments if f.fragment_id not in every)

    ids = [f"{i:06d}" for i in range(120_000)]
    db.store.append(SAMPLES, samples(ids[:5_000]))
    assert db.relabel("id = '000007'", "c") == 1
    assert unindexed() == 5_000  # as fast without
    db.store.append(SAMPLES, samples(ids[5_000:30_000]))
    assert unindexed() == 30_000  # nothing was looked up yet
    assert db.relabel("id = '000007'", "b") == 1
    assert unindexed() <= 1  # the row that was changed
    db.store.append(SAMPLES, samples(ids[30_000:]))
    db.store.upsert(SAMPLES, samples(["000008", "new"], "c"))
    assert unindexed() <= 3
    assert db.delete("id = '000009'") == 1
    some = ["new", "119999", "000008", "000007", "000010"]
    rows, has_row = db.store.find(SAMPLES, keys_of([*some, "000009"]), ["id", "label"])
    assert rows.to_pydict() == {"id": some, "label": ["c", "a", "c", "b", "a"]}
    assert has_row.tolist() == [True] * 5 + [False]
    assert db.store.count(SAMPLES) == 120_000


def test_a_large_table_of_predictions_comes_in_fragments_that_are_cheap_to_edit(
    tmp_path: Path,
) -> None:
    db = slicedb.open(tmp_path / "large.slicedb")
    ids = [f"{i:06d}" for i in range(70_000)]
    db.store.append(SAMPLES, samples(ids))
    rows = pa.table({"id": ids, "prediction": ["a"] * len(ids), "confidence": [0.9] * len(ids)})
    for replace in (False, True):
        db.log_predictions("one", rows, classes=["a", "b"], replace=replace)
        dataset = db.store.dataset("predictions__one")
        assert [f.physical_rows for f in dataset.get_fragments()] == [65_536, 4_464]
        assert not dataset.describe_indices()
    db.log_predictions("one", rows.slice(7, 1), classes=["a", "b"])
    dataset = db.store.dataset("predictions__one")
    assert [index.field_names for index in dataset.describe_indices()] == [["id"]]


def test_no_keys_at_all_read_no_table(
    db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("the keys of the whole table are read")

    monkeypatch.setattr(Rows, "read", read)
    rows, has_row = db.store.find(SAMPLES, np.empty(0, np.int64), ["id", "label"])
    assert rows.schema.names == ["id", "label"]
    assert (len(rows), len(has_row)) == (0, 0)


def test_metrics_without_scores_read_no_probabilities(
    db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    for model in ("one", "two"):
        p = rng.dirichlet(np.ones(2), N).astype(np.float32)
        table = pa.table({"id": IDS, "probabilities": list(p)})
        db.log_predictions(model, table, classes=["a", "b"])
    asked: set[str] = set()
    whole = db.store.table

    def watched(name: str, columns: list[str], **more: object) -> pa.Table:
        asked.update(columns)
        return whole(name, columns, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(db.store, "table", watched)
    accuracy = db.evaluate("one").value("all", "one")
    assert db.compare("one", "two").row("all")["accuracy_a"] == accuracy
    assert db.errors("one").n == N
    assert "prediction" in asked
    assert "probabilities" not in asked
    loss = db.evaluate("one", metrics=["log_loss", "accuracy"])
    assert "probabilities" in asked
    assert loss.value("all", "one", "log_loss") > 0
    assert loss.value("all", "one") == accuracy


def test_all_tables_share_one_bounded_cache_of_lance(db: slicedb.Database) -> None:
    log(db, "m")
    sessions = [db.store.dataset(name).session() for name in (SAMPLES, "predictions__m")]
    assert sessions[0].is_same_as(sessions[1])


def test_an_index_built_before_a_change_hides_no_other_writer(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "large.slicedb")
    ids = [f"{i:06d}" for i in range(30_000)]
    db.store.append(SAMPLES, samples(ids))
    version = db.store.version(SAMPLES)
    db.store.upsert(SAMPLES, samples(["000008"], "c"), insert=False, expected_version=version)
    assert db.store.version(SAMPLES) > version + 2  # two indexes, and the change
    with pytest.raises(ConflictError):
        db.store.upsert(SAMPLES, samples(["000008"], "d"), insert=False, expected_version=version)
    db.store.append(SAMPLES, samples([f"new{i}" for i in range(30_000)]))
    with pytest.raises(ConflictError):  # the index is behind again
        db.store.upsert(SAMPLES, samples(["000008"], "d"), insert=False, expected_version=version)
    assert db.store.take(SAMPLES, keys_of(["000008"]), ["label"])["label"].to_pylist() == ["c"]
