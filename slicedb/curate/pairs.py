"""Find the pairs of samples that are duplicates: by bytes, by perceptual hash, by vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import progress
from slicedb.curate import looks
from slicedb.curate.hashes import LEAST_DETAIL, MOST_BITS, Hashes
from slicedb.curate.neighbours import cosines, nearest, vector_pairs, with_vector
from slicedb.curate.null import Null, estimate
from slicedb.curate.registered import agreement
from slicedb.errors import CheckError, did_you_mean
from slicedb.keys import Keys
from slicedb.media.lookalike import BITS
from slicedb.metrics.outcomes import Ints
from slicedb.schema import schema_of
from slicedb.store import Store
from slicedb.vectors import Matrix, Vectors

By: TypeAlias = Literal["bytes", "hash", "vectors", "both"]

PAIRS = schema_of(
    """
    left! int64, right! int64, kind! string, distance! float64, bits int64, cosine float64
    orientation int64
    """
)
"""`left` and `right` are keys, the left one first in the order that was asked for; `kind` is the
strongest way in which the two are duplicates: bytes, hash, vectors. `distance` is 0 for identical
ones, else what share of the hash's bits differ, or 1 - the agreement of pixels (1 - cosine where a
cosine was asked for). `media.turn(right, orientation)`
looks like left."""

FALSE_PAIRS = 1e-4
"""Unrelated pairs that the threshold of the null lets expect among all pairs."""
CAP_BITS, FIXED_BITS = 48, 32
"""The largest threshold that the null can give, and that of collections too small for a null.
Pairs of CIFAR-10 were looked at: up to 54 bits all are the same picture."""
CAP_COSINE, FIXED_COSINE = 0.9, 0.97
CAP_PIXELS = 0.1
"""The largest distance of pixels at which nearest neighbours are the same picture. Of CIFAR-10
nearly all are up to 0.15, and beyond it skies and seas begin; half of the photos cut to 80 % lie
below 0.09, half of those turned by 5 degrees below 0.06."""
NEIGHBOURS = 8
"""Nearest vectors of each sample whose pixels are compared."""
_RELATED_BITS, _RELATED_COSINE = 64, 0.98
_DRAWN = 200, 50
"""Pictures, and partners of each, drawn to see how far pixels of unrelated ones agree."""
_SAME_VECTOR = 0.99999
"""Cosine of vectors that are equal but for rounding."""
_SPREAD = 50
"""Identical pictures of which all pairs are listed; of more, each is paired with the first."""


@dataclass(frozen=True, eq=False)
class Near:
    """The pairs of samples that are duplicates, and how they were told."""

    pairs: pa.Table
    """As `PAIRS` says, the nearest first."""
    keys: Keys = field(repr=False)
    """int64 (n,): the samples that were compared."""
    nulls: tuple[Null, ...] = ()
    """Of hashes and vectors, where they were compared."""
    flat: Keys = field(default_factory=lambda: np.empty(0, np.int64), repr=False)
    """Samples too flat for their hash to say anything."""
    without_hash: Keys = field(default_factory=lambda: np.empty(0, np.int64), repr=False)
    """Samples without a hash: their picture cannot be read."""
    without_vector: Keys = field(default_factory=lambda: np.empty(0, np.int64), repr=False)
    """Samples without a vector."""
    hashed: int = 0
    """Hashes that had to be computed, since the database had none."""


def near_pairs(
    store: Store,
    keys: Keys,
    *,
    by: By = "both",
    vectors: Vectors | None = None,
    name: str = "default",
    bits: int | None = None,
    cosine: float | None = None,
    false_pairs: float = FALSE_PAIRS,
    show: progress.Watch = None,
) -> Near:
    """Return the pairs of samples that are duplicates of one another.

    Identical bytes always count. Of more than `_SPREAD` identical pictures, each is paired with the
    first of them only, and nearby pictures likewise; `groups` takes them together.

    Args:
        store: the database.
        keys: int64 (n,), distinct: the samples.
        by: compare bytes only, perceptual hashes, vectors, or both hashes and vectors where there
            are vectors.
        vectors: of the database; needed for vectors.
        name: of the embedding.
        bits: of the 256 of a hash that may differ; None takes the data's own null.
        cosine: least cosine of vectors; None compares the pixels of nearest neighbours.
        false_pairs: unrelated pairs that the thresholds of the null may let expect.
        show: see `slicedb.progress.Watch`.

    Raises:
        CheckError: an unknown `by`, or a threshold that makes no sense.
        UnknownEmbeddingError: `by` is vectors, and there are none of that name.
    """
    _check(by, bits, cosine, false_pairs)
    stored = looks.load(store, keys, by in ("hash", "both"), show)
    parts = [_identical(keys, stored.content, "bytes")]
    nulls: list[Null] = []
    near = Near(PAIRS.empty_table(), keys)
    if by in ("hash", "both"):
        part, null = _by_hash(keys, stored, bits, false_pairs, show)
        parts, nulls = [*parts, part], [*nulls, *null]
        near = replace(
            near,
            flat=keys[stored.has_hash & (stored.detail < LEAST_DETAIL)],
            without_hash=keys[~stored.has_hash],
            hashed=stored.computed,
        )
    if by == "vectors" or (by == "both" and vectors is not None and _has(vectors, name)):
        if vectors is None:
            raise CheckError("by='vectors' needs vectors.", "give Vectors(store).")
        part, null, lacking = _by_vectors(store, keys, vectors, name, cosine, false_pairs, show)
        parts, nulls = [*parts, part], [*nulls, *null]
        near = replace(near, without_vector=lacking)
    return replace(near, pairs=_merged(parts, keys), nulls=tuple(nulls))


def _check(by: str, bits: int | None, cosine: float | None, false_pairs: float) -> None:
    if by not in get_args(By):
        raise CheckError(f"No by '{by}'.", did_you_mean(by, get_args(By), "ways"))
    if bits is not None and not 0 <= bits <= MOST_BITS:
        raise CheckError(
            f"A threshold of {bits} bits of {BITS} makes no sense.",
            f"give 0 to {MOST_BITS}: hashes of unrelated pictures begin to agree beyond.",
        )
    if cosine is not None and not 0 < cosine <= 1:
        raise CheckError(
            f"A cosine of {cosine:g} makes no threshold.", "give more than 0, up to 1; 0.95, say."
        )
    if not 0 < false_pairs < float("inf"):
        raise CheckError(
            f"{false_pairs:g} unrelated pairs cannot be asked for.", "give more than 0."
        )


def _has(vectors: Vectors, name: str) -> bool:
    from slicedb.schema import EMBEDDINGS

    return vectors.store.has(EMBEDDINGS + name)


def _identical(keys: Keys, content: Sequence[object] | np.ndarray, kind: str) -> pa.Table:
    """Return the pairs of samples with equal content; None has no equal."""
    column = pa.array(content)
    codes = column.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    order = order[codes[order] >= 0]
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    lefts, rights = [], []
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(order)]):
        if end - start < 2:
            continue
        same = order[start:end]
        if len(same) <= _SPREAD:
            a, b = np.triu_indices(len(same), 1)
        else:
            a, b = np.zeros(len(same) - 1, np.int64), np.arange(1, len(same))
        lefts.append(same[a])
        rights.append(same[b])
    nothing = [np.empty(0, np.int64)]
    left, right = np.concatenate(lefts or nothing), np.concatenate(rights or nothing)
    zero = np.zeros(len(left))
    return _table(keys[left], keys[right], kind, zero, zero, None, np.ones(len(left)))


def _by_hash(
    keys: Keys, found: looks.Stored, bits: int | None, false_pairs: float, show: progress.Watch
) -> tuple[pa.Table, tuple[Null, ...]]:
    """Return the pairs of pictures that look alike, and the null of their distances."""
    rows = np.flatnonzero(found.has_hash & (found.detail >= LEAST_DETAIL))
    # Pictures with one hash are compared once: a thousand copies would be half a million pairs.
    whole = np.concatenate(
        [found.turned[rows, None].view(np.uint8).reshape(-1, 8), found.signs[rows]], axis=1
    )
    names = np.ascontiguousarray(whole).view(f"V{whole.shape[1]}")[:, 0]
    _, first, node = np.unique(names, return_index=True, return_inverse=True)
    order = np.argsort(first)  # nodes in the order of the samples
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    first, node = first[order], place[node]
    hashes = Hashes(found.turned[rows[first]], found.signs[rows[first]])
    if len(hashes) < 1:
        return PAIRS.empty_table(), ()
    null = estimate(
        f"bits of {BITS}",
        len(hashes),
        lambda a, b: hashes.distances(a, b)[0].astype(np.float64),
        given=bits,
        false_pairs=false_pairs,
        related=_RELATED_BITS,
        cap=CAP_BITS,
        fixed=FIXED_BITS,
    )
    with progress.bar(len(hashes), "compare hashes", show, keeps=False) as bar:
        near = hashes.pairs(int(null.threshold), bar)
    equal = _identical(keys[rows], node, "hash")
    left, right, at = _spread(near.left, near.right, node, len(first))
    a, b = rows[left], rows[right]
    swapped = a > b
    a, b = np.where(swapped, b, a), np.where(swapped, a, b)
    turned = np.where(swapped, _INVERSE[near.orientation[at]], near.orientation[at])
    share = near.bits[at] / BITS
    return pa.concat_tables(
        [equal, _table(keys[a], keys[b], "hash", share, near.bits[at], None, turned)]
    ), (null,)


_INVERSE = np.array([0, 1, 2, 3, 4, 5, 8, 7, 6])
"""The orientation that undoes each: only the quarter turns, 6 and 8, are not their own inverse."""


def _spread(left: Ints, right: Ints, node: Ints, n: int) -> tuple[Ints, Ints, Ints]:
    """Return the pairs of samples of pairs of nodes, and the pair of nodes of each.

    Nodes of more than `_SPREAD` samples are spoken for by their first.
    """
    order = np.argsort(node, kind="stable")
    sizes = np.bincount(node, minlength=n)
    starts = np.cumsum(sizes) - sizes
    sizes = np.where(sizes > _SPREAD, 1, sizes)
    count = sizes[left] * sizes[right]
    at = np.repeat(np.arange(len(left)), count)
    within = np.arange(len(at)) - np.repeat(np.cumsum(count) - count, count)
    a = order[starts[left[at]] + within // sizes[right[at]]]
    b = order[starts[right[at]] + within % sizes[right[at]]]
    return a, b, at


def _by_vectors(
    store: Store,
    keys: Keys,
    vectors: Vectors,
    name: str,
    cosine: float | None,
    false_pairs: float,
    show: progress.Watch,
) -> tuple[pa.Table, tuple[Null, ...], Keys]:
    """Return the pairs that vectors find, the null of their distances, and who has no vector."""
    matrix = vectors.matrix(name)
    rows = with_vector(matrix, keys)
    lacking = keys[~np.isin(keys, matrix.keys[rows])]
    if len(rows) < 2:
        return PAIRS.empty_table(), (), lacking
    if cosine is not None:
        table, null = _by_cosine(matrix, rows, cosine, false_pairs, show)
    else:
        table, null = _by_pixels(store, matrix, rows, false_pairs, show)
    return table, (null,), lacking


def _by_cosine(
    matrix: Matrix, rows: Ints, cosine: float | None, false_pairs: float, show: progress.Watch
) -> tuple[pa.Table, Null]:
    """Return all pairs beyond a cosine, whatever their pixels say."""
    null = estimate(
        "1 - cosine",
        len(rows),
        lambda a, b: 1 - cosines(matrix, rows[a], rows[b]),
        given=None if cosine is None else 1 - cosine,
        false_pairs=false_pairs,
        related=1 - _RELATED_COSINE,
        cap=1 - CAP_COSINE,
        fixed=1 - FIXED_COSINE,
    )
    with progress.bar(len(rows), "compare vectors", show, keeps=False) as bar:
        left, right, scores = vector_pairs(matrix, rows, 1 - null.threshold, bar)
    mine, other = matrix.keys[rows[left]], matrix.keys[rows[right]]
    distance = np.maximum(1 - scores, 1e-9)  # equal vectors may be of different pictures
    return _table(mine, other, "vectors", distance, None, scores, None), null


def _by_pixels(
    store: Store, matrix: Matrix, rows: Ints, false_pairs: float, show: progress.Watch
) -> tuple[pa.Table, Null]:
    """Return the nearest neighbours whose pixels agree: parts, and pictures turned a little.

    Cosines differ from encoder to encoder, and so does the one from which on pictures are the same;
    pixels do not. Where no picture can be read, cosines have to do.
    """
    with progress.bar(len(rows), "compare vectors", show, keeps=False) as bar:
        left, right, scores = nearest(matrix, rows, NEIGHBOURS, bar)
    gray, has_picture = looks.small(store, matrix.keys[rows], show)
    if not has_picture.any():
        return _by_cosine(matrix, rows, None, false_pairs, show)
    keep = has_picture[left] & has_picture[right]
    left, right, scores = left[keep], right[keep], scores[keep]
    readable = np.flatnonzero(has_picture)
    rng = np.random.default_rng(0)
    some = np.repeat(rng.choice(readable, min(len(readable), _DRAWN[0]), replace=False), _DRAWN[1])
    others = rng.choice(readable, len(some))
    apart = some != others
    null = estimate(
        "1 - agreement of pixels",
        len(rows),
        lambda a, b: 1 - agreement(gray, a, b),
        given=None,
        false_pairs=false_pairs,
        related=CAP_PIXELS,
        cap=CAP_PIXELS,
        fixed=CAP_PIXELS,
        drawn=(some[apart], others[apart]),
        pairs=len(left),
    )
    with progress.bar(len(left), "compare pixels", show, unit="pair", keeps=False) as bar:
        apart = 1 - agreement(gray, left, right, bar)
    apart[scores >= _SAME_VECTOR] = 0  # the encoder sees no difference, whatever there is
    near = apart <= null.threshold
    mine, other = (matrix.keys[rows[side[near]]] for side in (left, right))
    distance = np.maximum(apart[near], 1e-9)
    return _table(mine, other, "vectors", distance, None, scores[near], None), null


def _table(
    left: Keys,
    right: Keys,
    kind: str,
    distance: np.ndarray,
    bits: np.ndarray | None,
    cosine: np.ndarray | None,
    orientation: np.ndarray | None,
) -> pa.Table:
    n = len(left)
    columns = {"bits": bits, "cosine": cosine, "orientation": orientation}
    return pa.table(
        {
            "left": pa.array(left, pa.int64()),
            "right": pa.array(right, pa.int64()),
            "kind": pa.repeat(pa.scalar(kind), n),
            "distance": pa.array(distance, pa.float64()),
            **{
                name: pa.nulls(n, PAIRS.field(name).type)
                if values is None
                else pa.array(values).cast(PAIRS.field(name).type)
                for name, values in columns.items()
            },
        },
        schema=PAIRS,
    )


def _merged(parts: list[pa.Table], keys: Keys) -> pa.Table:
    """Return one row per pair: the strongest kind, and what the others measured beside it."""
    from slicedb.keys import KeyIndex

    table = pa.concat_tables(parts)
    index = KeyIndex(keys)
    left, right = (index.find(table[side].to_numpy()) for side in ("left", "right"))
    swapped = left > right
    left, right = np.where(swapped, right, left), np.where(swapped, left, right)
    turned = table["orientation"].fill_null(0).to_numpy()
    turned = np.where(swapped, _INVERSE[turned], turned)
    pair = left * len(keys) + right
    order = np.argsort(pair, kind="stable")  # the strongest kind first, as the parts come
    firsts = np.flatnonzero(np.diff(pair[order], prepend=-1))
    if not len(order):
        return PAIRS.empty_table()
    first = order[firsts]
    measured = {
        name: np.fmin.reduceat(
            table[name].cast(pa.float64()).to_numpy(zero_copy_only=False)[order], firsts
        )
        for name in ("bits", "cosine")
    }
    rows = pa.table(
        {
            "left": keys[left[first]],
            "right": keys[right[first]],
            "kind": table["kind"].take(pa.array(first)),
            "distance": table["distance"].take(pa.array(first)),
            "bits": pc.if_else(
                np.isnan(measured["bits"]), None, np.nan_to_num(measured["bits"]).astype(np.int64)
            ),
            "cosine": pa.array(measured["cosine"], pa.float64(), from_pandas=True),
            "orientation": pc.if_else(turned[first] == 0, None, turned[first]),
        },
        schema=PAIRS,
    )
    strength = {"bytes": 0, "hash": 1, "vectors": 2}
    ranks = np.array([strength[kind] for kind in rows["kind"].to_pylist()])
    nearest = np.lexsort((right[first], left[first], rows["distance"].to_numpy(), ranks))
    return rows.take(pa.array(nearest))
