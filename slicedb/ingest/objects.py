"""Bring the boxes of a table to one form, however their columns are built and called.

[{"label": "cat", "bbox": [x, y, w, h]}, ...]      a list of structures, or JSON of one
{"categories": ["cat", ...], "bbox": [[...], ...]}  a structure of lists (Hugging Face)
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pyarrow as pa

from slicedb.schema import ANNOTATION, Box

BOXES = pa.list_(ANNOTATION)

_SAME = {
    "label": "label labels category categories category_name class class_name classes name names"
    " category_id class_id",
    "bbox": "bbox bboxes box boxes",
    "score": "score scores confidence",
    "segmentation": "segmentation segmentations polygon polygons mask",
    "keypoints": "keypoints keypoint",
    "iscrowd": "iscrowd is_crowd crowd",
    "attributes": "attributes",
}
"""What a field of a box is called by others, the first that is there being taken."""


def holds_boxes(kind: pa.DataType) -> bool:
    """Return whether a type is a list of structures with a box, or a structure of lists of them."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
        return pa.types.is_struct(kind) and bool(_fields(kind) & {"bbox", "bboxes", "box"})
    if not pa.types.is_struct(kind):
        return False
    lists = {f.name.lower() for f in kind if _is_list(f.type) and _is_list(f.type.value_type)}
    return bool(lists & set(_SAME["bbox"].split()))


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _fields(kind: pa.DataType) -> set[str]:
    return {field.name.lower() for field in kind}


def boxes_of(values: list[object]) -> pa.Array:
    """Return boxes as `slicedb.schema.ANNOTATION` in lists; None stays null.

    Raises:
        ValueError: a value is no list of boxes; the message says why.
    """
    return pa.array([None if value is None else _row(value) for value in values], BOXES)


def _row(value: object) -> list[Box]:
    if isinstance(value, dict):
        value = _unzipped(value)
    if not isinstance(value, list):
        raise ValueError(f"{str(value)[:60]!r} is no list of boxes")
    return [_box(one) for one in value]


def _unzipped(lists: Mapping[str, object]) -> list[dict[str, object]]:
    """Return a structure of lists as a list of structures."""
    columns = {k: v for k, v in lists.items() if isinstance(v, list)}
    sizes = {len(column) for column in columns.values()}
    if len(sizes) > 1:
        shown = ", ".join(f"{len(column)} {name}" for name, column in columns.items())
        raise ValueError(f"the lists of a row of boxes have different lengths: {shown}")
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


def _box(value: object) -> Box:
    if not isinstance(value, dict):
        raise ValueError(f"{str(value)[:60]!r} is no box")
    rest = {name.lower(): (name, item) for name, item in value.items()}
    known: dict[str, object] = {}
    for field, names in _SAME.items():
        for name in names.split():
            if name in rest and rest[name][1] is not None and field not in known:
                known[field] = rest.pop(name)[1]
    sides = known.get("bbox")
    if not isinstance(sides, list) or len(sides) != 4:
        raise ValueError(f"a box has {sides!r} for its bbox, not [x, y, w, h]")
    extra = {name: item for name, item in rest.values() if isinstance(item, str | int | float)}
    if known.get("iscrowd"):
        extra["iscrowd"] = 1
    given = known.get("attributes")
    if given is not None:
        extra |= given if isinstance(given, dict) else json.loads(str(given))
    label, score = known.get("label"), known.get("score")
    return {
        "label": None if label is None else str(label),  # type: ignore[typeddict-item]
        "bbox": [float(side) for side in sides],
        "score": float(score) if isinstance(score, int | float) else None,
        "attributes": json.dumps(extra, ensure_ascii=False) if extra else None,
        "segmentation": _text(known.get("segmentation")),
        "keypoints": _flat(known.get("keypoints")),
    }


def _text(outline: object) -> str | None:
    """Return an outline as JSON; text is JSON already."""
    if outline is None or isinstance(outline, str):
        return outline
    return json.dumps(outline, separators=(",", ":"))


def _flat(points: object) -> list[float] | None:
    if not isinstance(points, list) or not points:
        return None
    if isinstance(points[0], list):
        return [float(number) for point in points for number in point]
    return [float(number) for number in points]
