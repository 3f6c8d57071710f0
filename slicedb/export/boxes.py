"""Count what the boxes of some samples have, and say what a format has no room for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slicedb.keys import Keys
from slicedb.schema import KEYPOINT_NAMES, SAMPLES
from slicedb.show import numbers

if TYPE_CHECKING:
    from slicedb.schema import Box
    from slicedb.store import Store

_CHUNK = 4096


@dataclass
class Contents:
    """What the boxes of some samples have besides their sides."""

    n: int = 0
    """Boxes."""
    polygons: int = 0
    """Boxes whose outline is one polygon."""
    others: int = 0
    """Boxes with an outline of several polygons, or a mask."""
    points: Counter[int] = field(default_factory=Counter)
    """How many boxes have how many key points."""
    scores: int = 0
    """Boxes with a score."""
    attributes: Counter[str] = field(default_factory=Counter)
    """How many boxes have which attribute."""
    point_names: list[str] = field(default_factory=list)
    """How the key points of a box are called, of the first that says so."""
    unannotated: int = 0
    """Samples whose objects are NULL."""
    unseen: int = 0
    """Samples with boxes whose picture has no known size."""

    @property
    def kind(self) -> str:
        """How YOLO can write them: "pose" or "segment" where every box is so, else "detect"."""
        if self.n and self.points[self.most] == self.n:
            return "pose"
        return "segment" if self.n and self.polygons == self.n else "detect"

    @property
    def most(self) -> int:
        """The number of key points that most boxes have; 0 where none has any."""
        return max(self.points, key=lambda number: self.points[number], default=0)

    def lost_outlines(self, form: str, why: str, *, kind: str = "detect") -> list[str]:
        """Return a sentence on the outlines, and one on the key points, that are left out.

        Args:
            form: the format.
            why: what it has no room for.
            kind: what is written: "segment" keeps polygons, "pose" key points.
        """
        outlines = self.others + (0 if kind == "segment" else self.polygons)
        points = 0 if kind == "pose" else self.points.total()
        notes = []
        if outlines:
            text = numbers.count(outlines, "outline")
            notes.append(f"{text} left out: {form} {why}. COCO keeps all.")
        if points:
            text = numbers.count(points, "set", "sets")
            notes.append(f"{text} of key points left out: {form} {why}. COCO keeps all.")
        return notes

    def lost_rest(self, form: str, kept: Iterable[str] | None = None) -> list[str]:
        """Return sentences on the scores and the attributes of boxes that are left out.

        Args:
            form: the format, which has no place for a score.
            kept: the attributes that it keeps; None keeps none.
        """
        known = {*(kept or ()), KEYPOINT_NAMES}
        lost = {name: n for name, n in self.attributes.items() if name not in known}
        notes = []
        if self.scores:
            text = numbers.count(self.scores, "score")
            notes.append(f"{text} of boxes left out: {form} has no place for them.")
        if lost:
            names = ", ".join(f"{name} of {n:,}" for name, n in Counter(lost).most_common(6))
            more = f" and {len(lost) - 6:,} more" if len(lost) > 6 else ""
            notes.append(
                f"Attributes of boxes left out: {form} has no place for {names}{more} boxes."
            )
        return notes


def contents_of(store: Store, keys: Keys) -> Contents:
    """Return what the boxes of samples have."""
    found = Contents()
    for start in range(0, len(keys), _CHUNK):
        columns = ["objects", "width", "height"]
        table = store.take(SAMPLES, keys[start : start + _CHUNK], columns)
        sized = zip(table["width"].to_pylist(), table["height"].to_pylist())
        for boxes, (width, height) in zip(table["objects"].to_pylist(), sized):
            found.unannotated += boxes is None
            found.unseen += bool(boxes) and not (width and height)
            for box in boxes or []:
                _count(found, box)
    return found


def _count(found: Contents, box: Box) -> None:
    found.n += 1
    outline = polygon_of(box)
    found.polygons += outline is not None
    found.others += outline is None and box.get("segmentation") is not None
    found.scores += box["score"] is not None
    points = box.get("keypoints")
    if points:
        found.points[len(points) // 3] += 1
    if box["attributes"]:
        known = json.loads(box["attributes"])
        found.attributes.update(known.keys())
        names = known.get(KEYPOINT_NAMES)
        if not found.point_names and isinstance(names, list):
            found.point_names = [str(name) for name in names]


def polygon_of(box: Box) -> list[float] | None:
    """Return the outline of a box where it is one polygon, [x, y, ...] in pixels."""
    text = box.get("segmentation")
    outline = json.loads(text) if text else None
    if not isinstance(outline, list) or len(outline) != 1 or not isinstance(outline[0], list):
        return None
    polygon = outline[0]
    return polygon if len(polygon) >= 6 and len(polygon) % 2 == 0 else None


def without_nulls(boxes: Sequence[Box]) -> list[dict[str, object]]:
    """Return boxes as JSON has them: what they do not have is left out, outlines are no text."""
    rows = []
    for box in boxes:
        row: dict[str, object] = {"label": box["label"], "bbox": box["bbox"]}
        if box["score"] is not None:
            row["score"] = box["score"]
        for name in ("attributes", "segmentation"):
            if text := box.get(name):
                row[name] = json.loads(str(text))
        if box.get("keypoints"):
            row["keypoints"] = box["keypoints"]
        rows.append(row)
    return rows
