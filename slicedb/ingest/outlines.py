"""Measure and turn the outlines of objects: polygons, and masks in COCO's run-length code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from slicedb import media


def box_around(segmentation: object) -> list[float] | None:
    """Return the box [x, y, w, h] around an outline, pixels; None where it outlines nothing.

    Args:
        segmentation: polygons [[x, y, ...], ...], one polygon [x, y, ...], a list of points, or a
            mask {"size": [h, w], "counts": runs or text} as COCO writes it.

    Raises:
        ValueError: it is something else.

    >>> box_around([[10, 10, 30, 10, 30, 40]])
    [10.0, 10.0, 20.0, 30.0]
    >>> box_around({"size": [4, 5], "counts": [5, 2, 2, 2, 9]})
    [1.0, 1.0, 2.0, 2.0]
    """
    if isinstance(segmentation, dict):
        return _box_of_mask(segmentation)
    points = [number for polygon in polygons(segmentation) for number in polygon]
    if not points:
        return None
    xs, ys = points[::2], points[1::2]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def polygons(segmentation: object) -> list[list[float]]:
    """Return the polygons of an outline, each [x, y, x, y, ...].

    Raises:
        ValueError: it is not made of pairs of numbers.
    """
    if not isinstance(segmentation, list):
        raise ValueError("it is no list")
    parts = segmentation
    if parts and all(isinstance(number, int | float) for number in parts):
        parts = [parts]
    elif parts and all(isinstance(part, list) and len(part) == 2 for part in parts):
        parts = [[number for point in parts for number in point]]
    numbers = [_numbers(part) for part in parts]
    if any(len(polygon) % 2 for polygon in numbers):
        raise ValueError("a polygon has an odd number of coordinates")
    return numbers


def _numbers(part: object) -> list[float]:
    if not isinstance(part, list) or not all(isinstance(n, int | float) for n in part):
        raise ValueError("a polygon is not a list of numbers")
    values = [float(number) for number in part]
    if not all(abs(value) < float("inf") for value in values):
        raise ValueError("a coordinate is not finite")
    return values


def _box_of_mask(mask: dict[str, object]) -> list[float] | None:
    size, counts = mask.get("size"), mask.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(s, int) for s in size):
        raise ValueError("a mask has no size [height, width]")
    runs = runs_of(counts)
    high = int(size[0])
    ends = list(accumulate(runs))
    if high < 1 or not ends or ends[-1] != high * int(size[1]) or min(runs) < 0:
        raise ValueError("the runs of a mask do not fill its size")
    spans = [(end - run, end - 1) for run, end in zip(runs[1::2], ends[1::2]) if run]
    if not spans:
        return None
    # Runs go down the columns; one that enters the next column has the full height.
    tall = any(first // high != last // high for first, last in spans)
    left, right = spans[0][0] // high, spans[-1][1] // high
    top = 0 if tall else min(first % high for first, _ in spans)
    bottom = high - 1 if tall else max(last % high for _, last in spans)
    return [float(left), float(top), float(right - left + 1), float(bottom - top + 1)]


def runs_of(counts: object) -> list[int]:
    """Return the runs of a mask, off and on in turn: numbers as they are, or COCO's text of them.

    The text has five bits of a number in each character, the lowest first; from the fourth on,
    numbers are differences from the last but one (`maskApi.c` of pycocotools).

    Raises:
        ValueError: it is neither.

    >>> runs_of("5222a0")
    [5, 2, 2, 4, 19]
    """
    if isinstance(counts, list) and all(isinstance(n, int) for n in counts):
        return counts
    if not isinstance(counts, str):
        raise ValueError("a mask has no counts")
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError("the counts of a mask are no text of COCO")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value |= -1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the counts of a mask are cut off")
    return runs


def turned(points: Sequence[float], orientation: int, size: tuple[float, float]) -> list[float]:
    """Return points [x, y, ...] of a stored picture as they lie in the displayed one.

    Args:
        points: pixels from the left top corner.
        orientation: EXIF's, 1 to 8.
        size: width and height of the displayed picture.
    """
    out: list[float] = []
    for x, y in zip(points[::2], points[1::2]):
        if orientation >= 5:
            x, y = y, x
        if orientation in (3, 4, 7, 8):
            y = size[1] - y
        if orientation in (2, 3, 6, 7):
            x = size[0] - x
        out += [x, y]
    return out


def turned_box(box: Sequence[float], orientation: int, size: tuple[float, float]) -> list[float]:
    """Return a box [x, y, w, h] of a stored picture as it lies in the displayed one.

    >>> turned_box([40, 10, 20, 20], 6, (48, 64))
    [18, 40, 20, 20]
    """
    x, y, w, h = box
    left, top, right, bottom = turned([x, y, x + w, y + h], orientation, size)
    return [min(left, right), min(top, bottom), abs(right - left), abs(bottom - top)]


def turned_outline(text: str, orientation: int, size: tuple[float, float]) -> str:
    """Return an outline, as JSON, of a stored picture as it lies in the displayed one.

    Raises:
        ValueError: it is no outline.
    """
    outline = json.loads(text)
    if isinstance(outline, dict):
        return json.dumps(_turned_mask(outline, orientation))
    return json.dumps([turned(part, orientation, size) for part in polygons(outline)])


def _turned_mask(mask: dict[str, object], orientation: int) -> dict[str, object]:
    _box_of_mask(mask)  # raises where the runs do not fill the size
    size, runs = mask["size"], np.array(runs_of(mask["counts"]))
    assert isinstance(size, list)
    inside = np.repeat(np.arange(len(runs)) % 2, runs).astype(bool)
    pixels = media.turn(inside.reshape(size[1], size[0]).T, orientation)  # down the columns
    flat = pixels.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    ends = [0, *edges.tolist(), len(flat)]
    counts = [b - a for a, b in pairwise(ends)]
    counts = [0, *counts] if flat[0] else counts  # the first run is off
    return {"size": list(pixels.shape), "counts": counts}
