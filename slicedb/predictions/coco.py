"""Read detections in COCO's results format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from slicedb.errors import PredictionError, did_you_mean
from slicedb.ingest.places import without_ending
from slicedb.tasks.objects import objects_from


def from_coco(
    results: Sequence[Mapping[str, object]] | Mapping[str, Any],
    ids: Sequence[str],
    classes: Sequence[str] | None,
    annotations: str | Path | None,
    place: str,
    prefix: str = "",
) -> tuple[pa.Table, list[str]]:
    """Return id and objects of COCO's results format, or of a whole file of COCO, and notes.

    An entry may name its picture by `file_name`, as Ultralytics writes it.

    Args:
        results: a dict per box: image_id, category_id, bbox, score; or a dict of images,
            annotations and categories, whose images all count as looked at.
        ids: of all samples.
        classes: names; without annotations, category 1 is the first.
        annotations: COCO's annotation file, which says what the numbers mean; all of its images
            count as looked at.
        place: what errors call the source.
        prefix: put before the names of files.

    Raises:
        PredictionError: an image or a category nobody knows, or a dict that is no box.
    """
    files: dict[object, str] = {}
    names: dict[object, str] = {i + 1: name for i, name in enumerate(classes or ())}
    about: Any = None
    boxes: Any = results
    if isinstance(results, Mapping):
        about, boxes, annotations = results, results.get("annotations", []), place
    elif annotations is not None:
        about = read_json(Path(annotations))
    if about is not None:
        files, names = _files_and_names(about, annotations)
    if not isinstance(boxes, list | tuple):
        raise PredictionError(
            f"{place} holds a {type(boxes).__name__}, not a list of boxes.",
            "COCO's results are a list of {image_id, category_id, bbox, score}.",
        )
    names, notes = _from_zero(names, boxes, classes, about is not None)
    find = _Finder(ids, place, prefix)
    rows: dict[str, list[dict[str, object]]] = {find(file): [] for file in files.values()}
    for i, one in enumerate(boxes):
        image, category, box = _entry(one, i, place, names)
        if annotations is not None and image not in files:
            raise PredictionError(
                f"Entry {i + 1} of {place} has image {image}, which '{annotations}' lacks.",
                "give the annotation file that the results belong to.",
            )
        said = one.get("file_name")
        file = files.get(image) or (str(said) if said else str(image))
        held = rows.setdefault(find(file), [])
        held.append({"label": names[category], "bbox": box, "score": one.get("score")})
    return pa.table({"id": list(rows), "objects": objects_from(list(rows.values()), place)}), notes


def _files_and_names(
    about: Any, annotations: str | Path | None
) -> tuple[dict[object, str], dict[object, str]]:
    """Return what the numbers of images and categories mean."""
    try:
        files = {image["id"]: str(image["file_name"]) for image in about["images"]}
        return files, {c["id"]: str(c["name"]) for c in about["categories"]}
    except (KeyError, TypeError) as error:
        raise PredictionError(
            f"'{annotations}' is no annotation file of COCO: it lacks {error}.",
            "give the file the model was evaluated with: images, annotations, categories.",
        ) from error


def _entry(
    one: Any, i: int, place: str, names: Mapping[object, str]
) -> tuple[str | int, str | int, Any]:
    """Return image, category and box of one entry.

    Args:
        one: the entry.
        i: its number, from 0.
        place: what errors call the source.
        names: of the categories.
    """
    try:
        image, category, box = one["image_id"], one["category_id"], one["bbox"]
    except (KeyError, TypeError) as error:
        raise PredictionError(
            f"Entry {i + 1} of {place} is no box of COCO's results: it lacks {error}.",
            "an entry has image_id, category_id, bbox and score.",
        ) from error
    if not isinstance(category, str | int) or not isinstance(image, str | int):
        raise PredictionError(
            f"Entry {i + 1} of {place} has image {image!r} and category {category!r}.",
            "image_id and category_id are numbers or texts.",
        )
    if category not in names:
        raise PredictionError(
            f"Entry {i + 1} of {place} has category {category}, which has no name.",
            "give annotations= (--annotations), or classes= in the order of the numbers.",
        )
    return image, category, box


def _from_zero(
    names: dict[object, str], boxes: Sequence[Any], classes: Sequence[str] | None, told: bool
) -> tuple[dict[object, str], list[str]]:
    """Return the names of categories that count from 0 where one of them is 0, and a note."""
    if (
        told
        or not classes
        or not any(isinstance(b, dict) and b.get("category_id") == 0 for b in boxes)
    ):
        return names, []
    return dict(enumerate(classes)), ["Category 0 is the first class, since the file has a 0."]


class _Finder:
    """From the name of a file to the id of its sample: the whole of it, its last part or stem."""

    def __init__(self, ids: Sequence[str], place: str, prefix: str = "") -> None:
        self._ids = set(ids)
        self._place = place
        self._prefix = prefix
        self._stems: dict[str, list[str]] = {}
        for name in ids:
            self._stems.setdefault(without_ending(name.rsplit("/", 1)[-1]), []).append(name)
        self._last: dict[str, list[str]] = {}
        for name in ids:
            self._last.setdefault(name.rsplit("/", 1)[-1], []).append(name)

    def __call__(self, file: str) -> str:
        file = self._prefix + file.replace("\\", "/")
        if file in self._ids:
            return file
        last = file.rsplit("/", 1)[-1]
        same = self._last.get(last) or self._stems.get(last, [])
        ends = [name for name in same if without_ending(name).endswith(f"/{without_ending(file)}")]
        ends = ends or same
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
    except (OSError, ValueError, RecursionError) as error:
        raise PredictionError(f"'{path}' cannot be read: {error}", "give a JSON file.") from error
