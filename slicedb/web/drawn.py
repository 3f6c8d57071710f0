"""What is drawn over a picture, as pages get it."""

from __future__ import annotations

from collections.abc import Sequence
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
