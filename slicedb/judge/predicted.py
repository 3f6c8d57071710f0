"""Some labelled and predicted samples, with columns of the tables beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import schema
from slicedb.errors import BindError, PredictionError, SliceError, did_you_mean
from slicedb.judge.aligned import Aligned, load, universe
from slicedb.judge.truth import OtherTruth
from slicedb.keys import KeyIndex, Keys
from slicedb.metrics import Outcomes
from slicedb.metrics.outcomes import Bools, Floats
from slicedb.predictions.tables import scores_alone
from slicedb.show.numbers import count
from slicedb.store import Store
from slicedb.store.without_pandas import arrow_array
from slicedb.tasks import TASKS, About
from slicedb.tasks.arrays import matrix_of

_PREDICTED = ("prediction", "confidence", "loss", "margin")
_WHOLE = 0.02
"""Share of a table above which reading all of it beats taking rows."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """Samples that have both a label and a prediction, one row each, in the order of the keys."""

    model: str
    keys: Keys
    """int64 (n,)."""
    rows: pa.Table
    """id, label, the columns asked for; prediction, confidence, loss, margin."""
    outcomes: Outcomes
    """The same as codes and arrays."""
    n_classes: int
    """How many of `outcomes.classes` the model can decide for; labels it lacks come after."""
    left_out: int
    """Keys asked for that lack a label or a prediction."""
    aligned: Aligned
    """All that the model predicted, beside the truth."""
    asked: Keys
    """int64: the samples asked for."""

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.keys)

    @property
    def classes(self) -> tuple[str, ...]:
        """The model's classes."""
        return self.outcomes.classes[: self.n_classes]

    @property
    def confidence(self) -> npt.NDArray[np.float32]:
        """float32 (n,), as stored, so that a comparison here and in a query agree; NaN: unknown."""
        return floats(self.rows["confidence"]).astype(np.float32)

    @property
    def loss(self) -> Floats:
        """float64 (n,) in nats; NaN: unknown."""
        return floats(self.rows["loss"])

    @property
    def label(self) -> str:
        """The SQL of the true class of a sample."""
        return self.aligned.label

    def errors_among(self, at: Keys, wrong: Bools) -> str:
        """Return the predicate of the samples that are predicted wrong."""
        return self.aligned.wrong

    def members(self, slices: Mapping[str, Keys] | None) -> dict[str, Keys]:
        """Return the row numbers of each slice, ascending, each once."""
        return self._index.members(slices or {})

    @cached_property
    def _index(self) -> KeyIndex:
        return KeyIndex(self.keys)


def select(
    store: Store,
    model: str,
    keys: Keys | None = None,
    *,
    columns: Sequence[str] = (),
    probabilities: bool = False,
    truth: OtherTruth | None = None,
) -> Predicted:
    """Return the labelled and predicted samples among the keys.

    Args:
        store: the database.
        model: whose predictions.
        keys: int64 (n,); None is every sample that is ok.
        columns: columns of `samples` to carry along.
        probabilities: leave out, too, what has no probabilities.
        truth: what stands in place of the label.

    Raises:
        UnknownModelError: nothing was ever predicted by that model.
        BindError: no such column.
        SliceError: there are no samples, or none of them has a label.
        PredictionError: none of them has a prediction, or probabilities where those are needed.
    """
    aligned = _classifier(store, model, probabilities, truth)
    _check_columns(store, columns)
    if keys is None:
        is_ok = schema.IS_SHOWN
        keys = store.table(schema.SAMPLES, ["key"], where=is_ok)["key"].to_numpy()
    asked, every = np.asarray(keys, np.int64), universe(store)
    if not len(asked):
        raise SliceError("There are no samples to judge.", "the slice is empty; widen its query.")
    at = every.places.find(asked)
    in_samples = at >= 0
    if truth is None:
        n_labelled = int(np.count_nonzero(every.code[at[in_samples]] >= 0))
    else:
        n_labelled = int(np.count_nonzero(aligned.row_of[at[in_samples]] >= 0))
        n_labelled += int(np.isin(at[in_samples], aligned.unseen).sum())
    if not n_labelled:
        raise _unlabelled(len(asked), aligned)
    rows = np.full(len(asked), -1)
    rows[in_samples] = aligned.row_of[at[in_samples]]
    chosen = np.flatnonzero(rows >= 0)
    outcomes: Outcomes = aligned.outcomes.take(rows[chosen])
    if probabilities and outcomes.probabilities is None:  # some samples of the model have none
        chosen, outcomes = _with_probabilities(store, model, asked, chosen, outcomes)
    if not len(chosen):
        raise PredictionError(
            f"'{model}' has no predictions for the {count(n_labelled, 'labelled sample')}.",
            f"run `slicedb predict {model}`, or log them with `slicedb log-predictions`.",
        )
    table = _with_predictions(store, model, asked[chosen], columns)
    width = _n_classes(aligned)
    outcomes = _narrowed(outcomes, width)
    if outcomes.probabilities is not None and outcomes.probabilities.shape[1] != width:
        raise PredictionError(
            f"{outcomes.probabilities.shape[1]} probabilities are stored per sample for {width} "
            "classes.",
            "log the predictions again with `classes`.",
        )
    if truth is not None:
        table = _against(table, outcomes)
    left_out = len(asked) - len(chosen)
    return Predicted(model, asked[chosen], table, outcomes, width, left_out, aligned, asked)


