"""Read Parquet files, one row group after the other.

The image columns of Hugging Face, a struct of `bytes` and `path`, are understood, and so are the
class names that its files carry. A file without pictures may have a row per box, as a CSV may.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from slicedb.ingest import columns as cols
from slicedb.ingest.boxtable import has_boxes, one_row_each
from slicedb.ingest.features import features_of, named, named_schema
from slicedb.ingest.format import Format
from slicedb.ingest.source import BYTES, ROWS, Options, Source
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
    table = table_of(location)
    roles = cols.roles(table.schema, options)
    if "image" in roles or not has_boxes(table.schema.names):
        return table.source(options)
    label = None if options.labels else roles.get("label")
    whole = pa.Table.from_batches(table.batches(table.schema.names), table.schema)
    rows, in_shares, told = one_row_each(_decoded(whole), roles.get("path", roles.get("id")), label)
    schema = rows.schema.with_metadata(table.schema.metadata)
    opened = Table(
        location,
        schema,
        rows.num_rows,
        lambda names: rows.select(names).to_batches(ROWS),
        in_shares,
    )
    return opened.source(options, told)


def _decoded(table: pa.Table) -> pa.Table:
    """Return a table whose dictionaries are plain values."""
    for at, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(at, field.name, table[at].cast(field.type.value_type))
    return table


def table_of(location: Location) -> Table:
    """Return a Parquet file as a table, the names of classes in place of their numbers.

    Raises:
        SourceError: the file cannot be read.
    """
    import pyarrow.parquet as pq

    try:
        with location.open() as file:
            parquet = pq.ParquetFile(file)
            stored, total = parquet.schema_arrow, parquet.metadata.num_rows
        size = location.size()
    except (OSError, pa.ArrowException) as error:
        raise unreadable(location, error) from error
    refuse_same_names(location, stored)
    schema, features = named_schema(stored), features_of(stored)
    average = 1 + size // max(1, total)  # bytes per row
    rows = max(1, min(_ROWS, BYTES // average))

    def batches(names: list[str]) -> Iterator[pa.RecordBatch]:
        with location.open() as file:
            for batch in pq.ParquetFile(file).iter_batches(rows, columns=names):
                yield named(batch, features) if features else batch

    return Table(location, schema, total, batches)


PARQUET = Format(
    "parquet",
    "a Parquet file",
    recognises,
    read,
    "slicedb.export.tables:write_parquet",
    takes=frozenset({"images", "columns"}),
    endings=(".parquet",),
)
