"""Terms of meaning to scores: resolve targets, one pass over the vectors, softmax, ranks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.errors import BindError, MediaError, QueryError
from slicedb.query.background import DEFAULT, NEAR, ODDS
from slicedb.query.catalog import Catalog, TableInfo
from slicedb.query.scope import Target, Term
from slicedb.query.vectors import Matrix, Vectors
from slicedb.schema import keys_of

if TYPE_CHECKING:
    from slicedb.embedding import Encoder

Check = Callable[[], None]

_TOGETHER = 16  # background phrases scored in one pass over the vectors


@dataclass(frozen=True)
class Bank:
    """The background phrases of one encoder, encoded."""

    phrases: tuple[str, ...]
    vectors: np.ndarray
    """float32 (b, d), unit length."""


class Meaning:
    """Scores terms against the embeddings of one database.

    Args:
        vectors: the matrices.
        encoder: gives the encoder an embedding was made with, by the embedding's name.
    """

    def __init__(self, vectors: Vectors, encoder: Callable[[str], Encoder]) -> None:
        self._vectors = vectors
        self._encoder = encoder
        self._texts: dict[tuple[str, int, str], np.ndarray] = {}
        self._banks: dict[tuple[str, int], Bank] = {}
        self._background: dict[tuple[str, int], np.ndarray] = {}
        self._lock = threading.RLock()

    def score(
        self,
        terms: Sequence[Term],
        catalog: Catalog,
        keys: np.ndarray,
        rows: np.ndarray | None,
        visible: np.ndarray,
        check: Check,
    ) -> dict[Term, np.ndarray]:
        """Return the values of each term.

        Args:
            terms: what to score.
            catalog: the versions to read.
            keys: int64 (n,): all samples, in the order of the loaded table.
            rows: int64 (m,): the places in `keys` to score; None scores all.
            visible: bool (n,): the samples `nearest` ranks.
            check: raises when the time is used up.

        Returns:
            float32 (m,) a term, NaN where a sample has no embedding; `nearest` gives 0 and 1.
        """
        found: dict[Term, np.ndarray] = {}
        for embedding in dict.fromkeys(term.embedding for term in terms):
            mine = [term for term in terms if term.embedding == embedding]
            info = catalog.embedding(embedding)
            found |= self._score_one(mine, info, keys, rows, visible, check)
        return found

    def _score_one(
        self,
        terms: list[Term],
        info: TableInfo,
        keys: np.ndarray,
        rows: np.ndarray | None,
        visible: np.ndarray,
        check: Check,
    ) -> dict[Term, np.ndarray]:
        matrix = self._vectors.matrix(info)
        targets = np.stack([self._direction(term, info, matrix) for term in terms])
        places = matrix.places(keys)
        wanted = places if rows is None else places[rows]
        everything = rows is None or any(term.kind == "nearest" for term in terms)
        raw = matrix.scores(targets, None, check) if everything else None
        if raw is not None:
            table = _aligned(raw, wanted)
        else:
            has = wanted >= 0
            table = np.full((len(terms), len(wanted)), np.nan, dtype=np.float32)
            table[:, has] = matrix.scores(targets, wanted[has], check)
        found: dict[Term, np.ndarray] = {}
        for number, (term, target, values) in enumerate(zip(terms, targets, table)):
            if term.kind == "matches":
                values = self._probability(term, info, matrix, target, values, wanted, check)
            elif term.kind == "nearest" and raw is not None:
                values = _nearest(_aligned(raw[number][None], places)[0], term.k, visible)
                values = values if rows is None else values[rows]
            found[term] = values
        return found

    def direction(self, term: Term, catalog: Catalog) -> np.ndarray:
        """Return float32 (d,), unit length: what a term of similarity multiplies vectors with."""
        info = catalog.embedding(term.embedding)
        return self._direction(term, info, self._vectors.matrix(info))

    def _direction(self, term: Term, info: TableInfo, matrix: Matrix) -> np.ndarray:
        """Return float32 (d,): the mean of the targets, unit length."""
        parts = [self._target(term.embedding, target, info, matrix) for target in term.targets]
        mean = np.mean(parts, axis=0)
        length = float(np.linalg.norm(mean))
        return np.asarray(mean / length if length > 0 else mean, dtype=np.float32)

    def _target(
        self, embedding: str, target: Target, info: TableInfo, matrix: Matrix
    ) -> np.ndarray:
        if target.kind == "text":
            vector = self._text(embedding, target.value, info)
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

    def _text(self, embedding: str, text: str, info: TableInfo) -> np.ndarray:
        slot = (info.name, info.version, text)
        with self._lock:
            if slot not in self._texts:
                if len(self._texts) > 10_000:
                    self._texts.clear()
                vector = self._encoder(embedding).encode_prompt(text)
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
        found = self._encoder(embedding).encode_images([picture])
        vector: np.ndarray = np.asarray(found, dtype=np.float32)[0]
        return vector

    # --- matches ------------------------------------------------------------------------------

    def _probability(
        self,
        term: Term,
        info: TableInfo,
        matrix: Matrix,
        target: np.ndarray,
        cosines: np.ndarray,
        places: np.ndarray,
        check: Check,
    ) -> np.ndarray:
        """Return float32 (m,): how likely the text is against an average background phrase.

        `1 / (1 + ODDS x mean(exp(scale x background)) / exp(scale x text))`. The mean, and not the
        sum, keeps the cut where it is when the bank grows; a picture shows several of its phrases
        (a soup, at night, on wood), so a text must stand out from the whole bank, not beat it.
        """
        encoder = self._encoder(term.embedding)
        bank = self._bank(term.embedding, encoder, info)
        kept = np.flatnonzero(bank.vectors @ target < NEAR)
        scale = float(encoder.logit_scale)
        if not len(kept):
            return np.where(np.isnan(cosines), np.nan, np.float32(1)).astype(np.float32)
        against = _aligned(self._against(bank, info, matrix, scale, kept, check)[None], places)[0]
        with np.errstate(over="ignore", invalid="ignore"):
            share = 1 / (1 + ODDS * np.exp(against - scale * cosines))
        return np.asarray(share, dtype=np.float32)

    def _bank(self, embedding: str, encoder: Encoder, info: TableInfo) -> Bank:
        slot = (info.name, info.version)
        with self._lock:
            if slot not in self._banks:
                phrases = tuple(getattr(encoder, "background", None) or DEFAULT)
                vectors = np.stack([self._text(embedding, p, info) for p in phrases])
                self._banks[slot] = Bank(phrases, vectors)
            return self._banks[slot]

    def _against(
        self,
        bank: Bank,
        info: TableInfo,
        matrix: Matrix,
        scale: float,
        kept: np.ndarray,
        check: Check,
    ) -> np.ndarray:
        """Return float32 (n,): log of the mean of exp(scale x cosine) over the phrases kept.

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
                for cosines in matrix.scores(some, None, check):
                    found = np.logaddexp(found, scale * cosines)
            found -= np.float32(np.log(len(kept)))
            with self._lock:
                while len(self._background) >= 8:
                    del self._background[next(iter(self._background))]
                self._background[slot] = found
        return found


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the places of the k largest, largest first, ties in their order.

    Args:
        scores: float32 (n,); NaN is never among them.
        k: how many, from 1; fewer come back when there are fewer.

    >>> best(np.array([1.0, 3.0, 3.0, np.nan, 2.0]), 3).tolist()
    [1, 2, 4]
    """
    at = at_least_best(scores, k)
    return at[np.lexsort((at, -scores[at]))][:k]


def at_least_best(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the places, rising, of all scores not below the k-th largest.

    The k-th largest of the maxima of blocks is a floor under it, which leaves few to sort.
    """
    n, block = len(scores), 512
    floor = -np.inf
    if n >= 4 * k * block:
        whole = n - n % block
        maxima = np.fmax.reduce(scores[:whole].reshape(-1, block), axis=1)
        maxima = maxima[~np.isnan(maxima)]
        if len(maxima) > k:
            floor = np.partition(maxima, len(maxima) - k)[len(maxima) - k]
    at = np.flatnonzero(scores >= floor)  # never NaN
    if k < len(at):
        few = scores[at]
        at = at[few >= np.partition(few, len(few) - k)[len(few) - k]]
    return at


