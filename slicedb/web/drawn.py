"""What is drawn over a picture, as pages get it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from slicedb import sql
from slicedb.errors import CheckError
from slicedb.web.plain import Body

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.tasks import Shown

SIZE = ("width", "height")
"""Columns that say in which pixels boxes are."""


def boxes_of(shown: Shown, *, is_truth: bool) -> list[dict[str, object]]:
    """Return the annotated boxes of a sample, or those that a model predicts."""
    return [
        {"label": box.label, "bbox": box.xywh, "score": box.score, "state": box.state}
        for box in shown.boxes
        if (box.score is None) == is_truth
    ]


def outlines_in(db: Database, columns: Sequence[str]) -> dict[str, str]:
    """Return the expression that gives the boxes of a row, by the column that they come from.

    Of a detector, those boxes that count for their confidence.

    Args:
        db: the database.
        columns: `objects` for what is annotated, `v3.objects` for what a model says.

    Raises:
        CheckError: there are no boxes in such a column.
    """
    from slicedb.tasks import About

    known = db.names().boxes()
    found = {}
    for column in columns:
        if column not in known:
            has = f"there are {', '.join(known)}." if known else "no sample has any."
            raise CheckError(f"No column '{column[:200]}' of boxes.", has)
        cut = ""
        if column != "objects":
            model = next(m for m in db.names().models() if column == f"{sql.name(m)}.objects")
            cut = f" IF coalesce(b.score, 1) >= {About.read(db.store, model).confidence}"
        found[column] = f"[b.bbox FOR b IN {column}{cut}]"
    return found


def outlined(rows: list[Body], outlines: dict[str, str]) -> None:
    """Put what `outlines_in` gave together in each row: boxes by column, in whole pixels."""
    for row in rows:
        given = {column: row.pop(text) or () for column, text in outlines.items()}
        row["boxes"] = {
            column: [[round(edge) for edge in box] for box in boxes if box and None not in box]
            for column, boxes in given.items()
        }


def shape_of(segmentation: str | None) -> str:
    """Return an outline as a path of SVG in pixels of the picture; "" where there is none to draw.

    A mask becomes a strip for each of its runs, of the width of a pixel.

    Args:
        segmentation: polygons or a mask, as `objects` has them.

    >>> shape_of("[[1, 1, 5, 1, 5, 4]]")
    'M1 1L5 1L5 4z'
    >>> shape_of('{"size": [4, 5], "counts": [5, 2, 2, 2, 9]}')
    'M1 1h1v2h-1zM2 1h1v2h-1z'
    """
    from slicedb.ingest.outlines import polygons

    try:
        given = json.loads(segmentation or "null")
        if isinstance(given, Mapping):
            return _strips(given)
        parts = polygons(given or [])
    except ValueError:  # as it was annotated: nothing that can be drawn
        return ""
    corners = [[f"{x:g} {y:g}" for x, y in zip(p[::2], p[1::2])] for p in parts if len(p) >= 6]
    return "".join(f"M{'L'.join(each)}z" for each in corners)


def _strips(mask: Mapping[str, object]) -> str:
    from slicedb.media.rle import runs_and_size

    runs, high, _ = runs_and_size(mask)
    strips = []
    for run, end in zip(runs[1::2], list(accumulate(runs))[1::2]):
        start = end - run
        while start < end:  # a run that goes on in the next column
            x, y = divmod(start, high)
            tall = min(end - start, high - y)
            strips.append(f"M{x} {y}h1v{tall}h-1z")
            start += tall
    return "".join(strips)


def points_of(keypoints: Sequence[float] | None) -> list[list[float]]:
    """Return the key points that are annotated, each x, y and whether it can be seen.

    >>> points_of([4.0, 5.0, 2.0, 0.0, 0.0, 0.0, 7.0, 8.0, 1.0])
    [[4.0, 5.0, True], [7.0, 8.0, False]]
    """
    given = keypoints or ()
    triples = zip(given[::3], given[1::3], given[2::3])
    return [[x, y, seen > 1] for x, y, seen in triples if seen]
