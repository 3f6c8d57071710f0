"""Hold the embeddings of one database: matrices, scores and nearest samples, all exact."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slicedb.cache import Cache
from slicedb.errors import UnknownEmbeddingError, did_you_mean
from slicedb.keys import distinct
from slicedb.schema import EMBEDDINGS
from slicedb.vectors.contrast import Contrast
from slicedb.vectors.directions import Directions, TextEncoder
from slicedb.vectors.files import link_matrix, open_matrix
from slicedb.vectors.matrix import Interrupt, Matrix, no_limit
from slicedb.vectors.pictures import Pictures
from slicedb.vectors.terms import Target

if TYPE_CHECKING:
    from slicedb.embedding import Encoder
    from slicedb.embedding.light import LightEncoder
    from slicedb.store import Store

_EMBEDDINGS = 8
"""Embeddings kept open."""
_VERSIONS = 2
"""Versions of one embedding kept open."""


@dataclass(frozen=True, eq=False)
class Nearest:
    """The samples nearest to some targets, nearest first."""

    keys: np.ndarray
    """int64 (t, k); -1 where fewer than k samples have a vector."""
    scores: np.ndarray
    """float32 (t, k): cosines; NaN where the key is -1."""


class Vectors:
    """The embeddings of one database, opened once.

    Embeddings are named as users name them ("default"), without the table's prefix. A version
    is one of the embedding's table; None is the latest.

    Args:
        encoder: gives the encoder that an embedding was made with, by the embedding's name; None
            opens the one on record.
    """

    def __init__(self, store: Store, encoder: Callable[[str], TextEncoder] | None = None) -> None:
        self.store = store
        self.pictures = Pictures()
        self.directions = Directions(encoder or self._recorded_encoder, self.pictures)
        self.contrast = Contrast(store, self.directions)
        self._open = Cache[str, Cache[int, Matrix]](_EMBEDDINGS)
        self._light: Cache[str, LightEncoder | None] = Cache(_EMBEDDINGS)
        self._lock = threading.Lock()

    def table(self, name: str) -> str:
        """Return the name of the table that an embedding is stored in.

        Raises:
            UnknownEmbeddingError: there is none of that name.
        """
        table = EMBEDDINGS + name
        if not self.store.has(table):
            known = [n.removeprefix(EMBEDDINGS) for n in self.store.names() if EMBEDDINGS in n]
            hint = did_you_mean(name, known, "embeddings") if known else "`slicedb embed` first."
            raise UnknownEmbeddingError(f"No embedding '{name}'.", hint)
        return table

    def matrix(self, name: str = "default", version: int | None = None) -> Matrix:
        """Return the unit vectors of an embedding; their file is built when it is missing.

        Raises:
            UnknownEmbeddingError: there is no embedding of that name.
        """
        if version is None:
            version = self.store.version(self.table(name))
        at = version
        # Under the lock, so that two threads do not build the same file.
        with self._lock:
            return self._versions(name).get(at, lambda: open_matrix(self.store, name, at))

    def scores(
        self,
        name: str,
        targets: np.ndarray,
        keys: np.ndarray | None = None,
        *,
        version: int | None = None,
        check: Interrupt = no_limit,
    ) -> list[np.ndarray]:
        """Return the cosine of samples with each target, in one pass over the vectors.

        Args:
            targets: float32 (t, d) or (d,), unit length.
            keys: int64 (n,): the samples; None takes all, in the order of `matrix(name).keys`.
            check: called between chunks; raises to stop.

        Returns:
            float32 (n,) per target, not to be written to; NaN where a vector is missing.
        """
        matrix, targets = self.matrix(name, version), np.atleast_2d(targets)
        if keys is None:
            return matrix.scores(targets, check=check)
        rows = matrix.index.find(keys)
        scores = matrix.scores(targets, rows[rows >= 0], check)
        return [spread(column, rows >= 0) for column in scores]

    def top(
        self,
        name: str,
        targets: np.ndarray,
        k: int,
        keys: np.ndarray | None = None,
        *,
        version: int | None = None,
        check: Interrupt = no_limit,
    ) -> Nearest:
        """Return the k samples nearest to each target, exactly.

        Args:
            targets: float32 (t, d) or (d,), unit length.
            keys: int64 (n,): the samples to choose from; None chooses from all.
            check: called between chunks; raises to stop.
        """
        matrix = self.matrix(name, version)
        rows = None if keys is None else distinct(matrix.index.rows(keys))
        nearest, scores = matrix.top(np.atleast_2d(targets), k, rows, check)
        padded = np.append(matrix.keys, -1)  # row -1 is none
        return Nearest(padded[nearest], scores)

    def direction(
        self, name: str, targets: str | Sequence[Target], version: int | None = None
    ) -> np.ndarray:
        """Return float32 (d,), unit length, of a text, or of the weighted sum of targets.

        Raises:
            QueryError: the targets cancel out, or cannot be encoded.
        """
        given = [Target("text", targets)] if isinstance(targets, str) else targets
        return self.directions.sum(given, self.matrix(name, version))

    def adopt(self, name: str, before: int, after: int) -> None:
        """Take the matrix of one version for the next, which holds the same vectors.

        Args:
            before: a version.
            after: the version after it; any other is left alone, since it may hold others' writes.
        """
        if after != before + 1:
            return
        with self._lock:
            versions = self._versions(name)
            if (matrix := versions.find(before)) is not None:
                versions.put(after, matrix)
        link_matrix(self.store, name, before, after)

    def _versions(self, name: str) -> Cache[int, Matrix]:
        return self._open.get(name, lambda: Cache(_VERSIONS))

    def _recorded_encoder(self, name: str) -> TextEncoder:
        from slicedb.embedding.light import light_encoder

        def opened() -> Encoder:
            from slicedb.embedding import encoder_of

            return encoder_of(self.store, name)

        # By its fingerprint, since an embedding can be made anew with another encoder.
        mark = self.store.metadata(self.table(name)).get("slicedb:fingerprint", "")
        light = self._light.get(mark, lambda: light_encoder(self.store, name, opened))
        return opened() if light is None else light


def spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return float32 (n,): values at the places that are true, in their order, NaN elsewhere."""
    if len(values) == len(where):
        return values
    column = np.full(len(where), np.nan, dtype=np.float32)
    column[where] = values
    return column
