"""Notice samples that are frames of videos, which are not independent of one another."""

from __future__ import annotations

import numpy as np

from slicedb import schema
from slicedb.judge.aligned import groups_of, universe
from slicedb.keys import Keys, distinct
from slicedb.show.numbers import count
from slicedb.store import Store

COLUMNS = "video video_id clip clip_id sequence sequence_id recording recording_id".split()
"""Columns whose values name what the frames in samples are of."""

_EACH = 2.0
"""Samples of a group on average from which on groups are worth counting."""


def note_of_videos(store: Store, keys: Keys, group: str | None) -> list[str]:
    """Return the note that samples lie in groups that nobody names, none if they do not.

    Args:
        store: the database.
        keys: int64 (n,): what is judged.
        group: the column that the groups are counted by already.
    """
    known = {name.lower(): name for name in store.schema(schema.SAMPLES).names}
    column = next((known[name] for name in COLUMNS if name in known), None)
    if group or column is None or not len(keys):
        return []
    rows = universe(store).rows(distinct(keys))
    groups = np.unique(groups_of(store, column)[rows])
    if len(rows) < _EACH * len(groups):
        return []
    return [
        f"{count(len(rows), 'sample lies', 'samples lie')} in {count(len(groups), 'group')} by "
        f"'{column}', and samples of one group are alike, so that the intervals are too narrow; "
        f"group='{column}' (--group {column}, or group in suite.toml) counts whole groups"
    ]
