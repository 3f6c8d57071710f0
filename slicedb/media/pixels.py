"""Bring Pillow's many kinds of images to one: orientation, alpha, depth."""

from __future__ import annotations

import datetime as dt

import numpy as np
from PIL import Image

SIDE = 32
"""Pixels of the small picture that `phash` takes."""

_ORIENTATION, _EXIF_IFD, _TAKEN, _DATE = 0x0112, 0x8769, 0x9003, 0x0132
_REDUCIBLE = frozenset({"L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"})


def tags_of(image: Image.Image) -> tuple[int, dt.datetime | None]:
    try:
        exif = image.getexif()
        orientation = exif.get(_ORIENTATION, 1)
        text = (exif.get_ifd(_EXIF_IFD).get(_TAKEN) or exif.get(_DATE)) if exif else None
    except Exception:  # a broken tag block does not make the pixels wrong
        return 1, None
    return orientation if orientation in range(1, 9) else 1, _time(text)


def _time(text: object) -> dt.datetime | None:
    try:
        return dt.datetime.strptime(str(text).strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
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


def shrink(gray: np.ndarray) -> np.ndarray:
    """Return uint8 (32, 32) of a picture (h, w)."""
    if gray.shape == (SIDE, SIDE):
        return gray
    small = Image.fromarray(gray).resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(small)


def gray_of(image: Image.Image) -> np.ndarray:
    """Return uint8 (h, w), reduced in size first where the picture is large."""
    factor = min(image.size) // (4 * SIDE)
    if factor > 1 and image.mode in _REDUCIBLE and "transparency" not in image.info:
        image = image.reduce(factor)
    return np.asarray(rgb_of(image).convert("L"))


def rgb_of(image: Image.Image) -> Image.Image:
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
