"""Walk through the samples of a query one by one: which comes before a sample, and which behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slicedb.schema import keys_of

if TYPE_CHECKING:
    from slicedb.query import Query


def around(query: Query, id: str, at: int | None = None) -> dict[str, object]:
    """Return where a sample stands in the answer of a query, and its neighbours there.

    A sample that is in the answer no longer, since it was decided on or changed, leaves a gap: the
    neighbours of its former place are given, and `is_in` is False.

    Args:
        query: what is walked through.
        id: the sample.
        at: where it stood when it was opened, from 0.
    """
    n = query.count()
    place = _place(query, id, at, n)
    if place is not None:
        before, behind = place - 1, place + 1
    elif at is not None:
        before, behind = min(at, n) - 1, min(at, n)  # what stood behind it has moved up
    else:
        before, behind = -1, n
    return {
        "count": n,
        "at": at if place is None else place,
        "is_in": place is not None,
        "before": _id_at(query, before) if before >= 0 else None,
        "behind": _id_at(query, behind) if behind < n else None,
        "behind_at": behind,
        "before_at": before,
    }


def _place(query: Query, id: str, at: int | None, n: int) -> int | None:
    """Return the place of a sample; the answer is searched only where it is at another place."""
    if at is not None and 0 <= at < n and _id_at(query, at) == id:
        return at
    places = np.flatnonzero(query.keys() == keys_of([id])[0])
    return int(places[0]) if len(places) else None


def _id_at(query: Query, place: int) -> str:
    return str(query.page(place, place + 1, ["id"])["id"][0].as_py())
