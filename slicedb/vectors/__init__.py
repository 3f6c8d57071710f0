"""Vectors: exact similarity over the embeddings of a database, whoever asks.

Open `Vectors(store)` once per database:

- `vectors.matrix(name)` gives the memory-mapped unit vectors of an embedding, with their keys;
  its `blocks()` go over vectors that do not fit into memory.
- `vectors.direction(name, "a dog")` gives the unit vector of a text or of several targets.
- `vectors.scores(name, targets, keys)` gives the cosines of samples with one or many targets.
- `vectors.top(name, targets, k, keys)` gives the k nearest samples of each target.
- `vectors.contrast` weighs a text against the background bank, as `matches` does.

`Meaning(vectors)` computes the terms of a query (`similarity`, `matches`, `nearest`), and
`Approximate(vectors)` holds the opt-in index, which never decides who is a member.
`Lassos(store)` decides which points of a map lie in a polygon, and `projection` makes the maps.
"""

from __future__ import annotations

from slicedb.vectors.approximate import Approximate, IndexReport
from slicedb.vectors.best import at_least_best, best
from slicedb.vectors.lasso import Lasso, Lassos
from slicedb.vectors.matrix import Matrix
from slicedb.vectors.meaning import Meaning
from slicedb.vectors.terms import Calibrated, Target, Term
from slicedb.vectors.vectors import Nearest, Vectors

__all__ = [
    "Approximate",
    "Calibrated",
    "IndexReport",
    "Lasso",
    "Lassos",
    "Matrix",
    "Meaning",
    "Nearest",
    "Target",
    "Term",
    "Vectors",
    "at_least_best",
    "best",
]
