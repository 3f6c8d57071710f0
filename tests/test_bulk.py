"""Rows whose pictures are not opened are written in columns, with every check of ingest."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import slicedb
from slicedb.errors import IngestError
from slicedb.ingest import bulk, parquet
from slicedb.schema import SAMPLES, keys_of
from slicedb.store import Store


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let some rows be several parts."""
    monkeypatch.setattr(bulk, "_ROWS", 40)
    monkeypatch.setattr(parquet, "_ROWS", 30)


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    return slicedb.open(tmp_path / "data.slicedb")


def written(folder: Path, **columns: object) -> Path:
    """Write a Parquet file in groups of 30 rows."""
    pq.write_table(pa.table(columns), folder / "meta.parquet", row_group_size=30)
    return folder / "meta.parquet"


def test_types_nulls_and_roles_are_those_of_ingest(db: slicedb.Database, tmp_path: Path) -> None:
    n = 100
    file = written(
        tmp_path,
        id=pa.array(range(n)),
        category=pa.array(
            [None if i % 7 == 0 else f"c{i % 3}" for i in range(n)]
        ).dictionary_encode(),
        subset=["train", "test"] * 50,
        tags=[["a", "b"] if i % 2 else None for i in range(n)],
        day=[dt.date(2026, 1, 1 + i % 28) for i in range(n)],
        score=pa.array([None, *range(1, n)], pa.float32()),
        width=[640] * n,
    )
    report = db.ingest(file, verify="later", prefix="old")
    assert (report.added, report.changed, report.unchanged) == (100, 0, 0)
    assert "Column 'width' is kept as 'width_'." in report.notes
    rows = db.sql("FROM samples ORDER BY score NULLS FIRST LIMIT 2").to_pylist()
    assert [row["id"] for row in rows] == ["old/0", "old/1"]
    assert (rows[0]["label"], rows[0]["tags"], rows[0]["score"]) == (None, None, None)
    assert (rows[1]["label"], rows[1]["tags"], rows[1]["score"]) == ("c1", ["a", "b"], 1.0)
    assert (rows[1]["split"], rows[1]["width_"], rows[1]["day"]) == (
        "test",
        640,
        dt.date(2026, 1, 2),
    )
    stored = db.store.table(SAMPLES)
    assert stored["key"].to_pylist() == keys_of(stored["id"].to_pylist()).tolist()
    assert stored["status"].unique().to_pylist() == ["unverified"]
    assert stored["width"].null_count == stored["uri"].null_count == n


def test_again_only_what_changed_is_written(db: slicedb.Database, tmp_path: Path) -> None:
    ids = [f"s{i}" for i in range(100)]
    file = written(tmp_path, id=ids, light=["day"] * 100)
    db.ingest(file, verify="later")
    version = db.store.version(SAMPLES)
    assert db.ingest(file, verify="later").unchanged == 100
    assert db.store.version(SAMPLES) == version
    written(tmp_path, id=[*ids[1:], "new"], light=["night", *["day"] * 99])
    report = db.ingest(file, verify="later")
    assert (report.added, report.changed, report.unchanged, report.missing) == (1, 1, 98, 1)
    assert db.query("light = 'night'").ids() == ["s1"]
    assert db.ingest(file, verify="later", delete_missing=True).deleted == 1
    assert db.store.count(SAMPLES) == 100


def test_paths_that_lead_nowhere(db: slicedb.Database, tmp_path: Path) -> None:
    paths = ["s3://far/a.jpg", "gone/b.jpg", "./gone//c.jpg", "/nowhere/d.jpg", "file:///x/e.jpg"]
    db.ingest(written(tmp_path, path=paths), verify="later")
    rows = db.store.table(SAMPLES, ["id", "uri", "stamp"]).to_pylist()
    assert [row["uri"] for row in rows] == [
        "s3://far/a.jpg",
        f"{tmp_path}/gone/b.jpg",
        f"{tmp_path}/gone/c.jpg",
        "/nowhere/d.jpg",
        "/x/e.jpg",
    ]
    assert [row["id"] for row in rows][1:4] == ["gone/b.jpg", "gone/c.jpg", "/nowhere/d.jpg"]
    assert {row["stamp"] for row in rows} == {0}


def test_csv_is_loaded_the_same_way(db: slicedb.Database, tmp_path: Path) -> None:
    lines = [f"{i:03d},{'' if i % 2 else 'cat'},{i / 2}" for i in range(90)]
    (tmp_path / "m.csv").write_text("\n".join(["id,label,score", *lines]))
    assert db.ingest(tmp_path / "m.csv", verify="later", split="test").added == 90
    assert db.query("label IS NULL AND score = 44.5 AND split = 'test'").ids() == ["089"]


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([f"s{i % 95}" for i in range(100)], r"Id 's0' stands in rows 1 and 96"),
        (["a", None, "b"], r"Row 2 of .* has no id"),
        (["a", "b", ""], r"Row 3 of .* has no id"),
    ],
)
def test_bad_ids_are_named_and_nothing_is_written(
    db: slicedb.Database, tmp_path: Path, ids: list[str | None], says: str
) -> None:
    with pytest.raises(IngestError, match=says):
        db.ingest(written(tmp_path, id=ids), verify="later")
    assert db.store.count(SAMPLES) == 0


def test_two_writers_of_the_same_rows_double_none(
    db: slicedb.Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"s{i}" for i in range(100)]
    file = written(tmp_path, id=ids, light=["day"] * 100)
    rows = pa.table({"id": ids[30:90], "key": keys_of(ids[30:90]), "label": ["theirs"] * 60})
    append = Store._append_at
    calls: list[int] = []

    def beside(store: Store, name: str, table: pa.Table, version: int) -> int:
        calls.append(version)
        if len(calls) == 2:  # between the first part and the second
            Store(store.path, store.files).upsert(SAMPLES, rows)
        return append(store, name, table, version)

    monkeypatch.setattr(Store, "_append_at", beside)
    assert db.ingest(file, verify="later").added == 100
    stored = db.store.table(SAMPLES, ["id", "label", "light"])
    assert sorted(stored["id"].to_pylist()) == sorted(ids)
    assert stored["light"].null_count == 0
    assert len(calls) == 2


def test_an_append_that_was_moved_behind_another_is_taken_back(
    db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ["a", "b"]
    rows = pa.table({"id": ids, "key": keys_of(ids)})
    store, other = db.store, slicedb.open(db.path).store
    before = store.version(SAMPLES)
    with monkeypatch.context() as patch:  # as if it came between the look and the commit
        patch.setattr(Store, "version", lambda self, name: before)
        other.append(SAMPLES, rows)
        with pytest.raises(slicedb.errors.ConflictError, match="has changed since version"):
            store.append(SAMPLES, rows, expected_version=before)
    assert sorted(store.table(SAMPLES, ["id"])["id"].to_pylist()) == ids
