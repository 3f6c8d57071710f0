"""Flips and crops, which should make no difference to a classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from slicedb.behaviour.corruptions.pixels import Stream, resize, uniform


def flip_horizontal(x: torch.Tensor, streams: Sequence[Stream]) -> torch.Tensor:
    """Mirror left and right."""
    return x.flip(2)


def flip_vertical(x: torch.Tensor, streams: Sequence[Stream]) -> torch.Tensor:
    """Mirror top and bottom."""
    return x.flip(1)


def crop(x: torch.Tensor, streams: Sequence[Stream], share: float) -> torch.Tensor:
    """Cut out a random part whose sides are a share of the picture's, and enlarge it again."""
    n, h, w, _ = x.shape
    high, wide = max(1, round(h * share)), max(1, round(w * share))
    parts = torch.empty((n, high, wide, 3), dtype=torch.uint8, device=x.device)
    for k, (down, across) in enumerate(uniform(streams, 2)):
        top, left = int(down * (h - high + 1)), int(across * (w - wide + 1))
        parts[k] = x[k, top : top + high, left : left + wide]
    return resize(parts, h, w)
