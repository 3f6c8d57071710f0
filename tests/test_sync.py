"""Follow a folder or a bucket: new, changed, same bytes, moved, vanished, back."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from fakes_bucket import Bucket
from fakes_models import png
from test_sources import bucket, endpoint  # noqa: F401

import slicedb
from slicedb.errors import IngestError, SourceError
from slicedb.ingest.sync import followed, sync
from slicedb.sources import client, remote

COUNTS = "added changed unchanged same_bytes moved vanished hidden back".split()


def counts(report: object) -> dict[str, int]:
    return {name: getattr(report, name) for name in COUNTS if getattr(report, name)}


def picture(seed: int) -> bytes:
    return png((seed, 0, 0))


def log(db: slicedb.Database, ids: list[str]) -> None:
    db.log_predictions("v1", pa.table({"id": ids, "prediction": ["cat"] * len(ids)}))


@pytest.fixture
def filled(bucket: Bucket) -> Bucket:  # noqa: F811
    for i in range(4):
        bucket.put(f"set/cat/{i}.png", picture(i))
    return bucket


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    return slicedb.open(tmp_path / "data.slicedb")


def test_a_bucket_that_keeps_filling(filled: Bucket, db: slicedb.Database) -> None:
    where = f"{filled.uri}/set"
    assert counts(sync(db.store, where)) == {"added": 4}
    assert counts(sync(db.store, where)) == {"unchanged": 4}
    filled.put("set/cat/new.png", picture(50))
    filled.put("set/cat/0.png", picture(60))
    filled.delete("set/cat/1.png")
    db.relabel("id = 'cat/2.png'", "lion")
    filled.delete("set/cat/2.png")
    filled.put("set/dog/two.png", picture(2))
    report = sync(db.store, where)
    assert counts(report) == {"added": 1, "changed": 1, "unchanged": 2, "moved": 1, "vanished": 1}
    assert "1 moved; they keep their ids" in str(report)
    rows = db.sql("SELECT id, label, uri FROM samples WHERE id LIKE 'cat/2%' OR label = 'lion'")
    assert rows.to_pylist() == [{"id": "cat/2.png", "label": "lion", "uri": f"{where}/dog/two.png"}]
    assert db.query("vanished_at IS NOT NULL").ids() == ["cat/1.png"]
    assert db.query("true").count() == 5  # the bytes were copied, so it stays
    assert counts(sync(db.store, where)) == {"unchanged": 4}
    filled.put("set/cat/1.png", picture(1))
    assert counts(sync(db.store, where)) == {"unchanged": 5, "back": 1}
    assert db.query("vanished_at IS NOT NULL").count() == 0
    assert followed(db.store) == [where]


def test_a_new_file_at_the_old_place_of_one_that_moved(
    filled: Bucket, db: slicedb.Database
) -> None:
    where = f"{filled.uri}/set"
    sync(db.store, where)
    db.tag("id = 'cat/3.png'", "mine")
    filled.delete("set/cat/3.png")
    filled.put("set/cat/three.png", picture(3))
    assert counts(sync(db.store, where)) == {"unchanged": 4, "moved": 1}
    filled.put("set/cat/3.png", picture(99))
    assert counts(sync(db.store, where)) == {"added": 1, "unchanged": 4}
    ids = db.query("true ORDER BY id").ids()
    assert ids[:4] == [f"cat/{i}.png" for i in range(4)] and ids[4].startswith("cat/3.png~")
    assert db.sql("SELECT uri FROM samples WHERE has_tag('mine')").to_pylist() == [
        {"uri": f"{where}/cat/three.png"}
    ]
    assert counts(sync(db.store, where)) == {"unchanged": 5}


def test_another_etag_with_the_same_bytes_changes_nothing(
    filled: Bucket, db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"{filled.uri}/set"
    sync(db.store, where)
    version = db.store.version("images")
    listed = remote._list

    def in_other_parts(*args: object) -> remote.Listing:
        found = listed(*args)
        return remote.Listing(
            *(found.root, found.prefix, found.keys, found.sizes),
            [f'"{i}-2"' for i in range(len(found))],
            found.modified,
        )

    monkeypatch.setattr(remote, "_list", in_other_parts)
    assert counts(sync(db.store, where)) == {"unchanged": 4, "same_bytes": 4}
    assert counts(sync(db.store, where)) == {"unchanged": 4}
    assert db.store.version("images") == version


def test_pictures_left_in_the_bucket_leave_the_queries_when_they_vanish(
    filled: Bucket, db: slicedb.Database
) -> None:
    where = f"{filled.uri}/set"
    sync(db.store, where, reference=True)
    filled.delete("set/cat/0.png")
    report = sync(db.store, where)  # reference holds from the last time
    assert counts(report) == {"unchanged": 3, "vanished": 1, "hidden": 1}
    assert db.query("true").count() == 3
    assert db.query("status = 'vanished'").ids() == ["cat/0.png"]
    filled.put("set/cat/0.png", picture(0))
    assert counts(sync(db.store, where)) == {"unchanged": 4, "back": 1}
    assert db.query("true").count() == 4


@pytest.mark.parametrize("page", range(3))
def test_nothing_vanishes_where_a_page_of_the_listing_fails(
    filled: Bucket, db: slicedb.Database, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    import obstore

    where = f"{filled.uri}/set"
    sync(db.store, where)
    before = db.store.version("samples")
    real = obstore.list

    def failing(store: object, prefix: str | None = None, *, chunk_size: int = 50) -> object:
        if chunk_size == 1:
            return real(store, prefix, chunk_size=1)
        return cut(list(real(store, prefix, chunk_size=2)))

    def cut(pages: list[object]) -> object:
        for i, one in enumerate([*pages, []]):
            if i == page:
                raise obstore.exceptions.GenericError(
                    "Generic S3 error: HTTP error: connection closed"
                )
            yield one

    monkeypatch.setattr(obstore, "list", failing)
    with pytest.raises(SourceError, match=r"Cannot reach .*connection closed"):
        sync(db.store, where)
    assert db.store.version("samples") == before
    assert db.query("vanished_at IS NOT NULL").count() == 0


def test_a_list_of_keys_is_looked_at_and_nothing_else(
    filled: Bucket, db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"{filled.uri}/set"
    sync(db.store, where)
    filled.put("set/cat/a new.png", picture(70))
    filled.put("set/cat/unsaid.png", picture(71))
    filled.put("set/cat/1.png", picture(72))
    filled.delete("set/cat/2.png")
    event = {
        "Records": [
            {"s3": {"bucket": {"name": filled.name}, "object": {"key": "set/cat/a+new.png"}}},
            {"s3": {"bucket": {"name": "another"}, "object": {"key": "set/cat/3.png"}}},
        ]
    }
    monkeypatch.setattr(remote, "_list", lambda *args: pytest.fail("nothing is listed"))
    hints = [json.dumps(event), "cat/1.png\n", "set/cat/2.png", f"{where}/cat/none.png", "", "x/y"]
    report = sync(db.store, where, keys=hints)
    assert counts(report) == {"added": 1, "changed": 1, "unchanged": 2}
    assert report.notes[0] == (
        "5 of the named objects were looked at, and nothing else. 3 are not there; only a whole "
        "listing marks samples as vanished."
    )
    assert db.query("vanished_at IS NOT NULL").count() == 0
    assert db.sql("SELECT label FROM samples WHERE id = 'cat/a new.png'").to_pylist() == [
        {"label": "cat"}
    ]
    with pytest.raises(SourceError, match="no S3 event"):
        sync(db.store, where, keys=['{"hello": 1}'])


def test_a_folder_is_followed_too(db: slicedb.Database, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for i in range(3):
        (photos / "cat").mkdir(parents=True, exist_ok=True)
        (photos / f"cat/{i}.png").write_bytes(picture(i))
    assert counts(sync(db.store, photos)) == {"added": 3}
    (photos / "cat/0.png").rename(photos / "cat/zero.png")
    (photos / "cat/1.png").unlink()
    assert counts(sync(db.store, photos)) == {"unchanged": 2, "moved": 1, "vanished": 1} | (
        {"same_bytes": 1}
    )
    with pytest.raises(SourceError, match="is a folder, of which all files"):
        sync(db.store, photos, keys=["a"])


def test_one_sync_of_a_source_at_a_time(db: slicedb.Database, tmp_path: Path) -> None:
    from slicedb.ingest.sync import _alone

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/1.png").write_bytes(picture(1))
    held = _alone(db.store, str(tmp_path / "photos"))
    with held, pytest.raises(SourceError, match="being synced already, by process"):
        sync(db.store, tmp_path / "photos")
    sync(db.store, tmp_path / "photos")


def test_only_what_changed_is_read(db: slicedb.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from obstore.store import MemoryStore

    store = MemoryStore()
    client.put_in("memory://big", store)
    import obstore

    for i in range(300):
        obstore.put(store, f"{i:06d}.png", picture(i % 250))
    sync(db.store, "memory://big")
    reads: list[str] = []
    real = remote.read
    monkeypatch.setattr(remote, "read", lambda uri: reads.append(uri) or real(uri))
    monkeypatch.setattr(obstore, "head", lambda *args: pytest.fail("no object is asked for alone"))
    for i in range(3):
        obstore.put(store, f"{i:06d}.png", picture(251 + i))
    assert counts(sync(db.store, "memory://big")) == {"changed": 3, "unchanged": 297}
    assert len(reads) == 3


def test_the_end_says_what_the_new_data_changed(
    filled: Bucket, db: slicedb.Database, tmp_path: Path
) -> None:
    where = f"{filled.uri}/set"
    db.sync(where)
    db.slices.add("all_of_them", "true", expect=["accuracy >= 0.6"])
    log(db, [f"cat/{i}.png" for i in range(4)])
    report = db.sync(then="commit:first")
    assert str(report).endswith("No live slice has other members than before.")
    assert report.steps[0].startswith("commit: commit ")
    filled.put("set/dog/4.png", picture(40))
    filled.delete("set/cat/0.png")
    report = db.sync(where, delete_missing=True)
    assert [str(move) for move in report.slices] == ["slice all_of_them: +1 -1, 4 now"]
    assert not report.is_worse


def test_a_test_that_turns_is_told(filled: Bucket, db: slicedb.Database) -> None:
    where = f"{filled.uri}/set"
    db.sync(where)
    db.slices.add("cats", "label = 'cat'", expect=["count >= 5"])
    log(db, [f"cat/{i}.png" for i in range(4)])
    first = db.sync(then="test:v1")
    assert (first.turned, first.is_worse) == ((), False)
    filled.put("set/cat/5.png", picture(5))
    second = db.sync(then="test:v1")
    assert [(t.before, t.after) for t in second.turned] == [("FAIL", "PASS")]
    assert "test cats: count >= 5 turned from FAIL to PASS (v1)" in str(second)
    assert not second.is_worse
    filled.delete("set/cat/5.png")
    third = db.sync(then="test:v1", delete_missing=True)
    assert [(t.before, t.after) for t in third.turned] == [("PASS", "FAIL")] and third.is_worse


def test_from_the_command_line(filled: Bucket, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from slicedb.cli import verbs

    where, path = f"{filled.uri}/set", str(tmp_path / "cli.slicedb")

    def run(*words: str, **more: str) -> tuple[int, str]:
        result = CliRunner().invoke(verbs, ["--db", path, *words], **more)
        return result.exit_code, result.output + str(result.exception or "")

    assert run("sync", where, "--split", "test", "--storage-option", "region=us-east-1")[0] == 0
    filled.put("set/cat/9.png", picture(90))
    code, said = run("sync", where, "--keys", "-", input="cat/9.png\n")
    assert code == 0 and "1 added" in said
    db = slicedb.open(path)
    assert db.query("split = 'test'").count() == 5
    db.slices.add("few", "true", expect=["count <= 5"])
    log(db, ["cat/9.png"])
    assert run("sync", "--then", "test:v1")[0] == 0
    filled.put("set/cat/10.png", picture(91))
    code, said = run("sync", "--then", "test:v1")
    assert code == 1 and "turned from PASS to FAIL" in said
    assert "no KEY=VALUE" in run("sync", where, "--storage-option", "region")[1]
    assert "There is no step 'tets'" in run("sync", where, "--then", "tets")[1]
    assert "is no time between" in run("sync", where, "--every", "soon")[1]
    assert "names no model" in run("sync", where, "--then", "predict")[1]


def test_again_and_again_until_sigterm(db: slicedb.Database, tmp_path: Path) -> None:
    import os
    import signal

    from slicedb.sync import Loop

    turns: list[int] = []
    told: list[str] = []

    def turn() -> None:
        turns.append(1)
        if len(turns) == 2:
            raise SourceError("Cannot reach it.")
        if len(turns) == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    loop = Loop(0.001, turn, told.append)
    loop.run()
    assert (len(turns), told, loop.failures) == (4, ["Cannot reach it."], 0)
    assert signal.getsignal(signal.SIGTERM) == before
    loop.failures = 3
    assert loop.pause(0.5) == 0.008


def test_a_column_of_the_user_is_left_alone(db: slicedb.Database, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(picture(1))
    (tmp_path / "photos.csv").write_text("path,etag\n1.png,mine\n")
    db.ingest(tmp_path / "photos.csv")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/2.png").write_bytes(picture(2))
    with pytest.raises(IngestError, match="have a column 'etag', which sync keeps"):
        db.sync(tmp_path / "photos")
    assert db.query("etag = 'mine'").count() == 1


def test_the_settings_of_a_bucket_hold_in_a_new_process(
    filled: Bucket, db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures that were left where they lay are read with what the sync was told."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    settings = {"endpoint": filled.endpoint, "secret_access_key": "b"}
    db.sync(f"{filled.uri}/set", reference=True, storage_options=settings)
    rows = db.store.table("sources", ["settings"]).to_pylist()
    assert json.loads(rows[0]["settings"]) == {"endpoint": filled.endpoint}
    monkeypatch.setattr(client, "_settings", {})
    monkeypatch.setattr(client, "_clients", {})
    again = slicedb.open(db.path)
    images = dict(again.store.read_images(again.query("true").keys()))
    assert all(images.values()) and len(images) == 4
