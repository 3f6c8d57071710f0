"""Compute `matches`: how far a text stands out from a bank of background phrases."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slicedb.cache import Cache
from slicedb.schema import EMBEDDINGS
from slicedb.vectors.background import DEFAULT, NEAR, ODDS
from slicedb.vectors.directions import Directions
from slicedb.vectors.matrix import Interrupt, Matrix

if TYPE_CHECKING:
    from slicedb.store import Store

_TOGETHER = 16
"""Background phrases scored in one pass over the vectors."""
_BACKGROUNDS = 8
"""Columns of background odds kept, one float per sample each."""


@dataclass(frozen=True)
class Bank:
    """The background phrases of one encoder, encoded."""

    phrases: tuple[str, ...]
    vectors: np.ndarray
    """float32 (b, d), unit length."""


class Contrast:
    """Weighs texts against the background of one database.

    Args:
        directions: encodes the phrases.
    """

    def __init__(self, store: Store, directions: Directions) -> None:
        self._store = store
        self._directions = directions
        self._banks = Cache[tuple[str, int], Bank](_BACKGROUNDS)
        self._backgrounds = Cache[tuple[str, int, tuple[int, ...]], np.ndarray](_BACKGROUNDS)

    def log_odds(
        self,
        matrix: Matrix,
        target: np.ndarray,
        cosines: np.ndarray,
        unlike: Sequence[tuple[float, np.ndarray]],
        rows: np.ndarray | None,
        check: Interrupt,
    ) -> np.ndarray:
        """Return float32 (n,): the log-odds of a text against what it must stand out from.

        `log(exp(s text) / (ODDS x mean(exp(s background)) + sum(weight x exp(s unlike))))` with
        the encoder's logit scale s. The mean, and not the sum, keeps the cut where it is when the
        bank grows; a picture shows several of its phrases (a soup, at night, on wood), so a text
        must stand out from the whole bank, not beat it. A text to be unlike is no background: it
        must be beaten by itself.

        Args:
            matrix: the vectors of the embedding.
            target: float32 (d,), unit length: the text.
            cosines: float32 (n,) with the text.
            unlike: weight and float32 (n,) cosines of each text to be unlike.
            rows: int64 (n,): the rows of the matrix that the cosines are of; None is all.
            check: raises when the time is used up.
        """
        bank = self.bank(matrix)
        # A phrase that says the same as the text is no background to it.
        others = np.flatnonzero(bank.vectors @ target < NEAR)
        scale = np.float32(self._directions.encoder(matrix.name).logit_scale)
        against = np.full(len(cosines), -np.inf, dtype=np.float32)
        if len(others):
            background = self._background(bank, matrix, scale, others, check)
            against = background if rows is None else background[rows]
        for weight, other in unlike:
            against = np.logaddexp(against, scale * other + np.float32(np.log(weight)))
        with np.errstate(invalid="ignore"):
            return np.asarray(scale * cosines - against, dtype=np.float32)

    def fingerprint(self, matrix: Matrix) -> str:
        """Return what log-odds depend on besides the vectors: the encoder and the bank."""
        from slicedb.embedding.fingerprint import COMPARED
        from slicedb.embedding.shares import FINGERPRINT

        encoder = self._directions.encoder(matrix.name)
        metadata = self._store.metadata(EMBEDDINGS + matrix.name, matrix.version)
        stored = json.loads(metadata.get(FINGERPRINT) or "{}")
        parts = (
            {name: stored.get(name) for name in COMPARED},
            self.bank(matrix).phrases,
            NEAR,
            ODDS,
            f"{float(encoder.logit_scale):.4f}",
            list(getattr(encoder, "templates", ())),
        )
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()

    def bank(self, matrix: Matrix) -> Bank:
        """Return the encoded background of the encoder that made an embedding."""

        def encode() -> Bank:
            encoder = self._directions.encoder(matrix.name)
            phrases = tuple(getattr(encoder, "background", None) or DEFAULT)
            return Bank(phrases, self._directions.texts(phrases, matrix))

        return self._banks.get((matrix.name, matrix.version), encode)

    def _background(
        self, bank: Bank, matrix: Matrix, scale: np.float32, phrases: np.ndarray, check: Interrupt
    ) -> np.ndarray:
        """Return float32 (n,): log of ODDS x the mean of exp(scale x cosine) over some phrases.

        It depends on the database and the phrases alone, so it is computed once for each set of
        phrases (nearly always all of them) and each version of the embeddings.
        """

        def compute() -> np.ndarray:
            total = np.full(len(matrix), -np.inf, dtype=np.float32)
            for start in range(0, len(phrases), _TOGETHER):
                some = bank.vectors[phrases[start : start + _TOGETHER]]
                for cosines in matrix.scores(some, None, check, keep=False):
                    total = np.logaddexp(total, scale * cosines)
            return total + np.float32(np.log(ODDS / len(phrases)))

        return self._backgrounds.get((matrix.name, matrix.version, tuple(phrases)), compute)
