"""Draw what a task says of a sample on its picture: boxes, or classes of pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from colorsys import hsv_to_rgb
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from slicedb.media import decode_rgb
from slicedb.media.labelmap import fitted
from slicedb.media.marks import Mark, jpeg, marked
from slicedb.show.html import Html, element
from slicedb.tasks.task import Shown, ShownBox, ShownMap

if TYPE_CHECKING:
    from PIL import Image

_COVER = 0.55
"""How much of a pixel's colour is that of its class."""
_NAMED = 24
"""Classes that the legend names at most."""

MATCHED, MISSED, WRONG, UNJUDGED = (22, 140, 70), (214, 128, 0), (208, 44, 36), (40, 110, 205)
"""Colours: right, missed, a box that should not be there, and not held against a truth."""


def picture(
    data: bytes, side: int, boxes: Iterable[ShownBox] = (), maps: Sequence[ShownMap] = ()
) -> bytes:
    """Return a picture as JPEG, its longer side `side` pixels, with boxes or classes on it.

    Label maps are laid over the picture in the colours of their classes, side by side where there
    are several.

    Raises:
        MediaError: it does not decode.
    """
    marks = [mark_of(box) for box in boxes]
    pixels = decode_rgb(data, None if marks or maps else side)
    if maps:
        return jpeg(_laid(pixels, maps, side))
    return jpeg(marked(pixels, sorted(marks, key=lambda mark: not mark.dashed), side))


def _laid(pixels: np.ndarray, maps: Sequence[ShownMap], side: int) -> Image.Image:
    """Return a picture under each label map, side by side, the longer side of each `side`."""
    from PIL import Image

    scale = side / max(pixels.shape[:2])
    height, width = (max(1, round(n * scale)) for n in pixels.shape[:2])
    small = np.asarray(Image.fromarray(pixels).resize((width, height), reducing_gap=2.0))
    parts = [overlaid(small, one) for one in maps]
    return Image.fromarray(np.concatenate(parts, axis=1))


def overlaid(pixels: np.ndarray, shown: ShownMap) -> np.ndarray:
    """Return a picture, uint8 (h, w, 3), half covered by the colours of a label map.

    Pixels of no class keep the picture's colour.
    """
    codes = fitted(shown.codes, pixels.shape[:2]).astype(np.int64)
    known = codes < len(shown.classes)
    if shown.ignored is not None:
        known &= codes != shown.ignored
    palette = np.array([colour_of(name) for name in shown.classes] or [(0, 0, 0)], np.float32)
    colours = palette[np.where(known, codes, 0)]
    mixed = (1 - _COVER) * pixels + _COVER * colours
    return np.where(known[..., None], mixed, pixels).round().astype(np.uint8)


def colour_of(name: str) -> tuple[int, int, int]:
    """Return the colour of a class: of its name, so that it is the same in every picture.

    >>> colour_of("road") == colour_of("road") != colour_of("sky")
    True
    """
    hue = int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "big")
    red, green, blue = hsv_to_rgb(hue % 360 / 360, 0.55 + hue // 360 % 5 * 0.1, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def mark_of(box: ShownBox) -> Mark:
    """Return a box as it is drawn: truth dashed, what is missed with its name, and predictions.

    >>> mark_of(ShownBox((0, 0, 9, 9), "car", 0.92, "double")).text
    'double car 0.92'
    """
    if box.score is None:
        is_missed = box.state == "missed"
        text = f"missed {box.label}" if is_missed else "" if box.state else box.label
        return Mark(box.xywh, text, MISSED if is_missed else MATCHED, dashed=True)
    colour = {"matched": MATCHED, "": UNJUDGED}.get(box.state, WRONG)
    kind = "" if box.state in ("", "matched") else f"{box.state} "
    return Mark(box.xywh, f"{kind}{box.label} {box.score:.2f}", colour)


def classes_in(shown: ShownMap) -> list[str]:
    """Return the names of the classes that a label map has."""
    codes = np.unique(shown.codes).tolist()
    return [shown.classes[c] for c in codes if c < len(shown.classes) and c != shown.ignored]


def legend(shown: Iterable[Shown]) -> Html:
    """Return what the colours mean, of the boxes and classes that are drawn; "" without any."""
    shown = list(shown)
    states = {box.state for one in shown for box in one.boxes if box.score is not None}
    missed = any(b.state == "missed" for one in shown for b in one.boxes if b.score is None)
    truth = any(box.score is None for one in shown for box in one.boxes)
    rows: tuple[tuple[bool, tuple[int, int, int], str], ...] = (
        (truth, MATCHED, "dashed: annotated"),
        ("matched" in states, MATCHED, "predicted and matched"),
        (missed, MISSED, "dashed: annotated and missed"),
        (bool(states - {"", "matched"}), WRONG, "predicted and wrong"),
        ("" in states, UNJUDGED, "predicted, not judged"),
    )
    names = sorted({name for one in shown for drawn in one.maps for name in classes_in(drawn)})
    drawn_maps = any(one.maps for one in shown)
    rows += tuple((True, colour_of(name), name) for name in names[:_NAMED])
    parts = [
        _swatch(colour) + element("span", f" {text}   ")
        for is_there, colour, text in rows
        if is_there
    ]
    if drawn_maps and any(len(one.maps) > 1 for one in shown):
        parts.append(element("span", "left: annotated, right: predicted"))
    return element("p", *map(Html, parts)) if parts else Html()


def _swatch(colour: tuple[int, int, int]) -> Html:
    """Return a small square of a colour; a page may forbid styles, but not this attribute."""
    square = element("rect", width=10, height=10, fill=f"rgb{colour}")
    return element("svg", square, class_="inline", width=10, height=10, aria_hidden="true")
