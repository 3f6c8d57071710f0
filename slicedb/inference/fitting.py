"""Resize and crop decoded pictures on the device that they lie on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slicedb.models.preprocessing import Preprocessing

if TYPE_CHECKING:
    import torch

SMOOTH = ("bilinear", "bicubic")
"""Interpolations that torch has with antialiasing, and so as Pillow computes them."""
_PIXELS = 8 << 20
"""Pixels that are resized at once, in single precision: 100 MB before the resize."""


def fit_all(images: Sequence[torch.Tensor], preprocessing: Preprocessing) -> torch.Tensor:
    """Return pictures as `Preprocessing.fit` makes them, within 2 of 255 levels.

    Pictures of one size are resized together: each step is one call for all of them, and a GPU
    takes longer to be told a step than to do it for one picture.

    Args:
        images: uint8 (3, any h, any w) each, at least one, on any device.
        preprocessing: with an interpolation that is one of `SMOOTH`.

    Returns:
        uint8 (n, h, w, 3) of its `size`, in the same order, on the same device.
    """
    import torch

    order: list[int] = []
    fitted: list[torch.Tensor] = []
    for at in _of_one_size(images):
        order += at
        fitted.append(_fitted(torch.stack([images[i] for i in at]), preprocessing))
    together = torch.cat(fitted)  # (n, h, w, 3)
    if order == sorted(order):
        return together
    back = torch.tensor(order).argsort().to(together.device)
    return together.index_select(0, back)


def _of_one_size(images: Sequence[torch.Tensor]) -> list[list[int]]:
    """Return the places of pictures that are resized together."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, image in enumerate(images):
        groups.setdefault(tuple(image.shape), []).append(i)
    parts: list[list[int]] = []
    for (_, height, width), at in groups.items():
        most = max(1, _PIXELS // (height * width))
        parts += [at[start : start + most] for start in range(0, len(at), most)]
    return parts


def _fitted(images: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """Resize and crop pictures of one size: uint8 (n, 3, any h, any w) -> (n, h, w, 3)."""
    import torch

    (height, width), (tall, wide) = images.shape[-2:], preprocessing.size
    if (height, width) == (tall, wide) and preprocessing.resize in (None, min(tall, wide)):
        return images.permute(0, 2, 3, 1).contiguous()
    resized, (top, left) = preprocessing.place(height, width)
    whole = torch.nn.functional.interpolate(
        images.float(),
        size=resized,
        mode=preprocessing.interpolation,
        antialias=True,
        align_corners=False,
    )
    part = whole[..., top : top + tall, left : left + wide]
    # Bicubic goes below black and above white; on the CPU whole levels are rounded likewise.
    return part.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
