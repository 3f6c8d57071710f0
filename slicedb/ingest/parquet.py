"""Read Parquet files, one row group after the other.

The image columns of Hugging Face, a struct of `bytes` and `path`, are understood, and so are the
class names that its files carry.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from slicedb.ingest.format import Format
from slicedb.ingest.source import BYTES, Options, Source
from slicedb.ingest.tabular import Table, refuse_same_names, unreadable
from slicedb.sources import Location

_ROWS = 1 << 17
"""Rows that are read at once, at most; small batches take twice as long to read."""


def recognises(location: Location) -> bool:
    """Return whether the name ends so."""
    return location.suffix in (".parquet", ".pq")


def read(location: Location, options: Options) -> Source:
    """Open a Parquet file.

    Raises:
        SourceError: the file cannot be read or has no rows.
        IngestError: a column is missing, of a wrong type, or holds an id twice.
    """
    import pyarrow.parquet as pq

    try:
        with location.open() as file:
            parquet = pq.ParquetFile(file)
            schema, total = parquet.schema_arrow, parquet.metadata.num_rows
        size = location.size()
    except (OSError, pa.ArrowException) as error:
        raise unreadable(location, error) from error
    refuse_same_names(location, schema)
    average = 1 + size // max(1, total)  # bytes per row
    rows = max(1, min(_ROWS, BYTES // average))

    def batches(names: list[str]) -> Iterator[pa.RecordBatch]:
        with location.open() as file:
            yield from pq.ParquetFile(file).iter_batches(rows, columns=names)

    return Table(location, schema, total, batches).source(options)


PARQUET = Format("parquet", "a Parquet file", recognises, read)
