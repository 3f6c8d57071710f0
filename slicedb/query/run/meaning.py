"""Terms of meaning to columns of scores: one pass over the vectors, whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slicedb.errors import QueryError
from slicedb.query.bind.catalog import Catalog, TableInfo
from slicedb.query.bind.scope import Term
from slicedb.vectors.contrast import Contrast
from slicedb.vectors.matrix import Matrix, Vectors
from slicedb.vectors.scored import aligned, nearest, spread
from slicedb.vectors.targets import Targets

if TYPE_CHECKING:
    from slicedb.embedding import Encoder

Check = Callable[[], None]


@dataclass(frozen=True)
class Rays:
    """The unit vectors one term is computed from."""

    main: np.ndarray
    """float32 (d,): the targets it is to be like."""
    others: tuple[tuple[float, np.ndarray], ...] = ()
    """Weight and vector of what `matches` is to be unlike, or of a calibrated direction."""

    @property
    def vectors(self) -> list[np.ndarray]:
        """All of them."""
        return [self.main, *(vector for _, vector in self.others)]


class Meaning:
    """Scores terms against the embeddings of one database.

    Args:
        vectors: the matrices.
        encoder: gives the encoder an embedding was made with, by the embedding's name.
    """

    def __init__(self, vectors: Vectors, encoder: Callable[[str], Encoder]) -> None:
        self._vectors = vectors
        self._targets = Targets(encoder)
        self._contrast = Contrast(self._targets)

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

    def direction(self, term: Term, catalog: Catalog) -> np.ndarray:
        """Return float32 (d,), unit length: what a term of similarity multiplies vectors with."""
        info = catalog.embedding(term.embedding)
        return self._rays(term, info, self._vectors.matrix(info)).main

    def fingerprint(self, embedding: str, catalog: Catalog) -> str:
        """Return what a calibration of an embedding depends on."""
        return self._contrast.fingerprint(embedding, catalog.embedding(embedding))

    def unit_vectors(self, embedding: str, catalog: Catalog, keys: np.ndarray) -> np.ndarray:
        """Return float32 (n, d): the vectors of samples, NaN where one is missing."""
        matrix = self._vectors.matrix(catalog.embedding(embedding))
        places = matrix.places(keys)
        found = np.full((len(keys), matrix.dim), np.nan, dtype=np.float32)
        found[places >= 0] = matrix.vectors[places[places >= 0]]
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
        rays = [self._rays(term, info, matrix) for term in terms]
        vectors = np.stack([vector for ray in rays for vector in ray.vectors])
        places = matrix.order(keys)
        everything = rows is None or any(term.kind == "nearest" for term in terms)
        at, has = None, None
        if rows is not None and not everything:
            at = rows if places is None else places[rows]
            has = at >= 0
            at = at[has]
        raw = matrix.scores(vectors, at, check)
        found: dict[Term, np.ndarray] = {}
        start = 0
        for term, ray in zip(terms, rays):
            mine = raw[start : start + len(ray.vectors)]
            start += len(ray.vectors)
            if term.kind == "nearest":
                values = nearest(aligned(mine[0], places), term.k, visible)
                found[term] = values if rows is None else values[rows]
                continue
            values = self._combined(term, info, matrix, ray, mine, at, check)
            if has is not None:
                found[term] = spread(values, has)
            else:
                values = aligned(values, places)
                found[term] = values if rows is None else values[rows]
        return found

    def _combined(
        self,
        term: Term,
        info: TableInfo,
        matrix: Matrix,
        ray: Rays,
        cosines: list[np.ndarray],
        rows: np.ndarray | None,
        check: Check,
    ) -> np.ndarray:
        """Return float32 (n,): a term's values from its cosines, and the others', at some rows."""
        if term.kind == "similarity":
            return cosines[0]
        weights = [weight for weight, _ in ray.others]
        added = term.calibrated is not None and bool(term.calibrated.direction)
        unlike = list(zip(weights, cosines[1:]))[: len(weights) - added]
        odds = self._contrast.log_odds(
            term.embedding, info, matrix, ray.main, cosines[0], unlike, rows, check
        )
        if term.calibrated is None:
            with np.errstate(over="ignore"):
                return np.asarray(1 / (1 + np.exp(-odds)), dtype=np.float32)
        odds = np.float32(term.calibrated.slope) * odds
        return odds + np.float32(weights[-1]) * cosines[-1] if added else odds

    def _rays(self, term: Term, info: TableInfo, matrix: Matrix) -> Rays:
        """Return the vectors of a term.

        Raises:
            QueryError: a target cannot be encoded, or a calibration is another encoder's.
        """
        if term.kind in ("similarity", "nearest"):
            return Rays(self._targets.direction(term.embedding, term.targets, info, matrix))
        like = [target for target in term.targets if target.weight > 0]
        main = self._targets.direction(term.embedding, like, info, matrix)
        others = [
            (-target.weight, self._targets.vector(term.embedding, target, info, matrix))
            for target in term.targets
            if target.weight < 0
        ]
        if term.calibrated is not None:
            if term.calibrated.fingerprint != self._contrast.fingerprint(term.embedding, info):
                raise QueryError(
                    f"The calibration of {term.shown} was made with another encoder.",
                    "`slicedb slice calibrate` makes it again from the answers it has.",
                )
            direction = np.frombuffer(term.calibrated.direction, dtype=np.float32)
            length = float(np.linalg.norm(direction))
            others += [(length, direction / length)] if len(direction) else []
        return Rays(main, tuple(others))
