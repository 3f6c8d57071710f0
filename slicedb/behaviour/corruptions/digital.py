"""Damage pictures as software does: contrast, elastic transform, pixelate, JPEG."""

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
    resize,
    rows,
    uniform,
)


def contrast(x: torch.Tensor, streams: Sequence[Stream], keep: float) -> torch.Tensor:
    """Draw the values towards the mean of their channel."""
    n, h, w, _ = x.shape
    down = x.reshape(n, h, w * 3).sum(1, dtype=torch.int64)
    means = down.reshape(n, w, 3).sum(1).to(torch.float32).div_(h * w)  # (n, 3)
    shift = means.mul_(1 - keep).repeat(1, w)[:, None]  # (n, 1, w * 3)
    return finish(rows(x).mul_(keep).add_(shift), x)


def elastic_transform(
    x: torch.Tensor, streams: Sequence[Stream], alpha: float, sigma: float, corners: float
) -> torch.Tensor:
    """Move three corners at random, and every pixel by a smooth random field.

    Args:
        x: uint8 (n, h, w, 3).
        streams: one a picture.
        alpha: strength of the field: standard deviation before smoothing, pixels.
        sigma: of the smoothing, pixels.
        corners: the corners move by up to this many pixels.
    """
    h, w = x.shape[1:3]
    dx, dy = _field(x, streams, length(alpha, x), length(sigma, x))
    moved = _affine(x, streams, length(corners, x))  # (n, 2, 3), pixels from the centre
    ys = torch.arange(h, device=x.device, dtype=torch.float32)[:, None] - (h - 1) / 2
    xs = torch.arange(w, device=x.device, dtype=torch.float32)[None] - (w - 1) / 2
    a = torch.from_numpy(moved.astype(np.float32)).to(x.device)[..., None, None]
    to_x = a[:, 0, 0] * xs + a[:, 0, 1] * ys + a[:, 0, 2] + dx
    to_y = a[:, 1, 0] * xs + a[:, 1, 1] * ys + a[:, 1, 2] + dy
    grid = torch.stack([to_x.mul_(2 / w), to_y.mul_(2 / h)], -1)
    planes = x.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    made = torch.nn.functional.grid_sample(
        planes, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return made.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _field(
    x: torch.Tensor, streams: Sequence[Stream], alpha: float, sigma: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return displacements (n, h, w) in pixels, x and y.

    A wide smoothing is done on a coarser grid, with the noise of the points it stands for.
    """
    n, h, w, _ = x.shape
    coarse = max(1, int(sigma / 3))
    high, wide = max(2, -(-h // coarse)), max(2, -(-w // coarse))
    noise = bits(streams, 2, high, wide).to(x.device).to(torch.float32).reshape(2 * n, high, wide)
    # whole numbers in [0, 255], which `blur` sums exactly
    smooth = blur(noise.add_(32768).mul_(1 / 257).round_(), max(sigma / coarse, 0.5), step=1)
    smooth.sub_(127.5).mul_(alpha / coarse / 127.5)
    if coarse > 1:
        smooth = resize(smooth, h, w)
    field = smooth.reshape(n, 2, h, w)
    return field[:, 0], field[:, 1]


def _affine(x: torch.Tensor, streams: Sequence[Stream], reach: float) -> np.ndarray:
    """Return float64 (n, 2, 3): the map that takes three moved corners to where they were."""
    h, w = x.shape[1:3]
    third = min(h, w) / 3
    corners = np.array([[third, third], [third, -third], [-third, -third]])
    moved = corners + (uniform(streams, 6).reshape(-1, 3, 2) * 2 - 1) * reach
    ones = np.ones((len(moved), 3, 1))
    return np.linalg.solve(np.concatenate([moved, ones], 2), corners[None]).transpose(0, 2, 1)


def pixelate(x: torch.Tensor, streams: Sequence[Stream], scale: float) -> torch.Tensor:
    """Shrink to a share of the side by box averages, and enlarge again without smoothing."""
    from PIL import Image

    h, w = x.shape[1:3]
    high, wide = max(1, int(h * scale)), max(1, int(w * scale))
    out = np.empty(tuple(x.shape), np.uint8)
    for row, picture in zip(out, x.cpu().contiguous().numpy()):
        image = Image.fromarray(picture)
        if h % high == 0 and w % wide == 0:  # the same averages, in a third of the time
            small = image.reduce((w // wide, h // high))
        else:
            small = image.resize((wide, high), Image.Resampling.BOX)
        row[:] = np.asarray(small.resize((w, h), Image.Resampling.NEAREST))
    return torch.from_numpy(out).to(x.device)


def jpeg_compression(x: torch.Tensor, streams: Sequence[Stream], quality: int) -> torch.Tensor:
    """Encode as JPEG of a quality, with colour at half resolution, and decode."""
    import simplejpeg

    out = np.empty(tuple(x.shape), np.uint8)
    for row, picture in zip(out, x.cpu().contiguous().numpy()):
        data = simplejpeg.encode_jpeg(picture, quality, "RGB", "420")
        simplejpeg.decode_jpeg(data, "RGB", buffer=row)
    return torch.from_numpy(out).to(x.device)
