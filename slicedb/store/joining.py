"""Write rows that are joined with those of a table by `id`: insert, change, upsert, delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from slicedb.errors import DatabaseError
from slicedb.schema import keys_of
from slicedb.store.committing import Batches, Committer, changed_since
from slicedb.store.merging import (
    FEW_DELETED,
    PART,
    WIDE,
    delete_few,
    is_exhausted,
    is_wide,
    rewrite_columns,
    stored_places,
)

if TYPE_CHECKING:
    import lance

Merge: TypeAlias = "Callable[[lance.LanceDataset, pa.Table], None]"


class Joiner(Committer):
    """What can be changed of a table's rows, by their ids."""

    def insert(self, name: str, batches: Batches) -> int:
        """Add the rows whose `id` is not there, and return how many those were."""
        rows = self._fitted(name, batches)
        added: list[int] = []

        def merge(dataset: lance.LanceDataset, part: pa.Table) -> None:
            builder = dataset.merge_insert("id").when_not_matched_insert_all()
            added.append(int(builder.execute(part)["num_inserted_rows"]))

        self._index_for(name, len(rows))
        self._in_parts(name, rows, merge, "insert")
        self.tend(name)
        return sum(added)

    def change(
        self,
        name: str,
        ids: Sequence[str],
        columns: Sequence[str],
        change: Callable[[pa.Table], pa.Table],
    ) -> int:
        """Read rows, change them and write them, again where another writer was faster.

        Args:
            name: the table.
            ids: of the rows.
            columns: what is read of them.
            change: from those columns to the rows that changed: `id` and what is new of them.

        Returns:
            How many rows changed.
        """

        def write() -> int:
            dataset = self.dataset(name)
            old = self.take(name, keys_of(ids), columns, ids=ids, version=dataset.version)
            rows = self._fitted(name, change(old))
            if is_wide(dataset, len(rows)):
                rewrite_columns(dataset, rows, stored_places(dataset, rows))
            elif len(rows):
                merge = dataset.merge_insert("id").when_matched_update_all().conflict_retries(0)
                merge.execute(rows)
            return len(rows)

        self._index_for(name, len(ids))
        changed = self.attempt(name, write, "change")
        self.tend(name)
        return changed

    def upsert(
        self,
        name: str,
        batches: Batches,
        *,
        insert: bool = True,
        expected_version: int | None = None,
    ) -> int:
        """Update the rows whose `id` exists and insert the others; returns the version.

        Args:
            name: the table.
            batches: rows with all columns, or with `id` and a subset when `insert` is False.
            insert: False ignores rows whose id does not exist.
            expected_version: the version the rows were computed from; a table that has changed
                since is refused instead of overwritten.

        Raises:
            ConflictError: the table has changed, or other writers kept winning.
        """
        rows = self._fitted(name, batches)
        if len(rows) >= WIDE:
            rows, expected_version = self._rewrite(name, rows, insert, expected_version)
        expected_version = self._index_for(name, len(rows), expected_version)

        def merge(dataset: lance.LanceDataset, part: pa.Table) -> None:
            builder = dataset.merge_insert("id").when_matched_update_all()
            if expected_version is not None:  # else Lance would put old values over newer ones
                builder = builder.conflict_retries(0)
            if insert:
                builder = builder.when_not_matched_insert_all()
            builder.execute(part)

        version = self._in_parts(name, rows, merge, "upsert", expected_version)
        self.tend(name)
        return version

    def delete(self, name: str, ids: Sequence[str]) -> int:
        """Delete the rows of these ids; returns the version written."""
        self._index_for(name, len(ids))
        if len(ids) <= FEW_DELETED:
            if len(ids):
                self.attempt(name, lambda: delete_few(self.dataset(name), ids), "delete")
            return self.version(name)
        field = self.schema(name).field("id")
        rows = pa.table({"id": pa.array(dict.fromkeys(ids), pa.string())}, pa.schema([field]))

        def merge(dataset: lance.LanceDataset, part: pa.Table) -> None:
            # A join, for a filter with every id is slow to read and to plan.
            dataset.merge_insert("id").when_matched_delete().execute(part)

        return self._in_parts(name, rows, merge, "delete")

    def _index_for(self, name: str, n: int, version: int | None = None) -> int | None:
        """Index a table where a join with n rows would otherwise read all ids; see `index`."""
        if not n or is_wide(self.dataset(name), n):
            return version
        return self.index(name, version=version)

    def _rewrite(
        self, name: str, rows: pa.Table, insert: bool, version: int | None
    ) -> tuple[pa.Table, int | None]:
        """Write the columns of many rows anew.

        Returns:
            The rows that are left to be inserted, and the version they are inserted at.
        """

        def write() -> tuple[pa.Table, int | None]:
            dataset = self.dataset(name)
            if version is not None and dataset.version != version:
                raise changed_since(name, version)
            places = stored_places(dataset, rows)
            is_new = places < 0
            if not is_wide(dataset, int((~is_new).sum())):
                return rows, version
            written = rewrite_columns(dataset, rows, places)
            left = rows.filter(pa.array(is_new)) if insert else rows.slice(0, 0)
            return left, None if version is None else written

        return self.attempt(name, write, "upsert")

    def _in_parts(
        self,
        name: str,
        rows: pa.Table,
        merge: Merge,
        change: str,
        expected_version: int | None = None,
    ) -> int:
        """Join rows with a table, a part after the other; returns the version.

        Each part is a commit: as many as fit the memory that Lance gives a join, which is all of
        them but for very many.
        """
        version, start, size = expected_version, 0, PART
        while start < len(rows):
            part = rows.slice(start, size)
            write = partial(self._merge, name, part, merge, version)
            try:
                written = self.attempt(name, write, change)
            except DatabaseError as error:
                if not is_exhausted(error) or len(part) < 2:
                    raise
                size = -(-len(part) // 2)
                continue
            start += len(part)
            version = None if version is None else written
        return self.version(name)

    def _merge(self, name: str, part: pa.Table, merge: Merge, version: int | None) -> int:
        dataset = self.dataset(name)
        if version is not None and dataset.version != version:
            raise changed_since(name, version)
        merge(dataset, part)
        return int(dataset.version)
