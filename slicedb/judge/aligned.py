"""Line up ground truth and predictions by key: the one reader that every judgement uses.

`load` gives everything that one model predicted, kept in memory while the tables do not change.
`select` gives some of its samples, in the order asked for, with columns of the tables beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import schema
from slicedb.cache import Cache
from slicedb.errors import CheckError, UnknownModelError, did_you_mean
from slicedb.keys import KeyIndex, Keys
from slicedb.metrics import Detections, LabelSets, Membership, Numbers, Outcomes
from slicedb.predictions.about import About
from slicedb.predictions.tasks import TASKS, label_sets, number_of, text_of
from slicedb.store import Store

_T = TypeVar("_T")
_MOST = 12
"""Values kept in memory per store; the ones used last stay."""

_cache: WeakKeyDictionary[Store, Cache[tuple[object, ...], object]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Universe:
    """Every sample of the database, by ascending key."""

    keys: Keys
    """int64 (n,), ascending."""
    labels: tuple[str, ...]
    """Distinct labels, sorted."""
    code: Keys
    """int64 (n,): index into `labels`, -1 without a label."""

    @cached_property
    def places(self) -> KeyIndex:
        """Where each key stands."""
        return KeyIndex(self.keys)

    def rows(self, keys: Keys) -> Keys:
        """Return int64 (m,), ascending and distinct: the rows of keys; unknown ones drop out."""
        return np.flatnonzero(self.places.mask(keys))


@dataclass(frozen=True, eq=False)
class Aligned:
    """The predictions of one model beside the ground truth, by ascending key."""

    model: str
    outcomes: Any
    """One row a sample that has both: `Outcomes` of a classifier, `Detections`, `Numbers` or
    `LabelSets`, as `outcomes.task` says."""
    keys: Keys
    """int64 (n,), ascending: the samples of `outcomes`."""
    row_of: Keys
    """int64 (universe,): row of each sample in `outcomes`, -1 where it has none."""
    fingerprint: str
    """Of the model; "" where it is not known."""

    @cached_property
    def rows(self) -> Keys:
        """int64 (n,): the row of the universe of each row of `outcomes`."""
        return np.flatnonzero(self.row_of >= 0)

    @cached_property
    def codes(self) -> npt.NDArray[np.int32]:
        """Of a classifier, int32 (universe + 1,): label x classes + prediction.

        The last code stands where it is not judged.
        """
        c = len(self.outcomes.classes)
        codes = np.append(self.outcomes.label * c + self.outcomes.prediction, c * c)
        return np.asarray(codes[np.append(self.row_of, -1)], np.int32)

    def members(self, rows: Sequence[Keys]) -> Membership:
        """Return the membership of slices given as rows of the universe."""
        if self.outcomes.n == len(self.row_of):  # every sample has both, rows are the same
            return Membership(rows, self.outcomes.n)
        positions = [self.row_of[r] for r in rows]
        return Membership([p[p >= 0] for p in positions], self.outcomes.n)


def universe(store: Store) -> Universe:
    """Read the samples' keys and labels, or return them from memory if nothing changed."""
    return cached(store, (schema.SAMPLES,), "universe", lambda: _read_universe(store))


def load(store: Store, model: str) -> Aligned:
    """Read a model's predictions beside the current labels, from memory if nothing changed.

    Raises:
        UnknownModelError: no predictions of that model.
    """
    table = schema.PREDICTIONS + model
    if not store.has(table):
        names = [t for t in store.names() if t.startswith(schema.PREDICTIONS)]
        known = [t.removeprefix(schema.PREDICTIONS) for t in names]
        hint = did_you_mean(model, known, "predictions")
        raise UnknownModelError(f"No predictions of a model '{model}'.", hint)
    return cached(
        store, (schema.SAMPLES, table), "judged", lambda: _read_judged(store, model, table)
    )


