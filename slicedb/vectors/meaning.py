"""Compute the terms of meaning as columns of scores: one pass over the vectors for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slicedb.errors import QueryError
from slicedb.vectors.best import best
from slicedb.vectors.matrix import Interrupt, Matrix
from slicedb.vectors.terms import Term
from slicedb.vectors.vectors import Vectors, spread


@dataclass(frozen=True)
class Rays:
    """The unit vectors that one term is computed from."""

    main: np.ndarray
    """float32 (d,): the targets it is to be like."""
    others: tuple[tuple[float, np.ndarray], ...] = ()
    """Weight and vector of what `matches` is to be unlike, or of a calibrated direction."""

    @property
    def vectors(self) -> list[np.ndarray]:
        """All of them."""
        return [self.main, *(vector for _, vector in self.others)]


class Meaning:
    """Scores terms against the embeddings of one database."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def score(
        self,
        terms: Sequence[Term],
        versions: Mapping[str, int],
        keys: np.ndarray,
        rows: np.ndarray | None,
        visible: np.ndarray,
        check: Interrupt,
    ) -> dict[Term, np.ndarray]:
        """Return the values of each term: float32 (m,), NaN where a sample has no embedding.

        `nearest` gives 0 and 1.

        Args:
            versions: embedding to the version of its table to read.
            keys: int64 (n,): all samples, in stored order.
            rows: int64 (m,): the places in `keys` to score; None scores all.
            visible: bool (n,): the samples that `nearest` ranks.
            check: raises when the time is used up.
        """
        scores: dict[Term, np.ndarray] = {}
        for name in dict.fromkeys(term.embedding for term in terms):
            mine = [term for term in terms if term.embedding == name]
            matrix = self._vectors.matrix(name, versions[name])
            scores |= self._score_one(mine, matrix, keys, rows, visible, check)
        return scores

    def fingerprint(self, name: str, version: int) -> str:
        """Return what a calibration of an embedding depends on."""
        return self._vectors.contrast.fingerprint(self._vectors.matrix(name, version))

    def _score_one(
        self,
        terms: list[Term],
        matrix: Matrix,
        keys: np.ndarray,
        rows: np.ndarray | None,
        visible: np.ndarray,
        check: Interrupt,
    ) -> dict[Term, np.ndarray]:
        """Return the values of terms over one embedding.

        The samples and the vectors may stand in different orders, so there are three numberings:
        places in `keys`, rows of the matrix, and the `rows` asked for. Scores are computed by row
        of the matrix, only for the rows asked for unless `nearest` has to rank everyone.
        """
        rays = [self._rays(term, matrix) for term in terms]
        vectors = np.stack([vector for ray in rays for vector in ray.vectors])
        order = matrix.order(keys)
        scored, has_vector = None, None
        if rows is not None and not any(term.kind == "nearest" for term in terms):
            scored = rows if order is None else order[rows]
            has_vector = scored >= 0
            scored = scored[has_vector]
        cosines = iter(matrix.scores(vectors, scored, check))
        scores: dict[Term, np.ndarray] = {}
        for term, ray in zip(terms, rays):
            mine = [next(cosines) for _ in ray.vectors]
            if has_vector is not None:
                values = self._combined(term, matrix, ray, mine, scored, check)
                scores[term] = spread(values, has_vector)
                continue
            if term.kind == "nearest":
                values = _nearest(_aligned(mine[0], order), term.k, visible)
            else:
                values = _aligned(self._combined(term, matrix, ray, mine, None, check), order)
            scores[term] = values if rows is None else values[rows]
        return scores

    def _combined(
        self,
        term: Term,
        matrix: Matrix,
        ray: Rays,
        cosines: list[np.ndarray],
        rows: np.ndarray | None,
        check: Interrupt,
    ) -> np.ndarray:
        """Return float32 (n,): a term's values from the cosines with its vectors, at some rows."""
        if term.kind == "similarity":
            return cosines[0]
        weights = [weight for weight, _ in ray.others]
        # A calibrated direction is the last of the vectors, and is added to the odds.
        has_direction = term.calibrated is not None and bool(term.calibrated.direction)
        unlike = list(zip(weights, cosines[1:]))[: len(weights) - has_direction]
        contrast = self._vectors.contrast
        odds = contrast.log_odds(matrix, ray.main, cosines[0], unlike, rows, check)
        if term.calibrated is None:
            with np.errstate(over="ignore"):
                return np.asarray(1 / (1 + np.exp(-odds)), dtype=np.float32)
        odds = np.float32(term.calibrated.slope) * odds
        return odds + np.float32(weights[-1]) * cosines[-1] if has_direction else odds

    def _rays(self, term: Term, matrix: Matrix) -> Rays:
        """Return the vectors of a term.

        Raises:
            QueryError: a target cannot be encoded, or a calibration is another encoder's.
        """
        directions = self._vectors.directions
        if term.kind in ("similarity", "nearest"):
            return Rays(directions.sum(term.targets, matrix))
        like = [target for target in term.targets if target.weight > 0]
        main = directions.sum(like, matrix)
        others = [
            (-target.weight, directions.vector(target, matrix))
            for target in term.targets
            if target.weight < 0
        ]
        if term.calibrated is not None:
            if term.calibrated.fingerprint != self._vectors.contrast.fingerprint(matrix):
                raise QueryError(
                    f"The calibration of {term.shown} was made with another encoder.",
                    "`slicedb slice calibrate` makes it again from the answers it has.",
                )
            direction = np.frombuffer(term.calibrated.direction, dtype=np.float32)
            length = float(np.linalg.norm(direction))
            others += [(length, direction / length)] if len(direction) else []
        return Rays(main, tuple(others))


def _nearest(scores: np.ndarray, k: int, visible: np.ndarray) -> np.ndarray:
    """Return float32 (n,): 1 for the k best of the visible, 0 for others, NaN where NaN."""
    values = np.where(np.isnan(scores), np.nan, np.float32(0)).astype(np.float32)
    values[best(np.where(visible, scores, np.nan), k)] = 1
    return values


def _aligned(column: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    """Return a column in the order of `rows`, NaN where a row is -1; None is as it is."""
    return column if rows is None else spread(column[rows[rows >= 0]], rows >= 0)
