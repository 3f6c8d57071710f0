"""Store vectors that were computed elsewhere, checked row by row."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from slicedb.cache import give_back
from slicedb.embedding.encoder import Encoder
from slicedb.embedding.fingerprint import (
    Fingerprint,
    differing,
    fingerprint_json,
    is_logged,
    logged_fingerprint,
    title_of,
)
from slicedb.embedding.given import GivenVectors, only_vectors, open_table
from slicedb.embedding.light import keep_texts
from slicedb.embedding.shares import FINGERPRINT
from slicedb.embedding.table import check_name
from slicedb.errors import EmbeddingError, FingerprintError
from slicedb.ingest.attach import ids_of, refuse_doubled, refuse_unknown
from slicedb.keys import Keys
from slicedb.schema import EMBEDDINGS, SAMPLES, content_of, embeddings_schema, keys_of
from slicedb.show import numbers
from slicedb.show.tabular import Record
from slicedb.store import Store

_AT_ONCE = 1 << 30
"""Bytes of vectors that are put into an existing table at once."""


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

    All are looked through before the first is written, and a Parquet file may be larger than
    memory. Where the name has vectors already, new ones come in parts of a gigabyte, one after
    the other: what is killed in between is complete when it is said again.

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
    given = open_table(data, store.schema(SAMPLES), id_column)
    column = vector_column or only_vectors(given)
    if column not in given.schema.names:
        raise EmbeddingError(
            f"{given.place} has no column '{column}'; it has {', '.join(given.schema.names[:8])}."
        )
    facts = _facts(store, name, encoder, replace)
    if encoder is not None:
        keep_texts(store, encoder)
        del encoder  # a gigabyte that is not needed any more, where the caller does not keep it
        gc.collect()
        give_back()
    ids = ids_of(given.column(id_column), prefix, given.place)
    keys = _keys(store, ids, given.place)
    vectors = GivenVectors(given, column, ids, None if facts is None else facts["dim"])
    if facts is None:
        facts = logged_fingerprint(vectors.dim)
    _write(store, name, facts, _Rows(store, ids, keys, vectors))
    store.sync()
    made_by = "" if is_logged(facts) else title_of(facts)
    return LogEmbeddingsReport(name, len(ids), vectors.dim, made_by, time.perf_counter() - started)


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


class _Rows:
    """The rows of the table, made a block at a time; they can be read more than once.

    Args:
        store: the database.
        ids: of the samples.
        keys: int64 (n,), theirs.
        vectors: in the order of the ids.
    """

    def __init__(self, store: Store, ids: pa.Array, keys: Keys, vectors: GivenVectors) -> None:
        samples = store.take(SAMPLES, keys, ["sha256"])
        self._ids, self._keys, self._vectors = ids, keys, vectors
        self._content = pa.array(content_of(samples["sha256"]))

    def __iter__(self) -> Iterator[pa.Table]:
        for start, vectors in self._vectors:
            n = len(vectors)
            columns = {
                "id": self._ids.slice(start, n),
                "key": pa.array(self._keys[start : start + n]),
                "content": self._content.slice(start, n),
                "vector": pa.FixedSizeListArray.from_arrays(
                    pa.array(vectors.reshape(-1)), self._vectors.dim
                ),
            }
            yield pa.table(columns)


def _write(store: Store, name: str, facts: Fingerprint, rows: _Rows) -> None:
    table, text = EMBEDDINGS + name, fingerprint_json(facts)
    schema = embeddings_schema(facts["dim"]).with_metadata({FINGERPRINT: text})
    if store.create(table, schema, rows):
        return
    version = store.version(table)
    if store.metadata(table, version).get(FINGERPRINT) != text:
        store.replace(table, schema, rows, expected_version=version)
        return
    for part in _gathered(rows):
        store.upsert(table, part)


def _gathered(rows: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield rows in parts that are written at once: all of them, where memory lets it."""
    held: list[pa.Table] = []
    for table in rows:
        if held and sum(one.nbytes for one in held) + table.nbytes > _AT_ONCE:
            yield pa.concat_tables(held)
            held = []
        held.append(table)
    if held:
        yield pa.concat_tables(held)
