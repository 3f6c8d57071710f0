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
from slicedb.errors import SliceDBError
from slicedb.sources import use

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
    monkeypatch.setattr(outage, "_LONG", 0.1)
    monkeypatch.setattr(outage, "answers", lambda address: next(said))
    monkeypatch.setattr(outage.os, "_exit", end)
    began = time.monotonic()
    outage._look("s3://b/x.slicedb", over)
    assert ends == [1] and time.monotonic() - began > 0.1
    line = capfd.readouterr().err
    assert line.startswith("Error: 's3://b/x.slicedb' has not answered for 0 seconds. Hint: check")
    assert line.count("\n") == 1
