"""Measure how slices overlap: shared samples, Jaccard index, containment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.keys import KeyIndex, Keys
from slicedb.metrics import Membership
from slicedb.schema import SAMPLES
from slicedb.show import numbers
from slicedb.show.heat import Tile, heat
from slicedb.show.html import Html
from slicedb.show.tabular import Figure, Grid, Part, Tabular

if TYPE_CHECKING:
    import pandas as pd

    from slicedb.store import Store

Measure = Literal["jaccard", "containment", "shared"]

_DRAWN = 40  # slices up to which the matrix is drawn
_BLOCK = 1 << 16  # rows of the samples held as a dense block at once
_DENSE = 0.1  # share of cells that are set from which the dense product is quicker
_known: WeakKeyDictionary[Store, tuple[int, KeyIndex]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Overlap(Tabular):
    """The overlap of s slices, each with each."""

    names: tuple[str, ...]
    sizes: npt.NDArray[np.int64]
    """int64 (s,)."""
    shared: npt.NDArray[np.int64]
    """int64 (s, s): samples in both; the sizes on the diagonal."""

    @property
    def jaccard(self) -> npt.NDArray[np.float64]:
        """float64 (s, s): shared samples over those in either, NaN between two empty slices."""
        either = self.sizes[:, None] + self.sizes[None, :] - self.shared
        return _share(self.shared, either)

    @property
    def containment(self) -> npt.NDArray[np.float64]:
        """float64 (s, s): the share of the row's slice that lies in the column's, NaN if empty."""
        return _share(self.shared, np.broadcast_to(self.sizes[:, None], self.shared.shape))

    def pairs(self, least: float = 0.0) -> pa.Table:
        """Return one row per pair that shares samples, by falling Jaccard index.

        Args:
            least: leave out pairs with a lower Jaccard index.

        Returns:
            a, b, shared, jaccard, a_in_b, b_in_a.
        """
        i, j = np.triu_indices(len(self.names), 1)
        jaccard, inside = self.jaccard, self.containment
        keep = (self.shared[i, j] > 0) & (jaccard[i, j] >= least)
        i, j = i[keep], j[keep]
        order = np.argsort(-jaccard[i, j], kind="stable")
        i, j = i[order], j[order]
        names = np.array(self.names, object)
        return pa.table(
            {
                "a": pa.array(names[i], pa.string()),
                "b": pa.array(names[j], pa.string()),
                "shared": self.shared[i, j],
                "jaccard": jaccard[i, j],
                "a_in_b": inside[i, j],
                "b_in_a": inside[j, i],
            }
        )

    def to_arrow(self, measure: Measure = "jaccard") -> pa.Table:
        """Return the matrix: one row and one column per slice."""
        values = getattr(self, measure)
        columns = {name: values[:, k] for k, name in enumerate(self.names)}
        return pa.table({"slice": list(self.names), **columns})

    def to_pandas(self, measure: Measure = "jaccard") -> pd.DataFrame:
        """Return the matrix as a pandas frame with names on both sides."""
        return self.to_arrow(measure).to_pandas().set_index("slice")

    def parts(self) -> Iterable[Part]:
        """Yield the pairs that share samples, the most alike first."""
        pairs = self.pairs().slice(0, 20).to_pylist()
        if not pairs:
            yield f"{numbers.count(len(self.names), 'slice')}, no two share a sample"
            return
        yield f"{numbers.count(len(self.names), 'slice')}"
        head = ["a", "b", "Jaccard", "shared", "a in b", "b in a"]
        rows = [
            [
                pair["a"],
                pair["b"],
                f"{pair['jaccard']:.3f}",
                f"{pair['shared']:,}",
                f"{pair['a_in_b']:.0%}",
                f"{pair['b_in_a']:.0%}",
            ]
            for pair in pairs
        ]
        yield Grid(head, rows, align="<<")
        yield (
            "shared: samples in both; Jaccard: those over the samples in either; a in b: the share "
            "of a that lies in b"
        )
        if len(self.names) <= _DRAWN:
            yield Figure(self.draw)

    def draw(self) -> Html:
        """Draw the Jaccard index of each slice with each, of the largest where they are many."""
        if len(self.names) > _DRAWN:
            largest = np.sort(np.argsort(-self.sizes, kind="stable")[:_DRAWN])
            names = tuple(self.names[k] for k in largest)
            shared = self.shared[np.ix_(largest, largest)]
            return Overlap(names, self.sizes[largest], shared).draw()
        jaccard = self.jaccard
        lines = [
            (
                name,
                [
                    Tile(
                        "" if np.isnan(value) else f"{value:.2f}",
                        float(value),
                        f"{name} and {other}: {numbers.count(self.shared[i, j], 'sample')}",
                    )
                    for j, (other, value) in enumerate(zip(self.names, jaccard[i]))
                ],
            )
            for i, name in enumerate(self.names)
        ]
        return heat("Jaccard", self.names, lines)


def _share(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    out = np.full(part.shape, np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def places_of(store: Store) -> KeyIndex:
    """Return where the samples' keys stand in stored order; kept while samples stay as they are."""
    version = store.version(SAMPLES)
    known = _known.get(store)
    if known is None or known[0] != version:
        keys = store.table(SAMPLES, ["key"], version=version)["key"].to_numpy()
        known = _known[store] = (version, KeyIndex(keys))
    return known[1]


def membership(store: Store, members: Mapping[str, Keys]) -> Membership:
    """Return which samples, in stored order, belong to which slice."""
    places = places_of(store)
    rows = [np.flatnonzero(places.mask(keys)) for keys in members.values()]
    return Membership(rows, len(places))


def n_shared(store: Store, a: Keys, b: Keys) -> int:
    """Return how many samples two sets of keys share, each of distinct ones that are there."""
    places = places_of(store)
    return int(np.count_nonzero(places.mask(a)[places.rows(b)]))


def overlap(store: Store, members: Mapping[str, Keys]) -> Overlap:
    """Return the overlap of slices, all pairs at once.

    Args:
        members: slice -> int64 keys; samples that are gone do not count.
    """
    belongs = membership(store, members)
    return Overlap(tuple(members), belongs.sizes, shared(belongs))


def shared(belongs: Membership) -> npt.NDArray[np.int64]:
    """Return int64 (s, s): the rows two slices share, a product of the membership with itself.

    Sparse where few samples are in many slices; else dense, a block of rows at a time, since the
    sparse product takes time with the square of the slices a sample is in.
    """
    s, n = len(belongs), belongs.n
    members = int(belongs.sizes.sum())
    if not members:
        return np.zeros((s, s), np.int64)
    if members < _DENSE * s * n:
        matrix = belongs.matrix.astype(np.float32 if n < 1 << 24 else np.float64)
        product = (matrix @ matrix.T).toarray()  # (s, n) @ (n, s) -> (s, s)
        return np.asarray(np.rint(product), np.int64)
    total = np.zeros((s, s), np.int64)
    edges = [np.searchsorted(rows, np.arange(0, n + _BLOCK, _BLOCK)) for rows in belongs.positions]
    for number, start in enumerate(range(0, n, _BLOCK)):
        block = np.zeros((s, min(_BLOCK, n - start)), np.float32)
        for row, rows, edge in zip(block, belongs.positions, edges):
            row[rows[edge[number] : edge[number + 1]] - start] = 1
        total += np.rint(block @ block.T).astype(np.int64)  # (s, b) @ (b, s) -> (s, s)
    return total
