"""Create the tables of predictions, and check them against the model that fills them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.errors import ClassesError, PredictionError
from slicedb.keys import KeyIndex
from slicedb.models.model import Model
from slicedb.schema import PREDICTIONS, SAMPLES
from slicedb.store import Store
from slicedb.tasks import LOGGED, TASKS, About, TruthColumn
from slicedb.tasks.arrays import one_array


def table_of(model: str) -> str:
    """Return the name of a model's table."""
    return PREDICTIONS + model


def models_of(store: Store) -> list[str]:
    """Return the models that have predictions."""
    names = store.names()
    return [name.removeprefix(PREDICTIONS) for name in names if name.startswith(PREDICTIONS)]


def create(
    store: Store, model: str, about: About, *, width: int | None, extra: Sequence[pa.Field] = ()
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
    now = model.about(model.fingerprint())
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
        store.set_metadata(table, now.metadata())  # what counts changed, not what was predicted
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


def with_truth(
    store: Store, source: TruthColumn, keys: npt.NDArray[np.int64], columns: Sequence[str] = ()
) -> tuple[pa.Table, pa.Array]:
    """Return columns of samples, and their ground truth, null where a sample has none.

    Both have a row per key.
    """
    if source.table == SAMPLES:
        samples = store.take(SAMPLES, keys, list(dict.fromkeys([*columns, source.column])))
        return samples, one_array(samples[source.column])
    samples = store.take(SAMPLES, keys, list(columns)) if columns else pa.table({})
    if not store.has(source.table):
        return samples, pa.nulls(len(keys))
    rows = store.table(source.table, ["key", source.column])
    at = KeyIndex(rows["key"].to_numpy()).find(keys)
    return samples, one_array(rows[source.column]).take(pa.array(at, mask=at < 0))
