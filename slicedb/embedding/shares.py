"""Embed one share of the samples, in this process or in any other."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from slicedb.embedding.encoder import Encoder
from slicedb.embedding.fingerprint import differing, fingerprint_json, title_of
from slicedb.embedding.type import load_encoder
from slicedb.errors import EmbeddingError, FingerprintError
from slicedb.inference.decoding import Decoding
from slicedb.inference.runner import Outputs, default_batch_size, pick_device, run
from slicedb.progress import Bar
from slicedb.schema import EMBEDDINGS, embeddings_schema
from slicedb.store import Store
from slicedb.store.shares import Place, Tally
from slicedb.store.work import Anew, Writer, images_of

if TYPE_CHECKING:
    import torch

FINGERPRINT = "slicedb:fingerprint"


@dataclass(frozen=True)
class EmbedJob:
    """Which encoder embeds, in names."""

    name: str
    """Of the embedding."""
    model: str
    pretrained: str | None
    fingerprint: str
    """Of the encoder, as JSON."""
    version: int
    """Of the samples that the shares are of."""
    replace: bool
    batch_size: int | None
    size: int
    row_bytes: int

    @classmethod
    def of(
        cls,
        name: str,
        encoder: Encoder,
        version: int,
        replace: bool,
        batch_size: int | None,
        device: torch.device | str | None,
    ) -> Self:
        """Return the job of an encoder that is open here.

        Raises:
            EmbeddingError: it does not say which one it is.
        """
        facts = dict(encoder.fingerprint)
        if not isinstance(facts.get("model"), str):
            raise EmbeddingError(
                f"The encoder {encoder.name} is a Python object, which lives in this process only.",
                "name it by model= and pretrained=, or leave out workers= and engine=.",
            )
        chosen = pick_device(device, encoder)
        size = default_batch_size(encoder.preprocessing.size, chosen, encoder.n_parameters())
        tag = facts.get("pretrained")
        return cls(
            name,
            str(facts["model"]),
            None if tag is None else str(tag),
            fingerprint_json(encoder.fingerprint),
            version,
            replace,
            batch_size,
            batch_size or size,
            4 * encoder.dim,
        )

    @property
    def table(self) -> str:
        """The table of the vectors."""
        return EMBEDDINGS + self.name

    def open(self, store: Store, place: Place) -> Embedding:
        """Open the encoder.

        Raises:
            FingerprintError: it is not the one that was meant.
        """
        encoder = load_encoder(self.model, self.pretrained, device=place.device)
        before = json.loads(self.fingerprint)
        if differences := differing(before, encoder.fingerprint):
            raise FingerprintError(
                f"The encoder {title_of(before)} is another one on {socket.gethostname()}: "
                f"{', '.join(differences)} differ.",
                "give all machines the same weights and the same versions of packages.",
            )
        anew = prepare(store, self.table, encoder, self.replace)
        return Embedding(store, self.table, encoder, self.version, anew, self.batch_size, place)


class Embedding:
    """Computes and writes the vectors of some samples.

    Args:
        store: the database.
        table: the table of the vectors.
        encoder: what makes them.
        version: of the samples.
        anew: what the first of them replace.
        batch_size: images per batch; None suits the device.
        place: the device, the threads, and which chip decodes.
    """

    def __init__(
        self,
        store: Store,
        table: str,
        encoder: Encoder,
        version: int,
        anew: Anew | None,
        batch_size: int | None,
        place: Place,
    ) -> None:
        self._store, self._table, self._encoder = store, table, encoder
        self._version, self._anew = version, anew
        self._batch_size, self._place = batch_size, place

    def __call__(self, rows: pa.Table, shown: Bar) -> Tally:
        """Embed samples: id, key and content, (n,)."""
        encoder, store = self._encoder, self._store
        writer = Writer(
            store,
            self._table,
            rows,
            _finish,
            4 * encoder.dim,
            self._version,
            self._anew,
            self._again,
        )
        decoding = Decoding(self._place.decode)
        outputs = run(
            encoder,
            images_of(store, rows),
            batch_size=self._batch_size,
            device=self._place.device,
            threads=self._place.threads,
            decoding=decoding,
        )
        try:
            with contextlib.closing(outputs):
                for output in outputs:
                    writer.add(_record_batch(output, encoder.dim))
                    shown.advance(len(output.ids))
        finally:  # also on Ctrl-C: what was computed is kept
            writer.flush()
        writer.close()
        self._anew = None
        return replace(writer.tally(), decoded=decoding.decoded)

    def _again(self) -> Anew | None:
        return prepare(self._store, self._table, self._encoder, replace=True)


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


def prepare(store: Store, table: str, encoder: Encoder, replace: bool) -> Anew | None:
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
