"""Images of every kind, whole and broken."""

from __future__ import annotations

import datetime as dt
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slicedb import media
from slicedb.errors import MediaError

PHOTOS = Path(__file__).parents[2] / "shared/data/photos"


def picture(width: int = 60, height: int = 40, seed: int = 0) -> Image.Image:
    """A smooth colourful picture: a bright top left corner, so that turning it shows."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([255 - 4 * x, 255 - 6 * y, (x * y + 9 * seed) % 255], axis=-1)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def png_header(width: int, height: int) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IEND\xaeB`\x82"


def reason(data: bytes, **options: Any) -> str:
    with pytest.raises(MediaError) as caught:
        media.inspect(data, **options)
    assert str(caught.value)
    return caught.value.reason


KINDS: dict[str, tuple[bytes, str]] = {
    "jpeg": (encode(picture(), "JPEG", quality=95), "jpeg"),
    "progressive": (encode(picture(), "JPEG", quality=95, progressive=True), "jpeg"),
    "gray jpeg": (encode(picture().convert("L"), "JPEG", quality=95), "jpeg"),
    "cmyk jpeg": (encode(picture().convert("CMYK"), "JPEG", quality=95), "jpeg"),
    "png": (encode(picture(), "PNG"), "png"),
    "alpha png": (encode(picture().convert("RGBA"), "PNG"), "png"),
    "gray alpha png": (encode(picture().convert("LA"), "PNG"), "png"),
    "palette png": (encode(picture().quantize(64), "PNG"), "png"),
    "bilevel png": (encode(picture().convert("1"), "PNG"), "png"),
    "webp": (encode(picture(), "WEBP", lossless=True), "webp"),
    "gif": (encode(picture(), "GIF"), "gif"),
    "tiff": (encode(picture(), "TIFF"), "tiff"),
    "lzw tiff": (encode(picture(), "TIFF", compression="tiff_lzw"), "tiff"),
    "bmp": (encode(picture(), "BMP"), "bmp"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_measured_and_decoded_to_rgb(kind: str) -> None:
    data, format = KINDS[kind]
    info = media.inspect(data)
    assert (info.width, info.height, info.format) == (60, 40, format)
    assert info.gray.shape == (32, 32) and info.gray.dtype == np.uint8
    image = media.decode(data)
    assert (image.mode, image.size) == ("RGB", (60, 40))
    if kind not in ("gray jpeg", "gray alpha png", "bilevel png", "cmyk jpeg", "gif"):
        near = np.abs(np.asarray(image).astype(int) - np.asarray(picture())).mean()
        assert near < 20


@pytest.mark.parametrize("kind", KINDS)
def test_half_of_every_kind_is_truncated(kind: str) -> None:
    data, _ = KINDS[kind]
    assert reason(data[: len(data) // 2]) == "truncated"
    with pytest.raises(MediaError):
        media.decode(data[: len(data) // 2])


def test_fast_and_careful_decoder_agree_on_a_jpeg() -> None:
    data = KINDS["jpeg"][0]
    assert np.array_equal(media.decode_rgb(data), np.asarray(Image.open(io.BytesIO(data))))


def test_jpeg_closed_properly_after_lost_pixels_is_truncated() -> None:
    data = encode(picture(300, 200), "JPEG")
    assert reason(data[: len(data) // 2] + b"\xff\xd9") == "truncated"


def test_jpeg_with_harmless_junk_behind_it_is_fine() -> None:
    assert media.inspect(KINDS["jpeg"][0] + b"junk" * 100).width == 60


def test_png_without_its_end_is_truncated() -> None:
    assert reason(KINDS["png"][0][:-12]) == "truncated"


def test_broken_checksum_is_corrupt() -> None:
    data = bytearray(KINDS["png"][0])
    data[len(data) // 2] ^= 0xFF
    assert reason(bytes(data)) == "corrupt"


@pytest.mark.parametrize(
    "data", [b"hello, world\n" * 50, b"BMW is a car" * 9, b"\0" * 999, b"\xff"]
)
def test_other_bytes_are_not_an_image(data: bytes) -> None:
    assert reason(data) == "not_an_image"


def test_no_bytes_are_empty() -> None:
    assert reason(b"") == "empty"
    with pytest.raises(MediaError, match="no bytes"):
        media.decode_rgb(b"")


def test_bomb_is_refused_by_its_header() -> None:
    assert reason(png_header(60_000, 60_000)) == "too_large"


@pytest.mark.parametrize("kind", ["jpeg", "png", "cmyk jpeg"])
def test_more_pixels_than_allowed_are_too_large(kind: str) -> None:
    assert reason(KINDS[kind][0], max_pixels=60 * 40 - 1) == "too_large"
    assert media.inspect(KINDS[kind][0], max_pixels=60 * 40).width == 60


def test_extension_has_to_agree_with_the_bytes() -> None:
    assert reason(KINDS["jpeg"][0], name="a/b.png") == "wrong_extension"
    assert media.inspect(KINDS["jpeg"][0], name="a/b.JPEG").format == "jpeg"
    assert media.inspect(KINDS["jpeg"][0], name="a/b.image").format == "jpeg"


def with_exif(image: Image.Image, tags: dict[int, Any], format: str = "JPEG") -> bytes:
    exif = Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    return encode(image, format, exif=exif, **({"quality": 95} if format == "JPEG" else {}))


def test_only_the_end_of_a_file_name_is_an_extension() -> None:
    for name in ("a/.jpg", "a.jpg/b", "a.jpg.d/b", "b", ""):
        assert media.wrong_extension(name, "png") == ""
    assert media.wrong_extension("a/b.c.JPG", "png") == "Named .jpg, but the bytes are png."


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int, format: str) -> None:
    data = with_exif(picture(), {0x0112: orientation}, format)
    info = media.inspect(data)
    turned = orientation >= 5
    assert (info.width, info.height) == ((40, 60) if turned else (60, 40))
    from PIL import ImageOps

    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert np.array_equal(media.decode_rgb(data), np.asarray(expected))
    upright = media.inspect(encode(expected, "PNG"))
    assert np.abs(info.gray.astype(int) - upright.gray).mean() < 4


def test_time_taken_is_read_from_exif() -> None:
    data = with_exif(picture(), {0x0132: "2021:05:06 07:08:09"})
    assert media.inspect(data).captured_at == dt.datetime(2021, 5, 6, 7, 8, 9)
    assert media.inspect(with_exif(picture(), {0x0132: "yesterday"})).captured_at is None


def test_broken_exif_says_nothing_of_the_pixels() -> None:
    data = with_exif(picture(), {0x0112: 6})
    at = data.index(b"Exif\0\0") + 14
    info = media.inspect(data[:at] + b"\xff" * 8 + data[at + 8 :])
    assert {info.width, info.height} == {60, 40}


def test_alpha_lies_over_white() -> None:
    clear = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    assert media.decode_rgb(encode(clear, "PNG")).min() == 255
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([200, 0, 0])
    data = encode(palette, "PNG", transparency=0)
    assert media.decode_rgb(data).min() == 255


def test_16_bits_are_scaled_to_8() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    for format in ("PNG", "TIFF"):
        pixels = media.decode_rgb(encode(Image.fromarray(ramp), format))
        assert np.array_equal(pixels[..., 0], np.round(ramp / 257).astype(np.uint8))
    dark = media.decode_rgb(encode(Image.fromarray(ramp // 512), "PNG"))
    assert dark.max() <= 1  # by the range of 16 bits, not by what the picture holds


def test_floats_are_scaled_by_what_they_hold() -> None:
    unit = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    for values in (unit, unit * 255, unit * 1000 - 500):
        pixels = media.decode_rgb(encode(Image.fromarray(values), "TIFF"))
        assert pixels.min() == 0 and pixels.max() == 255


@pytest.mark.parametrize("format", ["GIF", "TIFF"])
def test_first_frame_counts(format: str) -> None:
    frames = [Image.new("RGB", (9, 9), (250, 0, 0)), Image.new("RGB", (9, 9), (0, 0, 250))]
    data = encode(frames[0], format, save_all=True, append_images=frames[1:])
    assert media.decode_rgb(data)[4, 4, 0] > 240


def test_min_size_decodes_a_jpeg_at_a_fraction_that_is_large_enough() -> None:
    data = encode(picture(640, 480), "JPEG")
    assert media.decode_rgb(data, 100).shape == (120, 160, 3)
    assert media.decode_rgb(data, 2000).shape == (480, 640, 3)


def test_thumbnail_keeps_the_shape() -> None:
    small = Image.open(io.BytesIO(media.thumbnail(encode(picture(640, 480), "PNG"), 160)))
    assert (small.format, small.size) == ("JPEG", (160, 120))


def test_sha256_is_that_of_the_bytes() -> None:
    assert media.sha256(b"abc").startswith("ba7816bf8f01cfea")


def reference_phash(gray: np.ndarray) -> int:
    from scipy.fft import dct

    low = dct(dct(gray.astype(float), axis=0), axis=1)[:8, :8]
    bits = (low > np.median(low)).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big", signed=True)


def test_phash_is_the_cosine_transform_against_its_median() -> None:
    gray = np.random.default_rng(0).integers(0, 256, (40, 32, 32), dtype=np.uint8)
    assert media.phash(gray).tolist() == [reference_phash(g) for g in gray]
    assert media.phash(np.empty((0, 32, 32), np.uint8)).shape == (0,)


def distance(one: bytes, other: bytes) -> int:
    grays = np.stack([media.inspect(one).gray, media.inspect(other).gray])
    a, b = media.phash(grays).tolist()
    return ((a ^ b) & (2**64 - 1)).bit_count()


def test_phash_is_near_for_copies_and_far_for_others() -> None:
    image = Image.fromarray(
        np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    ).resize((320, 240), Image.Resampling.BICUBIC)
    other = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    data = encode(image, "PNG")
    assert distance(data, encode(image.resize((200, 150)), "JPEG", quality=60)) <= 6
    assert distance(data, encode(other, "PNG")) > 16


def test_pillow_warnings_stay_inside_and_filters_are_restored() -> None:
    import warnings

    before = list(warnings.filters)
    data = encode(picture(), "TIFF")
    with pytest.raises(MediaError):
        media.inspect(data[:30])
    media.inspect(data)
    assert list(warnings.filters) == before


def test_threads_decode_the_same_as_one() -> None:
    from concurrent.futures import ThreadPoolExecutor

    data = [data for data, _ in KINDS.values()] * 5
    with ThreadPoolExecutor(8) as pool:
        infos = list(pool.map(media.inspect, data))
    assert [i.gray.tobytes() for i in infos] == [media.inspect(d).gray.tobytes() for d in data]


@pytest.mark.realdata
@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the real photos are not beside this checkout")
def test_real_photos_are_whole_and_their_halves_are_not() -> None:
    for path in sorted(PHOTOS.iterdir())[:40]:
        data = path.read_bytes()
        assert media.inspect(data, name=path.name).format == "jpeg"
        assert reason(data[: len(data) // 3]) == "truncated"
