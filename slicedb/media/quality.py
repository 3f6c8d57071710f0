"""Measure how well a picture can be seen: sharp or blurred, dark or light, plain or framed.

The formulas of darkness, lightness, blur and entropy are those of cleanvision 0.3.7 (Cleanlab,
Apache-2.0), so that scores can be compared; brightness is luminance instead of its weighted root of
squares. What needs no colour is measured of the luminance that ingest decodes in any case.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

SIDE = 64
"""Pixels of the longer side of the picture that sharpness and borders are measured on."""
SAMPLED = 1 << 14
"""Pixels of a picture, about, that its histogram is made of."""
_PLAIN, _SAME = 8, 6
"""Gray levels within a plain row, and between plain rows of one border."""


class Seen(NamedTuple):
    """What is kept of one picture until it is measured together with others."""

    small: np.ndarray
    """uint8 (h, w), at most `SIDE` pixels."""
    histogram: np.ndarray | None
    """int64 (256,): the luminance; None where `small` is the whole picture."""


class Light(NamedTuple):
    """What luminance tells. All arrays are float32 (n,)."""

    sharpness: np.ndarray
    """0 to 1: how strong edges are at 64 pixels; below 0.29 a picture counts as blurred."""
    brightness: np.ndarray
    """0 to 1: the mean."""
    dark: np.ndarray
    """0 to 1: the 99th percentile; below 0.32 a picture counts as dark."""
    light: np.ndarray
    """0 to 1: the 5th percentile; above 0.95 a picture counts as overexposed."""
    contrast: np.ndarray
    """0 to 0.5: the standard deviation."""
    border: np.ndarray
    """0 to 1: the share of height or width that a plain border takes, the widest of four sides."""


def see(gray: np.ndarray) -> Seen:
    """Return what is measured of a picture, luminance uint8 (h, w)."""
    height, width = gray.shape
    ratio = max(height, width) / SIDE
    if ratio <= 1:
        return Seen(gray, None)
    image = Image.fromarray(gray)
    if (factor := int(ratio // 2)) > 1:
        image = image.reduce(factor)
    size = max(int(width // ratio), 1), max(int(height // ratio), 1)
    small = np.asarray(image.resize(size, Image.Resampling.BICUBIC))
    # Whole rows where there are enough of them: they are copied and counted in half the time.
    step = max(1, height * width // SAMPLED)
    down = min(step, max(1, height // 32))
    sample = np.ascontiguousarray(gray[::down, :: max(1, step // down)])
    return Seen(small, np.array(Image.fromarray(sample).histogram(), np.int64))


def measure(seen: Sequence[Seen]) -> Light:
    """Measure pictures; those of one shape together, since most of a small one is overhead."""
    out = np.zeros((len(Light._fields), len(seen)), np.float32)
    shapes: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i, one in enumerate(seen):
        shapes[one.small.shape].append(i)
    for rows in shapes.values():
        stack = np.stack([seen[i].small for i in rows])
        small = _histograms(stack)
        whole = np.stack(
            [small[k] if (h := seen[i].histogram) is None else h for k, i in enumerate(rows)]
        )
        out[0, rows] = _sharpness(stack, small)
        out[1:5, rows] = _levels(whole)
        out[5, rows] = _border(stack)
    return Light(*out)


def _histograms(stack: np.ndarray) -> np.ndarray:
    """Return int64 (n, 256): the gray levels of each picture, uint8 (n, h, w)."""
    n = len(stack)
    codes = stack.reshape(n, -1) + (np.arange(n) * 256)[:, None]
    return np.bincount(codes.ravel(), minlength=n * 256).reshape(n, 256)


def _sharpness(stack: np.ndarray, histograms: np.ndarray) -> np.ndarray:
    """Return (n,): the spread of the edges, and of the gray levels where it is large."""
    edges = stack.astype(np.int16)
    if min(stack.shape[1:]) > 2:
        rows = edges[:, :-2] + edges[:, 1:-1] + edges[:, 2:]
        around = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
        edges[:, 1:-1, 1:-1] = np.clip(9 * edges[:, 1:-1, 1:-1] - around, 0, 255)
    flat = edges.reshape(len(stack), -1).astype(np.float32)
    mean = flat.mean(axis=1)
    square = np.einsum("np,np->n", flat, flat) / flat.shape[1]
    spread = 1 - np.exp(-0.01 * np.sqrt(np.maximum(square - mean**2, 0)))
    levels = 1 - np.exp(-0.01 * histograms.std(axis=1))
    return np.asarray(np.minimum(spread + np.where(levels > 0.18, levels, 0), 1))


def _levels(histograms: np.ndarray) -> np.ndarray:
    """Return (4, n): mean, 99th and 5th percentile and standard deviation of luminance."""
    levels = np.arange(256) / 255
    total = histograms.sum(axis=1)
    mean = histograms @ levels / total
    square = histograms @ levels**2 / total
    below = histograms.cumsum(axis=1) / total[:, None]
    dark, light = (_percentile(below, share) for share in (0.99, 0.05))
    return np.stack([mean, dark, light, np.sqrt(np.maximum(square - mean**2, 0))])


def _percentile(below: np.ndarray, share: float) -> np.ndarray:
    """Return (n,), 0 to 1: where shares up to each level, (n, 256), reach one; between levels."""
    rows = np.arange(len(below))
    level = (below < share).sum(axis=1)
    before = np.where(level > 0, below[rows, level - 1], 0)
    part = (share - before) / (below[rows, level] - before)
    return np.asarray(np.clip((level - 1 + part) / 255, 0, 1))


def _border(stack: np.ndarray) -> np.ndarray:
    """Return (n,): the largest share of a side that plain rows or columns take from its end."""
    lines = (stack[:, 0], stack[:, -1], stack[:, :, 0], stack[:, :, -1])
    framed = np.any([line.max(axis=1) - line.min(axis=1) <= _PLAIN for line in lines], axis=0)
    shares = np.zeros(len(stack))
    if framed.any():  # most pictures have no plain line at any side
        shares[framed] = _plain_runs(stack[framed])
    return shares


def _plain_runs(stack: np.ndarray) -> np.ndarray:
    widest = np.zeros(len(stack))
    for axis in (1, 2):
        least, most = (f(axis=axis).astype(np.int16) for f in (stack.min, stack.max))
        for ends in (slice(None), slice(None, None, -1)):
            low, high = least[:, ends], most[:, ends]
            plain = (high - low <= _PLAIN) & (np.abs(low - low[:, :1]) <= _SAME)
            run = np.logical_and.accumulate(plain, axis=1).sum(axis=1)
            widest = np.maximum(widest, run / least.shape[1])
    return widest


def colour(rgb: np.ndarray, *, is_gray: bool) -> tuple[float, float]:
    """Measure the colours of one picture.

    Args:
        rgb: uint8 (h, w, 3).
        is_gray: whether its file has no colours, but gray alone.

    Returns:
        The entropy of the values in bits (of red, green and blue together, or of gray), and the
        mean saturation, 0 to 1: the distance between the strongest and the weakest of the three.
    """
    step = max(1, int((rgb.shape[0] * rgb.shape[1] / SAMPLED) ** 0.5))
    pixels = rgb[::step, ::step].reshape(-1, 3)
    counts = np.concatenate([np.bincount(pixels[:, c], minlength=256) for c in range(3)])
    if is_gray:
        counts = counts[:256]
    shares = counts[counts > 0] / counts.sum()
    red, green, blue = pixels.T
    most, least = (f(f(red, green), blue) for f in (np.maximum, np.minimum))
    saturation = (most - least).mean() / 255
    return float(-(shares * np.log2(shares)).sum()), float(saturation)
