"""Weather: snow, frost, fog, brightness. The frost is drawn here; no image is shipped."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch

from slicedb.behaviour.corruptions.pixels import (
    SIDE,
    Stream,
    bits,
    finish,
    length,
    normal,
    resize,
    rows,
    to_rgb,
    trail,
    uniform,
)

_TEXTURES = 5
_TEXTURE_SIDE = 448


def snow(
    x: torch.Tensor,
    streams: Sequence[Stream],
    mean: float,
    spread: float,
    zoom: float,
    threshold: float,
    radius: float,
    sigma: float,
    keep: float,
) -> torch.Tensor:
    """Lay flakes that fall in one direction over a whitened picture.

    Args:
        x: uint8 (n, h, w, 3).
        streams: one a picture.
        mean: of the noise the flakes are cut from.
        spread: its standard deviation.
        zoom: size of a flake, pixels.
        threshold: noise below it is no flake.
        radius: of the trail, pixels.
        sigma: of the trail, pixels.
        keep: share of the picture that is not whitened.
    """
    h, w = x.shape[1:3]
    zoom = max(1.0, length(zoom, x))
    noise = normal(streams, spread * 255, max(1, round(h / zoom)), max(1, round(w / zoom)))
    plane = resize(noise.to(x.device).to(torch.float32).add_(mean * 255), h, w)
    plane.clamp_(0, 255)
    torch.nn.functional.threshold_(plane, threshold * 255, 0.0)
    angles = (uniform(streams, 1)[:, 0] + 0.5) * (np.pi / 2)  # 45 to 135 degrees: downwards
    reach = max(1, round(length(2 * radius, x)))
    flakes = trail(plane, max(length(sigma, x), 0.5), reach, angles, step=1)
    flakes.add_(flakes.flip((1, 2)))
    colour = rows(x)
    gray = colour[..., 0::3] * 0.299
    gray.add_(colour[..., 1::3] * 0.587).add_(colour[..., 2::3] * 0.114)
    white = torch.maximum(to_rgb(gray.mul_(1.5).add_(127.5)), colour)
    colour.mul_(keep).add_(white.mul_(1 - keep)).add_(to_rgb(flakes))
    return finish(colour, x)


def frost(x: torch.Tensor, streams: Sequence[Stream], keep: float, ice: float) -> torch.Tensor:
    """Lay a piece of one of five ice textures over the picture."""
    n, h, w, _ = x.shape
    scale = SIDE / min(h, w)
    high, wide = max(1, round(h * scale)), max(1, round(w * scale))
    bank = _ice(ice, x.device)
    drawn = uniform(streams, 4)
    out = x.to(torch.int16).mul_(round(keep * _ONE)).add_(_ONE // 2).bitwise_right_shift_(_BITS)
    for k in range(n):
        texture = bank[int(drawn[k, 0] * _TEXTURES)]
        while texture.shape[0] <= high:
            texture = torch.cat([texture, texture.flip(0)], 0)
        while texture.shape[1] <= wide:
            texture = torch.cat([texture, texture.flip(1)], 1)
        top = int(drawn[k, 1] * (texture.shape[0] - high))
        left = int(drawn[k, 2] * (texture.shape[1] - wide))
        piece = texture[top : top + high, left : left + wide]
        if drawn[k, 3] < 0.5:
            piece = piece.flip(1)
        if (high, wide) != (h, w):
            piece = resize(piece[None], h, w)[0]
        out[k].add_(piece.to(torch.int16))
    return out.clamp_(max=255).to(torch.uint8)


_BITS = 7
_ONE = 1 << _BITS
"""Shares of a picture in whole numbers: 255 x 128 still fits in 16 bits, and eight to sixteen of
them are worked on at once where float32 has four to eight."""


@functools.lru_cache(maxsize=5)
def _ice(share: float, device: torch.device) -> torch.Tensor:
    """Return the textures times a share, uint8 (5, 448, 448, 3)."""
    scaled = textures().to(torch.int16).mul_(round(share * _ONE)).add_(_ONE // 2)
    return scaled.bitwise_right_shift_(_BITS).to(torch.uint8).to(device)


@functools.lru_cache(maxsize=1)
def textures() -> torch.Tensor:
    """Return the ice, uint8 (5, 448, 448, 3), drawn from a fixed seed.

    Needles grow from seeds as thin bright lines, over ridged noise of several octaves that leaves
    clear windows between the ice.
    """
    made = [_texture(np.random.Generator(np.random.SFC64(seed))) for seed in range(_TEXTURES)]
    return torch.from_numpy(np.stack(made))


def _texture(rng: np.random.Generator) -> np.ndarray:
    from PIL import Image, ImageDraw, ImageFilter

    side = _TEXTURE_SIDE
    ridges = np.zeros((side, side), np.float32)
    cover = np.zeros((side, side), np.float32)
    for cells, weight in ((5, 1.0), (11, 0.7), (23, 0.5), (47, 0.35), (97, 0.25)):
        ridges += weight * (1 - np.abs(2 * _octave(rng, cells) - 1)) ** 3
        cover += weight * _octave(rng, cells)
    needles = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(needles)
    for _ in range(260):
        at, heading = rng.uniform(0, side, 2), rng.uniform(0, 2 * np.pi)
        for branch in range(int(rng.integers(3, 9))):
            angle = heading + (branch % 2 * 2 - 1) * rng.uniform(0.2, 1.1)
            reach = rng.uniform(10, 70)
            end = at + reach * np.array([np.cos(angle), np.sin(angle)])
            pen.line([*at.tolist(), *end.tolist()], fill=int(rng.integers(70, 256)), width=1)
            at = at + 0.3 * reach * np.array([np.cos(heading), np.sin(heading)])
    lines = np.asarray(needles.filter(ImageFilter.GaussianBlur(0.8)), np.float32) / 255
    cover = np.clip((cover - cover.mean()) / cover.std() * 0.35 + 0.45, 0, 1)
    ice = np.clip(cover * (0.35 + 0.45 * ridges / ridges.max() + 0.9 * lines), 0, 1)
    tint = np.array([0.86, 0.94, 1.0], np.float32)
    coloured: np.ndarray = np.rint(255 * ice[..., None] * tint).astype(np.uint8)
    return coloured


def _octave(rng: np.random.Generator, cells: int) -> np.ndarray:
    from PIL import Image

    grid = rng.random((cells, cells), dtype=np.float32)
    shape = (_TEXTURE_SIDE, _TEXTURE_SIDE)
    return np.asarray(Image.fromarray(grid).resize(shape, Image.Resampling.BICUBIC))


def fog(x: torch.Tensor, streams: Sequence[Stream], thickness: float, decay: float) -> torch.Tensor:
    """Add a cloud of midpoint displacement and bring the brightest value back to where it was."""
    h, w = x.shape[1:3]
    cloud = _cloud(streams, max(h, w), decay, x.device)[:, :h, :w]
    low = cloud.amin((1, 2), keepdim=True)
    high = cloud.amax((1, 2), keepdim=True)
    brightest = x.reshape(len(x), -1).amax(1)[:, None, None].to(torch.float32)
    share = brightest / (brightest + thickness * 255)
    cloud = (cloud - low).mul_(share * (thickness * 255) / (high - low).clamp(min=1e-6))
    keep = share.mul_(_ONE).round_().to(torch.int16)
    colour = x.reshape(len(x), h, -1).to(torch.int16).mul_(keep).add_(_ONE // 2)
    colour.bitwise_right_shift_(_BITS).add_(to_rgb(cloud.round_().to(torch.int16)))
    return colour.clamp_(max=255).to(torch.uint8).reshape(x.shape)


def _cloud(
    streams: Sequence[Stream], side: int, decay: float, device: torch.device
) -> torch.Tensor:
    """Return float32 (n, s, s), s >= side: doubled grids, each with less noise than the last."""
    cloud = torch.zeros((len(streams), 3, 3), device=device)
    weight = 1.0
    while True:
        noise = bits(streams, *cloud.shape[1:]).to(device).to(torch.float32)
        cloud = cloud.add_(noise.mul_(weight))
        if cloud.shape[1] >= side:
            return cloud
        cloud = _double(cloud)
        weight /= decay


def _double(grid: torch.Tensor) -> torch.Tensor:
    """Put the mean of its neighbours between any two points: (n, s, s) -> (n, 2s - 1, 2s - 1)."""
    n, s, _ = grid.shape
    out = torch.empty((n, 2 * s - 1, 2 * s - 1), device=grid.device)
    out[:, ::2, ::2] = grid
    out[:, ::2, 1::2] = (grid[:, :, 1:] + grid[:, :, :-1]).mul_(0.5)
    out[:, 1::2] = (out[:, 2::2] + out[:, :-2:2]).mul_(0.5)
    return out


def brightness(x: torch.Tensor, streams: Sequence[Stream], more: float) -> torch.Tensor:
    """Raise the value of HSV; hue and saturation stay."""
    flat = x.reshape(len(x), -1)
    value = flat.clone()  # the largest of r, g, b at every third place
    torch.maximum(value[:, :-1], flat[:, 1:], out=value[:, :-1])
    torch.maximum(value[:, :-2], flat[:, 2:], out=value[:, :-2])
    value = value.mul_(_every_third(flat.shape[1], x.device))
    everywhere = value.clone()
    everywhere[:, 1:].add_(value[:, :-1])
    everywhere[:, 2:].add_(value[:, :-2])
    old = everywhere.to(torch.float32)
    new = (old + more * 255).clamp_(max=255)
    colour = flat.to(torch.float32).mul_(new).div_(old.clamp(min=1))
    black = (1 - old).clamp_(min=0)  # has no hue and becomes gray
    colour.add_(new.mul_(black))
    return finish(colour, x)


@functools.lru_cache(maxsize=4)
def _every_third(count: int, device: torch.device) -> torch.Tensor:
    return torch.tensor([1, 0, 0], dtype=torch.uint8, device=device).repeat(count // 3)
