"""Read tables with a row per box: what belongs to one picture becomes one row with its boxes.

image_id,bbox                              "[x, y, w, h]"
ImageID,LabelName,XMin,XMax,YMin,YMax      corners, in pixels or as fractions of the picture
path,label,x,y,w,h                         sides
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import IngestError
from slicedb.ingest.objects import BOXES
from slicedb.keys import Keys
from slicedb.metrics.outcomes import Bools, Floats
from slicedb.schema import ANNOTATION
from slicedb.show.numbers import count

_WHOLE = ("bbox", "box", "bounding_box")
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
)
_SIDES = (("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height"))
_LABELS = ("label", "labelname", "label_name", "class", "class_name", "name", "category")


def one_row_each(
    table: pa.Table, name: str | None, label: str | None
) -> tuple[pa.Table, bool, list[str]]:
    """Return a table with a row per picture, whether its boxes are fractions, and notes.

    A table whose pictures come once each, or that has no columns of boxes, is returned as it is.

    Args:
        table: as it was read.
        name: the column that names pictures; None of a table without one.
        label: the column that was taken for the label; None where there is none.

    Raises:
        IngestError: a box is none.
    """
    lower = {column.lower(): column for column in reversed(table.column_names)}
    columns = _box_columns(lower)
    if name is None or not columns:
        return table, False, []
    coded = table[name].combine_chunks().dictionary_encode()
    if coded.null_count or len(coded.dictionary) == table.num_rows:
        return table, False, []
    codes = np.asarray(coded.indices, np.int64)
    sides = _sides(table, columns)
    label = label or next((lower[guess] for guess in _LABELS if guess in lower), None)
    rest = [c for c in table.column_names if c not in {name, label, *columns}]
    first = _firsts(codes, len(coded.dictionary))
    about = [c for c in rest if _is_constant(table[c], codes, first)]
    objects = _objects(table, sides, label, [c for c in rest if c not in about], codes, len(first))
    rows = table.select([name, *about]).take(pa.array(first))
    known = sides[np.isfinite(sides).all(axis=1)]
    corners = known[:, :2] + known[:, 2:]
    is_share = len(known) > 0 and bool((known >= 0).all() and 0 < corners.max() <= 1)
    notes = [
        f"{count(len(known), 'box', 'boxes')} of {count(len(first), 'picture')}, a row each: "
        "they are "
        "in `objects`" + (", in fractions of their pictures." if is_share else ".")
    ]
    if label is None:
        notes.append("No column names the boxes, so their label is NULL.")
    return rows.append_column("objects", objects), is_share, notes


def has_boxes(names: Sequence[str]) -> bool:
    """Return whether columns are called as those of a table with a row per box are."""
    return bool(_box_columns({name.lower(): name for name in reversed(names)}))


def _box_columns(lower: dict[str, str]) -> list[str]:
    """Return the column of boxes, or the four of their corners or sides; none without."""
    whole = next((lower[one] for one in _WHOLE if one in lower), None)
    if whole is not None:
        return [whole]
    four = next((some for some in (*_CORNERS, *_SIDES) if set(some) <= lower.keys()), ())
    return [lower[one] for one in four]


def _sides(table: pa.Table, columns: Sequence[str]) -> Floats:
    """Return float64 (n, 4) of left, top, width and height; NaN where a row has no box.

    Raises:
        IngestError: a box is not four numbers.
    """
    if len(columns) == 1:
        return _parsed(table[columns[0]].combine_chunks(), columns[0])
    try:
        values = [table[column].cast(pa.float64()).to_numpy() for column in columns]
    except pa.ArrowException as error:
        raise IngestError(
            f"Columns {', '.join(columns)} are boxes, and one is no number: {error}",
            "correct it; nothing was written.",
        ) from error
    sides = np.stack(values, axis=1)
    if tuple(column.lower() for column in columns) in _CORNERS:
        sides[:, 2:] -= sides[:, :2]
    return sides


def _parsed(column: pa.Array, name: str) -> Floats:
    sides = np.full((len(column), 4), np.nan)
    if pa.types.is_string(column.type):
        plain = pc.utf8_trim(column, "[]() ")
        plain = pc.if_else(pc.equal(plain, ""), pa.scalar(None, pa.string()), plain)
        column = pc.split_pattern_regex(plain, r"\s*[,;\s]\s*")
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    bad = np.flatnonzero((lengths != 4) & (lengths != 0))
    try:
        values = pc.list_flatten(column).cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowException:
        bad = bad if len(bad) else np.zeros(1, np.int64)
    if len(bad):
        raise IngestError(
            f"Column '{name}' has {column[int(bad[0])].as_py()!r} for a box in row {bad[0] + 1:,}.",
            "a box is [x, y, w, h]: four numbers, pixels.",
        )
    sides[lengths == 4] = values.reshape(-1, 4)
    return sides


def _firsts(codes: Keys, n: int) -> Keys:
    """Return int64 (n,): the first row of each picture."""
    first = np.full(n, len(codes), np.int64)
    np.minimum.at(first, codes, np.arange(len(codes)))
    return first


def _is_constant(column: pa.ChunkedArray, codes: Keys, first: Keys) -> bool:
    """Return whether all rows of a picture have one value."""
    values = column.combine_chunks()
    expected = values.take(pa.array(first[codes]))
    same = pc.fill_null(pc.equal(values, expected), False)
    both_null = pc.and_(pc.is_null(values), pc.is_null(expected))
    return bool(pc.all(pc.or_(same, both_null)).as_py())


def _objects(
    table: pa.Table, sides: Floats, label: str | None, extra: list[str], codes: Keys, n: int
) -> pa.Array:
    """Return the boxes of each picture, in the order of their rows."""
    is_box: Bools = np.asarray(np.isfinite(sides).all(axis=1))
    order = np.argsort(codes, kind="stable")
    order = order[is_box[order]]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes[order], minlength=n))])
    flat = sides[order].ravel()
    at = pa.array(order)
    parts: dict[str, pa.Array] = {
        "bbox": pa.ListArray.from_arrays(pa.array(np.arange(len(order) + 1) * 4, pa.int32()), flat)
    }
    if label is not None:
        parts["label"] = table[label].combine_chunks().cast(pa.string()).take(at)
    if extra:
        rows = table.select(extra).take(at).to_pylist()
        texts = [json.dumps(row, ensure_ascii=False, default=str) for row in rows]
        parts["attributes"] = pa.array(texts, pa.string())
    columns = [parts.get(f.name, pa.nulls(len(order), f.type)) for f in ANNOTATION]
    struct = pa.StructArray.from_arrays(columns, fields=list(ANNOTATION))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), struct).cast(BOXES)
