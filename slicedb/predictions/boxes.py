"""Detections made elsewhere: brought into columns of objects, and checked box by box."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import PredictionError, did_you_mean
from slicedb.inference import objects_of
from slicedb.metrics.boxes import Flat
from slicedb.models.detector import Found
from slicedb.schema import OBJECT

_OTHER = {"width": "w", "height": "h", "category": "label", "class": "label", "confidence": "score"}


def column_of(values: Any, place: str) -> pa.Array:
    """Return lists of objects as one column of `slicedb.schema.OBJECT`.

    Args:
        values: an Arrow column of lists of structs, or a list a sample of dicts with `label`,
            `bbox` [x, y, w, h] in pixels of the original and `score`.
        place: what errors call the source.

    Raises:
        PredictionError: they are something else.
    """
    kind = pa.list_(OBJECT)
    try:
        if isinstance(values, pa.ChunkedArray):
            values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], kind)
        if not isinstance(values, pa.Array):
            return pa.array([None if row is None else list(row) for row in values], kind)
        flat = pc.list_flatten(values)
        parts = [_field(flat, field) for field in OBJECT]
        struct = pa.StructArray.from_arrays(parts, fields=list(OBJECT))
        sizes = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
        return pa.ListArray.from_arrays(offsets, struct, mask=values.is_null())
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


def column_of_dicts(
    said: Sequence[Any], classes: Sequence[str], first: int, place: str
) -> pa.Array:
    """Return what torchvision's models return as a column of objects.

    Args:
        said: a dict a sample: boxes (k, 4) as left, top, right, bottom, labels (k,), scores (k,).
        classes: names in the order of the labels.
        first: the number of the first class.
        place: what errors call the source.

    Raises:
        PredictionError: a label has no name, or the parts do not fit together.
    """
    found: list[Found | None] = []
    for row, one in enumerate(said):
        try:
            boxes, labels, scores = (_array(one[k]) for k in ("boxes", "labels", "scores"))
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
                f"Row {row + 1} of {place} has {len(boxes)} boxes, {len(number)} labels and "
                f"{len(scores)} scores."
            )
        wrong = number[(number < 0) | (number >= len(classes))]
        if len(wrong):
            raise PredictionError(
                f"Row {row + 1} of {place} has label {wrong[0] + first}, which has no name: "
                f"{len(classes)} classes are declared.",
                f"labels count from {first}, in the order of classes=.",
            )
        xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        found.append(Found(xywh, number, scores))
    return objects_of(found, classes)


def _array(values: Any) -> np.ndarray:
    return np.asarray(values.detach().cpu().numpy() if hasattr(values, "detach") else values)


def check(objects: pa.Array, ids: Sequence[str], classes: Collection[str], place: str) -> None:
    """Refuse boxes that are none.

    Args:
        objects: a column of objects, a row an id.
        ids: of the samples.
        classes: names that labels may have.
        place: what errors call the source.

    Raises:
        PredictionError: a label nobody declared, a number that is none, a negative size, a score
            outside [0, 1]; with the sample and the box.
    """
    flat = Flat.of(objects)

    def refuse(bad: Any, what: str, hint: str) -> None:
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            which = f"Box {flat.index[i]} of sample '{ids[flat.image[i]]}' in {place}"
            count = int(bad.sum())
            more = f" ({count:,} boxes)" if count > 1 else ""
            raise PredictionError(f"{which} {what.format(i=i)}{more}.", hint)

    known = pc.is_in(flat.label, value_set=pa.array(sorted(classes), pa.string()))
    unknown = ~known.to_numpy(zero_copy_only=False).astype(bool)
    if unknown.any():
        name = flat.label[int(np.flatnonzero(unknown)[0])].as_py()
        hint = did_you_mean(str(name), sorted(classes), "classes") + " Declare others: classes=."
        refuse(unknown, f"has the label {name!r}, which is no class", hint)
    boxes = "a box is [x, y, w, h]: four numbers, pixels of the original image."
    finite = np.isfinite(flat.xywh).all(axis=1)
    refuse(~finite, "is not four finite numbers", boxes)
    refuse((flat.xywh[:, 2:] < 0).any(axis=1), "has a negative width or height", boxes)
    score = pc.struct_field(pc.list_flatten(objects), "score")
    given = score.is_valid().to_numpy(zero_copy_only=False)
    outside = given & ~((flat.score >= 0) & (flat.score <= 1))
    refuse(outside, "has a score outside [0, 1]", "scores lie in [0, 1]; leave out unknown ones.")


def is_long(names: Collection[str]) -> bool:
    """Return whether columns hold a box a row: id, label, and bbox or x, y, w, h."""
    there = {_OTHER.get(name, name) for name in names}
    return {"id", "label"} <= there and ("bbox" in there or {"x", "y", "w", "h"} <= there)


def grouped(table: pa.Table, place: str) -> pa.Table:
    """Return id and objects, a row a sample, of a table with a row a box.

    A row whose box is null says that its sample was looked at and nothing found.
    """
    table = table.rename_columns([_OTHER.get(n, n) for n in table.column_names])
    names = table.column_names
    ids, label = table["id"].to_pylist(), table["label"].to_pylist()
    if "bbox" in names:
        boxes = table["bbox"].to_pylist()
        boxes = [json.loads(b) if isinstance(b, str) else b for b in boxes]
    else:
        boxes = list(zip(*(table[k].to_pylist() for k in ("x", "y", "w", "h"))))
    scores = table["score"].to_pylist() if "score" in names else [None] * len(ids)
    rows: dict[Any, list[dict[str, Any]]] = {}
    for name, what, box, score in zip(ids, label, boxes, scores):
        held = rows.setdefault(name, [])
        if box is not None and not all(v is None for v in box):
            held.append({"label": what, "bbox": list(box), "score": score})
    return pa.table({"id": list(rows), "objects": column_of(list(rows.values()), place)})


def from_coco(
    said: list[dict[str, Any]],
    ids: Sequence[str],
    classes: Sequence[str] | None,
    annotations: str | Path | None,
    place: str,
) -> pa.Table:
    """Return id and objects of COCO's results format.

    Args:
        said: a dict a box: image_id, category_id, bbox, score.
        ids: of all samples.
        classes: names; without annotations, category 1 is the first.
        annotations: COCO's annotation file, which says what the numbers mean; all of its images
            count as looked at.
        place: what errors call the source.

    Raises:
        PredictionError: an image or a category nobody knows, or a dict that is no box.
    """
    files: dict[Any, str] = {}
    names: dict[Any, str] = {i + 1: name for i, name in enumerate(classes or ())}
    if annotations is not None:
        about = read_json(Path(annotations))
        try:
            files = {image["id"]: image["file_name"] for image in about["images"]}
            names = {c["id"]: c["name"] for c in about["categories"]}
        except (KeyError, TypeError) as error:
            raise PredictionError(
                f"'{annotations}' is no annotation file of COCO: it lacks {error}.",
                "give the file the model was evaluated with: images, annotations, categories.",
            ) from error
    find = _Finder(ids, place)
    rows: dict[str, list[dict[str, Any]]] = {find(file): [] for file in files.values()}
    for i, one in enumerate(said):
        try:
            image, category, box = one["image_id"], one["category_id"], one["bbox"]
        except (KeyError, TypeError) as error:
            raise PredictionError(
                f"Entry {i + 1} of {place} is no box of COCO's results: it lacks {error}.",
                "an entry has image_id, category_id, bbox and score.",
            ) from error
        if category not in names:
            raise PredictionError(
                f"Entry {i + 1} of {place} has category {category}, which has no name.",
                "give annotations= (--annotations), or classes= in the order of the numbers.",
            )
        if annotations is not None and image not in files:
            raise PredictionError(
                f"Entry {i + 1} of {place} has image {image}, which '{annotations}' lacks.",
                "give the annotation file that the results belong to.",
            )
        held = rows.setdefault(find(files.get(image, str(image))), [])
        held.append({"label": names[category], "bbox": box, "score": one.get("score")})
    return pa.table({"id": list(rows), "objects": column_of(list(rows.values()), place)})


class _Finder:
    """From the name of a file to the id of its sample: the whole of it, or its last part."""

    def __init__(self, ids: Sequence[str], place: str) -> None:
        self._ids = set(ids)
        self._place = place
        self._last: dict[str, list[str]] = {}
        for name in ids:
            self._last.setdefault(name.rsplit("/", 1)[-1], []).append(name)

    def __call__(self, file: str) -> str:
        if file in self._ids:
            return file
        found = self._last.get(file.rsplit("/", 1)[-1], [])
        ends = [name for name in found if name.endswith("/" + file)] or found
        if len(ends) == 1:
            return ends[0]
        if not ends:
            hint = did_you_mean(file, sorted(self._ids)[:20_000], "samples")
            raise PredictionError(f"Image '{file}' of {self._place} is no sample here.", hint)
        raise PredictionError(
            f"Image '{file}' of {self._place} may be '{ends[0]}' or '{ends[1]}'.",
            "name images as the samples are.",
        )


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        PredictionError: it is not there, or not JSON.
    """
    try:
        return json.loads(path.expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PredictionError(f"'{path}' cannot be read: {error}", "give a JSON file.") from error
