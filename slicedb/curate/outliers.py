"""How far each sample is from a reference set: the distance to its nearest neighbours there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import progress, sql
from slicedb.errors import CheckError
from slicedb.keys import KeyIndex, Keys, mix
from slicedb.schema import SAMPLES
from slicedb.show import numbers
from slicedb.show.tabular import Grid, Tabular
from slicedb.store import Store
from slicedb.vectors import Matrix, Vectors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slicedb.show.tabular import Part

_LEAST = 30
_MOST = 50_000
"""Samples of a reference set that are looked at."""
_BLOCK = 2048
_LEVELS = (0.95, 0.99, 0.999)


@dataclass(frozen=True)
class Outliers(Tabular):
    """How far samples are from a reference set, written to a column."""

    column: str
    n: int
    """Samples with a score."""
    reference: int
    """Samples of the reference set that were looked at."""
    without: int
    """Samples without a vector; they have no score."""
    rows: tuple[tuple[float, float, int, str], ...]
    """Share of the reference set below a score, the score, samples outside of the reference set
    above it, and their query."""

    def to_arrow(self) -> pa.Table:
        """Return one row per level."""
        names = ("level", "score", "n", "query")
        return pa.Table.from_pylist([dict(zip(names, row)) for row in self.rows])

    def parts(self) -> Iterable[Part]:
        """Yield what was written, and how many samples lie beyond the reference set."""
        yield (
            f"'{self.column}': the mean cosine distance of {numbers.count(self.n, 'sample')} to "
            f"their nearest among {self.reference:,} of the reference set."
        )
        cells = [(f"{level:.1%}", f"{score:.4f}", n, query) for level, score, n, query in self.rows]
        yield Grid(["of the reference below", "score", "samples above", "query"], cells)
        if self.without:
            yield f"{numbers.count(self.without, 'sample')} without a vector: `slicedb embed`."


def outliers(
    store: Store,
    vectors: Vectors,
    embedding: str,
    keys: Keys,
    reference: Keys,
    column: str,
    k: int,
    seed: int,
    show: progress.Watch,
) -> Outliers:
    """Score samples by their distance to a reference set; see `Database.outliers`."""
    from slicedb.ingest.attach import attach

    matrix = vectors.matrix(embedding)
    at = matrix.index.rows(reference)
    at = at[~np.isnan(np.asarray(matrix.vectors[at, 0], np.float32))]
    if len(at) > _MOST:
        at = at[np.argsort(mix(matrix.keys[at] ^ np.int64(seed)), kind="stable")[:_MOST]]
    at = np.sort(at)
    if len(at) < max(_LEAST, k + 1):
        raise CheckError(
            f"The reference set has {numbers.count(len(at), 'sample')} with a vector.",
            f"{max(_LEAST, k + 1)} are the least.",
        )
    with progress.bar(len(keys), "outliers", show, keeps=False) as bar:
        score = _distances(matrix, keys, at, k, bar)
    known = ~np.isnan(score)
    rows = store.take(SAMPLES, keys[known], ["id"])
    table = pa.table({"id": rows["id"], column: pa.array(score[known], pa.float64())})
    if known.any():
        attach(store, table, partial=True)
    inside = KeyIndex(matrix.keys[at]).has(keys)
    own = score[inside & known] if (inside & known).sum() >= _LEAST else _own(matrix, at, k, bar)
    outside = score[known & ~inside]
    levels = []
    for level in _LEVELS:
        cut = float(np.quantile(own, level))
        levels.append((level, cut, int((outside > cut).sum()), f"{sql.name(column)} > {cut:.6f}"))
    return Outliers(column, int(known.sum()), len(at), int((~known).sum()), tuple(levels))


def _own(
    matrix: Matrix, at: npt.NDArray[np.int64], k: int, bar: progress.Bar
) -> npt.NDArray[np.float64]:
    """Return the scores of the reference set itself, where it is not among the samples."""
    some = at[np.random.default_rng(0).permutation(len(at))[:_BLOCK]]
    return _distances(matrix, matrix.keys[np.sort(some)], at, k, bar)


def _distances(
    matrix: Matrix,
    keys: Keys,
    at: npt.NDArray[np.int64],
    k: int,
    bar: progress.Bar,
) -> npt.NDArray[np.float64]:
    """Return float64 (n,): the mean distance to the k nearest, a sample itself left out."""
    reference = np.asarray(matrix.vectors[at], np.float32)
    place = KeyIndex(matrix.keys[at])
    score = np.full(len(keys), np.nan)
    for start in range(0, len(keys), _BLOCK):
        part = keys[start : start + _BLOCK]
        own = matrix.of(part)
        cosine = own @ reference.T  # (b, d) @ (d, r) -> (b, r)
        itself = place.find(part)
        known = np.flatnonzero(itself >= 0)
        cosine[known, itself[known]] = -np.inf
        nearest = np.partition(cosine, cosine.shape[1] - k, axis=1)[:, -k:]
        score[start : start + _BLOCK] = 1 - nearest.mean(axis=1)
        bar.advance(len(part))
    return score
