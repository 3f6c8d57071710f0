"""Buckets as they are: odd keys, versions, and objects that change or go while they are read."""

# ruff: noqa: F811 - fixtures of other files are arguments here

from __future__ import annotations

import json
import unicodedata
import urllib.request
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from fakes_bucket import Bucket
from fakes_models import png
from test_sources import bucket, endpoint  # noqa: F401
from test_sync import counts, db, picture  # noqa: F401

import slicedb
from slicedb.errors import SourceError
from slicedb.ingest.sync import sync
from slicedb.sources import listed, reading, remote

COMPOSED, APART = (unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD"))
NAMES = [
    *(
        "a b.png",
        "p%20q.png",
        "%2F.png",
        "%.png",
        "h#1.png",
        "w?x.png",
        "plus+plus.png",
        "amp&.png",
    ),
    *("eq=.png", "Case.png", "case.png", "back\\slash.png", "quote'.png", 'dq".png', "star*.png"),
    *("br[0].png", "{x}.png", "co:lon.png", "com,ma.png", "sp /y.png", "trail .png", "<lt>.png"),
    *("semi;.png", "emoji😀.png", COMPOSED, APART),
]


def put_raw(where: Bucket, key: str, data: bytes) -> None:
    """Write an object whose key our client would not write."""
    request = urllib.request.Request(
        f"{where.endpoint}/{where.name}/{quote(key)}",
        data=data,
        method="PUT",
        headers={"Content-Type": "image/png"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200


def test_keys_of_every_kind_are_read_and_known_again(
    bucket: Bucket,
    db: slicedb.Database,
    tmp_path: Path,
) -> None:
    for i, name in enumerate(NAMES):
        put_raw(bucket, f"p/{name}", png((i, 0, 0)))
    where = f"{bucket.uri}/p"
    assert counts(sync(db.store, where)) == {"added": len(NAMES)}
    assert sorted(db.query("status = 'ok'").ids()) == sorted(NAMES)
    assert counts(sync(db.store, where)) == {"unchanged": len(NAMES)}
    events = [
        {"s3": {"bucket": {"name": bucket.name}, "object": {"key": f"p/{quote_plus(name)}"}}}
        for name in NAMES
    ]
    report = sync(db.store, where, keys=[json.dumps({"Records": events})])
    (note,) = [note for note in report.notes if "named objects" in note]
    assert note == f"{len(NAMES)} of the named objects were looked at, and nothing else."
    linked = slicedb.open(tmp_path / "linked.slicedb")
    linked.ingest(where, reference=True)
    assert sum(1 for _ in linked.store.read_images(linked.keys())) == len(NAMES)


def test_folders_as_objects_are_no_pictures_and_an_empty_object_is_a_broken_one(
    bucket: Bucket,
    db: slicedb.Database,
) -> None:
    for key, data in {"p/": b"", "p/cat/": b"", "p/none/": b"", "p/zero.png": b""}.items():
        put_raw(bucket, key, data)
    bucket.put("p/cat/1.png", picture(1))
    said = db.ingest(f"{bucket.uri}/p")
    rows = db.sql("SELECT id, label, status FROM samples ORDER BY id").to_pylist()
    assert rows == [
        {"id": "cat/1.png", "label": "cat", "status": "ok"},
        {"id": "zero.png", "label": None, "status": "empty"},
    ]
    assert "Passed over: 1 without extension." in str(said)  # "p/none/", which nothing lies in


@pytest.mark.parametrize("key", ["p//double.png", "p/../up.png", "p/tab\tx.png"])
def test_a_key_that_cannot_be_named_is_told_and_nothing_is_taken_for_all(
    bucket: Bucket,
    db: slicedb.Database,
    key: str,
) -> None:
    put_raw(bucket, "p/1.png", picture(1))
    put_raw(bucket, key, picture(2))
    with pytest.raises(SourceError, match="holds an object that cannot be named") as told:
        db.ingest(f"{bucket.uri}/p")
    assert key in str(told.value) and "control character; move it" in str(told.value)
    assert db.query("true").count() == 0


@pytest.fixture
def two(bucket: Bucket, db: slicedb.Database) -> str:
    """A source of two pictures that was synced."""
    for i in range(2):
        bucket.put(f"set/{i}.png", picture(i))
    sync(db.store, f"{bucket.uri}/set")
    return f"{bucket.uri}/set"


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: object) -> None:
    """Do something between the listing and the first object that is read."""
    read, done = remote.read, []

    def late(text: str) -> bytes:
        if not done:
            done.append(text)
            act()  # type: ignore[operator]
        return read(text)

    monkeypatch.setattr(reading.remote, "read", late)


def test_an_object_that_changes_behind_the_listing_is_settled_by_the_next_sync(
    bucket: Bucket,
    db: slicedb.Database,
    two: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket.put("set/0.png", picture(50))
    meanwhile(monkeypatch, lambda: bucket.put("set/0.png", picture(60)))
    assert counts(sync(db.store, two)) == {"changed": 1, "unchanged": 1}
    assert [data for _, data in db.store.read_images(db.keys("id = '0.png'"))] == [picture(60)]
    assert counts(sync(db.store, two)) == {"unchanged": 2, "same_bytes": 1}
    assert counts(sync(db.store, two)) == {"unchanged": 2}


def test_an_object_that_goes_behind_the_listing_has_not_been_and_comes_back_whole(
    bucket: Bucket,
    db: slicedb.Database,
    two: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket.put("set/2.png", picture(2))
    meanwhile(monkeypatch, lambda: bucket.delete("set/2.png"))
    said = sync(db.store, two)
    assert said.reasons == {"unreadable": 1}
    (row,) = db.sql("SELECT id, error FROM samples WHERE status <> 'ok'").to_pylist()
    assert row == {"id": "2.png", "error": f"There is nothing at '{two}/2.png'."}
    assert counts(sync(db.store, two)) == {"unchanged": 2, "vanished": 1}
    bucket.put("set/2.png", picture(2))
    sync(db.store, two)  # with the etag that it had: what could not be read is read again
    whole = db.query("status = 'ok' AND vanished_at IS NULL")
    assert sorted(whole.ids()) == ["0.png", "1.png", "2.png"]


def test_of_an_object_with_versions_the_last_counts_and_a_marker_hides_it(
    bucket: Bucket,
    db: slicedb.Database,
) -> None:
    text = (
        b'<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b"<Status>Enabled</Status></VersioningConfiguration>"
    )
    request = urllib.request.Request(
        f"{bucket.endpoint}/{bucket.name}?versioning", data=text, method="PUT"
    )
    request.add_header("Content-Type", "application/xml")
    urllib.request.urlopen(request, timeout=20).close()
    for seed in (1, 2, 3):
        bucket.put("set/0.png", picture(seed))
    bucket.put("set/1.png", picture(9))
    where = f"{bucket.uri}/set"
    assert counts(sync(db.store, where)) == {"added": 2}
    assert [data for _, data in db.store.read_images(db.keys("id = '0.png'"))] == [picture(3)]
    bucket.delete("set/0.png")  # leaves a marker, and three versions behind it
    assert counts(sync(db.store, where)) == {"unchanged": 1, "vanished": 1}


def test_a_listing_of_many_pages_is_whole(
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for i in range(5):
        bucket.put(f"many/{i}.png", b"x")
    pages: list[int] = []
    monkeypatch.setattr(remote, "_PAGE", 2)
    remote.forget(bucket.uri)
    assert listed(f"{bucket.uri}/many", pages.append).keys == [f"many/{i}.png" for i in range(5)]
    assert pages == [2, 2, 1]
