"""Sources in buckets and on this machine: addresses, listings, reading, ingest of both."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes_bucket import Bucket, create, serve
from fakes_models import png

import slicedb
from slicedb.errors import SourceError
from slicedb.sources import Location, address, client, forget, listed, read, versions

_names = (f"bucket-{i}" for i in itertools.count())


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with serve() as address:
        yield address


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return create(endpoint, next(_names))


def test_addresses() -> None:
    assert address("az://container/a/b/") == ("az://container", "a/b")
    assert address("abfss://c@account.dfs.core.windows.net/x").scheme == "az"
    with pytest.raises(SourceError, match=r"scheme 's4'.*s3, s3a, gs"):
        address("s4://bucket")
    with pytest.raises(SourceError, match="names no bucket"):
        address("s3:///a")


def test_paths_of_a_location_in_a_bucket() -> None:
    where = Location("s3://bucket/a/b.JPG")
    assert (where.name, where.stem, where.suffix) == ("b.JPG", "b", ".jpg")
    assert str(where.parent) == "s3://bucket/a"
    assert str(where.parent.parent) == "s3://bucket"
    assert str(Location("s3://bucket").join("x", "../y")) == "s3://bucket/y"
    assert where.parts_below(Location("s3://bucket/")) == ("a", "b.JPG")


def test_a_listing_and_what_is_read_of_it(bucket: Bucket) -> None:
    for key in ("p/a.txt", "p/sub/b c+%20é.txt", "p/sub/deep/c.txt", "q.txt", "p/sub/deep"):
        bucket.put(key, b"" if key.endswith("deep") else key.encode())
    found = listed(f"{bucket.uri}/p")
    assert found.keys == ["p/a.txt", "p/sub/b c+%20é.txt", "p/sub/deep/c.txt"]
    assert found.sizes.tolist() == [7, 19, 16]
    assert all(found.etags) and (found.modified > 1.6e18).all()
    folder = Location(f"{bucket.uri}/p/sub")
    assert sorted(folder.list()) == [("b c+%20é.txt", "file", False), ("deep", "folder", False)]
    assert folder.join("b c+%20é.txt").read_text() == "p/sub/b c+%20é.txt"
    assert (folder.kind, folder.join("no").kind) == ("folder", None)
    assert Location(f"{bucket.uri}/q.txt").kind == "file"  # beside what was listed
    sizes, etags = versions([f"{bucket.uri}/p/a.txt", None, f"{bucket.uri}/p/none.txt", "/x"])
    assert sizes.tolist() == [7, -1, -1, -1] and [bool(e) for e in etags] == [True] + [False] * 3
    bucket.put("p/new.txt", b"")
    assert len(listed(f"{bucket.uri}/p")) == 3  # kept, until it is forgotten
    forget(bucket.uri)
    assert len(listed(f"{bucket.uri}/p")) == 4


def test_a_large_object_is_read_where_it_is_asked_for(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slicedb.sources.remote._WHOLE", 10)
    data = bytes(range(256)) * 20
    bucket.put("large.bin", data)
    with Location(f"{bucket.uri}/large.bin").open() as file:
        file.seek(-16, 2)
        assert file.read() == data[-16:]
        assert file.seek(256) == 256
        assert file.read(4) == data[:4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{uri}-missing/a", "There is no bucket"),
        ("{uri}/nothing", "No folder or file '.*nothing'"),
        ("gs://bucket/a", "no credentials for 'gs://bucket/a'|Cannot reach"),
        ("az://container/a", "no credentials for 'az://container'"),
        ("hf://datasets/x", "scheme 'hf', which is not known.*s3"),
    ],
)
def test_a_place_that_cannot_be_read_is_one_line(
    bucket: Bucket, tmp_path: Path, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "none.json"))
    db = slicedb.open(tmp_path / "data.slicedb")
    with pytest.raises(SourceError, match=message) as caught:
        db.ingest(text.format(uri=bucket.uri))
    assert "\n" not in caught.value.message


def test_a_key_that_has_no_name_is_told(bucket: Bucket, endpoint: str) -> None:
    import urllib.request

    bucket.put("a.jpg", b"x")
    odd = urllib.request.Request(f"{endpoint}/{bucket.name}/a//b.jpg", data=b"x", method="PUT")
    urllib.request.urlopen(odd).close()
    with pytest.raises(SourceError, match=r"object that cannot be named: .*a//b.jpg"):
        listed(bucket.uri)


def test_a_folder_and_a_bucket_give_the_same_samples(bucket: Bucket, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for i, name in enumerate(
        ["train/cat/1.png", "train/dog/2.png", "val/cat/3.png", "val/dog/4.png"]
    ):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(png((i, 0, 0)))
    (photos / "val/dog/broken.png").write_bytes(b"no picture")
    bucket.put_tree(photos, "set")
    here, there = (slicedb.open(tmp_path / f"{n}.slicedb") for n in ("here", "there"))
    one = here.ingest(photos)
    other = there.ingest(f"{bucket.uri}/set/")
    assert (one.added, one.quarantined) == (other.added, other.quarantined) == (5, 1)
    asked = "SELECT id, label, split, sha256, width, status FROM samples ORDER BY id"
    assert here.sql(asked).equals(there.sql(asked))
    assert there.sql("SELECT uri FROM samples WHERE id = 'val/cat/3.png'").to_pylist() == [
        {"uri": f"{bucket.uri}/set/val/cat/3.png"}
    ]
    again = there.ingest(f"{bucket.uri}/set/")
    assert (again.added, again.changed, again.unchanged) == (0, 0, 5)


def test_pictures_left_in_a_bucket_are_read_from_there(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("set/a.png", png((1, 0, 0)))
    bucket.put("set/b.png", png((2, 0, 0)))
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(f"{bucket.uri}/set", reference=True)
    images = [image for _, image in db.store.read_images(db.query("true").keys())]
    assert [len(image) > 0 for image in images] == [True, True]
    assert read(f"{bucket.uri}/set/a.png") == png((1, 0, 0))


def test_settings_of_a_bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    made = create(endpoint, next(_names))
    settings = {"endpoint": endpoint, "region": "us-east-1", "ACCESS_KEY_ID": "a"}
    client.use(made.uri, {**settings, "secret_access_key": "b"})
    made.put("a.txt", b"hello")
    assert Location(f"{made.uri}/a.txt").read_bytes() == b"hello"
    client.use("s3://other", {"no_such_setting": "1"})
    with pytest.raises(SourceError, match="no_such_setting"):
        Location("s3://other/a").exists()
    assert np.array_equal(listed(made.uri).sizes, [5])
