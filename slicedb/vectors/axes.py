"""Project vectors onto two dimensions: PCA, and t-SNE where openTSNE is installed.

A projection is fitted once, and then places any vector without moving the others.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np

from slicedb.errors import EmbeddingError

Method: TypeAlias = Literal["pca", "tsne"]

LEAST = 3
"""Vectors that a projection is fitted on, at the least."""
_PERPLEXITY = 30
"""Neighbours that t-SNE keeps together (van der Maaten and Hinton, 2008)."""
_PLACED_BY = 5
"""Neighbours that place a new point on a t-SNE map (Policar et al., "Embedding to reference t-SNE
space addresses batch effects in single-cell classification", 2021)."""
_ALONE = 1000
"""Vectors up to which one thread is as fast as several, which wait for one another."""
_NO_TSNE = "`pip install slicedb[maps]` brings openTSNE, or method='pca' (--method pca) needs none."


class Projector(Protocol):
    """A fitted projection."""

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """Return float32 (m, 2): the points of vectors, float32 (m, d)."""
        ...


@dataclass(frozen=True, eq=False)
class Pca:
    """The two directions along which vectors differ most (Pearson, 1901)."""

    mean: np.ndarray
    """float32 (d,)."""
    directions: np.ndarray
    """float32 (2, d), unit length; the number of each that is farthest from 0 is positive."""
    shares: tuple[float, float] = (0.0, 0.0)
    """Shares of the variance along them, in [0, 1]."""

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """Return float32 (m, 2): the points of vectors, float32 (m, d)."""
        placed: np.ndarray = (vectors - self.mean) @ self.directions.T  # (m, d) @ (d, 2)
        return placed.astype(np.float32, copy=False)

    def to_json(self) -> dict[str, object]:
        """Return it as JSON has it; numbers are bytes in base 64."""
        parts = {"mean": self.mean, "directions": self.directions}
        coded = {n: base64.b64encode(v.astype("<f4").tobytes()).decode() for n, v in parts.items()}
        return {**coded, "shares": list(self.shares)}

    @classmethod
    def from_json(cls, facts: Mapping[str, object]) -> Pca:
        """Read what `to_json` gave."""
        mean, directions = (
            np.frombuffer(base64.b64decode(str(facts[name])), "<f4").astype(np.float32)
            for name in ("mean", "directions")
        )
        return cls(mean, directions.reshape(2, -1))


def fit_pca(blocks: Iterable[np.ndarray], dim: int) -> Pca:
    """Fit PCA in one pass over blocks of vectors, float32 (m, d).

    Memory is a block and a (d, d) matrix. Products are of float32, sums of float64; vectors are
    taken from the first block's mean, so that a common direction costs no digits.
    """
    from scipy.linalg import eigh

    n, total = 0, np.zeros(dim)
    products = np.zeros((dim, dim))
    origin: np.ndarray | None = None
    for block in blocks:
        if origin is None:
            origin = block.mean(axis=0, dtype=np.float64).astype(np.float32)
        apart = block - origin
        n += len(apart)
        total += apart.sum(axis=0, dtype=np.float64)
        products += apart.T @ apart  # (d, m) @ (m, d)
    assert origin is not None
    shift = total / n
    covariance = products / n - np.outer(shift, shift)
    _, found = eigh(covariance, subset_by_index=[max(dim - 2, 0), dim - 1])
    directions = np.zeros((2, dim))
    directions[: found.shape[1]] = found.T[::-1]
    largest = np.abs(directions).argmax(axis=1)
    directions *= np.where(directions[[0, 1], largest] < 0, -1, 1)[:, None]
    along = np.einsum("kd,de,ke->k", directions, covariance, directions)
    whole = float(np.trace(covariance))
    first, second = (float(np.clip(v / whole, 0, 1)) if whole > 0 else 0.0 for v in along)
    mean = (origin + shift).astype(np.float32)
    return Pca(mean, directions.astype(np.float32), (first, second))


@dataclass(frozen=True, eq=False)
class Tsne:
    """t-SNE: points that were fitted, which place new ones among their neighbours and stay."""

    vectors: np.ndarray
    """float32 (m, d): those it was fitted on."""
    points: np.ndarray
    """float32 (m, 2)."""

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """Return float32 (m, 2): the points of vectors, float32 (m, d)."""
        tsne = opened()
        if not len(vectors):
            return np.zeros((0, 2), np.float32)
        reference = tsne.TSNEEmbedding(
            self.points.astype(np.float64),
            tsne.affinity.PerplexityBasedNN(
                self.vectors,
                perplexity=perplexity_of(len(self.vectors)),
                metric="euclidean",
                n_jobs=_jobs(len(self.vectors)),
                random_state=0,
            ),
            random_state=0,
            negative_gradient_method="bh",
            n_jobs=_jobs(len(self.vectors)),
        )
        few = min(_PLACED_BY, perplexity_of(len(self.vectors)))
        near = min(25, len(self.vectors) - 1)
        placed = reference.transform(vectors, perplexity=few, k=near)
        return np.asarray(placed, np.float32)


def fit_tsne(vectors: np.ndarray) -> Tsne:
    """Fit t-SNE with openTSNE (Policar, Strazar and Zupan, 2019), starting from PCA.

    Args:
        vectors: float32 (m, d); time grows with m, two minutes for 10,000 on two cores.
    """
    tsne = opened()
    fitted = tsne.TSNE(
        perplexity=perplexity_of(len(vectors)),
        metric="euclidean",
        initialization="pca",
        n_jobs=_jobs(len(vectors)),
        random_state=0,
    ).fit(vectors)
    return Tsne(vectors, np.asarray(fitted, np.float32))


def _jobs(n: int) -> int:
    return 1 if n <= _ALONE else os.cpu_count() or 1


def perplexity_of(n: int) -> float:
    """Return the perplexity for n vectors: at most a third of them.

    >>> perplexity_of(10_000), perplexity_of(31)
    (30, 10.0)
    """
    return min(_PERPLEXITY, max((n - 1) / 3, 1))


def opened():  # type: ignore[no-untyped-def]
    """Return openTSNE; this module is the only door to it.

    Raises:
        EmbeddingError: it is not installed.
    """
    try:
        import openTSNE
        import openTSNE.affinity
    except ImportError:
        raise EmbeddingError("t-SNE needs openTSNE, which is not installed.", _NO_TSNE) from None
    return openTSNE
