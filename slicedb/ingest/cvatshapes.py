"""The shapes of one picture of CVAT's XML, as boxes in pixels.

<box label xtl ytl xbr ybr rotation>      turned about its middle: its corners are kept
<polygon label points="x,y;x,y;...">      <ellipse label cx cy rx ry rotation>
<mask label rle="8, 4, ..." left top width height>
<points label points="x,y;...">           <skeleton label> <points label points outside>
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np

from slicedb.ingest.annotated import box, scalar
from slicedb.ingest.outlines import box_around, ellipse_points, turned_corners
from slicedb.ingest.source import Row
from slicedb.media.rle import rle_of
from slicedb.schema import KEYPOINT_NAMES, Box
from slicedb.show.numbers import count

SHAPES = ("box", "polygon", "ellipse", "mask", "points", "skeleton")
"""Elements that become boxes."""
_DIGITS = 3
"""Decimals of a pixel that are kept of what is worked out here."""
_OWN = frozenset(
    """
    label source points xtl ytl xbr ybr rotation cx cy rx ry rle left top width height id name
    """.split()
)
"""Attributes of an element that are not attributes of its box."""


class ShapeError(Exception):
    """What is wrong with a shape."""


def box_of(item: ElementTree.Element, size: tuple[float, float] | None) -> Box:
    """Return the box of one shape.

    Args:
        item: one of `SHAPES`.
        size: width and height of the picture, which a mask needs.

    Raises:
        ShapeError: it cannot be read.
    """
    label = (item.get("label") or "").strip()
    if not label:
        raise ShapeError(f"a {item.tag} has no label")
    known = _attributes(item)
    outline: object = None
    points: list[float] | None = None
    try:
        if item.tag == "box":
            sides, outline = _box(item, known)
        elif item.tag == "polygon":
            outline = [_pairs(item)]
            sides = _around(outline)
        elif item.tag == "ellipse":
            middle, radii = _numbers(item, "cx", "cy"), _numbers(item, "rx", "ry")
            corners = ellipse_points(middle, radii, _angle(item))
            known["shape"] = "ellipse"
            sides, outline = _around([corners]), [_rounded(corners)]
        elif item.tag == "mask":
            outline = _mask(item, size)
            sides = box_around(outline) or [0.0, 0.0, 0.0, 0.0]
        else:
            points, names = _points(item)
            sides = _around([_placed(points)])
            if names:
                known[KEYPOINT_NAMES] = names
    except ValueError as error:
        raise ShapeError(f"a {item.tag} '{label}' cannot be read: {error}") from error
    return box(
        label,
        sides[0],
        sides[1],
        sides[2],
        sides[3],
        attributes=json.dumps(known, ensure_ascii=False) if known else None,
        segmentation=None if outline is None else json.dumps(outline, separators=(",", ":")),
        keypoints=points,
    )


def _attributes(item: ElementTree.Element) -> Row:
    known: Row = {k: scalar(v) for k, v in item.attrib.items() if k not in _OWN}
    if known.get("occluded") == 0:
        del known["occluded"]
    if known.get("z_order") == 0:
        del known["z_order"]
    for inner in item.findall("attribute"):
        name, text = inner.get("name"), (inner.text or "").strip()
        if name and text:
            known[name] = {"true": True, "false": False}.get(text, scalar(text))
    return known


def _numbers(item: ElementTree.Element, *names: str) -> list[float]:
    values = []
    for name in names:
        text = item.get(name)
        if text is None:
            raise ValueError(f"it has no {name}")
        values.append(_number(text, name))
    return values


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise ValueError(f"{name} is '{text[:40]}'")
    return value


def _angle(item: ElementTree.Element) -> float:
    return _number(item.get("rotation") or "0", "rotation")


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, _DIGITS) for value in values]


def _around(polygons: list[list[float]]) -> list[float]:
    around = box_around(polygons)
    if around is None:
        raise ValueError("it has no points")
    return _rounded(around)


def _box(item: ElementTree.Element, known: Row) -> tuple[list[float], list[list[float]] | None]:
    left, top, right, bottom = _numbers(item, "xtl", "ytl", "xbr", "ybr")
    sides = _rounded([left, top, right - left, bottom - top])
    angle = _angle(item)
    if not angle:
        return sides, None
    known["rotation"] = angle
    w, h = right - left, bottom - top
    corners = turned_corners([left, top, w, h], angle, (left + w / 2, top + h / 2))
    return _around([corners]), [_rounded(corners)]


def _pairs(item: ElementTree.Element) -> list[float]:
    """Return the points of an element, [x, y, ...]."""
    text = item.get("points") or ""
    pairs = [pair.split(",") for pair in text.split(";") if pair.strip()]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"its points are '{text[:40]}'")
    return [_number(number.strip(), "a point") for pair in pairs for number in pair]


def _points(item: ElementTree.Element) -> tuple[list[float], list[str]]:
    """Return key points as COCO has them, and their names: a skeleton says them, points do not."""
    if item.tag == "points":
        flat = _pairs(item)
        return [n for i in range(0, len(flat), 2) for n in (*flat[i : i + 2], 2.0)], []
    points: list[float] = []
    names: list[str] = []
    for inner in item.findall("points"):
        x, y = _pairs(inner)[:2]
        if inner.get("outside") == "1":
            points += [0.0, 0.0, 0.0]
        else:
            points += [x, y, 1.0 if inner.get("occluded") == "1" else 2.0]
        names.append(inner.get("label") or str(len(names) + 1))
    if not points:
        raise ValueError("it has no points")
    return points, names


def _placed(points: list[float]) -> list[float]:
    """Return [x, y, ...] of the key points that lie somewhere."""
    pairs = [points[i : i + 2] for i in range(0, len(points), 3) if points[i + 2]]
    return [number for pair in pairs for number in pair] or [0.0, 0.0]


def _mask(item: ElementTree.Element, size: tuple[float, float] | None) -> dict[str, object]:
    """Return a mask in COCO's code: CVAT has runs along the rows of the box around it.

    Raises:
        ValueError: its runs do not fill its box, or it reaches beyond the picture.
    """
    left, top, width, height = (int(n) for n in _numbers(item, "left", "top", "width", "height"))
    runs = [int(_number(n.strip(), "a run")) for n in (item.get("rle") or "").split(",")]
    if sum(runs) != width * height or min(runs) < 0:
        raise ValueError(
            f"its runs are of {count(sum(runs), 'pixel')}, its box of {width * height:,}"
        )
    if size is None:
        raise ValueError("its picture has no width and height")
    whole = np.zeros((round(size[1]), round(size[0])), bool)
    inside = whole[top : top + height, left : left + width]
    if min(left, top) < 0 or inside.shape != (height, width):
        raise ValueError("it reaches beyond the picture")
    inside[:] = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    return rle_of(whole)
