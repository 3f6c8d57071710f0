"""Bring Pillow's many kinds of images to one: orientation, alpha, depth."""

from __future__ import annotations

import datetime as dt

import numpy as np
from PIL import Image

SIDE = 32
"""Pixels of the small picture that `phash` takes."""

GRAY_RANGE = "slicedb gray range"
"""Where the `info` of an open picture says what becomes black and white."""
_ORIENTATION, _EXIF_IFD, _TAKEN, _DATE = 0x0112, 0x8769, 0x9003, 0x0132
_BITS_PER_SAMPLE, _MIN, _MAX, _S_MIN, _S_MAX = 258, 280, 281, 340, 341
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
    # What `fromarray` and `asarray` do for one mode, in two thirds of their time.
    image = Image.frombuffer("L", gray.shape[::-1], np.ascontiguousarray(gray), "raw", "L", 0, 1)
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    return np.frombuffer(small.tobytes(), np.uint8).reshape(SIDE, SIDE)


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
    if is_deep(image):
        return Image.fromarray(_to_8_bits(np.asarray(image), image)).convert("RGB")
    if image.mode.endswith(("A", "a")) or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(rgba, mask=rgba.getchannel("A"))
        return white
    return image.convert("RGB")


def _to_8_bits(values: np.ndarray, image: Image.Image) -> np.ndarray:
    """Scale gray to uint8: by the range that the file declares, else by what the picture holds.

    Files of 9 to 16 bits declare one; of 32 bits and floats only those do that name a least and a
    largest value. Otherwise the largest value becomes white, and 0, or the least value where it is
    negative, black: one rule, whatever the unit. A range that the user gave comes before all.
    """
    if (given := image.info.get(GRAY_RANGE)) is not None:
        return _scaled(np.nan_to_num(values.astype(np.float64), nan=given[0]), *given)
    if values.dtype == np.uint16 or image.format == "PNG":
        low, high = _declared(image, values, 2 ** _bits(image) - 1)
        if (low, high) == (0, 65535):
            return np.asarray((values.astype(np.uint32) + 128) // 257, dtype=np.uint8)
    else:
        values = values.astype(np.float64)
        finite = values[np.isfinite(values)]
        held = float(finite.max(initial=0))
        values = np.nan_to_num(values, nan=0.0, posinf=held, neginf=float(finite.min(initial=0)))
        low, high = _declared(image, values, held)
        low = low or min(0.0, float(values.min(initial=0)))
    return _scaled(values.astype(np.float64), low, high)


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    scaled = (values - low) / ((high - low) or 1.0) * 255
    return np.round(np.clip(scaled, 0, 255)).astype(np.uint8)


def _bits(image: Image.Image) -> int:
    """Return how many bits a TIFF declares for a sample; 16 of anything else."""
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE)
    first = bits[0] if isinstance(bits, tuple) and bits else bits
    return first if isinstance(first, int) and 8 < first <= 16 else 16


def _declared(image: Image.Image, values: np.ndarray, high: float) -> tuple[float, float]:
    """Return the least and the largest value that a TIFF names, else 0 and `high`.

    Values that the picture passes are not believed.
    """
    tags = getattr(image, "tag_v2", {})
    for least, most in ((_S_MIN, _S_MAX), (_MIN, _MAX)):
        low, top = (_number(tags.get(tag)) for tag in (least, most))
        low = 0.0 if low is None else low
        if top is None or not low < top:
            continue
        if low <= float(values.min(initial=top)) and float(values.max(initial=low)) <= top:
            return low, top
    return 0.0, high


def _number(value: object) -> float | None:
    first = value[0] if isinstance(value, tuple) and value else value
    is_number = isinstance(first, int | float) and np.isfinite(first)
    return float(first) if is_number else None  # type: ignore[arg-type]


def is_deep(image: Image.Image) -> bool:
    """Return whether a picture has more than 8 bits a sample, and is scaled for display."""
    return bool(image.mode == "F" or image.mode.startswith("I"))
