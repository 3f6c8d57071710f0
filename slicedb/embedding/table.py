"""Fill the tables of vectors, and open the encoder that made them."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.embedding.encoder import Encoder
from slicedb.embedding.fingerprint import differing, fingerprint_json, is_logged, title_of
from slicedb.embedding.light import keep_texts
from slicedb.embedding.type import load_encoder
from slicedb.errors import EmbeddingError, FingerprintError, UnknownEmbeddingError, did_you_mean
from slicedb.inference.runner import Outputs, run
from slicedb.ingest.unverified import verify_at_use
from slicedb.progress import Watch, bar
from slicedb.schema import EMBEDDINGS, embeddings_schema
from slicedb.show.numbers import count
from slicedb.show.tabular import Record
from slicedb.store import Store
from slicedb.store.work import Anew, Writer, failures, images_of, missing, samples_of

if TYPE_CHECKING:
    import torch

FINGERPRINT = "slicedb:fingerprint"
_LONGEST = 100
"""Characters of the name of an embedding."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*\Z")


@dataclass(frozen=True)
class EmbedReport(Record):
    """What an embedding run did."""

    name: str
    """Of the embedding."""
    model: str
    """The encoder that ran."""
    embedded: int
    unchanged: int
    """Samples whose vector was there already."""
    failed: int
    """Samples whose image did not decode; tried again next time."""
    quarantined: int
    """Samples whose status is not ok; they are never embedded."""
    seconds: float
    note: str = ""
    """What a user should know about the encoder."""
    examples: tuple[str, ...] = ()
    """The first failures: id and reason."""
    gone: int = 0
    """Samples that another process deleted meanwhile; they are left out."""

    def __str__(self) -> str:
        rate = self.embedded / self.seconds if self.seconds > 0 else 0.0
        text = f"{self.name} ({self.model}): {self.embedded:,} embedded"
        text += f", {self.unchanged:,} unchanged"
        if self.quarantined:
            text += f", {self.quarantined:,} quarantined left out"
        text += f" ({self.seconds:.1f} s"
        text += f", {rate:,.0f} images/s)" if self.embedded else ")"
        text += failures(self.failed, self.examples, self.gone)
        return text + (f"\n  {self.note}" if self.note and self.embedded else "")


def embed(
    store: Store,
    *,
    model: str = "slicedb-tiny",
    pretrained: str | None = None,
    name: str = "default",
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    keys: np.ndarray | None = None,
    replace: bool = False,
    threads: int | None = None,
    progress: Watch = None,
    encoder: Encoder | None = None,
) -> EmbedReport:
    """Embed the samples that have no vector for their present image; see `Database.embed`.

    Vectors are written as they are computed, so an interrupted run resumes.

    Args:
        keys: int64 (n,): which samples; None is all.
    """
    started = time.perf_counter()
    check_name(name)
    chosen = encoder or load_encoder(model, pretrained, device=device)
    table = EMBEDDINGS + name
    anew = _prepare(store, table, chosen, replace)
    verify_at_use(store, keys, progress)
    asked = samples_of(store, keys)
    samples = asked.rows
    done = store.table(table, ["key", "content"])
    todo = missing(samples, done if anew is None else done.slice(0, 0))
    rows = samples.take(pa.array(todo))
    keep_texts(store, chosen)
    writer = Writer(store, table, rows, _finish, 4 * chosen.dim, asked.version, anew)
    with bar(len(todo), f"embed {name}", progress) as shown:
        outputs = run(
            chosen, images_of(store, rows), batch_size=batch_size, device=device, threads=threads
        )
        try:
            with contextlib.closing(outputs):
                for output in outputs:
                    writer.add(_record_batch(output, chosen.dim))
                    shown.advance(len(output.ids))
        finally:  # also on Ctrl-C: what was computed is kept
            writer.flush()
        writer.close()
    return EmbedReport(
        name=name,
        model=chosen.name,
        embedded=len(todo) - writer.failed - writer.gone,
        unchanged=len(samples) - len(todo),
        failed=writer.failed,
        quarantined=asked.quarantined,
        seconds=time.perf_counter() - started,
        note=chosen.note,
        examples=tuple(writer.examples),
        gone=writer.gone,
    )


