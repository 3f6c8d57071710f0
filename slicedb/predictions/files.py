"""Read tables of predictions from CSV, Parquet, pandas, polars and Arrow.

Parquet is read a part at a time, since the probabilities of many classes may not fit the memory.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import PredictionError
from slicedb.ingest.columns import GUESSES, STEMS
from slicedb.ingest.csv import delimiter_of
from slicedb.show.numbers import count
from slicedb.sources import Location
from slicedb.tasks.arrays import one_array
from slicedb.tasks.given import stacked
from slicedb.tasks.givenmaps import in_files

_PARQUET = (".parquet", ".pq")
_BUFFER = 1 << 20
"""Bytes that are read ahead; otherwise a row group, often the whole file, is held."""
_IDS = 1 << 17
"""Ids that are read at once."""

_LONGEST = 200
"""Characters of the name of a column."""


def read(data: object, id_column: str = "id") -> pa.Table:
    """Return the rows of a table, frame or file.

    Args:
        data: the rows.
        id_column: read as text from CSV, whatever it looks like.

    Raises:
        PredictionError: there is no such file, or it is none of these.
    """
    if isinstance(data, str | os.PathLike):
        return _distinct(_read_file(Path(os.fspath(data)).expanduser(), id_column), str(data))
    try:
        table = _held(data)
    except (pa.ArrowException, TypeError, ValueError, KeyError) as error:
        raise PredictionError(
            f"The table cannot be read: {str(error).splitlines()[0]}",
            "its columns are lists or arrays of one length and one type each.",
        ) from error
    if table is not None:
        return _distinct(table, "the table")
    raise PredictionError(
        f"Predictions cannot be read from a {type(data).__name__}.",
        "give a pyarrow table, a pandas frame, or the path of a CSV or Parquet file.",
    )


def _held(data: object) -> pa.Table | None:
    """Return a table or frame in memory as a table; None where it is neither."""
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if isinstance(data, dict):
        return _of_columns(data)
    if hasattr(data, "to_arrow"):  # polars, and our own results
        return pa.table(data.to_arrow())
    if hasattr(data, "columns") and hasattr(data, "iloc"):  # pandas
        return pa.Table.from_pandas(data, preserve_index=False)
    return None


def _distinct(table: pa.Table, place: str) -> pa.Table:
    """Return a table that is whole and whose columns have names of their own."""
    try:
        names = table.column_names
        table.validate(full=True)  # a damaged file may speak of values it does not have
    except (UnicodeDecodeError, pa.ArrowException) as error:
        raise PredictionError(f"{place} is damaged: {str(error).splitlines()[0]}") from error
    for name, n in Counter(names).items():
        if n > 1:
            raise PredictionError(
                f"{place} has {count(n, 'column')} '{name}'.", "rename or leave out one."
            )
        if len(name) > _LONGEST or not name.strip() or "\0" in name:
            raise PredictionError(
                f"A column of {place} is called {name[:40]!r} ({count(len(name), 'character')}).",
                f"rename it: a name has 1 to {_LONGEST} characters.",
            )
    return table


def _of_columns(columns: dict[str, object]) -> pa.Table:
    """Return columns of any kind as a table; an array or a tensor (n, c) is a list a row.

    Raises:
        PredictionError: they are no columns of one length.
    """
    coded = {n: v if n != "mask" else in_files(v) for n, v in columns.items()}
    given = {name: stacked(values) for name, values in coded.items()}
    try:
        return pa.table({name: _column(values) for name, values in given.items()})
    except (pa.ArrowException, TypeError) as error:
        raise PredictionError(f"The columns cannot be read: {error}") from error


def _column(values: object) -> object:
    if not isinstance(values, np.ndarray) or values.ndim != 2:
        return values
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _read_file(path: Path, id_column: str) -> pa.Table:
    if not path.is_file():
        raise PredictionError(f"No file '{path}'.", "give a CSV or a Parquet file.")
    suffix = path.suffix.lower()
    with _reading(path):
        if suffix in _PARQUET:
            import pyarrow.parquet as pq

            return pq.read_table(path)
        if suffix in (".csv", ".tsv"):
            from pyarrow import csv

            delimiter = delimiter_of(Location(str(path)))
            options = csv.ParseOptions(delimiter=delimiter)
            texts = csv.ConvertOptions(
                column_types={id_column: pa.string(), "prediction": pa.string()},
                strings_can_be_null=True,
            )
            table = csv.read_csv(path, parse_options=options, convert_options=texts)
            return with_points(table) if delimiter == ";" else table
    raise PredictionError(
        f"'{path.name}' is neither CSV nor Parquet.", "name it .csv, .tsv or .parquet."
    )


def with_points(table: pa.Table) -> pa.Table:
    """Return a table whose numbers were written with a comma, as they are beside semicolons.

    >>> with_points(pa.table({"score": ["0,5", None], "name": ["a,b", "c"]}))["score"].to_pylist()
    [0.5, None]
    """
    for at, name in enumerate(table.column_names):
        column = table[name]
        if not pa.types.is_string(column.type) or column.null_count == len(column):
            continue
        fits = pc.all(pc.match_substring_regex(column, r"^[+-]?\d+(,\d+)?$")).as_py()
        if fits and pc.any(pc.match_substring(column, ",")).as_py():
            numbers = pc.replace_substring(column, ",", ".").cast(pa.float64())
            table = table.set_column(at, name, numbers)
    return table


def _named_pictures(names: Sequence[str]) -> str | None:
    """Return the column that names pictures, where none is called id."""
    lower = {name.lower(): name for name in names}
    return next((lower[guess] for guess in (*GUESSES["path"], *STEMS) if guess in lower), None)


def _with_ids(table: pa.Table, id_column: str, prefix: str, place: str) -> pa.Table:
    """Return the table with its ids in the column `id`, each behind the prefix.

    Raises:
        PredictionError: there is no such column, or another one is called `id`.
    """
    names = table.column_names
    if id_column == "id" and "id" not in names:
        id_column = _named_pictures(names) or id_column
    if id_column not in names:
        raise PredictionError(
            f"{place} has no column '{id_column}'; it has {', '.join(names[:8])}.",
            "id_column= (--id-column) names the column with the ids of the samples.",
        )
    if id_column != "id":
        if "id" in names:
            raise PredictionError(
                f"{place} has a column 'id' beside '{id_column}', which names the samples.",
                "rename it to keep it (for example to 'number'), or leave it out.",
            )
        table = table.rename_columns(["id" if name == id_column else name for name in names])
    if prefix:
        ids = pc.binary_join_element_wise(prefix, table["id"].cast(pa.string()), "")
        table = table.set_column(table.column_names.index("id"), "id", ids)
    return table


@dataclass(frozen=True)
class GivenTable:
    """Predictions by rows, their ids in the column `id`."""

    names: list[str]
    """The columns."""
    ids: pa.Array
    parts: Callable[[int], Iterator[pa.Table]]
    """From a number of rows to tables of so many at most, in order, from the first each time; of no
    rows one table without any."""

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """Return a table that is in memory."""

        def parts(size: int) -> Iterator[pa.Table]:
            for start in range(0, max(1, len(table)), size):
                yield table.slice(start, size)

        return cls(table.column_names, one_array(table["id"]), parts)

    def table(self) -> pa.Table:
        """Return all rows."""
        return pa.concat_tables(self.parts(max(1, len(self.ids))))


def open_table(data: object, id_column: str, prefix: str, place: str) -> GivenTable:
    """Open the rows of a table, frame or file; see `read` and `_with_ids`.

    Raises:
        PredictionError: there is no such file, it is none of these, or it lacks the column.
    """
    path = Path(os.fspath(data)).expanduser() if isinstance(data, str | os.PathLike) else None
    if path is None or path.suffix.lower() not in _PARQUET or not path.is_file():
        return GivenTable.of(_with_ids(read(data, id_column), id_column, prefix, place))
    import pyarrow.parquet as pq

    with _reading(path):
        schema = pq.read_schema(path)
    empty_table = _distinct(schema.empty_table(), place)
    names = _with_ids(empty_table, id_column, prefix, place).column_names

    def parts(size: int, columns: list[str] | None = None) -> Iterator[pa.Table]:
        with _reading(path), pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
            if not file.metadata.num_rows:
                yield _with_ids(
                    empty_table.select(columns or schema.names), id_column, prefix, place
                )
            for batch in file.iter_batches(size, columns=columns):
                table = pa.Table.from_batches([batch])
                yield _with_ids(table, id_column, prefix, place)

    if id_column not in schema.names:
        id_column = _named_pictures(schema.names) or id_column
    ids = [part["id"] for part in parts(_IDS, [id_column])]
    empty = schema.field(id_column).type
    chunks = [chunk for column in ids for chunk in column.chunks]
    joined = pa.concat_arrays(chunks) if chunks else pa.array([], empty)
    pa.default_memory_pool().release_unused()  # decoding takes twice what the ids do
    return GivenTable(names, joined, parts)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise PredictionError(f"'{path}' cannot be read: {error}") from error
