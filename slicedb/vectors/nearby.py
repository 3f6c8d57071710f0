"""The approximate index: candidates for `ORDER BY similarity(...) DESC LIMIT k`, when asked for.

An index never decides who is a member. It names candidates for the first k of an order, whose
scores are then computed as without it; terms in WHERE, slices and tests do not know of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slicedb.errors import EmbeddingError, SliceDBError, UnknownEmbeddingError, did_you_mean
from slicedb.query.bind.catalog import Catalog
from slicedb.schema import EMBEDDINGS
from slicedb.store import vectorindex as lance_index
from slicedb.vectors.background import DEFAULT
from slicedb.vectors.scored import best

if TYPE_CHECKING:
    from slicedb.embedding import Encoder
    from slicedb.store import Store
    from slicedb.vectors.matrix import Matrix, Vectors

LEAST = 1_000
"""Vectors below which there is nothing to index."""
_K = 100
"""Neighbours compared when recall is measured."""
_ASKED = 64
"""Stored vectors that recall is measured with."""
_MORE = 2
"""Candidates for each row wanted, since the order inside the index is that of rounded vectors."""


@dataclass(frozen=True)
class IndexReport:
    """An approximate index, measured against a scan of all vectors."""

    embedding: str
    rows: int
    partitions: int
    probes: int
    """Partitions looked into for one query."""
    k: int
    """Nearest neighbours compared."""
    wanted: float
    """The recall asked for; `probes` is the smallest power of two that reaches it."""
    recall: float
    """Share of the k nearest that are found, over stored vectors as targets."""
    worst: float
    """The same for the target it does worst on."""
    recall_texts: float | None
    """The same over texts as targets, which lie away from pictures; None without an encoder."""
    index_ms: float
    """Milliseconds a query, the scores of its candidates not counted."""
    scan_ms: float
    """Milliseconds the scan takes."""

    @property
    def is_poor(self) -> bool:
        """Whether it finds clearly less than was asked for (three standard errors)."""
        spread = (self.wanted * (1 - self.wanted) / (_ASKED * self.k)) ** 0.5
        looks_at_all = self.probes >= self.partitions
        return not looks_at_all and self.recall < self.wanted - 3 * spread - 0.01

    def __str__(self) -> str:
        texts = "" if self.recall_texts is None else f", {self.recall_texts:.3f} for texts"
        return (
            f"{self.embedding}: {self.rows:,} vectors in {self.partitions:,} partitions, "
            f"{self.probes:,} looked into; recall@{self.k} {self.recall:.3f} for samples "
            f"(worst {self.worst:.2f}){texts}; {self.index_ms:.1f} ms against "
            f"{self.scan_ms:.1f} ms for the exact scan"
        )


class Nearby:
    """The approximate indexes of one database.

    Args:
        store: the database.
        vectors: the matrices that recall is measured against.
        encoder: gives the encoder an embedding was made with.
    """

    def __init__(self, store: Store, vectors: Vectors, encoder: Callable[[str], Encoder]) -> None:
        self._store = store
        self._vectors = vectors
        self._encoder = encoder

    def candidates(self, table: str, version: int, target: np.ndarray, k: int) -> np.ndarray | None:
        """Return the keys of likely nearest rows, more than k; None where there is no index."""
        about = lance_index.about_index(self._store, table, version)
        if about is None:
            return None
        more = _MORE * k + 32
        return lance_index.nearest_keys(
            self._store, table, target, more, int(about["probes"]), version
        )

    def about(self, table: str, version: int | None = None) -> IndexReport | None:
        """Return what was measured when the index of a table was built; None without one."""
        said = lance_index.about_index(self._store, table, version)
        return None if said is None else IndexReport(**said)

    def build(self, embedding: str = "default", recall: float = 0.95) -> IndexReport:
        """Build the index of an embedding, choose how far it looks, measure and store its recall.

        Args:
            embedding: its name.
            recall: the share of the 100 nearest that queries should find, in (0, 1].

        Raises:
            UnknownEmbeddingError: no embedding of that name.
            EmbeddingError: it has fewer than 1,000 vectors.
        """
        table = self._table(embedding)
        before = self._store.version(table)
        rows = self._store.count(table)
        if rows < LEAST:
            raise EmbeddingError(
                f"The embedding '{embedding}' has {rows:,} vectors, an index needs {LEAST:,}.",
                "the exact scan takes no time at that size.",
            )
        if not 0 < recall <= 1:
            raise EmbeddingError(f"The recall {recall:g} is not in (0, 1].", "0.95 is usual.")
        partitions = lance_index.partitions_for(rows)
        lance_index.build_index(self._store, table, partitions)
        return self._settle(table, before, partitions, recall)

    def extend(self, embedding: str = "default", *, replaced: bool = False) -> IndexReport | None:
        """Bring the index of an embedding up to date, if it has one; returns it measured anew.

        Args:
            embedding: its name.
            replaced: whether the vectors are another encoder's, which needs new partitions.
        """
        table = self._table(embedding)
        about = self.about(table)
        if about is None:
            return None
        new = lance_index.unindexed_rows(self._store, table)
        if replaced or new > 0.2 * about.rows:
            return self.build(embedding, about.wanted)
        if not new:
            return about
        before = self._store.version(table)
        lance_index.extend_index(self._store, table)
        return self._settle(table, before, about.partitions, about.wanted)

    def check(self, embedding: str = "default") -> IndexReport | None:
        """Measure the index of an embedding against a scan as it is now; None without one."""
        table = self._table(embedding)
        about = self.about(table)
        if about is None:
            return None
        matrix = self._matrix(table)
        measured = self._measure(table, matrix, self._targets(embedding, matrix), about.probes)
        return IndexReport(**asdict(about) | {"rows": len(matrix.keys)} | measured)

    def _table(self, embedding: str) -> str:
        table = EMBEDDINGS + embedding
        if not self._store.has(table):
            made = [n.removeprefix(EMBEDDINGS) for n in self._store.names() if EMBEDDINGS in n]
            hint = did_you_mean(embedding, made, "embeddings") if made else "`slicedb embed` first."
            raise UnknownEmbeddingError(f"No embedding '{embedding}'.", hint)
        return table

    def _matrix(self, table: str) -> Matrix:
        return self._vectors.matrix(Catalog(self._store).table(table))

    def _settle(self, table: str, before: int, partitions: int, wanted: float) -> IndexReport:
        """Choose the number of probes, store what was measured, and keep the matrix."""
        embedding = table.removeprefix(EMBEDDINGS)
        self._vectors.adopt(table, before, self._store.version(table))
        matrix = self._matrix(table)
        targets = self._targets(embedding, matrix)
        probes, measured = 8, {}
        while True:
            probes = min(probes, partitions)
            measured = self._measure(table, matrix, targets, probes)
            found = min(measured["recall"], measured["recall_texts"] or 1.0)
            if found >= wanted or probes == partitions:
                break
            probes *= 2
        report = IndexReport(
            embedding, len(matrix.keys), partitions, probes, wanted=wanted, **measured
        )
        version = self._store.version(table)
        said = json.dumps(asdict(report))
        self._store.set_metadata(table, {lance_index.INDEX: said})
        self._vectors.adopt(table, version, self._store.version(table))
        return report

    def _targets(self, embedding: str, matrix: Matrix) -> list[np.ndarray]:
        """Return the targets recall is measured with: stored vectors, and texts."""
        whole = np.flatnonzero(~np.isnan(matrix.vectors[:, 0]))
        picked = np.random.default_rng(0).choice(whole, min(_ASKED, len(whole)), replace=False)
        stored = matrix.vectors[np.sort(picked)].astype(np.float32)
        try:
            encoder = self._encoder(embedding)
            texts = [encoder.encode_prompt(phrase) for phrase in DEFAULT]
        except (SliceDBError, OSError):  # weights that are not at hand
            texts = []
        return [stored, np.asarray(texts, dtype=np.float32).reshape(-1, matrix.dim)]

    def _measure(
        self, table: str, matrix: Matrix, targets: list[np.ndarray], probes: int
    ) -> dict[str, Any]:
        k = min(_K, len(matrix.keys) // 10)
        found: list[np.ndarray] = []
        seconds = [0.0, 0.0]
        for group in targets:
            shares = np.empty(len(group))
            for number, target in enumerate(group):
                started = time.perf_counter()
                scores = matrix.scores(target[None], keep=False)[0]
                exact = best(scores, k)
                between = time.perf_counter()
                keys = lance_index.nearest_keys(self._store, table, target, _MORE * k + 32, probes)
                seconds[0] += between - started
                seconds[1] += time.perf_counter() - between
                # a row as near as the k-th is as right as the k-th
                kept = scores[matrix.places(keys)]
                shares[number] = min(int((kept >= scores[exact[-1]]).sum()), k) / k
            found.append(shares)
        asked = sum(map(len, targets))
        return {
            "k": k,
            "recall": float(found[0].mean()),
            "worst": float(min(shares.min() for shares in found if len(shares))),
            "recall_texts": float(found[1].mean()) if len(found[1]) else None,
            "scan_ms": 1000 * seconds[0] / asked,
            "index_ms": 1000 * seconds[1] / asked,
        }
