"""Read what `datasets` writes: Parquet with its features, shards of it, or an ImageFolder.

Each is recognised as the format it is made of; the name picks whichever it is.
"""

from __future__ import annotations

from slicedb.ingest import folder, parquet, shards
from slicedb.ingest.format import Format
from slicedb.ingest.source import Options, Source
from slicedb.sources import Location


def read(location: Location, options: Options) -> Source:
    """Open a Parquet file, a folder of them, or a folder of images with metadata.

    Raises:
        SourceError: it cannot be read.
        IngestError: a column is missing or of a wrong type.
    """
    if location.is_file():
        return parquet.read(location, options)
    if shards.recognises(location):
        return shards.read(location, options)
    return folder.read(location, options)


HUGGING_FACE = Format(
    "huggingface",
    "a data set of Hugging Face",
    lambda location: False,
    read,
    "slicedb.export.huggingface:write_huggingface",
    takes=frozenset({"images", "columns", "split_folders"}),
)
