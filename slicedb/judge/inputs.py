"""What evidence is computed from: the tables, and every model's predictions."""

from __future__ import annotations

from collections.abc import Mapping

from slicedb.judge.aligned import Aligned, groups_of
from slicedb.judge.pairs import Pair
from slicedb.keys import Keys
from slicedb.store import Store


class Inputs:
    """What evidence is computed from.

    Args:
        store: the tables.
        aligned: predictions and ground truth by model, the one under test first.
        confidence: of each bound alone.
    """

    def __init__(self, store: Store, aligned: Mapping[str, Aligned], confidence: float) -> None:
        self.store = store
        self.confidence = confidence
        self.model = next(iter(aligned.values()))
        self._aligned = aligned
        self._pairs: dict[str, Pair] = {}

    def pair(self, baseline: str) -> Pair:
        """Return the model and a baseline on the samples that both saw."""
        if baseline not in self._pairs:
            self._pairs[baseline] = Pair(self.model, self._aligned[baseline])
        return self._pairs[baseline]

    def groups(self, column: str) -> Keys | None:
        """Return int64 (universe,): the group of each sample; None for no column."""
        return groups_of(self.store, column) if column else None
