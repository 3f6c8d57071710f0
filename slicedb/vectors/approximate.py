"""Ask the approximate index for candidates of `ORDER BY similarity(...) DESC LIMIT k`.

An index never decides who is a member. It names candidates for the first k of an order, whose
scores are then computed as without it; terms in WHERE, slices and tests do not know of it.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace

import numpy as np

from slicedb.errors import EmbeddingError, SliceDBError
from slicedb.show import numbers
from slicedb.show.tabular import Record
from slicedb.store import vectorindex as lance_index
from slicedb.vectors.background import DEFAULT
from slicedb.vectors.best import best
from slicedb.vectors.matrix import Matrix
from slicedb.vectors.vectors import Vectors

LEAST = 1_000
"""Vectors below which there is nothing to index."""
_K = 100
"""Neighbours compared when recall is measured."""
_ASKED = 64
"""Stored vectors that recall is measured with."""
_MORE = 2
"""Candidates for each row wanted, since the order inside the index is that of rounded vectors."""


@dataclass(frozen=True)
class IndexReport(Record):
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
    recall: float = 0.0
    """Fraction of the k nearest that are found, over stored vectors as targets."""
    worst: float = 0.0
    """The same for the target it does worst on."""
    recall_texts: float | None = None
    """The same over texts as targets, which lie away from pictures; None without an encoder."""
    index_ms: float = 0.0
    """Milliseconds per query, without computing the scores of its candidates."""
    scan_ms: float = 0.0
    """Milliseconds per query of the exact scan."""

    @property
    def is_poor(self) -> bool:
        """Whether it finds clearly less than was asked for (three standard errors)."""
        spread = (self.wanted * (1 - self.wanted) / (_ASKED * self.k)) ** 0.5
        looks_at_all = self.probes >= self.partitions
        return not looks_at_all and self.recall < self.wanted - 3 * spread - 0.01

    def __str__(self) -> str:
        texts = "" if self.recall_texts is None else f", {self.recall_texts:.3f} for texts"
        return (
            f"{self.embedding}: {numbers.count(self.rows, 'vector')} in "
            f"{numbers.count(self.partitions, 'partition')}, "
            f"{self.probes:,} looked into; recall@{self.k} {self.recall:.3f} for samples "
            f"(worst {self.worst:.2f}){texts}; {self.index_ms:.1f} ms against "
            f"{self.scan_ms:.1f} ms for the exact scan"
        )


class Approximate:
    """The approximate indexes of one database.

    Args:
        vectors: the embeddings, which recall is measured against.
    """

    def __init__(self, vectors: Vectors) -> None:
        self._store = vectors.store
        self._vectors = vectors

    def candidates(self, name: str, version: int, target: np.ndarray, k: int) -> np.ndarray | None:
        """Return the keys of likely nearest rows, more than k; None where there is no index.

        Args:
            target: float32 (d,), unit length.
            k: how many are wanted.
        """
        table = self._vectors.table(name)
        about = lance_index.about_index(self._store, table, version)
        if about is None:
            return None
        probes = int(about["probes"])
        return lance_index.nearest_keys(self._store, table, target, _MORE * k + 32, probes, version)

    def about(self, name: str = "default", version: int | None = None) -> IndexReport | None:
        """Return what was measured when an index was built; None where there is none."""
        about = lance_index.about_index(self._store, self._vectors.table(name), version)
        return None if about is None else IndexReport(**about)

    def build(self, name: str = "default", recall: float = 0.95) -> IndexReport:
        """Build the index of an embedding, choose how far it looks, measure and store its recall.

        Args:
            recall: the fraction of the 100 nearest that queries should find, in (0, 1].

        Raises:
            UnknownEmbeddingError: no embedding of that name.
            EmbeddingError: it has fewer than 1,000 vectors.
        """
        table = self._vectors.table(name)
        before = self._store.version(table)
        rows = self._store.count(table)
        if rows < LEAST:
            raise EmbeddingError(
                f"The embedding '{name}' has {numbers.count(rows, 'vector')}, an index needs "
                f"{LEAST:,}.",
                "the exact scan takes no time at that size.",
            )
        if not 0 < recall <= 1:
            raise EmbeddingError(f"The recall {recall:g} is not in (0, 1].", "0.95 is usual.")
        partitions = lance_index.partitions_for(rows)
        lance_index.build_index(self._store, table, partitions)
        return self._settle(name, before, partitions, recall)

    def extend(self, name: str = "default", *, replaced: bool = False) -> IndexReport | None:
        """Bring the index of an embedding up to date, if it has one; returns it measured anew.

        Args:
            replaced: whether the vectors are another encoder's, which needs new partitions.
        """
        table = self._vectors.table(name)
        about = self.about(name)
        if about is None:
            return None
        new = lance_index.unindexed_rows(self._store, table)
        if replaced or new > 0.2 * about.rows:
            return self.build(name, about.wanted)
        if not new:
            return about
        before = self._store.version(table)
        lance_index.extend_index(self._store, table)
        return self._settle(name, before, about.partitions, about.wanted)

    def check(self, name: str = "default") -> IndexReport | None:
        """Measure the index of an embedding against a scan as it is now; None without one."""
        about = self.about(name)
        if about is None:
            return None
        matrix = self._vectors.matrix(name)
        return self._measured(replace(about, rows=len(matrix)), matrix, self._targets(matrix))

    def _settle(self, name: str, before: int, partitions: int, wanted: float) -> IndexReport:
        """Choose the number of probes, store what was measured, and keep the matrix."""
        table = self._vectors.table(name)
        # Building an index makes a version with the same vectors.
        self._vectors.adopt(name, before, self._store.version(table))
        matrix = self._vectors.matrix(name)
        targets = self._targets(matrix)
        k = min(_K, len(matrix) // 10)
        report = IndexReport(name, len(matrix), partitions, min(8, partitions), k, wanted)
        while True:
            report = self._measured(report, matrix, targets)
            reached = min(report.recall, report.recall_texts or 1.0)
            if reached >= wanted or report.probes == partitions:
                break
            report = replace(report, probes=min(2 * report.probes, partitions))
        version = self._store.version(table)
        self._store.set_metadata(table, {lance_index.INDEX: json.dumps(asdict(report))})
        self._vectors.adopt(name, version, self._store.version(table))
        return report

    def _targets(self, matrix: Matrix) -> list[np.ndarray]:
        """Return the targets that recall is measured with: stored vectors, and texts."""
        whole = np.flatnonzero(~np.isnan(matrix.vectors[:, 0]))
        picked = np.random.default_rng(0).choice(whole, min(_ASKED, len(whole)), replace=False)
        stored = matrix.vectors[np.sort(picked)].astype(np.float32)
        try:
            encoder = self._vectors.directions.encoder(matrix.name)
            texts = [encoder.encode_prompt(phrase) for phrase in DEFAULT]
        except (SliceDBError, OSError):  # weights that are not at hand
            texts = []
        return [stored, np.asarray(texts, dtype=np.float32).reshape(-1, matrix.dim)]

    def _measured(
        self, report: IndexReport, matrix: Matrix, targets: list[np.ndarray]
    ) -> IndexReport:
        """Return the report with recall and times filled in, at its number of probes."""
        table, k = self._vectors.table(matrix.name), min(_K, len(matrix) // 10)
        shares = [np.empty(len(group)) for group in targets]
        scanning = asking = 0.0
        for group, share in zip(targets, shares):
            for number, target in enumerate(group):
                started = time.perf_counter()
                scores = matrix.scores(target[None], keep=False)[0]
                exact = best(scores, k)
                between = time.perf_counter()
                keys = lance_index.nearest_keys(
                    self._store, table, target, _MORE * k + 32, report.probes
                )
                scanning += between - started
                asking += time.perf_counter() - between
                # A row as near as the k-th is as right as the k-th.
                as_near = scores[matrix.index.find(keys)] >= scores[exact[-1]]
                share[number] = min(int(as_near.sum()), k) / k
        stored, texts = shares
        asked = len(stored) + len(texts)
        return replace(
            report,
            k=k,
            recall=float(stored.mean()),
            worst=float(np.concatenate(shares).min()),
            recall_texts=float(texts.mean()) if len(texts) else None,
            scan_ms=1000 * scanning / asked,
            index_ms=1000 * asking / asked,
        )
