"""A database in a bucket: settings, the probe of conditional writes, and what cannot be reached."""

from __future__ import annotations

import itertools
import os
import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes_bucket import Bucket, create, serve
from PIL import Image

import slicedb
from slicedb.cli import main
from slicedb.errors import DatabaseError, DatabaseNotFoundError
from slicedb.sources import client, files_of
from slicedb.store.far import cache_of

_names = (f"store-{i}" for i in itertools.count())


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with serve() as address:
        yield address


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    return create(endpoint, next(_names))


def settings(endpoint: str) -> dict[str, str]:
    """Return what reaches the bucket; nothing of it stands in the environment."""
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region": "us-east-1"}
    return {"endpoint": endpoint, **keys}


def pictures(folder: Path) -> Path:
    folder.mkdir()
    for i in range(3):
        Image.new("RGB", (20, 10), (40 * i, 90, 200)).save(folder / f"{i}.png")
    return folder


def test_settings_reach_every_part_of_a_database(
    bucket: Bucket, endpoint: str, tmp_path: Path
) -> None:
    where = f"{bucket.uri}/food.slicedb"
    db = slicedb.open(where, storage_options=settings(endpoint))
    assert db.ingest(pictures(tmp_path / "images")).added == 3
    db.tag("id < '2.png'", "early")
    db.slices.add("early", "has_tag('early')")
    db.commit("first")
    assert db.query("has_tag('early')").count() == 2
    assert "samples" in db.lancedb.list_tables().tables
    assert pickle.loads(pickle.dumps(db)).query("").count() == 3
    assert db.store.files.names() and db.store.stamp("samples", 1)
    db.slices.drop("early")
    assert slicedb.open(where, create=False).query("").count() == 3  # settings are kept


def test_the_command_line_takes_settings(
    bucket: Bucket, endpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [
        part for k, v in settings(endpoint).items() for part in ("--storage-option", f"{k}={v}")
    ]
    where = f"{bucket.uri}/cli.slicedb"
    for words in (
        ["--db", where, *given, "ingest", str(pictures(tmp_path / "images"))],
        ["query", "true", "--db", where, *given],
    ):
        with pytest.raises(SystemExit, match=r"^0$"):
            main(words)
    assert "3 added" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"^1$"):
        main(["info", "--db", str(tmp_path / "here"), "--storage-option", "region=x"])
    assert "is a folder of this machine, which has no storage options" in capsys.readouterr().err


def test_a_store_that_takes_a_second_write_is_refused(
    bucket: Bucket, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import obstore

    put = obstore.put
    monkeypatch.setattr(obstore, "put", lambda store, path, data, **how: put(store, path, data))
    with pytest.raises(DatabaseError, match="takes a second write of a file that has to be new"):
        slicedb.open(f"{bucket.uri}/lost.slicedb", storage_options=settings(endpoint))
    monkeypatch.undo()
    assert files_of(f"{bucket.uri}/lost.slicedb").names() == []


@pytest.mark.parametrize(
    ("where", "fact"),
    [
        ("{uri}-missing/a.slicedb", "There is no bucket for"),
        ("gs://bucket-of-nobody/a", "no credentials for|Cannot reach|no permission"),
        ("az://container/a", "no credentials for 'az://container"),
        ("hf://datasets/x", "scheme 'hf', which is not known"),
        ("{uri}/taken", "is not a SliceDB database and not empty"),
        ("{uri}/taken/file.txt", "is a file"),
    ],
)
def test_what_cannot_be_opened_is_one_line(
    bucket: Bucket, endpoint: str, where: str, fact: str
) -> None:
    client.use(bucket.uri, settings(endpoint))
    bucket.put("taken/file.txt", b"x")
    place = where.format(uri=bucket.uri)
    own = settings(endpoint) if place.startswith("s3") else None
    with pytest.raises(DatabaseError, match=fact) as caught:
        slicedb.open(place, storage_options=own)
    assert "\n" not in caught.value.message
    if place.startswith(f"{bucket.uri}/taken"):
        with pytest.raises(DatabaseNotFoundError):
            slicedb.open(place, create=False)


def test_of_a_database_in_a_bucket_info_says_the_bytes(
    bucket: Bucket, endpoint: str, tmp_path: Path
) -> None:
    db = slicedb.open(f"{bucket.uri}/x.slicedb", storage_options=settings(endpoint))
    db.ingest(pictures(tmp_path / "images"))
    here = slicedb.open(tmp_path / "x.slicedb")
    here.ingest(tmp_path / "images")
    far, near = ({t["table"]: t for t in one.store.describe()} for one in (db, here))
    assert far["images"]["now"] == near["images"]["now"] > 100
    assert abs(far["images"]["bytes"] - near["images"]["bytes"]) < 200  # manifests name the place


def test_a_new_database_at_an_address_is_not_taken_for_the_one_that_lay_there(
    bucket: Bucket, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    where, options = f"{bucket.uri}/x.slicedb", settings(endpoint)
    seen = []
    for colour in ("red", "blue"):
        folder = tmp_path / colour / "photos" / colour
        folder.mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (20, 10), colour).save(folder / f"{i}.png")
        db = slicedb.open(where, storage_options=options)
        db.ingest(folder.parent)
        db.embed(progress=False)
        again = slicedb.open(where, create=False)  # what one has kept, the other reads
        rows = again.sql("SELECT label FROM samples").to_pylist()
        alike = f"similarity(image('{folder / '0.png'}')) > 0.99"
        assert again.query(alike).count() == 3
        seen += [{row["label"] for row in rows}]
        assert len(set(again.thumbnails().images)) == 1
        versions = {name: db.store.version(name) for name in ("samples", "embeddings__default")}
        db.store.files.remove_folder("samples.lance")
        db.store.files.remove_folder("images.lance")
        db.store.files.remove_folder("embeddings__default.lance")
    assert seen == [{"red"}, {"blue"}] and versions["samples"] > 1
    assert len(list((tmp_path / "cache" / "slicedb").iterdir())) == 1


def test_what_was_kept_of_databases_that_nobody_opens_any_more_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    old, young = cache_of("s3://a/old"), cache_of("s3://a/young")
    (old / "hot").mkdir()
    beside = tmp_path / "slicedb" / "mine"
    beside.mkdir()
    for folder, days in ((old, 31), (young, 29), (beside, 99)):
        then = time.time() - days * 86_400
        os.utime(folder, (then, then))
    cache_of("s3://a/new")
    assert not old.exists() and young.exists() and beside.exists()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/db", "HTTPS://example.com/x.slicedb"])
def test_a_web_server_is_no_place_for_a_database(address: str) -> None:
    with pytest.raises(DatabaseError, match=r"A database cannot lie on a web server: "):
        slicedb.open(address)


def test_settings_behind_the_verb_are_the_database_s_where_the_source_is_local(
    bucket: Bucket, endpoint: str, tmp_path: Path
) -> None:
    given = [f"--storage-option={k}={v}" for k, v in settings(endpoint).items()]
    photos = str(pictures(tmp_path / "images"))
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["ingest", photos, "--db", f"{bucket.uri}/behind.slicedb", *given])
