"""The regions of one Label Studio annotation, as boxes in pixels.

A region is one or several results with one id: its shape (rectangle, polygon, brush, ellipse, key
point), its label, and what was chosen or written about it. Numbers are percent of the picture.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from slicedb.ingest.annotated import box
from slicedb.ingest.brush import unpack
from slicedb.ingest.outlines import box_around, ellipse_points, turned_corners
from slicedb.ingest.source import Row
from slicedb.media.rle import rle_of
from slicedb.schema import KEYPOINT_NAMES, Box

_DIGITS = 3
"""Decimals of a pixel that are kept; files have percent with more than that needs."""
_SHAPES = ("rectangle", "polygon", "keypoint", "brush", "ellipse")


class RegionError(Exception):
    """What is wrong with a result, and its place in the annotation."""


@dataclass
class Regions:
    """What one annotation says: its boxes, and what was chosen of the whole picture."""

    boxes: list[Box] = field(default_factory=list)
    choices: dict[str, list[str]] = field(default_factory=dict)
    """Control to what was chosen there, of the whole picture."""
    values: dict[str, object] = field(default_factory=dict)
    """Control to what was written, rated or counted there."""
    size: tuple[float, float] | None = None
    """Width and height of the picture, as the results state them."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Results that are no boxes and no choices, by their type."""


@dataclass
class _Region:
    """The results of one id."""

    results: list[Row] = field(default_factory=list)
    number: int = 0
    """Place of the first."""


def regions_of(results: Sequence[Row], fallback: tuple[float, float] | None) -> Regions:
    """Return what the results of an annotation say.

    Args:
        results: as Label Studio writes them.
        fallback: width and height of the picture, for results that do not state them.

    Raises:
        RegionError: a result cannot be read.
    """
    found = Regions()
    regions: dict[str, _Region] = {}
    for number, result in enumerate(results):
        if not isinstance(result, dict):
            raise RegionError(f"result[{number}] is no object")
        if result.get("type") == "relation":
            found.left_out["relation"] += 1
            continue
        name = str(result.get("id") or f"#{number}")
        region = regions.setdefault(name, _Region(number=number))
        region.results.append(result)
    places: dict[str, int] = {}
    points: list[tuple[str, _Region]] = []
    for name, region in regions.items():
        shape = _shape(region)
        if shape is None:
            _about_picture(region, found)
            continue
        size = _size(region) or fallback
        found.size = found.size or _size(region)
        if size is None:
            raise RegionError(
                f"result[{region.number}] has no original_width and original_height, and its "
                "picture cannot be read"
            )
        if shape == "keypoint":
            points.append((name, region))
        else:
            places[name] = len(found.boxes)
            found.boxes.append(_box(shape, region, size))
    _add_points(found, points, places, fallback)
    found.boxes = [_unnumbered(one) for one in found.boxes]
    return found


def _shape(region: _Region) -> str | None:
    for result in region.results:
        kind = str(result.get("type") or "")
        for shape in _SHAPES:
            if kind in (shape, f"{shape}labels"):
                return shape
    return None


def _value(result: Row, number: int) -> Row:
    value = result.get("value")
    if not isinstance(value, dict):
        raise RegionError(f"result[{number}] has no value")
    return value


def _size(region: _Region) -> tuple[float, float] | None:
    for result in region.results:
        width, height = result.get("original_width"), result.get("original_height")
        if _is_number(width) and _is_number(height) and min(width, height) > 0:
            return float(width), float(height)
    return None


def _labels(region: _Region) -> list[str]:
    """Return the labels of a region, from whichever of its results has them."""
    for result in region.results:
        value = _value(result, region.number)
        kind = str(result.get("type") or "")
        named = [value.get(kind)] if kind.endswith("labels") else []
        named += [v for k, v in value.items() if k.endswith("labels")]
        for labels in named:
            if isinstance(labels, list) and labels:
                return [str(label) for label in labels]
    return []


