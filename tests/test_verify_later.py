"""Ingest without opening a picture: rows are `unverified` until their pictures are opened."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import slicedb
from slicedb import media
from slicedb.cli import main
from slicedb.errors import IngestError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of three photos, the last of which is broken."""
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    for name in ("a", "b", "c"):
        Image.new("RGB", (20, 10), "red").save(folder / f"{name}.jpg")
    (folder / "c.jpg").write_bytes((folder / "c.jpg").read_bytes()[:300])
    return tmp_path / "photos"


def test_unverified_samples_are_seen_and_verified_later(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    with monkeypatch.context() as patch:
        patch.setattr(media, "inspect", None)
        patch.setattr(media, "sha256", None)
        report = db.ingest(photos, verify="later")
    assert (report.added, report.quarantined) == (3, 0)
    ids = ["cat/a.jpg", "cat/b.jpg", "cat/c.jpg"]
    assert db.query("label = 'cat'").ids() == ids
    assert db.query("status = 'unverified' AND sha256 IS NULL").count() == 3
    assert db.tag(f"id = '{ids[2]}'", "seen") == 1
    assert db.ingest(photos, verify="later").unchanged == 3
    checked = db.verify(f"id = '{ids[0]}'")
    assert (checked.verified, checked.quarantined) == (1, 0)
    checked = db.verify()
    assert (checked.verified, checked.quarantined) == (1, 1)
    assert "1 verified, 1 quarantined: 1 truncated" in str(checked)
    assert db.query("width = 20 AND status = 'ok' AND bytes > 0").ids() == ids[:2]
    assert db.query("").ids() == ids[:2]
    assert db.verify().verified == 0


def test_tables_whose_pictures_cannot_be_reached(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    pq.write_table(pa.table({"id": ["x", "y"], "light": ["day", None]}), tmp_path / "m.parquet")
    with pytest.raises(IngestError, match="no column of paths or images"):
        db.ingest(tmp_path / "m.parquet")
    assert db.ingest(tmp_path / "m.parquet", verify="later").added == 2
    assert db.query("light = 'day'").ids() == ["x"]
    rows = pa.table({"id": ["x", "y"], "prediction": ["a", "b"], "confidence": [0.9, 0.8]})
    assert db.log_predictions("m", rows, classes=["a", "b"]).logged == 2
    assert db.query("m.prediction = 'b'").ids() == ["y"]
    assert db.verify().reasons == {"unreadable": 2}


def test_bytes_that_a_table_carries_are_stored_and_verified_later(
    photos: Path, tmp_path: Path
) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    data = [(photos / "cat" / f"{name}.jpg").read_bytes() for name in "abc"]
    table = pa.table({"id": list("abc"), "image": pa.array(data, pa.binary())})
    pq.write_table(table, tmp_path / "images.parquet")
    db.ingest(tmp_path / "images.parquet", verify="later")
    assert db.store.count("images") == 3
    assert db.verify().verified == 2


def test_unverified_samples_are_embedded_and_broken_ones_fail(photos: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(photos, verify="later")
    report = db.embed()
    assert (report.embedded, report.failed, report.quarantined) == (2, 0, 1)
    assert db.query("status = 'ok' AND width = 20").count() == 2
    assert db.query("status = 'truncated'").ids() == ["cat/c.jpg"]
    assert db.verify().verified == 0
    assert db.embed().embedded == 0


def test_pictures_out_of_reach_stay_unverified_when_they_are_used(
    photos: Path, tmp_path: Path
) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(photos, verify="later")
    (photos / "cat" / "a.jpg").rename(tmp_path / "away.jpg")
    report = db.embed()
    assert (report.embedded, report.failed, report.quarantined) == (1, 1, 1)
    assert db.query("status = 'unverified'").ids() == ["cat/a.jpg"]
    (tmp_path / "away.jpg").rename(photos / "cat" / "a.jpg")
    assert db.embed().embedded == 1
    assert db.query("status = 'ok'").count() == 2


def test_what_cannot_be_done_later_is_refused(photos: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    with pytest.raises(IngestError, match="No verify 'never'"):
        db.ingest(photos, verify="never")  # type: ignore[arg-type]
    with pytest.raises(IngestError, match="sha256"):
        db.ingest(photos, verify="later", id_by="sha256")


def test_verify_later_from_the_shell(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "data.slicedb")
    for command in (["ingest", str(photos), "--verify", "later"], ["verify"]):
        with pytest.raises(SystemExit) as done:
            main([*command, "--db", path])
        assert done.value.code == 0
    assert "2 verified, 1 quarantined" in capsys.readouterr().out
