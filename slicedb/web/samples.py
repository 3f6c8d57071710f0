"""Sample: one picture with all that is known of it, edited in place."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from fastapi import Request
from fastapi.responses import Response

from slicedb import sql
from slicedb.errors import CheckError, QueryError, SliceDBError, UnknownSampleError
from slicedb.schema import CAMS, PLUMBING, PREDICTIONS, SHOWN, keys_of
from slicedb.show import numbers
from slicedb.sources import is_remote
from slicedb.web.asked import Asked
from slicedb.web.deciding import author_in, edit_of, previews
from slicedb.web.drawn import boxes_of
from slicedb.web.plain import Body
from slicedb.web.site import Site
from slicedb.web.stepping import around

if TYPE_CHECKING:
    from slicedb.analysis.sheet import Sheet
    from slicedb.database import Database
    from slicedb.tasks import Shown

_SIDES = 2048
"""Pixels of the longer side of a picture at most."""
_NEAR = 12
"""Neighbours that are shown."""
_LABELS = 500
"""Labels that are offered, the most frequent ones."""
_HIDDEN = frozenset(
    {"id", "key", "objects", "label", "labels", "tags", "phash", "turned_phash", "dct_hash"}
)


def add(site: Site) -> None:
    """Register the page and what it asks."""

    @site.page("/sample", "Sample", "sample.html", menu=False)
    async def page(
        request: Request, id: str = "", author: str = "", commit: str = ""
    ) -> dict[str, object]:
        name = author_in({"author": author})
        if not id:
            return {"sample": None}
        return {"sample": await site.ask(request, lambda db: sample(_at(db, commit), id, name))}

    @site.get("/api/sample/near")
    async def near(request: Request, id: str, commit: str = "") -> dict[str, object]:
        return await site.ask(request, lambda db: neighbours(_at(db, commit), id))

    @site.get("/api/sample/around")
    async def beside(request: Request, id: str, at: int | None = None) -> dict[str, object]:
        asked = Asked(request, site.uploads)
        try:
            return await site.look(request, lambda db: around(asked.of(db), id, at))
        except QueryError as error:
            raise asked.placed(error) from error

    @site.get("/api/sample/labels")
    async def labels(request: Request) -> dict[str, object]:
        return await site.ask(request, known_labels)

    @site.get("/api/sample/picture")
    async def picture(
        request: Request, id: str, side: int = 1024, cam: str = "", commit: str = ""
    ) -> Response:
        size = _side(side)
        data = await site.picture(request, lambda db: encoded(_at(db, commit), id, size, cam))
        kept = "no-cache" if cam else "private, max-age=60"  # maps are made on this page
        return Response(data, media_type="image/jpeg", headers={"cache-control": kept})

    @site.get("/api/sample/map")
    async def label_map(request: Request, id: str, model: str = "", commit: str = "") -> Response:
        data = await site.picture(request, lambda db: coloured(_at(db, commit), id, model))
        return Response(data, media_type="image/png", headers={"cache-control": "no-cache"})

    @site.post("/api/sample/cam")
    async def cam(request: Request, body: Body) -> dict[str, object]:
        id, model = str(body.get("id", "")), str(body.get("model", ""))
        where = sql.equals("id", id)

        def work(db: Database) -> dict[str, object]:
            db.cam(model, where, progress=False)
            return {"cams": _cams(db, id)}

        return await site.write(request, work)


def _at(db: Database, commit: str) -> Database:
    """Return the database as it was at a commit, if one is named."""
    return db.at(commit) if commit else db


def sample(db: Database, id: str, author: str) -> dict[str, object]:
    """Return what the page shows of a sample, but for its neighbours."""
    sheet = db.show(id, neighbours=0, remote=False)
    row = sheet.row
    broken = ""
    if row.get("status") not in (None, *SHOWN):
        broken = f"{row['status']}: {row.get('error') or 'the picture does not decode'}"
    elif not sheet.image:
        uri = str(row.get("uri") or "")
        where = f"It lies at {uri}, where pages fetch nothing from." if is_remote(uri) else ""
        broken = f"The picture cannot be read. {where}"
    facts = [(name, value) for name, value in row.items() if name not in _HIDDEN]
    return {
        "id": id,
        "width": row.get("width"),
        "height": row.get("height"),
        "label": row.get("label"),
        "labels": row.get("labels"),
        "tags": row.get("tags") or [],
        "broken": broken,
        "facts": [[n, numbers.value(v)] for n, v in facts if n not in PLUMBING],
        "ingested": [[n, numbers.value(v)] for n, v in facts if n in PLUMBING],
        "boxes": boxes_of(sheet.truth, is_truth=True),
        "classes": _classes(sheet.truth, "truth"),
        "models": [_model(db, sheet, name) for name in sheet.predictions],
        "cams": _cams(db, id),
        "slices": sheet.slices,
        "edits": [edit_of(edit, author) for edit in reversed(sheet.edits)],
        "notes": [note for note in sheet.notes if not note.startswith("no neighbours")],
        "author": author,
        **dict(zip(("now",), previews(db, [id], author).values())),
    }


def _model(db: Database, sheet: Sheet, name: str) -> dict[str, object]:
    """Return what a model says of a sample."""
    said = sheet.predictions[name]
    if said is None:
        return {"name": name, "prediction": None, "boxes": [], "classes": []}
    return {
        "name": name,
        "prediction": said.shown.prediction,
        "confidence": said.shown.confidence,
        "correct": said.correct,
        "loss": said.loss,
        "boxes": [*boxes_of(said.shown, is_truth=False), *_unsure(db, sheet.id, name)],
        "least": _least(db, name),
        "classes": _classes(said.shown, "prediction"),
    }


def _least(db: Database, model: str) -> float:
    """Return the confidence from which on a detector's boxes count."""
    from slicedb.tasks import About

    return About.read(db.store, model).confidence


