"""Keep one table small: compaction, old versions, stray files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from slicedb.schema import IMAGES, SAMPLES

if TYPE_CHECKING:
    import lance

_COMPACT_AT = 40
_COMPACT_IMAGES_AT = 100  # pixels are heavy to rewrite
"""Small fragments from which a table is compacted after a write. Forty of them double what an edit
of one row costs."""
_INDEX_AT = 20_000
"""Rows without an index from which a BTREE pays; fewer are scanned as fast."""
INDEX_SOON = 1 << 22
"""Rows without an index from which reading one row takes too long (60 ms for ten million)."""
# Well below the rows of a full fragment, so that one that lost a few rows is never rewritten.
_ROWS_TOGETHER = 1 << 15
_IMAGES_TOGETHER = 1 << 15  # a merged fragment of pixels is never rewritten by the next merge
_LISTINGS = 20
_AGES = timedelta(days=36_500)
"""Older than any version, so that a cleanup removes none."""


def merge_fragments(dataset: lance.LanceDataset, name: str) -> None:
    """Merge the small fragments of a table; a version of its own."""
    dataset.optimize.compact_files(target_rows_per_fragment=_rows_together(name))


def small_fragments(dataset: lance.LanceDataset, name: str) -> int:
    """Return how many fragments are small enough to be merged."""
    rows = _rows_together(name)
    return sum(fragment.physical_rows < rows for fragment in dataset.get_fragments())


def is_fragmented(dataset: lance.LanceDataset, name: str) -> bool:
    """Return whether so many small writes have broken a table up that it should be compacted."""
    most = _COMPACT_IMAGES_AT if name == IMAGES else _COMPACT_AT
    return small_fragments(dataset, name) >= most


def _rows_together(name: str) -> int:
    return _IMAGES_TOGETHER if name == IMAGES else _ROWS_TOGETHER


def wants_index(dataset: lance.LanceDataset, least: int = 0) -> bool:
    """Return whether so many rows are in no index on `id` that looking one up takes long.

    A quarter of the rows may be outside, so that a table that grows is not indexed at every write.

    Args:
        dataset: the table.
        least: rows outside the index that are too few to index, however large the table is.
    """
    rows, least = dataset.count_rows(), max(least, _INDEX_AT)
    if rows < least or "id" not in dataset.schema.names:
        return False
    inside = _indexed(dataset, ["id"])
    fragments = dataset.get_fragments()
    outside = sum(f.physical_rows for f in fragments if f.fragment_id not in inside)
    return bool(outside >= max(least, rows // 4))


def is_indexed(dataset: lance.LanceDataset, column: str) -> bool:
    """Return whether a table has an index on a column."""
    return any(index.field_names == [column] for index in dataset.describe_indices())


def _indexed(dataset: lance.LanceDataset, columns: list[str] | None = None) -> set[int]:
    """Return the numbers of the fragments that an index covers, of some columns or of any."""
    return {
        fragment
        for index in dataset.describe_indices()
        if columns is None or index.field_names == columns
        for segment in index.segments
        for fragment in segment.fragment_ids
    }


def next_fragment(dataset: lance.LanceDataset) -> int:
    """Return a number for a new fragment that no fragment has, and that no index speaks of."""
    taken = {fragment.fragment_id for fragment in dataset.get_fragments()} | _indexed(dataset)
    return max(taken, default=-1) + 1


def index_rows(dataset: lance.LanceDataset, name: str) -> int:
    """Index the ids of a large table, or bring its index up to date; returns the versions added.

    Samples and images are found by key as well: who asks for them has no ids.
    """
    if "id" not in dataset.schema.names or dataset.count_rows() < _INDEX_AT:
        return 0
    indexes = {tuple(index.field_names): index.name for index in dataset.describe_indices()}
    columns, new = ("id", "key") if name in (SAMPLES, IMAGES) else ("id",), []
    for column in columns:
        if (column,) in indexes:
            dataset.optimize.optimize_indices(index_names=[indexes[column,]])
        else:
            new.append(column)

    def create(column: str) -> None:  # through a handle of its own, which it moves
        dataset.checkout_version(dataset.version).create_scalar_index(column, "BTREE")

    with ThreadPoolExecutor(2, "slicedb-index") as pool:
        list(pool.map(create, new))
    return len(columns)


def tags_of(dataset: lance.LanceDataset) -> dict[str, dict[str, Any]]:
    """Return what is known of each tag; again where one went away while they were listed."""
    for _ in range(_LISTINGS):
        try:
            return dict(dataset.tags.list())
        except (OSError, ValueError) as error:
            if "not found" not in str(error).lower():
                raise
    return dict(dataset.tags.list())


def pins_of(dataset: lance.LanceDataset, older_than: timedelta | None = None) -> dict[str, int]:
    """Return the tagged versions, by tag; only those tagged so long ago, if an age is given."""
    before = None if older_than is None else datetime.now(UTC) - older_than
    return {
        tag: int(about["version"])
        for tag, about in tags_of(dataset).items()
        if before is None or about["created_at"] is None or about["created_at"] < before
    }


def remove_versions(dataset: lance.LanceDataset, older_than: timedelta, *, dry_run: bool) -> int:
    """Remove the untagged versions older than that; returns the bytes freed."""
    if dry_run:
        plan = dataset.explain_cleanup_old_versions(
            older_than=older_than, error_if_tagged_old_versions=False
        )
        return int(plan.stats.bytes_removed)
    stats = dataset.cleanup_old_versions(older_than=older_than, error_if_tagged_old_versions=False)
    return int(stats.bytes_removed)


def stray_files(dataset: lance.LanceDataset, *, remove: bool) -> int:
    """Return how many files no version names, and remove them if asked to.

    A writer that was killed leaves them behind; those of the last week are not counted, since
    their writer may still be at work.
    """
    plan = dataset.explain_cleanup_old_versions(
        older_than=_AGES, error_if_tagged_old_versions=False
    )
    n = int(plan.stats.data_files_removed + plan.stats.deletion_files_removed)
    if n and remove:
        dataset.cleanup_old_versions(older_than=_AGES, error_if_tagged_old_versions=False)
    return n


STATE = "rows fragments deleted version versions kept now".split()
"""What `state_of` returns of a table."""


def state_of(dataset: lance.LanceDataset) -> dict[str, int]:
    """Return rows, fragments, deleted rows, version, versions, pinned versions, bytes now."""
    fragments = dataset.get_fragments()
    rows = dataset.count_rows()
    return {
        "rows": rows,
        "fragments": len(fragments),
        "deleted": sum(f.physical_rows for f in fragments) - rows,
        "version": int(dataset.version),
        "versions": len(dataset.versions()),
        "kept": len(set(pins_of(dataset).values())),
        "now": sum(file.file_size_bytes or 0 for f in fragments for file in f.data_files()),
    }
