"""Bring the boxes of a table to one form, however their columns are built and called.

[{"label": "cat", "bbox": [x, y, w, h]}, ...]      a list of structures, or JSON of one
{"categories": ["cat", ...], "bbox": [[...], ...]}  a structure of lists (Hugging Face)
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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


def are_labelled_boxes(kind: pa.DataType) -> bool:
    """Return whether a type has boxes of which each has a label, such as a second annotator's."""
    if not holds_boxes(kind):
        return False
    fields = _fields(kind if pa.types.is_struct(kind) else kind.value_type)
    return bool(fields & set(_SAME["label"].split()))


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
    sides = _well_formed([float(side) for side in sides])
    label, score = known.get("label"), known.get("score")
    return {
        "label": None if label is None else str(label),  # type: ignore[typeddict-item]
        "bbox": sides,
        "score": float(score) if isinstance(score, int | float) else None,
        "attributes": json.dumps(extra, ensure_ascii=False) if extra else None,
        "segmentation": _text(known.get("segmentation")),
        "keypoints": _flat(known.get("keypoints")),
    }


def _well_formed(sides: list[float]) -> list[float]:
    if not all(map(math.isfinite, sides)):
        raise ValueError(f"a box has {sides} for its bbox, which are not all finite numbers")
    if min(sides[2:]) < 0:
        raise ValueError(f"a box has {sides} for its bbox: its width or height is negative")
    return sides


def check_boxes(boxes: pa.Array) -> None:
    """Raise ValueError where boxes in their stored form are not well-formed."""
    sides = pc.struct_field(pc.list_flatten(boxes), "bbox")
    lengths = np.asarray(pc.fill_null(pc.list_value_length(sides), -1))
    if (lengths != 4).any():
        wrong = sides[int(np.flatnonzero(lengths != 4)[0])].as_py()
        raise ValueError(f"a box has {wrong!r} for its bbox, not [x, y, w, h]")
    numbers = pc.fill_null(pc.list_flatten(sides), float("nan")).to_numpy(zero_copy_only=False)
    numbers = numbers.reshape(-1, 4)
    bad = ~np.isfinite(numbers).all(axis=1) | (numbers[:, 2:] < 0).any(axis=1)
    if bad.any():
        _well_formed(numbers[int(np.flatnonzero(bad)[0])].tolist())


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
