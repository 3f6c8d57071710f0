"""Commit a change: fit its rows, try again after a conflict, say what failed, tend the table."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar

import pyarrow as pa

from slicedb.errors import ConflictError, DatabaseError, did_you_mean
from slicedb.schema import spoken
from slicedb.store.door import passing
from slicedb.store.files import first_sentence
from slicedb.store.gone import gone
from slicedb.store.reading import Reader
from slicedb.store.upkeep import (
    INDEX_SOON,
    index_rows,
    is_fragmented,
    merge_fragments,
    small_fragments,
    wants_index,
)

Batches: TypeAlias = pa.Table | pa.RecordBatch | Iterable[pa.RecordBatch]

_RETRIES = 12
_ROOM = "check the free space and the permissions; what was committed is safe."
_FULL = re.compile("space|quota|denied|permission|read-only|os error|input/output", re.IGNORECASE)
_T = TypeVar("_T")


class Committer(Reader):
    """What every change of a table has in common."""

    tends = True
    """Whether writes compact and index what they have grown; of many processes one does."""

    def attempt(self, name: str, write: Callable[[], _T], change: str = "write") -> _T:
        """Run a write, again after a commit conflict, and translate what Lance raises.

        Args:
            name: the table that is written.
            write: opens the table on every try, so that it sees what the other writer did.
            change: the kind of change, as the door says it.

        Raises:
            ConflictError: other writers kept winning.
            UnreachableError: the bucket of the database is gone.
            DatabaseError: the write failed.
        """
        with passing(change, name):
            return self._persist(name, write)

    def _persist(self, name: str, write: Callable[[], _T], *, again: bool = False) -> _T:
        for attempt in range(_RETRIES):
            try:
                result = write()
                self._dirty.add(name)
                return result
            except (ConflictError, OSError, ValueError, RuntimeError) as error:
                is_again = again and isinstance(error, ConflictError)
                if isinstance(error, DatabaseError) and not is_again:
                    raise
                if not is_again and not is_conflict(error):
                    raise gone(self.files, error) or DatabaseError(
                        f"Writing table '{spoken(name)}' failed: {first_sentence(error)}",
                        hint_for(error),
                    ) from error
                last = error
                time.sleep(min(0.02 * 2**attempt, 1.0) * (0.5 + os.urandom(1)[0] / 256))
        raise ConflictError(
            f"Table '{spoken(name)}' was changed by another writer {_RETRIES} times in a row: "
            f"{first_sentence(last)}",
            "run the command again; nothing of this batch was written.",
        ) from last

    def _fitted(self, name: str, batches: Batches) -> pa.Table:
        """Return rows in the types of a table's columns."""
        schema = self.schema(name)
        if isinstance(batches, pa.Table):
            table = batches
        else:
            listed = [batches] if isinstance(batches, pa.RecordBatch) else list(batches)
            table = pa.Table.from_batches(listed) if listed else schema.empty_table()
        for column in table.column_names:
            if column not in schema.names:
                raise DatabaseError(
                    f"Table '{spoken(name)}' has no column '{column}'.",
                    did_you_mean(column, schema.names, "columns"),
                )
        fields = [schema.field(column) for column in table.column_names]
        try:
            return table.cast(pa.schema(fields, metadata=schema.metadata))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
            raise DatabaseError(
                f"Rows do not fit table '{spoken(name)}': {first_sentence(error)}"
            ) from error

    def tend(self, name: str) -> None:
        """Compact a table that many small writes have broken up, and index a very large one.

        Others wait for the first change that looks ids up: one that is loaded, queried and judged
        needs no index.
        """
        if not self.tends:
            return
        with contextlib.suppress(ConflictError):
            dataset = self.dataset(name)
            with self._reading(name):
                is_broken_up = is_fragmented(dataset, name)
            if is_broken_up:
                self.compact(name)
        self.index(name, INDEX_SOON)

    def index(self, name: str, least: int = 0, version: int | None = None) -> int | None:
        """Index the ids of a table where so many are not that looking one up takes long.

        Args:
            name: the table.
            least: rows outside the index that are too few.
            version: what a caller has read.

        Returns:
            The version that has the rows of `version`, which the index may have moved; where
            another writer came in between it is `version`, as it was given.
        """
        if not self.tends or not self.has(name):
            return version
        with contextlib.suppress(ConflictError):
            dataset = self.dataset(name)
            with self._reading(name):
                is_wanted = wants_index(dataset, least)
            if is_wanted:
                before = int(dataset.version)
                added = self.attempt(name, lambda: index_rows(self.dataset(name), name))
                if version == before and self.version(name) == before + added:
                    return before + added
        return version

    def compact(self, name: str) -> None:
        """Merge small fragments, and bring the index on `id` up to date."""

        def write() -> None:
            merge_fragments(self.dataset(name), name)
            if wants_index(self.dataset(name)):
                index_rows(self.dataset(name), name)

        self.attempt(name, write, "compact")

    def small_fragments(self, name: str) -> int:
        """Return how many fragments of a table are so small that compaction merges them."""
        return small_fragments(self.dataset(name), name)


def changed_since(name: str, version: int) -> ConflictError:
    """Return the error for rows that were made from a version that is not the last."""
    if not version:
        return ConflictError(
            f"Another process has created table '{spoken(name)}' meanwhile.",
            "look at it and repeat the change; nothing was written.",
        )
    return ConflictError(
        f"Table '{spoken(name)}' has changed since version {version}, which these rows were made "
        "from.",
        "read it again and repeat the change; nothing was written.",
    )


def hint_for(error: Exception) -> str:
    """Return the advice for a failed write; only a full or closed disk is about room."""
    return _ROOM if _FULL.search(str(error)) else "nothing of this batch was written."


def is_conflict(error: Exception) -> bool:
    """Return whether another writer was faster."""
    text = str(error).lower()
    return "conflict" in text or "concurrent" in text or "preempted" in text
