"""Read a folder of Parquet files that carry the images, as Hugging Face's hub stores data sets.

data/train-00000-of-00002.parquet  data/test-00000-of-00001.parquet      the name says the split
default/train/0000.parquet                                               or its folder does
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from slicedb.errors import IngestError, SourceError
from slicedb.ingest.format import Format
from slicedb.ingest.parquet import table_of
from slicedb.ingest.source import Options, Source
from slicedb.ingest.splits import SPLITS, split_in
from slicedb.ingest.tabular import Table
from slicedb.ingest.walk import Folder, Tree, tree_of
from slicedb.sources import Location

_ENDINGS = (".parquet", ".pq")


def recognises(location: Location) -> bool:
    """Return whether a folder holds Parquet files and no images."""
    if not location.is_folder():
        return False
    tree = tree_of(location)
    if any(folder.images for folder in tree.folders.values()):
        return False
    return any(True for _ in tree.files(*_ENDINGS))


def read(location: Location, options: Options) -> Source:
    """Open every Parquet file of a folder as one source.

    Raises:
        SourceError: a file cannot be read, or there are no rows.
        IngestError: a column is missing, of different types, or an id stands twice.
    """
    tree = tree_of(location)
    shards: list[tuple[Table, Source]] = []
    for folder in tree.folders.values():
        for name in folder.ending_in(*_ENDINGS):
            table = table_of(tree.read(folder, name))
            split = _split(folder, name)
            if table.total:
                shards.append((table, table.source(_options(options, split))))
    if not shards:
        raise SourceError(f"No rows in the Parquet files of '{location}'.", "check the folder.")
    return _together(tree, [source for _, source in shards], shards)


def _split(folder: Folder, name: str) -> str | None:
    """Return the split that a shard's name or folder says."""
    first = re.split(r"[-_.]", name)[0]
    return first if first.lower() in SPLITS else split_in(folder.parts)


def _options(options: Options, split: str | None) -> Options:
    """Return the options of one shard, whose split keeps equal names of images apart."""
    prefix = "/".join(part for part in (options.prefix, split) if part)
    return replace(options, prefix=prefix, split=options.split or split)


def _together(tree: Tree, sources: list[Source], shards: list[tuple[Table, Source]]) -> Source:
    """Return all shards as one source.

    Raises:
        IngestError: a column has different types, or an id stands twice.
    """
    fields: dict[str, pa.Field] = {}
    for table, source in shards:
        for field in source.fields:
            other = fields.setdefault(field.name, field)
            if other.type != field.type:
                raise IngestError(
                    f"Column '{field.name}' is {field.type} in '{table.location}' and {other.type} "
                    "in another file of the folder.",
                    "write them with one type; nothing was written.",
                )
    keys = [source.keys for source in sources]
    known = [some for some in keys if some is not None]
    if len(known) == len(keys):
        ascending = np.sort(np.concatenate(known))
        if (ascending[1:] == ascending[:-1]).any():
            raise IngestError(
                f"Two files of '{tree.root}' name samples alike.",
                "id_column (--id-column) names a column whose values are unique.",
            )
    carries = any(source.carries_images for source in sources)
    return Source(
        tree.root.path,
        list(fields.values()),
        _batches(sources, fields.values(), carries),
        sum(source.total for source in sources),
        frozenset(fields),
        named=sources[0].named,
        carries_images=carries,
        skipped=tree.skipped(),
        notes=list(dict.fromkeys(note for source in sources for note in source.notes)),
        renamed=list(dict.fromkeys(note for source in sources for note in source.renamed)),
        keys=np.concatenate(known) if len(known) == len(keys) else None,
    )


def _batches(
    sources: list[Source], fields: Iterable[pa.Field], carries: bool
) -> Iterator[pa.RecordBatch]:
    whole = [pa.field("id", pa.string()), pa.field("uri", pa.string())]
    whole += [pa.field("image", pa.large_binary())] if carries else []
    schema = pa.schema([*whole, *fields])
    for source in sources:
        for batch in source.batches:
            names = batch.schema.names
            yield pa.RecordBatch.from_arrays(
                [
                    batch[f.name] if f.name in names else pa.nulls(len(batch), f.type)
                    for f in schema
                ],
                schema=schema,
            )


SHARDS = Format(
    "shards",
    "a folder of Parquet files that carry images",
    recognises,
    read,
    takes=frozenset({"images", "columns"}),
)
