"""Check predictions made elsewhere: their ids, and the user's own columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import PredictionError, did_you_mean
from slicedb.ingest.convert import is_text
from slicedb.keys import KeyIndex, Keys
from slicedb.metrics.outcomes import Bools
from slicedb.schema import SAMPLES, keys_of, unfit
from slicedb.show.numbers import count, verb
from slicedb.store import Store
from slicedb.tasks import AnyTask

_SHOWN = 3
_CHOICES = 20_000
"""Ids that a hint looks for the nearest one in."""
_FEW = 4096
"""Ids that are looked up by their names rather than by their keys."""
_NEAR = 1e-3
"""How far a given number may be from ours, which are kept with seven digits."""


class IdChecker:
    """Holds the ids of predictions against the samples, and against those that came before.

    Args:
        store: the database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: Keys = np.empty(0, np.int64)

    def check(self, ids: Sequence[str] | pa.Array, place: str) -> Keys:
        """Return the key of each id, int64 (n,), or raise.

        Args:
            ids: a list, or an Arrow column, which is not turned into one.
            place: what errors call their source.

        Raises:
            PredictionError: with the count, the place and examples.
        """
        if not len(ids):
            raise PredictionError(f"There are no rows in {place}.")
        texts = _texts(ids, place)
        keys = self._keys_in_order(texts)
        if keys is not None:
            return self._first_time(keys, texts)
        keys = keys_of(texts)
        # Few ids are looked up by name, and only those are turned into Python's.
        few = texts.to_pylist() if len(texts) <= _FEW else None
        unknown = ~self._store.present(SAMPLES, keys, ids=few)
        if unknown.any():
            self._refuse_unknown(texts.filter(pa.array(unknown)).to_pylist(), len(ids), place)
        ascending = np.sort(keys)
        if (ascending[1:] == ascending[:-1]).any():
            _refuse_twice(texts.to_pylist(), place)
        return self._first_time(keys, texts)

    def _keys_in_order(self, texts: pa.Array) -> Keys | None:
        """Return the stored keys where the ids are all samples, as stored; no id is hashed then."""
        if len(texts) <= _FEW or len(texts) != self._store.count(SAMPLES):
            return None
        samples = self._store.table(SAMPLES, ["id", "key"])
        same = samples["id"].equals(pa.chunked_array([texts]))
        return samples["key"].to_numpy() if same else None

    def _first_time(self, keys: Keys, texts: pa.Array) -> Keys:
        """Return the keys, none of which may have come before."""
        again = KeyIndex(self._seen).has(keys)
        if again.any():
            raise PredictionError(
                f"Sample '{texts[int(np.argmax(again))]}' was logged before in this run.",
                "keep one prediction a sample; a distributed sampler pads its last batch.",
            )
        self._seen = np.concatenate([self._seen, keys])
        return keys

    def _refuse_unknown(self, unknown: Sequence[str], n: int, place: str) -> None:
        known = self._store.table(SAMPLES, ["id"])["id"].to_pylist()
        shown = ", ".join(repr(name) for name in unknown[:_SHOWN])
        raise PredictionError(
            f"{len(unknown):,} of {count(n, 'id')} in {place} "
            f"{verb(len(unknown), 'is no sample', 'are no samples')} here: "
            f"{shown}{', ...' if len(unknown) > _SHOWN else ''}.",
            did_you_mean(unknown[0], sorted(known)[:_CHOICES], "samples")
            + _prefix(unknown, set(known)),
        )


def _texts(ids: Sequence[str] | pa.Array, place: str) -> pa.Array:
    """Return ids as a column of text.

    Raises:
        PredictionError: one is null or no text.
    """
    if not isinstance(ids, pa.Array):
        wrong = next((i for i in ids if not isinstance(i, str)), "")
    elif is_text(ids.type):
        texts = ids.cast(pa.string())
        if not texts.null_count:
            return texts
        wrong = None
    else:
        wrong = ids[0].as_py()
    if wrong != "":
        raise PredictionError(
            f"An id in {place} is {wrong!r}, a {type(wrong).__name__}.", "ids are text."
        )
    return pa.array(ids, pa.string())


