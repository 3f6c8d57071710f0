"""Find the samples that files are called like, by the ends of their paths."""

from __future__ import annotations

import os
from collections.abc import Sequence


class Ends:
    """Finds samples by the ends of their ids, without the ending of the file."""

    _SUFFIXES = ("_mask", "_seg", "_label", "_labels", "_gt", "_gtFine_labelIds", "_labelIds")

    def __init__(self, ids: Sequence[str]) -> None:
        self._whole: dict[str, str | None] = {}
        self._ends: dict[str, str | None] = {}
        for name in ids:
            stem = os.path.splitext(name)[0]
            self._add(self._whole, stem, name)
            parts = stem.split("/")
            for start in range(len(parts)):
                self._add(self._ends, "/".join(parts[start:]), name)

    @staticmethod
    def _add(table: dict[str, str | None], stem: str, name: str) -> None:
        table[stem] = None if stem in table else name  # of two samples it is neither's

    def sample_of(self, place: str) -> str | None:
        """Return the sample that a file is called like, None where none or several are."""
        stem = os.path.splitext(place)[0]
        stems = [stem, *(stem.removesuffix(s) for s in self._SUFFIXES if stem.endswith(s))]
        for one in stems:
            if (sample := self._whole.get(one)) is not None:
                return sample
        for one in stems:
            parts = one.split("/")
            for start in range(len(parts)):
                if (sample := self._ends.get("/".join(parts[start:]))) is not None:
                    return sample
        return None
