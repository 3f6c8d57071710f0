"""Read vectors that were computed elsewhere: checked, of unit length, a block at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import EmbeddingError, IngestError, SourceError, did_you_mean
from slicedb.ingest import parquet
from slicedb.ingest.attach import read_table
from slicedb.ingest.tabular import refuse_same_names, unreadable
from slicedb.show import numbers
from slicedb.sources import Location

if TYPE_CHECKING:
    import pyarrow.parquet as pq

Matrix = npt.NDArray[np.float32]

_BLOCK = 32 << 20
"""Bytes of a block of vectors in float32; checking their lengths takes six times as much."""
_NOTHING = "nothing was written."


class GivenTable:
    """A table that is in memory.

    Args:
        table: its rows.
        place: what errors call it.
    """

    def __init__(self, table: pa.Table, place: str) -> None:
        self._table = table
        self.place = place
        self.schema: pa.Schema = table.schema

    def column(self, name: str) -> pa.ChunkedArray:
        """Return all values of a column."""
        return self._table[name]

    def blocks(self, name: str, rows: int) -> Iterator[pa.Array]:
        """Yield the values of a column, so many rows at a time."""
        column = self._table[name]
        for start in range(0, len(column), rows):
            yield _one(column.slice(start, rows))


class GivenParquet:
    """A Parquet file, of which no more than a few blocks are in memory.

    Args:
        location: of the file.

    Raises:
        SourceError: it is unreadable.
        IngestError: two of its columns have one name.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self.place = f"'{location}'"
        with self._opened() as file:
            self.schema: pa.Schema = file.schema_arrow
        refuse_same_names(location, self.schema)

    def column(self, name: str) -> pa.ChunkedArray:
        """Return all values of a column."""
        with self._opened() as file:
            return file.read(columns=[name])[name]

    def blocks(self, name: str, rows: int) -> Iterator[pa.Array]:
        """Yield the values of a column, at most so many rows at a time."""
        with self._opened() as file:
            for batch in file.iter_batches(batch_size=rows, columns=[name]):
                yield batch.column(0)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        import pyarrow.parquet as pq

        try:
            with self._location.open() as file:
                yield pq.ParquetFile(file)
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self._location, error) from error


def open_table(data: object, existing: pa.Schema, on: str) -> GivenTable | GivenParquet:
    """Open a file, a table, a frame, or a mapping with matrices among its values.

    Args:
        data: see `log_embeddings`.
        existing: the columns of samples, whose types a CSV file is read in.
        on: the column with the ids of samples.

    Raises:
        SourceError: it is missing, empty or unreadable.
        IngestError: it has no such column.
    """
    if isinstance(data, str | os.PathLike):
        location = Location(str(Path(data).expanduser()))
        if location.is_file() and parquet.recognises(location):
            given = GivenParquet(location)
            if on not in given.schema.names:
                raise IngestError(
                    f"{given.place} has no column '{on}'.",
                    did_you_mean(on, given.schema.names)
                    + " id_column= (--id-column) names the column with the ids.",
                )
            if not len(given.column(on)):
                raise SourceError(f"{given.place} has no rows.", "it needs one row per sample.")
            return given
    return GivenTable(*read_table(_listed(data), existing, on))


def _listed(data: object) -> object:
    """Return a mapping with its matrices as columns of lists; anything else as it is."""
    if not isinstance(data, dict):
        return data
    return {
        name: _lists_of(values) if isinstance(values, np.ndarray) and values.ndim == 2 else values
        for name, values in data.items()
    }


