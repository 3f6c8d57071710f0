"""Fill the tables of vectors, and open the encoder that made them."""

from __future__ import annotations

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
from slicedb.embedding.fingerprint import differing, is_logged, title_of
from slicedb.embedding.light import keep_texts
from slicedb.embedding.shares import FINGERPRINT, Embedding, EmbedJob, prepare
from slicedb.embedding.type import load_encoder
from slicedb.errors import EmbeddingError, FingerprintError, UnknownEmbeddingError, did_you_mean
from slicedb.ingest.unverified import verify_at_use
from slicedb.progress import Watch, bar
from slicedb.schema import EMBEDDINGS
from slicedb.show.numbers import count
from slicedb.show.tabular import Record
from slicedb.store import Store
from slicedb.store.shares import Crew, Place, work_off
from slicedb.store.work import failures, missing, samples_of

if TYPE_CHECKING:
    import torch

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
    notes: tuple[str, ...] = ()
    """What decoded the pictures, where a GPU was asked to."""

    def __str__(self) -> str:
        rate = self.embedded / self.seconds if self.seconds > 0 else 0.0
        text = f"{self.name} ({self.model}): {self.embedded:,} embedded"
        text += f", {self.unchanged:,} unchanged"
        if self.quarantined:
            text += f", {self.quarantined:,} quarantined left out"
        text += f" ({self.seconds:.1f} s"
        text += f", {rate:,.0f} images/s)" if self.embedded else ")"
        text += failures(self.failed, self.examples, self.gone)
        text += f"\n  {self.note}" if self.note and self.embedded else ""
        return text + "".join(f"\n  {note}" for note in self.notes)


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
    crew: Crew | None = None,
    decode: str = "cpu",
) -> EmbedReport:
    """Embed the samples that have no vector for their present image; see `Database.embed`.

    Vectors are written as they are computed, so an interrupted run resumes.

    Args:
        keys: int64 (n,): which samples; None is all.
        crew: processes that do it; None is this one.
        decode: which chip decodes in this process, see `inference.decoding.How`.
    """
    started = time.perf_counter()
    check_name(name)
    chosen = encoder or load_encoder(model, pretrained, device=device)
    table = EMBEDDINGS + name
    anew = prepare(store, table, chosen, replace)
    verify_at_use(store, keys, progress)
    asked = samples_of(store, keys)
    samples = asked.rows
    done = store.table(table, ["key", "content"])
    todo = missing(samples, done if anew is None else done.slice(0, 0))
    rows = samples.take(pa.array(todo))
    keep_texts(store, chosen)
    with bar(len(todo), f"embed {name}", progress) as shown:
        if crew is not None and len(rows):
            job = EmbedJob.of(name, chosen, asked.version, replace, batch_size, device)
            tally = work_off(store, job, rows, crew, shown)
        else:
            place = Place(None if device is None else str(device), threads, decode)
            work = Embedding(store, table, chosen, asked.version, anew, batch_size, place)
            tally = work(rows, shown)
    tally.decoded.record(store, table)
    return EmbedReport(
        name=name,
        model=chosen.name,
        embedded=len(todo) - tally.failed - tally.gone,
        unchanged=len(samples) - len(todo),
        failed=tally.failed,
        quarantined=asked.quarantined,
        seconds=time.perf_counter() - started,
        note=chosen.note,
        examples=tally.examples,
        gone=tally.gone,
        notes=tally.decoded.notes(),
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
