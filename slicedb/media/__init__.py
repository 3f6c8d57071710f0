"""Turn encoded bytes into pixels: verify, decode, hash, thumbnail.

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
from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import Image

from slicedb.errors import MediaError
from slicedb.media import quality
from slicedb.media.formats import EXTENSIONS, FORMATS, JPEG, looks_like_image, wrong_extension
from slicedb.media.lookalike import Looks, from_hex, looks, orientations, to_hex
from slicedb.media.once import decoded_once, eighths, kept
from slicedb.media.pillow import LARGE, check_size, exif_of, head_of, large_lock, opened, size_of
from slicedb.media.pixels import SIDE, gray_of, is_deep, rgb_of, shrink, tags_of, turn
from slicedb.media.ranged import GivenRanges, Ranges, ranged, ranges_of

__all__ = [
    "EXTENSIONS",
    "MAX_PIXELS",
    "NEARLY_BLACK",
    "GivenRanges",
    "ImageInfo",
    "Looks",
    "MediaError",
    "Ranges",
    "decode",
    "decode_rgb",
    "decoded_once",
    "from_hex",
    "head_of",
    "inspect",
    "is_gray",
    "looks",
    "looks_like_image",
    "n_threads",
    "orientations",
    "phash",
    "quality",
    "ranged",
    "ranges_of",
    "sha256",
    "size_of",
    "thumbnail",
    "to_hex",
    "turn",
    "wrong_extension",
]

NEARLY_BLACK = "Nearly black"
"""How the remark on a deep picture begins that shows nothing when it is scaled to 8 bits."""
_DARK = 16

MAX_PIXELS = 178_956_970
"""Pixels beyond which an image is refused unread: Pillow's own limit for decompression bombs."""


class ImageInfo(NamedTuple):
    """What a full decode tells about one image."""

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
    remark: str | None = None
    """What is odd about a picture that decodes."""
    seen: quality.Seen | None = None
    """What `quality.measure` takes, where it was asked for."""


def inspect(
    data: bytes, *, name: str = "", max_pixels: int = MAX_PIXELS, see: bool = False
) -> ImageInfo:
    """Decode an image in full and measure it.

    Args:
        name: its file name, to compare the extension with the bytes; "" compares nothing.
        max_pixels: width × height beyond which the image is refused before it is decoded.
        see: whether to return what its quality is measured of.

    Raises:
        MediaError: with `.reason` empty, not_an_image, truncated, corrupt, unsupported,
            too_large or wrong_extension.

    >>> inspect(b"")
    Traceback (most recent call last):
    slicedb.errors.MediaError: The file has no bytes.
    """
    if not data:
        raise MediaError("empty", "The file has no bytes.")
    info = _inspect_jpeg(data, max_pixels, see) if data[:3] == JPEG else None
    if info is None:
        info = _inspect_pillow(data, max_pixels, see)
    if name and (wrong := wrong_extension(name, info.format)):
        raise MediaError("wrong_extension", wrong)
    return info


def _inspect_jpeg(data: bytes, max_pixels: int, see: bool) -> ImageInfo | None:
    """Return what the fast decoder gives, or None to leave the verdict to Pillow.

    Luminance alone comes out, but every bit of all components is read and checked.
    """
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        if space in ("CMYK", "YCCK"):
            return None
        check_size(width, height, max_pixels)
        if width * height > LARGE:
            with large_lock:
                gray, seen = _seen(simplejpeg.decode_jpeg(data, "GRAY")[..., 0], see)
        else:
            gray, seen = _seen(simplejpeg.decode_jpeg(data, "GRAY")[..., 0], see)
    except MediaError:
        raise
    except ValueError as error:
        # Pillow is deaf to lost pixels when the file was closed properly after them
        if "premature end" in str(error).lower():
            raise MediaError("truncated", str(error)) from error
        return None
    orientation, taken = exif_of(data)
    if orientation == 1:
        return ImageInfo(width, height, "jpeg", gray, taken, None, seen)
    if orientation >= 5:
        width, height = height, width
    return ImageInfo(width, height, "jpeg", turn(gray, orientation), taken, None, seen)


def _seen(gray: np.ndarray, see: bool) -> tuple[np.ndarray, quality.Seen | None]:
    """Return the small picture, and what its quality is measured of, of luminance (h, w)."""
    return shrink(gray), quality.see(gray) if see else None


def _inspect_pillow(data: bytes, max_pixels: int, see: bool) -> ImageInfo:
    with opened(data, max_pixels) as image:
        orientation, taken = tags_of(image)
        width, height = image.size if orientation < 5 else image.size[::-1]
        small, seen = _seen(gray_of(image), see)
        gray = turn(small, orientation)
        remark = _remark(gray) if is_deep(image) else None
        return ImageInfo(width, height, FORMATS[image.format or ""], gray, taken, remark, seen)


def _remark(gray: np.ndarray) -> str | None:
    """Say that a deep picture, scaled to 8 bits, shows nothing."""
    brightest = int(gray.max(initial=0))
    if brightest > _DARK:
        return None
    return f"{NEARLY_BLACK}: scaled to 8 bits, its brightest part is {brightest} of 255."


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
    if data[:3] == JPEG:
        with contextlib.suppress(ValueError):  # Pillow is the judge; MediaError passes below
            height, width, space, _ = simplejpeg.decode_jpeg_header(data)
            if space not in ("CMYK", "YCCK") and width * height <= max_pixels:
                least = min_size or 0
                how = eighths(height, width, least)
                return kept(data, how, lambda: _jpeg_rgb(data, least))
    return kept(data, ("pillow", max_pixels), lambda: _pillow_rgb(data, max_pixels))


def _jpeg_rgb(data: bytes, least: int) -> np.ndarray:
    pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=least, min_width=least)
    return turn(pixels, exif_of(data)[0])


def _pillow_rgb(data: bytes, max_pixels: int) -> np.ndarray:
    with opened(data, max_pixels) as image:
        return turn(np.array(rgb_of(image)), tags_of(image)[0])


def is_gray(data: bytes) -> bool:
    """Return whether a picture's file has gray values only; False where it does not open."""
    with contextlib.suppress(ValueError):
        if data[:3] == JPEG:
            return bool(simplejpeg.decode_jpeg_header(data)[2] == "Gray")
    with contextlib.suppress(MediaError), opened(data, MAX_PIXELS) as image:
        return bool(image.mode in ("1", "L", "LA") or image.mode.startswith(("I", "F")))
    return False


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


def n_threads(threads: int | None = None) -> int:
    """Return the number of decoding threads: as given, else the cores this process may use."""
    if threads is not None:
        return max(1, threads)
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
    np.pi / SIDE * (np.arange(SIDE) + 0.5) * np.arange(8)[:, None], dtype=np.float32
)  # (8, 32)
