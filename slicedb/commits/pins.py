"""Keep the versions that frozen slices need."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from slicedb.schema import SLICES

if TYPE_CHECKING:
    from slicedb.store import Store


def frozen_slices(store: Store, version: int | None = None) -> list[tuple[str, dict[str, int]]]:
    """Return the pin's tag and the tables of every frozen slice.

    Args:
        store: the database.
        version: of the table of slices; None is the latest.
    """
    if not store.has(SLICES):
        return []
    columns = ["name", "version", "kind", "tables", "dropped", "head"]
    rows = store.table(SLICES, columns, version=version).sort_by("version").to_pylist()
    newest = {row["name"]: row for row in rows}
    return [
        (
            slice_tag(row["name"], row["version"], json.loads(row["head"] or "{}").get("token")),
            json.loads(row["tables"] or "{}"),
        )
        for row in newest.values()
        if row["kind"] == "frozen" and not row["dropped"]
    ]


def slice_tag(name: str, version: int, token: str | None) -> str:
    """Return the tag that pins the tables a version of a slice was frozen at."""
    return f"slice-{name}-{version}" + (f"-{token}" if token else "")