def _unsure(db: Database, id: str, model: str) -> list[dict[str, object]]:
    """Return the boxes of a detector that do not count for their confidence."""
    table = PREDICTIONS + model
    if "objects" not in db.store.schema(table).names:
        return []
    rows, _ = db.store.find(table, keys_of([id]), ["objects"], ids=[id])
    least = _least(db, model)
    return [
        {"label": box["label"], "bbox": box["bbox"], "score": box["score"], "state": ""}
        for row in rows["objects"].to_pylist()
        for box in row or ()
        if box["score"] is not None and box["score"] < least
    ]


def _classes(shown: Shown, title: str) -> list[dict[str, str]]:
    """Return the classes of a label map; empty where there is none."""
    from slicedb.tasks.drawing import classes_in

    maps = [one for one in shown.maps if one.title == title]
    return [{"name": name} for one in maps for name in classes_in(one)]


def _cams(db: Database, id: str) -> list[dict[str, object]]:
    """Return the models that can say where they looked, and whether that is stored."""
    key = keys_of([id])
    stored = [n for n in db.cams.models() if db.store.present(CAMS + n, key, ids=[id]).all()]
    able = [m.name for m in db.models.list() if not m.logged and _explains(db, m.name)]
    return [{"name": n, "stored": n in stored} for n in sorted({*stored, *able})]


def _explains(db: Database, model: str) -> bool:
    """Return whether a model can be loaded and gives classes, of a picture or of its pixels."""
    from slicedb.tasks import About

    if not db.store.has(PREDICTIONS + model) or not db.models.can_load(model):
        return False
    return About.read(db.store, model).task in ("classification", "segmentation")


def neighbours(db: Database, id: str) -> dict[str, object]:
    """Return the nearest samples, or why there are none."""
    sheet = db.show(id, neighbours=_NEAR, remote=False)
    notes = [note for note in sheet.notes if note.startswith("no neighbours")]
    return {"neighbours": sheet.neighbours, "notes": notes}


def known_labels(db: Database) -> dict[str, object]:
    """Return labels of samples, those they have several of, and boxes', most frequent first."""
    own = db.sql(
        "SELECT label, count(*) AS n FROM samples WHERE label IS NOT NULL "
        f"GROUP BY label ORDER BY n DESC, label LIMIT {_LABELS}"
    )
    several = db.sql(
        "SELECT label, count(*) AS n FROM (SELECT unnest(labels) AS label FROM samples) "
        f"GROUP BY label ORDER BY n DESC, label LIMIT {_LABELS}"
    )
    boxes: list[str] = []
    try:
        rows = db.sql(
            "SELECT label, count(*) AS n FROM objects WHERE label IS NOT NULL "
            f"GROUP BY label ORDER BY n DESC, label LIMIT {_LABELS}"
        )
        boxes = rows["label"].to_pylist()
    except SliceDBError:  # no sample has boxes
        boxes = []
    return {
        "labels": own["label"].to_pylist(),
        "several": several["label"].to_pylist(),
        "boxes": boxes,
    }


def _side(side: int) -> int:
    if not 16 <= side <= _SIDES:
        raise CheckError(f"side is {side}.", f"take 16 to {_SIDES} pixels.")
    return side


def encoded(db: Database, id: str, side: int, cam: str = "") -> bytes:
    """Return a picture as JPEG, made anew, with what a model looked at over it if one is named.

    Raises:
        UnknownSampleError: there is no such sample, or its picture cannot be read.
        MediaError: it does not decode.
    """
    from slicedb.media import thumbnail
    from slicedb.media.marks import jpeg

    if cam:
        return jpeg(db.cams.overlay(id, cam, side=side, remote=False))
    for _, data in db.store.read_images(keys_of([id]), remote=False):
        if data:
            return thumbnail(data, side)
    raise UnknownSampleError(f"The picture of '{id}' cannot be read.")


def coloured(db: Database, id: str, model: str = "") -> bytes:
    """Return the classes of a label map as a transparent PNG: of the truth, or of a model.

    Raises:
        UnknownSampleError: the sample has no such map.
    """
    from PIL import Image

    from slicedb.tasks.drawing import colour_of

    sheet = db.show(id, neighbours=0, remote=False)
    said = sheet.predictions.get(model) if model else None
    shown, title = (sheet.truth, "truth") if not model else (said and said.shown, "prediction")
    maps = [one for one in shown.maps if one.title == title] if shown else []
    if not maps:
        raise UnknownSampleError(f"'{id}' has no label map of {model or 'the truth'}.")
    codes = maps[0].codes
    step = max(1, -(-max(codes.shape) // _SIDES))
    codes = codes[::step, ::step].astype(np.int64)
    is_class = codes < len(maps[0].classes)
    if maps[0].ignored is not None:
        is_class &= codes != maps[0].ignored
    palette = np.array([colour_of(name) for name in maps[0].classes] or [(0, 0, 0)], np.uint8)
    pixels = np.dstack([palette[np.where(is_class, codes, 0)], is_class.astype(np.uint8) * 255])
    out = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(out, "PNG")
    return out.getvalue()
