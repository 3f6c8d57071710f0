"""Show a query in a notebook: pictures with label, prediction and score, or the table."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from slicedb.query import cards
from slicedb.schema import CAMS
from slicedb.show import html, numbers
from slicedb.show.tabular import Figure, Grid, Part, notebook
from slicedb.show.text import headings

if TYPE_CHECKING:
    from slicedb.query.query import Query

_PICTURES = 24
_ROWS = 100


def page(query: Query, most: int = _PICTURES) -> str:
    """Return the HTML that a notebook shows, with that many pictures."""
    text = Figure(lambda: html.element("pre", repr(query)))
    return notebook([text, *(_samples(query, most) if query.is_rows else _table(query))])


def _table(query: Query) -> list[Part]:
    table = query.to_arrow()
    rows = [list(row.values()) for row in table.slice(0, _ROWS).to_pylist()]
    first = f", the first {_ROWS}" if len(table) > _ROWS else ""
    head = headings(table.column_names, query.text)
    return [numbers.count(len(table), "row") + first, Grid(head, rows)]


def _samples(query: Query, most: int) -> list[Part]:
    count = query.count()
    first = f", the first {most}" if count > most else ""
    head = numbers.count(count, "sample") + first
    return [head, *(query.absent() if not count else ()), Figure(lambda: _pictures(query, most))]


def _pictures(query: Query, most: int) -> html.Html:
    """Return the first samples, in the order of the query, with the columns that it asks for."""
    first = query.limit(most)
    keys, scores, store = first.keys(), first.scores(), query.session.store
    named = {e.model for r in query.plan().bound.everywhere() for e in r.extras}
    named |= {r.model for r in query.plan().bound.everywhere() if r.model}
    models = sorted(name for name in named if not name.startswith(CAMS))
    maps = sorted(name.removeprefix(CAMS) for name in named if name.startswith(CAMS))
    beside = _asked(first)
    if scores is not None:
        ids = first.ids()
        for name, score in zip(ids, scores.tolist()):
            beside.setdefault(name, []).append(f"score {score:.3f}")
    return cards.cards(store, keys, models, beside=beside, pictures=_overlays(query, maps, keys))


def _asked(query: Query) -> dict[str, list[str]]:
    """Return the columns that a SELECT lists, as lines of each id; none for a predicate."""
    if query.is_star:
        return {}
    lines: dict[str, list[str]] = {}
    for row in query.to_arrow().to_pylist():
        name = next(str(value) for column, value in row.items() if column.lower() == "id")
        values = [f"{c} {numbers.value(v)}" for c, v in row.items() if c.lower() != "id"]
        lines.setdefault(name, values)
    return lines


def _overlays(query: Query, models: list[str], keys: np.ndarray) -> dict[int, bytes]:
    """Return, as JPEG, the pictures with the first model's maps where the text names maps."""
    if not models or query.overlays is None:
        return {}
    pictures = {}
    for number, picture in enumerate(query.overlays(models[0], keys, cards.SIDE)):
        if picture is not None:
            file = io.BytesIO()
            picture.save(file, "JPEG", quality=85)
            pictures[number] = file.getvalue()
    return pictures
