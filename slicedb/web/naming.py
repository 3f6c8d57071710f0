"""Slices: the list, one slice, and what names, changes, compares and calibrates them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from fastapi import Request

from slicedb.errors import CheckError, SliceError
from slicedb.slices.labelling import Labelling
from slicedb.web import slicing
from slicedb.web.plain import error_of
from slicedb.web.remember import Remembered
from slicedb.web.site import Site

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.slices import Slice

Body: TypeAlias = dict[str, object]
"""The JSON object of a request."""
Changed: TypeAlias = Callable[..., Awaitable[dict[str, object]]]
"""Carries a change out, and tells what the slice is now."""
_ASKED = 12
"""Samples that one round of a calibration asks about."""


def add(site: Site) -> None:
    """Register the page and what it asks."""
    known = Remembered()

    @site.page("/slices", "Slices", "slices.html")
    async def slices(request: Request, name: str = "") -> dict[str, object]:
        def work(db: Database) -> dict[str, object]:
            if name:
                return {"one": known.get(db, ("one", name), lambda: slicing.one(db, name))}
            return {"one": None, **known.get(db, "list", lambda: slicing.listing(db))}

        return await site.ask(request, work)

    @site.get("/api/slices/overlap")
    async def overlap(request: Request) -> dict[str, object]:
        return await site.ask(
            request, lambda db: known.get(db, "overlap", lambda: slicing.overlap(db))
        )

    @site.get("/api/slices/diff")
    async def diff(request: Request, a: str, b: str = "") -> dict[str, object]:
        return await site.ask(
            request,
            lambda db: known.get(db, ("diff", a, b), lambda: slicing.moved(db, a, b or None)),
        )

    _add_changes(site)
    _add_calibration(site)


def _add_changes(site: Site) -> None:
    async def changed(
        request: Request, change: Callable[[Database], Slice], undo: str = ""
    ) -> dict[str, object]:
        """Carry a change out, and tell what the slice is now."""

        def work(db: Database) -> dict[str, object]:
            s = change(db)
            return {"name": s.name, "version": s.version, "kind": s.kind, "count": s.count()}

        return {**await site.write(request, work), "undo": undo}

    @site.post("/api/slices")
    async def name_it(request: Request, body: Body) -> dict[str, object]:
        name, text = _text(body, "name"), _text(body, "text")
        return await changed(
            request,
            lambda db: db.slices.add(
                name,
                text,
                expect=_lines(body.get("expect")),
                description=_given(body, "description") or "",
                holdout=_given(body, "holdout") or None,
            ),
        )

    @site.post("/api/slices/edit")
    async def edit(request: Request, body: Body) -> dict[str, object]:
        name = _text(body, "name")
        expect, version = body.get("expect"), body.get("version")

        def change(db: Database) -> Slice:
            return db.slices.edit(
                name,
                text=_given(body, "text"),
                expect=None if expect is None else _lines(expect),
                description=_given(body, "description"),
                version=version if isinstance(version, int) else None,
            )

        return await changed(request, change, f"{name}@{version}" if version else "")

    for verb in ("freeze", "thaw"):
        _add_verb(site, verb, changed)

    @site.post("/api/slices/restore")
    async def restore(request: Request, body: Body) -> dict[str, object]:
        return await changed(request, lambda db: db.slices.restore(_text(body, "name")))

    @site.post("/api/slices/drop")
    async def drop(request: Request, body: Body) -> dict[str, object]:
        name = _text(body, "name")

        def work(db: Database) -> dict[str, object]:
            s = db.slices.get(name)
            db.slices.drop(name)
            return {"name": s.name, "undo": f"{s.name}@{s.version}"}

        return await site.write(request, work)


def _add_verb(site: Site, verb: str, changed: Changed) -> None:
    """Register `freeze` or `thaw`, whose undo is the version before."""

    @site.post(f"/api/slices/{verb}")
    async def change(request: Request, body: Body) -> dict[str, object]:
        name = _text(body, "name")
        before = await site.ask(request, lambda db: db.slices.get(name))
        undo = f"{before.name}@{before.version}"
        return await changed(request, lambda db: getattr(db.slices, verb)(name), undo)


def _add_calibration(site: Site) -> None:
    @site.post("/api/slices/calibrate/ask")
    async def ask(request: Request, body: Body) -> dict[str, object]:
        def work(db: Database) -> dict[str, object]:
            labelling = _labelling(db, body)
            asked = [question.sample for question in labelling.ask(_ASKED)]
            return {"asked": asked, "text": labelling.text, **_standing(labelling)}

        return await site.write(request, work)

    @site.post("/api/slices/calibrate/answer")
    async def answer(request: Request, body: Body) -> dict[str, object]:
        replies = body.get("replies")
        if not isinstance(replies, dict) or any(
            not (value is None or isinstance(value, bool)) for value in replies.values()
        ):
            raise CheckError("`replies` is no object of id and true, false or null.")

        def work(db: Database) -> dict[str, object]:
            labelling = _labelling(db, body)
            labelling.answer(replies)
            return _standing(labelling)

        return await site.write(request, work)

    @site.post("/api/slices/calibrate/save")
    async def save(request: Request, body: Body) -> dict[str, object]:
        def work(db: Database) -> dict[str, object]:
            before = db.slices.get(_text(body, "name"))
            s = _labelling(db, body).save()
            undo = f"{before.name}@{before.version}"
            return {"name": s.name, "version": s.version, "count": s.count(), "undo": undo}

        return await site.write(request, work)


def _labelling(db: Database, body: Body) -> Labelling:
    """Return the labelling that a request is about, with its goal."""
    goal, least = _given(body, "goal") or "", body.get("least") or 0.9
    if not isinstance(least, (int, float)):
        raise CheckError(f"The field 'least' is {least!r}.", "give a number in (0, 1].")
    if goal not in ("", "recall", "precision"):
        raise CheckError(f"The goal {goal!r} is unknown.", "recall, precision, or none.")
    return db.slices.labelling(
        _text(body, "name"),
        term=_given(body, "term"),
        recall=least if goal == "recall" else None,
        precision=least if goal == "precision" else None,
    )


def _standing(labelling: Labelling) -> dict[str, object]:
    """Return how many labels there are and what they say, or why they say nothing yet."""
    told: dict[str, object] = {"labels": labelling.n_labels, "estimate": None, "not_yet": None}
    try:
        told["estimate"] = slicing.calibration(labelling.estimate())
    except SliceError as error:
        told["not_yet"] = error_of(error)
    return told


def _text(body: Body, name: str) -> str:
    """Return a field that has to be a text.

    Raises:
        CheckError: it is none.
    """
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise CheckError(f"The field '{name}' is missing.", "give a text.")
    return value.strip()


def _given(body: Body, name: str) -> str | None:
    """Return a field that may be missing, and else has to be a text.

    Raises:
        CheckError: it is something else.
    """
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise CheckError(f"The field '{name}' is {value!r}.", "give a text.")
    return value


def _lines(value: object) -> list[str]:
    """Return the lines of a text, or the texts of a list, without empty ones."""
    lines = value.splitlines() if isinstance(value, str) else value or []
    if not isinstance(lines, list):
        raise CheckError("`expect` is neither a text nor a list of texts.")
    return [str(line).strip() for line in lines if str(line).strip()]
