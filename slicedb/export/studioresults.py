"""Boxes as results of Label Studio, in percent of their picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from slicedb.export.boxes import polygon_of
from slicedb.export.tables import Row
from slicedb.ingest.brush import pack
from slicedb.ingest.outlines import box_around
from slicedb.media.rle import mask_of
from slicedb.schema import KEYPOINT_NAMES, Box


@dataclass
class Controls:
    """What the labelling interface has to offer."""

    labels: dict[str, dict[str, None]] = field(default_factory=dict)
    """Control (box, polygon, mask, point) to its labels."""
    choices: dict[str, None] = field(default_factory=dict)
    """Labels of whole pictures."""
    several: bool = False
    """Whether a picture may have several."""


def results_of(boxes: Sequence[Box], size: tuple[int, int], controls: Controls) -> list[Row]:
    """Return the results of the boxes of a picture.

    A box with one polygon is a polygon, with a mask a brush, with several polygons a rectangle and
    polygons that belong to it; key points belong to their box.

    Args:
        boxes: of the picture.
        size: width and height, pixels.
        controls: to add labels to.
    """
    results: list[Row] = []
    for number, box in enumerate(boxes):
        name = f"object-{number + 1}"
        results += [_shape(box, name, size, controls), *_points(box, name, size, controls)]
    return results


def _shape(box: Box, name: str, size: tuple[int, int], controls: Controls) -> Row:
    outline = json.loads(box.get("segmentation") or "null")
    polygon = polygon_of(box)
    known = json.loads(box["attributes"] or "{}")
    if isinstance(outline, dict):
        rle = pack(mask_of(outline))
        result = _result("brush", "mask", {"format": "rle", "rle": rle}, box, size, controls)
    elif polygon is not None:
        points = [[x, y] for x, y in zip(polygon[::2], polygon[1::2])]
        percent = [[100 * x / size[0], 100 * y / size[1]] for x, y in points]
        result = _result("polygon", "polygon", {"points": percent}, box, size, controls)
    else:
        if outline:
            known["segmentation"] = outline
        x, y, w, h = box["bbox"]
        value = {
            "x": 100 * x / size[0],
            "y": 100 * y / size[1],
            "width": 100 * w / size[0],
            "height": 100 * h / size[1],
            "rotation": 0,
        }
        result = _result("rectangle", "box", value, box, size, controls)
    result["id"] = name
    if box["score"] is not None:
        result["score"] = box["score"]
    if result["type"] != "rectanglelabels" and _is_own(box, outline):
        known["bbox"] = box["bbox"]
    if box.get("keypoints") and KEYPOINT_NAMES not in known:
        known[KEYPOINT_NAMES] = [str(i + 1) for i in range(len(box["keypoints"] or []) // 3)]
    if known:
        result["meta"] = known
    return result


def _is_own(box: Box, outline: object) -> bool:
    """Return whether the sides of a box are others than its outline has."""
    around = box_around(outline)
    return around is None or any(abs(a - b) > 5e-4 for a, b in zip(around, box["bbox"]))


def _result(
    kind: str, control: str, value: Row, box: Box, size: tuple[int, int], controls: Controls
) -> Row:
    label = str(box["label"]) if box["label"] is not None else ""
    controls.labels.setdefault(control, {})[label] = None
    return _with_size({"type": f"{kind}labels", "from_name": control}, value, label, size)


def _with_size(result: Row, value: Row, label: str, size: tuple[int, int]) -> Row:
    return {
        **result,
        "to_name": "image",
        "original_width": size[0],
        "original_height": size[1],
        "image_rotation": 0,
        "value": {**value, result["type"]: [label]},
    }


def _points(box: Box, parent: str, size: tuple[int, int], controls: Controls) -> list[Row]:
    """Return the key points of a box that lie somewhere; without names they have numbers."""
    points = box.get("keypoints") or []
    names = json.loads(box["attributes"] or "{}").get(KEYPOINT_NAMES) or []
    results = []
    for i in range(len(points) // 3):
        x, y, seen = points[3 * i : 3 * i + 3]
        if not (x or y or seen):
            continue
        name = str(names[i]) if i < len(names) else str(i + 1)
        controls.labels.setdefault("point", {})[name] = None
        value = {"x": 100 * x / size[0], "y": 100 * y / size[1], "width": 0.5}
        result = {"type": "keypointlabels", "from_name": "point"}
        about = {"id": f"{parent}-{i + 1}", "parentID": parent, "meta": {"visibility": seen}}
        results.append(_with_size(result, value, name, size) | about)
    return results
