"""Make the maps: two-dimensional projections of embeddings, stored as tables `maps__<name>`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np
import pyarrow as pa

from slicedb.embedding.fingerprint import differing, title_of
from slicedb.embedding.table import check_name
from slicedb.errors import EmbeddingError, FingerprintError, did_you_mean
from slicedb.keys import KeyIndex
from slicedb.progress import Watch, bar
from slicedb.schema import MAPS, MAPS_SCHEMA
from slicedb.show.numbers import count
from slicedb.show.tabular import Record
from slicedb.store.work import samples_of
from slicedb.vectors.axes import LEAST, Method, Pca, Projector, Tsne, fit_pca, fit_tsne, opened
from slicedb.vectors.matrix import Matrix

if TYPE_CHECKING:
    from slicedb.store import Store
    from slicedb.vectors.vectors import Vectors

ABOUT = "slicedb:map"
"""Where the metadata of a map keeps what it was made of, and its fitted model, as JSON."""
_MOST = 10_000
"""Vectors that t-SNE is fitted on, at the most."""
_BLOCK = 64 << 20
"""Bytes of vectors that are held at once."""
_FACTOR = 0x9E3779B97F4A7C15
"""The golden ratio of 64 bits, whose multiples are spread evenly."""


@dataclass(frozen=True)
class Projection(Record):
    """What a run of `project` did."""

    name: str
    """Of the map."""
    method: str
    embedding: str
    fitted_on: int
    """Vectors that the model was fitted on in this run; 0 where it is the one on record."""
    placed: int
    """Samples that got a point."""
    moved: int
    """Samples that had a point, and got another since their vector changed."""
    unchanged: int
    removed: int
    """Points of samples that are gone, or have no vector any more."""
    without_vector: int
    """Samples without a vector; they have no point."""
    quarantined: int
    """Samples whose status is not ok; they have no point."""
    shares: tuple[float, ...]
    """Of PCA: the shares of the variance along x and y, in [0, 1]."""
    seconds: float
    notes: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        text = f"{self.name} ({self.method} of '{self.embedding}'): {self.placed:,} placed"
        text += f", {self.moved:,} moved" * bool(self.moved) + f", {self.unchanged:,} unchanged"
        text += f", {self.removed:,} removed" * bool(self.removed) + f" ({self.seconds:.1f} s)"
        return "\n  ".join((text, *self.notes))


@dataclass(frozen=True)
class _About:
    """What a map was made of."""

    method: Method
    embedding: str
    fingerprint: dict[str, Any]
    """Of the encoder."""
    dim: int
    model: dict[str, Any]

    @classmethod
    def read(cls, store: Store, table: str, version: int) -> _About:
        return cls(**json.loads(store.metadata(table, version)[ABOUT]))

    def schema(self) -> pa.Schema:
        return MAPS_SCHEMA.with_metadata({ABOUT: json.dumps(self.__dict__)})


@dataclass(frozen=True, eq=False)
class _Wanted:
    """The samples that are to have a point, and their vectors."""

    ids: pa.Array
    keys: np.ndarray
    marks: np.ndarray
    """int64 (n,): the fingerprint of each vector."""
    rows: np.ndarray
    """int64 (n,): the row of each in the matrix."""
    without_vector: int
    quarantined: int


def project(
    store: Store,
    vectors: Vectors,
    name: str,
    *,
    method: Method | None = None,
    embedding: str | None = None,
    otherwise: str | None = None,
    keys: np.ndarray | None = None,
    replace: bool = False,
    progress: Watch = None,
) -> Projection:
    """Place the samples that have a vector and no point of it; see `Database.project`.

    Args:
        store: the database.
        vectors: its vectors.
        name: of the map.
        method: how to project; None is that of the map, of a new one what its name says.
        embedding: whose vectors; None is that of the map.
        otherwise: whose vectors a new map takes where none is named.
        keys: int64 (n,): the samples to place; None is all.
        replace: fit anew.
        progress: as `Database.project` has it.
    """
    started = time.perf_counter()
    check_name(name)
    if method is not None and method not in get_args(Method):
        known = did_you_mean(str(method), get_args(Method), "methods")
        raise EmbeddingError(f"No method '{method}' to project by.", known)
    table = MAPS + name
    version = store.version(table) if store.has(table) else 0
    before = _About.read(store, table, version) if version else None
    keeps = before is not None and not replace
    source = embedding or (before.embedding if before is not None else otherwise)
    if source is None:
        raise EmbeddingError("There is no vector to project.", "run `slicedb embed` first.")
    stands = vectors.table(source)
    at = store.version(stands)
    fingerprint = json.loads(store.metadata(stands, at).get("slicedb:fingerprint", "{}"))
    matrix = vectors.matrix(source, at)
    if before is not None and keeps:
        _check(name, before, method, source, fingerprint, matrix.dim)
    by: Method = method or (before.method if before is not None else _method_of(name))
    if by == "tsne":
        opened()  # before anything is read
    wanted = _wanted(store, matrix, keys, progress, name)
    run = _Run(store, table, version, matrix, wanted, progress)
    about = _About(by, source, fingerprint, matrix.dim, {})
    told = run.place(before) if before is not None and keeps else run.fit(about)
    store.sync()
    return Projection(
        name=name,
        method=by,
        embedding=source,
        without_vector=wanted.without_vector,
        quarantined=wanted.quarantined,
        seconds=time.perf_counter() - started,
        notes=tuple(_notes(name, source, told, wanted)),
        **told,
    )


def made_of(store: Store, name: str) -> tuple[str, str]:
    """Return the method and the embedding that a map was made by."""
    about = _About.read(store, MAPS + name, store.version(MAPS + name))
    return about.method, about.embedding


class _Run:
    """One run over one map.

    Args:
        store: the database.
        table: of the map.
        version: of the table that was read; 0 where there is none.
        matrix: the vectors.
        wanted: the samples that are to have a point.
        progress: as `Database.project` has it.
    """

    def __init__(
        self,
        store: Store,
        table: str,
        version: int,
        matrix: Matrix,
        wanted: _Wanted,
        progress: Watch,
    ) -> None:
        self._store, self._table, self._version = store, table, version
        self._matrix, self._wanted, self._progress = matrix, wanted, progress

    def fit(self, about: _About) -> dict[str, Any]:
        """Fit a model, and write the whole map in one commit."""
        n = len(self._wanted.keys)
        if n < LEAST:
            have = count(n, "vector")
            raise EmbeddingError(f"A map of {have} shows nothing.", f"it takes {LEAST} or more.")
        chosen = np.arange(n)
        if about.method == "tsne" and n > _MOST:
            # By fingerprint, so that the choice does not depend on the order of the samples.
            chosen = np.sort(np.argsort(self._wanted.marks, kind="stable")[:_MOST])
        model, facts = self._fitted(about, chosen)
        schema = _About(**{**about.__dict__, "model": facts}).schema()
        points = self._points(model, np.arange(n), chosen)
        rows = self._rows(np.arange(n), points, np.isin(np.arange(n), chosen)).cast(schema)
        if self._version:
            self._store.replace(self._table, schema, rows, expected_version=self._version)
        elif not self._store.create(self._table, schema, rows):
            raise EmbeddingError("Another process has made this map.", "run it again.")
        return _told(len(chosen), placed=n, shares=_shares(model))

    def place(self, before: _About) -> dict[str, Any]:
        """Place what has no point of its present vector by the model on record."""
        stored = self._store.table(self._table, version=self._version)
        index = KeyIndex(stored["key"].to_numpy())
        at, marks = index.find(self._wanted.keys), stored["fingerprint"].to_numpy()
        has = at >= 0
        is_same = has.copy()
        is_same[has] = marks[at[has]] == self._wanted.marks[has]
        todo = np.flatnonzero(~is_same)
        left = self._left(stored)
        if len(todo):
            points = self._points(self._recorded(before, stored, at, is_same), todo)
            self._store.upsert(self._table, self._rows(todo, points, np.zeros(len(todo), bool)))
        if len(left):
            self._store.delete(self._table, left)
        moved = int(has[todo].sum())
        unchanged = len(self._wanted.keys) - len(todo)
        return _told(placed=len(todo) - moved, moved=moved, unchanged=unchanged, removed=len(left))

    def _left(self, stored: pa.Table) -> list[str]:
        """Return the ids of points whose sample has no vector."""
        has = self._matrix.index.has(stored["key"].to_numpy())
        return list(stored["id"].filter(pa.array(~has)).to_pylist())

    def _fitted(self, about: _About, chosen: np.ndarray) -> tuple[Projector, dict[str, Any]]:
        if about.method == "tsne":
            return fit_tsne(np.concatenate([b for _, b in self._blocks(chosen)])), {}
        model = fit_pca((block for _, block in self._blocks(chosen, "fit")), about.dim)
        return model, model.to_json()

    def _recorded(
        self, before: _About, stored: pa.Table, at: np.ndarray, is_same: np.ndarray
    ) -> Projector:
        """Return the model that a map was fitted with."""
        if before.method == "pca":
            return Pca.from_json(before.model)
        # Of t-SNE, the model is the points that were fitted and still have the vector they had.
        places = np.flatnonzero(is_same)
        places = places[stored["fit"].to_numpy(zero_copy_only=False)[at[places]]]
        if len(places) < LEAST:
            raise EmbeddingError(
                f"{count(len(places), 'point')} of those the map was fitted on "
                f"{'is' if len(places) == 1 else 'are'} left to place others by.",
                "ask without `on`, or fit again with replace=True (--replace).",
            )
        points = np.stack([stored[axis].to_numpy()[at[places]] for axis in "xy"], axis=1)
        return Tsne(np.concatenate([b for _, b in self._blocks(places)]), points)

    def _points(
        self, model: Projector, places: np.ndarray, fitted: np.ndarray | None = None
    ) -> np.ndarray:
        """Return float32 (m, 2): the points of some of the samples."""
        points = np.zeros((len(places), 2), np.float32)
        if isinstance(model, Tsne) and fitted is not None:
            points[fitted] = model.points
            places = np.setdiff1d(places, fitted, assume_unique=True)
            for where, block in self._blocks(places, "place"):
                points[places[where]] = model.place(block)
            return points
        for where, block in self._blocks(places, "place"):
            points[where] = model.place(block)
        return points

    def _blocks(self, places: np.ndarray, title: str = "") -> Iterator[tuple[slice, np.ndarray]]:
        """Yield vectors of some of the samples, float32 (m, d), and where they are in `places`."""
        name = self._table.removeprefix(MAPS)
        watch = self._progress if title else False
        with bar(len(places), f"map {name}: {title}", watch, keeps=False) as shown:
            for where, rows in _in_blocks(self._wanted.rows[places], self._matrix.dim):
                yield where, np.asarray(self._matrix.vectors[rows], np.float32)
                shown.advance(where.stop - where.start)

    def _rows(self, places: np.ndarray, points: np.ndarray, fit: np.ndarray) -> pa.Table:
        wanted = self._wanted
        columns = {
            "id": wanted.ids.take(pa.array(places)),
            "key": wanted.keys[places],
            "x": points[:, 0],
            "y": points[:, 1],
            "fingerprint": wanted.marks[places],
            "fit": pa.array(fit),
        }
        return pa.table(columns).cast(MAPS_SCHEMA)


def marks_of(vectors: np.ndarray) -> np.ndarray:
    """Return int64 (n,): a fingerprint of each vector, not negative; -1 where one is missing.

    Args:
        vectors: float16 (n, d), NaN where one is missing.

    >>> vectors = np.array([[1, 0], [0, 1], [1, 0], [np.nan, 0]], np.float16)
    >>> marks = marks_of(vectors)
    >>> marks[0] == marks[2], marks[0] == marks[1], int(marks[3])
    (np.True_, np.False_, -1)
    """
    n, dim = vectors.shape
    wide = np.zeros((n, -(-dim // 4) * 4), np.float16)
    wide[:, :dim] = vectors
    words = wide.view(np.uint64)
    with np.errstate(over="ignore"):
        factors = np.arange(1, words.shape[1] + 1, dtype=np.uint64) * np.uint64(_FACTOR)
        mixed = words ^ (words >> np.uint64(29))
        sums = (mixed * (factors | np.uint64(1))).sum(axis=1, dtype=np.uint64)
    marks: np.ndarray = (sums >> np.uint64(1)).astype(np.int64)
    marks[~np.isfinite(vectors).all(axis=1)] = -1
    return marks


def _method_of(name: str) -> Method:
    """Return the method that a name says, such as `tsne`."""
    return cast(Method, name) if name in get_args(Method) else "pca"


def _check(
    name: str,
    before: _About,
    method: str | None,
    source: str,
    fingerprint: Mapping[str, Any],
    dim: int,
) -> None:
    """Refuse to place points by a model that was fitted on something else."""
    again = "replace=True (--replace) fits it again, and moves every point."
    if method not in (None, before.method):
        hint = f"give the new one another name; {again}"
        raise EmbeddingError(f"The map '{name}' is by {before.method}, not by {method}.", hint)
    if source != before.embedding:
        hint = f"give the new one another name; {again}"
        message = f"The map '{name}' is of the embedding '{before.embedding}', not of '{source}'."
        raise EmbeddingError(message, hint)
    differences = differing(before.fingerprint, dict(fingerprint))
    if dim != before.dim:
        differences.append(f"dimensions ({before.dim} and {dim})")
    if differences:
        raise FingerprintError(
            f"The map '{name}' was fitted on vectors of {title_of(before.fingerprint)}, and those "
            f"of '{source}' are of {title_of(dict(fingerprint))} now: "
            f"{', '.join(differences)} differ.",
            again,
        )


def _wanted(
    store: Store, matrix: Matrix, keys: np.ndarray | None, progress: Watch, name: str
) -> _Wanted:
    asked = samples_of(store, keys)
    own = asked.rows["key"].to_numpy()
    rows = matrix.index.find(own)
    marks = np.full(len(own), -1, np.int64)
    has = np.flatnonzero(rows >= 0)
    with bar(len(has), f"map {name}: read", progress, keeps=False) as shown:
        for where, some in _in_blocks(rows[has], matrix.dim):
            marks[has[where]] = marks_of(np.asarray(matrix.vectors[some]))
            shown.advance(where.stop - where.start)
    places = np.flatnonzero(marks >= 0)
    return _Wanted(
        ids=asked.rows["id"].take(pa.array(places)),
        keys=own[places],
        marks=marks[places],
        rows=rows[places],
        without_vector=len(own) - len(places),
        quarantined=asked.quarantined,
    )


def _in_blocks(rows: np.ndarray, dim: int) -> Iterator[tuple[slice, slice | np.ndarray]]:
    """Yield (where, rows) of blocks; rows that follow one another are a slice, read at once."""
    size = max(_BLOCK // (4 * max(dim, 1)), 1)
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        runs = part[-1] - part[0] + 1 == len(part) and bool((np.diff(part) == 1).all())
        where = slice(start, start + len(part))
        yield where, slice(int(part[0]), int(part[-1]) + 1) if runs else part


def _told(
    fitted_on: int = 0,
    *,
    placed: int = 0,
    moved: int = 0,
    unchanged: int = 0,
    removed: int = 0,
    shares: tuple[float, ...] = (),
) -> dict[str, Any]:
    return {
        "fitted_on": fitted_on,
        "placed": placed,
        "moved": moved,
        "unchanged": unchanged,
        "removed": removed,
        "shares": shares,
    }


def _shares(model: Projector) -> tuple[float, ...]:
    return model.shares if isinstance(model, Pca) else ()


def _notes(name: str, source: str, told: Mapping[str, Any], wanted: _Wanted) -> Iterator[str]:
    """Yield what a user should know of a run."""
    if told["fitted_on"]:
        of = "" if told["fitted_on"] == told["placed"] else f", which placed {told['placed']:,}"
        shares = " and ".join(f"{share:.0%}" for share in told["shares"])
        axes = f"; x and y show {shares} of the variance" if shares else ""
        yield f"fitted on {count(told['fitted_on'], 'vector')}{of}{axes}."
    elif told["moved"] > told["unchanged"]:
        yield (
            f"most vectors of '{source}' changed since the map was fitted; replace=True "
            "(--replace) fits it again."
        )
    if n := wanted.without_vector:
        have = "sample has" if n == 1 else "samples have"
        yield f"{n:,} {have} no vector in '{source}', and so no point: map_x('{name}') IS NULL."
    if n := wanted.quarantined:
        yield f"{count(n, 'quarantined sample')} left out."