def _lists_of(matrix: np.ndarray) -> pa.Array:
    """Return a matrix as a column of lists, which is its memory where it is contiguous."""
    flat = pa.array(np.ascontiguousarray(matrix).reshape(-1))
    if not matrix.shape[1]:
        return pa.array([[]] * len(matrix), pa.list_(flat.type))
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def _one(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if hasattr(combined, "chunks") else combined


def is_vectors(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds lists of numbers."""
    is_list = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_it(kind) for is_it in is_list) and (
        pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
    )


def only_vectors(given: GivenTable | GivenParquet) -> str:
    """Return the name of the only column of lists of numbers.

    Raises:
        EmbeddingError: there is none, or several.
    """
    names = [field.name for field in given.schema if is_vectors(field.type)]
    if len(names) == 1:
        return str(names[0])
    raise EmbeddingError(
        f"{given.place} has {numbers.count(len(names), 'column')} of "
        f"vectors{': ' if names else ''}{', '.join(names)}.",
        "vector_column= (--vector-column) names the one to store, a list of numbers a row.",
    )


@dataclass
class _Fault:
    """What is wrong with some vectors."""

    what: str
    """What errors say of them; {} is the number that the first one has."""
    n: int = 0
    row: int = 0
    """The first of them."""
    number: int = 0

    def add(self, wrong: npt.NDArray[np.bool_], start: int, values: npt.ArrayLike = ()) -> None:
        """Count the wrong ones of a block of rows."""
        rows = np.flatnonzero(wrong)
        if len(rows) and not self.n:
            self.row = start + int(rows[0])
            self.number = int(np.asarray(values)[rows[0]]) if np.size(values) else 0
        self.n += len(rows)


class GivenVectors:
    """The vectors of a table, looked through once before the first is used.

    Args:
        given: the table.
        column: its column of vectors.
        ids: of its rows.
        dim: the width that they have to have; None takes that of the first.

    Raises:
        EmbeddingError: a vector is missing, has another width than the others, holds NaN or
            infinity, or has no length; they are counted and the first is named.
    """

    def __init__(
        self, given: GivenTable | GivenParquet, column: str, ids: pa.Array, dim: int | None
    ) -> None:
        kind = given.schema.field(column).type
        if not is_vectors(kind):
            raise EmbeddingError(f"The vectors of {given.place} are {kind}, not lists of numbers.")
        self._given, self._column, self._ids = given, column, ids
        first = next(given.blocks(column, 1))
        self.dim = int(pc.list_value_length(first)[0].as_py() or 0) if dim is None else dim
        """Width of a vector."""
        self._look_through()

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def rows_at_once(self) -> int:
        """Rows of a block."""
        return max(1, _BLOCK // max(1, 4 * self.dim))

    def __iter__(self) -> Iterator[tuple[int, Matrix]]:
        """Yield (first row, float32 (m, d) of unit length) of consecutive rows."""
        for start, array in self._blocks():
            vectors = _flat(array).reshape(len(array), self.dim)
            yield start, np.asarray(vectors / _lengths(vectors), dtype=np.float32)

    def _blocks(self) -> Iterator[tuple[int, pa.Array]]:
        start = 0
        for array in self._given.blocks(self._column, self.rows_at_once):
            yield start, array
            start += len(array)

    def _look_through(self) -> None:
        missing = _Fault("are missing")
        wide = _Fault(f"do not have {numbers.count(self.dim, 'number')} (one has {{:,}})")
        odd, empty = _Fault("hold NaN or infinity"), _Fault("have length zero")
        for start, array in self._blocks():
            widths = np.asarray(pc.fill_null(pc.list_value_length(array), -1), dtype=np.int64)
            missing.add(widths < 0, start)
            wide.add((widths >= 0) & (widths != self.dim), start, widths)
            if missing.n or wide.n:
                continue
            vectors = _flat(array).reshape(len(array), self.dim)
            odd.add(np.asarray(~np.isfinite(vectors).all(axis=1)), start)
            if not odd.n:
                empty.add(_lengths(vectors)[:, 0] == 0, start)
        for fault in (missing, wide, odd, empty):
            if fault.n:
                raise EmbeddingError(
                    f"{fault.n:,} of {numbers.count(len(self), 'vector')} in {self._given.place} "
                    f"{fault.what.format(fault.number)}; the first is row {fault.row + 1:,}, "
                    f"'{self._ids[fault.row].as_py()}'.",
                    f"correct or leave out the rows; {_NOTHING}",
                )


def _flat(array: pa.Array) -> Matrix:
    flat = array.flatten().cast(pa.float32(), safe=False)
    return np.asarray(flat.to_numpy(zero_copy_only=False))


def _lengths(vectors: Matrix) -> npt.NDArray[np.float64]:
    return np.asarray(np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True))
