"""Read label maps from COCO's files of stuff: a run-length code of each class of a picture.

    stuff_train2017.json      as COCO publishes it; `slicedb export --format coco` writes one too

The classes are the categories in the order of their ids, from number 0 on; pixels that no code
covers are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slicedb.errors import SourceError
from slicedb.ingest import jsonfile
from slicedb.ingest.source import Row
from slicedb.media.rle import mask_of
from slicedb.show.numbers import count, verb
from slicedb.sources import Location

_HEAD = 1 << 16
_IGNORED = "ignored_number"
"""What the `info` of a file that we wrote says of the pixels that count for nothing."""


def holds_maps(file: Location) -> bool:
    """Return whether a file is COCO's JSON."""
    if file.suffix != ".json" or not file.is_file():
        return False
    with file.open() as opened:
        head = opened.read(_HEAD)
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and b'"images"' in head


class CocoMaps:
    """The label maps of one file.

    Args:
        file: its place.

    Raises:
        SourceError: it is broken.
    """

    def __init__(self, file: Location) -> None:
        self.file = file
        data = jsonfile.load(file)
        self._images = self._list(data, "images")
        self._annotations = self._list(data, "annotations")
        categories = sorted(self._list(data, "categories"), key=lambda row: row.get("id", 0))
        self._numbers = {row.get("id"): number for number, row in enumerate(categories)}
        self.classes = tuple(str(row.get("name") or row.get("id")) for row in categories)
        """Names by number."""
        info = data.get("info")
        ignored = info.get(_IGNORED) if isinstance(info, dict) else None
        self.ignored = ignored if isinstance(ignored, int) else None
        """The number of the pixels that count for nothing, where the file says it."""

    def _list(self, data: object, key: str) -> list[Row]:
        rows = data.get(key) if isinstance(data, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise SourceError(
                f"'{self.file}' has no list of {key}, so it is not COCO.", "check the file."
            )
        return rows

    def maps(self) -> Iterator[tuple[str, list[Row]]]:
        """Yield the name of each image that has codes, and its codes by class.

        Raises:
            SourceError: an annotation is of no image or no category, or is no run-length code.
        """
        names = {row.get("id"): str(row.get("file_name")) for row in self._images}
        found: dict[object, list[Row]] = {}
        for number, row in enumerate(self._annotations):
            if row.get("image_id") not in names or row.get("category_id") not in self._numbers:
                what = "image" if row.get("image_id") not in names else "category"
                raise self._broken(number, f"names no {what} of the file")
            code = row.get("segmentation")
            if not isinstance(code, dict):
                raise self._broken(
                    number, "has no run-length code: only those cover pixels without a gap"
                )
            label = self.classes[self._numbers[row["category_id"]]]
            found.setdefault(row["image_id"], []).append({"label": label, **code})
        for image, codes in found.items():
            self._refuse_overlap(names[image], codes)
            yield names[image], codes

    def _broken(self, number: int, what: str) -> SourceError:
        return SourceError(
            f"'{self.file}': annotations[{number}] {what}.", "correct it; nothing was written."
        )

    def _refuse_overlap(self, name: str, codes: list[Row]) -> None:
        """Raise where a pixel has two classes, or a code is none."""
        try:
            masks = [mask_of(code) for code in codes]
        except ValueError as error:
            raise SourceError(
                f"'{self.file}', image '{name}': {error}.", "correct it; nothing was written."
            ) from error
        if len({mask.shape for mask in masks}) > 1:
            raise SourceError(
                f"'{self.file}', image '{name}': its codes have different sizes.", "correct them."
            )
        twice = int((np.sum(masks, axis=0, dtype=np.int64) > 1).sum())
        if twice:
            raise SourceError(
                f"'{self.file}', image '{name}': {count(twice, 'pixel')} "
                f"{verb(twice, 'has', 'have')} two classes.",
                "objects that overlap are no label map: `slicedb ingest` reads them as boxes.",
            )