def _attributes(region: _Region, labels: Sequence[str]) -> Row:
    """Return what was chosen or written of one region, and notes that people left."""
    known: Row = {}
    for result in region.results:
        value = _value(result, region.number)
        name = str(result.get("from_name") or "")
        for kind in ("choices", "text", "rating", "number", "taxonomy"):
            if kind in value and name:
                known[name] = _one(value[kind])
        meta = result.get("meta")
        for key, item in meta.items() if isinstance(meta, dict) else ():
            known[key] = _one(item) if key == "text" else item
    if len(labels) > 1:
        known["labels"] = list(labels)
    return known


def _one(values: object) -> object:
    """Return the only element of a list, or the list."""
    return values[0] if isinstance(values, list) and len(values) == 1 else values


def _box(shape: str, region: _Region, size: tuple[float, float]) -> Box:
    result = next(r for r in region.results if str(r.get("type") or "").startswith(shape))
    value = _value(result, region.number)
    labels = _labels(region)
    known = _attributes(region, labels)
    outline: object = None
    try:
        if shape == "rectangle":
            sides, outline = _rectangle(value, size, known)
        elif shape == "ellipse":
            sides, outline = _ellipse(value, size, known)
        elif shape == "polygon":
            outline = [_polygon(value, size)]
            sides = _around(outline)
        else:
            mask = unpack(value["rle"], round(size[0]), round(size[1]))
            outline = rle_of(mask)
            sides = box_around(outline) or [0.0, 0.0, 0.0, 0.0]
    except (KeyError, TypeError, ValueError) as error:
        what = f"has no {error}" if isinstance(error, KeyError) else f"cannot be read: {error}"
        raise RegionError(f"result[{region.number}], a {shape}, {what}") from error
    sides, outline = _said(known, sides, outline)
    score = next((r["score"] for r in region.results if _is_number(r.get("score"))), None)
    return box(
        labels[0] if labels else "",
        *sides,
        score=None if score is None else float(score),
        attributes=json.dumps(known, ensure_ascii=False) if known else None,
        segmentation=None if outline is None else json.dumps(outline, separators=(",", ":")),
        keypoints=[0.0] * 3 * len(names)
        if isinstance(names := known.get(KEYPOINT_NAMES), list)
        else None,
    )


def _said(known: Row, sides: list[float], outline: object) -> tuple[list[float], object]:
    """Return the box and the outline of a region; what its shape cannot say, its notes do.

    `slicedb export` writes them there, and they are taken out of its attributes.
    """
    given = known.get("bbox")
    if isinstance(given, list) and len(given) == 4 and all(map(_is_number, given)):
        sides = [float(side) for side in known.pop("bbox")]
    if outline is None and isinstance(known.get("segmentation"), list | dict):
        outline = known.pop("segmentation")
    return sides, outline


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and abs(value) < float("inf")


def _pixels(value: Row, name: str, side: float) -> float:
    number = value[name]
    if not _is_number(number):
        raise ValueError(f"{name} is {number!r}")
    return float(number) * side / 100


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, _DIGITS) for value in values]


def _around(polygons: Sequence[Sequence[float]]) -> list[float]:
    around = box_around([list(polygon) for polygon in polygons])
    if around is None:
        raise ValueError("it has no points")
    return _rounded(around)


def _rectangle(
    value: Row, size: tuple[float, float], known: Row
) -> tuple[list[float], list[list[float]] | None]:
    """Return the box of a rectangle, and its corners where it is turned.

    It is turned clockwise about its left top corner.
    """
    x, y = _pixels(value, "x", size[0]), _pixels(value, "y", size[1])
    w, h = _pixels(value, "width", size[0]), _pixels(value, "height", size[1])
    angle = value.get("rotation") or 0
    if not angle:
        return _rounded([x, y, w, h]), None
    known["rotation"] = angle
    turned = turned_corners([x, y, w, h], angle, (x, y))
    return _around([turned]), [_rounded(turned)]


def _ellipse(
    value: Row, size: tuple[float, float], known: Row
) -> tuple[list[float], list[list[float]]]:
    """Return the box around an ellipse, and a polygon that follows it."""
    x, y = _pixels(value, "x", size[0]), _pixels(value, "y", size[1])
    a, b = _pixels(value, "radiusX", size[0]), _pixels(value, "radiusY", size[1])
    points = ellipse_points((x, y), (a, b), value.get("rotation") or 0)
    known["shape"] = "ellipse"
    return _around([points]), [_rounded(points)]


