"""Line up ground truth and predictions by key: the one reader that every judgement uses.

`load` gives everything that one model predicted, kept in memory while the tables do not change.
`select` gives some of its samples, in the order asked for, with columns of the tables beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import schema, sql
from slicedb.cache import Cache, give_back
from slicedb.errors import CheckError, ConflictError, did_you_mean
from slicedb.judge import truth as other
from slicedb.judge.truth import OtherTruth, Truth
from slicedb.keys import KeyIndex, Keys, ascending, distinct, row_type
from slicedb.metrics import Membership
from slicedb.predictions.tables import no_predictions, scores_alone
from slicedb.store import Store
from slicedb.store.without_pandas import without_pandas
from slicedb.tasks import LOGGED, TASKS, About, AlignedRows, AnyTask, TruthColumn
from slicedb.tasks.arrays import codes_of, one_array

_TRIES = 20
"""How often tables are read again that others change meanwhile."""
_T = TypeVar("_T")
_LABELS = TruthColumn("label")
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
    order: Keys
    """int64 (n,): the row of each key in stored order."""

    @cached_property
    def places(self) -> KeyIndex:
        """Where each key stands."""
        return KeyIndex(self.keys)

    def rows(self, keys: Keys) -> npt.NDArray[Any]:
        """Return integers (m,), ascending and distinct: the rows of keys; unknown ones drop out."""
        return np.flatnonzero(self.places.mask(keys)).astype(row_type(len(self.keys)))

    def named(self, keys: Keys) -> tuple[Keys, int]:
        """Return the distinct rows of keys, in any order, and the number of distinct keys."""
        rows = self.places.find(keys)
        chosen = np.zeros(len(self.keys) + 1, bool)
        chosen[rows] = True  # -1, for unknown samples, is the place behind the last
        n = int(np.count_nonzero(chosen[:-1]))
        if n == len(keys):
            return rows, n
        n_unknown = len(distinct(keys[rows < 0])) if chosen[-1] else 0
        return np.flatnonzero(chosen[:-1]), n + n_unknown


@dataclass(frozen=True, eq=False)
class Aligned:
    """The predictions of one model beside the ground truth, by ascending key."""

    model: str
    outcomes: Any
    """One row per sample that has both, of the type that the task makes."""
    keys: Keys
    """int64 (n,), ascending: the samples of `outcomes`."""
    row_of: Keys
    """int64 (universe,): row of each sample in `outcomes`, -1 where it has none."""
    about: About = field(default_factory=About)
    """What the table of predictions says of itself."""
    unseen: Keys = field(default_factory=lambda: np.empty(0, np.int64))
    """int64, ascending: rows of the universe that have a ground truth and no prediction."""
    truth: Truth | None = None
    """What stands in place of the ground truth, if something does."""

    @property
    def task(self) -> AnyTask:
        """What the model does."""
        return TASKS[self.outcomes.task]

    @property
    def right(self) -> str:
        """The predicate of the samples that a classifier has right."""
        name = sql.name(self.model)
        return f"{name}.correct" if self.truth is None else f"{name}.prediction = {self.label}"

    @property
    def wrong(self) -> str:
        """The predicate of the samples that a classifier has wrong."""
        name = sql.name(self.model)
        if self.truth is None:
            return f"NOT {name}.correct"
        return f"{name}.prediction <> {self.label}"

    @property
    def label(self) -> str:
        """The SQL of the true class of a sample."""
        return "label" if self.truth is None else self.truth.expression

    @cached_property
    def rows(self) -> Keys:
        """int64 (n,): the row of the universe of each row of `outcomes`."""
        return np.flatnonzero(self.row_of >= 0)

    def doubtful(self, rows: Keys) -> int:
        """Return how many samples may have been looked at, with nothing found, or not at all.

        They are annotated and have no row among the detections that were logged: a table of boxes
        says nothing of them, and to leave them out would hide what was missed there.

        Args:
            rows: int64, rows of the universe.
        """
        if self.task.name != "detection" or self.about.fingerprint != LOGGED:
            return 0
        return int(np.isin(rows, self.unseen).sum()) if len(self.unseen) else 0

    def members(self, rows: Sequence[Keys]) -> Membership:
        """Return the membership of slices given as rows of the universe."""
        if self.outcomes.n == len(self.row_of):  # every sample has both, rows are the same
            return Membership(rows, self.outcomes.n)
        positions = [self.row_of[r] for r in rows]
        return Membership([p[p >= 0] for p in positions], self.outcomes.n)


def universe(store: Store) -> Universe:
    """Read the samples' keys and labels, or return them from memory if nothing changed."""
    return cached(store, (schema.SAMPLES,), "universe", lambda: _read_universe(store))


