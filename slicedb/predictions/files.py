"""Tables of predictions from CSV, Parquet, pandas and Arrow."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from slicedb.errors import PredictionError
from slicedb.predictions import boxes
from slicedb.predictions.checks import Part

_OWN = {
    "id",
    "key",
    "margin",
    "entropy",
    "loss",
    "correct",
    "label",
    "content",
    "fingerprint",
    "error",
    "tp",
    "fp",
    "fn",
    "iou",
    "truth",
    "target",
    "residual",
    "abs_error",
}
"""Columns that are derived here; in a file they are not read."""
_LISTS = ("probabilities", "logits")


def read(data: Any, id_column: str = "id") -> pa.Table:
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
    if isinstance(data, (str, os.PathLike)):
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
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            import pyarrow.parquet as pq

            return pq.read_table(path)
        if path.suffix.lower() in (".csv", ".tsv"):
            from pyarrow import csv

            options = csv.ParseOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
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


def named(table: pa.Table, id_column: str, prefix: str, place: str) -> pa.Table:
    """Return the table with its ids in the column `id`, each behind the prefix.

    Raises:
        PredictionError: there is no such column.
    """
    names = table.column_names
    if id_column not in names:
        raise PredictionError(
            f"{place} has no column '{id_column}'; it has {', '.join(names[:8])}.",
            "id_column= (--id-column) names the column with the ids of the samples.",
        )
    if id_column != "id":
        kept = [n for n in names if n != "id"]
        table = table.select(kept).rename_columns([{id_column: "id"}.get(n, n) for n in kept])
    if prefix:
        ids = [i if i is None else f"{prefix}{i}" for i in table["id"].to_pylist()]
        table = table.set_column(table.column_names.index("id"), "id", pa.array(ids, pa.string()))
    return table


def parts_of(table: pa.Table, classes: Sequence[str], place: str, *, several: bool = False) -> Part:
    """Find ids and what is predicted among the columns of a table.

    Args:
        table: a row a sample, or a row a box.
        classes: names that may be columns of probabilities.
        place: what errors call the source.
        several: probabilities are of labels that do not exclude one another.

    Raises:
        PredictionError: there is nothing predicted.
    """
    names = table.column_names
    plain = not {"prediction", "probabilities", "logits"} & set(names)
    if "objects" not in names and plain and boxes.is_long(names):
        table, names = boxes.grouped(table, place), ["id", "objects"]
    if "objects" in names and plain:
        objects = boxes.column_of(table["objects"], place)
        return Part(table["id"].to_pylist(), objects=objects, columns=_rest(table, {"objects"}))
    if "value" in names and plain:
        value = _doubles(table["value"], "value", place)
        return Part(table["id"].to_pylist(), value=value, columns=_rest(table, {"value"}))
    lists = {name: _lists(table[name], name, place) for name in _LISTS if name in names}
    spread = [name for name in classes if name in names]
    if not lists and spread:
        missing = [name for name in classes if name not in names]
        if missing:
            raise PredictionError(
                f"{place} has a column of probabilities for {len(spread)} of {len(classes)} "
                f"classes; '{missing[0]}' has none.",
                "give one column a class, named like it.",
            )
        lists["probabilities"] = np.stack(
            [_floats(table[name], name, place) for name in classes], axis=1
        )
    used = {*_LISTS, *spread, "prediction", "confidence"}
    if several or ("labels" in names and plain):
        sets = table["labels"] if "labels" in names else None
        rest = _rest(table, {*used, "labels"})
        found = lists.get("logits"), lists.get("probabilities")
        return Part.of_sets(table["id"].to_pylist(), *found, sets, rest)
    if not lists and "prediction" not in names:
        raise PredictionError(
            f"Nothing is predicted in {place}; it has {', '.join(names[:8])}.",
            "give a column prediction, probabilities, objects, value or labels; where columns are "
            "named like classes, classes= (--classes A,B) says so.",
        )
    prediction = _predictions(table["prediction"]) if "prediction" in names else None
    confidence = None
    if "confidence" in names and not lists:
        confidence = _floats(table["confidence"], "confidence", place)
    return Part.of(
        table["id"].to_pylist(),
        lists.get("logits"),
        lists.get("probabilities"),
        prediction,
        confidence,
        _rest(table, used),
    )


def _rest(table: pa.Table, used: set[str]) -> dict[str, Any]:
    """Return the columns that are the user's own."""
    return {name: table[name] for name in table.column_names if name not in used | _OWN}


def _predictions(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    values: list[Any] = column.to_pylist()
    return values


def _doubles(column: pa.ChunkedArray, name: str, place: str) -> np.ndarray:
    try:
        numbers = column.cast(pa.float64())
    except pa.ArrowException as error:
        raise PredictionError(f"Column '{name}' of {place} is not numeric: {error}") from error
    return np.asarray(numbers.to_numpy(), dtype=np.float64)


def _floats(column: pa.ChunkedArray, name: str, place: str) -> np.ndarray:
    try:
        numbers = column.cast(pa.float32())
    except pa.ArrowException as error:
        raise PredictionError(f"Column '{name}' of {place} is not numeric: {error}") from error
    return np.asarray(numbers.to_numpy(), dtype=np.float32)


def _lists(column: pa.ChunkedArray, name: str, place: str) -> np.ndarray:
    """Return a list column, or a text column of JSON lists, as float32 (n, c)."""
    rows: list[Any] = column.to_pylist()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        rows = [_json(row, i, name, place) for i, row in enumerate(rows)]
    width = len(rows[0]) if rows and rows[0] is not None else 0
    for i, row in enumerate(rows):
        if row is None or len(row) != width:
            length = "no" if row is None else str(len(row))
            raise PredictionError(
                f"Row {i + 1} of {place} has {length} {name}, the first has {width}.",
                "give every row one value a class.",
            )
    return np.array(rows, dtype=np.float32).reshape(len(rows), width)


def _json(text: Any, row: int, name: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError) as error:
        raise PredictionError(
            f"Row {row + 1} of {place}: {text!r} is no list of numbers ({name}).",
            "write [0.1, 0.9], or one column a class.",
        ) from error
