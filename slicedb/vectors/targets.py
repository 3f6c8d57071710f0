"""Targets of meaning to unit vectors: texts through the encoder, pictures, samples."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slicedb.errors import BindError, MediaError, QueryError
from slicedb.query.bind.catalog import TableInfo
from slicedb.query.bind.scope import Target
from slicedb.schema import keys_of
from slicedb.vectors.matrix import Matrix

if TYPE_CHECKING:
    from slicedb.embedding import Encoder

_KEPT = 10_000  # texts kept encoded
_NOTHING = 1e-6  # length under which targets leave no direction


class Targets:
    """Encodes targets, and keeps the texts it has encoded.

    Args:
        encoder: gives the encoder an embedding was made with, by the embedding's name.
    """

    def __init__(self, encoder: Callable[[str], Encoder]) -> None:
        self.encoder = encoder
        self._texts: dict[tuple[str, int, str], np.ndarray] = {}
        self._lock = threading.RLock()

    def direction(
        self, embedding: str, targets: Sequence[Target], info: TableInfo, matrix: Matrix
    ) -> np.ndarray:
        """Return float32 (d,), unit length: the weighted sum of the targets.

        Raises:
            QueryError: the targets cancel out, or cannot be encoded.
        """
        parts = [t.weight * self.vector(embedding, t, info, matrix) for t in targets]
        total = np.sum(parts, axis=0)
        length = float(np.linalg.norm(total))
        if length < _NOTHING:
            message = f"The targets {', '.join(map(str, targets))} cancel out."
            raise _located(targets[0], message)
        return np.asarray(total / length, dtype=np.float32)

    def vector(self, embedding: str, target: Target, info: TableInfo, matrix: Matrix) -> np.ndarray:
        """Return float32 (d,), unit length, of one target; its weight is left out."""
        if target.kind == "text":
            vector = self.text(embedding, target.value, info)
        elif target.kind == "sample":
            vector = _of_sample(target, matrix)
        else:
            vector = self._image(embedding, target)
        if vector.shape != (matrix.dim,):
            raise QueryError(
                f"The encoder of embedding '{embedding}' gives {vector.shape[-1]} numbers, "
                f"the stored vectors have {matrix.dim}."
            )
        return vector

    def text(self, embedding: str, text: str, info: TableInfo) -> np.ndarray:
        """Return float32 (d,), unit length, of a text as an ensemble of prompts."""
        slot = (info.name, info.version, text)
        with self._lock:
            if slot not in self._texts:
                if len(self._texts) > _KEPT:
                    self._texts.clear()
                vector = self.encoder(embedding).encode_prompt(text)
                self._texts[slot] = np.asarray(vector, dtype=np.float32).reshape(-1)
            found: np.ndarray = self._texts[slot]
            return found

    def _image(self, embedding: str, target: Target) -> np.ndarray:
        from slicedb import media

        try:
            picture = media.decode(Path(target.value).read_bytes())
        except (OSError, MediaError) as error:
            message = f"The image file '{target.value}' cannot be read: {error}"
            raise _located(target, message) from error
        found = self.encoder(embedding).encode_images([picture])
        vector: np.ndarray = np.asarray(found, dtype=np.float32)[0]
        return vector


def _of_sample(target: Target, matrix: Matrix) -> np.ndarray:
    place = int(matrix.places(keys_of([target.value]))[0])
    vector = matrix.vectors[place].astype(np.float32) if place >= 0 else np.array([np.nan])
    if np.isnan(vector).any():
        hint = (
            "an id is written as `id` shows it, with its folders; `slicedb embed` embeds new ones."
        )
        raise _located(target, f"No sample '{target.value}' with an embedding.", hint)
    return np.asarray(vector)


def _located(target: Target, message: str, hint: str = "") -> QueryError:
    if target.source is None:
        return BindError(message, hint)
    return target.source.error(BindError, message, hint, at=target.at)