def _nearest(scores: np.ndarray, k: int, visible: np.ndarray) -> np.ndarray:
    """Return float32 (n,): 1 for the k best of the visible, 0 for others, NaN where NaN."""
    chosen = np.where(np.isnan(scores), np.nan, np.float32(0)).astype(np.float32)
    chosen[best(np.where(visible, scores, np.nan), k)] = 1
    return chosen


def _aligned(table: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return columns of a (t, n) table in the order of `places`, NaN where a place is -1."""
    if len(places) == table.shape[1] and (
        not len(places) or (places[0] == 0 and np.array_equal(places, np.arange(len(places))))
    ):
        return table
    if not table.shape[1]:
        return np.full((len(table), len(places)), np.nan, dtype=np.float32)
    found = table[:, places].astype(np.float32)
    found[:, places < 0] = np.nan
    return found


def _of_sample(target: Target, matrix: Matrix) -> np.ndarray:
    place = int(matrix.places(keys_of([target.value]))[0])
    vector = matrix.vectors[place].astype(np.float32) if place >= 0 else np.array([np.nan])
    if np.isnan(vector).any():
        raise _located(target, f"No sample '{target.value}' with an embedding.")
    return np.asarray(vector)


def _located(target: Target, message: str) -> QueryError:
    if target.source is None:
        return BindError(message)
    return target.source.error(BindError, message, at=target.at)


def register(values: dict[str, np.ndarray]) -> pa.Table:
    """Return columns of scores as an Arrow table, null where NaN."""
    fields = {}
    for name, column in values.items():
        empty = np.isnan(column) if column.dtype.kind == "f" else None
        fields[name] = pa.array(column, mask=empty if empty is not None and empty.any() else None)
    return pa.table(fields)
