"""Take a list of objects that may have changed in place of a listing of all.

The objects that the database knows of a source stand for those that are not named: with the size
and the etag that were read of them, so that none of them is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_plus

import pyarrow.compute as pc

from slicedb.errors import SourceError
from slicedb.schema import ETAG, SAMPLES
from slicedb.show.numbers import verb
from slicedb.sources import Location, address, is_remote, stand_in
from slicedb.sql import equals
from slicedb.store import Store


def hinted(store: Store, where: Location, keys: Iterable[str]) -> list[str]:
    """Look at some objects, and let the next listing of the source be these and what is known.

    Args:
        store: the database.
        where: the source, in a bucket.
        keys: addresses, paths in the bucket or below the source, or S3 events, one a line.

    Returns:
        What the user should know: how many objects were named, not there, and elsewhere.

    Raises:
        SourceError: the source is no bucket, or a line is JSON and no event.
    """
    if not is_remote(where.path):
        raise SourceError(
            f"'{where}' is a folder, of which all files are looked at anyway.",
            "keys are for buckets: leave them out.",
        )
    root, prefix = address(where.path)
    named = list(dict.fromkeys(key for line in keys for key in _keys(line.strip(), root, prefix)))
    below = [key for key in named if not prefix or key.startswith(f"{prefix}/")]
    known: list[tuple[str, int, str]] = []
    columns = store.schema(SAMPLES).names
    if ETAG in columns:
        rows = store.table(SAMPLES, ["uri", "bytes", ETAG], where=equals("source", where.path))
        rows = rows.filter(pc.is_valid(rows["uri"]))
        known = [
            (address(row["uri"]).key, row["bytes"] or 0, row[ETAG] or "")
            for row in rows.to_pylist()
            if is_remote(row["uri"])
        ]
    there = stand_in(root, prefix, known, below)
    note = f"{len(below):,} of the named objects were looked at, and nothing else."
    if missing := len(below) - there:
        note += f" {missing:,} {verb(missing, 'is', 'are')} not there; only a whole listing "
        note += "marks samples as vanished."
    if outside := len(named) - len(below):
        note += f" {outside:,} more lie outside the source."
    return [note]


def _keys(line: str, root: str, prefix: str) -> list[str]:
    """Return the keys in the bucket that a line names."""
    if not line:
        return []
    if line.startswith("{"):
        return _of_event(line, root)
    if "://" in line:
        return [address(line).key] if address(line).root == root else []
    key = line.strip("/")
    return [key if not prefix or key.startswith(f"{prefix}/") else f"{prefix}/{key}"]


def _of_event(line: str, root: str) -> list[str]:
    """Return the keys that an S3 event notification names, of this bucket."""
    try:
        event: Any = json.loads(line)
        records = [event["detail"]] if "detail" in event else event["Records"]
        about = [record.get("s3", record) for record in records]
        found = [(one["bucket"]["name"], one["object"]["key"]) for one in about]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(
            f"A line begins with '{{' and is no S3 event: {line[:80]}.",
            "give keys, addresses, or events as S3 and EventBridge write them, one a line.",
        ) from error
    bucket = root.partition("://")[2]
    is_encoded = "Records" in event  # S3 writes "a+b.jpg" for "a b.jpg" there, EventBridge not
    return [unquote_plus(key) if is_encoded else key for name, key in found if name == bucket]