def cached(store: Store, tables: tuple[str, ...], what: str, read: Callable[[], _T]) -> _T:
    """Return what `read` gives, from memory while the tables have not changed.

    Args:
        store: the database.
        tables: what it is read from.
        what: tells apart what is kept of the same tables.
        read: reads it.
    """
    kept = _cache.get(store) or _cache.setdefault(store, Cache(_MOST))
    slot = (what, *((name, store.version(name)) for name in tables))
    return cast(_T, kept.get(slot, read))


def groups_of(store: Store, column: str) -> Keys:
    """Return int64 (universe,): the group of each sample; one without a value stands alone.

    Args:
        store: the database.
        column: a column of samples, such as the video a frame is of.

    Raises:
        CheckError: there is no such column, or its values are no names.
    """
    names = store.schema(schema.SAMPLES).names
    if column not in names:
        hint = did_you_mean(column, names, "columns of samples")
        raise CheckError(f"No column '{column}' to group by.", hint)
    return cached(store, (schema.SAMPLES,), f"groups {column}", lambda: _read_groups(store, column))


def _read_groups(store: Store, column: str) -> Keys:
    table = store.table(schema.SAMPLES, ["key", column])
    values = table[column].combine_chunks()
    if pa.types.is_nested(values.type):
        raise CheckError(f"'{column}' is {values.type}.", "group by one value a sample.")
    encoded = values.dictionary_encode()
    code = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    lonely = code < 0
    code[lonely] = len(encoded.dictionary) + np.arange(int(lonely.sum()))
    groups = np.empty(len(code), np.int64)
    groups[universe(store).places.find(table["key"].to_numpy())] = code
    return groups


def _read_universe(store: Store) -> Universe:
    table = store.table(schema.SAMPLES, ["key", "label"])
    labels, code = _codes(table["label"])
    keys, order = _ascending(table["key"].to_numpy())
    return Universe(keys, labels, code[order])


def _read_judged(store: Store, model: str, name: str) -> Aligned:
    about = About.read(store, model)
    wanted, read = _READERS[about.task]
    there = set(store.schema(name).names)
    table = store.table(name, ["key", *(c for c in wanted if c in there)])
    if table[wanted[0]].null_count:
        table = table.filter(pc.is_valid(table[wanted[0]]))
    keys, order = _ascending(table["key"].to_numpy())
    truth = None if about.task == "classification" else _truth(store, about)
    every = universe(store)
    known = every.code >= 0 if truth is None else np.asarray(pc.is_valid(truth))
    row_of, rows = _line_up(every, keys, known)
    said = table if truth is None else table.take(pa.array(order[rows]))
    outcomes = read(said, order[rows], every, np.flatnonzero(row_of >= 0), truth, about)
    if about.task == "detection":  # ties of score are broken as COCO does, by the image
        outcomes = replace(outcomes, rank=_ranks(store)[row_of >= 0])
    return Aligned(model, outcomes, keys[rows], row_of, about.fingerprint)


def _truth(store: Store, about: About) -> pa.Array:
    """Return the ground truth of a task that is not in `label`, by ascending key."""
    column = TASKS[about.task].truth(about)

    def read() -> pa.Array:
        table = store.table(schema.SAMPLES, ["key", column])
        _, order = _ascending(table["key"].to_numpy())
        values = text_of(table[column]).take(pa.array(order))
        return number_of(values) if about.task == "regression" else values

    return cached(store, (schema.SAMPLES,), f"truth {about.task} {column}", read)


def _ranks(store: Store) -> Keys:
    """Return int64 (universe,): the place of each sample's id among all ids."""

    def read() -> Keys:
        table = store.table(schema.SAMPLES, ["key", "id"])
        _, order = _ascending(table["key"].to_numpy())
        ranks = pc.rank(table["id"].combine_chunks(), tiebreaker="first")
        return np.asarray(ranks.to_numpy(zero_copy_only=False).astype(np.int64)[order])

    return cached(store, (schema.SAMPLES,), "ranks", read)


