"""Compare the size that an annotation states with its picture, and turn boxes with the picture.

Cameras store a picture as the sensor saw it, with a note (EXIF's orientation) of how to turn it for
display. Samples are pictures as displayed; tools that ignore the note annotate them as stored, and
the size that they state tells which it was, unless turning changes no size.

    stated_width, stated_height    what was stated, where the displayed picture has another size
    exif_orientation               where boxes were turned, or it cannot be told whether to
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from slicedb import media
from slicedb.errors import SourceError
from slicedb.ingest.outlines import turned, turned_box, turned_outline
from slicedb.schema import Box
from slicedb.show.numbers import count, verb
from slicedb.sources import fetch, fetch_starts, is_remote, path_of, read

Size = tuple[float, float]
"""Width and height, pixels."""
Head = tuple[int, int, int]
"""Width and height as stored, and EXIF's orientation."""

COLUMNS = ("stated_width", "stated_height", "exif_orientation")
_STARTS = (".jpg", ".jpeg", ".jpe")
_START = 128 << 10
"""Bytes of a JPEG that hold its size and orientation; where they do not, all of it is read."""
_AT_ONCE = 2048
"""Pictures whose heads are held at once."""
_SLACK = 0.5
"""Pixels by which a stated size may differ."""

_TURNED = "their boxes were turned with them"


@dataclass
class Sizes:
    """What was found out about the sizes of pictures, a row each."""

    _heads: dict[str, Head | None] = field(default_factory=dict)
    """Of pictures in buckets, by their address."""
    _rows: list[tuple[int | None, int | None, int | None]] = field(default_factory=list)
    _turned: int = 0
    _unsure: int = 0
    _other: int = 0
    _unopened: int = 0

    def prepare(self, images: Iterable[str]) -> None:
        """Read the heads of pictures in buckets, many at once, before they are asked for singly.

        Of a JPEG the start is enough; in other formats what turns it may stand at the end.
        """
        far = [uri for uri in images if is_remote(uri) and uri not in self._heads]
        for start in range(0, len(far), _AT_ONCE):
            some = far[start : start + _AT_ONCE]
            quick = [uri for uri in some if uri.lower().endswith(_STARTS)]
            heads = [media.head_of(data) if data else None for data in fetch_starts(quick, _START)]
            self._heads |= {uri: head for uri, head in zip(quick, heads) if head is not None}
            for uri, data in fetch(uri for uri in some if uri not in self._heads).items():
                self._heads[uri] = media.head_of(data) if isinstance(data, bytes) else None

    def head_of(self, image: str | bytes) -> Head | None:
        """Return width and height as stored, and EXIF's orientation; None where it is no image."""
        if isinstance(image, str) and image in self._heads:
            return self._heads[image]
        return head_of(image)

    def size_of(self, image: str | bytes) -> tuple[int, int] | None:
        """Return width and height of an image as displayed; None where it is none."""
        return _shown(self.head_of(image))

    def fit(
        self, image: str | bytes, stated: Size | None, boxes: list[Box] | None
    ) -> tuple[list[Box] | None, Size | None]:
        """Return the boxes of a picture as displayed, and its size.

        Args:
            image: path or encoded bytes.
            stated: the size that the annotation gives; None where it gives none.
            boxes: of the annotation.

        Returns:
            The boxes, and the size of the displayed picture; the stated one where the picture
            cannot be read.
        """
        head = self.head_of(image)
        if head is None:
            self.skip()  # it is quarantined
            return boxes, stated
        width, height, orientation = head
        stored = (float(width), float(height))
        shown = stored if orientation < 5 else stored[::-1]
        as_shown = stated is None or _same(stated, shown)
        told: list[int | None] = [None, None]
        if not as_shown and stated is not None:
            told = [round(side) for side in stated]
        marked: int | None = None
        if stated is not None and not as_shown and _same(stated, stored):
            boxes = boxes and [_turned(one, orientation, shown) for one in boxes]
            self._turned += 1
            marked = orientation
        elif not as_shown:
            self._other += 1
        elif boxes and orientation > 1 and (stated is None or shown == stored):
            self._unsure += 1
            marked = orientation
        self._rows.append((told[0], told[1], marked))
        return boxes, shown

    def skip(self, stated: Size | None = None) -> None:
        """Note a picture of which nothing is known, since it cannot be read or is not opened."""
        self._unopened += stated is not None
        self._rows.append((None, None, None))

    def columns(self) -> dict[str, pa.Array]:
        """Return the columns, int64, parallel to the pictures; none of them where all is well."""
        if not any(any(value is not None for value in row) for row in self._rows):
            return {}
        return {
            name: pa.array(values, pa.int64()) for name, values in zip(COLUMNS, zip(*self._rows))
        }

    def notes(self) -> Iterator[str]:
        """Yield what the user should know, each with the query that shows it."""
        if self._unopened:
            yield (
                f"The sizes that the annotations state were not held against the pictures of "
                f"{count(self._unopened, 'sample')}, which are not opened."
            )
        if self._turned:
            yield (
                f"{count(self._turned, 'picture is', 'pictures are')} turned for display "
                f"(EXIF) and {verb(self._turned, 'was', 'were')} annotated as stored; "
                f"{verb(self._turned, 'its boxes were turned with it', _TURNED)}. To see them: "
                "exif_orientation IS NOT NULL AND stated_width IS NOT NULL"
            )
        if self._other:
            yield (
                f"{count(self._other, 'picture has', 'pictures have')} another size than "
                f"{verb(self._other, 'its', 'their')} annotations state; the boxes are kept as "
                "they are. To see them: stated_width IS NOT NULL AND exif_orientation IS NULL"
            )
        if self._unsure:
            yield (
                f"{count(self._unsure, 'annotated picture is', 'annotated pictures are')} turned "
                f"for display (EXIF), and {verb(self._unsure, 'its', 'their')} annotations do not "
                "tell whether they were made so; the boxes are kept as they "
                "are. To see them: exif_orientation IS NOT NULL AND stated_width IS NULL"
            )


