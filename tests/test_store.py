"""The store: tables on disk, through the real Lance."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from slicedb.errors import (
    ConflictError,
    DatabaseError,
    DatabaseNotFoundError,
    FormatError,
    UnknownSampleError,
    UnknownTableError,
)
from slicedb.schema import IMAGES_SCHEMA, SAMPLES_SCHEMA, content_of, keys_of
from slicedb.store import Store
from slicedb.store.files import sync_folder


def rows(ids: list[str], **columns: object) -> pa.Table:
    return pa.table({"id": ids, "key": keys_of(ids), **columns})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "data.slicedb")


def test_open_creates_samples_and_refuses_without_create(tmp_path: Path) -> None:
    with pytest.raises(DatabaseNotFoundError, match="No database at") as caught:
        Store.open(tmp_path / "none.slicedb", create=False)
    assert isinstance(caught.value, FileNotFoundError)
    assert Store.open(tmp_path / "a.slicedb").names() == ["samples"]
    assert Store.open(tmp_path / "a.slicedb", create=False).count("samples") == 0


def test_open_refuses_a_file_and_a_folder_of_other_things(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatabaseError, match="is a file"):
        Store.open(tmp_path / "file")
    with pytest.raises(DatabaseError, match="not a SliceDB database and not empty"):
        Store.open(tmp_path)


def test_open_refuses_a_newer_format(store: Store) -> None:
    store.set_metadata("samples", {"slicedb:format": "2"})
    with pytest.raises(FormatError, match="has format 2; this SliceDB reads up to 1"):
        Store.open(store.path)


def test_append_fills_left_out_columns_with_null(store: Store) -> None:
    store.append("samples", rows(["a", "b"], label=["cat", "dog"]))
    found = store.table("samples", ["id", "label", "split"])
    assert found.to_pydict() == {"id": ["a", "b"], "label": ["cat", "dog"], "split": [None, None]}


def test_append_refuses_an_unknown_column_and_a_wrong_type(store: Store) -> None:
    with pytest.raises(DatabaseError, match=r"no column 'lable'.*did you mean 'label'"):
        store.append("samples", rows(["a"], lable=["x"]))
    with pytest.raises(DatabaseError, match="do not fit table 'samples'"):
        store.append("samples", rows(["a"], width=["wide"]))
    assert store.count("samples") == 0


def test_upsert_updates_and_inserts_by_id(store: Store) -> None:
    full = SAMPLES_SCHEMA.empty_table()
    one = pa.concat_tables([full, rows(["a", "b"], label=["x", "y"])], promote_options="default")
    two = pa.concat_tables([full, rows(["b", "c"], label=["Y", "z"])], promote_options="default")
    store.upsert("samples", one)
    store.upsert("samples", two)
    found = dict(zip(*store.table("samples", ["id", "label"]).to_pydict().values()))
    assert found == {"a": "x", "b": "Y", "c": "z"}


def test_upsert_of_a_subset_touches_only_its_columns(store: Store) -> None:
    store.append("samples", rows(["a", "b"], label=["x", "y"], split=["train", "test"]))
    store.upsert("samples", pa.table({"id": ["b", "new"], "label": ["Y", "Z"]}), insert=False)
    found = store.table("samples", ["id", "label", "split"]).to_pylist()
    assert sorted(found, key=lambda r: r["id"]) == [
        {"id": "a", "label": "x", "split": "train"},
        {"id": "b", "label": "Y", "split": "test"},
    ]


def test_upsert_computed_from_an_older_version_is_refused(store: Store) -> None:
    store.append("samples", rows(["a"], label=["x"]))
    seen = store.version("samples")
    Store.open(store.path).append("samples", rows(["b"], label=["y"]))
    change = pa.table({"id": ["a"], "label": ["mine"]})
    with pytest.raises(ConflictError, match="has changed since version"):
        store.upsert("samples", change, insert=False, expected_version=seen)
    assert store.table("samples", ["label"])["label"].to_pylist() == ["x", "y"]


def test_take_keeps_the_order_of_the_keys_and_names_a_missing_one(store: Store) -> None:
    store.append("samples", rows([f"{i:03}" for i in range(200)]))
    store.delete("samples", ["005", "100"])
    keys = keys_of(["150", "003", "199"])
    assert store.take("samples", keys, ["id"])["id"].to_pylist() == ["150", "003", "199"]
    assert store.take("samples", keys[:0], ["id"]).num_rows == 0
    with pytest.raises(UnknownSampleError, match="1 of 2 samples has no row"):
        store.take("samples", keys_of(["003", "005"]), ["id"])


def test_take_of_rising_rows_with_gaps_reads_those_rows(store: Store) -> None:
    store.append("samples", rows([f"s{i}" for i in range(9)]))
    for chosen in (["s1", "s3"], ["s0", "s1", "s5"], ["s2", "s3", "s4"]):
        assert store.take("samples", keys_of(chosen), ["id"])["id"].to_pylist() == chosen


def test_sync_asks_for_what_was_written_since_the_last(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr("os.fsync", calls.append)
    store.append("samples", rows(["a"]))
    store.sync()
    first = len(calls)
    store.sync()
    assert first > 0 and len(calls) == first  # nothing was written meanwhile
    store.append("samples", rows(["b"]))
    store.sync()
    assert len(calls) > first


def test_take_of_neighbours_reads_the_same_rows_after_a_delete(store: Store) -> None:
    names = list("abcdefgh")
    store.append("samples", rows(names))
    store.delete("samples", ["c"])
    for wanted in ("abd", "defg", "h", "ab", "ea"):  # the first four lie side by side
        assert store.take("samples", keys_of(list(wanted)), ["id"])["id"].to_pylist() == list(
            wanted
        )


def test_content_of_a_column_is_that_of_its_digests() -> None:
    digests: list[str | None] = [hashlib.sha256(bytes([i])).hexdigest() for i in range(40)]
    expected = [int(digest[:15], 16) for digest in digests if digest]
    assert content_of(digests).tolist() == expected
    column = pa.chunked_array([pa.array(digests[:17]), pa.array(digests[17:])])
    assert content_of(column).tolist() == expected
    assert content_of(pa.array(digests)[5:9]).tolist() == expected[5:9]
    assert content_of(pa.array([*digests[:2], None])).tolist() == [*expected[:2], -1]
    assert content_of(pa.array(["ABCDEF" + "0" * 58])).tolist() == [0xABCDEF << 36]
    assert content_of(pa.array([], pa.string())).tolist() == []


def test_old_versions_stay_readable_and_pins_survive_cleanup(store: Store) -> None:
    store.append("samples", rows(["a"]))
    pinned = store.version("samples")
    store.append("samples", rows(["b"]))
    middle = store.version("samples")
    store.append("samples", rows(["c"]))
    store.pin("samples", pinned, "commit-1")
    assert store.cleanup(older_than=timedelta(0)) > 0
    assert store.count("samples", pinned) == 1
    assert store.pins("samples") == {"commit-1": pinned}
    with pytest.raises(DatabaseError, match=f"no version {middle}"):
        store.count("samples", middle)
    store.unpin("samples", "commit-1")
    assert store.pins("samples") == {}


def test_add_columns_is_idempotent_and_keeps_metadata(store: Store) -> None:
    store.append("samples", rows(["a"]))
    for _ in range(2):
        store.add_columns("samples", [pa.field("weather", pa.string())])
    assert store.table("samples", ["weather"])["weather"].to_pylist() == [None]
    assert store.metadata("samples")["slicedb:format"] == "1"


def test_unknown_table_says_which_there_are(store: Store) -> None:
    with pytest.raises(UnknownTableError, match=r"No table 'sample'.*did you mean 'samples'"):
        store.table("sample")


def test_drop_and_create_again(store: Store) -> None:
    store.create("images", IMAGES_SCHEMA)
    store.drop("images")
    assert store.names() == ["samples"]
    store.create("images", IMAGES_SCHEMA)
    assert store.count("images") == 0


def test_images_come_from_the_table_or_from_the_file(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "b.jpg"
    file.write_bytes(b"from the file")
    uris = [None, str(file), str(tmp_path / "lost.jpg")]
    store.append("samples", rows(["a", "b", "c"], uri=uris))
    store.create("images", IMAGES_SCHEMA)
    store.append("images", rows(["a"], image=[b"stored"]))
    keys = keys_of(["b", "a", "c"])
    expected = list(zip(keys.tolist(), [b"from the file", b"stored", b""]))
    assert list(store.read_images(keys)) == expected


def test_duckdb_reads_the_arrow_view_with_a_half_precision_column(store: Store) -> None:
    duckdb = pytest.importorskip("duckdb")
    store.append("samples", rows(["a", "b"], width=[1, 2]))
    store.add_columns("samples", [pa.field("half", pa.list_(pa.float16(), 2))])
    connection = duckdb.connect()
    connection.register("samples", store.arrow_dataset("samples"))
    assert connection.execute("SELECT id FROM samples WHERE width > 1").fetchall() == [("b",)]
    assert connection.execute("SELECT count(*) FROM samples").fetchall() == [(2,)]


def test_many_small_appends_are_compacted(store: Store) -> None:
    for i in range(105):
        store.append("samples", rows([str(i)]))
    assert store.describe()[0]["fragments"] < 40
    assert store.count("samples") == 105


def test_sync_leaves_everything_readable(store: Store) -> None:
    store.append("samples", rows(["a"]))
    store.sync()
    assert Store.open(store.path).count("samples") == 1


def _write(path: str, name: str) -> None:
    store = Store.open(path)
    for i in range(10):
        store.upsert(
            "samples",
            pa.concat_tables(
                [SAMPLES_SCHEMA.empty_table(), rows([f"{name}{i}", "both"], label=[name, name])],
                promote_options="default",
            ),
        )


@pytest.mark.slow
def test_two_processes_write_and_no_row_is_lost_or_doubled(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write, args=(store.path, n)) for n in ("left", "right")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    ids = store.table("samples", ["id"])["id"].to_pylist()
    assert len(ids) == len(set(ids)) == 21


def test_lancedb_opens_every_table(store: Store) -> None:
    import lancedb

    store.append("samples", rows(["a"]))
    store.create("images", IMAGES_SCHEMA)
    connection = lancedb.connect(store.path)
    names = list(connection.list_tables().tables)
    assert sorted(names) == store.names()
    assert connection.open_table("samples").count_rows() == 1
    assert np.array_equal(connection.open_table("samples").to_arrow()["key"], keys_of(["a"]))


# --- dropped tables, and tables whose making was cut off ------------------------------------------


def test_a_table_made_anew_goes_on_with_the_numbers_of_the_dropped_one(store: Store) -> None:
    schema = pa.schema([("id", pa.string()), ("x", pa.int64())])
    other = Store.open(store.path, create=False)
    for number in range(3):
        store.create("extra", schema)
        store.append("extra", pa.table({"id": ["a"], "x": [number]}))
        last = store.version("extra")
        assert other.table("extra").to_pylist() == [{"id": "a", "x": number}]
        store.drop("extra")
        assert not store.has("extra") and not other.has("extra") and "extra" not in store.names()
        store.create("extra", schema)
        assert store.version("extra") > last and store.count("extra") == 0
        store.drop("extra")
    left = [f for f in Path(store.path, ".dropped").rglob("*") if f.suffix == ".lance"]
    assert [f.name for f in left] == ["extra.lance"]  # no data file stays behind


def test_a_table_made_anew_is_declared_and_stored_like_any_other(store: Store) -> None:
    schema = pa.schema([("id", pa.string()), ("x", pa.int64())], metadata={"said": "yes"})
    for _ in range(2):
        store.create("extra", schema)
        dataset = store.dataset("extra")
        assert store.metadata("extra") == {"said": "yes"}
        assert dataset.has_stable_row_ids and not dataset.schema.field("id").nullable
        store.upsert("extra", pa.table({"id": ["a"], "x": [1]}))
        store.upsert("extra", pa.table({"id": ["a"], "x": [2]}))
        assert store.table("extra").to_pylist() == [{"id": "a", "x": 2}]
        store.drop("extra")


@pytest.mark.parametrize("left", ["_transactions", "_versions", "data"])
def test_tables_whose_making_was_cut_off_are_not_there(store: Store, left: str) -> None:
    Path(store.path, "extra.lance", left).mkdir(parents=True)
    assert not store.has("extra") and "extra" not in store.versions()
    store.create("extra", pa.schema([("id", pa.string())]))
    assert store.count("extra") == 0


@pytest.mark.parametrize("left", ["_transactions", "_versions", "data"])
def test_a_database_whose_making_was_cut_off_is_made(tmp_path: Path, left: str) -> None:
    (tmp_path / "new.slicedb" / "samples.lance" / left).mkdir(parents=True)
    assert Store.open(tmp_path / "new.slicedb").count("samples") == 0


def test_metadata_that_depends_on_itself_loses_no_writers_change(store: Store) -> None:
    def several(name: str) -> None:
        mine = Store.open(store.path, create=False)
        for i in range(4):
            mine.change_metadata("samples", "said", lambda said: f"{said or ''} {name}{i}")  # noqa: B023

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(several, "abc"))
    words = store.metadata("samples")["said"].split()
    assert sorted(words) == [f"{name}{i}" for name in "abc" for i in range(4)]


def test_checksums_of_another_process_are_read_as_they_are_added(store: Store) -> None:
    store.append("samples", rows(["a"]))
    store.sync()
    other = Store.open(store.path)
    assert other.checksums.compare("samples", other.dataset("samples")).unknown == ()
    other.append("samples", rows(["b"]))
    assert len(store.checksums.compare("samples", store.dataset("samples")).unknown) == 3
    other.sync()
    assert store.checksums.compare("samples", store.dataset("samples")).unknown == ()
    lines = Path(store.path, ".checksums", "samples.sha256")
    with lines.open("ab") as file:
        file.write(b"0" * 64 + b"  samples.lance/data/cut")  # by a kill, in the middle of a line
    store.append("samples", rows(["c"]))
    store.sync()
    other.cleanup(timedelta(0))  # another file with fewer lines takes its place
    compared = store.checksums.compare("samples", store.dataset("samples"))
    assert compared.changed == compared.lost == compared.unknown == ()


def test_files_that_nobody_writes_to_are_not_looked_at_again(tmp_path: Path) -> None:
    settled: dict[str, int] = {}
    for name, age in (("old", 3600.0), ("new", 1.0)):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    sync_folder(str(tmp_path), time.time() - 10, settled)
    assert list(settled) == [str(tmp_path / "old")]
    (tmp_path / "again").write_text("old")
    os.replace(tmp_path / "again", tmp_path / "old")  # another file of that name is looked at
    assert os.stat(tmp_path / "old").st_ino != settled[str(tmp_path / "old")]
    os.utime(tmp_path / "old", (time.time() - 1200,) * 2)
    sync_folder(str(tmp_path), time.time() - 10, settled)
    assert settled == {str(tmp_path / "old"): os.stat(tmp_path / "old").st_ino}


def test_a_few_rows_are_deleted_whatever_others_do_meanwhile(store: Store) -> None:
    ids = [f"it's {i}\\%" for i in range(40)]
    store.append("samples", rows(ids, label=["a"] * 40))
    store.append("samples", rows(["z1", "z2"]))
    before = store.version("samples")
    assert store.delete("samples", []) == store.delete("samples", ["nobody"]) == before
    assert store.delete("samples", ["z1", "nobody", "z2"]) > before  # a whole fragment
    others = [Store.open(store.path) for _ in range(3)]

    def change(worker: int) -> None:
        for name in ids[6 * worker : 6 * worker + 12]:
            if worker < 2:
                others[worker].delete("samples", [name])
            else:
                named = pa.table({"id": [name], "label": ["b"]})
                others[worker].upsert("samples", named, insert=False)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(change, range(3)))
    table = store.table("samples", ["id", "label"])
    assert table["id"].to_pylist() == ids[24:] + ids[18:24]
    assert table["label"].to_pylist() == ["a"] * 16 + ["b"] * 6
