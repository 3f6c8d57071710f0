"""Keep the ranges by which a database shows deep gray."""

from __future__ import annotations

import json

from slicedb import media
from slicedb.schema import GRAY, SAMPLES
from slicedb.store import Store


def keep_ranges(store: Store, ranges: media.Ranges) -> list[str]:
    """Add ranges to those that a database has, for all of its pictures from now on.

    Returns:
        A note where pictures are there that were read by others.
    """
    before = store.gray_ranges()
    after = {**before, **ranges}
    if after == before:
        return []
    store.set_metadata(SAMPLES, {GRAY: json.dumps(after)})
    deep = "format IN ('tiff', 'png')"
    there = store.table(SAMPLES, ["key"], where=deep).num_rows
    if not there:
        return []
    return [
        f"{there:,} TIFF and PNG pictures were ingested before under other ranges: those of deep "
        "gray are decoded by the new ones, and keep the hashes, vectors and predictions that they "
        "have."
    ]
