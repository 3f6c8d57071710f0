"""Decide which points of a map lie in a polygon: the values of `in_map`.

The points are kept sorted by y, so that an edge touches only those between its two ends. A lasso
whose edges cross a horizontal line four times then costs about four passes over the points, however
many corners it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from slicedb.cache import Cache
from slicedb.keys import KeyIndex
from slicedb.schema import MAPS
from slicedb.vectors.matrix import Interrupt, no_limit

if TYPE_CHECKING:
    from slicedb.store import Store

_MAPS = 8
"""Versions of maps whose points are kept."""
_BYTES = 512 << 20
_SHOWN = 3
"""Corners that the plan shows."""

Corners = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Lasso:
    """One polygon on a map; its values are 1 inside, 0 outside, NaN without a point."""

    name: str
    """Of the map."""
    corners: Corners
    """(x, y) of each, in order; the last is joined with the first."""

    kind: ClassVar = "lasso"

    @property
    def table(self) -> str:
        """The table of its map."""
        return MAPS + self.name

    @property
    def embedding(self) -> str:
        """What it is computed on, for the plan that `explain` shows."""
        return f"map {self.name}"

    def __str__(self) -> str:
        shown = ", ".join(f"[{x:g}, {y:g}]" for x, y in self.corners[:_SHOWN])
        more = ", ..." if len(self.corners) > _SHOWN else ""
        return f"in_map('{self.name}', [{shown}{more}])"


@dataclass(frozen=True, eq=False)
class Points:
    """The points of one map, sorted by y.

    Attributes:
        keys: int64 (n,): the samples in stored order, with or without a point.
        rows: int64 (m,): the place in `keys` of each point.
        x, y: float64 (m,); `y` rises.
    """

    keys: np.ndarray
    rows: np.ndarray
    x: np.ndarray
    y: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes that it holds by itself; `keys` are those of the loaded samples."""
        return self.rows.nbytes + self.x.nbytes + self.y.nbytes

    def values(self, corners: Corners, check: Interrupt = no_limit) -> np.ndarray:
        """Return float32 (n,): 1 in the polygon, 0 outside, NaN where a sample has no point."""
        values = np.full(len(self.keys), np.nan, np.float32)
        values[self.rows] = inside(corners, self.x, self.y, check)
        return values


def inside(
    corners: Sequence[tuple[float, float]],
    x: np.ndarray,
    y: np.ndarray,
    check: Interrupt = no_limit,
) -> np.ndarray:
    """Return bool (m,): the points that a polygon encloses, by the even-odd rule.

    A ray from the point to the right crosses the outline an odd number of times (Shimrat,
    "Algorithm 112: position of point relative to polygon", CACM 1962). Of an edge, the lower end
    counts and the upper does not, and a point on an edge lies to its right; two polygons that share
    an edge therefore never share a point, and leave none out.

    Args:
        corners: (x, y) of each corner, in order; the last is joined with the first.
        x: float64 (m,).
        y: float64 (m,), rising.
        check: called between edges; raises to stop.

    >>> y = np.array([0.5, 0.5, 2.0])
    >>> inside([(0, 0), (1, 0), (1, 1), (0, 1)], np.array([0.5, 1.5, 0.5]), y).tolist()
    [True, False, False]
    """
    is_odd = np.zeros(len(x), bool)
    for start, end in zip(corners, (*corners[1:], corners[0])):
        # From its lower end, so that both directions of an edge round alike.
        (x0, y0), (x1, y1) = sorted((start, end), key=lambda corner: (corner[1], corner[0]))
        if y0 == y1:
            continue
        first, last = np.searchsorted(y, (y0, y1))
        if first == last:
            continue
        check()
        crossing = y[first:last] - y0
        crossing *= (x1 - x0) / (y1 - y0)
        crossing += x0
        is_odd[first:last] ^= x[first:last] < crossing
    return is_odd


class Lassos:
    """Computes lassos over the maps of one database; their points are read once per version."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open = Cache[tuple[str, int], Points](
            _MAPS, size=lambda points: points.nbytes, most_size=_BYTES
        )

    def score(
        self,
        lassos: Sequence[Lasso],
        versions: Mapping[str, int],
        keys: np.ndarray,
        rows: np.ndarray | None,
        check: Interrupt,
    ) -> dict[Lasso, np.ndarray]:
        """Return the values of each lasso: float32 (m,), NaN where a sample has no point.

        Args:
            lassos: what is asked.
            versions: table of a map to the version to read.
            keys: int64 (n,): all samples, in stored order.
            rows: int64 (m,): the places in `keys` to decide; None decides all.
            check: raises when the time is used up.
        """
        scores: dict[Lasso, np.ndarray] = {}
        for lasso in lassos:
            points = self._points(lasso.table, versions[lasso.table], keys)
            values = points.values(lasso.corners, check)
            scores[lasso] = values if rows is None else values[rows]
        return scores

    def _points(self, table: str, version: int, keys: np.ndarray) -> Points:
        points = self._open.find((table, version))
        if points is None or points.keys is not keys:
            points = read_points(self._store, table, version, keys)
            self._open.put((table, version), points)
        return points


def read_points(store: Store, table: str, version: int, keys: np.ndarray) -> Points:
    """Read the points of a map, sorted by y; those of samples that are not asked for are left out.

    Args:
        store: the database.
        table: of the map.
        version: of the table.
        keys: int64 (n,): the samples, in stored order.
    """
    stored = store.table(table, ["key", "x", "y"], version=version)
    x = stored["x"].to_numpy().astype(np.float64)
    y = stored["y"].to_numpy().astype(np.float64)
    rows = KeyIndex(keys).find(stored["key"].to_numpy())
    known = np.flatnonzero((rows >= 0) & np.isfinite(x) & np.isfinite(y))
    order = known[np.argsort(y[known], kind="stable")]
    return Points(keys, rows[order], x[order], y[order])
