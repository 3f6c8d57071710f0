"""Hold two pictures over one another: is the one a part of the other, or turned a little?

Vectors say which samples may show the same picture; whether they do, the pixels say. The small gray
picture of the one is cut out at many places and sizes, and turned by up to ten degrees, and each of
these is correlated with the other. The brightness of large areas is taken out before, since skies
and seas are alike in it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from slicedb import media
from slicedb.metrics.outcomes import Floats, Ints
from slicedb.progress import SILENT, Bar

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SIDE = 32
_OUT = 24
"""Pixels per side of what is compared."""
_SIZES = (0.9, 0.85, 0.8, 0.75, 0.7)
"""Sides of the parts, as a share of the whole."""
_PLACES = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""Places of a part, from one end to the other."""
_TURNS = (-10.0, -7.5, -5.0, -2.5, 0.0, 2.5, 5.0, 7.5, 10.0)
"""Degrees. Turned pictures are compared in the middle, since their corners are cut off."""
_MIDDLE = 0.8
_BLUR = 7
_N_PARTS = len(_SIZES) * len(_PLACES) ** 2
_FLAT = 1e-3
"""Length below which a picture without its brightness is flat."""
_LEFTS = 64
"""Pictures that are cut into parts at once."""
_KEPT = 1 << 16
"""Pictures of which what parts are held against is kept: 300 MB."""
_TOGETHER = 16
"""Of these, between two looks at the clock."""


