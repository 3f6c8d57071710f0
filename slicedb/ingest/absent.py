"""Refuse a source of which no picture is there, before anything is written."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pyarrow as pa

from slicedb.errors import SourceError
from slicedb.ingest import fingerprint
from slicedb.ingest.source import Source
from slicedb.sources import Location

_LOOKED_AT = 32
"""Pictures of which one has to be there for the source to be taken without a further look."""
_SHOWN = 6
"""Names that an error tells of a folder."""


def refuse_absent(source: Source) -> Source:
    """Return a source as it was, unless none of the pictures that it names is there.

    Only a source that comes in one batch is held to it here; of a larger one `nothing_read` tells
    in the end.

    Raises:
        SourceError: with the first path, and with what lies where it should be.
    """
    batches = iter(source.batches)
    first = next(batches, None)
    if first is None:
        return source
    whole = replace(source, batches=itertools.chain([first], batches))
    uris = first["uri"]
    if uris.null_count or first.num_rows < source.total or _any_there(uris[:_LOOKED_AT]):
        return whole
    if not _any_there(uris[_LOOKED_AT:]):
        raise nothing_read(source.where, source.total, str(uris[0]))
    return whole


def _any_there(uris: pa.Array) -> bool:
    return bool((fingerprint.files(uris)[0] >= 0).any()) if len(uris) else False


def nothing_read(
    where: str, total: int, uri: str, after: str = "nothing was written"
) -> SourceError:
    """Return the error for a source of which no picture could be read.

    Args:
        where: the source.
        total: how many pictures it names.
        uri: where the first of them was looked for.
        after: what was written.
    """
    said = (
        "its only picture is not there"
        if total == 1
        else f"none of its {total:,} pictures is there"
    )
    return SourceError(
        f"Nothing of '{where}' can be read: {said}. Looked for '{uri}'{_lies(uri)}.",
        "images (--images) names the folder that the paths start at, and path_column "
        f"(--path-column) the column that has them; {after}.",
    )


def _lies(uri: str) -> str:
    """Say what lies in the deepest folder of a path that exists."""
    folder = Location(uri).parent
    while not folder.is_folder():
        above = folder.parent
        if above.path == folder.path:
            return ""
        folder = above
    try:
        names = sorted(
            f"{entry.name}/" if entry.kind == "folder" else entry.name for entry in folder.list()
        )
    except OSError:
        return ""
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"; in '{folder.path}' lies {shown or 'nothing'}"
