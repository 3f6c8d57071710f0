"""Show a query in a notebook: thumbnails with label, prediction and score, or the table."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from slicedb.errors import SliceDBError
from slicedb.schema import CAMS, PREDICTIONS, SAMPLES
from slicedb.show import html

if TYPE_CHECKING:
    from slicedb.query.query import Query

_PICTURES = 24
_ROWS = 100
_SIDE = 128


def page(query: Query) -> str:
    """Return the HTML that a notebook shows."""
    text = html.element("pre", repr(query))
    if not query.is_rows:
        table = query.to_arrow().slice(0, _ROWS)
        rows = [list(row.values()) for row in table.to_pylist()]
        return text + html.table(table.column_names, rows)
    count = query.count()
    first = f", the first {_PICTURES}" if count > _PICTURES else ""
    head = html.element("p", f"{count:,} samples{first}")
    return text + head + html.cards(_cards(query), _SIDE)


def _cards(query: Query) -> list[list[bytes | str]]:
    """Return picture, id and lines of each of the first samples, in the order of the query."""
    from slicedb import media

    first = query.limit(_PICTURES)
    keys, scores, store = first.keys(), first.scores(), query.session.store
    lines = [
        [str(row["id"]), f"label {row['label']}"]
        for row in store.take(SAMPLES, keys, ["id", "label"]).to_pylist()
    ]
    named = {e.model for r in query.plan().bound.everywhere() for e in r.extras}
    for model in sorted(name for name in named if not name.startswith(CAMS)):
        for line, prediction in zip(lines, _predictions(query, model, keys)):
            line.append(f"{model}: {prediction}")
    for number, line in enumerate(lines if scores is not None else []):
        assert scores is not None
        line.append(f"score {scores[number]:.3f}")
    maps = sorted(name.removeprefix(CAMS) for name in named if name.startswith(CAMS))
    overlays = _overlays(query, maps, keys)
    cards: list[list[bytes | str]] = []
    for number, (_, data) in enumerate(store.read_images(keys)):
        try:
            picture = overlays.get(number) or media.thumbnail(data, _SIDE)
        except SliceDBError:
            picture = b""
        cards.append([picture, *lines[number]])
    return cards


def _overlays(query: Query, models: list[str], keys: np.ndarray) -> dict[int, bytes]:
    """Return, as JPEG, the pictures with the first model's maps where the text names maps."""
    if not models or query.overlays is None:
        return {}
    pictures = {}
    for number, picture in enumerate(query.overlays(models[0], keys, _SIDE)):
        if picture is not None:
            file = io.BytesIO()
            picture.save(file, "JPEG", quality=85)
            pictures[number] = file.getvalue()
    return pictures


def _predictions(query: Query, model: str, keys: np.ndarray) -> list[str]:
    """Return what a model predicts for each sample, with its confidence."""
    listed = ", ".join(map(str, keys.tolist()))
    columns = ["key", "prediction", "confidence"]
    where = f"key IN ({listed})" if listed else "false"
    table = query.session.store.table(PREDICTIONS + model, columns, where=where)
    shown = {}
    for row in table.to_pylist():
        confidence = row["confidence"]
        sure = "" if confidence is None else f" {confidence:.2f}"
        shown[row["key"]] = f"{row['prediction']}{sure}"
    return [shown.get(key, "none") for key in keys.tolist()]
