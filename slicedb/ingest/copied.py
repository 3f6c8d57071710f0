"""Read a plain copy: pictures under their ids, and manifest.csv."""

from __future__ import annotations

from slicedb.errors import SourceError
from slicedb.ingest import csv
from slicedb.ingest.format import Format
from slicedb.ingest.source import Options, Source
from slicedb.sources import Location

MANIFEST = "manifest.csv"


def read(location: Location, options: Options) -> Source:
    """Open the manifest of a folder.

    Raises:
        SourceError: there is none, or it cannot be read.
    """
    file = location.join(MANIFEST)
    if not file.is_file():
        raise SourceError(
            f"There is no {MANIFEST} in '{location}'.", "slicedb export --format copy writes one."
        )
    return csv.read(file, options)


COPY = Format(
    "copy",
    f"a folder with {MANIFEST}",
    lambda location: False,
    read,
    "slicedb.export.copied:write_copy",
    takes=frozenset({"images", "columns"}),
)
