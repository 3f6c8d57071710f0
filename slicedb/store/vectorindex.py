"""Build and ask an approximate index over vectors: IVF with scalar quantisation.

Only ids come out of it. The distances of a quantised index are not those of the vectors, and a
range of them has returned nothing where forty rows were right: the caller computes the scores.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from lance.indices import IndexDescription

    from slicedb.store.tables import Store

INDEX = "slicedb:index"
"""Where the metadata of a table describes its index, as JSON."""
_COLUMN = "vector"
_NAME = "vector_idx"
_TOGETHER = 256
"""Fewest vectors a partition is worth."""


def partitions_for(rows: int) -> int:
    """Return how many partitions suit a number of vectors: its root, where they fill up.

    >>> partitions_for(1_000_000), partitions_for(5_000), partitions_for(10)
    (1000, 19, 1)
    """
    return max(1, min(math.isqrt(rows), rows // _TOGETHER))


def build_index(store: Store, name: str, partitions: int) -> None:
    """Build the index of a table with LanceDB, replacing the old one; adds a version."""
    from lancedb.index import IvfSq

    config = IvfSq(distance_type="cosine", num_partitions=partitions)

    def write() -> None:
        table = store.lancedb.open_table(name)
        table.create_index(_COLUMN, config=config, name=_NAME, replace=True)

    store.attempt(name, write)


def extend_index(store: Store, name: str) -> None:
    """Add the rows written since the index was built; adds a version."""
    # LanceDB's `optimize` would also remove the versions that are older than a week.
    store.attempt(name, lambda: store.dataset(name).optimize.optimize_indices())


def about_index(store: Store, name: str, version: int | None = None) -> dict[str, Any] | None:
    """Return what was stored about the index of a table, None where it has none."""
    about = json.loads(store.metadata(name, version).get(INDEX, "null"))
    return dict(about) if about is not None and _index(store, name, version) else None


def unindexed_rows(store: Store, name: str) -> int:
    """Return the number of rows that the index does not cover yet."""
    index = _index(store, name)
    inside = {f for segment in index.segments for f in segment.fragment_ids} if index else set()
    fragments = store.dataset(name).get_fragments()
    return sum(f.count_rows() for f in fragments if f.fragment_id not in inside)


def _index(store: Store, name: str, version: int | None = None) -> IndexDescription | None:
    """Return Lance's description of the index, None where there is none."""
    indexes = store.dataset(name, version).describe_indices()
    return next((index for index in indexes if index.name == _NAME), None)


def nearest_keys(
    store: Store, name: str, vector: np.ndarray, k: int, probes: int, version: int | None = None
) -> np.ndarray:
    """Return the keys of about the k nearest rows by cosine; rows not indexed yet are scanned.

    Args:
        store: the database.
        name: the table.
        vector: float32 (d,).
        k: how many.
        probes: partitions to look into; more find more.
        version: a version of the table; None is the latest.

    Returns:
        int64 (at most k,).
    """
    # By pylance: 1.1 ms a search of 50,000 vectors where LanceDB takes 4.1, and the import of
    # LanceDB adds 0.95 processor seconds to the first query of a process.
    nearest = {"column": _COLUMN, "q": vector, "k": k, "metric": "cosine", "nprobes": probes}
    scanner = store.dataset(name, version).scanner(columns=["key", "_distance"], nearest=nearest)
    keys: np.ndarray = scanner.to_table()["key"].to_numpy()
    return keys
