"""Tell pictures in which a detector found nothing from those that it never looked at.

A table of boxes has no row for either. Which pictures were looked at is said by the source: a row
without a box, COCO's list of images, a list per picture, or `looked_at=`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import sql
from slicedb.errors import PredictionError
from slicedb.keys import KeyIndex
from slicedb.predictions.tables import table_of
from slicedb.schema import IS_SHOWN, SAMPLES
from slicedb.show.numbers import count, verb
from slicedb.store import Store
from slicedb.tasks import TASKS, About
from slicedb.tasks.objects import objects_from


def with_nothing_found(table: pa.Table, looked_at: Sequence[str], place: str) -> pa.Table:
    """Return detections with an empty row for each picture that was looked at and has none.

    Args:
        table: `id` and `objects`.
        looked_at: the ids of the pictures that the model looked at.
        place: what errors call the source.

    Raises:
        PredictionError: these are no detections, or a picture with boxes was not looked at.
    """
    if not {"id", "objects"} <= set(table.column_names):
        raise PredictionError(
            f"{place} has no boxes, so looked_at= (--looked-at) means nothing there.",
            "it is for tables of boxes, where a picture without any has no row.",
        )
    ids = table["id"].to_pylist()
    outside = sorted(set(ids) - set(looked_at))
    if outside:
        raise PredictionError(
            f"{count(len(outside), 'picture')} with boxes in {place} "
            f"{verb(len(outside), 'is', 'are')} not among those looked at: '{outside[0]}'.",
            "looked_at= (--looked-at) names all pictures that the model saw.",
        )
    new = sorted(set(looked_at) - set(ids))
    empty = pa.table(
        {"id": pa.array(new, pa.string()), "objects": objects_from([[]] * len(new), "")}
    )
    columns = table.set_column(
        table.column_names.index("objects"), "objects", objects_from(table["objects"], place)
    )
    return pa.concat_tables([columns, empty], promote_options="default")


def unseen_by(store: Store, model: str) -> tuple[int, int]:
    """Return how many annotated pictures have no row of a detector, and how many are annotated.

    Of any other model both are 0.
    """
    about = About.read(store, model)
    if TASKS[about.task].name != "detection":
        return 0, 0
    rows = store.table(SAMPLES, ["key", "objects"], where=f"objects IS NOT NULL AND ({IS_SHOWN})")
    seen = store.table(table_of(model), ["key", "objects"])
    known = KeyIndex(seen.filter(pc.is_valid(seen["objects"]))["key"].to_numpy())
    return int(np.count_nonzero(~known.has(rows["key"].to_numpy()))), len(rows)


def unseen_text(model: str, unseen: int, annotated: int) -> str:
    """Return what to know of pictures that have no row.

    >>> print(unseen_text("det", 25, 60))
    25 of 60 annotated pictures have no row. If det looked at them and found nothing, name them with
      looked_at= (--looked-at "split = 'val'"); now they are left out, and expectations do not pass.
      They are: objects IS NOT NULL AND det.tp IS NULL
    """
    return (
        f"{unseen:,} of {count(annotated, 'annotated picture')} {verb(unseen, 'has', 'have')} no "
        f"row. If {model} looked at them "
        "and found nothing, name them with\n  looked_at= (--looked-at \"split = 'val'\"); now they "
        f"are left out, and expectations do not pass.\n  They are: {unseen_query(model)}"
    )


def unseen_query(model: str) -> str:
    """Return the query of the annotated pictures that have no row of a detector.

    >>> unseen_query("det")
    'objects IS NOT NULL AND det.tp IS NULL'
    """
    return f"objects IS NOT NULL AND {sql.name(model)}.tp IS NULL"