def _class(
    table: pa.Table, order: Keys, every: Universe, rows: Keys, truth: Any, about: About
) -> Outcomes:
    names, predicted = _codes(table["prediction"])
    classes = about.classes or names
    label, prediction = every.code[rows], predicted[order]
    used = {every.labels[c] for c in np.unique(label)} | {names[c] for c in np.unique(prediction)}
    classes += tuple(sorted(used - set(classes)))
    return Outcomes(
        classes,
        _recode(every.labels, classes)[label],
        _recode(names, classes)[prediction],
        _column(table, "confidence", order),
        _matrix(table, order),
        (table["key"].to_numpy()[order] & 1).astype(bool),  # keys are hashes
    )


def _boxes(
    table: pa.Table, order: Keys, every: Universe, rows: Keys, truth: pa.Array, about: About
) -> Detections:
    found, there = text_of(table["objects"]), truth.take(pa.array(rows))
    return Detections.of(found, there, about.classes, about.confidence)


def _number(
    table: pa.Table, order: Keys, every: Universe, rows: Keys, truth: pa.Array, about: About
) -> Numbers:
    target = truth.take(pa.array(rows)).to_numpy(zero_copy_only=False)
    return Numbers(np.asarray(target, float), np.asarray(table["value"].to_numpy(), float))


def _labels(
    table: pa.Table, order: Keys, every: Universe, rows: Keys, truth: pa.Array, about: About
) -> LabelSets:
    p = _matrix(table, np.arange(len(table)))
    return label_sets(text_of(table["labels"]), truth.take(pa.array(rows)), about.classes, p)


_READERS: dict[str, tuple[tuple[str, ...], Callable[..., Any]]] = {
    "classification": (("prediction", "confidence", "probabilities"), _class),
    "detection": (("objects",), _boxes),
    "regression": (("value",), _number),
    "multilabel": (("labels", "probabilities"), _labels),
}
"""Columns that are read of each task, without the first of which a row says nothing, and what
makes outcomes of them."""


def _line_up(every: Universe, keys: Keys, known: npt.NDArray[np.bool_]) -> tuple[Keys, Keys]:
    """Return (row_of over the universe, rows of `keys` whose truth is known), both ascending."""
    if len(keys) == len(every.keys) and np.array_equal(keys, every.keys):
        at = np.arange(len(keys))  # the usual case: everything is predicted
    else:
        at = KeyIndex(keys).find(every.keys)
    judged = (at >= 0) & known
    row_of = np.where(judged, np.cumsum(judged) - 1, -1)
    return row_of, at[judged]


def _ascending(keys: Keys) -> tuple[Keys, Keys]:
    order = np.argsort(keys, kind="stable")
    return keys[order], order


def _codes(column: pa.ChunkedArray) -> tuple[tuple[str, ...], Keys]:
    """Return the distinct strings, sorted, and int64 codes, -1 for null."""
    encoded = column.combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    code = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    rank = np.argsort(np.argsort(np.array(names, dtype=object))) if names else np.empty(0, int)
    return tuple(sorted(names)), np.append(rank, -1)[code]


def _recode(names: Sequence[str], classes: Sequence[str]) -> Keys:
    at = {name: i for i, name in enumerate(classes)}
    return np.array([at.get(name, -1) for name in names], np.int64)


def _column(table: pa.Table, name: str, order: Keys) -> npt.NDArray[np.float64] | None:
    if name not in table.column_names or table[name].null_count:
        return None
    return np.asarray(table[name].to_numpy(), np.float64)[order]


def _matrix(table: pa.Table, order: Keys) -> npt.NDArray[np.floating] | None:
    """Return (n, c) probabilities, or None where some row has none."""
    if "probabilities" not in table.column_names or table["probabilities"].null_count:
        return None
    column = table["probabilities"].combine_chunks()
    width = column.type.list_size
    return np.asarray(column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)[order])
