"""Tell which outlines and key points a format has room for, before boxes are written."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slicedb.keys import Keys
from slicedb.schema import SAMPLES
from slicedb.show import numbers

if TYPE_CHECKING:
    from slicedb.schema import Box
    from slicedb.store import Store

_CHUNK = 4096


@dataclass(frozen=True)
class Outlines:
    """What the boxes of some samples have besides their sides."""

    n: int
    """Boxes."""
    polygons: int
    """Boxes whose outline is one polygon."""
    others: int
    """Boxes with an outline of several polygons, or a mask."""
    points: Counter[int]
    """How many boxes have how many key points."""

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

    def lost(self, form: str) -> list[str]:
        """Return what a format has no room for, a sentence each."""
        kind = self.kind if form == "yolo" else "detect"
        outlines = self.others + (0 if kind == "segment" else self.polygons)
        points = 0 if kind == "pose" else sum(self.points.values())
        why = "has room for them only where every box has one of one kind"
        reason = why if form == "yolo" else "has no room for them"
        notes = []
        if outlines:
            said = numbers.count(outlines, "outline")
            notes.append(f"{said} left out: {form} {reason}. COCO keeps all.")
        if points:
            said = numbers.count(points, "set", "sets")
            notes.append(f"{said} of key points left out: {form} {reason}. COCO keeps all.")
        return notes


def outlines_of(store: Store, keys: Keys) -> Outlines:
    """Return what the boxes of samples have."""
    n = polygons = others = 0
    points: Counter[int] = Counter()
    for start in range(0, len(keys), _CHUNK):
        table = store.take(SAMPLES, keys[start : start + _CHUNK], ["objects"])
        for row in table["objects"].to_pylist():
            for box in row or []:
                n += 1
                outline = polygon_of(box)
                polygons += outline is not None
                others += outline is None and box.get("segmentation") is not None
                if box.get("keypoints"):
                    points[len(box["keypoints"]) // 3] += 1
    return Outlines(n, polygons, others, points)


def polygon_of(box: Box) -> list[float] | None:
    """Return the outline of a box where it is one polygon, [x, y, ...] in pixels."""
    text = box.get("segmentation")
    outline = json.loads(text) if text else None
    if not isinstance(outline, list) or len(outline) != 1 or not isinstance(outline[0], list):
        return None
    polygon = outline[0]
    return polygon if len(polygon) >= 6 and len(polygon) % 2 == 0 else None
