"""Decisions of readers, which Clean and Sample share: decide, undo, apply, discard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request

from slicedb import editing
from slicedb.errors import CheckError, did_you_mean
from slicedb.web.drawn import points_of, shape_of
from slicedb.web.plain import Body
from slicedb.web.site import Site

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.editing import Edit

_LONGEST = 60
"""Characters of the name of an author."""
_GIVEN: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("keep", "skip", "delete"), (bool,)),
    **dict.fromkeys(("label", "queue", "reason"), (str, type(None))),
    **dict.fromkeys(("labels", "tag", "untag", "remove_box", "add_box"), (list,)),
    "set_box": (dict,),
}
"""What is decided, and how JSON has it."""
_INNER: dict[str, type] = {
    "labels": str,
    "tag": str,
    "untag": str,
    "remove_box": int,
    "add_box": dict,
    "set_box": dict,
}
"""What stands in those that are lists or objects."""


def add(site: Site) -> None:
    """Register what is asked about decisions."""

    @site.get("/api/edits")
    async def edits(request: Request, author: str = "", all: bool = False) -> dict[str, object]:
        name = author_in({"author": author})
        return await site.ask(request, lambda db: pending(db, name, listed=all))

    @site.post("/api/decide")
    async def decide(request: Request, body: Body) -> dict[str, object]:
        author, ids = author_in(body), named(body, "ids")
        if not ids:
            raise CheckError("No samples are named.", "ids: a list of their ids.")
        given = {name: body[name] for name in body if name not in ("ids", "author")}
        for name, value in given.items():
            _check(name, value)

        def work(db: Database) -> dict[str, object]:
            report = db.decide(ids, author=author, **given)
            return {
                "edits": [edit_of(edit, author) for edit in report.edits],
                "unchanged": report.unchanged,
                "notes": report.notes,
                "samples": previews(db, ids, author),
                "pending": pending(db, author),
            }

        return await site.write(request, work)

    @site.post("/api/undo")
    async def undo(request: Request, body: Body) -> dict[str, object]:
        author = author_in(body)
        id, number = body.get("id"), body.get("number")
        if not isinstance(id, str | None):
            raise CheckError(f"id is {id!r}.", "the id of a sample.")
        if not isinstance(number, int | None):
            raise CheckError(f"number is {number!r}.", "the number of an edit of the sample.")
        together = set(named(body, "together"))

        def work(db: Database) -> dict[str, object]:
            whose = None if number is not None else author
            report = db.undo(id, number=number, author=whose)
            assert report.edit is not None
            ids = [report.sample, *_undone_with(db, report.edit, together)]
            return {
                "sample": report.sample,
                "edit": edit_of(report.edit, author),
                "samples": previews(db, ids, author),
                "pending": pending(db, author),
            }

        return await site.write(request, work)

    @site.post("/api/apply")
    async def apply(request: Request, body: Body) -> dict[str, object]:
        author = author_in(body)
        message = str(body.get("message") or "").strip() or None

        def work(db: Database) -> dict[str, object]:
            report = db.apply_edits(message, author=author)
            refused = [{"sample": e.sample, "note": e.note} for e in report.refused]
            said = str(report).partition("\n")[0]
            return {"said": said, "commit": report.commit, "refused": refused} | {
                "pending": pending(db, author)
            }

        return await site.write(request, work)

    @site.post("/api/discard")
    async def discard(request: Request, body: Body) -> dict[str, object]:
        author = author_in(body)

        def work(db: Database) -> dict[str, object]:
            n = db.discard_edits(author=author)
            return {"discarded": n, "pending": pending(db, author)}

        return await site.write(request, work)


def _undone_with(db: Database, last: Edit, together: set[str]) -> list[str]:
    """Take back what was decided of some samples in the queue of an edit, just before it."""
    undone: list[str] = []
    if not together:
        return undone
    for edit in reversed(db.edits(state="pending", author=last.author)):
        if edit.sample not in together or edit.queue != last.queue:
            break
        db.undo(edit.sample, number=edit.number)
        undone.append(edit.sample)
    return list(dict.fromkeys(undone))


def author_in(body: Body) -> str:
    """Return the author whom a reader names, by default whoever runs the server.

    Raises:
        CheckError: it is no name.
    """
    given = body.get("author") or ""
    name = given.strip() if isinstance(given, str) else "\0"
    if len(name) > _LONGEST or not name.isprintable():
        raise CheckError(
            f"author: {str(given)[:20]!r} is no name.", f"take up to {_LONGEST} characters."
        )
    return editing.author_of(name or None)


def named(body: Body, name: str) -> list[str]:
    """Return the samples that a reader names; none where nothing is said.

    Raises:
        CheckError: it is no list of ids.
    """
    ids = body.get(name, [])
    if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
        raise CheckError(f"No samples are named by {name}={ids!r}.", "a list of their ids.")
    return ids


def _check(name: str, value: object) -> None:
    if name not in _GIVEN:
        raise CheckError(f"Nothing is decided by '{name}'.", did_you_mean(name, _GIVEN))
    inner = _INNER.get(name)
    is_fit = isinstance(value, _GIVEN[name])
    if is_fit and inner is not None:
        values = value.values() if isinstance(value, dict) else value
        is_fit = all(isinstance(one, inner) for one in values)  # type: ignore[attr-defined]
    if not is_fit:
        raise CheckError(f"{name} is {value!r}.", "see `Database.decide` for what it takes.")


def pending(db: Database, author: str, *, listed: bool = False) -> dict[str, object]:
    """Return how much is decided and not applied, by an author and by the others.

    Args:
        db: the database.
        author: whose decisions are counted by kind.
        listed: return these decisions too.
    """
    counts = editing.count_pending(db.store)
    kinds = {kind: n for (whose, kind), n in counts.items() if whose == author}
    last = editing.last_of(db.store, states=["pending"], author=author) if kinds else None
    said: dict[str, object] = {
        "author": author,
        "n": sum(kinds.values()),
        "kinds": kinds,
        "others": counts.total() - sum(kinds.values()),
        "last": None if last is None else edit_of(last, author),
    }
    if listed:
        own = db.edits(state="pending", author=author)
        said["edits"] = [edit_of(edit, author) for edit in own]
    return said


def previews(db: Database, ids: list[str], author: str) -> dict[str, object]:
    """Return samples as an author's decisions would leave them, by id; those that are gone lack."""
    from slicedb.errors import UnknownSampleError

    try:
        found = editing.preview(db.store, ids, author)
    except UnknownSampleError:  # what was undone was on a sample that another has deleted
        return {}
    return {
        sample: {
            "label": one.label,
            "labels": one.labels,
            "tags": one.tags,
            "boxes": [_box(box) for box in one.boxes],
            "gone": one.is_gone,
            "decided": [edit_of(edit, author) for edit in one.edits],
        }
        for sample, one in found.items()
    }


def _box(box: Body) -> dict[str, object]:
    return {
        "label": box["label"],
        "bbox": box["bbox"],
        "attributes": box["attributes"],
        "shape": shape_of(box.get("segmentation")),
        "points": points_of(box.get("keypoints")),
    }


def edit_of(edit: Edit, author: str) -> dict[str, object]:
    """Return an edit as pages show it."""
    return {
        "sample": edit.sample,
        "number": edit.number,
        "kind": edit.kind,
        "what": edit.what,
        "label": edit.after.get("label"),
        "state": edit.state,
        "author": edit.author,
        "mine": edit.author == author,
        "at": edit.edited_at,
        "queue": edit.queue,
        "reason": edit.reason,
        "note": edit.note,
    }
