"""The label maps of samples, for the formats that have room for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from slicedb.export.tables import Row
from slicedb.keys import Keys
from slicedb.media.rle import rle_of, runs_of, text_of
from slicedb.schema import MASKS
from slicedb.tasks.labelmaps import LabelMap, map_of

if TYPE_CHECKING:
    from slicedb.store import Store

_CHUNK = 64
STUFF = "stuff_all.json"
"""What the file of label maps beside COCO's annotations is called."""


def count_maps(store: Store, keys: Keys) -> int:
    """Return how many of some samples have a label map."""
    return int(store.present(MASKS, keys).sum()) if store.has(MASKS) and len(keys) else 0


def maps_of(store: Store, keys: Keys) -> Iterator[tuple[str, bytes, LabelMap]]:
    """Yield id, PNG and label map of each sample that has one."""
    for start in range(0, len(keys) if store.has(MASKS) else 0, _CHUNK):
        rows, _ = store.find(MASKS, keys[start : start + _CHUNK], ["id", "mask"])
        for row in rows.to_pylist():
            if row["mask"] is not None:
                yield row["id"], row["mask"]["png"], map_of(row["mask"])


def stuff_of(store: Store, keys: Keys, images: dict[str, Row]) -> Row | None:
    """Return label maps as COCO has stuff: a run-length code of each class; None without any.

    Args:
        store: the database.
        keys: int64 (n,).
        images: the image of each sample by its id.
    """
    annotations: list[Row] = []
    numbers: dict[str, int] = {}
    held: list[Row] = []
    ignored = None
    for sample, _, one in maps_of(store, keys):
        ignored = one.ignore
        for name in one.classes:
            numbers.setdefault(name, len(numbers) + 1)
        image = images[sample]
        held.append(image)
        for number in np.unique(one.codes).tolist():
            if number == one.ignore or number >= len(one.classes):
                continue
            mask = one.codes == number
            code = rle_of(mask)
            ys, xs = np.nonzero(mask)
            left, top = int(xs.min()), int(ys.min())
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": numbers[one.classes[number]],
                    "segmentation": {**code, "counts": text_of(runs_of(code["counts"]))},
                    "bbox": [left, top, int(xs.max()) - left + 1, int(ys.max()) - top + 1],
                    "area": len(xs),
                    "iscrowd": 0,
                }
            )
    if not held:
        return None
    return {
        "info": {"description": "label maps", "ignored_number": ignored},
        "images": held,
        "annotations": annotations,
        "categories": [{"id": n, "name": name} for name, n in numbers.items()],
    }


def stuff_text(stuff: Row) -> str:
    """Return a file of stuff."""
    return json.dumps(stuff, ensure_ascii=False)
