"""Turn targets of meaning into unit vectors: texts through the encoder, pictures, samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from slicedb.cache import Cache
from slicedb.errors import MediaError, QueryError
from slicedb.schema import keys_of
from slicedb.vectors.matrix import Matrix
from slicedb.vectors.pictures import Pictures, is_name
from slicedb.vectors.terms import Target

if TYPE_CHECKING:
    from PIL import Image

_TEXTS = 10_000
"""Texts kept encoded."""
_NOTHING = 1e-6
"""Length below which a sum of targets has no direction."""


class TextEncoder(Protocol):
    """What queries need of an encoder: `slicedb.embedding.Encoder` has it, and its light twin."""

    @property
    def logit_scale(self) -> float:
        """What the model multiplies a cosine with before its softmax."""

    def encode_prompt(self, text: str) -> np.ndarray:
        """Return float32 (d,), unit length, of a text."""

    def encode_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Return float32 (n, d), unit length, of pictures."""


class Directions:
    """Encodes targets, and keeps the texts it has encoded.

    Args:
        encoder: gives the encoder that an embedding was made with, by the embedding's name.
        pictures: those that callers handed in.
    """

    def __init__(
        self, encoder: Callable[[str], TextEncoder], pictures: Pictures | None = None
    ) -> None:
        self.encoder = encoder
        self._pictures = pictures or Pictures()
        # The version is part of the key: an embedding can be made anew with another encoder.
        self._texts = Cache[tuple[str, int, str], np.ndarray](_TEXTS)

    def sum(self, targets: Sequence[Target], matrix: Matrix) -> np.ndarray:
        """Return float32 (d,), unit length: the weighted sum of the targets.

        Raises:
            QueryError: the targets cancel out, or cannot be encoded.
        """
        parts = [t.weight * self.vector(t, matrix) for t in targets]
        total = np.sum(parts, axis=0)
        length = float(np.linalg.norm(total))
        if length < _NOTHING:
            raise targets[0].error(f"The targets {', '.join(map(str, targets))} cancel out.")
        return np.asarray(total / length, dtype=np.float32)

    def vector(self, target: Target, matrix: Matrix) -> np.ndarray:
        """Return float32 (d,), unit length, of one target; its weight is left out."""
        if target.kind == "text":
            vector = self.text(target.value, matrix)
        elif target.kind == "sample":
            vector = _of_sample(target, matrix)
        else:
            vector = self._image(target, matrix)
        if vector.shape != (matrix.dim,):
            raise QueryError(
                f"The encoder of embedding '{matrix.name}' gives {vector.shape[-1]} numbers, "
                f"the stored vectors have {matrix.dim}."
            )
        return vector

    def text(self, text: str, matrix: Matrix) -> np.ndarray:
        """Return float32 (d,), unit length, of a text as an ensemble of prompts."""

        def encode() -> np.ndarray:
            vector = self.encoder(matrix.name).encode_prompt(text)
            return np.asarray(vector, dtype=np.float32).reshape(-1)

        return self._texts.get((matrix.name, matrix.version, text), encode)

    def texts(self, texts: Sequence[str], matrix: Matrix) -> np.ndarray:
        """Return float32 (n, d), unit length, of texts; an encoder that can takes them together."""
        slots = {text: (matrix.name, matrix.version, text) for text in texts}
        new = [text for text, slot in slots.items() if slot not in self._texts]
        together: Any = getattr(self.encoder(matrix.name), "encode_prompts", None)
        if new and together is not None:
            for text, vector in zip(new, together(new)):
                self._texts.put(slots[text], vector)
        return np.stack([self.text(text, matrix) for text in texts])

    def _image(self, target: Target, matrix: Matrix) -> np.ndarray:
        if not is_name(target.value):
            try:
                return self._encoded(Path(target.value).read_bytes(), matrix)
            except (OSError, MediaError) as error:
                message = f"The image file '{target.value}' cannot be read: {error}"
                raise target.error(message) from error

        def encode() -> np.ndarray:
            picture = self._pictures.find(target.value)
            if picture is None:
                raise not_held(target)
            return self._encoded(picture.data, matrix)

        # A query asks for it again with each page of its samples. No text begins like that.
        return self._texts.get((matrix.name, matrix.version, f"\0{target.value}"), encode)

    def _encoded(self, data: bytes, matrix: Matrix) -> np.ndarray:
        from slicedb import media

        vectors = self.encoder(matrix.name).encode_images([media.decode(data)])
        return np.asarray(vectors[0], dtype=np.float32)


def not_held(target: Target) -> QueryError:
    """Return the error of a picture that was handed in with a query that is gone."""
    return target.error(
        f"The picture '{target.value}' is not at hand: it came with another query.",
        "hand it in again: image($picture), with params={'picture': its bytes}.",
    )


def _of_sample(target: Target, matrix: Matrix) -> np.ndarray:
    row = int(matrix.index.find(keys_of([target.value]))[0])
    vector = matrix.vectors[row].astype(np.float32) if row >= 0 else np.array([np.nan])
    if np.isnan(vector).any():
        hint = (
            "an id is written as `id` shows it, with its folders; `slicedb embed` embeds new ones."
        )
        raise target.error(f"No sample '{target.value}' with an embedding.", hint)
    return np.asarray(vector)
