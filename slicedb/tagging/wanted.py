"""Read what a user asks a model to write: which column, by what, under which name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from slicedb.errors import CheckError, ModelError, did_you_mean
from slicedb.models.files import function_of, resolve
from slicedb.models.trust import TRUST_ALL, is_trusted, trust
from slicedb.predictions.tables import models_of
from slicedb.schema import CAPTION, COMPUTED, MODELS, PREDICTIONS, SAMPLES, SAMPLES_SCHEMA
from slicedb.store import Store
from slicedb.tagging import expressions, phrases
from slicedb.tagging.callables import Captioner
from slicedb.tagging.definition import Tag, tag_named, tags_of
from slicedb.tagging.names import check_column_name
from slicedb.tasks import About

What: TypeAlias = "str | Mapping[str, Sequence[str]] | Captioner"
"""A model, `column=phrase,phrase`, `file.py:function`, a column that a model wrote; or a mapping of
a column to phrases, or a callable."""


@dataclass(frozen=True)
class Wanted:
    """What a user asks for, as it was said."""

    what: What
    name: str | None = None
    count: str | None = None
    share: str | None = None
    cut: float | None = None
    templates: tuple[str, ...] = ()
    using: str = "default"


def tag_of(wanted: Wanted, store: Store) -> tuple[Tag, Captioner | None]:
    """Return the column that is asked for, its name checked, and a callable to run for it."""
    what = wanted.what
    if wanted.cut is not None and not 0 <= wanted.cut <= 1:
        raise CheckError(f"The cut is {wanted.cut:g}.", "scores lie in [0, 1].")
    again = _again(what, store) if isinstance(what, str) else None
    if again is not None:
        _refuse_changes(wanted, again)
        return again, function_of(again.what) if again.kind == "callable" else None
    tag, function = _new(wanted, store)
    refuse_name(store, tag)
    return tag, function


def _new(wanted: Wanted, store: Store) -> tuple[Tag, Captioner | None]:
    what = wanted.what
    asked = {"count": wanted.count, "share": wanted.share}
    given = [word for word, value in asked.items() if value is not None]
    if isinstance(what, Mapping) or (isinstance(what, str) and "=" in what):
        name, listed = (
            phrases.single(what) if isinstance(what, Mapping) else phrases.phrases_in(what)
        )
        _refuse_given(given, "phrases")
        cut = phrases.CUT if wanted.cut is None else wanted.cut
        text = f"{name}={','.join(listed)}"
        tag = Tag(wanted.name or name, "phrases", text, (), "", None, None, cut, wanted.templates)
        return with_columns(replace(tag, using=wanted.using), ""), None
    if callable(what) or ".py:" in what:
        _refuse_given([*given, *(["cut"] if wanted.cut is not None else [])], "a callable")
        function, spec = (what, "") if callable(what) else (function_of(what), _absolute(what))
        if spec:
            trust(spec)
        return with_columns(Tag(wanted.name or CAPTION, "callable", spec, ()), ""), function
    if len(given) > 1:
        raise CheckError("count and share are asked for at once.", "write a column for each.")
    task = _task_of(store, what)
    name = wanted.name or _default_name(what, wanted, task)
    tag = Tag(name, "model", what, (), "", wanted.count, wanted.share, wanted.cut)
    return with_columns(tag, task), None


def _again(what: str, store: Store) -> Tag | None:
    """Return the tag of a column that a model wrote before, where a text names one."""
    tag = tag_named(store, what)
    if tag is None or tag.kind != "callable":
        return tag
    if not tag.what:
        raise ModelError(
            f"The column '{what}' was written by an object of a Python process.",
            "pass the object again, or write it as path/to/file.py:function.",
        )
    path = os.path.realpath(resolve(tag.what)[0])
    inside = store.is_local and path.startswith(os.path.realpath(store.path) + os.sep)
    if inside or not is_trusted(tag.what):
        raise ModelError(
            f"The column '{what}' was written by code of somebody else or of another machine: "
            f"{tag.what}.",
            f"look at that file, and name it: `slicedb tag-with {tag.what} --as {what}`. "
            f"{TRUST_ALL}=1 trusts all code where every database is your own.",
        )
    return tag


def _refuse_changes(wanted: Wanted, tag: Tag) -> None:
    """Refuse other settings for a column that is written again by its name alone."""
    given = (wanted.name, wanted.count, wanted.share, wanted.cut, wanted.templates or None)
    if any(value is not None for value in given):
        raise CheckError(
            f"'{tag.name}' is a column, which is written as before: {tag}.",
            "name the model or the phrases to write it in another way.",
        )


def _refuse_given(given: Sequence[str], kind: str) -> None:
    if given:
        raise CheckError(f"{given[0]} says nothing of {kind}.", f"leave {given[0]} out.")


def _absolute(spec: str) -> str:
    path, name = resolve(spec)
    return f"{path}:{name}"


def _task_of(store: Store, model: str) -> str:
    """Return the task of a model by its predictions, which are there by now.

    Raises:
        CheckError: there is no such model.
    """
    if store.has(PREDICTIONS + model):
        return About.read(store, model).task
    registered = store.table(MODELS, ["id"])["id"].to_pylist() if store.has(MODELS) else []
    if model in registered:
        return ""  # not predicted yet; its predictions will tell
    known = sorted({*registered, *models_of(store), *(tag.name for tag in tags_of(store))})
    raise CheckError(
        f"'{model}' is no model, no column that a model wrote, and no list of phrases.",
        did_you_mean(model, known, "models and columns")
        if known
        else "register a model (`slicedb model add`), or write weather=sunny,rainy.",
    )


def _default_name(model: str, wanted: Wanted, task: str) -> str:
    if wanted.count is not None:
        return f"num_{wanted.count}"
    if wanted.share is not None:
        return f"{wanted.share}_share"
    return f"{model}_label"


def with_columns(tag: Tag, task: str) -> Tag:
    return replace(tag, columns=expressions.names_beside(tag, task))


def refuse_name(store: Store, tag: Tag) -> None:
    """Refuse to write into a column that is not for a model to fill."""
    computed = store.metadata(SAMPLES).get(COMPUTED, "{}")
    for name in tag.columns:
        check_column_name(store, name)
        if name in SAMPLES_SCHEMA.names and name != CAPTION:
            raise CheckError(
                f"'{name}' is a column of SliceDB's own.", "take another name (name=, --as)."
            )
        if f'"{name}":' in computed:
            raise CheckError(f"'{name}' is a computed column.", "take another name (name=, --as).")
        owner = next((t for t in tags_of(store) if name in t.columns and t.name != tag.name), None)
        if owner is not None:
            raise CheckError(
                f"'{name}' belongs to the column '{owner.name}'.", "take another name."
            )