def agreement(gray: np.ndarray, left: Ints, right: Ints, bar: Bar = SILENT) -> Floats:
    """Return float64 (m,): how well the better of two pictures' parts agrees with the other.

    Args:
        gray: uint8 (n, 32, 32).
        left: int64 (m,): rows of the one.
        right: int64 (m,): rows of the other.
        bar: advanced by one per pair.

    Returns:
        Correlations, 1 for the same picture; 0 for flat ones.
    """
    n = len(left)
    # Both ways at once, so that each picture is cut into parts once for all that it is held over.
    whole, part = np.concatenate([left, right]), np.concatenate([right, left])
    order = np.argsort(whole, kind="stable")
    distinct, starts = np.unique(whole[order], return_index=True)
    ends = np.append(starts[1:], len(order))
    found = np.zeros(2 * n)

    def hold(first: int) -> int:
        some = slice(first, first + _LEFTS)
        at = order[starts[some][0] : ends[some][-1]]
        counts = ends[some] - starts[some]
        found[at] = _held(gray, distinct[some], part[at], counts, kept)
        return len(at)

    done = 0
    kept = _wholes(gray, distinct) if len(distinct) <= _KEPT else None
    with ThreadPoolExecutor(media.n_threads(), "slicedb-agreement") as pool:
        firsts = range(0, len(distinct), _LEFTS)
        for group in range(0, len(firsts), _TOGETHER):  # in groups, so that an interrupt is noticed
            for n_ways in pool.map(hold, firsts[group : group + _TOGETHER]):
                before, done = done, done + n_ways
                bar.advance(done // 2 - before // 2)
    return np.maximum(found[:n], found[n:])


_Wholes: TypeAlias = tuple[Ints, np.ndarray, np.ndarray]
"""Rows of pictures, ascending, and float32 (n, 576) of each: the whole, and its middle."""


def _wholes(gray: np.ndarray, rows: Ints) -> _Wholes:
    """Return pictures as parts of others are held against them."""
    both = [np.empty((len(rows), _OUT**2), np.float32) for _ in range(2)]
    for start in range(0, len(rows), 1024):
        some = slice(start, start + 1024)
        sharp = _sharpened(gray[rows[some]]).T
        for values, warp in zip(both, _warps()[1:]):
            values[some] = _normal(np.ascontiguousarray((warp @ sharp).T))
    return rows, both[0], both[1]


def _held(
    gray: np.ndarray, wholes: Ints, parts: Ints, counts: Ints, kept: _Wholes | None
) -> Floats:
    """Return how well some part of each whole agrees with the whole of other pictures.

    Args:
        gray: uint8 (n, 32, 32).
        wholes: int64 (l,): rows.
        parts: int64 (r,): rows, those of the first whole before those of the second.
        counts: int64 (l,): how many each whole has.
        kept: all that parts are held against, where that is little enough to keep.
    """
    cut = _parts(_sharpened(gray[wholes]))
    # The others have mean 0, so that the mean of a part does not matter but for its length.
    square = np.einsum("lwp,lwp->lw", cut, cut) - cut.sum(axis=2) ** 2 / _OUT**2
    length = np.sqrt(np.maximum(square, 0)) + _FLAT
    others, plain, inner = kept or _wholes(gray, np.unique(parts))
    place = np.searchsorted(others, parts)
    found = np.empty(len(parts))
    ends = np.cumsum(counts)
    for k, (start, end) in enumerate(zip((ends - counts).tolist(), ends.tolist())):
        own = place[start:end]
        scores = plain[own] @ cut[k, :_N_PARTS].T  # (r, 576) @ (576, w) -> (r, w)
        turned = inner[own] @ cut[k, _N_PARTS:].T
        scores, turned = scores / length[k, :_N_PARTS], turned / length[k, _N_PARTS:]
        found[start:end] = np.maximum(scores.max(axis=1), turned.max(axis=1))
    return found


def _parts(sharp: np.ndarray) -> np.ndarray:
    """Return float32 (n, w, 576): all parts of pictures, and then the pictures turned.

    A part is cut out along one axis and then along the other, as products of small matrices.
    """
    n = len(sharp)
    cut = np.empty((n, _N_PARTS + len(_TURNS), _OUT, _OUT), np.float32)
    square = sharp.reshape(n, SIDE, SIDE)
    k = len(_PLACES)
    for at, axis in enumerate(_axes()):
        both = axis @ square @ axis.T  # (120, 32) @ (n, 32, 32) @ (32, 120)
        tiles = both.reshape(n, k, _OUT, k, _OUT).swapaxes(2, 3)
        cut[:, at * k * k : (at + 1) * k * k] = tiles.reshape(n, k * k, _OUT, _OUT)
    turns, _, _ = _warps()
    turned = (turns @ sharp.T).T.reshape(n, len(_TURNS), _OUT, _OUT)
    cut[:, _N_PARTS:] = turned
    return cut.reshape(n, -1, _OUT**2)


def _sharpened(gray: np.ndarray) -> np.ndarray:
    """Return float32 (n, 1024): pictures less their own blur."""
    from scipy.ndimage import uniform_filter

    wide = gray.astype(np.float32)
    blurred = uniform_filter(wide, size=(1, _BLUR, _BLUR), mode="nearest")
    return np.asarray((wide - blurred).reshape(len(gray), SIDE**2))


def _normal(values: np.ndarray) -> np.ndarray:
    """Return vectors of mean 0 and length 1; flat ones stay near 0."""
    values = values - values.mean(axis=-1, keepdims=True)
    return np.asarray(values / (np.linalg.norm(values, axis=-1, keepdims=True) + _FLAT))


@cache
def _axes() -> tuple[np.ndarray, ...]:
    """Return for each size what samples one axis at every place: float32 (places x 24, 32)."""
    place = (np.arange(_OUT) + 0.5) / _OUT - 0.5
    found = []
    for size in _SIZES:
        rows = []
        for shift in _PLACES:
            u = (size * place + shift * (1 - size) / 2 + 0.5) * SIDE - 0.5
            u = np.clip(u, 0, SIDE - 1)
            left = np.minimum(u.astype(np.int64), SIDE - 2)
            axis = np.zeros((_OUT, SIDE), np.float32)
            axis[np.arange(_OUT), left] = 1 - (u - left)
            axis[np.arange(_OUT), left + 1] = u - left
            rows.append(axis)
        found.append(np.concatenate(rows))
    return tuple(found)


@cache
def _warps() -> tuple[csr_array, csr_array, csr_array]:
    """Return what turns pictures, the whole, and the middle: (w x 576, 1024)."""
    from scipy.sparse import vstack

    turns = [_warp(_MIDDLE, 0.0, 0.0, degrees) for degrees in _TURNS]
    whole, middle = _warp(1.0, 0.0, 0.0, 0.0), _warp(_MIDDLE, 0.0, 0.0, 0.0)
    return vstack(turns).tocsr(), whole, middle


def _warp(size: float, x: float, y: float, degrees: float) -> csr_array:
    """Return the bilinear sampling of a turned square of a picture as a matrix (576, 1024)."""
    from scipy.sparse import csr_array

    place = (np.arange(_OUT) + 0.5) / _OUT - 0.5
    across, down = (size * axis.ravel() for axis in np.meshgrid(place, place))
    angle = np.deg2rad(degrees)
    u = (across * np.cos(angle) - down * np.sin(angle) + x + 0.5) * SIDE - 0.5
    v = (across * np.sin(angle) + down * np.cos(angle) + y + 0.5) * SIDE - 0.5
    u, v = (np.clip(axis, 0, SIDE - 1) for axis in (u, v))
    left, top = (np.minimum(axis.astype(np.int64), SIDE - 2) for axis in (u, v))
    u, v = u - left, v - top
    corner = top * SIDE + left
    columns = np.concatenate([corner, corner + 1, corner + SIDE, corner + SIDE + 1])
    weights = np.concatenate([(1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u])
    rows = np.tile(np.arange(_OUT**2), 4)
    shape = _OUT**2, SIDE**2
    return csr_array((weights.astype(np.float32), (rows, columns)), shape=shape)
