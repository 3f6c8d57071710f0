"""Measure maps, and draw them over the image.

Maps are piecewise constant over the cells of their grid; a box cuts cells by area.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

BORDER = 1 / 7
"""Width of the border, as a share of each side: the outer ring of a 7 x 7 map."""

_HEX = "000060 0040ff 00dcdc 78ff5a ffdc00 ff3c00 800000"
_COLOURS = np.array([list(bytes.fromhex(colour)) for colour in _HEX.split()], np.float32)


def mass_in(maps: np.ndarray, boxes: np.ndarray, shown: np.ndarray | None = None) -> np.ndarray:
    """Return the share of each map that lies in a box.

    Args:
        maps: float32 (n, rows, columns), not negative.
        boxes: float64 (n, 4) or (4,): [x, y, w, h].
        shown: float64 (n, 4): left, top, right, bottom of the part of the picture that the map
            covers, in the unit of the boxes; None is the unit square, for relative boxes.

    Returns:
        float64 (n,) in [0, 1]; NaN for a map of zeros.

    >>> mass_in(np.array([[[1.0, 0.0], [2.0, 1.0]]]), np.array([0, 0.5, 0.5, 0.5])).tolist()
    [0.5]
    """
    n, high, wide = maps.shape
    box = np.broadcast_to(np.asarray(boxes, np.float64), (n, 4))
    area = np.broadcast_to([0.0, 0.0, 1.0, 1.0] if shown is None else shown, (n, 4))
    size = np.maximum(area[:, 2:] - area[:, :2], 1e-12)
    start = (box[:, :2] - area[:, :2]) / size
    stop = (box[:, :2] + box[:, 2:] - area[:, :2]) / size
    across = _covered(start[:, 0], stop[:, 0], wide)
    down = _covered(start[:, 1], stop[:, 1], high)
    inside = np.einsum("nhw,nh,nw->n", maps.astype(np.float64), down, across)
    total = maps.sum((1, 2), dtype=np.float64)
    share: np.ndarray = np.where(total > 0, inside / np.where(total > 0, total, 1), np.nan)
    return share


def _covered(start: np.ndarray, stop: np.ndarray, cells: int) -> np.ndarray:
    """Return (n, cells): how much of each cell lies between start and stop, both relative."""
    edges = np.arange(cells + 1) / cells
    low = np.maximum(start[:, None], edges[:-1])
    high = np.minimum(stop[:, None], edges[1:])
    covered: np.ndarray = np.clip((high - low) * cells, 0, 1)
    return covered


def border(maps: np.ndarray, width: float = BORDER) -> np.ndarray:
    """Return the share of each map that lies in the border of the picture.

    Args:
        maps: float32 (n, rows, columns), not negative.
        width: of the border, as a share of each side, below 0.5.

    Returns:
        float64 (n,) in [0, 1]; NaN for a map of zeros.

    >>> border(np.ones((1, 7, 7))).round(3).tolist()  # 24 of 49 cells
    [0.49]
    """
    inner = np.array([width, width, 1 - 2 * width, 1 - 2 * width])
    share: np.ndarray = np.clip(1 - mass_in(maps, inner), 0, 1)
    return share


def points_at(maps: np.ndarray, boxes: np.ndarray, shown: np.ndarray | None = None) -> np.ndarray:
    """Return whether the strongest cell of each map overlaps a box (the pointing game).

    Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016. Arguments as for
    `mass_in`.

    Returns:
        bool (n,); False for a map of zeros.
    """
    flat = maps.reshape(len(maps), -1)
    strongest = np.zeros_like(flat)
    strongest[np.arange(len(flat)), flat.argmax(1)] = flat.max(1, initial=0) > 0
    hit: np.ndarray = np.nan_to_num(mass_in(strongest.reshape(maps.shape), boxes, shown)) > 0
    return hit


def enlarge(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return maps stretched to [0, 1] and enlarged, as the `grad-cam` package gives them.

    Args:
        maps: float32 (n, rows, columns).
        size: (height, width) in pixels.

    Returns:
        float32 (n, height, width).
    """
    import torch

    stretched = torch.from_numpy(_stretch(maps))[:, None]
    made = torch.nn.functional.interpolate(
        stretched, size=size, mode="bilinear", align_corners=False
    )
    return _stretch(made[:, 0].numpy())


def _stretch(maps: np.ndarray) -> np.ndarray:
    moved = maps - maps.min((1, 2), keepdims=True)
    stretched: np.ndarray = (moved / (1e-7 + moved.max((1, 2), keepdims=True))).astype(np.float32)
    return stretched


def overlay(
    image: Image.Image | np.ndarray,
    map: np.ndarray,
    *,
    shown: Sequence[float] | None = None,
    strength: float = 0.5,
) -> Image.Image:
    """Lay a map over its picture, from blue (nothing) to red.

    Args:
        image: RGB, as displayed.
        map: float32 (rows, columns).
        shown: left, top, right, bottom of the part of the picture that the map covers, pixels;
            the rest stays gray. None is all of it.
        strength: of the colours, in [0, 1].
    """
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture = picture.convert("RGB")
    box = (0, 0, *picture.size) if shown is None else tuple(round(float(edge)) for edge in shown)
    left, top = max(0, box[0]), max(0, box[1])
    right, bottom = min(picture.width, box[2]), min(picture.height, box[3])
    if right <= left or bottom <= top:
        return picture
    heat = colours(enlarge(map[None], (box[3] - box[1], box[2] - box[0]))[0])
    heat = heat[top - box[1] : bottom - box[1], left - box[0] : right - box[0]]
    part = picture.crop((left, top, right, bottom))
    made = picture.convert("L").convert("RGB")
    made.paste(Image.blend(part, Image.fromarray(heat), strength), (left, top))
    return made


def colours(values: np.ndarray) -> np.ndarray:
    """Return uint8 (..., 3) of values in [0, 1]."""
    steps = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(values, steps, _COLOURS[:, c]) for c in range(3)]
    made: np.ndarray = np.rint(np.stack(channels, -1)).astype(np.uint8)
    return made
