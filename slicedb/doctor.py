"""The health of a database: what is fragmented, orphaned, doubled or lost, and its mending."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slicedb.schema import IMAGES, OK, PER_SAMPLE, SAMPLES

if TYPE_CHECKING:
    from slicedb.store import Store

_MANY_FRAGMENTS = 20


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    table: str
    problem: str
    """fragments, orphans, duplicates or lost."""
    n: int
    advice: str
    mended: bool = False

    def __str__(self) -> str:
        state = "mended" if self.mended else self.advice
        return f"{self.table}: {self.n:,} {self.problem} ({state})"


def examine(store: Store, *, mend: bool = False) -> list[Finding]:
    """Look for trouble in every table.

    Args:
        store: the database.
        mend: compact what is fragmented and delete rows that belong to no sample. What cannot be
            mended without losing something is only reported.

    Returns:
        the findings; empty when all is well.
    """
    samples = _column(store, SAMPLES, "key")
    found: list[Finding] = []
    for name in store.names():
        found += _fragments(store, name, mend)
        if name == IMAGES or name.startswith(PER_SAMPLE):
            found += _orphans(store, name, samples, mend)
        if "key" in store.schema(name).names:
            found += _duplicates(name, _column(store, name, "key"))
    return found + _lost(store)


def _column(store: Store, name: str, column: str) -> np.ndarray:
    return store.table(name, [column])[column].to_numpy()  # type: ignore[no-any-return]


def _fragments(store: Store, name: str, mend: bool) -> list[Finding]:
    n = len(store.dataset(name).fragment_ids())
    if n < _MANY_FRAGMENTS:
        return []
    return [_finding(name, "fragments", n, mend, lambda: store.compact(name))]


def _orphans(store: Store, name: str, samples: np.ndarray, mend: bool) -> list[Finding]:
    table = store.table(name, ["id", "key"])
    alone = ~np.isin(table["key"].to_numpy(), samples)
    if not alone.any():
        return []
    ids = np.array(table["id"].to_pylist(), dtype=object)[alone].tolist()
    return [_finding(name, "orphans", len(ids), mend, lambda: store.delete(name, ids))]


def _finding(name: str, problem: str, n: int, mend: bool, act: Callable[[], object]) -> Finding:
    if mend:
        act()
    return Finding(name, problem, n, "`slicedb doctor --mend`", mended=mend)


def _duplicates(name: str, keys: np.ndarray) -> list[Finding]:
    doubled = len(keys) - len(np.unique(keys))
    advice = "two writers added the same ids; delete and ingest them again"
    return [Finding(name, "duplicates", doubled, advice)] if doubled else []


def _lost(store: Store) -> list[Finding]:
    """Find samples that are ok, have no stored bytes and no file behind their uri."""
    table = store.table(SAMPLES, ["key", "uri", "status"])
    good = np.array([s == OK for s in table["status"].to_pylist()], dtype=bool)
    keys = table["key"].to_numpy()[good]
    inside = store.positions(IMAGES, keys) >= 0 if store.has(IMAGES) else np.zeros(len(keys), bool)
    uris = np.array(table["uri"].to_pylist(), dtype=object)[good][~inside]
    lost = sum(not _exists(uri) for uri in uris)
    advice = "bring the files back, or ingest without --reference"
    return [Finding(SAMPLES, "lost images", lost, advice)] if lost else []


def _exists(uri: str | None) -> bool:
    from pathlib import Path

    return bool(uri) and ("://" in str(uri) or Path(str(uri)).is_file())
