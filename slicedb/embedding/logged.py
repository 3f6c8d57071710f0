"""Store vectors that were computed elsewhere, checked row by row."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.embedding.encoder import Encoder
from slicedb.embedding.fingerprint import (
    Fingerprint,
    differing,
    fingerprint_json,
    is_logged,
    logged_fingerprint,
    title_of,
)
from slicedb.embedding.table import FINGERPRINT, check_name
from slicedb.errors import EmbeddingError, FingerprintError
from slicedb.ingest.attach import ids_of, read_table, refuse_doubled, refuse_unknown
from slicedb.keys import Keys
from slicedb.schema import EMBEDDINGS, SAMPLES, content_of, embeddings_schema, keys_of
from slicedb.show import numbers
from slicedb.show.tabular import Record
from slicedb.store import Store

Matrix = npt.NDArray[np.float32]

_NOTHING = "nothing was written."


@dataclass(frozen=True)
class LogEmbeddingsReport(Record):
    """What was stored of vectors that were computed elsewhere."""

    name: str
    """Of the embedding."""
    logged: int
    """Samples that have a vector from this call."""
    dim: int
    encoder: str
    """What texts are embedded with; "" where texts cannot be."""
    seconds: float

    def __str__(self) -> str:
        vectors = numbers.count(self.logged, "vector")
        text = f"{self.name}: {vectors} of {numbers.count(self.dim, 'number')} logged"
        text += f" ({self.seconds:.1f} s)"
        if self.encoder:
            return f"{text}\n  Texts are embedded with {self.encoder}."
        return f"{text}\n  There is no encoder: compare with sample('id'), not with texts."


def log_embeddings(
    store: Store,
    name: str,
    data: object,
    *,
    id_column: str = "id",
    vector_column: str | None = None,
    prefix: str = "",
    encoder: Encoder | None = None,
    replace: bool = False,
) -> LogEmbeddingsReport:
    """Store vectors by the ids of samples, all of them or none; they are scaled to unit length.

    Args:
        store: the database.
        name: of the embedding; its table is `embeddings__<name>`.
        data: a Parquet or Arrow file, a pyarrow table, a pandas or polars frame, or a mapping with
            an array (n, d).
        id_column: its column with the ids of samples.
        vector_column: its column of vectors; None takes the only column of lists of numbers.
        prefix: put before every id, with a slash.
        encoder: what made the vectors, so that texts and pictures can be compared with them.
        replace: discard the vectors that this name has from another encoder, or of another width.

    Raises:
        EmbeddingError: a vector has another width than the others, holds NaN or infinity, or has
            no length; the first row of each kind is named.
        FingerprintError: this name has vectors of another kind.
        SourceError: the source is missing, empty or unreadable.
        IngestError: an id is unknown, comes twice or is empty.
    """
    started = time.perf_counter()
    check_name(name)
    table, place = read_table(_listed(data), store.schema(SAMPLES), id_column)
    column = vector_column or _only_vectors(table, place)
    if column not in table.column_names:
        raise EmbeddingError(
            f"{place} has no column '{column}'; it has {', '.join(table.column_names[:8])}."
        )
    ids = ids_of(table[id_column], prefix, place)
    keys = _keys(store, ids, place)
    facts = _facts(store, name, encoder, replace)
    vectors = _vectors(table[column], ids, place, None if facts is None else facts["dim"])
    if facts is None:
        facts = logged_fingerprint(vectors.shape[1])
    _write(store, name, facts, _rows(store, ids, keys, vectors))
    store.sync()
    made_by = "" if is_logged(facts) else title_of(facts)
    return LogEmbeddingsReport(
        name, len(ids), vectors.shape[1], made_by, time.perf_counter() - started
    )


def _listed(data: object) -> object:
    """Return a mapping with its matrices as columns of lists; anything else as it is."""
    if not isinstance(data, dict):
        return data
    return {
        name: list(values) if isinstance(values, np.ndarray) and values.ndim == 2 else values
        for name, values in data.items()
    }


def _is_vectors(kind: pa.DataType) -> bool:
    is_list = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_it(kind) for is_it in is_list) and (
        pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
    )


def _only_vectors(table: pa.Table, place: str) -> str:
    names = [field.name for field in table.schema if _is_vectors(field.type)]
    if len(names) == 1:
        return str(names[0])
    raise EmbeddingError(
        f"{place} has {numbers.count(len(names), 'column')} of "
        f"vectors{': ' if names else ''}{', '.join(names)}.",
        "vector_column= (--vector-column) names the one to store, a list of numbers a row.",
    )


def _keys(store: Store, ids: pa.Array, place: str) -> Keys:
    """Return the keys of ids, each of which is a sample and comes once."""
    listed = ids.to_pylist()
    keys = keys_of(listed)
    known = store.present(SAMPLES, keys, ids=listed)
    if not known.all():
        stored = store.table(SAMPLES, ["id"])["id"].combine_chunks()
        refuse_unknown(ids.filter(pa.array(~known)), len(ids), stored, place)
    refuse_doubled(ids, place)
    return keys


def _facts(store: Store, name: str, encoder: Encoder | None, replace: bool) -> Fingerprint | None:
    """Return the fingerprint of the vectors, None where their width is not known yet.

    Raises:
        FingerprintError: there are vectors of another kind, and `replace` is False.
    """
    table = EMBEDDINGS + name
    given = None if encoder is None else encoder.fingerprint
    if replace or not store.has(table):
        return given
    before: Fingerprint = json.loads(store.metadata(table).get(FINGERPRINT, "{}"))
    same = is_logged(before) if given is None else not differing(before, given)
    if not same:
        other = "were logged without an encoder" if encoder is None else f"are {encoder.name}'s"
        raise FingerprintError(
            f"The embedding '{name}' was made by {title_of(before)}; these vectors {other}.",
            "give them another name, or replace=True (--replace) to discard the old ones.",
        )
    return before


def _vectors(column: pa.ChunkedArray, ids: pa.Array, place: str, dim: int | None) -> Matrix:
    """Return float32 (n, d), unit length.

    Args:
        column: lists of numbers.
        ids: of the rows.
        place: what errors call the source.
        dim: the width; None takes that of the first row.
    """
    if not _is_vectors(column.type):
        raise EmbeddingError(f"The vectors of {place} are {column.type}, not lists of numbers.")

    def refuse(wrong: npt.NDArray[np.bool_], what: Callable[[int], str]) -> None:
        rows = np.flatnonzero(wrong)
        if len(rows):
            first = int(rows[0])
            raise EmbeddingError(
                f"{len(rows):,} of {numbers.count(len(ids), 'vector')} in {place} {what(first)}; "
                f"the first is row {first + 1:,}, '{ids[first].as_py()}'.",
                f"correct or leave out the rows; {_NOTHING}",
            )

    array = column.combine_chunks()
    widths = np.asarray(pc.fill_null(pc.list_value_length(array), -1), dtype=np.int64)
    refuse(widths < 0, lambda _: "are missing")
    width = int(widths[0]) if dim is None else dim
    refuse(
        widths != width,
        lambda row: f"do not have {numbers.count(width, 'number')} (one has {widths[row]:,})",
    )
    flat = array.flatten().cast(pa.float32(), safe=False)
    vectors = flat.to_numpy(zero_copy_only=False).reshape(len(ids), width)
    refuse(~np.isfinite(vectors).all(axis=1), lambda _: "hold NaN or infinity")
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    refuse(lengths[:, 0] == 0, lambda _: "have length zero")
    return np.asarray(vectors / lengths, dtype=np.float32)


def _rows(store: Store, ids: pa.Array, keys: Keys, vectors: Matrix) -> pa.Table:
    samples = store.take(SAMPLES, keys, ["sha256"])
    flat = pa.array(vectors.reshape(-1))
    columns = {
        "id": ids,
        "key": pa.array(keys),
        "content": pa.array(content_of(samples["sha256"])),
        "vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
    }
    return pa.table(columns)


def _write(store: Store, name: str, facts: Fingerprint, rows: pa.Table) -> None:
    table, text = EMBEDDINGS + name, fingerprint_json(facts)
    schema = embeddings_schema(facts["dim"]).with_metadata({FINGERPRINT: text})
    if store.create(table, schema, rows.cast(schema)):
        return
    version = store.version(table)
    if store.metadata(table, version).get(FINGERPRINT) == text:
        store.upsert(table, rows)
    else:
        store.replace(table, schema, rows.cast(schema), expected_version=version)
