"""Read detections in COCO's results format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from slicedb.errors import PredictionError, did_you_mean
from slicedb.tasks.objects import objects_from


def from_coco(
    results: Sequence[Mapping[str, object]] | Mapping[str, Any],
    ids: Sequence[str],
    classes: Sequence[str] | None,
    annotations: str | Path | None,
    place: str,
) -> pa.Table:
    """Return id and objects of COCO's results format, or of a whole file of COCO.

    Args:
        results: a dict per box: image_id, category_id, bbox, score; or a dict of images,
            annotations and categories, whose images all count as looked at.
        ids: of all samples.
        classes: names; without annotations, category 1 is the first.
        annotations: COCO's annotation file, which says what the numbers mean; all of its images
            count as looked at.
        place: what errors call the source.

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
        try:
            files = {image["id"]: str(image["file_name"]) for image in about["images"]}
            names = {c["id"]: str(c["name"]) for c in about["categories"]}
        except (KeyError, TypeError) as error:
            raise PredictionError(
                f"'{annotations}' is no annotation file of COCO: it lacks {error}.",
                "give the file the model was evaluated with: images, annotations, categories.",
            ) from error
    if not isinstance(boxes, list | tuple):
        raise PredictionError(
            f"{place} holds a {type(boxes).__name__}, not a list of boxes.",
            "COCO's results are a list of {image_id, category_id, bbox, score}.",
        )
    find = _Finder(ids, place)
    rows: dict[str, list[dict[str, object]]] = {find(file): [] for file in files.values()}
    for i, one in enumerate(boxes):
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
        if annotations is not None and image not in files:
            raise PredictionError(
                f"Entry {i + 1} of {place} has image {image}, which '{annotations}' lacks.",
                "give the annotation file that the results belong to.",
            )
        held = rows.setdefault(find(files.get(image, str(image))), [])
        held.append({"label": names[category], "bbox": box, "score": one.get("score")})
    return pa.table({"id": list(rows), "objects": objects_from(list(rows.values()), place)})


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
        same = self._last.get(file.rsplit("/", 1)[-1], [])
        ends = [name for name in same if name.endswith("/" + file)] or same
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