def _prefix(unknown: Sequence[str], known: set[str]) -> str:
    """Say which prefix would make samples of all of them, if one does."""
    ends = [name for name in known if name.endswith("/" + unknown[0])]
    prefix = ends[0][: -len(unknown[0])] if len(ends) == 1 else None
    if prefix is None or any(prefix + name not in known for name in unknown):
        return ""
    return f" prefix='{prefix}' (--prefix) makes samples of all of them."


def _refuse_twice(ids: Sequence[str], place: str) -> None:
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        if name in first:
            raise PredictionError(
                f"Sample '{name}' comes twice in {place}: rows {first[name] + 1} and {row + 1}.",
                "keep one prediction a sample.",
            )
        first[name] = row


def check_names(own: Sequence[str], ours: Sequence[str], place: str) -> None:
    """Refuse columns of the user that SQL could not tell from ours, or from one another.

    Args:
        own: names of the user's columns.
        ours: names of the columns in the table of predictions.
        place: what errors call the source.

    Raises:
        PredictionError: two names differ by their case only.
    """
    exact = {name.casefold(): name for name in ours}
    for name in own:
        other = exact.setdefault(name.casefold(), name)
        if other != name:
            raise PredictionError(
                f"Column '{name}' of {place} differs from '{other}' by its case only, and SQL "
                "takes the two for one.",
                f"rename it, for example to '{name}_given', or leave it out.",
            )


def check_types(own: Mapping[str, pa.Array], place: str) -> None:
    """Refuse columns of the user that cannot be stored, or that no query could read.

    Raises:
        PredictionError: with the first of them.
    """
    for name, column in own.items():
        if why := unfit(column.type):
            raise PredictionError(
                f"Column '{name}' of {place} is {column.type}: {why}.",
                "give it as numbers or as text, or leave it out.",
            )


def with_own(
    columns: Mapping[str, pa.Array],
    own: Mapping[str, pa.Array],
    task: AnyTask,
    ids: Sequence[str] | pa.Array,
    place: str,
) -> dict[str, pa.Array]:
    """Return the columns of predictions with those of the user's own.

    One that has the name of ours is kept where we cannot compute it (`Task.keeps`) and left alone
    where it says the same; otherwise it is refused, since it would be lost.

    Args:
        columns: ours.
        own: the user's.
        task: what is predicted.
        ids: of the rows.
        place: what errors call the source.

    Raises:
        PredictionError: a column says something else than ours of the same name.
    """
    merged = dict(columns)
    for name, given in own.items():
        ours = merged.get(name)
        if ours is None:
            merged[name] = given
            continue
        values = _cast(given, ours.type)
        if values is not None and name in task.keeps and ours.null_count == len(ours):
            merged[name] = values
            continue
        wrong = given.is_valid() if values is None else _contradicts(ours, values)
        bad = np.flatnonzero(np.asarray(wrong))
        if len(bad):
            i = int(bad[0])
            what = f"has {_text(ours[i])}" if ours[i].is_valid else "has none"
            raise PredictionError(
                f"Column '{name}' of {place} has {_text(given[i])} for sample '{ids[i]}', where "
                f"SliceDB's own column '{name}' {what}.",
                f"rename it to keep it, for example to '{name}_given', or leave it out.",
            )
    return merged


def _text(value: pa.Scalar) -> str:
    plain = value.as_py()
    return f"{plain:.6g}" if isinstance(plain, float) else repr(plain)


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array | None:
    try:
        return values.cast(kind)
    except pa.ArrowException:
        return None


def _contradicts(ours: pa.Array, given: pa.Array) -> Bools:
    """Return bool (n,): where a given value is not ours; nothing given contradicts nothing."""
    if pa.types.is_floating(ours.type):
        a, b = (np.asarray(column.to_numpy(zero_copy_only=False)) for column in (ours, given))
        same = np.asarray(np.isclose(a, b, rtol=_NEAR, atol=_NEAR))
    elif pa.types.is_nested(ours.type):
        same = np.array([a == b for a, b in zip(ours.to_pylist(), given.to_pylist())], bool)
    else:
        same = np.asarray(pc.fill_null(pc.equal(ours, given), False))
    return np.asarray(np.asarray(given.is_valid()) & ~same)
