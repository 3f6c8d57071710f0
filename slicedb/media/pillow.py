"""Open images with Pillow, with its errors in our words and its warnings kept in."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from PIL import Image

from slicedb.errors import MediaError
from slicedb.media.formats import OPENERS, check_png, is_tiff, reason_of
from slicedb.media.libtiff import silence, unsupported
from slicedb.media.pixels import GRAY_RANGE, tags_of
from slicedb.media.ranged import range_of

LARGE = 1 << 24
"""Pixels beyond which images are decoded one at a time, whatever the number of threads."""

_EXIF_WITHIN = 1 << 17


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


quiet = _Quiet()
large_lock = threading.Lock()


def one_large(pixels: int) -> contextlib.AbstractContextManager[object]:
    """Return what to hold while an image of so many pixels is decoded."""
    return large_lock if pixels > LARGE else contextlib.nullcontext()


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse an image by its header.

    Raises:
        MediaError: too_large.
    """
    if width * height > max_pixels:
        raise MediaError(
            "too_large", f"{width} × {height} pixels are more than the {max_pixels:,} allowed."
        )


@contextlib.contextmanager
def opened(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """Open and load the first frame, size checked before; translate whatever Pillow raises."""
    if is_tiff(data):
        silence()
    with quiet:
        try:
            with Image.open(io.BytesIO(data), formats=OPENERS) as image:
                check_size(image.width, image.height, max_pixels)
                with one_large(image.width * image.height):
                    image.load()
                    if gray := range_of(data, image.format):
                        image.info[GRAY_RANGE] = gray
                    if image.format == "PNG":
                        check_png(data)
                    yield image
        except MediaError:
            raise
        except Image.DecompressionBombError as error:
            raise MediaError("too_large", str(error)) from error
        except Exception as error:  # Pillow raises nearly anything on broken bytes
            reason = reason_of(data, str(error))
            message = "No known image format." if reason == "not_an_image" else str(error)
            message = unsupported(data) if reason == "unsupported" else message
            raise MediaError(reason, message.split("<_io")[0].strip()) from error


def exif_of(data: bytes) -> tuple[int, dt.datetime | None]:
    """Return orientation (1 to 8) and time taken of a JPEG."""
    if data.find(b"Exif\0\0", 0, _EXIF_WITHIN) < 0:
        return 1, None
    with (
        quiet,
        contextlib.suppress(Exception),
        Image.open(io.BytesIO(data), formats=["JPEG"]) as image,
    ):
        return tags_of(image)
    return 1, None


def size_of(path: str) -> tuple[int, int] | None:
    """Return width and height of an image file as displayed, from its head alone.

    Returns:
        None where it is no image that can be read.
    """
    head = head_of(path)
    if head is None:
        return None
    width, height, orientation = head
    return (width, height) if orientation < 5 else (height, width)


def head_of(image: str | bytes) -> tuple[int, int, int] | None:
    """Return width and height as stored, and EXIF's orientation (1 to 8), from the head alone.

    Args:
        image: path of a file, or the encoded bytes.

    Returns:
        None where it is no image that can be read.
    """
    silence()
    try:
        with quiet, Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
            return *opened.size, tags_of(opened)[0]
    except Exception:  # what is wrong with it is found out when it is verified
        return None
