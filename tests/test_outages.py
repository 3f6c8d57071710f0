"""A bucket that fails now and then, or is gone: nothing is lost, and the end says why."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes_bucket import create, serve
from fakes_crew import write_model
from fakes_proxy import Faults, proxy
from PIL import Image

import slicedb
from slicedb.cli import outage
from slicedb.errors import DatabaseError, SliceDBError, SourceError, UnreachableError
from slicedb.sources import client, fetch, files_of, remote, unreachable, use
from slicedb.store.gone import gone

KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region": "us-east-1"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with serve() as address:
        yield address


@pytest.mark.scale
def test_with_one_request_in_seven_failing_nothing_is_lost_doubled_or_stale(
    endpoint: str, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(12):
        Image.new("RGB", (9 + i, 8), (20 * i, 0, 0)).save(photos / f"{i:02d}.png")
    write_model(tmp_path, 10.0)
    where, faults = f"{create(endpoint, 'faults').uri}/x.slicedb", Faults(0.15, seed=3)

    def insist(verb: object) -> None:
        for _ in range(8):
            try:
                verb()  # type: ignore[operator]
                return
            except SliceDBError:
                continue
        raise AssertionError("it failed eight times")

    with proxy(endpoint, faults) as address:
        opened = []
        options = {"endpoint": address, **KEYS}
        insist(lambda: opened.append(slicedb.open(where, storage_options=options)))
        db = opened[-1]
        insist(lambda: db.ingest(photos))
        insist(lambda: db.models.add("m", f"{tmp_path / 'model.py'}:build", replace=True))
        insist(lambda: db.predict("m"))
        insist(lambda: db.commit("all"))
    assert faults.failed > 10
    use("s3://faults", {"endpoint": endpoint})
    past = slicedb.open(where, create=False)
    asked = "SELECT id, sha256, m.prediction AS said, m.confidence AS sure FROM samples ORDER BY id"
    rows = past.sql(asked).to_pylist()
    assert [row["id"] for row in rows] == [f"{i:02d}.png" for i in range(12)]
    assert [row["said"] for row in rows] == ["red"] * 12
    (commit,) = past.commits.history()
    assert past.at(commit.id).sql(asked).to_pylist() == rows
    for table in ("samples", "images", "predictions__m"):
        ids = past.store.table(table, ["id"])["id"].to_pylist()
        assert len(ids) == len(set(ids)) == 12, table


def test_a_bucket_that_is_busy_answers_and_one_that_is_gone_does_not(endpoint: str) -> None:
    bucket, faults = create(endpoint, "watched"), Faults()
    with proxy(endpoint, faults) as address:
        use(bucket.uri, {"endpoint": address, **KEYS})
        assert outage.answers(f"{bucket.uri}/x.slicedb")
        faults.share, faults.kinds = 1.0, ("busy",)
        assert outage.answers(f"{bucket.uri}/x.slicedb")
        faults.left = 0
        assert not outage.answers(f"{bucket.uri}/x.slicedb")


def test_a_verb_ends_once_its_bucket_was_silent_for_long(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    said = iter([True, False, False, True, *[False] * 1000])
    ends: list[int] = []
    over = threading.Event()

    def end(status: int) -> None:
        ends.append(status)
        over.set()

    monkeypatch.setattr(outage, "_BETWEEN", 0.01)
    monkeypatch.setattr(outage, "_SOON", 0.01)
    monkeypatch.setattr(outage, "_LONG", 0.1)
    monkeypatch.setattr(outage, "answers", lambda address: next(said))
    monkeypatch.setattr(outage.os, "_exit", end)
    began = time.monotonic()
    outage._look("s3://b/x.slicedb", over)
    assert ends == [1] and time.monotonic() - began > 0.1
    line = capfd.readouterr().err
    assert line.startswith("Error: 's3://b/x.slicedb' has not answered for 0 seconds. Hint: check")
    assert line.count("\n") == 1


SAID = {
    "LanceError(IO): Generic S3 error: Error performing list request: Error performing GET "
    "http://h/b?list-type=2 in 7s - HTTP error: error sending request, /home/x.rs:1:2": (
        "Cannot reach 's3://b/x': it does not answer."
    ),
    "Generic S3 error: HTTP error: request or response body error": (
        "Cannot reach 's3://b/x': its answers break off."
    ),
    "Generic S3 error - HTTP error: error sending request\n\nDebug source: ConnectionRefused": (
        "Cannot reach 's3://b/x': the connection is refused."
    ),
    "Generic S3 error - HTTP error: error sending request\n\nDebug source: dns error": (
        "Cannot reach 's3://b/x': no host has its name."
    ),
    "x - Server returned non-2xx status code: 503 Service Unavailable: <Error><Code>SlowDown</Code>"
    "<Message>Please reduce your request rate.</Message></Error>": (
        "Cannot reach 's3://b/x': it answers 503 Service Unavailable SlowDown."
    ),
    "x - Server returned non-2xx status code: 400 Bad Request: <Error><Code>ExpiredToken</Code>"
    "<Message>The provided token has expired.</Message></Error>": (
        "The credentials for 's3://b/x' are not accepted (ExpiredToken: The provided token has "
        "expired)."
    ),
    "x - Server returned non-2xx status code: 404 Not Found: <Error><Code>NoSuchBucket</Code>": (
        "There is no bucket for 's3://b/x'."
    ),
    "Error performing list request: x - Server returned non-2xx status code: 403 Forbidden: ": (
        "There is no permission to list 's3://b/x'."
    ),
}


def test_what_is_said_of_a_store_that_is_gone() -> None:
    for said, message in SAID.items():
        error = unreachable(said, "s3://b/x")
        assert error is not None and error.message == message and error.hint
        assert isinstance(error, DatabaseError) and isinstance(error, SourceError)
        assert error.is_silent == ("HTTP error" in said)
    for other in (
        "Server returned non-2xx status code: 403 Forbidden: <Code>AccessDenied</Code>",
        "Server returned non-2xx status code: 404 Not Found: <Code>NoSuchKey</Code>",
        "LanceError(IO): Corrupt file: magic does not match",
    ):
        assert unreachable(other, "s3://b/x") is None


@pytest.mark.parametrize("end", ["cut", "403", "404", "expired"])
def test_a_source_that_goes_away_ends_the_run_and_spoils_no_sample(
    end: str, endpoint: str, tmp_path: Path
) -> None:
    bucket, faults = create(endpoint, f"away-{end}"), Faults()
    use(bucket.uri, {"endpoint": endpoint, **KEYS})
    for i in range(40):
        Image.new("RGB", (9 + i, 8), (5 * i, 0, 0)).save(tmp_path / "one.png")
        bucket.put(f"photos/{i:02d}.png", (tmp_path / "one.png").read_bytes())
    db = slicedb.open(tmp_path / "x.slicedb")
    quick = {"client_max_retries": "1", "client_retry_timeout": "1"}
    with proxy(endpoint, faults) as address:
        use(bucket.uri, {"endpoint": address, **KEYS, **quick})
        faults.end, faults.left = end, 20
        with pytest.raises(UnreachableError, match=f"'{bucket.uri}"):
            db.ingest(f"{bucket.uri}/photos")
        assert db.query("status <> 'ok'").count() == 0
        faults.mend()
        said = db.ingest(f"{bucket.uri}/photos")
    assert (db.query("status = 'ok'").count(), said.quarantined) == (40, 0)


def test_an_object_that_is_gone_or_forbidden_is_one_sample_of_many(
    endpoint: str,
) -> None:
    bucket = create(endpoint, "single")
    use(bucket.uri, {"endpoint": endpoint, **KEYS})
    bucket.put("a.png", b"1234")
    there, missing = f"{bucket.uri}/a.png", f"{bucket.uri}/b.png"
    read = fetch([there, missing])
    assert read[there] == b"1234"
    assert isinstance(read[missing], SourceError) and "nothing at" in str(read[missing])
    denied = SourceError("There is no permission to read 's3://single/b.png'.")
    assert remote.ends_run(missing, denied) is None  # for a.png can still be read
    dead = UnreachableError("Cannot reach 'https://nowhere.example/1.jpg': it does not answer.")
    assert remote.ends_run("https://nowhere.example/1.jpg", dead) is None
    with pytest.raises(SourceError, match=r"'https://nowhere\.example' does not answer"):
        remote.read("https://nowhere.example/2.jpg")  # which asks nobody


def test_lance_and_our_client_wait_no_longer_than_a_minute_and_a_user_may_say_otherwise() -> None:
    root = "s3://patient"
    use(root, KEYS)
    lance = client.settings_for_lance(root)
    lists, reads = 6, 4  # of a request that is not answered, before Lance gives up
    assert max(lists, reads) * float(lance["read_timeout"].rstrip("s")) <= 45
    assert float(lance["client_retry_timeout"]) < float(lance["read_timeout"].rstrip("s"))
    use(root, {"read_timeout": "60s", "client_max_retries": "3", "lance_aimd_max_retries": "2"})
    lance = client.settings_for_lance(root)
    assert (lance["read_timeout"], lance["lance_aimd_max_retries"]) == ("60s", "2")
    assert client.client(root).client_options["read_timeout"] == "60s"  # type: ignore[union-attr]


def test_what_lance_says_of_a_bucket_that_is_gone_is_no_damaged_table(endpoint: str) -> None:
    bucket, faults = create(endpoint, "lance"), Faults()
    with proxy(endpoint, faults) as address:
        files = files_of(f"{bucket.uri}/x.slicedb", {"endpoint": address, **KEYS})
        assert gone(files, OSError("LanceError(IO): Corrupt file")) is None
        broken = gone(files, OSError("LanceError(IO): HTTP error: error sending request"))
        assert broken is not None and "does not answer" in broken.message
        faults.end, faults.left = "403", 0
        closed = gone(files, OSError("LanceError(IO): Not found: x.lance"))
        assert closed is not None and "permission" in closed.message
        faults.mend()