def load(
    store: Store, model: str, truth: OtherTruth | None = None, *, light: bool = False
) -> Aligned:
    """Read a model's predictions beside the current labels, from memory if nothing changed.

    Args:
        store: the database.
        model: whose predictions.
        truth: what stands in place of the ground truth.
        light: leave out the columns that the task calls optional, such as probabilities, unless
            they are in memory; they take ten times as much of it as the others.

    Raises:
        UnknownModelError: no predictions of that model, or no such truth.
        CheckError: the truth is not what the model's task compares.
        ClassesError: none of the truth's classes is one of the model's.
    """
    table = schema.PREDICTIONS + model
    if not store.has(table):
        raise no_predictions(store, model)
    about = cached(store, (table,), "about", lambda: About.read(store, model))
    task = TASKS[about.task]
    if not task.is_judged:
        raise scores_alone(store, model)
    found = None if truth is None else other.resolve(store, truth, model, task)
    source = (task.truth_of(about) if found is None else found.source).table
    tables = tuple(dict.fromkeys((schema.SAMPLES, table, *([source] if store.has(source) else []))))
    what = f"aligned {found}" if found else "aligned"
    left_out = task.optional if light and not is_kept(store, tables, what) else ()
    read = lambda: _read_aligned(store, model, about, found, left_out)  # noqa: E731
    return cached(store, tables, f"{what}, light" if left_out else what, read)


def cached(store: Store, tables: tuple[str, ...], what: str, read: Callable[[], _T]) -> _T:
    """Return what `read` gives, from memory while the tables have not changed.

    Args:
        store: the database.
        tables: what it is read from.
        what: tells apart what is kept of the same tables.
        read: reads it.

    Raises:
        ConflictError: other processes kept changing the tables.
    """
    for _ in range(_TRIES):
        cache, slot = _slot(store, tables, what)
        _drop_earlier(cache, slot)
        try:
            return cast(_T, cache.get(slot, partial(_read_still, store, tables, slot, read)))
        except _ChangedError:
            continue
    raise ConflictError(
        f"Other processes kept changing {' and '.join(tables)} while they were read.",
        "say it again when they are done, or judge a commit: at=COMMIT (--at).",
    )


def _drop_earlier(cache: Cache[tuple[object, ...], object], slot: tuple[object, ...]) -> None:
    """Let the values of earlier versions go: both together may not fit into the memory."""
    cache.drop_where(lambda other: other != slot and _without_versions(other, slot))


class _ChangedError(Exception):
    """A table was changed while it was read, perhaps between two of its columns."""


def _read_still(
    store: Store, tables: tuple[str, ...], slot: tuple[object, ...], read: Callable[[], _T]
) -> _T:
    """Return what `read` gives of tables that stay as they are meanwhile."""
    try:
        value = read()
    except (ValueError, IndexError):  # rows of two versions do not line up
        if _slot(store, tables, str(slot[0]))[1] == slot:
            raise
        raise _ChangedError from None
    if _slot(store, tables, str(slot[0]))[1] != slot:
        raise _ChangedError
    give_back()
    return value


def forget(store: Store) -> None:
    """Let go of what is kept of a database."""
    _cache.pop(store, None)
    give_back()


