"""Gray of more than 8 bits: the declared range, one rule for the others, and what shows nothing."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import slicedb
from slicedb import media

DARK = "error LIKE 'Nearly black%'"


def tiff(pixels: np.ndarray, bits: int | None = None, **tags: int) -> bytes:
    """Return a TIFF of one strip; `bits` of 12 are packed, others stored as they are."""
    high, wide = pixels.shape
    bits = bits or pixels.dtype.itemsize * 8
    data = pixels.tobytes()
    if bits == 12:
        a, b = pixels.ravel()[::2].astype(int), pixels.ravel()[1::2].astype(int)
        data = (
            np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], axis=1).astype(np.uint8).tobytes()
        )
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    extra = {{"low": 280, "high": 281}[name]: value for name, value in tags.items()}
    fields = {
        256: wide,
        257: high,
        258: bits,
        259: 1,
        262: 1,
        277: 1,
        278: high,
        339: kind,
        **extra,
    }
    start = 10 + 12 * (len(fields) + 2) + 4
    whole = sorted({**fields, 273: start, 279: len(data)}.items())
    rows = [
        struct.pack("<HHII", tag, 4, 1, value)
        if tag in (273, 279)
        else struct.pack("<HHIHH", tag, 3, 1, value, 0)
        for tag, value in whole
    ]
    return b"II*\0" + struct.pack("<IH", 8, len(rows)) + b"".join(rows) + bytes(4) + data


def ramp(high: float, kind: str = "u2") -> np.ndarray:
    return np.linspace(0, high, 64 * 48).reshape(48, 64).astype(kind)


def shown(data: bytes) -> np.ndarray:
    return media.decode_rgb(data)[..., 0]


def test_the_declared_bits_are_the_range() -> None:
    assert np.array_equal(shown(tiff(ramp(4095), 12)), np.round(ramp(4095) / 4095 * 255))
    half = shown(tiff(ramp(2048), 12))
    assert (half.min(), half.max()) == (0, 128)
    assert np.array_equal(shown(tiff(ramp(65535))), np.round(ramp(65535) / 257))


def test_a_declared_largest_value_is_the_range() -> None:
    assert np.array_equal(shown(tiff(ramp(1023), high=1023)), np.round(ramp(1023) / 1023 * 255))
    assert shown(tiff(ramp(512), high=1023)).max() == 128
    two_thirds = ramp(700) + 300
    assert shown(tiff(two_thirds.astype("u2"), low=300, high=1000)).min() == 0
    # a value that the picture passes is not believed
    assert shown(tiff(ramp(4000), high=255)).max() == round(4000 / 65535 * 255)


@pytest.mark.parametrize("kind", ["f4", "i4"])
def test_one_rule_for_values_without_a_declared_range(kind: str) -> None:
    expected = np.round(ramp(1, "f8") * 255)
    for high in (255, 256, 1000, 70_000):
        assert np.abs(shown(tiff(ramp(high, kind))).astype(float) - expected).max() <= 1
    if kind == "f4":
        for high in (1e-3, 0.5, 1, 1.0001, 2, 1e6):
            assert np.abs(shown(tiff(ramp(high, kind))).astype(float) - expected).max() <= 1


def test_negative_values_and_what_is_no_number() -> None:
    signed = shown(tiff((ramp(200, "f4") - 100).astype("f4")))
    assert (signed.min(), signed.max()) == (0, 255)
    odd = ramp(2, "f4")
    odd[0, :3] = np.nan, np.inf, -np.inf
    pixels = shown(tiff(odd))
    assert pixels[0, :3].tolist() == [0, 255, 0] and pixels[-1, -1] == 255
    assert shown(tiff(np.zeros((48, 64), "f4"))).max() == 0
    assert shown(tiff(np.full((48, 64), np.nan, "f4"))).max() == 0


def test_pictures_that_show_nothing_are_noted(tmp_path: Path) -> None:
    pictures = {"twelve.tif": tiff(ramp(4095)), "full.tif": tiff(ramp(65535))}
    png = io.BytesIO()
    Image.fromarray(ramp(4095)).save(png, "PNG")
    black = io.BytesIO()
    Image.new("L", (64, 48)).save(black, "PNG")
    pictures |= {"twelve.png": png.getvalue(), "black.png": black.getvalue()}
    (tmp_path / "d").mkdir()
    for name, data in pictures.items():
        (tmp_path / "d" / name).write_bytes(data)
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(tmp_path / "d")
    assert report.quarantined == 0
    assert "2 pictures are nearly black after scaling to 8 bits" in str(report)
    assert DARK in str(report)
    assert sorted(db.query(DARK).ids()) == ["twelve.png", "twelve.tif"]


def test_a_range_of_the_user_decides_for_all_pictures_and_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "dark.tif").write_bytes(tiff(ramp(400)))
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(folder)
    assert "1 picture is nearly black after scaling" in str(report)
    assert "--gray-range" in str(report)
    assert db.query(DARK).count() == 1
    other = slicedb.open(tmp_path / "other.slicedb")
    assert "nearly black" not in str(other.ingest(folder, gray_range=(0, 400)))
    assert other.query(DARK).count() == 0
    for again in (other, slicedb.open(tmp_path / "other.slicedb")):
        pixels = np.asarray(again.query("").images()[0])[..., 0]
        assert (pixels.min(), pixels.max()) == (0, 255)
    assert np.asarray(db.query("").images()[0]).max() == 2  # another database shows it as before
    assert "1 TIFF and PNG pictures were ingested before under other ranges" in str(
        other.ingest(folder, gray_range={"tiff": (0, 800)})
    )
    assert np.asarray(other.query("").images()[0]).max() == 128
    assert int(other.query("").to_torch(columns=())[0][0].max()) == 128


def test_a_range_by_format_leaves_the_others_alone(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "a.tif").write_bytes(tiff(ramp(1000)))
    out = io.BytesIO()
    Image.fromarray(ramp(65535)).save(out, "PNG")
    (folder / "b.png").write_bytes(out.getvalue())
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(folder, gray_range=["tif=0,1000"])
    pictures = [np.asarray(image) for image in db.query("ORDER BY id").images()]
    assert [int(picture.max()) for picture in pictures] == [255, 255]
    assert int(np.median(pictures[0])) in (127, 128) and int(np.median(pictures[1])) in (127, 128)


@pytest.mark.parametrize(
    ("given", "fact"),
    [
        ("0", "gray range '0' is not two numbers"),
        ((5, 5), r"gray range \(5, 5\) is not two numbers"),
        ("tiff=9,1", "gray range '9 1' is not two numbers"),
        ({"tfif": (0, 1)}, r"No format 'tfif'.*did you mean 'tiff'"),
        ("0,nan", "is not two numbers"),
    ],
)
def test_a_range_that_is_none_is_refused(tmp_path: Path, given: object, fact: str) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(ramp(1000)))
    db = slicedb.open(tmp_path / "data.slicedb")
    with pytest.raises(slicedb.errors.IngestError, match=fact):
        db.ingest(tmp_path, gray_range=given)  # type: ignore[arg-type]
    assert db.query("").count() == 0
