"""How well pictures agree, and which vectors are nearest, as the plainest code says it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from slicedb.curate import registered
from slicedb.curate.neighbours import nearest
from slicedb.curate.registered import agreement
from slicedb.progress import Bar


class Counted(Bar):
    """Counts what is advanced."""

    def __init__(self) -> None:
        self.n = 0

    def advance(self, n: int = 1) -> None:
        self.n += n


def plainly(gray: np.ndarray, whole: int, part: int) -> float:
    """Return the best correlation of each part of one picture with all of the other."""
    sharp = registered._sharpened(gray[[whole, part]])
    best = 0.0
    for size in registered._SIZES:
        for x in registered._PLACES:
            for y in registered._PLACES:
                warp = registered._warp(size, x * (1 - size) / 2, y * (1 - size) / 2, 0.0)
                other = registered._warp(1.0, 0.0, 0.0, 0.0) @ sharp[1]
                best = max(best, correlation(warp @ sharp[0], other))
    for degrees in registered._TURNS:
        other = registered._warp(0.8, 0.0, 0.0, 0.0) @ sharp[1]
        best = max(best, correlation(registered._warp(0.8, 0, 0, degrees) @ sharp[0], other))
    return best


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / ((np.linalg.norm(a) + 1e-3) * (np.linalg.norm(b) + 1e-3)))


@pytest.mark.parametrize("kept", [1 << 16, 10])
def test_pictures_agree_as_plain_code_says(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registered, "_KEPT", kept)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (140, 8, 8)).repeat(4, 1).repeat(4, 2)
    gray = np.clip(coarse + rng.normal(0, 9, coarse.shape), 0, 255).astype(np.uint8)
    gray[1] = np.clip(gray[0].astype(int) + 20, 0, 255)  # the same, brighter
    gray[2] = gray[0][2:30, 2:30][np.ix_(*[np.arange(32) * 28 // 32] * 2)]  # a part of it
    gray[3] = 90
    left = np.array([0, 0, 0, 4, 5, 130, 2, *range(60, 90)])
    right = np.array([1, 2, 3, 5, 4, 7, 139, *range(90, 120)])
    bar = Counted()
    found = agreement(gray, left, right, bar)
    wanted = [max(plainly(gray, a, b), plainly(gray, b, a)) for a, b in zip(left, right)]
    assert np.allclose(found, wanted, atol=1e-5) and bar.n == len(left)
    assert found[0] > 0.95 and found[1] > 0.8 and found[2] == 0 and found[3] == found[4] < 0.5
    nothing = np.empty(0, np.int64)
    assert agreement(gray, nothing, nothing).shape == (0,)


def test_nearest_vectors_are_those_of_a_full_sort(monkeypatch: Any) -> None:
    monkeypatch.setattr("slicedb.curate.neighbours._ROWS", 7)
    monkeypatch.setattr("slicedb.curate.neighbours._COLUMNS", 11)
    for n, k in ((2, 3), (12, 3), (12, 20), (60, 5)):
        vectors = np.random.default_rng(n).normal(size=(n, 6)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        matrix: Any = SimpleNamespace(vectors=vectors)
        left, right, scores = nearest(matrix, np.arange(n), k, Bar())
        cosine = vectors @ vectors.T - 9 * np.eye(n)
        ranked = np.argsort(-cosine, axis=1)[:, : min(k, n - 1)]
        pairs = {(min(i, j), max(i, j)) for i in range(n) for j in ranked[i].tolist()}
        assert set(zip(left.tolist(), right.tolist())) == pairs and len(left) == len(pairs)
        assert np.allclose(scores, cosine[left, right], atol=1e-6)
