"""What corruptions are made of: random numbers per sample, borders, sums of shifted images.

Pictures are float32 rows of interleaved channels, (n, h, w * c), so that a shift by a pixel is a
shift by `c` and nothing is ever transposed. Sums use integer weights that stay below 2**24, so
they are exact in float32: neither the order of the additions nor the batch can change a pixel.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch

SIDE = 224
"""Pixels of the shorter side for which the lengths of the published severities are meant."""

Stream = np.random.SFC64
"""Where the random numbers of one sample come from; NumPy keeps its bits for all versions."""


def stream_of(key: int, kind: str) -> Stream:
    """Return the random numbers of a sample under a kind, the same for all severities."""
    return np.random.SFC64([key & 0xFFFFFFFFFFFFFFFF, *kind.encode()])


def bits(streams: Sequence[Stream], *shape: int) -> torch.Tensor:
    """Return 16 random bits an element, int16 (n, *shape), over the whole range."""
    count = int(np.prod(shape))
    out = np.empty((len(streams), -(-count // 4)), np.uint64)
    for row, stream in zip(out, streams):
        row[:] = stream.random_raw(len(row))
    return torch.from_numpy(out.view(np.int16)[:, :count].reshape(len(streams), *shape))


def uniform(streams: Sequence[Stream], count: int) -> np.ndarray:
    """Return float64 (n, count) in [0, 1)."""
    return np.array([(s.random_raw(count) >> np.uint64(11)) / 2.0**53 for s in streams])


@functools.lru_cache(maxsize=8)
def normal_table(scale: float) -> torch.Tensor:
    """Return the normal quantiles of all 16-bit numbers, times `scale`, rounded: int16."""
    from scipy.special import ndtri

    quantiles = ndtri((np.arange(65536) + 0.5) / 65536)
    return torch.from_numpy(np.rint(quantiles * scale).astype(np.int16))


def normal(streams: Sequence[Stream], scale: float, *shape: int) -> torch.Tensor:
    """Return normal noise of a standard deviation, in whole numbers, int16 (n, *shape)."""
    return lookup(normal_table(scale), bits(streams, *shape))


def lookup(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return table[index] for int16 indices over their whole range."""
    flat = index.reshape(-1).to(torch.int32).add_(32768)
    return table.index_select(0, flat).reshape(index.shape)


def rows(images: torch.Tensor) -> torch.Tensor:
    """Return uint8 pictures (n, h, w, c) as float32 (n, h, w * c)."""
    return images.reshape(*images.shape[:2], -1).to(torch.float32)


def finish(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Round, clip and return uint8 of the shape of `like`; works in place."""
    whole = values.round_().clamp_(0, 255).to(torch.int16)  # straight to uint8 is 3 times slower
    return whole.to(torch.uint8).reshape(like.shape)


def to_rgb(plane: torch.Tensor) -> torch.Tensor:
    """Return a plane (n, h, w) three times interleaved, (n, h, w * 3)."""
    n, h, w = plane.shape
    out = torch.empty((n, h, w * 3), dtype=plane.dtype, device=plane.device)
    for channel in range(3):
        out[..., channel::3] = plane
    return out


def length(published: float, images: torch.Tensor) -> float:
    """Return a length published for 224 pixels in the scale of these pictures."""
    return published * int(min(images.shape[1:3])) / SIDE


def pad(x: torch.Tensor, width: int, step: int = 3) -> torch.Tensor:
    """Mirror the border: (n, h, w * step) -> (n, h + 2 width, (w + 2 width) * step)."""
    n, h, row = x.shape
    p, w = width, row // step
    out = torch.empty((n, h + 2 * p, w + 2 * p, step), dtype=x.dtype, device=x.device)
    out[:, p : p + h, p : p + w] = x.view(n, h, w, step)
    if p:
        out[:, p : p + h, :p] = out[:, p : p + h, p + 1 : 2 * p + 1].flip(2)
        out[:, p : p + h, p + w :] = out[:, p : p + h, w - 1 : w + p - 1].flip(2)
        out[:, :p] = out[:, p + 1 : 2 * p + 1].flip(1)
        out[:, p + h :] = out[:, h - 1 : h + p - 1].flip(1)
    return out.view(n, h + 2 * p, (w + 2 * p) * step)


def gaussian_weights(sigma: float, total: int = 4096) -> list[int]:
    """Return a normalised Gaussian in whole numbers that add up to `total`."""
    radius = max(1, round(3 * sigma))
    raw = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return whole(raw, total)


def whole(raw: np.ndarray, total: int) -> list[int]:
    """Return weights as whole numbers that add up to `total`."""
    scaled = np.rint(raw / raw.sum() * total).astype(int)
    scaled[int(np.argmax(scaled))] += total - int(scaled.sum())
    return [int(weight) for weight in scaled]


def blur(x: torch.Tensor, sigma: float, step: int = 3) -> torch.Tensor:
    """Gaussian blur of values in [0, 255], float32 (n, h, w * step); exact to 1/16 of a level."""
    weights = gaussian_weights(sigma)
    radius = min(len(weights) // 2, x.shape[1] - 1, x.shape[2] // step - 1)
    weights = weights[len(weights) // 2 - radius : len(weights) // 2 + radius + 1]
    weights[radius] += 4096 - sum(weights)
    h, row = x.shape[1:]
    padded = pad(x, radius, step)
    across = padded[:, :, :row] * weights[0]
    for i, weight in enumerate(weights[1:], 1):
        across.add_(padded[:, :, i * step : i * step + row], alpha=weight)
    across.mul_(16 / 4096).round_()
    down = across[:, :h] * weights[0]
    for i, weight in enumerate(weights[1:], 1):
        down.add_(across[:, i : i + h], alpha=weight)
    return down.mul_(1 / (16 * 4096))


def trail(
    x: torch.Tensor, sigma: float, reach: int, angles: np.ndarray, step: int = 3
) -> torch.Tensor:
    """Smear each picture along a line, weights falling off as half a Gaussian.

    Args:
        x: values in [0, 255], float32 (n, h, w * step).
        sigma: of the weights, pixels.
        reach: length of the line, pixels.
        angles: direction for each picture, radians.
        step: interleaved channels.
    """
    n, h, row = x.shape
    reach = min(reach, h - 1, row // step - 1)
    weights = whole(np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2), 65536)
    padded = pad(x, reach, step)
    out = torch.zeros_like(x)
    for k in range(n):
        dx = np.rint(np.arange(reach + 1) * np.cos(angles[k])).astype(int) + reach
        dy = np.rint(np.arange(reach + 1) * np.sin(angles[k])).astype(int) + reach
        for weight, across, down in zip(weights, dx.tolist(), dy.tolist()):
            left = across * step
            out[k].add_(padded[k, down : down + h, left : left + row], alpha=weight)
    return out.mul_(1 / 65536)


def resize(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Bilinear resize of uint8 (n, h, w, 3) or of float planes (n, h, w)."""
    if x.ndim == 4:
        planes = x.permute(0, 3, 1, 2)  # (n, 3, h, w), channels last in memory
        made = torch.nn.functional.interpolate(
            planes, size=(height, width), mode="bilinear", antialias=True
        )
        return made.permute(0, 2, 3, 1)
    return torch.nn.functional.interpolate(
        x[:, None], size=(height, width), mode="bilinear", align_corners=False
    )[:, 0]
