"""Choose one of several phrases for each sample by an embedding: zero-shot classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.errors import CheckError
from slicedb.keys import KeyIndex, Keys
from slicedb.schema import EMBEDDINGS
from slicedb.show.numbers import count
from slicedb.store import Store
from slicedb.tagging.definition import UNSURE, Tag

if TYPE_CHECKING:
    from slicedb.embedding import Encoder

CUT = 0.5
"""Score below which a phrase is unsure, where nobody says otherwise: all others together are then
as likely."""


def phrases_in(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the column and the phrases of `column=phrase,phrase`.

    >>> phrases_in("weather=sunny, rainy")
    ('weather', ('sunny', 'rainy'))

    Raises:
        CheckError: there are fewer than two, or one comes twice.
    """
    name, _, listed = text.partition("=")
    return name.strip(), checked([part.strip() for part in listed.split(",") if part.strip()])


def checked(phrases: Sequence[str]) -> tuple[str, ...]:
    """Return phrases that can be told apart.

    Raises:
        CheckError: there are fewer than two, one is empty, comes twice, or is the word for none.
    """
    listed = tuple(phrases)
    if not all(isinstance(p, str) and p.strip() for p in listed):
        raise CheckError(f"{list(listed)} holds an empty phrase.", "write weather=sunny,rainy.")
    comma = next((p for p in listed if "," in p), None)
    if comma is not None:
        raise CheckError(f"The phrase '{comma}' has a comma.", "commas stand between phrases.")
    if len(listed) < 2:
        raise CheckError(
            f"{count(len(listed), 'phrase is', 'phrases are')} no choice.",
            "write two or more: weather=sunny,rainy.",
        )
    twice = next((p for p in listed if listed.count(p) > 1), None)
    if twice is not None:
        raise CheckError(f"The phrase '{twice}' comes twice.", "write it once.")
    if UNSURE in listed:
        raise CheckError(
            f"'{UNSURE}' stands where no phrase is likely enough.", "take another word."
        )
    return listed


def single(what: Mapping[str, Sequence[str]]) -> tuple[str, tuple[str, ...]]:
    """Return the column and the phrases of a mapping of one column.

    Raises:
        CheckError: it has several columns, or the phrases are no choice.
    """
    if len(what) != 1:
        raise CheckError(f"{count(len(what), 'column')} at once.", 'give one: {"weather": [...]}.')
    name, phrases = next(iter(what.items()))
    return name, checked([phrases] if isinstance(phrases, str) else phrases)


def text_vectors(
    encoder: Encoder, phrases: Sequence[str], templates: Sequence[str]
) -> npt.NDArray[np.float32]:
    """Return float32 (p, d), unit length: each phrase as the mean over its wordings."""
    return np.stack([encoder.encode_prompt(p, templates or None) for p in phrases])


def values_of(
    store: Store,
    tag: Tag,
    phrases: Sequence[str],
    texts: npt.NDArray[np.float32],
    scale: float,
    keys: Keys,
) -> pa.Table:
    """Return the columns of a tag for samples, null where one has no vector.

    The score is the softmax over the phrases of the scaled similarities, as CLIP classifies
    (Radford et al. 2021, section 3.1); the margin is how far the next phrase is behind.

    Args:
        store: the database.
        tag: its name, embedding and cut.
        phrases: p of them.
        texts: float32 (p, d), unit length.
        scale: what similarities are multiplied with.
        keys: int64 (n,).
    """
    best = np.full(len(keys), -1, np.int64)
    score, margin = np.full(len(keys), np.nan), np.full(len(keys), np.nan)
    index = KeyIndex(keys)
    for batch in store.scan(EMBEDDINGS + tag.using, ["key", "vector"]):
        at = index.find(batch["key"].to_numpy())
        vectors = batch["vector"].flatten().to_numpy(zero_copy_only=False)
        vectors = vectors.reshape(len(batch), -1)[at >= 0]
        rows = at[at >= 0]
        chances = _softmax(scale * (vectors @ texts.T).astype(np.float64))  # (m, d) @ (d, p)
        order = np.sort(chances, axis=1)
        best[rows] = chances.argmax(axis=1)
        score[rows], margin[rows] = order[:, -1], order[:, -1] - order[:, -2]
    return _columns(tag, phrases, best, score, margin)


def _columns(
    tag: Tag,
    phrases: Sequence[str],
    best: npt.NDArray[np.int64],
    score: npt.NDArray[np.float64],
    margin: npt.NDArray[np.float64],
) -> pa.Table:
    cut = CUT if tag.cut is None else tag.cut
    none = best < 0
    codes = np.where(score < cut, len(phrases), best)
    labels = pa.array([*phrases, UNSURE]).take(pa.array(codes, mask=none))
    own = (labels, pa.array(score, mask=none), pa.array(margin, mask=none))
    return pa.table(dict(zip(tag.columns, own, strict=True)))


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
