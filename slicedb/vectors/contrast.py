"""`matches`: how far a text stands out from a bank of background phrases."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slicedb.query.bind.catalog import TableInfo
from slicedb.vectors.background import DEFAULT, NEAR, ODDS
from slicedb.vectors.matrix import Matrix
from slicedb.vectors.targets import Targets

if TYPE_CHECKING:
    from slicedb.embedding import Encoder

_TOGETHER = 16  # background phrases scored in one pass over the vectors


@dataclass(frozen=True)
class Bank:
    """The background phrases of one encoder, encoded."""

    phrases: tuple[str, ...]
    vectors: np.ndarray
    """float32 (b, d), unit length."""


class Contrast:
    """Weighs texts against the background of one database.

    Args:
        targets: encodes the phrases.
    """

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._banks: dict[tuple[str, int], Bank] = {}
        self._background: dict[tuple[str, int], np.ndarray] = {}
        self._lock = threading.RLock()

    def log_odds(
        self,
        embedding: str,
        info: TableInfo,
        matrix: Matrix,
        target: np.ndarray,
        cosines: np.ndarray,
        unlike: Sequence[tuple[float, np.ndarray]],
        rows: np.ndarray | None,
        check: Callable[[], None],
    ) -> np.ndarray:
        """Return float32 (n,): the log-odds of a text against what it must stand out from.

        `log(exp(s text) / (ODDS x mean(exp(s background)) + sum(weight x exp(s unlike))))` with
        the encoder's logit scale s. The mean, and not the sum, keeps the cut where it is when the
        bank grows; a picture shows several of its phrases (a soup, at night, on wood), so a text
        must stand out from the whole bank, not beat it. A text to be unlike is no background: it
        must be beaten by itself.

        Args:
            embedding: its name.
            info: its table.
            matrix: its vectors.
            target: float32 (d,), unit length: the text.
            cosines: float32 (n,) with the text.
            unlike: weight and float32 (n,) cosines of each text to be unlike.
            rows: int64 (n,): the rows of the matrix that the cosines are of; None is all.
            check: raises when the time is used up.
        """
        encoder = self._targets.encoder(embedding)
        bank = self._bank(embedding, encoder, info)
        kept = np.flatnonzero(bank.vectors @ target < NEAR)
        scale = np.float32(encoder.logit_scale)
        against = np.full(len(cosines), -np.inf, dtype=np.float32)
        if len(kept):
            background = self._against(bank, info, matrix, scale, kept, check)
            against = background if rows is None else background[rows]
        for weight, other in unlike:
            against = np.logaddexp(against, scale * other + np.float32(np.log(weight)))
        with np.errstate(invalid="ignore"):
            found = scale * cosines - against
        return np.asarray(found, dtype=np.float32)

    def fingerprint(self, embedding: str, info: TableInfo) -> str:
        """Return what log-odds depend on besides the vectors: the encoder and the bank."""
        from slicedb.embedding.table import COMPARED, FINGERPRINT

        encoder = self._targets.encoder(embedding)
        bank = self._bank(embedding, encoder, info)
        whole = json.loads(info.metadata.get(FINGERPRINT) or "{}")
        about = [{name: whole.get(name) for name in COMPARED}, bank.phrases, NEAR, ODDS]
        about += [f"{float(encoder.logit_scale):.4f}", list(getattr(encoder, "templates", ()))]
        return hashlib.blake2b(json.dumps(about).encode(), digest_size=8).hexdigest()

    def _bank(self, embedding: str, encoder: Encoder, info: TableInfo) -> Bank:
        slot = (info.name, info.version)
        with self._lock:
            if slot not in self._banks:
                phrases = tuple(getattr(encoder, "background", None) or DEFAULT)
                vectors = np.stack([self._targets.text(embedding, p, info) for p in phrases])
                self._banks[slot] = Bank(phrases, vectors)
            return self._banks[slot]

    def _against(
        self,
        bank: Bank,
        info: TableInfo,
        matrix: Matrix,
        scale: np.float32,
        kept: np.ndarray,
        check: Callable[[], None],
    ) -> np.ndarray:
        """Return float32 (n,): log of ODDS x the mean of exp(scale x cosine) over the phrases kept.

        It depends on the database and the phrases alone, so it is computed once for each set of
        phrases kept (nearly always all of them) and each version of the embeddings.
        """
        slot = (f"{info.name}:{','.join(map(str, kept))}", info.version)
        with self._lock:
            found = self._background.get(slot)
        if found is None:
            found = np.full(len(matrix.keys), -np.inf, dtype=np.float32)
            for start in range(0, len(kept), _TOGETHER):
                some = bank.vectors[kept[start : start + _TOGETHER]]
                for cosines in matrix.scores(some, None, check, keep=False):
                    found = np.logaddexp(found, scale * cosines)
            found += np.float32(np.log(ODDS / len(kept)))
            with self._lock:
                while len(self._background) >= 8:
                    del self._background[next(iter(self._background))]
                self._background[slot] = found
        return found
