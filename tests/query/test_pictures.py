"""A picture that comes with a query: compared with, never read from a file, never kept."""

from __future__ import annotations

import gc
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import slicedb
from slicedb import Database
from slicedb.errors import QueryError, SandboxError, SliceError
from slicedb.media import decode

COLOURS = {"red": (220, 30, 20), "green": (20, 200, 60), "blue": (10, 40, 210)}


def png(colour: tuple[int, int, int], **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (48, 48), colour).save(out, "PNG", **options)
    return out.getvalue()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    for name, colour in COLOURS.items():
        (root / f"{name}.png").write_bytes(png(colour))
    db = slicedb.open(root / "data.slicedb")
    db.ingest(root, progress=False)
    db.embed(progress=False)
    return root


@pytest.fixture
def db(path: Path) -> Database:
    return slicedb.open(path / "data.slicedb", files=False)


SIMILAR = "ORDER BY similarity(image($upload)) DESC LIMIT 1"


def test_bytes_pillow_and_arrays_are_compared_as_their_file_is(db: Database, path: Path) -> None:
    file = path / "green.png"
    with_files = slicedb.open(path / "data.slicedb")
    wanted = with_files.sql  # which may not name files; the query may
    with pytest.raises(SandboxError):
        wanted(f"SELECT id, similarity(image('{file}')) AS s FROM samples")
    scores = with_files.query(
        f"SELECT id, similarity(image('{file}')) AS s FROM samples ORDER BY id"
    ).to_arrow()
    picture = Image.open(file)
    for handed in (file.read_bytes(), bytearray(file.read_bytes()), picture, np.asarray(picture)):
        mine = db.sql(
            "SELECT id, similarity(image($upload)) AS s FROM samples ORDER BY id",
            {"upload": handed},
        )
        assert mine["id"].to_pylist() == ["blue.png", "green.png", "red.png"]
        assert mine["s"].to_pylist() == pytest.approx(scores["s"].to_pylist(), abs=1e-6)
        assert db.query(SIMILAR, {"upload": handed}).ids() == ["green.png"]


def test_a_picture_stands_in_every_place_of_a_target(db: Database) -> None:
    red, blue = png(COLOURS["red"]), png(COLOURS["blue"])
    assert db.query("nearest(image(?), 1)", [red]).ids() == ["red.png"]
    both = db.query(
        "ORDER BY similarity(image($a), without(image( $b ))) DESC", {"a": blue, "b": red}
    )
    assert both.ids()[0] == "blue.png" and both.ids()[-1] == "red.png"
    text = "similarity(weighted(image($1), 0.5)) > 0.9 AND width = $2"
    assert db.query(text, [red, 48]).count() >= 1


def test_the_text_names_the_picture_as_long_as_a_query_holds_it(db: Database) -> None:
    query = db.query(SIMILAR, {"upload": png(COLOURS["red"])})
    assert query.text.startswith("ORDER BY similarity(image('upload:")
    again = db.query(query.text)
    text = query.text
    assert again.ids() == query.ids() == ["red.png"]
    assert query.take(1).ids() == ["red.png"]
    del query
    assert again.ids() == ["red.png"] and db.query(text).count() == 1
    del again
    gc.collect()
    with pytest.raises(QueryError, match="is not at hand: it came with another query") as error:
        db.query(text)
    assert (error.value.line, error.value.column) == (1, 27)
    assert "upload:" in error.value.token or "image" in error.value.marked


def test_pages_do_not_encode_the_picture_again(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(data: bytes, **options: Any) -> Image.Image:
        calls.append(1)
        return decode(data, **options)

    monkeypatch.setattr("slicedb.media.decode", counted)
    query = db.query("similarity(image($upload)) > -1", {"upload": png((9, 90, 190))})
    assert query.ids() == query.ids() and query.count() == 3 and len(calls) == 1


def bomb(side: int) -> bytes:
    """Return a black square of few bytes and many pixels."""
    out = io.BytesIO()
    Image.new("1", (side, side)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "empty"),
        (b"no picture", "not_an_image"),
        (png((1, 2, 3))[:60], "truncated|corrupt|not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
        (7, "A value of type int is no picture"),
        (np.zeros((4, 4, 3)), "of float64 is no picture"),
        (None, "A value of type NoneType is no picture"),
    ],
)
def test_what_is_no_picture_is_refused_at_its_place(db: Database, value: Any, why: str) -> None:
    with pytest.raises(QueryError, match=f"parameter .upload is no picture.*({why})") as error:
        db.query("width > 3 AND\nsimilarity(image($upload)) > 0", {"upload": value})
    assert (error.value.line, error.value.column, error.value.token) == (2, 18, "$upload")


def test_what_is_too_large_is_refused_before_it_is_decoded(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(QueryError, match=r"too_large: .* \(900000000 pixels\)"):
        db.query(SIMILAR, {"upload": bomb(30_000)})
    with pytest.raises(QueryError, match="9000 × 9000 pixels are more than the 67,108,864 allowed"):
        db.query(SIMILAR, {"upload": bomb(9_000)})
    monkeypatch.setattr("slicedb.vectors.pictures.MOST_BYTES", 100)
    with pytest.raises(QueryError, match="are more than 100 bytes"):
        db.query(SIMILAR, {"upload": png(COLOURS["red"])})


def test_a_picture_outside_of_image_is_no_value(db: Database) -> None:
    with pytest.raises(QueryError, match="is no SQL value"):
        db.query("label = $upload", {"upload": Image.new("RGB", (2, 2))})
    assert db.query("sha256 = $upload", {"upload": "x"}).count() == 0
    with pytest.raises(SandboxError, match="cannot read files here"):
        db.query(SIMILAR, {"upload": "red.png"})


def test_what_is_kept_compares_with_no_picture_that_is_not(db: Database) -> None:
    query = db.query("similarity(image($upload)) > 0.5", {"upload": png(COLOURS["red"])})
    with pytest.raises(SliceError, match=r"handed in, not kept.*sample"):
        db.slices.add("reds", query)
    with pytest.raises(SliceError, match="handed in, not kept"):
        db.columns.add("redness", query.text.split(" >")[0])
    assert len(db.slices) == 0
