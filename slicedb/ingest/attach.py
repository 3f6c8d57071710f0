"""Attach metadata to samples that are in the database: columns of a table, matched by id."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import IngestError, SourceError, did_you_mean
from slicedb.ingest import columns as cols
from slicedb.ingest import csv, parquet
from slicedb.ingest.convert import Column, is_text
from slicedb.ingest.known import mask
from slicedb.ingest.objects import BOXES, are_labelled_boxes
from slicedb.ingest.source import Options
from slicedb.ingest.tabular import refuse_same_names, unreadable
from slicedb.keys import Keys
from slicedb.schema import SAMPLES, is_shown
from slicedb.show import numbers
from slicedb.show.tabular import Record
from slicedb.sources import Location
from slicedb.store import Store
from slicedb.store.writing import lacking

_SHOWN = 3
_NOTHING = "nothing was written."


@dataclass(frozen=True)
class AttachReport(Record):
    """What attaching a table did."""

    source: str
    rows: int
    """Rows of the table, each of one sample."""
    added: tuple[str, ...] = ()
    """Columns that are new."""
    changed: tuple[str, ...] = ()
    """Columns that were there already and of which some value is another now."""
    changed_ids: list[str] = field(default_factory=list, repr=False)
    """Samples of which a column that was there already has another value now."""
    present: tuple[str, ...] = ()
    """Columns that were there already, changed or not."""
    boxes: tuple[str, ...] = ()
    """Columns beside `objects` that hold boxes, such as those of a second annotator."""
    without: int = 0
    """Samples that the table has no row for; they keep what they have."""
    seconds: float = 0.0

    def __str__(self) -> str:
        lines = [f"{numbers.count(self.rows, 'row')} attached ({self.seconds:.1f} s)."]
        if self.added:
            lines.append(f"New columns: {', '.join(self.added)}.")
        if self.changed:
            n = len(self.changed_ids)
            lines.append(f"Changed for {numbers.count(n, 'sample')}: {', '.join(self.changed)}.")
        if self.boxes:
            lines.append(
                f"Boxes: {', '.join(self.boxes)}; `--truth {self.boxes[0]}` judges a detector "
                "against them."
            )
        if not self.added and not self.changed:
            lines.append("Nothing is new: every value is there already.")
        if self.without:
            verb = "is" if self.without == 1 else "are"
            lines.append(f"{numbers.count(self.without, 'sample')} {verb} not in the table.")
        return "\n".join(lines)


def attach(
    store: Store,
    source: object,
    *,
    on: str = "id",
    prefix: str = "",
    columns: Sequence[str] | None = None,
    partial: bool = False,
) -> AttachReport:
    """Add or change metadata columns of samples; no picture is opened.

    A column that is new is written beside the others. Of a column that is there already, only the
    samples whose value differs are written.

    Args:
        store: the database.
        source: a CSV, TSV, Parquet or Arrow file, a pyarrow table, a pandas or polars frame.
        on: its column with the ids of samples.
        prefix: put before every id, with a slash.
        columns: the columns to attach; None takes all of them.
        partial: the table may lack samples.

    Raises:
        SourceError: the source is missing, empty or unreadable.
        IngestError: an id is unknown, comes twice or is empty, samples have no row, a column has
            a name of ours or another type than in `samples`. Nothing is written then.
    """
    started = time.perf_counter()
    existing = store.schema(SAMPLES)
    options = Options(columns={"id": on}, existing=existing, pictures=False, as_named=True)
    table, place = read_table(source, existing, on)
    _refuse_missing(columns or (), table.column_names, place)
    if columns is not None:
        table = table.select(list(dict.fromkeys([on, *columns])))
    table = _with_boxes_read(table, on)
    planned = _plan(table.schema, on, options, place)
    ids = ids_of(table[on], prefix, place)
    values = {c.name: _converted(table[c.source], c, ids) for c in planned}

    boxes = [pa.field(c.name, c.type) for c in planned if c.name == "objects"]
    if any(lacking(existing, field) for field in boxes):  # those of the first releases lack fields
        store.add_columns(SAMPLES, boxes)
    version, rows, without = _rows(store, ids, place, partial)
    stored = set(existing.names)
    old = {name: column for name, column in values.items() if name in stored}
    new = {name: column for name, column in values.items() if name not in stored}
    changed, changed_ids = _change(store, ids, old, rows, version)
    if new:
        if changed:  # which moved rows
            version, rows, _ = _rows(store, ids, place, partial)
        store.add_values(SAMPLES, _in_order(new, rows), version)
    store.sync()
    seconds = time.perf_counter() - started
    return AttachReport(
        source=place,
        rows=len(ids),
        added=tuple(new),
        changed=changed,
        changed_ids=changed_ids,
        present=tuple(old),
        boxes=tuple(c.name for c in planned if c.type == BOXES and c.name != "objects"),
        without=without,
        seconds=seconds,
    )


def read_table(source: object, existing: pa.Schema, on: str = "id") -> tuple[pa.Table, str]:
    """Return the rows of a file or frame, and what errors call it.

    Args:
        source: see `attach`.
        existing: the columns of samples, whose types a CSV file is read in.
        on: its column with the ids of samples.

    Raises:
        SourceError: it is missing, empty or unreadable.
        IngestError: it has no such column.
    """
    table, place = _read(source, Options(columns={"id": on}, existing=existing, pictures=False))
    _refuse_missing([on], table.column_names, place)
    if not len(table):
        raise SourceError(f"{place} has no rows.", "it needs one row per sample.")
    return table, place


def _read(source: object, options: Options) -> tuple[pa.Table, str]:
    if isinstance(source, str | os.PathLike):
        return _read_file(Location(str(Path(source).expanduser())), options)
    if isinstance(source, pa.RecordBatch):
        source = pa.Table.from_batches([source])
    elif isinstance(source, Mapping):
        source = pa.table(dict(source))
    elif hasattr(source, "to_arrow"):  # polars, and our own results
        source = pa.table(source.to_arrow())
    elif hasattr(source, "columns") and hasattr(source, "iloc"):  # pandas
        source = pa.Table.from_pandas(source, preserve_index=False)
    if isinstance(source, pa.Table):
        refuse_same_names(Location("the table"), source.schema)
        return source, "the table"
    raise SourceError(
        f"Metadata cannot be read from a {type(source).__name__}.",
        "give a CSV, Parquet or Arrow file, a pyarrow table, a pandas frame or a dict of columns.",
    )


def _read_file(location: Location, options: Options) -> tuple[pa.Table, str]:
    place = f"'{location}'"
    if not location.is_file():
        raise SourceError(f"No file {place}.", "give a CSV, TSV, Parquet or Arrow file.")
    if csv.recognises(location):
        return csv.load(location, options), place
    try:
        with location.open() as file:
            if parquet.recognises(location):
                import pyarrow.parquet as pq

                table = pq.ParquetFile(file).read()
            elif location.suffix in (".arrow", ".feather", ".ipc"):
                table = pa.ipc.open_file(file).read_all()
                table.validate(full=True)  # its offsets may point outside of its values
            else:
                raise SourceError(
                    f"{place} is no table.", "name it .csv, .tsv, .parquet or .arrow."
                )
    except (OSError, pa.ArrowException) as error:
        raise unreadable(location, error) from error
    refuse_same_names(location, table.schema)
    return table, place


def _refuse_missing(wanted: Sequence[str], names: Sequence[str], place: str) -> None:
    for name in wanted:
        if name not in names:
            raise IngestError(
                f"{place} has no column '{name}'.",
                did_you_mean(name, names) + " on= (--on) names the column with the ids.",
            )


def _plan(schema: pa.Schema, on: str, options: Options, place: str) -> list[Column]:
    """Return the columns to write, by the names they have in `samples`.

    Raises:
        IngestError: a name is one of ours, or two names are one for SQL; or there is no column.
    """
    ours = {name.lower() for name in cols.MEASURED} | {"id"}
    taken = [f.name for f in schema if f.name != on and f.name.strip().lower() in ours]
    if taken:
        raise IngestError(
            f"{place} has columns that SliceDB fills itself: {', '.join(taken)}.",
            f"rename them in the source, for example to '{taken[0]}_given', or name the others "
            f"with columns= (--columns); {_NOTHING}",
        )
    bytes_in = [f.name for f in schema if cols.is_image(f.type) and f.name != on]
    if bytes_in:
        raise IngestError(
            f"{place} has columns of bytes: {', '.join(bytes_in)}.",
            f"attach takes metadata; name the others with columns= (--columns); {_NOTHING}",
        )
    planned, notes = cols.plan(schema, {"id": on}, options)
    if notes:
        raise IngestError(f"{place}: {' '.join(notes)}", f"rename it in the source; {_NOTHING}")
    if not planned:
        raise IngestError(f"{place} has no column beside '{on}'.", "there is nothing to attach.")
    return planned


def _with_boxes_read(table: pa.Table, on: str) -> pa.Table:
    """Return a table whose columns of boxes that are written as JSON, as CSV has them, are read."""
    for at, name in enumerate(table.column_names):
        if name in (on, "objects") or not is_text(table.schema.field(at).type):
            continue
        texts = table[name].cast(pa.string())
        begins = pc.match_substring_regex(texts.drop_null(), r"^\s*(\[\s*(\{|\])|$)")
        any_box = pc.any(pc.match_substring_regex(texts, r"^\s*\[\s*\{")).as_py()
        if not any_box or not pc.all(begins).as_py():
            continue
        try:
            rows = [
                json.loads(text) if text and text.strip() else None for text in texts.to_pylist()
            ]
            read = pa.array(rows)
        except (ValueError, pa.ArrowException):
            continue
        if are_labelled_boxes(read.type):
            table = table.set_column(at, name, read)
    return table


def _converted(column: pa.ChunkedArray, about: Column, ids: pa.Array) -> pa.ChunkedArray:
    try:
        chunks = [about.convert(chunk) for chunk in column.chunks]
    except IngestError as error:
        if about.type == BOXES:
            raise _misshapen(column, about, ids) from error
        raise
    return pa.chunked_array(chunks, about.type)


def _misshapen(column: pa.ChunkedArray, about: Column, ids: pa.Array) -> IngestError:
    """Return the error for the first row of which a box is none, with its sample."""
    for row in range(len(column)):
        try:
            about.convert(column.slice(row, 1).combine_chunks())
        except IngestError as error:
            why = str(error).partition(" Hint: ")
            return IngestError(f"Sample '{ids[row]}': {why[0]}", why[2])
    raise AssertionError("every row by itself holds boxes")


def ids_of(column: pa.ChunkedArray, prefix: str, place: str) -> pa.Array:
    """Return the ids of rows, each behind the prefix.

    Raises:
        IngestError: a row has none, or they are no plain values.
    """
    try:
        ids = column.cast(pa.string()).combine_chunks()
    except pa.ArrowException as error:
        raise IngestError(
            f"The ids of {place} are {column.type}, not text: {str(error).splitlines()[0]}.",
            f"on= (--on) names the column with the ids; {_NOTHING}",
        ) from error
    empty = np.flatnonzero(~mask(pc.greater(pc.binary_length(ids), 0)))
    if len(empty):
        raise IngestError(
            f"{numbers.count(len(empty), 'row')} of {place} "
            f"{numbers.verb(len(empty), 'has', 'have')} no id, the first is row {empty[0] + 1:,}.",
            f"fill it in or remove the row; {_NOTHING}",
        )
    return pc.binary_join_element_wise(prefix.strip("/"), ids, "/") if prefix else ids


def _rows(store: Store, ids: pa.Array, place: str, partial: bool) -> tuple[int, Keys, int]:
    """Find the row of the table for each sample.

    Returns:
        The version of `samples`, int64 (n,): the row of each sample in stored order, -1 for none,
        and how many samples have none.

    Raises:
        IngestError: an id is unknown or comes twice, or a sample has no row.
    """
    version = store.version(SAMPLES)
    samples = store.table(SAMPLES, ["id", "status"], version=version)
    stored = samples["id"].combine_chunks()
    if stored.equals(ids):  # as a table that was exported from here; no id is hashed
        return version, np.arange(len(ids)), 0
    at = pc.index_in(ids, value_set=stored)
    if at.null_count:
        refuse_unknown(ids.filter(pc.is_null(at)), len(ids), stored, place)
    places = at.to_numpy()
    rows = np.full(len(stored), -1, np.int64)
    rows[places] = np.arange(len(ids))
    if (rows[places] != np.arange(len(ids))).any():
        refuse_doubled(ids, place)
    shown = mask(is_shown(samples["status"]))
    missing = np.flatnonzero((rows < 0) & shown)
    if len(missing) and not partial:
        raise IngestError(
            f"{len(missing):,} of {numbers.count(len(stored), 'sample')} "
            f"{numbers.verb(len(missing), 'has', 'have')} no row in {place}: "
            f"{_listed(stored.take(pa.array(missing[: _SHOWN + 1])))}.",
            f"partial=True (--partial) lets them keep what they have; {_NOTHING}",
        )
    return version, rows, len(missing)


def refuse_unknown(unknown: pa.Array, n: int, stored: pa.Array, place: str) -> None:
    """Raise for ids that no sample has.

    Args:
        unknown: those ids.
        n: the number of all ids in the source.
        stored: the ids of the samples.
        place: what errors call the source.
    """
    raise IngestError(
        f"{len(unknown):,} of {numbers.count(n, 'id')} in {place} "
        f"{numbers.verb(len(unknown), 'is no sample', 'are no samples')} here: {_listed(unknown)}.",
        did_you_mean(unknown[0].as_py(), stored[:20_000].to_pylist(), "samples")
        + f" prefix= (--prefix) is put before every id; {_NOTHING}",
    )


def refuse_doubled(ids: pa.Array, place: str) -> None:
    """Raise where an id comes more than once."""
    counts = ids.value_counts()
    doubled = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(doubled):
        raise IngestError(
            f"{numbers.count(len(doubled), 'id comes', 'ids come')} more than once in {place}: "
            f"{_listed(doubled)}.",
            f"keep one row per sample; {_NOTHING}",
        )


def _listed(ids: pa.Array) -> str:
    shown = ", ".join(repr(name) for name in ids[:_SHOWN].to_pylist())
    return f"{shown}, ..." if len(ids) > _SHOWN else shown


def _change(
    store: Store, ids: pa.Array, values: dict[str, pa.ChunkedArray], rows: Keys, version: int
) -> tuple[tuple[str, ...], list[str]]:
    """Write the values that differ; return the columns and the samples they are of."""
    if not values:
        return (), []
    here = np.flatnonzero(rows >= 0)
    before = store.table(SAMPLES, list(values), version=version).take(pa.array(here))
    after = pa.table(values).take(pa.array(rows[here]))
    differing = {name: _differs(before[name], after[name]) for name in values}
    changed = np.flatnonzero(np.any(list(differing.values()), axis=0))
    if not len(changed):
        return (), []
    names = [name for name, differs in differing.items() if differs.any()]
    changed_ids = ids.take(pa.array(rows[here[changed]]))
    table = after.select(names).take(pa.array(changed)).add_column(0, "id", changed_ids)
    store.upsert(SAMPLES, table, insert=False, expected_version=version)
    return tuple(names), changed_ids.to_pylist()


def _differs(old: pa.ChunkedArray, new: pa.ChunkedArray) -> np.ndarray:
    """Return bool (n,): where two columns of one type differ, null being a value of its own."""
    if pa.types.is_nested(old.type):
        return np.array([a != b for a, b in zip(old.to_pylist(), new.to_pylist())], bool)
    equal = pc.or_(
        pc.and_(pc.is_null(old), pc.is_null(new)), pc.fill_null(pc.equal(old, new), False)
    )
    return ~mask(equal)


def _in_order(values: dict[str, pa.ChunkedArray], rows: Keys) -> pa.Table:
    """Return columns in the order of the samples."""
    table = pa.table(values)
    if np.array_equal(rows, np.arange(len(table))):
        return table
    return table.take(pa.array(rows, mask=rows < 0))
