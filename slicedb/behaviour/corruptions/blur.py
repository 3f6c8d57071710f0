"""Blur pictures: defocus, glass, motion, zoom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from slicedb.behaviour.corruptions.pixels import (
    Stream,
    bits,
    blur,
    finish,
    length,
    pad,
    resize,
    rows,
    trail,
    uniform,
)


def defocus_blur(
    x: torch.Tensor, streams: Sequence[Stream], radius: float, soft: bool
) -> torch.Tensor:
    """Average over a disk, with a softened edge where `soft`.

    The disk is cut into rows; the sums over rows of growing width are built from one another, so
    the work grows with the radius, not with the area.
    """
    r = max(1, round(length(radius, x)))
    h, row = x.shape[1], x.shape[2] * 3
    padded = pad(rows(x), r + 1)
    if soft:
        padded = _soften(padded)
    padded = padded[:, 1:-1, 3:-3]  # (n, h + 2r, (w + 2r) * 3)
    offsets = np.arange(-r, r + 1)
    halves = np.floor(np.sqrt(r * r - offsets**2 + 0.5)).astype(int)
    middle = r * 3
    run = padded[:, :, middle : middle + row].clone()
    total = torch.zeros((len(x), h, row), device=x.device)
    for half in range(r + 1):
        if half:
            run.add_(padded[:, :, middle - 3 * half : middle - 3 * half + row])
            run.add_(padded[:, :, middle + 3 * half : middle + 3 * half + row])
        for offset in offsets[halves == half].tolist():
            total.add_(run[:, r + offset : r + offset + h])
    count = int((2 * halves + 1).sum()) * (64 if soft else 1)
    return finish(total.mul_(1 / count), x)


def _soften(x: torch.Tensor) -> torch.Tensor:
    """Weigh neighbours 1, 6, 1 both ways (variance 1/4), times 64; the outer frame stays 0."""
    out = torch.zeros_like(x)
    across = x[:, :, 3:-3] * 6
    across.add_(x[:, :, :-6]).add_(x[:, :, 6:])
    inner = out[:, 1:-1, 3:-3]
    inner.add_(across[:, 1:-1], alpha=6).add_(across[:, :-2]).add_(across[:, 2:])
    return out


def glass_blur(
    x: torch.Tensor, streams: Sequence[Stream], sigma: float, reach: int, times: int
) -> torch.Tensor:
    """Blur, let every pixel take the place of a near one `times` times, blur again."""
    n, h, w, _ = x.shape
    sigma, reach = length(sigma, x), max(1, round(length(reach, x)))
    soft = finish(blur(rows(x), max(sigma, 0.3)), x)
    packed = torch.zeros((n, h, w, 4), dtype=torch.uint8, device=x.device)
    packed[..., :3] = soft
    pixels = packed.view(torch.int32)[..., 0]  # one number per pixel
    wide = w + 2 * reach
    ys = torch.arange(h, device=x.device, dtype=torch.int32)[:, None] * wide
    here = ys + torch.arange(w, device=x.device, dtype=torch.int32)
    for _ in range(times):
        drawn = bits(streams, h, w).to(x.device).view(torch.uint8).to(torch.int16)
        moves = drawn.mul_(2 * reach + 1).bitwise_right_shift_(8)  # 0 to 2 reach
        where = moves[..., 0::2].to(torch.int32).mul_(wide).add_(moves[..., 1::2]).add_(here)
        padded = pad(pixels, reach, 1)
        pixels = torch.stack(
            [padded[k].view(-1).index_select(0, where[k].view(-1)).view(h, w) for k in range(n)]
        )
    mixed = pixels[..., None].view(torch.uint8)[..., :3].reshape(x.shape)
    return finish(blur(rows(mixed), max(sigma, 0.3)), x)


def motion_blur(
    x: torch.Tensor, streams: Sequence[Stream], radius: float, sigma: float
) -> torch.Tensor:
    """Smear along a line within 45 degrees of the horizontal."""
    angles = (uniform(streams, 1)[:, 0] - 0.5) * (np.pi / 2)
    reach = max(1, round(length(2 * radius, x)))
    return finish(trail(rows(x), max(length(sigma, x), 0.5), reach, angles), x)


def zoom_blur(
    x: torch.Tensor, streams: Sequence[Stream], furthest: float, step: float
) -> torch.Tensor:
    """Average the picture with its enlargements up to a factor."""
    h, w = x.shape[1:3]
    factors = np.arange(1 + step, furthest + step / 2, step)
    total = x.to(torch.int16)
    for factor in factors.tolist():
        high, wide = max(1, round(h / factor)), max(1, round(w / factor))
        top, left = (h - high) // 2, (w - wide) // 2
        total.add_(resize(x[:, top : top + high, left : left + wide], h, w))
    return finish(total.to(torch.float32).mul_(1 / (len(factors) + 1)), x)
