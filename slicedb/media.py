"""Encoded bytes to pixels: verify, decode, hash, thumbnail.

A JPEG is decoded by libjpeg-turbo with the interpreter's lock released and every warning taken as
an error; where it complains, and for every other format, Pillow is the judge. Width and height
are as displayed, that is after the EXIF orientation. Of animations and multi-page files the first
frame counts.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import os
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from PIL import Image

from slicedb.errors import MediaError

MAX_PIXELS = 178_956_970
"""Pixels beyond which an image is refused unread: Pillow's own limit for decompression bombs."""

EXTENSIONS = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".png": "png",
    ".apng": "png",
    ".webp": "webp",
    ".gif": "gif",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".bmp": "bmp",
    ".dib": "bmp",
}
"""File extension -> the format it promises."""

_FORMATS = {
    "JPEG": "jpeg",
    "MPO": "jpeg",
    "PNG": "png",
    "WEBP": "webp",
    "GIF": "gif",
    "TIFF": "tiff",
    "BMP": "bmp",
    "DIB": "bmp",
}
_OPENERS = [name for name in _FORMATS if name != "MPO"]  # Pillow finds MPO inside JPEG
_JPEG = b"\xff\xd8\xff"
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
_LARGE = 1 << 24  # pixels; such images are decoded one at a time, whatever the number of threads
_EXIF_WITHIN = 1 << 17
_ORIENTATION, _EXIF_IFD, _TAKEN, _DATE = 0x0112, 0x8769, 0x9003, 0x0132
_REDUCIBLE = frozenset({"L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"})
_SIDE = 32


class ImageInfo(NamedTuple):
    """What a full decode says of one image."""

    width: int
    """Pixels, as displayed."""
    height: int
    """Pixels, as displayed."""
    format: str
    """jpeg, png, webp, gif, tiff or bmp."""
    gray: np.ndarray
    """uint8 (32, 32): the displayed picture in small, which `phash` takes."""
    captured_at: dt.datetime | None = None
    """When it was taken, from EXIF, without a time zone."""


