"""Read tables of predictions from CSV, Parquet, pandas, polars and Arrow."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa

from slicedb.errors import PredictionError


def read(data: object, id_column: str = "id") -> pa.Table:
    """Return the rows of a table, frame or file.

    Args:
        data: the rows.
        id_column: read as text from CSV, whatever it looks like.

    Raises:
        PredictionError: there is no such file, or it is none of these.
    """
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if isinstance(data, dict):
        return pa.table(data)
    if isinstance(data, str | os.PathLike):
        return _read_file(Path(os.fspath(data)).expanduser(), id_column)
    if hasattr(data, "to_arrow"):  # polars, and our own results
        return pa.table(data.to_arrow())
    if hasattr(data, "columns") and hasattr(data, "iloc"):  # pandas
        return pa.Table.from_pandas(data, preserve_index=False)
    raise PredictionError(
        f"Predictions cannot be read from a {type(data).__name__}.",
        "give a pyarrow table, a pandas frame, or the path of a CSV or Parquet file.",
    )


def _read_file(path: Path, id_column: str) -> pa.Table:
    if not path.is_file():
        raise PredictionError(f"No file '{path}'.", "give a CSV or a Parquet file.")
    suffix = path.suffix.lower()
    try:
        if suffix in (".parquet", ".pq"):
            import pyarrow.parquet as pq

            return pq.read_table(path)
        if suffix in (".csv", ".tsv"):
            from pyarrow import csv

            options = csv.ParseOptions(delimiter="\t" if suffix == ".tsv" else ",")
            texts = csv.ConvertOptions(
                column_types={id_column: pa.string(), "prediction": pa.string()},
                strings_can_be_null=True,
            )
            return csv.read_csv(path, parse_options=options, convert_options=texts)
    except (pa.ArrowException, OSError) as error:
        raise PredictionError(f"'{path}' cannot be read: {error}") from error
    raise PredictionError(
        f"'{path.name}' is neither CSV nor Parquet.", "name it .csv, .tsv or .parquet."
    )


def with_ids(table: pa.Table, id_column: str, prefix: str, place: str) -> pa.Table:
    """Return the table with its ids in the column `id`, each behind the prefix.

    Raises:
        PredictionError: there is no such column, or another one is called `id`.
    """
    names = table.column_names
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
        ids = [i if i is None else f"{prefix}{i}" for i in table["id"].to_pylist()]
        table = table.set_column(table.column_names.index("id"), "id", pa.array(ids, pa.string()))
    return table