def check_name(name: str) -> None:
    """Refuse what cannot name an embedding."""
    if len(name) > _LONGEST:
        raise EmbeddingError(
            f"A name of {count(len(name), 'character')}.", f"use at most {_LONGEST}."
        )
    if not _NAME.match(name):
        raise EmbeddingError(
            f"{name!r} is no name for an embedding.", "use letters, digits, '_' and '-'."
        )


def _record_batch(outputs: Outputs, dim: int) -> pa.RecordBatch:
    values = outputs.values
    if not values.shape[1]:
        values = np.full((len(outputs.ids), dim), np.nan, dtype=np.float32)
    lost = np.asarray(~np.isfinite(values).all(axis=1))
    errors = [
        error or ("the vector is not finite" if bad else None)
        for error, bad in zip(outputs.errors, lost.tolist())
    ]
    flat = pa.array(np.ascontiguousarray(values).reshape(-1), pa.float32())
    return pa.RecordBatch.from_pydict(
        {
            "id": pa.array(outputs.ids, pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(flat, dim, mask=pa.array(lost)),
            "error": pa.array(errors, pa.string()),
        }
    )


def _finish(said: pa.Table, about: pa.Table) -> pa.Table:
    return pa.table(
        {
            "vector": said["vector"],
            "id": said["id"],
            "key": about["key"],
            "content": about["content"],
        }
    )


def _prepare(store: Store, table: str, encoder: Encoder, replace: bool) -> Anew | None:
    """Make the table ready for the encoder's vectors, or refuse to mix.

    Returns:
        What replaces the vectors of another encoder once the first new ones are there.
    """
    text = fingerprint_json(encoder.fingerprint)
    schema = embeddings_schema(encoder.dim).with_metadata({FINGERPRINT: text})
    if store.create(table, schema):
        return None
    version = store.version(table)
    before = json.loads(store.metadata(table, version).get(FINGERPRINT, "{}"))
    differences = differing(before, encoder.fingerprint)
    if not differences:
        return None
    if not replace:
        name = table.removeprefix(EMBEDDINGS)
        raise FingerprintError(
            f"The embedding '{name}' was made by {title_of(before)}, not by {encoder.name}: "
            f"{', '.join(differences)} differ.",
            "give the new one a name of its own (name=, --name), or throw the old vectors away "
            "(replace=True, --replace).",
        )
    return Anew(schema, version)


def encoder_of(
    store: Store, name: str = "default", *, device: torch.device | str | None = None
) -> Encoder:
    """Open the encoder that made an embedding.

    Raises:
        UnknownEmbeddingError: no embedding of that name.
        EmbeddingError: its weights cannot be had.
        FingerprintError: they are not what they were.
    """
    table = EMBEDDINGS + name
    if not store.has(table):
        made = [t.removeprefix(EMBEDDINGS) for t in _tables(store)]
        hint = did_you_mean(name, made, "embeddings") if made else "run `slicedb embed` first."
        raise UnknownEmbeddingError(f"No embedding '{name}'.", hint)
    before = json.loads(store.metadata(table).get(FINGERPRINT, "{}"))
    if is_logged(before):
        raise EmbeddingError(
            f"The vectors of '{name}' were logged without an encoder, so neither texts nor new "
            "pictures can be compared with them.",
            "compare with sample('id'), or log them again with encoder= (--encoder).",
        )
    if "model" not in before:
        raise EmbeddingError(
            f"The embedding '{name}' does not say which encoder made it.", "embed again."
        )
    encoder = _opened(before["model"], before.get("pretrained"), str(device or ""))
    differences = differing(before, encoder.fingerprint)
    if differences:
        raise FingerprintError(
            f"The embedding '{name}' was made by {title_of(before)}, whose "
            f"{', '.join(differences)} changed since.",
            "restore those weights, or embed again with replace=True (--replace).",
        )
    keep_texts(store, encoder)
    return encoder


def _tables(store: Store) -> Iterator[str]:
    return (name for name in store.names() if name.startswith(EMBEDDINGS))


@lru_cache(maxsize=2)
def _opened(model: str, pretrained: str | None, device: str) -> Encoder:
    return load_encoder(model, pretrained, device=device or None)
