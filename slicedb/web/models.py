"""Models: how each does on every slice, what it confuses, and how two of them differ."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from fastapi import Request

from slicedb.errors import CheckError
from slicedb.schema import ANSWERS, COMMITS, DECISIONS, EDITS, RUNS, TESTS
from slicedb.web import judging
from slicedb.web.plain import Body
from slicedb.web.remember import Remembered
from slicedb.web.site import Site

if TYPE_CHECKING:
    from slicedb.database import Database

Told = dict[str, object]
_RECORDS = (ANSWERS, COMMITS, DECISIONS, EDITS, RUNS, TESTS)
"""Tables that no judgement depends on."""


def add(site: Site) -> None:
    """Register the page and what it asks."""
    known = Remembered()

    async def asked(request: Request, what: Hashable, make: Callable[[Database], Told]) -> Told:
        # What was made for one who leaves no record is made again for one who does.
        key = site.records_looks(request), what
        return await site.ask(
            request, lambda db: known.get(db, key, lambda: make(db), but=_RECORDS)
        )

    @site.page("/models", "Models", "models.html")
    async def page(request: Request) -> Told:
        return await asked(
            request,
            "page",
            lambda db: {
                "models": judging.models(db),
                "slices": judging.scopes(db),
                "registered": [model.name for model in db.models.list()],
                "total": db.query("").count(),
            },
        )

    @site.post("/api/models/evaluate", role="viewer")
    async def evaluate(request: Request, body: Body) -> Told:
        names = body.get("models")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise CheckError("`models` is no list of names.")
        metric, held_out = str(body.get("metric") or ""), bool(body.get("held_out"))
        return await asked(
            request,
            ("evaluate", *names, metric, held_out),
            lambda db: judging.grid(db, names, metric, held_out),
        )

    # These ask with POST, since an editor's look at a held-out slice is written down.

    @site.post("/api/models/confusion", role="viewer")
    async def confusion(request: Request, model: str, slice: str = judging.ALL) -> Told:
        what = ("confusion", model, slice)
        return await asked(request, what, lambda db: judging.confusion(db, model, slice))

    @site.post("/api/models/classes", role="viewer")
    async def classes(request: Request, model: str, slice: str = judging.ALL) -> Told:
        what = ("classes", model, slice)
        return await asked(request, what, lambda db: judging.classes(db, model, slice))

    @site.post("/api/models/mistakes", role="viewer")
    async def mistakes(request: Request, model: str, slice: str = judging.ALL) -> Told:
        what = ("mistakes", model, slice)
        return await asked(request, what, lambda db: judging.mistakes(db, model, slice))

    @site.post("/api/models/compare", role="viewer")
    async def compare(request: Request, a: str, b: str, held_out: bool = False) -> Told:
        what = ("compare", a, b, held_out)
        return await asked(request, what, lambda db: judging.compared(db, a, b, held_out))

    @site.get("/api/models/flipped")
    async def flipped(request: Request, q: str) -> Told:
        return await asked(request, ("flipped", q), lambda db: judging.flipped(db, q))

    @site.post("/api/models/curves", role="viewer")
    async def curves(
        request: Request,
        model: str,
        slice: str = judging.ALL,
        positive: str = "",
        false_positive: float = 1.0,
        false_negative: float = 1.0,
    ) -> Told:
        costs = (false_positive, false_negative)
        what = ("curves", model, slice, positive, costs)
        return await asked(
            request, what, lambda db: judging.curves(db, model, slice, positive, costs)
        )
