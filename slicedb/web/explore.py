"""Explore: the query box, the pictures of its answer, its facets and histograms."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from fastapi import Request
from fastapi.responses import Response

from slicedb import sql
from slicedb.cache import Cache
from slicedb.errors import CheckError, QueryError, UnknownSampleError
from slicedb.query.run.request import asking
from slicedb.schema import SAMPLES, keys_of
from slicedb.show import numbers
from slicedb.web.asked import Asked
from slicedb.web.drawn import SIZE, outlined, outlines_in
from slicedb.web.plain import dumped, plain
from slicedb.web.site import Site

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.query import Query
    from slicedb.query.derived.facets import Facet
    from slicedb.query.derived.histogram import Histogram

T = TypeVar("T")

_MOST_ROWS, _MOST_PICTURES, _MOST_LISTED = 500, 240, 200
_SIDES = (16, 2048)
_ALIKE, _MOST_ALIKE, _LONGEST = 0.1, 0.8, 2.0
"""How far apart ratios of one shape are, the share of pictures with it, and the longest place."""
_COLUMNS = 24
"""Columns of one answer, and facets of one, at most."""


def add(site: Site) -> None:
    """Register the page and what it asks."""
    ratios: Cache[int, float] = Cache(1)

    async def ask(request: Request, work: Callable[[Database, Query], T]) -> T:
        """Run work on the query that the address asks."""
        asked = Asked(request, site.uploads)
        try:
            return await site.look(request, lambda db: work(db, asked.of(db)))
        except QueryError as error:
            raise asked.placed(error) from error

    @site.page("/", "Explore", "explore.html")
    async def page(request: Request) -> dict[str, object]:
        def ratio(db: Database) -> float:
            return ratios.get(db.store.version(SAMPLES), lambda: _ratio(db))

        return {"ratio": await site.typing(request, ratio)}

    @site.get("/api/count")
    async def count(request: Request) -> dict[str, object]:
        began = time.perf_counter()
        counted = await ask(request, _counted)
        return {**counted, "seconds": round(time.perf_counter() - began, 4)}

    @site.get("/api/page")
    async def rows(
        request: Request, a: int, b: int, columns: str = "", boxes: str = ""
    ) -> dict[str, object]:
        _check_range(a, b, _MOST_ROWS)
        asked = (_listed(columns), _listed(boxes))
        shown = await ask(request, lambda db, query: _shown(db, query, a, b, *asked))
        site.order(request, shown.query, shown.version, shown.is_ordered)
        return shown.values

    @site.get("/api/pack")
    async def pack(
        request: Request, a: int, b: int, side: int = 160, columns: str = "", boxes: str = ""
    ) -> Response:
        _check_range(a, b, _MOST_PICTURES)
        _check_side(side)
        asked = (_listed(columns), _listed(boxes))
        shown = await ask(request, lambda db, query: _shown(db, query, a, b, *asked))
        site.order(request, shown.query, shown.version, shown.is_ordered)
        images = await site.picture(request, lambda db: _pictures(db, shown.keys, side))
        return Response(
            await asyncio.to_thread(_packed, shown.values, images),
            media_type="application/octet-stream",
        )

    @site.get("/api/picture")
    async def picture(request: Request, id: str, side: int = 320) -> Response:
        _check_side(side)
        image = await site.picture(request, lambda db: _pictures(db, _key_of(db, id), side)[0])
        headers = {"cache-control": "private, max-age=60"}
        return Response(image, media_type="image/jpeg", headers=headers)

    @site.get("/api/facets")
    async def facets(
        request: Request, by: str = "", histograms: str = "", most: int = 20, bins: int = 20
    ) -> dict[str, object]:
        if not 1 <= most <= _MOST_LISTED:
            raise CheckError(f"most={most} values.", f"take 1 to {_MOST_LISTED}.")

        def counted(db: Database, query: Query) -> dict[str, object]:
            found = query.summary(_listed(by), _listed(histograms), most=most, bins=bins)
            return {
                "count": found.n,
                "total": found.overall,
                "version": query.version,
                "behind": _behind(),
                "facets": [_facet(facet) for facet in found.facets.facets],
                "histograms": [_histogram(one) for one in found.histograms],
            }

        return await ask(request, counted)

    @site.get("/api/table")
    async def table(request: Request, a: int, b: int) -> dict[str, object]:
        _check_range(a, b, _MOST_ROWS)

        def shown(db: Database, query: Query) -> dict[str, object]:
            result = query.kept()
            part = query.page(a, b)
            listed = [{"name": name, "type": kind} for name, kind in query.plan().columns]
            columns = [plain(column.to_pylist()) for column in part.columns]
            rows = [list(row) for row in zip(*columns)]
            return {"columns": listed, "rows": rows, "count": result.num_rows}

        return await ask(request, shown)

    @site.get("/api/columns")
    async def columns(request: Request) -> dict[str, object]:
        return await site.ask(request, _named)

    @site.get("/api/complete")
    async def complete(request: Request, text: str = "", place: int = -1) -> dict[str, object]:
        at = len(text) if place < 0 else min(place, len(text))
        found = await site.typing(request, lambda db: db.complete(text, at))
        first = found.options[0] if found.options else None
        return {
            "from": first.start if first else at,
            "to": first.end if first else at,
            "options": [
                {name: getattr(option, name) for name in ("insert", "label", "kind")}
                | {"detail": option.detail, "help": option.help}
                for option in found
            ],
        }

    @site.get("/api/check")
    async def check(request: Request, text: str = "", commit: str = "") -> dict[str, object]:
        params = Asked(request, site.uploads).params

        def checked(db: Database) -> list[object]:
            return [plain(one) for one in db.check(text, params, at=commit or None)]

        return {"errors": await site.typing(request, checked)}

    @site.post("/api/uploads", role="viewer")
    async def upload(request: Request, data: bytes) -> dict[str, object]:
        return await site.picture(request, lambda db: site.uploads.keep(data))


def _ratio(db: Database) -> float:
    """Return width over height of the places of pictures: that of most pictures, or a square."""
    batch = next(db.store.scan(SAMPLES, ["width", "height"], batch_size=2048), None)
    if batch is None:
        return 1.0
    width, height = (column.to_numpy(zero_copy_only=False) for column in batch.columns)
    ratios = (width / height)[(width > 0) & (height > 0)]  # neither holds where it is unknown
    middle = float(np.median(ratios)) if len(ratios) else 1.0
    is_shared = len(ratios) and np.mean(np.abs(np.log(ratios / middle)) < _ALIKE) >= _MOST_ALIKE
    return round(min(max(middle, 1 / _LONGEST), _LONGEST), 3) if is_shared else 1.0


class _Shown:
    """Some rows of a query, with their keys, which never leave the server."""

    def __init__(self, query: Query, rows: list[object], keys: np.ndarray, a: int) -> None:
        self.query = query
        self.keys = keys
        self.version = query.version
        self.is_ordered = not query.awaits_order
        self.values = {
            "a": a,
            "b": a + len(rows),
            "count": query.count(),
            "version": self.version,
            "behind": _behind(),
            "rows": rows,
        }


def _shown(
    db: Database, query: Query, a: int, b: int, columns: Sequence[str], boxes: Sequence[str]
) -> _Shown:
    """Return the rows at the places a to b, with what is drawn over their pictures."""
    outlines = outlines_in(db, boxes)
    drawn = (*SIZE, *outlines.values()) if outlines else ()
    names = list(dict.fromkeys(["key", "id", *(columns or ("label",)), *drawn]))
    part = query.page(a, b, names)
    keys = np.asarray(part["key"].to_numpy())
    rows = part.drop_columns(["key"]).to_pylist()
    if outlines:
        outlined(rows, outlines)
    return _Shown(query, [plain(row) for row in rows], keys, a)


def _behind() -> float:
    """Return the seconds that an answer may be behind what other processes write."""
    return round(max((each.behind for each in asking()), default=0.0), 1)


def _counted(db: Database, query: Query) -> dict[str, object]:
    total = query.beside("").count()  # of the same commit
    about = {"text": query.text, "total": total, "version": query.version, "behind": _behind()}
    plan = query.plan()
    if not plan.is_rows:
        return {**about, "kind": "table", "count": query.kept().num_rows, "scores": False}
    has_scores = plan.bound.narrows and plan.score_slot is not None
    return {**about, "kind": "rows", "count": query.count(), "scores": has_scores}


def _named(db: Database) -> dict[str, object]:
    """Return what a text may name, and which columns may be counted and sorted by.

    Columns that serve ingest alone, such as hashes, are left out; `complete` offers them.
    """
    from slicedb.query import functions
    from slicedb.query.editor.names import is_aside, is_counted, is_for_people, is_measured

    names = db.names()
    boxes = names.boxes()
    columns = [(name, kind, "column", sql.name(name)) for name, kind in names.columns().items()]
    columns += [
        (name, kind, "model", f"{sql.name(model)}.{sql.name(name)}")
        for model in names.models()
        for name, kind in names.columns(model).items()
        if name != "id"
    ]
    return {
        "columns": [
            {
                "name": name,
                "type": kind,
                "kind": of,
                "column": column,
                "facet": is_counted(name, kind),
                "histogram": is_measured(name, kind),
                "sort": not kind.endswith("]"),
                "aside": of == "column" and is_aside(name),
            }
            for name, kind, of, column in columns
            if column in boxes or is_for_people(name, kind)
        ],
        "functions": functions(),
        "models": names.models(),
        "embeddings": names.embeddings(),
        "maps": names.maps(),
        "boxes": boxes,
        "slices": [name for name, _ in names.slices()],
        "commits": [{"name": name, "message": about} for name, about in names.commits()],
    }


def _facet(facet: Facet) -> dict[str, object]:
    without = [v for v in facet.values if v.value is None or v.value == []]
    return {
        "column": facet.column,
        "kind": "list" if facet.is_list else "value",
        "values": [
            {
                "value": v.value,
                "n": v.n,
                "total": v.overall,
                "predicate": v.predicate,
                "is_empty": v.value == [],
            }
            for v in facet.values
        ],
        "n_values": facet.n_values,
        "n_other": facet.n_rest,
        "n_null": sum(v.n for v in without if v.value is None),
    }


def _histogram(histogram: Histogram) -> dict[str, object]:
    bins = histogram.bins
    ends = [one.low for one in bins] + [one.high for one in bins[-1:]]
    return {
        "column": histogram.column,
        "edges": ends,
        "counts": [one.n for one in bins],
        "totals": [one.overall for one in bins],
        "predicates": [one.predicate for one in bins],
        "n_null": histogram.n_null,
        "n_odd": histogram.n_odd,
        "least": histogram.least,
        "most": histogram.most,
    }


def _pictures(db: Database, keys: np.ndarray, side: int) -> tuple[bytes, ...]:
    """Return small pictures; none is fetched from elsewhere for a reader."""
    return db.thumbnails(keys, side=side, remote=False).images


def _key_of(db: Database, id: str) -> np.ndarray:
    """Return the key of a sample.

    Raises:
        UnknownSampleError: there is none of that id.
    """
    keys = keys_of([id])
    _, is_known = db.store.find(SAMPLES, keys, ["id"])
    if not is_known.all():
        raise UnknownSampleError(f"No sample '{id[:200]}'.")
    return keys


def _packed(values: dict[str, object], images: Sequence[bytes]) -> bytes:
    """Return a head of JSON behind its length, and the pictures one after the other."""
    head = dumped({**values, "sizes": [len(image) for image in images]}).encode()
    return b"".join([struct.pack("<I", len(head)), head, *images])


def _listed(text: str) -> list[str]:
    """Return columns that are joined by commas; one inside brackets or quotes joins nothing."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and not depth:
            parts.append("")
            continue
        parts[-1] += character
    columns = [part.strip() for part in parts if part.strip()]
    if len(columns) > _COLUMNS:
        said = f"{numbers.count(len(columns), 'column')} at once."
        raise CheckError(said, f"take at most {_COLUMNS}.")
    return columns


def _check_range(a: int, b: int, most: int) -> None:
    if not 0 <= a <= b <= a + most or b > 1 << 53:
        raise QueryError(f"{a} to {b} is no range of places.", f"take up to {most} of them.")


def _check_side(side: int) -> None:
    if not _SIDES[0] <= side <= _SIDES[1]:
        raise CheckError(f"A picture of {side} pixels.", f"take {_SIDES[0]} to {_SIDES[1]}.")
