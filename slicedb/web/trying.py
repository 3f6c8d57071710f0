"""Try: what each model says of a picture that a reader drops, what it looked at, what is near."""

from __future__ import annotations

import io
import threading
import time
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import Response

from slicedb import media, sql
from slicedb.errors import UnknownModelError
from slicedb.schema import EMBEDDINGS, PREDICTIONS
from slicedb.tasks import About

if TYPE_CHECKING:
    from PIL import Image

    from slicedb.analysis.tryout import Tryout
    from slicedb.database import Database
    from slicedb.web.site import Site

_DRAWN = ("detection", "segmentation")
"""Tasks whose models find boxes or regions, and not a class of the whole picture."""
_SIDE = 1024
"""Pixels of the longer side of what is sent back."""
_CLASSES = 50
_NEAREST, _MOST_NEAREST = 12, 60


def add(site: Site) -> None:
    """Register the page and what it asks."""
    running = threading.Lock()  # one picture at a time: models share the cores, and their modes

    def tried(db: Database, model: str, picture: str, **how: str) -> Tryout:
        if not db.models.can_load(model):
            db.models.show(model)  # a misspelt name is told
            raise UnknownModelError(f"'{model}' cannot be run here.", _why(model))
        data = site.uploads.get(picture)
        with running:
            return db.try_out(model, data, neighbours=0, progress=False, **how)

    @site.page("/try", "Try", "try.html")
    async def page(request: Request) -> dict[str, object]:
        return await site.ask(request, _offered)

    @site.get("/api/try")
    async def said(request: Request, model: str, picture: str) -> dict[str, object]:
        def work(db: Database) -> dict[str, object]:
            began = time.perf_counter()
            answer = _said(tried(db, model, picture))
            seconds = round(time.perf_counter() - began, 3)
            return {**answer, "task": db.models.get(model).task, "seconds": seconds}

        return await site.ask(request, work)

    @site.get("/api/try/picture")
    async def shown(
        request: Request, picture: str, model: str = "", target: str = "prediction"
    ) -> Response:
        def work(db: Database) -> bytes:
            if not model:
                return media.thumbnail(site.uploads.get(picture), _SIDE)
            db.models.show(model)  # a misspelt name is told
            if db.models.can_load(model) and db.models.get(model).task in _DRAWN:
                return media.thumbnail(tried(db, model, picture).drawn, _SIDE)
            overlay = tried(db, model, picture, cam="", target=target).overlay
            assert overlay is not None
            return _jpeg(overlay)

        made = await site.ask(request, work)
        return Response(made, media_type="image/jpeg", headers={"cache-control": "private"})

    @site.get("/api/try/size")
    async def size(request: Request, picture: str) -> dict[str, object]:
        def work(db: Database) -> dict[str, object]:
            height, width, _ = media.decode_rgb(site.uploads.get(picture)).shape
            return {"width": width, "height": height}

        return await site.picture(request, work)

    @site.get("/api/try/nearest")
    async def nearest(
        request: Request, picture: str, embedding: str = "default", n: int = _NEAREST
    ) -> dict[str, object]:
        data = site.uploads.get(picture)
        n = max(1, min(n, _MOST_NEAREST))
        return await site.ask(request, lambda db: _near(db, data, embedding, n))


def _why(model: str) -> str:
    return f"its predictions were made elsewhere; `slicedb model add {model}` registers one to run."


def _offered(db: Database) -> dict[str, object]:
    models = db.models.list()
    names = [t.removeprefix(EMBEDDINGS) for t in db.store.names() if t.startswith(EMBEDDINGS)]
    return {
        "models": [
            {"name": m.name, "task": _task(db, m.name), "classes": len(m.classes)}
            for m in models
            if db.models.can_load(m.name)
        ],
        "elsewhere": [m.name for m in models if not db.models.can_load(m.name)],
        "embeddings": sorted(names, key=lambda name: (name != "default", name)),
    }


def _task(db: Database, model: str) -> str:
    """Return what a model does, "" where it has predicted nothing yet: it is not loaded for it."""
    has = db.store.has(PREDICTIONS + model)
    return About.read(db.store, model).task if has else ""


def _said(tryout: Tryout) -> dict[str, object]:
    """Return what a model says of a picture, the likeliest classes or the surest boxes first."""
    likely = list(tryout.classes.items())
    boxes = [] if tryout.found is None else tryout.found.boxes
    return {
        "model": tryout.model,
        "prediction": tryout.prediction,
        "confidence": tryout.confidence,
        "classes": [{"name": name, "p": p} for name, p in likely[:_CLASSES]],
        "n_classes": len(likely),
        "boxes": [{"label": box.label, "score": box.score, "xywh": box.xywh} for box in boxes],
        "maps": tryout.found is not None and bool(tryout.found.maps),
        "notes": tryout.notes,
    }


def _near(db: Database, data: bytes, embedding: str, n: int) -> dict[str, object]:
    using = f", using => {sql.string(embedding)}"
    score = f"similarity(image($upload){using})"
    rows = db.sql(
        f"SELECT id, label, {score} AS similarity FROM samples WHERE {score} IS NOT NULL "
        f"ORDER BY {score} DESC LIMIT {n}",
        {"upload": data},
    )
    return {"rows": rows.to_pylist(), "query": f"ORDER BY {score} DESC"}


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.thumbnail((_SIDE, _SIDE))
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()
