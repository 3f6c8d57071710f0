"""Build columns of objects: the boxes of each image, from models and from users."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import CheckError, PredictionError, did_you_mean
from slicedb.metrics.boxes import Flat
from slicedb.metrics.outcomes import Bools, Floats, Ints
from slicedb.schema import OBJECT
from slicedb.show import numbers
from slicedb.tasks.arrays import one_array
from slicedb.tasks.given import GivenBatch, numpy_of, unknown_in

_OTHER = {"width": "w", "height": "h", "confidence": "score", "conf": "score"}
_LABELS = (
    "label",
    "name",
    "class_name",
    "category_name",
    "category",
    "class",
    "category_id",
    "cls",
)
"""What the column of labels is called, the first that is there being taken."""
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
)
"""What the corners of a box are called, by those who do not give its sides."""
_SIDES = ("x", "y", "w", "h")
_BOX_COLUMNS = {"id", "label", "bbox", "score", "attributes", *_SIDES}


@dataclass(frozen=True)
class ImageBoxes:
    """The boxes that a model predicts for one image."""

    xywh: Floats
    """float64 (k, 4): left, top, width, height, in pixels of the original."""
    label: Ints
    """int64 (k,): index into the classes."""
    score: Floats
    """float64 (k,), falling."""


def objects_of(images: Sequence[ImageBoxes | None], classes: Sequence[str]) -> pa.Array:
    """Return a column of `slicedb.schema.OBJECT` in lists, null where there is None."""
    known = [boxes for boxes in images if boxes is not None]
    xywh = np.concatenate([np.empty((0, 4)), *(boxes.xywh for boxes in known)])
    label = np.concatenate([np.empty(0, np.int64), *(boxes.label for boxes in known)])
    score = np.concatenate([np.empty(0), *(boxes.score for boxes in known)])
    n = len(label)
    sides = pa.ListArray.from_arrays(pa.array(np.arange(n + 1) * 4, pa.int32()), xywh.ravel())
    labels = pa.array(list(classes), pa.string()).take(pa.array(label))
    struct = pa.StructArray.from_arrays(
        [labels, sides, pa.array(score), pa.nulls(n, pa.string())], fields=list(OBJECT)
    )
    sizes = np.array([0 if boxes is None else len(boxes.label) for boxes in images], np.int64)
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
    mask = pa.array([boxes is None for boxes in images]) if len(known) < len(images) else None
    return pa.ListArray.from_arrays(offsets, struct, mask=mask)


def truth_boxes(column: pa.Array, least: float | None, place: str) -> pa.Array:
    """Return boxes as ground truth: without scores, and only those that are scored high enough.

    Args:
        column: lists of structs with `label` and `bbox`; null where nobody looked.
        least: the score from which on a box is taken; None takes all, and so does a box without
            a score.
        place: what errors call the column.

    Raises:
        CheckError: it holds no boxes.

    >>> one = {"label": "cat", "bbox": [0, 0, 9, 9.0], "score": 0.4, "attributes": None}
    >>> column = pa.array([[one], None], pa.list_(OBJECT))
    >>> truth_boxes(column, 0.5, "boxes").to_pylist()
    [[], None]
    """
    kind = column.type
    inside = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
    names = {field.name for field in inside} if pa.types.is_struct(inside) else set()
    if not pa.types.is_struct(inside) or not {"label", "bbox"} <= names:
        raise CheckError(
            f"{place[0].upper()}{place[1:]} is {kind}, not boxes.",
            "name a detector, or a column of lists of structs with label and bbox.",
        )
    flat, owner = pc.list_flatten(column), pc.list_parent_indices(column).to_numpy()
    if least is not None and "score" in names:
        sure = pc.fill_null(pc.greater_equal(pc.struct_field(flat, "score"), least), True)
        kept = np.flatnonzero(np.asarray(sure))
        flat, owner = flat.take(pa.array(kept)), owner[kept]
    n = len(flat)
    fields = {
        field.name: pc.struct_field(flat, field.name).cast(field.type)
        if field.name in names and field.name != "score"
        else pa.nulls(n, field.type)
        for field in OBJECT
    }
    struct = pa.StructArray.from_arrays(list(fields.values()), fields=list(OBJECT))
    sizes = np.bincount(owner, minlength=len(column))
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
    mask = column.is_null() if column.null_count else None
    return pa.ListArray.from_arrays(offsets, struct, mask=mask)


def objects_from(values: object, place: str) -> pa.Array:
    """Return lists of objects as one column of `slicedb.schema.OBJECT`.

    Args:
        values: an Arrow column of lists of structs, or a list per sample of dicts with `label`,
            `bbox` [x, y, w, h] in pixels of the original and `score`.
        place: what errors call the source.

    Raises:
        PredictionError: they are something else.
    """
    kind = pa.list_(OBJECT)
    try:
        if not isinstance(values, pa.Array | pa.ChunkedArray):
            rows = [None if row is None else list(row) for row in values]  # type: ignore[attr-defined]
            return pa.array(rows, kind)
        column = one_array(values)
        if not pa.types.is_list(column.type) and not pa.types.is_large_list(column.type):
            raise TypeError(f"they are {column.type}")
        flat = pc.list_flatten(column)
        parts = [_field(flat, field) for field in OBJECT]
        struct = pa.StructArray.from_arrays(parts, fields=list(OBJECT))
        sizes = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
        return pa.ListArray.from_arrays(offsets, struct, mask=column.is_null())
    except (pa.ArrowException, TypeError, KeyError, AttributeError) as error:
        raise PredictionError(
            f"The objects of {place} cannot be read: {str(error).splitlines()[0]}",
            "give each sample a list of {label, bbox: [x, y, w, h], score}.",
        ) from error


def _field(flat: pa.Array, field: pa.Field) -> pa.Array:
    names = [flat.type.field(i).name for i in range(flat.type.num_fields)]
    if field.name not in names:
        return pa.nulls(len(flat), field.type)
    return pc.struct_field(flat, field.name).cast(field.type)


def objects_from_dicts(
    detections: Sequence[Mapping[str, object]], classes: Sequence[str], first: int, place: str
) -> pa.Array:
    """Return what torchvision's models return as a column of objects.

    Args:
        detections: a dict per sample: boxes (k, 4) as left, top, right, bottom, labels (k,),
            scores (k,).
        classes: names in the order of the labels.
        first: the number of the first class.
        place: what errors call the source.

    Raises:
        PredictionError: a label has no name, or the parts do not fit together.
    """
    images: list[ImageBoxes] = []
    for row, detection in enumerate(detections):
        try:
            boxes, labels, scores = (
                np.asarray(numpy_of(detection[k])) for k in ("boxes", "labels", "scores")
            )
            boxes = boxes.astype(float).reshape(-1, 4)
            number = labels.astype(np.int64).ravel() - first
            scores = scores.astype(float).ravel()
        except (KeyError, TypeError, ValueError) as error:
            raise PredictionError(
                f"Row {row + 1} of {place} is no detection: {error}",
                "give a dict with boxes (k, 4), labels (k,) and scores (k,).",
            ) from error
        if not len(boxes) == len(number) == len(scores):
            raise PredictionError(
                f"Row {row + 1} of {place} has {numbers.count(len(boxes), 'box', 'boxes')}, "
                f"{numbers.count(len(number), 'label')} and {numbers.count(len(scores), 'score')}."
            )
        wrong = number[(number < 0) | (number >= len(classes))]
        if len(wrong):
            raise PredictionError(
                f"Row {row + 1} of {place} has label {wrong[0] + first}, which has no name: "
                f"{numbers.count(len(classes), 'class is', 'classes are')} declared.",
                f"labels count from {first}, in the order of classes=.",
            )
        xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        images.append(ImageBoxes(xywh, number, scores))
    return objects_of(images, classes)


def check_objects(objects: pa.Array, batch: GivenBatch) -> None:
    """Refuse boxes that are none.

    Args:
        objects: a column of objects, a row per id of the batch.
        batch: what they were given in.

    Raises:
        PredictionError: a label nobody declared, a number that is none, a negative size, a score
            outside [0, 1]; with the sample and the box.
    """
    flat = Flat.of(objects)

    def refuse(bad: Bools, what: str, hint: str) -> None:
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            which = f"Box {flat.index[i]} of sample '{batch.ids[flat.image[i]]}' in {batch.place}"
            count = int(bad.sum())
            more = f" ({numbers.count(count, 'box', 'boxes')})" if count > 1 else ""
            raise PredictionError(f"{which} {what}{more}.", hint)

    unknown = unknown_in(flat.label, batch.classes) | np.asarray(flat.label.is_null())
    if unknown.any():
        name = flat.label[int(np.flatnonzero(unknown)[0])].as_py()
        hint = did_you_mean(str(name), batch.classes, "classes") + " Declare others: classes=."
        refuse(unknown, f"has the label {name!r}, which is no class", hint)
    four = "a box is [x, y, w, h]: four numbers, pixels of the original image."
    refuse(np.asarray(~np.isfinite(flat.xywh).all(axis=1)), "is not four finite numbers", four)
    refuse(np.asarray((flat.xywh[:, 2:] < 0).any(axis=1)), "has a negative width or height", four)
    given = pc.struct_field(pc.list_flatten(objects), "score").is_valid()
    outside = np.asarray(given) & ~((flat.score >= 0) & (flat.score <= 1))
    refuse(outside, "has a score outside [0, 1]", "scores lie in [0, 1]; leave out unknown ones.")


def is_long(names: Collection[str]) -> bool:
    """Return whether columns hold a box per row: id, label, and bbox, sides or corners."""
    short = set(_short(names).values())
    corners = any(set(four) <= short for four in _CORNERS)
    return {"id", "label"} <= short and ("bbox" in short or set(_SIDES) <= short or corners)


def _short(names: Collection[str]) -> dict[str, str]:
    """Return our name of each column of a table of boxes."""
    lower = {name.lower(): name for name in reversed(list(names))}
    label = next((lower[name] for name in _LABELS if name in lower), None)
    corners = {name for four in _CORNERS for name in four}
    ours = {*_BOX_COLUMNS, *corners} - {"label"}
    short = {}
    for name in names:
        plain = name.lower()
        known = _OTHER.get(plain, plain if plain in ours else name)
        short[name] = "label" if name == label else known
    taken = Counter(short.values())
    return {name: new if taken[new] == 1 else name for name, new in short.items()}


def _with_sides(table: pa.Table) -> pa.Table:
    """Return a table of boxes with x, y, w, h in place of corners."""
    if "bbox" in table.column_names or set(_SIDES) <= set(table.column_names):
        return table
    four = next(four for four in _CORNERS if set(four) <= set(table.column_names))
    left, top, right, bottom = (table[name].cast(pa.float64()) for name in four)
    sides = (left, top, pc.subtract(right, left), pc.subtract(bottom, top))
    table = table.drop_columns(list(four))
    for name, values in zip(_SIDES, sides):
        table = table.append_column(name, values)
    return table


def named_labels(objects: pa.Array, batch: GivenBatch) -> pa.Array:
    """Return objects whose labels are numbers of classes with the names that were declared.

    Numbers count from 0. They stay where one of them is the name of a class.
    """
    flat = pc.list_flatten(objects)
    if not batch.declared or not len(flat):
        return objects
    labels = pc.struct_field(flat, "label")
    known = labels.drop_null()
    are_numbers = pc.all(pc.match_substring_regex(known, r"^\d+$")).as_py()
    if not len(known) or not are_numbers or not unknown_in(known, batch.classes).all():
        return objects
    at = labels.cast(pa.int64())
    valid = pc.less(at, len(batch.classes))
    if not pc.all(valid).as_py():
        most = pc.max(at).as_py()
        raise PredictionError(
            f"A box in {batch.place} has the class number {most}, and "
            f"{numbers.count(len(batch.classes), 'class', 'classes')} are declared.",
            "numbers count from 0, in the order of classes= (--classes).",
        )
    names = pa.array(batch.classes, pa.string()).take(at)
    parts = [names, *(pc.struct_field(flat, field.name) for field in list(OBJECT)[1:])]
    struct = pa.StructArray.from_arrays(parts, fields=list(OBJECT))
    sizes = pc.fill_null(pc.list_value_length(objects), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, struct, mask=objects.is_null())


def grouped(table: pa.Table, place: str) -> pa.Table:
    """Return id and objects, a row per sample, of a table with a row per box.

    A row whose box is null says that its sample was looked at and has no objects. Other columns
    become attributes of the boxes.
    """
    short = _short(table.column_names)
    table = _with_sides(table.rename_columns([short[name] for name in table.column_names]))
    names = table.column_names
    ids, label = table["id"].to_pylist(), _label_texts(table["label"])
    if "bbox" in names:
        boxes = table["bbox"].to_pylist()
        boxes = [_box(b, row, place) for row, b in enumerate(boxes)]
        if set(_SIDES) <= set(names):
            table = table.drop_columns(list(_SIDES))  # the same box once more
    else:
        boxes = list(zip(*(table[k].to_pylist() for k in _SIDES)))
    scores = table["score"].to_pylist() if "score" in names else [None] * len(ids)
    rows: dict[str, list[dict[str, object]]] = {}
    for name, what, box, score, attributes in zip(ids, label, boxes, scores, _attributes(table)):
        held = rows.setdefault(name, [])
        if box is not None and not all(side is None for side in box):
            row = {"label": what, "bbox": list(box), "score": score, "attributes": attributes}
            held.append(row)
    return pa.table({"id": list(rows), "objects": objects_from(list(rows.values()), place)})


def _label_texts(labels: pa.ChunkedArray) -> list[str | None]:
    """Return labels as text; 1.0 is class 1."""
    if pa.types.is_floating(labels.type):
        labels = labels.cast(pa.int64(), safe=False)
    return [None if label is None else str(label) for label in labels.to_pylist()]


def _box(value: object, row: int, place: str) -> object:
    """Return one box of a table: a list as it is, a text as the JSON it holds."""
    try:
        box = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        box = value
    if box is not None and not isinstance(box, list | tuple | np.ndarray):
        raise PredictionError(
            f"Row {row + 1} of {place}: {str(value)[:60]!r} is no box.",
            "a box is [x, y, w, h]: four numbers, pixels of the original image.",
        )
    return box


def _attributes(table: pa.Table) -> list[str | None]:
    """Return the columns of a table of boxes that say something else, as JSON."""
    own = [name for name in table.column_names if name not in _BOX_COLUMNS]
    if not own:
        has = "attributes" in table.column_names
        return table["attributes"].to_pylist() if has else [None] * len(table)
    return [json.dumps(row, default=str) for row in table.select(own).to_pylist()]


def box_of(xywh: npt.NDArray[np.floating]) -> tuple[float, float, float, float]:
    """Return one row of boxes as plain numbers."""
    left, top, width, height = (float(side) for side in xywh)
    return left, top, width, height
