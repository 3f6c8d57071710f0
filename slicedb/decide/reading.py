"""Samples with what a model said of them, aligned: what every tool of this folder reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import schema
from slicedb.errors import (
    BindError,
    PredictionError,
    SliceError,
    UnknownModelError,
    did_you_mean,
)
from slicedb.metrics import Outcomes

if TYPE_CHECKING:
    from slicedb.store import Store

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_SAID = ("prediction", "confidence", "loss", "margin")
_WHOLE = 0.02
"""Share of a table above which reading all of it beats taking rows."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """Samples that have both a label and a prediction, one row each, in the order of the keys."""

    model: str
    keys: Ints
    """int64 (n,)."""
    rows: pa.Table
    """id, label, the columns asked for; prediction, confidence, loss, margin."""
    outcomes: Outcomes
    """The same as codes and arrays."""
    n_classes: int
    """How many of `outcomes.classes` the model can decide for; labels it lacks come after."""
    left_out: int
    """Keys asked for that lack a label or a prediction."""

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

    def at(self, keys: Ints) -> Ints:
        """Return the row numbers of those keys that have a row, each once, ascending."""
        ordered, order = self._by_key
        place = np.minimum(np.searchsorted(ordered, keys), self.n - 1)
        return np.unique(order[place[ordered[place] == keys]])

    @cached_property
    def _by_key(self) -> tuple[Ints, Ints]:
        order = np.argsort(self.keys, kind="stable")
        return self.keys[order], order


def read(
    store: Store,
    model: str,
    keys: Ints | None = None,
    *,
    columns: Sequence[str] = (),
    probabilities: bool = False,
) -> Predicted:
    """Read the labelled and predicted samples among the keys.

    Args:
        store: the database.
        model: whose predictions.
        keys: int64 (n,); None is every sample that is ok.
        columns: columns of `samples` to carry along.
        probabilities: leave out, too, what has no probabilities.

    Raises:
        UnknownModelError: nothing was ever predicted by that model.
        BindError: no such column.
        SliceError: there are no samples, or none of them has a label.
        PredictionError: none of them has a prediction, or probabilities where those are needed.
    """
    table = _table_of(store, model, probabilities)
    _check_columns(store, columns)
    if keys is None:
        shown = f"status IS NULL OR status = '{schema.OK}'"
        keys = store.table(schema.SAMPLES, ["key"], where=shown)["key"].to_numpy()
    asked = np.asarray(keys, np.int64)
    if not len(asked):
        raise SliceError("There are no samples to judge.", "the slice is empty; widen its query.")
    wanted = dict.fromkeys(["id", "label", *(c for c in columns if c not in _SAID)])
    said = [*_SAID, "probabilities"] if probabilities else list(_SAID)
    at = store.positions(table, asked)
    rows = _rows(store, schema.SAMPLES, asked, list(wanted))
    labelled = pc.is_valid(rows["label"]).to_numpy(zero_copy_only=False)
    if not labelled.any():
        raise SliceError(
            f"None of the {len(asked):,} samples has a label.",
            "set `label` with `slicedb relabel`, or ask for samples where label IS NOT NULL.",
        )
    use = labelled & (at >= 0)
    found = _rows(store, table, asked[use], said)
    given = pc.is_valid(found["probabilities" if probabilities else "prediction"])
    given = pc.and_(given, pc.is_valid(found["prediction"])).combine_chunks()
    kept = np.flatnonzero(use)[given.to_numpy(zero_copy_only=False)]
    if not len(kept):
        raise PredictionError(
            f"'{model}' has no predictions for the {int(labelled.sum()):,} labelled samples.",
            f"run `slicedb predict {model}`, or log them with `slicedb log-predictions`.",
        )
    found = found.filter(given)
    rows = rows.take(kept)
    for name in _SAID:
        rows = rows.append_column(name, found[name])
    raw = store.metadata(table).get("slicedb:classes")
    names = json.loads(raw) if raw else pc.unique(found["prediction"]).to_pylist()
    outcomes, width = _outcomes(rows, found, names, probabilities)
    return Predicted(model, asked[kept], rows, outcomes, width, len(asked) - len(kept))


def floats(column: Any) -> Floats:
    """Return an Arrow column as float64 (n,), null as NaN."""
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def memberships(predicted: Predicted, slices: Mapping[str, Ints] | None) -> dict[str, Ints]:
    """Return the row numbers of each slice."""
    return {name: predicted.at(np.asarray(keys, np.int64)) for name, keys in (slices or {}).items()}


def _table_of(store: Store, model: str, probabilities: bool) -> str:
    table = schema.PREDICTIONS + model
    if not store.has(table):
        start = len(schema.PREDICTIONS)
        known = [t[start:] for t in store.names() if t.startswith(schema.PREDICTIONS)]
        hint = did_you_mean(model, known, "models with predictions")
        raise UnknownModelError(f"No predictions of a model '{model}'.", hint)
    names = set(store.schema(table).names)
    if not set(_SAID) <= names:
        raise PredictionError(
            f"'{model}' is not a classifier: its predictions have no class.",
            f'`slicedb confusion {model}` and `slicedb "FROM {model}.matches"` show its mistakes.'
            if "objects" in names
            else "name a model that predicts one class a sample.",
        )
    if probabilities and "probabilities" not in names:
        raise PredictionError(
            f"Only the predicted class of '{model}' is stored, no probabilities.",
            "log it again with probabilities or logits.",
        )
    return table


def _check_columns(store: Store, columns: Sequence[str]) -> None:
    known = store.schema(schema.SAMPLES).names
    for name in columns:
        if name not in known:
            raise BindError(f"No column '{name}' in samples.", did_you_mean(name, known, "columns"))


def _rows(store: Store, table: str, keys: Ints, columns: list[str]) -> pa.Table:
    """Return rows in the order of keys, all of which have one."""
    version = store.version(table)
    if len(keys) < _WHOLE * store.count(table, version):
        return store.take(table, keys, columns, version=version)
    at = store.positions(table, keys, version)
    return store.table(table, columns, version=version).take(at)


def _outcomes(
    rows: pa.Table, found: pa.Table, names: Sequence[str], probabilities: bool
) -> tuple[Outcomes, int]:
    known = list(names)
    for column in (found["prediction"], rows["label"]):
        known += sorted(set(pc.unique(column).to_pylist()) - set(known))
    values = pa.array(known, pa.string())
    label, prediction = (
        pc.index_in(column, value_set=values).to_numpy(zero_copy_only=False).astype(np.int64)
        for column in (rows["label"], found["prediction"])
    )
    p = None
    if probabilities:
        flat = pa.concat_arrays([chunk.flatten() for chunk in found["probabilities"].chunks])
        p = flat.to_numpy(zero_copy_only=False).reshape(len(rows), -1)
        if p.shape[1] != len(names):
            raise PredictionError(
                f"{p.shape[1]} probabilities are stored a sample for {len(names)} classes.",
                "log the predictions again with `classes`.",
            )
    confidence = floats(found["confidence"])
    return Outcomes(tuple(known), label, prediction, confidence, p), len(names)
