"""Explain why samples entered or left: what changed about them between two states of the tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import schema
from slicedb.errors import DatabaseError
from slicedb.keys import Keys
from slicedb.metrics.outcomes import Bools
from slicedb.query import Reads
from slicedb.show.numbers import count
from slicedb.store import Store

NEW, DELETED = "new image", "deleted"
DEFINITION, OTHER_SLICE = "definition changed", "definition differs"
OTHERS, UNKNOWN = "other samples changed", "unknown"

REASONS = (
    *(NEW, DELETED, "status changed", "relabelled", "column changed", "image changed"),
    *("embedding changed", "prediction changed", DEFINITION, OTHER_SLICE, OTHERS, UNKNOWN),
)
"""In the order they are shown. A sample has the first that holds; `detail` names all that do."""

_BOOKKEEPING = frozenset(
    {"id", "key", "uri", "stamp", "row_stamp", "source", "ingested_at", "error", "bytes"}
)
_OF_LABEL = frozenset({"correct", "loss"})
_PART = 50_000  # vectors compared at once
_LONG = 60  # characters of a list that are shown


@dataclass
class Explained:
    """Reason and detail of n samples, filled in from the first to the last."""

    reason: npt.NDArray[np.object_]
    detail: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))

    @classmethod
    def of(cls, n: int) -> Explained:
        """Return n samples without a reason."""
        return cls(np.full(n, "", object), pa.array([""] * n, pa.string()))

    def add(self, mask: Bools, reason: str, detail: pa.Array | str = "") -> None:
        """Give samples a reason where they have none, and add to what is told of them."""
        self.reason[mask & (self.reason == "")] = reason
        text = pa.array([detail] * len(mask), pa.string()) if isinstance(detail, str) else detail
        joined = pc.binary_join_element_wise(self.detail, text, "; ")
        more = pc.if_else(pc.equal(self.detail, ""), text, joined)
        more = pc.if_else(pc.equal(text, ""), self.detail, more)
        self.detail = pc.if_else(pa.array(mask), more, self.detail)


def reasons(old: Store, new: Store, keys: Keys, reads: Reads | None) -> Explained:
    """Return why each sample's membership can have changed, "" where nothing of it did.

    Args:
        keys: int64 (n,).
        reads: what the query reads; None looks at every column.
    """
    why = Explained.of(len(keys))
    try:
        was = old.positions(schema.SAMPLES, keys) >= 0
    except DatabaseError:  # the version it was frozen at was let go
        why.add(np.ones(len(keys), bool), UNKNOWN, "its data of then was cleaned up")
        return why
    why.add(~was, NEW)
    why.add(was & ~(new.positions(schema.SAMPLES, keys) >= 0), DELETED)
    both = np.flatnonzero(why.reason == "")
    if len(both):
        inside = Explained.of(len(both))
        _of_samples(inside, old, new, keys[both], reads)
        _of_models(inside, old, new, keys[both], reads)
        why.reason[both] = inside.reason
        at = np.full(len(keys), -1)
        at[both] = np.arange(len(both))
        taken = inside.detail.take(pa.array(at, mask=at < 0))
        why.detail = pc.coalesce(taken, why.detail)
    return why


def _of_samples(why: Explained, old: Store, new: Store, keys: Keys, reads: Reads | None) -> None:
    columns = [set(store.schema(schema.SAMPLES).names) for store in (old, new)]
    every = (columns[0] | columns[1]) - _BOOKKEEPING
    wanted = every if reads is None else every & (reads.columns | {"status", "sha256"})
    if reads is None or any(_OF_LABEL & used for used in reads.models.values()):
        wanted |= {"label"}
    names = sorted(wanted, key=lambda c: (c != "status", c != "label", c))
    before = _taken(old, schema.SAMPLES, keys, [n for n in names if n in columns[0]])
    after = _taken(new, schema.SAMPLES, keys, [n for n in names if n in columns[1]])
    pictures = np.zeros(len(keys), bool)
    for name in names:
        differ = differs(_column(before, name), _column(after, name))
        if name == "sha256":
            pictures = differ
        elif differ.any():
            reason = {"status": "status changed", "label": "relabelled"}.get(name, "column changed")
            moves = _moves(_column(before, name), _column(after, name), differ)
            lead = "" if name == "label" else f"{name}: "
            why.add(differ, reason, _led(lead, moves))
    if reads is None or reads.embeddings or reads.models:
        why.add(pictures, "image changed")


def _of_models(why: Explained, old: Store, new: Store, keys: Keys, reads: Reads | None) -> None:
    for name in _tables(old, new, schema.EMBEDDINGS, None if reads is None else reads.embeddings):
        title = name.removeprefix(schema.EMBEDDINGS)
        why.add(_vectors_differ(old, new, name, keys), "embedding changed", title)
    models = None if reads is None else frozenset(reads.models)
    for name in _tables(old, new, schema.PREDICTIONS, models):
        model = name.removeprefix(schema.PREDICTIONS)
        columns = [set(s.schema(name).names) if s.has(name) else set() for s in (old, new)]
        own = {"prediction"} if reads is None else set(reads.models[model])
        for column in sorted((columns[0] | columns[1]) & own):
            before = _taken(old, name, keys, [column] if column in columns[0] else [])
            after = _taken(new, name, keys, [column] if column in columns[1] else [])
            differ = differs(_column(before, column), _column(after, column))
            if differ.any():
                moves = _moves(_column(before, column), _column(after, column), differ)
                why.add(differ, "prediction changed", _led(f"{model}.{column}: ", moves))


def _tables(old: Store, new: Store, prefix: str, read: frozenset[str] | None) -> Iterator[str]:
    """Yield the tables of a kind that are read and are not the same in both."""
    for name in sorted({*old.names(), *new.names()}):
        if not name.startswith(prefix):
            continue
        if read is not None and name.removeprefix(prefix) not in read:
            continue
        versions = [s.version(name) if s.has(name) else None for s in (old, new)]
        if versions[0] != versions[1]:
            yield name


def _taken(store: Store, name: str, keys: Keys, columns: list[str]) -> pa.Table:
    """Return the rows of keys, null where there is none."""
    if not store.has(name) or not columns:
        return pa.table({"~": np.zeros(len(keys), np.int8)})
    at = store.positions(name, keys)
    here = np.flatnonzero(at >= 0)
    rows = store.take(name, keys[here], columns)
    place = np.full(len(keys), -1)
    place[here] = np.arange(len(here))
    return rows.take(pa.array(place, mask=place < 0))


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name in table.column_names:
        return table[name]
    return pa.chunked_array([pa.nulls(len(table))])


def differs(a: pa.ChunkedArray, b: pa.ChunkedArray) -> Bools:
    """Return bool (n,): where two columns differ, null being a value of its own."""
    if pa.types.is_null(a.type) or pa.types.is_null(b.type):
        return np.asarray(pc.xor(pc.is_null(a), pc.is_null(b)))
    if pa.types.is_nested(a.type) or a.type != b.type:
        return np.array([x != y for x, y in zip(a.to_pylist(), b.to_pylist())], bool)
    unequal = pc.fill_null(pc.not_equal(a, b), False)
    if pa.types.is_floating(a.type):  # NaN is as it was
        both = pc.fill_null(pc.and_(pc.is_nan(a), pc.is_nan(b)), False)
        unequal = pc.and_(unequal, pc.invert(both))
    return np.asarray(pc.or_(unequal, pc.xor(pc.is_null(a), pc.is_null(b))))


def _vectors_differ(old: Store, new: Store, name: str, keys: Keys) -> Bools:
    out = np.zeros(len(keys), bool)
    for start in range(0, len(keys), _PART):
        part = keys[start : start + _PART]
        before, after = (_taken(s, name, part, ["vector"]) for s in (old, new))
        a, b = _column(before, "vector"), _column(after, "vector")
        one = np.asarray(pc.xor(pc.is_null(a), pc.is_null(b)))
        both = np.flatnonzero(np.asarray(pc.and_(pc.is_valid(a), pc.is_valid(b))))
        if len(both):
            x, y = (_matrix(c.take(pa.array(both))) for c in (a, b))
            one[both] = (x != y).any(axis=1) if x.shape == y.shape else True
        out[start : start + _PART] = one
    return out


def _matrix(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    flat = pc.list_flatten(column).to_numpy()
    return np.asarray(flat, np.float32).reshape(len(column), -1)


def _moves(a: pa.ChunkedArray, b: pa.ChunkedArray, differ: Bools) -> pa.Array:
    """Return "old -> new" where they differ, else ""."""
    at = np.flatnonzero(differ)
    pieces = [_texts(c.take(pa.array(at))) for c in (a, b)]
    joined = pc.binary_join_element_wise(*pieces, " -> ")
    place = np.full(len(differ), -1)
    place[at] = np.arange(len(at))
    return pc.fill_null(joined.take(pa.array(place, mask=place < 0)), "")


def _texts(column: pa.ChunkedArray) -> pa.Array:
    if pa.types.is_nested(column.type):
        return pa.array([_nested(value) for value in column.to_pylist()], pa.string())
    text = column.cast(pa.string())
    return pc.fill_null(text.combine_chunks(), "null")


def _nested(value: object) -> str:
    text = json.dumps(value, default=str)
    if len(text) <= _LONG or value is None:
        return text
    return f"{count(len(value), 'item')}" if isinstance(value, list) else text[: _LONG - 1] + "…"


def _led(lead: str, moves: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(pa.scalar(lead), moves, "") if lead else moves
