"""Clean: review queues worked by keyboard; decisions are pending until they are applied."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

from fastapi import Request

from slicedb.errors import CheckError
from slicedb.schema import PREDICTIONS, SAMPLES, SHOWN, keys_of
from slicedb.web import deciding
from slicedb.web.deciding import author_in, previews
from slicedb.web.drawn import boxes_of
from slicedb.web.plain import Body
from slicedb.web.queues import Found, Item, Queues, kind_of, listed
from slicedb.web.site import Site

if TYPE_CHECKING:
    from slicedb.database import Database

_NAMED = 500
"""Characters of the name of a queue that decisions keep."""
_WINDOW = 60
"""Items that are sent at once at most."""
_PATIENCE = 0.4
"""Seconds that a request waits for a queue before it says that it is being looked for."""
_BLOCK, _STOP = 50, 0.1
"""Answers of the last block, and the precision below which the next are not worth a look."""
_FACTS = ("label", "split", "width", "height", "bytes", "status", "error")
_SAID = ("prediction", "confidence", "loss", "correct")


def add(site: Site) -> None:
    """Register the page and what it asks."""
    deciding.add(site)
    queues = Queues(site.db)

    @site.page("/clean", "Clean", "clean.html")
    async def page(request: Request) -> dict[str, object]:
        return {"queues": await site.ask(request, listed)}

    @site.get("/api/queue")
    async def queue(
        request: Request,
        name: str,
        q: str = "",
        a: int = 0,
        b: int = 20,
        author: str = "",
        again: bool = False,
    ) -> dict[str, object]:
        kind, _ = kind_of(name)
        whose = author_in({"author": author})
        future = queues.known(name, q)
        if future is None:
            if kind.is_long:
                return {"state": "unknown"}
            future = queues.begin(name, q)
        await _wait(future)
        if not future.done():
            return {"state": "searching", "progress": queues.progress(name, q)}
        found = future.result()
        kept = f"query: {q}"[:_NAMED] if name == "query" else name
        return await site.ask(
            request, lambda db: _window(db, found, kept, max(0, a), b, whose, again=again)
        )

    @site.post("/api/queue")
    async def find(request: Request, body: Body) -> dict[str, object]:
        name, text = str(body.get("name", "")), str(body.get("q") or "")
        await _wait(queues.begin(name, text, anew=bool(body.get("anew"))))
        return {"state": "searching", "progress": queues.progress(name, text)}

    @site.post("/api/queue/accept")
    async def accept(request: Request, body: Body) -> dict[str, object]:
        name, author = str(body.get("name", "")), author_in(body)
        kind, _ = kind_of(name)
        future = queues.known(name)
        if not kind.is_group or future is None or not future.done():
            raise CheckError(f"'{name}' has no groups that were found.", "look for them first.")
        found = future.result()
        return await site.write(request, lambda db: _accepted(db, found, name, author))


async def _wait(future: Future[Found]) -> None:
    await asyncio.wait({asyncio.wrap_future(future)}, timeout=_PATIENCE)


def _window(
    db: Database, found: Found, name: str, a: int, b: int, author: str, *, again: bool
) -> dict[str, object]:
    """Return some items of a queue, with what is known and decided of their samples."""
    if not a <= b <= a + _WINDOW:
        raise CheckError(f"a is {a} and b {b}.", f"take at most {_WINDOW} items at once.")
    left = found.items if again else _left(db, found, name)
    some = left[a:b]
    return {
        "state": "found",
        "a": a,
        "count": len(left),
        "done": len(found.items) - len(left),
        "more": found.more,
        "query": found.query,
        "model": found.model,
        "notes": found.notes,
        "at": found.at,
        "told": _told(db, name),
        "items": _items(db, found, some, author),
    }


def _told(db: Database, name: str) -> list[str]:
    """Return how many of the label errors were errors, as people said so far, and the interval."""
    from slicedb.curate import verdicts

    kind, _, model = name.partition(":")
    if kind != "labels":
        return []
    said = verdicts.count(db.store, model, _BLOCK, _STOP)
    return list(said.lines())[:2] if said.n else []


def _left(db: Database, found: Found, name: str) -> list[Item]:
    """Return the items on which something is left to decide.

    Those are left out that a decision of this queue was applied to, and samples that are gone.
    """
    done = {
        edit.sample for edit in db.edits(state="done", queue=name) if edit.kind in ("keep", "edit")
    }
    ids = [i for item in found.items for i in item.ids]
    there = db.store.present(SAMPLES, keys_of(ids), ids=ids).tolist() if ids else []
    here = {i for i, is_there in zip(ids, there) if is_there}
    left = []
    for item in found.items:
        present = tuple(i for i in item.ids if i in here)
        if len(present) < min(2, len(item.ids)) or all(i in done for i in present):
            continue
        left.append(item if present == item.ids else replace(item, ids=present))
    return left


def _accepted(db: Database, found: Found, name: str, author: str) -> dict[str, object]:
    """Decide as suggested on all groups on which its author has not decided yet.

    Groups whose labels differ are left: somebody has to say which label is right.
    """
    decided = {edit.sample for edit in db.edits(state="pending", author=author)}
    left = [item for item in _left(db, found, name) if not decided.intersection(item.ids)]
    clear = [item for item in left if not item.differ]
    keep = [item.ids[0] for item in clear]
    gone = [i for item in clear for i in item.ids[1:]]
    reason = "as suggested"
    if clear:
        db.decide(keep, keep=True, queue=name, reason=reason, author=author)
        db.decide(gone, delete=True, queue=name, reason=reason, author=author)
    counts = {"groups": len(clear), "deleted": len(gone), "left": len(left) - len(clear)}
    return {**counts, "pending": deciding.pending(db, author)}


def _items(
    db: Database, found: Found, items: list[Item] | tuple[Item, ...], author: str
) -> list[dict[str, object]]:
    ids = list(dict.fromkeys(i for item in items for i in item.ids))
    if not ids:
        return []
    keys = keys_of(ids)
    there = set(db.store.schema(SAMPLES).names)
    rows = db.store.take(SAMPLES, keys, [c for c in _FACTS if c in there], ids=ids).to_pylist()
    said = _predictions(db, found.model, ids)
    now = previews(db, ids, author)
    doubted = _doubted(db, found.model, items)
    samples = {
        sample: {
            "id": sample,
            **row,
            **said.get(sample, {}),
            "broken": _broken(row),
            "now": now.get(sample),
        }
        for sample, row in zip(ids, rows)
    }
    return [
        {
            "samples": [samples[i] for i in item.ids],
            "reason": item.reason,
            "object": item.object,
            "predicted": doubted.get(item.ids[0]),
            "suggested": item.suggested or samples[item.ids[0]].get("prediction"),
        }
        for item in items
    ]


def _doubted(
    db: Database, model: str | None, items: list[Item] | tuple[Item, ...]
) -> dict[str, object]:
    """Return the predicted boxes that items are about, by sample."""
    about = {item.ids[0]: item.detection for item in items if item.detection is not None}
    if model is None or not about:
        return {}
    rows, _ = db.store.find(PREDICTIONS + model, keys_of(list(about)), ["id", "objects"])
    boxes: dict[str, object] = {}
    for row in rows.to_pylist():
        at = (about[row["id"]] or 0) - 1
        if 0 <= at < len(row["objects"] or ()):
            box = row["objects"][at]
            boxes[row["id"]] = {name: box[name] for name in ("label", "bbox", "score")}
    return boxes


def _broken(row: Body) -> str:
    if row.get("status") in (None, *SHOWN):
        return ""
    return f"{row['status']}: {row.get('error') or 'the picture does not decode'}"


def _predictions(db: Database, model: str | None, ids: list[str]) -> dict[str, Body]:
    """Return what the model of a queue says of samples, with the boxes of a detector."""
    table = f"{PREDICTIONS}{model}"
    if model is None or not db.store.has(table):
        return {}
    stored = db.store.schema(table).names
    keys = keys_of(ids)
    rows, _ = db.store.find(table, keys, ["id", *(n for n in _SAID if n in stored)])
    said: dict[str, Body] = {row.pop("id"): row for row in rows.to_pylist()}
    if "objects" in stored:
        from slicedb.query.cards import predictions_of

        shown = predictions_of(db.store, model, keys)
        for sample, key in zip(ids, keys.tolist()):
            if key in shown:
                boxes = boxes_of(shown[key].shown, is_truth=False)
                said.setdefault(sample, {})["boxes"] = boxes
    return said
