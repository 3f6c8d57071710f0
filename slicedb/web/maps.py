"""The map: samples as points, coloured by any column; outlines become conditions of a query."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast, get_args

import numpy as np
import pyarrow as pa
from fastapi import Request
from fastapi.responses import Response

from slicedb import sql
from slicedb.errors import CheckError
from slicedb.schema import EMBEDDINGS, MAPS, PREDICTIONS, SAMPLES
from slicedb.show.numbers import value
from slicedb.vectors.axes import Method
from slicedb.vectors.projection import made_of
from slicedb.web.asked import Asked
from slicedb.web.cloud import Cloud, Clouds, names_of, version_of
from slicedb.web.colours import colours
from slicedb.web.plain import dumped
from slicedb.web.site import Site

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.progress import Cancel
    from slicedb.query import Query

Choices = list[dict[str, object]]

_FIRST = ("label", "split", "tags", "labels")
_UNIQUE = frozenset("id key uri etag sha256 phash caption error".split())
"""Columns of samples that have another value for each, so no colour shows them."""
_OF_MODELS = ("prediction", "correct", "confidence", "loss", "error")
_SHOWN = ("label", "objects", "split")
"""What colours the points where nobody has chosen: the first that has values."""
_BYTES = "application/octet-stream"


def add(site: Site) -> None:
    """Register the page and what it asks."""
    clouds = Clouds()
    site.jobs.add("project", _project, title=lambda options: f"map {options.get('name', 'pca')}")
    site.jobs.add("embed", _embed, title=lambda options: "embed the samples")

    @site.page("/map", "Map", "map.html")
    async def page(request: Request) -> dict[str, object]:
        return {"about": await site.ask(request, about)}

    @site.get("/api/map/points")
    async def points(request: Request, map: str) -> Response:
        return await site.ask(request, lambda db: _points(db, clouds, map))

    @site.get("/api/map/colours")
    async def coloured(request: Request, map: str, version: str, by: str = "") -> Response:
        return await site.ask(request, lambda db: _colours(db, clouds, map, version, by))

    @site.get("/api/map/inside")
    async def inside(request: Request, map: str, version: str) -> Response:
        asked = Asked(request, site.uploads)

        def held(db: Database) -> Response:
            return _inside(asked.of(db), clouds.at(db, map, version))

        return await site.ask(request, held)

    @site.get("/api/map/sample")
    async def sample(
        request: Request, map: str, version: str, point: int, by: str = ""
    ) -> dict[str, object]:
        return await site.ask(request, lambda db: _sample(db, clouds, map, version, point, by))


def _project(db: Database, options: Mapping[str, object], cancel: Cancel) -> dict[str, object]:
    """Make a map, or place the samples that have no point of it yet."""
    name = _text(options, "name") or "pca"
    method = _text(options, "method")
    if method not in (None, *get_args(Method)):
        raise CheckError(f"No method '{method}' to project by.", f"{', '.join(get_args(Method))}.")
    embedding = _text(options, "embedding")
    made = db.project(name, cast(Method, method), embedding=embedding, progress=cancel)
    return {"name": made.name, "placed": made.placed, "said": str(made)}


def _embed(db: Database, options: Mapping[str, object], cancel: Cancel) -> dict[str, object]:
    """Embed the samples by the bundled tiny CLIP."""
    report = db.embed(progress=cancel)
    return {"said": str(report)}


def _text(options: Mapping[str, object], name: str) -> str | None:
    """Return an option of a job that is a text, or None where it is not given."""
    value = options.get(name)
    if value is None or isinstance(value, str):
        return value or None
    raise CheckError(f"'{name}' is no text.")


def about(db: Database) -> dict[str, object]:
    """Return the maps there are, what new ones can be made of, and what can colour them."""
    names = db.store.names()
    vectors = {
        name.removeprefix(EMBEDDINGS): db.store.count(name)
        for name in names
        if name.startswith(EMBEDDINGS)
    }
    maps = []
    for name in names_of(db):
        method, embedding = made_of(db.store, name)
        n = db.store.count(MAPS + name)
        behind = max(vectors.get(embedding, 0) - n, 0)
        made = {"name": name, "version": version_of(db, name), "method": method, "of": embedding}
        maps.append({**made, "n": n, "behind": behind})
    return {
        "maps": maps,
        "embeddings": [{"name": name, "n": n} for name, n in vectors.items()],
        "samples": db.query("").count(),
        "tsne": importlib.util.find_spec("openTSNE") is not None,
        "choices": _choices(db, names),
        "first": next((by for by in _SHOWN if db.query(f"{by} IS NOT NULL LIMIT 1").count()), ""),
    }


def _choices(db: Database, names: Iterable[str]) -> Choices:
    """Return what points can be coloured by, in groups."""
    fields = [f for f in db.store.schema(SAMPLES) if f.name not in _UNIQUE and _is_plain(f.type)]
    own = sorted((f.name for f in fields), key=_place)
    listed = [{"by": sql.name(name), "title": name} for name in own]
    groups: Choices = [{"title": "Samples", "by": listed}]
    for table in sorted(name for name in names if name.startswith(PREDICTIONS)):
        model = table.removeprefix(PREDICTIONS)
        has = set(db.store.schema(table).names)
        columns = [f"{sql.name(model)}.{name}" for name in _OF_MODELS if name in has]
        by = [{"by": column, "title": column} for column in columns]
        groups += [{"title": model, "by": by}] if by else []
    slices = sorted(s.name for s in db.slices.list())
    if slices:
        by = [{"by": f"in_slice({sql.literal(name)})", "title": name} for name in slices]
        groups.append({"title": "In a slice", "by": by})
    return groups


def _place(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)


def _is_plain(kind: pa.DataType) -> bool:
    """Return whether values are categories, numbers, times, or lists of texts or of boxes."""
    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind):
        inner = kind.value_type
        is_boxes = types.is_struct(inner) and inner.get_field_index("label") >= 0
        return bool(is_boxes or types.is_string(inner) or types.is_large_string(inner))
    checks = (types.is_string, types.is_large_string, types.is_integer, types.is_floating)
    return any(check(kind) for check in (*checks, types.is_boolean, types.is_temporal))


def _points(db: Database, clouds: Clouds, name: str) -> Response:
    cloud = clouds.now(db, name)
    head = {
        "n": len(cloud),
        "version": cloud.version,
        "low": cloud.low,
        "step": cloud.step,
        "without": cloud.n_without,
    }
    return _packed(head, cloud.grid)


def _colours(db: Database, clouds: Clouds, name: str, version: str, by: str) -> Response:
    found = colours(db, clouds.at(db, name, version), by)
    head = {n: getattr(found, n) for n in ("by", "kind", "rows", "notes", "n_values")}
    return _packed(head, found.codes)


def _inside(query: Query, cloud: Cloud) -> Response:
    """Return which points a query has, one bit for each."""
    keys = query.keys()
    held = cloud.holds(keys)
    head = {"count": len(keys), "points": int(held.sum()), "text": query.text}
    return _packed(head, np.packbits(held, bitorder="little"))


def _sample(
    db: Database, clouds: Clouds, name: str, version: str, point: int, by: str
) -> dict[str, object]:
    """Return what is shown of the sample of a point: id, label, and the value of its colour."""
    cloud = clouds.at(db, name, version)
    if not 0 <= point < len(cloud):
        raise CheckError(f"There is no point {point} on '{name}'.", f"it has {len(cloud):,}.")
    columns = ["id", "label"] + [by] * (by not in ("", "id", "label"))
    key = int(cloud.keys[point])
    row = db.query(f"key = {key} AND (status IS NULL) IS NOT NULL").page(0, 1, columns)
    values = row.to_pylist()[0]
    return {
        "id": values["id"],
        "label": values["label"],
        "value": value(values[by]) if by in values else "",
    }


def _packed(head: Mapping[str, object], values: np.ndarray) -> Response:
    """Return numbers behind a head: its length as uint32, the head as JSON, the bytes."""
    text = dumped(head).encode()
    body = b"".join((struct.pack("<I", len(text)), text, values.tobytes()))
    return Response(body, media_type=_BYTES)
