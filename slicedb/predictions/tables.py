"""Create the tables of predictions, and check them against the model that fills them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.errors import CheckError, PredictionError, UnknownModelError, did_you_mean
from slicedb.keys import KeyIndex
from slicedb.models.model import Model
from slicedb.models.noise import differ, outputs_on_noise
from slicedb.schema import PREDICTIONS, SAMPLES
from slicedb.sql import name
from slicedb.store import Store
from slicedb.store.work import Anew
from slicedb.tasks import LOGGED, TASKS, About, TruthColumn
from slicedb.tasks.arrays import one_array


def table_of(model: str) -> str:
    """Return the name of a model's table."""
    return PREDICTIONS + model


def models_of(store: Store) -> list[str]:
    """Return the models that have predictions."""
    names = store.names()
    return [name.removeprefix(PREDICTIONS) for name in names if name.startswith(PREDICTIONS)]


def no_predictions(store: Store, model: str) -> UnknownModelError:
    """Return the error of a model that has none, with what there is, or how to begin."""
    known = models_of(store)
    begin = f"`slicedb model add {model} SPEC` registers one, `log-predictions` reads a file."
    hint = did_you_mean(model, known, "predictions") if known else begin
    return UnknownModelError(f"No predictions of a model '{model}'.", hint)


def scores_alone(store: Store, model: str) -> CheckError:
    """Return the error of a model that gave scores and no predictions."""
    names = store.schema(PREDICTIONS + model).names
    own = [one for one in names if one not in ("id", "key", "content", "fingerprint", "error")]
    return CheckError(
        f"'{model}' was logged with {', '.join(own)} alone: nothing is predicted that could be "
        "judged.",
        f"queries read `{name(model)}.{name(own[0])}`; `log-predictions --replace` with a "
        "prediction beside them makes it one that can be.",
    )


def judged(store: Store, model: str) -> About:
    """Return what a model's table says of it, if it holds what can be right or wrong.

    Raises:
        UnknownModelError: no predictions of that model.
        CheckError: it gave scores and no predictions.
    """
    if not store.has(PREDICTIONS + model):
        raise no_predictions(store, model)
    about = About.read(store, model)
    if not TASKS[about.task].is_judged:
        raise scores_alone(store, model)
    return about


def schema_of(
    about: About, probabilities: pa.Field | None, extra: Sequence[pa.Field] = ()
) -> pa.Schema:
    """Return the columns of a model's table, and what the table says of itself.

    Args:
        about: kept in the table's metadata.
        probabilities: that column, a list of floats of some precision; None leaves it out.
        extra: columns of the user.
    """
    width = None if probabilities is None else probabilities.type.list_size
    schema = TASKS[about.task].schema(width)
    if probabilities is not None:
        at = schema.get_field_index("probabilities")
        schema = schema.set(at, schema.field(at).with_type(probabilities.type))
    for field in extra:
        schema = schema.append(field)
    return schema.with_metadata(about.metadata())


def prepare(store: Store, name: str, model: Model) -> tuple[About, Anew | None]:
    """Make the table ready for a model's rows.

    A table speaks of one model: when weights, code, preprocessing or classes changed, the first
    new rows replace its rows (earlier versions of the table keep them).

    Returns:
        What the table says of itself, and what replaces its rows, None where they stay.

    Raises:
        PredictionError: the table holds predictions made elsewhere.
    """
    table = table_of(name)
    now = replace(model.about(model.fingerprint()), noise=outputs_on_noise(model))
    schema = TASKS[now.task].schema(len(model.classes)).with_metadata(now.metadata())
    if store.create(table, schema):
        return now, None
    version = store.version(table)
    before = About.read(store, name)
    refuse_logged(name, before)
    if before.fingerprint == now.fingerprint and before.task == now.task:
        if differ(before.noise, now.noise) and not differ(now.noise, outputs_on_noise(model)):
            return now, Anew(schema, version)  # it changed, and does not speak at random
        if before != now or (now.noise and not before.noise):
            store.set_metadata(table, now.metadata())  # what counts changed, not the predictions
        return now, None
    return now, Anew(schema, version)


def refuse_logged(name: str, about: About) -> None:
    """Refuse to add to predictions made elsewhere.

    Raises:
        PredictionError: they are.
    """
    if about.fingerprint == LOGGED:
        raise PredictionError(
            f"The predictions of '{name}' were logged from elsewhere.",
            "predict under another name, so that the two are not mixed.",
        )


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
