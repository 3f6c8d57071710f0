"""The tables of predictions: made, recognised, checked against the model that fills them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from slicedb.errors import ClassesError, PredictionError
from slicedb.models.model import Model
from slicedb.predictions.about import LOGGED, About
from slicedb.predictions.tasks import TASKS
from slicedb.schema import PREDICTIONS
from slicedb.store import Store


def table_of(model: str) -> str:
    """Return the name of a model's table."""
    return PREDICTIONS + model


def models_of(store: Store) -> list[str]:
    """Return the models that have predictions."""
    names = store.names()
    return [name.removeprefix(PREDICTIONS) for name in names if name.startswith(PREDICTIONS)]


def create(
    store: Store,
    model: str,
    about: About,
    *,
    width: int | None,
    extra: Sequence[pa.Field] = (),
) -> None:
    """Create the table of a model.

    Args:
        store: the database.
        model: its name.
        about: kept in the table's metadata.
        width: of `probabilities`; None leaves that column out.
        extra: columns of the user.
    """
    schema = TASKS[about.task].schema(width)
    for field in extra:
        schema = schema.append(field)
    store.create(table_of(model), schema.with_metadata(about.metadata()))


def prepare(store: Store, name: str, model: Model) -> About:
    """Make the table ready for a model's rows, and return what it says of itself.

    A table speaks of one model: when weights, code, preprocessing or classes changed, its rows
    are deleted (earlier versions of the table keep them).

    Raises:
        PredictionError: the table holds predictions made elsewhere.
        ClassesError: it has another number of classes, and a commit keeps a version of it.
    """
    table = table_of(name)
    now = About(model.task, tuple(model.classes), model.fingerprint(), model.confidence)
    now = replace(now, target=model.target)
    if not store.has(table):
        create(store, name, now, width=len(model.classes))
        return now
    before = About.read(store, name)
    if before.fingerprint == LOGGED:
        raise PredictionError(
            f"The predictions of '{name}' were logged from elsewhere.",
            "predict under another name, so that the two are not mixed.",
        )
    if before == now:
        return now
    same_columns = before.task == now.task and len(before.classes) == len(now.classes)
    if before.fingerprint == now.fingerprint and before.task == now.task:
        store.set_metadata(table, now.metadata())  # what counts changed, not what was said
        return now
    if same_columns:
        store.restore(table, None)
        store.set_metadata(table, now.metadata())
        return now
    if store.pins(table):
        raise ClassesError(
            f"'{name}' predicted {len(before.classes)} classes, now it has "
            f"{len(model.classes)}; a commit keeps the earlier rows.",
            "predict under another name.",
        )
    store.drop(table)
    create(store, name, now, width=len(model.classes))
    return now
