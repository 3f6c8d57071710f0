"""Measure and turn the outlines of objects: polygons, and masks in COCO's run-length code."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import accumulate

from slicedb import media
from slicedb.media.rle import mask_of, rle_of, runs_and_size

_CORNERS = 32
"""Corners of the polygon that stands for an ellipse."""


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
    runs, high, _ = runs_and_size(mask)
    ends = list(accumulate(runs))
    spans = [(end - run, end - 1) for run, end in zip(runs[1::2], ends[1::2]) if run]
    if not spans:
        return None
    # Runs go down the columns; one that enters the next column has the full height.
    tall = any(first // high != last // high for first, last in spans)
    left, right = spans[0][0] // high, spans[-1][1] // high
    top = 0 if tall else min(first % high for first, _ in spans)
    bottom = high - 1 if tall else max(last % high for _, last in spans)
    return [float(left), float(top), float(right - left + 1), float(bottom - top + 1)]


def turned_corners(
    sides: Sequence[float], degrees: float, about: tuple[float, float]
) -> list[float]:
    """Return the corners [x, y, ...] of a box [x, y, w, h] that is turned clockwise about a point.

    >>> [round(n) for n in turned_corners([40, 20, 20, 10], 90, (40, 20))]
    [40, 20, 40, 40, 30, 40, 30, 20]
    """
    x, y, w, h = sides
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners: list[float] = []
    for px, py in ((x, y), (x + w, y), (x + w, y + h), (x, y + h)):
        dx, dy = px - about[0], py - about[1]
        corners += [about[0] + dx * cos - dy * sin, about[1] + dx * sin + dy * cos]
    return corners


def ellipse_points(middle: Sequence[float], radii: Sequence[float], degrees: float) -> list[float]:
    """Return a polygon [x, y, ...] that follows an ellipse, turned clockwise about its middle."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    points: list[float] = []
    for i in range(_CORNERS):
        t = 2 * math.pi * i / _CORNERS
        u, v = radii[0] * math.cos(t), radii[1] * math.sin(t)
        points += [middle[0] + u * cos - v * sin, middle[1] + u * sin + v * cos]
    return points


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
    return rle_of(media.turn(mask_of(mask), orientation))