def _without_versions(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Return whether two values are of the same tables, at any version, and told apart alike."""
    return a[0] == b[0] and [name for name, _ in a[1:]] == [name for name, _ in b[1:]]


def is_kept(store: Store, tables: tuple[str, ...], what: str) -> bool:
    """Return whether `cached` has a value in memory."""
    cache, slot = _slot(store, tables, what)
    return slot in cache


def _slot(
    store: Store, tables: tuple[str, ...], what: str
) -> tuple[Cache[tuple[object, ...], object], tuple[object, ...]]:
    cache = _cache.get(store) or _cache.setdefault(store, Cache(_MOST))
    return cache, (what, *((name, store.version(name)) for name in tables))


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
        raise CheckError(
            f"'{column}' is {values.type}.", "group by a column with one value per sample."
        )
    encoded = values.dictionary_encode()
    code = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    lonely = code < 0
    code[lonely] = len(encoded.dictionary) + np.arange(int(lonely.sum()))
    groups = np.empty(len(code), np.int64)
    groups[universe(store).places.find(table["key"].to_numpy())] = code
    return groups


@without_pandas()
def _read_universe(store: Store) -> Universe:
    table = store.table(schema.SAMPLES, ["key", "label"])
    labels, code = codes_of(table["label"])
    stored = table["key"].to_numpy()
    del table  # before the sort, which takes as much
    order = ascending(stored)
    return Universe(stored[order], labels, code[order], order)


@without_pandas()
def _read_aligned(
    store: Store, model: str, about: About, found: Truth | None, left_out: Sequence[str]
) -> Aligned:
    name, task = schema.PREDICTIONS + model, TASKS[about.task]
    stored = set(store.schema(name).names) - {*left_out}
    every = universe(store)
    table = store.table(name, ["key", *(c for c in task.reads if c in stored)])
    if table[task.reads[0]].null_count:
        table = table.filter(pc.is_valid(table[task.reads[0]]))
    keys, order = _ascending(table["key"].to_numpy(), every)
    if found is None:
        truth = ground_truth(store, task, about)
    else:
        classes = about.classes or tuple(task.classes_in(one_array(table[task.reads[0]])))
        found, truth = other.read(store, found, every.keys, model, task, classes)
    known = np.asarray(pc.is_valid(truth))
    row_of, rows = _line_up(every, keys, known)
    judged = row_of >= 0
    outcomes = task.outcomes(
        AlignedRows(
            table,
            order[rows],
            truth.take(pa.array(np.flatnonzero(judged))),
            about,
            lambda: ranks(store)[judged],
        )
    )
    unseen = np.flatnonzero(known & (row_of < 0))
    return Aligned(model, outcomes, keys[rows], row_of, about, unseen, found)


def ground_truth(store: Store, task: AnyTask, about: About) -> pa.Array:
    """Return the ground truth as the task compares it, by ascending key; null where unknown."""
    source = task.truth_of(about)
    every = universe(store)
    if source == _LABELS:  # coded already
        code = pa.array(every.code, mask=every.code < 0)
        labels = pa.array(every.labels, pa.string())
        return task.truth(pa.DictionaryArray.from_arrays(code, labels))
    if not store.has(source.table):
        return pa.nulls(len(every.keys))

    def read() -> pa.Array:
        table = store.table(source.table, ["key", source.column])
        at = KeyIndex(table["key"].to_numpy()).find(every.keys)
        return task.truth(one_array(table[source.column]).take(pa.array(at, mask=at < 0)))

    tables = tuple(dict.fromkeys((schema.SAMPLES, source.table)))
    return cached(store, tables, f"truth {task.name} {source.column}", read)


def ranks(store: Store) -> Keys:
    """Return int64 (universe,): the place of each sample's id among all ids."""

    def read() -> Keys:
        ids = store.table(schema.SAMPLES, ["id"])["id"].combine_chunks()
        ranks = pc.rank(ids, tiebreaker="first")
        return np.asarray(ranks.to_numpy(zero_copy_only=False).astype(np.int64)[every.order])

    every = universe(store)
    return cached(store, (schema.SAMPLES,), "ranks", read)


def _line_up(every: Universe, keys: Keys, known: npt.NDArray[np.bool_]) -> tuple[Keys, Keys]:
    """Return (row_of over the universe, rows of `keys` whose truth is known), both ascending."""
    if len(keys) == len(every.keys) and np.array_equal(keys, every.keys):
        at = np.arange(len(keys))  # the usual case: everything is predicted
        if known.all():
            return at, at
    else:
        at = KeyIndex(keys).find(every.keys)
    judged = (at >= 0) & known
    row_of = np.where(judged, np.cumsum(judged) - 1, -1)
    return row_of, at[judged]


def _ascending(keys: Keys, every: Universe) -> tuple[Keys, Keys]:
    """Return keys in ascending order, and their rows; they are sorted only if they have to be."""
    if len(keys) == len(every.keys) and np.array_equal(keys[every.order], every.keys):
        return every.keys, every.order  # they stand as the samples do
    order = ascending(keys)
    return keys[order], order
