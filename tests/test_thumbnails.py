"""Thumbnails: upright, kept by their picture, made anew where a file was harmed, bounded."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import slicedb
from slicedb.cli import verbs
from slicedb.errors import CheckError
from slicedb.store.thumbnails import _written, placeholder, thumbnails

N = 12


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    """12 pictures of 300 x 200, one lying on its side by EXIF, one twice, one broken, one small."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(N):
        image = Image.new("RGB", (300, 200), (i * 20, 90, 10))
        exif = Image.Exif()
        exif[0x0112] = 6 if i == 0 else 1
        image.save(folder / f"{i:02}.jpg", exif=exif)
    shutil.copy(folder / "03.jpg", folder / "04.jpg")
    whole = (folder / "05.jpg").read_bytes()
    (folder / "05.jpg").write_bytes(whole[:200])
    Image.new("RGBA", (9, 5), (0, 0, 0, 0)).save(folder / "small.png")
    made = slicedb.open(tmp_path / "t.slicedb")
    made.ingest(folder, progress=False)
    return made


EVERY = "status = status ORDER BY id"


def sizes(images: tuple[bytes, ...]) -> list[tuple[int, int]]:
    return [Image.open(io.BytesIO(data)).size for data in images]


def test_they_are_small_upright_and_made_once(db: slicedb.Database) -> None:
    first = db.thumbnails(EVERY, side=60)
    assert sizes(first.images)[:3] == [(40, 60), (60, 40), (60, 40)]
    assert sizes(first.images)[5] == (60, 60) and first.images[5] == placeholder(60)
    assert sizes(first.images)[-1] == (9, 5)
    white = np.asarray(Image.open(io.BytesIO(first.images[-1])))
    assert white.min() > 250  # what is transparent is white
    assert (first.n_cached, first.n_made, first.n_broken, first.n_missing) == (0, 12, 1, 0)
    again = slicedb.open(db.path).thumbnails(EVERY, side=60)
    assert again.images == first.images
    assert (again.n_cached, again.n_made, again.n_broken) == (12, 0, 1)
    assert db.thumbnails(EVERY, side=30).n_made == 12
    assert "12 cached, 0 made, 1 of broken" in str(again)


def test_keys_keep_their_order_may_repeat_and_be_unknown(db: slicedb.Database) -> None:
    keys = db.keys(EVERY)[[2, 1, 2]]
    one = db.thumbnails(keys, side=60)
    assert one.images[0] == one.images[2] != one.images[1]
    unknown = db.thumbnails(np.append(keys, 12345), side=60)
    assert unknown.images[3] == placeholder(60) and unknown.n_missing == 1
    assert unknown.n_cached == 3
    assert db.thumbnails(keys[:0]).images == ()


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "folder gone"])
def test_a_harmed_file_is_made_anew(db: slicedb.Database, harm: str) -> None:
    first = db.thumbnails(EVERY, side=60)
    root = db.store.cache_dir / "thumbnails"
    for file in [f for f in root.rglob("*") if f.is_file()]:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes({"cut": data[:-1], "flipped": data}.get(harm, b""))
    if harm == "folder gone":
        shutil.rmtree(root)
    again = db.thumbnails(EVERY, side=60)
    assert again.images == first.images and (again.n_cached, again.n_made) == (0, 12)
    assert db.thumbnails(EVERY, side=60).n_cached == 12


def test_the_cache_is_bounded_and_the_oldest_go(db: slicedb.Database) -> None:
    first = db.thumbnails(EVERY, side=60)
    root = db.store.cache_dir / "thumbnails"
    files = sorted(f for f in root.rglob("*") if f.is_file())
    assert len(files) == 11  # equal pictures share one
    for at, file in enumerate(files):
        os.utime(file, (at + 1, at + 1))
    most = sum(f.stat().st_size for f in files)
    _written.clear()  # as a new process
    thumbnails(db.store, db.keys(EVERY)[:1], 61, most_bytes=most)
    left = {f for f in root.rglob("*") if f.is_file()}
    assert sum(f.stat().st_size for f in left) <= most
    assert files[0] not in left and files[-1] in left
    assert db.thumbnails(EVERY, side=60).images == first.images


def test_a_cache_that_cannot_be_written_is_done_without(db: slicedb.Database) -> None:
    (db.store.cache_dir / "thumbnails").write_text("in the way")
    assert db.thumbnails(EVERY, side=60).n_made == 12
    assert db.thumbnails(EVERY, side=60).n_made == 12


@pytest.mark.parametrize("side", [0, -5, 7, 2049])
def test_a_side_out_of_range_is_told(db: slicedb.Database, side: int) -> None:
    with pytest.raises(CheckError, match=f"thumbnail of {side} pixels"):
        db.thumbnails(side=side)


def test_the_command_line_makes_them_ahead(db: slicedb.Database) -> None:
    done = CliRunner().invoke(verbs, ["--db", db.path, "thumbnails", "--side", "60"])
    assert done.exit_code == 0 and "12 thumbnails of 60 pixels: 0 cached, 12 made" in done.output


def test_nothing_far_is_fetched_where_that_is_asked(
    db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slicedb.store import reading

    asked: list[str | None] = []

    def read(uris: list[str | None]) -> list[bytes]:
        asked.extend(uris)
        return [b""] * len(uris)

    monkeypatch.setattr(reading, "read_or_empty", read)
    monkeypatch.setattr(db.store, "find", _far(db))
    keys = db.query("LIMIT 3").keys()
    report = db.thumbnails(keys, side=32, remote=False)
    assert asked == [None] * 3 and report.n_broken == 3
    db.thumbnails(keys, side=32)
    assert asked[3:] == ["https://example.com/0.jpg"] * 3


def _far(db: slicedb.Database) -> object:
    """Return `Store.find` of a database whose pictures all lie on a web server."""
    import pyarrow as pa

    find = db.store.find

    def far(table: str, keys: np.ndarray, columns: list[str], **options: object) -> object:
        rows, has_row = find(table, keys, columns, **options)  # type: ignore[arg-type]
        if table == "images":
            return rows.slice(0, 0), np.zeros(len(keys), bool)
        if columns == ["uri"]:
            rows = pa.table({"uri": ["https://example.com/0.jpg"] * len(rows)})
        return rows, has_row

    return far