def _unlabelled(n: int, aligned: Aligned) -> SliceError:
    """Return the error of samples of which none has a truth."""
    of_all = f"None of the {count(n, 'sample')} has"
    if aligned.truth is not None:
        hint = f"ask for samples where {aligned.truth.column} IS NOT NULL."
        return SliceError(f"{of_all} {aligned.truth}.", hint)
    return SliceError(
        f"{of_all} a label.",
        "set `label` with `slicedb relabel`, or ask for samples where label IS NOT NULL.",
    )


def _with_predictions(store: Store, model: str, keys: Keys, columns: Sequence[str]) -> pa.Table:
    """Return id, label, further columns of samples, and what the model predicted, in key order."""
    wanted = dict.fromkeys(["id", "label", *(c for c in columns if c not in _PREDICTED)])
    table = _rows(store, schema.SAMPLES, keys, list(wanted))
    predicted = _rows(store, schema.PREDICTIONS + model, keys, list(_PREDICTED))
    for name in _PREDICTED:
        table = table.append_column(name, predicted[name])
    return table


def _against(table: pa.Table, outcomes: Outcomes) -> pa.Table:
    """Return the rows with the other truth as their label, and the loss that it gives."""
    names = np.array(outcomes.classes, object)[outcomes.label]
    losses = pa.nulls(len(table), pa.float64())
    if outcomes.probabilities is not None:
        is_known = outcomes.label < outcomes.probabilities.shape[1]
        losses = pa.array(outcomes.losses(), mask=~is_known)
    for name, column in (("label", pa.array(names, pa.string())), ("loss", losses)):
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def floats(column: pa.ChunkedArray) -> Floats:
    """Return a column as float64 (n,), null as NaN."""
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def _classifier(store: Store, model: str, probabilities: bool, truth: OtherTruth | None) -> Aligned:
    table = schema.PREDICTIONS + model
    names = set(store.schema(table).names) if store.has(table) else {*_PREDICTED}
    if not names.issuperset(_PREDICTED):
        if not TASKS[About.read(store, model).task].is_judged:
            raise scores_alone(store, model)
        raise PredictionError(
            f"'{model}' is not a classifier: its predictions have no class.",
            f'`slicedb confusion {model}` and `slicedb "FROM {model}.matches"` show its mistakes.'
            if "objects" in names
            else "name a model that predicts one class per sample.",
        )
    aligned = load(store, model, truth, light=not probabilities)
    if probabilities and "probabilities" not in names:
        raise PredictionError(
            f"Only the predicted class of '{model}' is stored, no probabilities.",
            "log it again with probabilities or logits.",
        )
    return aligned


def _check_columns(store: Store, columns: Sequence[str]) -> None:
    known = store.schema(schema.SAMPLES).names
    for name in columns:
        if name not in known:
            raise BindError(f"No column '{name}' in samples.", did_you_mean(name, known, "columns"))


def _rows(store: Store, table: str, keys: Keys, columns: list[str]) -> pa.Table:
    """Return rows in the order of keys, all of which have one."""
    version = store.version(table)
    if len(keys) < _WHOLE * store.count(table, version):
        return store.take(table, keys, columns, version=version)
    stored = store.table(table, ["key"], version=version)["key"].to_numpy()
    if np.array_equal(stored, keys):
        return store.table(table, columns, version=version)
    at = arrow_array(KeyIndex(stored).find(keys))
    # One column after the other: taking rows copies them, and all together would be there twice.
    read = {name: store.table(table, [name], version=version)[0].take(at) for name in columns}
    return pa.table(read)


def _with_probabilities(
    store: Store, model: str, asked: Keys, chosen: Keys, outcomes: Outcomes
) -> tuple[Keys, Outcomes]:
    """Return the positions in `asked` of samples that have probabilities, and the outcomes."""
    column = _rows(store, schema.PREDICTIONS + model, asked[chosen], ["probabilities"])[0]
    has = pc.is_valid(column).combine_chunks().to_numpy(zero_copy_only=False)
    p = matrix_of(column.filter(pa.array(has)))
    return chosen[has], replace(outcomes.take(np.flatnonzero(has)), probabilities=p)


def _n_classes(aligned: Aligned) -> int:
    """Return how many classes the model has: those it declares, or those it ever predicted."""
    predicted = aligned.outcomes.prediction
    return len(aligned.about.classes) or (int(predicted.max()) + 1 if len(predicted) else 0)


def _narrowed(outcomes: Outcomes, width: int) -> Outcomes:
    """Return the outcomes without the labels that no sample has and the model does not know."""
    used = np.bincount(outcomes.label, minlength=len(outcomes.classes)) > 0
    used |= np.bincount(outcomes.prediction, minlength=len(outcomes.classes)) > 0
    used |= np.arange(len(outcomes.classes)) < width
    code = np.cumsum(used) - 1
    return replace(
        outcomes,
        classes=tuple(name for name, is_used in zip(outcomes.classes, used) if is_used),
        label=code[outcomes.label],
        prediction=code[outcomes.prediction],
    )
