"""Explore: the query box, the pictures of its answer, its facets and histograms."""

from __future__ import annotations

from fastapi import Request

from slicedb.web.site import Site


def add(site: Site) -> None:
    """Register the page and what it asks."""

    @site.page("/", "Explore", "explore.html")
    async def page(request: Request) -> dict[str, object]:
        return {}

    @site.get("/api/count")
    async def count(request: Request, q: str = "") -> dict[str, object]:
        n = await site.ask(request, lambda db: db.query(q).count())
        return {"count": n, "text": q}
