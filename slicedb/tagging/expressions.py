"""Turn what is asked of a model's predictions into expressions of the query language."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from slicedb.errors import CheckError, did_you_mean
from slicedb.sql import quoted, string
from slicedb.tagging.definition import MARGIN, SCORE, UNSURE, Tag
from slicedb.tasks import About

if TYPE_CHECKING:
    from slicedb.query import Query

Ask = Callable[[str], "Query"]


def columns_of(tag: Tag, about: About) -> dict[str, str]:
    """Return the expression of each column that a model writes.

    Args:
        tag: what is asked for.
        about: the model's predictions.

    Raises:
        CheckError: the task gives no such value, or the model has no such class.
    """
    model = quoted(tag.what)
    if tag.count is not None:
        _refuse_task(tag, about, "count", "detection")
        _refuse_class(tag.count, about)
        least = about.confidence if tag.cut is None else tag.cut
        call = f"count_objects({string(tag.count)}, model => {string(tag.what)}"
        return {tag.name: f"{call}, min_score => {least!r})"}
    if tag.share is not None:
        _refuse_task(tag, about, "share", "segmentation")
        _refuse_class(tag.share, about)
        return {tag.name: f"{model}.pixel_share({string(tag.share)})"}
    if about.task == "classification":
        label = f"{model}.prediction"
        if tag.cut is not None:
            unsure = f"WHEN {model}.confidence < {tag.cut!r} THEN {string(UNSURE)}"
            label = f"CASE {unsure} ELSE {label} END"
        return {tag.name: label, tag.name + SCORE: f"CAST({model}.confidence AS DOUBLE)"}
    single = {"regression": "value", "multilabel": "labels"}.get(about.task)
    if single is None:
        how = {"detection": "count= (--count LABEL)", "segmentation": "share= (--share LABEL)"}
        raise CheckError(
            f"'{tag.what}' does {about.task}: which part of that to write is not said.",
            f"{how[about.task]} names a class: {', '.join(about.classes[:8])}."
            if about.task in how
            else "`slicedb column add NAME EXPRESSION` keeps any expression of its columns.",
        )
    return {tag.name: f"{model}.{single}"}


def names_beside(tag: Tag, task: str) -> tuple[str, ...]:
    """Return the columns that a tag has, its own first."""
    if tag.kind == "phrases":
        return tag.name, tag.name + SCORE, tag.name + MARGIN
    plain = tag.count is None and tag.share is None
    is_label = tag.kind == "model" and task == "classification" and plain
    return (tag.name, tag.name + SCORE) if is_label else (tag.name,)


def values_of(ask: Ask, expressions: dict[str, str]) -> pa.Table:
    """Return id and the value of each expression, of every sample that queries show."""
    parts = [f"({text}) AS {quoted(name)}" for name, text in expressions.items()]
    return ask(f"SELECT id, {', '.join(parts)} FROM samples").to_arrow()


def _refuse_task(tag: Tag, about: About, word: str, task: str) -> None:
    if about.task != task:
        raise CheckError(
            f"'{tag.what}' is a model of the task {about.task}, which has no {word} of a class.",
            f"--{word} takes one of {task}.",
        )


def _refuse_class(name: str, about: About) -> None:
    if about.classes and name not in about.classes:
        raise CheckError(
            f"The model has no class '{name}'.", did_you_mean(name, about.classes, "classes")
        )