def head_of(image: str | bytes) -> Head | None:
    """Return width and height as stored, and EXIF's orientation; None where it is no image.

    Args:
        image: path, address or encoded bytes.
    """
    if isinstance(image, str) and is_remote(image):
        try:
            image = read(image)
        except SourceError:  # said when it is verified
            return None
    return media.head_of(path_of(image) if isinstance(image, str) else image)


def in_pixels(boxes: list[Box], size: Size | None) -> list[Box] | None:
    """Return boxes in fractions of a picture in its pixels; None where its size is unknown."""
    if size is None:
        return None
    scale = (*size, *size)
    return [
        {**one, "bbox": [round(v * side, 3) for v, side in zip(one["bbox"], scale)]}
        for one in boxes
    ]


def size_of(image: str | bytes) -> tuple[int, int] | None:
    """Return width and height of an image as displayed; None where it is none."""
    return _shown(head_of(image))


def _shown(head: Head | None) -> tuple[int, int] | None:
    if head is None:
        return None
    width, height, orientation = head
    return (width, height) if orientation < 5 else (height, width)


def _same(one: Size, other: Size) -> bool:
    return abs(one[0] - other[0]) <= _SLACK and abs(one[1] - other[1]) <= _SLACK


def _turned(box: Box, orientation: int, size: Size) -> Box:
    """Return a box of the stored picture as it lies in the displayed one."""
    outline, points = box["segmentation"], box["keypoints"]
    new = box.copy()
    new["bbox"] = turned_box(box["bbox"], orientation, size)
    if outline is not None:
        new["segmentation"] = turned_outline(outline, orientation, size)
    if points is not None:
        at = [number for i, number in enumerate(points) if i % 3 < 2]
        moved = turned(at, orientation, size)
        new["keypoints"] = [
            value
            for i, seen in enumerate(points[2::3])
            # COCO has (0, 0, 0) for a point that is not labelled
            for value in ((*moved[2 * i : 2 * i + 2], seen) if seen else points[3 * i : 3 * i + 3])
        ]
    return new