def _polygon(value: Row, size: tuple[float, float]) -> list[float]:
    points = value["points"]
    if not isinstance(points, list) or len(points) < 2:
        raise ValueError(f"its points are {str(points)[:40]}")
    flat = []
    for point in points:
        if not isinstance(point, list) or len(point) != 2 or not all(map(_is_number, point)):
            raise ValueError(f"a point is {point!r}")
        flat += [point[0] * size[0] / 100, point[1] * size[1] / 100]
    return _rounded(flat)


def _add_points(
    found: Regions,
    points: Sequence[tuple[str, _Region]],
    places: dict[str, int],
    fallback: tuple[float, float] | None,
) -> None:
    """Add key points to the boxes they belong to (`parentID`); one alone is an object of its own.

    Where the box names its key points, theirs is the order; otherwise it is that of the file.
    """
    for _, region in points:
        result = region.results[0]
        size = _size(region) or fallback
        assert size is not None
        value, labels = _value(result, region.number), _labels(region)
        try:
            at = _rounded([_pixels(value, "x", size[0]), _pixels(value, "y", size[1])])
        except (KeyError, ValueError) as error:
            raise RegionError(f"result[{region.number}], a key point, has {error}") from error
        meta = result.get("meta")
        seen = meta.get("visibility", 2) if isinstance(meta, dict) else 2
        point = [*at, float(seen) if _is_number(seen) else 2.0]
        label = labels[0] if labels else ""
        place = places.get(str(result.get("parentID") or ""))
        if place is None:
            known = json.dumps({KEYPOINT_NAMES: [label]}, ensure_ascii=False)
            alone = box(label, at[0], at[1], 0.0, 0.0, attributes=known, keypoints=point)
            found.boxes.append(alone)
            continue
        found.boxes[place] = _with_point(found.boxes[place], label, point)


def _with_point(one: Box, name: str, point: list[float]) -> Box:
    """Return a box with one more key point, in the place that its name has."""
    known = json.loads(one["attributes"] or "{}")
    points = list(one["keypoints"] or [])
    names = known.setdefault(KEYPOINT_NAMES, [])
    free = (i for i, other in enumerate(names) if other == name and not points[3 * i + 2])
    at = next(free, len(names))
    if at == len(names):
        names.append(name)
        points += [0.0] * 3
    points[3 * at : 3 * at + 3] = point
    new = one.copy()
    new["attributes"], new["keypoints"] = json.dumps(known, ensure_ascii=False), points
    return new


def _unnumbered(one: Box) -> Box:
    """Return a box without names of its key points that are their numbers."""
    if KEYPOINT_NAMES not in (one["attributes"] or ""):
        return one
    known = json.loads(one["attributes"] or "{}")
    if known[KEYPOINT_NAMES] != [str(i + 1) for i in range(len(known[KEYPOINT_NAMES]))]:
        return one
    del known[KEYPOINT_NAMES]
    new = one.copy()
    new["attributes"] = json.dumps(known, ensure_ascii=False) if known else None
    return new


def _about_picture(region: _Region, found: Regions) -> None:
    """Take what was chosen or written of the whole picture."""
    for result in region.results:
        value = _value(result, region.number)
        name = str(result.get("from_name") or result.get("type") or "")
        kind = str(result.get("type") or "")
        if kind == "choices" and isinstance(value.get("choices"), list):
            found.choices.setdefault(name, []).extend(map(str, value["choices"]))
        elif kind == "taxonomy" and isinstance(value.get("taxonomy"), list):
            paths = ("/".join(map(str, p)) for p in value["taxonomy"] if isinstance(p, list))
            found.choices.setdefault(name, []).extend(paths)
        elif kind in ("textarea", "rating", "number", "datetime"):
            inner = next((value[k] for k in ("text", kind) if k in value), None)
            found.values[name] = "\n".join(inner) if isinstance(inner, list) else inner
        else:
            found.left_out[kind or "result without a type"] += 1