def inspect(data: bytes, *, name: str = "", max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Decode an image in full and measure it.

    Args:
        data: the encoded image.
        name: its file name, to compare the extension with the bytes; "" compares nothing.
        max_pixels: width × height beyond which the image is refused before it is decoded.

    Raises:
        MediaError: with `.reason` empty, not_an_image, truncated, corrupt, too_large or
            wrong_extension.

    >>> inspect(b"")
    Traceback (most recent call last):
    slicedb.errors.MediaError: The file has no bytes.
    """
    if not data:
        raise MediaError("empty", "The file has no bytes.")
    info = _inspect_jpeg(data, max_pixels) if data[:3] == _JPEG else None
    if info is None:
        info = _inspect_pillow(data, max_pixels)
    if wrong := wrong_extension(name, info.format):
        raise MediaError("wrong_extension", wrong)
    return info


def wrong_extension(name: str, format: str) -> str:
    """Return what is wrong with a file's extension, or an empty string.

    >>> wrong_extension("a/b.png", "jpeg")
    'Named .png, but the bytes are jpeg.'
    >>> wrong_extension("a/b.JPG", "jpeg")
    ''
    """
    extension = os.path.splitext(name)[1].lower()
    if EXTENSIONS.get(extension, format) == format:
        return ""
    return f"Named {extension}, but the bytes are {format}."


def looks_like_image(head: bytes) -> bool:
    """Return whether a file that begins with these bytes (32 are enough) claims a known format."""
    return any(is_it(head) for is_it, _ in _LOOKS)


def _inspect_jpeg(data: bytes, max_pixels: int) -> ImageInfo | None:
    """Return what the fast decoder says, or None to leave the verdict to Pillow.

    Luminance alone comes out, but every bit of all components is read and checked.
    """
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        if space in ("CMYK", "YCCK"):
            return None
        _check_size(width, height, max_pixels)
        if width * height > _LARGE:
            with _large_lock:
                gray = _shrink(simplejpeg.decode_jpeg(data, "GRAY")[..., 0])
        else:
            gray = _shrink(simplejpeg.decode_jpeg(data, "GRAY")[..., 0])
    except MediaError:
        raise
    except ValueError as error:
        # Pillow is deaf to lost pixels when the file was closed properly after them
        if "premature end" in str(error).lower():
            raise MediaError("truncated", str(error)) from error
        return None
    orientation, taken = _exif(data)
    if orientation >= 5:
        width, height = height, width
    return ImageInfo(width, height, "jpeg", _turn(gray, orientation), taken)


def _inspect_pillow(data: bytes, max_pixels: int) -> ImageInfo:
    with _opened(data, max_pixels) as image:
        orientation, taken = _tags(image)
        width, height = image.size if orientation < 5 else image.size[::-1]
        gray = _turn(_shrink(_gray(image)), orientation)
        return ImageInfo(width, height, _FORMATS[image.format or ""], gray, taken)


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode to an RGB picture: EXIF orientation applied, alpha over white, 16 bits scaled.

    Raises:
        MediaError: it does not decode.
    """
    return Image.fromarray(decode_rgb(data, max_pixels=max_pixels))


def decode_rgb(
    data: bytes, min_size: int | None = None, *, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Decode to an array as fast as the format allows; a JPEG with the lock released.

    Args:
        data: the encoded image.
        min_size: pixels of the shorter side that are enough; a larger JPEG is then decoded at a
            fraction (n/8) of its size. None decodes at full size.
        max_pixels: width × height beyond which the image is refused.

    Returns:
        uint8 (h, w, 3), as displayed.

    Raises:
        MediaError: it does not decode.
    """
    if not data:
        raise MediaError("empty", "The file has no bytes.")
    if data[:3] == _JPEG:
        with contextlib.suppress(ValueError):  # Pillow is the judge; MediaError passes below
            height, width, space, _ = simplejpeg.decode_jpeg_header(data)
            if space not in ("CMYK", "YCCK") and width * height <= max_pixels:
                least = min_size or 0
                pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=least, min_width=least)
                return _turn(pixels, _exif(data)[0])
    with _opened(data, max_pixels) as image:
        return _turn(np.array(_rgb(image)), _tags(image)[0])


def thumbnail(data: bytes, size: int = 160) -> bytes:
    """Return a JPEG of the picture whose longer side has at most `size` pixels.

    Raises:
        MediaError: it does not decode.
    """
    image = Image.fromarray(decode_rgb(data, size))
    image.thumbnail((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


def sha256(data: bytes) -> str:
    """Return the SHA-256 of the bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def phash(gray: np.ndarray) -> np.ndarray:
    """Return the 64-bit perceptual hashes of a batch of small pictures.

    The 8 × 8 lowest frequencies of the cosine transform, each against their median (Zauner,
    "Implementation and benchmarking of perceptual image hash functions", 2010). Pictures that
    look alike differ in few bits.

    Args:
        gray: uint8 (n, 32, 32).

    Returns:
        int64 (n,).
    """
    # a small product an image: a large one would wake BLAS's own threads, which fight with ours
    low = _COSINES @ gray.astype(np.float32) @ _COSINES.T  # (8, 32) @ (n, 32, 32) @ (32, 8)
    low = np.round(low, 1).reshape(len(gray), 64)
    ordered = np.sort(low, axis=1)
    median = (ordered[:, 31:32] + ordered[:, 32:33]) / 2
    return np.packbits(low > median, axis=1).view(">i8").astype(np.int64).reshape(len(gray))


_COSINES = np.cos(
    np.pi / _SIDE * (np.arange(_SIDE) + 0.5) * np.arange(8)[:, None], dtype=np.float32
)  # (8, 32)


# --- Pillow, with its errors in our words and its warnings kept in -----------------------------


class _Quiet:
    """Keep Pillow's warnings in while any thread is inside; `warnings` alone is not for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved: Any = None

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL(\.|$)")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._saved.__exit__()


_quiet = _Quiet()
_large_lock = threading.Lock()


def _one_large(pixels: int) -> contextlib.AbstractContextManager[Any]:
    return _large_lock if pixels > _LARGE else contextlib.nullcontext()


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise MediaError(
            "too_large", f"{width} × {height} pixels are more than the {max_pixels:,} allowed."
        )


@contextlib.contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """Open and load the first frame, size checked before; translate whatever Pillow raises."""
    with _quiet:
        try:
            with Image.open(io.BytesIO(data), formats=_OPENERS) as image:
                _check_size(image.width, image.height, max_pixels)
                with _one_large(image.width * image.height):
                    image.load()
                    if image.format == "PNG":
                        _check_png(data)
                    yield image
        except MediaError:
            raise
        except Image.DecompressionBombError as error:
            raise MediaError("too_large", str(error)) from error
        except Exception as error:  # Pillow raises nearly anything on broken bytes
            reason = _reason(data, str(error))
            said = "No known image format." if reason == "not_an_image" else str(error)
            raise MediaError(reason, said.split("<_io")[0].strip()) from error


def _check_png(data: bytes) -> None:
    """Compare the checksums that Pillow leaves out: of the pixels, and whether the end is there."""
    at, kind = 8, b""
    while kind != b"IEND":
        size = int.from_bytes(data[at : at + 4], "big")
        kind, end = data[at + 4 : at + 8], at + 8 + size
        if end + 4 > len(data):
            raise MediaError("truncated", "The last chunk is cut off.")
        is_critical = kind[:1].isupper()
        if is_critical and zlib.crc32(data[at + 4 : end]) != int.from_bytes(
            data[end : end + 4], "big"
        ):
            raise MediaError("corrupt", f"The checksum of chunk {kind.decode('latin1')} is wrong.")
        at = end + 4


def _is_cut_tiff(data: bytes) -> bool:
    with contextlib.suppress(Exception), Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
        tags: Any = getattr(image, "tag_v2", {})
        ends = [start + size for start, size in zip(tags[273], tags[279])]
        return bool(max(ends) > len(data))
    return True  # not even the directory is there


def _reason(data: bytes, message: str) -> str:
    looks = next((cut for is_it, cut in _LOOKS if is_it(data)), None)
    if looks is None:
        return "not_an_image"
    short = any(word in message.lower() for word in ("truncat", "premature", "not enough", "eof"))
    return "truncated" if short or len(data) < 64 or looks(data) else "corrupt"


def _le(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


_LOOKS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], bool]], ...] = (
    # the first bytes look like the format; the end is missing
    (lambda d: d[:3] == _JPEG, lambda d: d.rfind(b"\xff\xd9") < 0),
    (lambda d: d[:8] == b"\x89PNG\r\n\x1a\n", lambda d: b"IEND" not in d),
    (lambda d: d[:4] == b"RIFF" and d[8:12] == b"WEBP", lambda d: _le(d, 4) + 8 > len(d)),
    (lambda d: d[:6] in (b"GIF87a", b"GIF89a"), lambda d: d[-1:] != b";"),
    (lambda d: d[:4] in (b"II*\0", b"MM\0*"), _is_cut_tiff),
    (lambda d: d[:2] == b"BM" and _le(d, 14) in _BMP_HEADERS, lambda d: _le(d, 2) > len(d)),
)


# --- orientation, alpha, depth -----------------------------------------------------------------


def _exif(data: bytes) -> tuple[int, dt.datetime | None]:
    """Return orientation (1 to 8) and time taken of a JPEG."""
    if data.find(b"Exif\0\0", 0, _EXIF_WITHIN) < 0:
        return 1, None
    with (
        _quiet,
        contextlib.suppress(Exception),
        Image.open(io.BytesIO(data), formats=["JPEG"]) as image,
    ):
        return _tags(image)
    return 1, None


def _tags(image: Image.Image) -> tuple[int, dt.datetime | None]:
    try:
        exif = image.getexif()
        orientation = exif.get(_ORIENTATION, 1)
        text = (exif.get_ifd(_EXIF_IFD).get(_TAKEN) or exif.get(_DATE)) if exif else None
    except Exception:  # a broken tag block says nothing of the pixels
        return 1, None
    return orientation if orientation in range(1, 9) else 1, _time(text)


def _time(text: object) -> dt.datetime | None:
    try:
        return dt.datetime.strptime(str(text).strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None


def _turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return the picture (h, w, ...) as displayed under an EXIF orientation."""
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _shrink(gray: np.ndarray) -> np.ndarray:
    """Return uint8 (32, 32) of a picture (h, w)."""
    if gray.shape == (_SIDE, _SIDE):
        return gray
    small = Image.fromarray(gray).resize((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(small)


def _gray(image: Image.Image) -> np.ndarray:
    """Return uint8 (h, w), reduced in size first where the picture is large."""
    factor = min(image.size) // (4 * _SIDE)
    if factor > 1 and image.mode in _REDUCIBLE and "transparency" not in image.info:
        image = image.reduce(factor)
    return np.asarray(_rgb(image).convert("L"))


def _rgb(image: Image.Image) -> Image.Image:
    """Return the picture in RGB: alpha over white, deep gray scaled to 8 bits."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_to_8_bits(np.asarray(image), image)).convert("RGB")
    if image.mode.endswith(("A", "a")) or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(rgba, mask=rgba.getchannel("A"))
        return white
    return image.convert("RGB")


def _to_8_bits(values: np.ndarray, image: Image.Image) -> np.ndarray:
    """Scale gray to uint8: 16 bits by their range, 32 bits and floats by what they hold."""
    if image.mode.startswith("I;16") or image.format == "PNG":
        return np.asarray((values.astype(np.uint32) + 128) // 257, dtype=np.uint8)
    values = np.nan_to_num(values.astype(np.float64))
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if low >= 0 and high <= 1 and image.mode == "F":
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    return np.round((values - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
