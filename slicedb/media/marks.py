"""Draw boxes on a picture, in small or enlarged, at the place where they are."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

_DASH = 5
"""Pixels of a dash and of the gap after it."""
_PIXELATED = 2.0
"""Enlarged by this factor or more a picture keeps its pixels sharp."""
_LETTERS = 10
"""Height of a text in pixels."""


@dataclass(frozen=True)
class Mark:
    """A box to draw."""

    xywh: tuple[float, float, float, float]
    """Left, top, width, height, in pixels of the picture as displayed."""
    text: str
    """What stands above it; "" is nothing."""
    colour: Colour
    dashed: bool = False


def marked(pixels: np.ndarray, marks: Sequence[Mark], side: int) -> Image.Image:
    """Return a picture whose longer side has `side` pixels, with boxes on it.

    Args:
        pixels: uint8 (h, w, 3), as displayed and of full size.
        marks: the boxes; later ones lie over earlier ones.
        side: pixels of the longer side; a smaller picture is enlarged.
    """
    image = Image.fromarray(pixels)
    scale = side / max(image.size)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    sharp = scale >= _PIXELATED
    how = Image.Resampling.NEAREST if sharp else Image.Resampling.BILINEAR
    image = image.resize(size, how, reducing_gap=None if scale >= 1 else 2.0)
    draw = ImageDraw.Draw(image)
    across, down = size[0] / pixels.shape[1], size[1] / pixels.shape[0]
    for mark in marks:
        x, y, w, h = mark.xywh
        corners = (x * across, y * down, (x + w) * across, (y + h) * down)
        _outline(draw, corners, size, mark, 2 if side >= 96 else 1)
    for mark in marks:
        if mark.text:
            x, y, _, h = mark.xywh
            _write(draw, (x * across, y * down, (y + h) * down), size, mark)
    return image


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    """Return a picture as JPEG."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _outline(
    draw: ImageDraw.ImageDraw,
    corners: tuple[float, float, float, float],
    size: tuple[int, int],
    mark: Mark,
    width: int,
) -> None:
    """Draw the edges inside of the box, its outermost pixels."""
    left, top = (min(max(round(v), 0), s - 1) for v, s in zip(corners[:2], size))
    right, bottom = (min(max(round(v) - 1, 0), s - 1) for v, s in zip(corners[2:], size))
    right, bottom = max(right, left), max(bottom, top)
    if not mark.dashed:
        draw.rectangle((left, top, right, bottom), outline=mark.colour, width=width)
        return
    for start in range(left, right + 1, 2 * _DASH):
        stop = min(start + _DASH - 1, right)
        draw.rectangle((start, top, stop, top + width - 1), fill=mark.colour)
        draw.rectangle((start, bottom - width + 1, stop, bottom), fill=mark.colour)
    for start in range(top, bottom + 1, 2 * _DASH):
        stop = min(start + _DASH - 1, bottom)
        draw.rectangle((left, start, left + width - 1, stop), fill=mark.colour)
        draw.rectangle((right - width + 1, start, right, stop), fill=mark.colour)


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float, float],
    size: tuple[int, int],
    mark: Mark,
) -> None:
    """Write a text on its colour above a box, else below it, else in it, where there is room.

    Args:
        place: left, top and bottom of the box.
    """
    font = ImageFont.load_default(_LETTERS)
    text = mark.text.encode("latin-1", "replace").decode("latin-1")  # what the built-in font has
    box = draw.textbbox((0, 0), text, font=font)
    width, height = box[2] + 2, box[3] + 1
    left, top, bottom = place
    x = min(max(left, 0), max(size[0] - width, 0))
    y = top - height
    if y < 0:
        y = bottom if bottom + height <= size[1] else top + 2
    draw.rectangle((x, y, x + width, y + height), fill=mark.colour)
    draw.text((x + 1, y), text, fill=(255, 255, 255), font=font)
