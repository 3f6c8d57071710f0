"""Read CSV and TSV files; types are inferred, dates and times recognised."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import IngestError, SourceError
from slicedb.ingest import columns as cols
from slicedb.ingest import nearly
from slicedb.ingest.boxtable import one_row_each
from slicedb.ingest.format import Format
from slicedb.ingest.source import ROWS, Options, Source
from slicedb.ingest.tabular import Table, refuse_same_names, unreadable
from slicedb.sources import Location

_BAD_VALUE = re.compile(r"In CSV column #(\d+): .*conversion error to (.+?): (invalid value '.*')")
_TEXT = ("path", "id", "label", "split", "caption")
"""Roles whose columns are read as text, whatever their values look like."""


def recognises(location: Location) -> bool:
    """Return whether the name ends so."""
    return location.suffix in (".csv", ".tsv")


def read(location: Location, options: Options) -> Source:
    """Open a CSV or TSV file.

    Raises:
        SourceError: the file cannot be read or has no rows.
        IngestError: a column is missing, of a wrong type, or holds an id twice.
    """
    table = load(location, options)
    refuse_same_names(location, table.schema)
    notes = list(nearly.notes(table, _free(table.schema, options)))
    roles = cols.roles(table.schema, options)
    label = None if options.labels else roles.get("label")
    name = roles.get("path", roles.get("id"))
    rows, in_shares, told = one_row_each(table, name, label)
    opened = Table(
        location,
        rows.schema,
        rows.num_rows,
        lambda names: rows.select(names).to_batches(ROWS),
        in_shares,
    )
    return opened.source(options, [*notes, *told])


def load(location: Location, options: Options) -> pa.Table:
    """Read the whole file; columns that play a text role, or are text already, stay text."""
    import pyarrow.csv as pacsv

    names: list[str] = []
    try:
        parse = pacsv.ParseOptions(delimiter=delimiter_of(location), newlines_in_values=True)
        with location.open() as file, pacsv.open_csv(file, parse_options=parse) as head:
            names = head.schema.names
        text = pa.schema([pa.field(name, pa.string()) for name in names])
        refuse_same_names(location, text)
        roles = cols.roles(text, options)
        types = {name: _known_type(name, options) for name in names}
        types |= {roles[role]: pa.string() for role in _TEXT if role in roles}
        convert = pacsv.ConvertOptions(
            column_types={name: kind for name, kind in types.items() if kind is not None}
        )
        with location.open() as file:
            table = pacsv.read_csv(file, parse_options=parse, convert_options=convert)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        if "Empty CSV" in str(error):
            raise SourceError(f"'{location}' is empty.", "it needs a header and rows.") from error
        if bad := _BAD_VALUE.search(str(error)):
            raise IngestError(
                f"Column '{names[int(bad[1])]}' of '{location}' is text, but {bad[2]} in samples: "
                f"{bad[3]}.",
                "correct the value or rename the column; nothing was written.",
            ) from error
        raise unreadable(location, error) from error
    return pa.table([_empty_to_null(column) for column in table.columns], names)


def delimiter_of(location: Location) -> str:
    """Return what stands between the names of the header most often."""
    with location.open() as file:
        header = file.readline().decode("utf-8-sig", errors="replace")
    return max(",\t;|", key=header.count)


def _empty_to_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_string(column.type):
        return column
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def _known_type(name: str, options: Options) -> pa.DataType | None:
    """Return the type a CSV column has to be read as, None to infer it."""
    if name in cols.MEASURED or name not in options.existing.names:
        return None
    kind = options.existing.field(name).type
    return pa.string() if pa.types.is_nested(kind) else kind


def _free(schema: pa.Schema, options: Options) -> list[str]:
    """Return the columns whose type nothing but their values decides."""
    texts = {name for role, name in cols.roles(schema, options).items() if role in _TEXT}
    return [name for name in schema.names if name not in texts | set(options.existing.names)]


CSV = Format(
    "csv",
    "a CSV or TSV file",
    recognises,
    read,
    "slicedb.export.tables:write_csv",
    takes=frozenset({"images", "columns"}),
    endings=(".csv",),
)
