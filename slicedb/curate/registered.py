"""Hold two pictures over one another: is the one a part of the other, or turned a little?

Vectors say which samples may show the same picture; whether they do, the pixels say. The small gray
picture of the one is cut out at many places and sizes, and turned by up to ten degrees, and each of
these is correlated with the other. The brightness of large areas is taken out before, since skies
and seas are alike in it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from slicedb.metrics.outcomes import Floats, Ints

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
_LEFTS = 64
"""Pictures that are warped at once."""


def agreement(gray: np.ndarray, left: Ints, right: Ints) -> Floats:
    """Return float64 (m,): how well the better of two pictures' parts agrees with the other.

    Args:
        gray: uint8 (n, 32, 32).
        left: int64 (m,): rows of the one.
        right: int64 (m,): rows of the other.

    Returns:
        Correlations, 1 for the same picture; 0 for flat ones.
    """
    return np.maximum(_one_way(gray, left, right), _one_way(gray, right, left))


def _one_way(gray: np.ndarray, whole: Ints, part: Ints) -> Floats:
    """Return how well some part of the one picture agrees with the whole of the other."""
    found = np.zeros(len(whole))
    order = np.argsort(whole, kind="stable")
    distinct, starts = np.unique(whole[order], return_index=True)
    ends = np.append(starts[1:], len(order))
    warps, identity, middle = _warps()
    n_parts = warps.shape[0] // _OUT**2 - len(_TURNS)
    for first in range(0, len(distinct), _LEFTS):
        some = slice(first, first + _LEFTS)
        sharp = _sharpened(gray[distinct[some]])
        warped = _normal((warps @ sharp.T).T.reshape(len(sharp), -1, _OUT**2))  # (l, w, 576)
        at = order[starts[some][0] : ends[some][-1]]
        others = _sharpened(gray[part[at]])
        plain, inner = (_normal((one @ others.T).T) for one in (identity, middle))
        offset = starts[some][0]
        for mine, start, end in zip(warped, starts[some] - offset, ends[some] - offset):
            scores = plain[start:end] @ mine[:n_parts].T  # (r, 576) @ (576, w) -> (r, w)
            turned = inner[start:end] @ mine[n_parts:].T
            found[at[start:end]] = np.maximum(scores.max(axis=1), turned.max(axis=1))
    return found


def _sharpened(gray: np.ndarray) -> np.ndarray:
    """Return float32 (n, 1024): pictures less their own blur."""
    from scipy.ndimage import uniform_filter

    wide = gray.astype(np.float32)
    blurred = uniform_filter(wide, size=(1, _BLUR, _BLUR), mode="nearest")
    return np.asarray((wide - blurred).reshape(len(gray), SIDE**2))


def _normal(values: np.ndarray) -> np.ndarray:
    """Return vectors of mean 0 and length 1; flat ones stay near 0."""
    values = values - values.mean(axis=-1, keepdims=True)
    return np.asarray(values / (np.linalg.norm(values, axis=-1, keepdims=True) + 1e-3))


@cache
def _warps() -> tuple[csr_array, csr_array, csr_array]:
    """Return what cuts out the parts and turns, the whole, and the middle: (w x 576, 1024)."""
    from scipy.sparse import vstack

    parts = [
        _warp(size, x * (1 - size) / 2, y * (1 - size) / 2, 0.0)
        for size in _SIZES
        for x in _PLACES
        for y in _PLACES
    ]
    turns = [_warp(_MIDDLE, 0.0, 0.0, degrees) for degrees in _TURNS]
    whole, middle = _warp(1.0, 0.0, 0.0, 0.0), _warp(_MIDDLE, 0.0, 0.0, 0.0)
    return vstack([*parts, *turns]).tocsr(), whole, middle


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
