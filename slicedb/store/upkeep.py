"""Keep one table small: compaction, old versions, stray files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from slicedb.schema import IMAGES

if TYPE_CHECKING:
    import lance

COMPACT_AT = 100
"""Fragments from which a table is compacted after a write."""
_INDEX_AT = 20_000
"""Rows from which a BTREE on `id` pays."""
_ROWS_TOGETHER = 1 << 20
_IMAGES_TOGETHER = 1 << 15  # a merged fragment of pixels is never rewritten by the next merge
_AGES = timedelta(days=36_500)
"""Older than any version, so that a cleanup removes none."""


def merge_fragments(dataset: lance.LanceDataset, name: str) -> None:
    """Merge the small fragments of a table; a version of its own."""
    rows = _IMAGES_TOGETHER if name == IMAGES else _ROWS_TOGETHER
    dataset.optimize.compact_files(target_rows_per_fragment=rows)


def index_ids(dataset: lance.LanceDataset) -> None:
    """Build the index on `id` of a large table, or bring it up to date; a version of its own."""
    if "id" not in dataset.schema.names or dataset.count_rows() < _INDEX_AT:
        return
    if any(index.field_names == ["id"] for index in dataset.describe_indices()):
        dataset.optimize.optimize_indices()
    else:
        dataset.create_scalar_index("id", "BTREE")


def pins_of(dataset: lance.LanceDataset, older_than: timedelta | None = None) -> dict[str, int]:
    """Return the tagged versions, by tag; only those tagged so long ago, if an age is given."""
    before = None if older_than is None else datetime.now(UTC) - older_than
    return {
        tag: int(about["version"])
        for tag, about in dataset.tags.list().items()
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
