"""Changes of very many rows: in parts that Lance can join, or column by column in one commit."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import slicedb
from slicedb.errors import ConflictError, DatabaseError
from slicedb.schema import SAMPLES, keys_of
from slicedb.store import joining, merging
from slicedb.store.joining import Joiner

IDS = [f"s{i:03d}" for i in range(200)]


@pytest.fixture(params=["columns", "parts"])
def db(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Return 200 samples in three fragments, some of them edited, where 50 rows are many."""
    if request.param == "columns":
        monkeypatch.setattr(merging, "WIDE", 50)
        monkeypatch.setattr(joining, "WIDE", 50)
    monkeypatch.setattr(joining, "PART", 30)
    made = slicedb.open(tmp_path / "data.slicedb")
    for some in (IDS[:90], IDS[90:150], IDS[150:]):
        n = len(some)
        columns = {"id": some, "key": keys_of(some), "label": ["a"] * n, "status": ["ok"] * n}
        made.store.append(SAMPLES, pa.table(columns))
    made.tag("id IN ('s003', 's100')", "kept")
    made.delete("id = 's007'")
    return made


def labels(db: slicedb.Database) -> dict[str, str | None]:
    """Return the label of each sample."""
    rows = db.store.table(SAMPLES, ["id", "label"])
    return dict(zip(rows["id"].to_pylist(), rows["label"].to_pylist()))


def test_values_nulls_and_unknown_ids(db: slicedb.Database) -> None:
    ids = [*IDS[::-1][:150], "nobody"]
    new = [None if i % 3 == 0 else f"n{i}" for i in range(151)]
    db.store.upsert(SAMPLES, pa.table({"id": ids, "label": new}), insert=False)
    expected = {name: "a" for name in IDS if name != "s007"}
    expected |= {name: value for name, value in zip(ids, new) if name in expected}
    assert labels(db) == expected
    assert db.query("list_contains(tags, 'kept')").ids() == ["s003", "s100"]
    assert db.query(f"label = '{new[1]}'").ids() == ["s198"]
    assert db.store.take(SAMPLES, keys_of(["s199", "s001"]), ["label"])["label"].to_pylist() == [
        None,
        "a",
    ]


def test_many_rows_of_which_some_are_new(db: slicedb.Database) -> None:
    ids = [*IDS, *(f"t{i}" for i in range(40))]
    rows = pa.table({"id": ids, "key": keys_of(ids), "label": ["b"] * 240})
    db.store.upsert(SAMPLES, rows)
    assert labels(db) == dict.fromkeys(ids, "b")
    assert db.query("list_contains(tags, 'kept')").count() == 2


def test_verbs_of_all_samples(db: slicedb.Database) -> None:
    rows = pa.table({"id": IDS[:7] + IDS[8:], "prediction": ["b"] * 199, "confidence": [0.5] * 199})
    db.log_predictions("m", rows, classes=["a", "b"])
    assert db.relabel("", "b") == 199
    assert db.query("m.correct").count() == 199
    assert db.tag("", "all") == 199
    assert db.query("list_contains(tags, 'kept') AND list_contains(tags, 'all')").count() == 2
    assert db.delete("id < 's150'") == 149
    assert db.store.count("predictions__m") == db.query("").count() == 50


def test_a_table_that_has_changed_is_refused(db: slicedb.Database) -> None:
    version = db.store.version(SAMPLES)
    db.tag("id = 's001'", "x")
    rows = pa.table({"id": IDS, "label": ["b"] * 200})
    with pytest.raises(ConflictError, match="has changed since version"):
        db.store.upsert(SAMPLES, rows, insert=False, expected_version=version)
    assert set(labels(db).values()) == {"a"}


def test_rows_computed_at_the_present_version_are_all_written(db: slicedb.Database) -> None:
    rows = pa.table({"id": IDS, "label": ["b"] * 200})
    db.store.upsert(SAMPLES, rows, insert=False, expected_version=db.store.version(SAMPLES))
    assert set(labels(db).values()) == {"b"}


def test_a_join_that_runs_out_of_memory_is_cut_in_halves(
    db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    merge = Joiner._merge

    def poor(self: Joiner, name: str, part: pa.Table, *rest: object) -> int:
        sizes.append(len(part))
        if len(part) > 10:
            raise DatabaseError("Writing failed: Resources exhausted: 300 MB.")
        return merge(self, name, part, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Joiner, "_merge", poor)
    monkeypatch.setattr("slicedb.store.joining.FEW_DELETED", 0)  # a few are deleted without one
    assert db.delete("id < 's040'") == 39
    assert sizes[:4] == [30, 15, 8, 8]
    assert db.query("").count() == 160
