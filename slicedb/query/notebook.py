"""A query in a notebook: thumbnails with label, prediction and score, or the table."""

from __future__ import annotations

import base64
import html as escape
import io
from typing import TYPE_CHECKING, Any

from slicedb.errors import SliceDBError
from slicedb.schema import CAMS, PREDICTIONS, SAMPLES

if TYPE_CHECKING:
    from slicedb.query.query import Query

_SHOWN = 24
_SIDE = 128


def html(query: Query) -> str:
    """Return the HTML a notebook shows."""
    text = f"<pre>{escape.escape(repr(query))}</pre>"
    if not query.is_rows:
        return text + _table(query)
    found = query.limit(_SHOWN)
    keys = found.keys()
    count = query.count()
    head = f"<p>{count:,} samples{f', the first {_SHOWN}' if count > _SHOWN else ''}</p>"
    cards = "".join(_card(*card) for card in _cards(query, found, keys))
    style = "display:flex;flex-wrap:wrap;gap:8px"
    return f"{text}{head}<div style='{style}'>{cards}</div>"


def _cards(query: Query, found: Query, keys: Any) -> list[tuple[bytes, list[str]]]:
    from slicedb import media

    store = query._engine.store
    plan = query.plan()
    samples = store.take(SAMPLES, keys, ["id", "label"]).to_pylist()
    scores = found.scores()
    named = {e.model for r in plan.bound.everywhere() for e in r.extras}
    models = sorted(name for name in named if not name.startswith(CAMS))
    looked = sorted(name.removeprefix(CAMS) for name in named if name.startswith(CAMS))
    overlays = _overlays(query, looked, keys)
    cards = []
    for number, (_, data) in enumerate(store.read_images(keys)):
        row = samples[number]
        lines = [str(row["id"]), f"label {row['label']}"]
        lines += [_prediction(query, model, int(keys[number])) for model in models]
        if scores is not None:
            lines.append(f"score {scores[number]:.3f}")
        try:
            picture = media.thumbnail(data, _SIDE)
        except SliceDBError:
            picture = b""
        cards.append((overlays.get(number, picture), lines))
    return cards


def _overlays(query: Query, models: list[str], keys: Any) -> dict[int, bytes]:
    """Return, as JPEG, the pictures with the first model's maps where the text names maps."""
    if not models or query._engine.overlays is None:
        return {}
    found = {}
    for number, picture in enumerate(query._engine.overlays(models[0], keys, _SIDE)):
        if picture is not None:
            out = io.BytesIO()
            picture.save(out, "JPEG", quality=85)
            found[number] = out.getvalue()
    return found


def _prediction(query: Query, model: str, key: int) -> str:
    table = query._engine.store.table(
        PREDICTIONS + model, ["prediction", "confidence"], where=f"key = {key}"
    )
    if not len(table):
        return f"{model}: none"
    row = table.to_pylist()[0]
    sure = "" if row["confidence"] is None else f" {row['confidence']:.2f}"
    return f"{model}: {row['prediction']}{sure}"


def _card(picture: bytes, lines: list[str]) -> str:
    name = escape.escape(lines[0], quote=True)
    data = base64.b64encode(picture).decode()
    if picture:
        shown = f"<img alt='{name}' title='{name}' src='data:image/jpeg;base64,{data}'>"
    else:
        shown = "<div>no picture</div>"
    words = "<br>".join(escape.escape(line) for line in lines[1:])
    return f"<div style='width:{_SIDE}px;font-size:11px'>{shown}<br>{words}</div>"


def _table(query: Query) -> str:
    table = query.to_arrow()
    head = "".join(f"<th>{escape.escape(name)}</th>" for name in table.column_names)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape.escape(str(v))}</td>" for v in row.values()) + "</tr>"
        for row in table.slice(0, 100).to_pylist()
    )
    return f"<table><tr>{head}</tr>{rows}</table>"
