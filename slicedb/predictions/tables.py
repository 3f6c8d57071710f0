"""The tables of predictions: made, recognised, checked against the model that fills them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pyarrow as pa

from slicedb.errors import ClassesError, PredictionError
from slicedb.models.model import Model
from slicedb.schema import PREDICTIONS, predictions_schema
from slicedb.store import Store

CLASSES = "slicedb:classes"
FINGERPRINT = "slicedb:fingerprint"
LOGGED = "logged"
"""Stands in place of a fingerprint where the predictions were made elsewhere."""


def table_of(model: str) -> str:
    """Return the name of a model's table."""
    return PREDICTIONS + model


def models_of(store: Store) -> list[str]:
    """Return the models that have predictions."""
    names = store.names()
    return [name.removeprefix(PREDICTIONS) for name in names if name.startswith(PREDICTIONS)]


def classes_of(store: Store, model: str) -> list[str]:
    """Return the class names that a model's probabilities are in the order of."""
    classes: list[str] = json.loads(store.metadata(table_of(model)).get(CLASSES, "[]"))
    return classes


def create(
    store: Store,
    model: str,
    classes: Sequence[str],
    fingerprint: str,
    *,
    width: int | None,
    extra: Sequence[pa.Field] = (),
) -> None:
    """Create the table of a model.

    Args:
        store: the database.
        model: its name.
        classes: class names, kept in the table's metadata.
        fingerprint: of the model, or `LOGGED`.
        width: of `probabilities`; None leaves that column out.
        extra: columns of the user.
    """
    schema = predictions_schema(width)
    for field in extra:
        schema = schema.append(field)
    metadata = {CLASSES: json.dumps(list(classes)), FINGERPRINT: fingerprint}
    store.create(table_of(model), schema.with_metadata(metadata))


def prepare(store: Store, name: str, model: Model) -> None:
    """Make the table ready for a model's rows.

    A table speaks of one model: when weights, code, preprocessing or classes changed, its rows
    are deleted (earlier versions of the table keep them).

    Raises:
        PredictionError: the table holds predictions made elsewhere.
        ClassesError: it has another number of classes, and a commit keeps a version of it.
    """
    table, now = table_of(name), model.fingerprint()
    if not store.has(table):
        create(store, name, model.classes, now, width=len(model.classes))
        return
    before = store.metadata(table)
    if before.get(FINGERPRINT) == now:
        return
    if before.get(FINGERPRINT) == LOGGED:
        raise PredictionError(
            f"The predictions of '{name}' were logged from elsewhere.",
            "predict under another name, so that the two are not mixed.",
        )
    if len(classes_of(store, name)) == len(model.classes):
        store.restore(table, None)
        store.set_metadata(table, {CLASSES: json.dumps(list(model.classes)), FINGERPRINT: now})
        return
    if store.pins(table):
        raise ClassesError(
            f"'{name}' predicted {len(classes_of(store, name))} classes, now it has "
            f"{len(model.classes)}; a commit keeps the earlier rows.",
            "predict under another name.",
        )
    store.drop(table)
    create(store, name, model.classes, now, width=len(model.classes))
