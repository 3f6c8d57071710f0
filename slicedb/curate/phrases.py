"""Cells of meaning: which samples a phrase matches, or is among the most similar to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from slicedb import sql
from slicedb.curate.cells import Cells
from slicedb.curate.marks import marks
from slicedb.errors import CheckError
from slicedb.keys import Keys
from slicedb.schema import EMBEDDINGS
from slicedb.show.numbers import count
from slicedb.store import Store
from slicedb.vectors import Matrix, Meaning, Target, Term, Vectors
from slicedb.vectors.matrix import no_limit

Bools = npt.NDArray[np.bool_]
Vectors32 = npt.NDArray[np.float32]

_TOGETHER = 16
"""Phrases scored in one pass."""
_TOP = (0.05, 0.1, 0.2)
"""Shares of the samples that are most similar to a phrase."""
_HALF = 0.5
"""Probability from which on `matches` holds."""
_MOST = 2000
"""Phrases of a vocabulary."""
_LIKE = 3
"""Phrases that describe some samples."""
_WEIGHED = 5_000_000
"""Vectors times phrases up to which phrases are weighed against one another."""
KINDS: tuple[Literal["similarity", "matches"], ...] = ("similarity", "matches")


@dataclass(frozen=True, eq=False)
class Space:
    """One embedding, seen from some samples.

    Args:
        vectors: of the database.
        meaning: what queries score with.
        name: of the embedding.
        keys: int64 (n,): the samples.
        is_usual: queries take this embedding where they name none.
    """

    vectors: Vectors
    meaning: Meaning
    name: str
    keys: Keys
    is_usual: bool

    @property
    def matrix(self) -> Matrix:
        """All vectors of the embedding."""
        return self.vectors.matrix(self.name)

    @property
    def using(self) -> str:
        """What a call in a query ends with to name the embedding."""
        return "" if self.is_usual else f", using => {sql.string(self.name)}"

    def scores(self, terms: Sequence[Term]) -> list[Vectors32]:
        """Return float32 (n,) of each term, exactly as a query has it; NaN without a vector."""
        versions = {self.name: self.matrix.version}
        visible = np.ones(len(self.keys), bool)
        scored = self.meaning.score(terms, versions, self.keys, None, visible, no_limit)
        return [scored[term] for term in terms]

    def similarity(self, like: Sequence[str], unlike: Sequence[str]) -> tuple[Term, str]:
        """Return the term of similarity to samples, and how a query writes it."""
        targets = [Target("sample", name) for name in like]
        targets += [Target("sample", name, -1.0) for name in unlike]
        term = Term("similarity", tuple(targets), self.name)
        return term, f"similarity({term.shown}{self.using})"

    def phrases(self) -> tuple[str, ...]:
        """Return what pictures of the encoder's world show: the background of `matches`.

        Raises:
            EmbeddingError: no encoder of texts is known.
        """
        return self.vectors.contrast.bank(self.matrix).phrases


def space_of(
    store: Store, vectors: Vectors, meaning: Meaning, embedding: str | None, keys: Keys
) -> Space | None:
    """Return the embedding that is asked for, or the usual one; None where there is none.

    Args:
        store: the database.
        vectors: its embeddings.
        meaning: what queries score with.
        embedding: its name; None takes `default`, or the only one.
        keys: int64 (n,): the samples.

    Raises:
        UnknownEmbeddingError: there is none of that name.
    """
    names = [n.removeprefix(EMBEDDINGS) for n in store.names() if n.startswith(EMBEDDINGS)]
    usual = "default" if "default" in names else names[0] if len(names) == 1 else None
    name = embedding or usual
    if name is None:
        return None
    vectors.table(name)
    return Space(vectors, meaning, name, keys, name == usual)


def phrases_of(vocabulary: Sequence[str] | str | os.PathLike[str]) -> list[str]:
    """Return the distinct phrases of a list, or of a file with one per line, in their order.

    Raises:
        CheckError: there are none, or too many, or the file cannot be read.
    """
    if isinstance(vocabulary, str | os.PathLike):
        try:
            lines = Path(vocabulary).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CheckError(
                f"The vocabulary '{os.fspath(vocabulary)}' cannot be read: {error}",
                "name a text file with a phrase in each line, such as `a fork on the table`.",
            ) from error
    else:
        lines = list(vocabulary)
    listed = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not listed or len(listed) > _MOST:
        raise CheckError(
            f"The vocabulary has {count(len(listed), 'phrase')}.", f"give from one to {_MOST:,}."
        )
    return listed


def phrase_cells(space: Space, phrases: Sequence[str], among: Bools) -> list[Cells]:
    """Return for each phrase the samples that it matches, and those most similar to it.

    Args:
        space: the samples and their embedding.
        phrases: texts.
        among: bool (n,): the samples that decide where similarity is cut.
    """
    kinds = KINDS if weighs(space, phrases) else KINDS[:1]
    parts = []
    for start in range(0, len(phrases), _TOGETHER):
        some = [Target("text", text) for text in phrases[start : start + _TOGETHER]]
        scores = space.scores([Term(kind, (t,), space.name) for t in some for kind in kinds])
        for k, target in enumerate(some):
            own = scores[len(kinds) * k : len(kinds) * (k + 1)]
            parts.append(_cells(space, target.value, own[0], own[1:], among))
    return parts


def weighs(space: Space, phrases: Sequence[str]) -> bool:
    """Return whether `matches` is asked, too: each phrase is weighed against all of the others."""
    return len(space.matrix) * len(phrases) <= _WEIGHED


def _cells(
    space: Space, text: str, cosine: Vectors32, odds: Sequence[Vectors32], among: Bools
) -> Cells:
    written = f"{sql.string(text)}{space.using}"
    queries = [f"matches({written})" for _ in odds]
    masks = [values >= _HALF for values in odds]
    known = cosine[among & ~np.isnan(cosine)]
    for share in _TOP:
        if len(known):
            query, cut = cut_at(f"similarity({written})", float(np.quantile(known, 1 - share)))
            queries.append(query)
            masks.append(cosine >= cut)
    return marks(text, queries, masks)


def likest(space: Space, phrases: Sequence[str], mask: Bools) -> tuple[str, ...]:
    """Return the phrases that some samples are most more similar to than the others are.

    Args:
        space: the samples and their embedding.
        phrases: texts to choose from.
        mask: bool (n,): the samples.
    """
    vectors = space.matrix.of(space.keys)
    known = ~np.isnan(vectors).any(axis=1)
    if not phrases or not (mask & known).any() or not (known & ~mask).any():
        return ()
    apart = vectors[mask & known].mean(axis=0) - vectors[known & ~mask].mean(axis=0)
    texts = space.vectors.directions.texts(phrases, space.matrix)  # (p, d)
    lift = texts @ apart - np.median(texts @ apart)
    order = np.argsort(-lift, kind="stable")[:_LIKE]
    return tuple(phrases[k] for k in order if lift[k] > lift[order[0]] / 2)


def cut_at(score: str, cut: float) -> tuple[str, np.float32]:
    """Return the condition that a score is at least a cut, and the cut as it is written."""
    written = f"{cut:.4f}"
    return f"{score} >= {written}", np.float32(written)
