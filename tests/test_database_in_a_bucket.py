"""A database in a bucket: settings, the probe of conditional writes, and what cannot be reached."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes_bucket import Bucket, create, serve
from PIL import Image

import slicedb
from slicedb.cli import main
from slicedb.errors import DatabaseError, DatabaseNotFoundError
from slicedb.sources import client, files_of

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
