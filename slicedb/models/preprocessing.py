"""Turn encoded bytes into the pixels that a network was trained on."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from slicedb.media import decode_rgb
from slicedb.models.resizing import FILTERS, Interpolation, resize_crop

if TYPE_CHECKING:
    import torch

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_GAP = 3
"""A large JPEG is decoded at a fraction of its size that leaves its shorter side this many times
the resized one; Pillow calls a gap of 3 "almost the same" as the full resize."""
_LARGE = 2 * _GAP
"""Below this many times the resized side a fraction saves little, and the whole is decoded."""


@dataclass(frozen=True)
class Preprocessing:
    """Resize the shorter side, crop the centre, scale to [0, 1], normalise.

    This is torchvision's `Resize(resize)`, `CenterCrop(size)`, `ToTensor()`,
    `Normalize(mean, std)` on a Pillow image. Pixels agree with torchvision's within 2 of 255
    levels; JPEGs whose shorter side is 6 times `resize` or more are decoded at a fraction of their
    size, and agree within 2 levels on average (the tests hold both).
    """

    size: tuple[int, int] = (224, 224)
    """(height, width) of the network's input, pixels."""
    resize: int | None = None
    """Length the shorter side is resized to, pixels; None squashes the whole image to `size`."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Subtracted from the channels, which lie in [0, 1]."""
    std: tuple[float, float, float] = IMAGENET_STD
    """Divides the channels after that."""
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        if self.resize is not None and self.resize < max(self.size):
            raise ValueError(f"resize {self.resize} is smaller than the crop {self.size}")
        if self.interpolation not in FILTERS:
            raise ValueError(f"interpolation {self.interpolation!r} is none of {list(FILTERS)}")

    def fill(self, data: bytes, out: np.ndarray) -> None:
        """Decode one image into a row of a batch.

        Args:
            out: uint8 (h, w, 3) of `size`, written in place.

        Raises:
            MediaError: the bytes do not decode.
        """
        least = self.resize if self.resize is not None else max(self.size)
        whole = _jpeg_size(data) if len(data) > _LARGE * _LARGE * least else None
        if whole is None or min(whole) < _LARGE * least:
            self.fit(decode_rgb(data), out)
        else:
            self.fit(decode_rgb(data, min_size=_GAP * least), out, whole)

    def fit(
        self, pixels: np.ndarray, out: np.ndarray, whole: tuple[int, int] | None = None
    ) -> None:
        """Resize and crop decoded pixels into `out`.

        Args:
            pixels: uint8 (any h, any w, 3).
            out: uint8 (h, w, 3) of `size`, written in place.
            whole: (height, width) of the image when `pixels` are a fraction of it.
        """
        height, width = pixels.shape[:2]
        if (height, width) == self.size and self.resize in (None, min(self.size)):
            out[:] = pixels
            return
        tall, wide = whole or (height, width)
        if (tall > wide) != (height > width):  # `whole` is as stored, `pixels` as displayed
            tall, wide = wide, tall
        resized, corner = self.place(tall, wide)
        resize_crop(pixels, out, resized=resized, corner=corner, interpolation=self.interpolation)

    def place(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return (height, width) after the resize, and (top, left) of the crop in it, pixels."""
        if self.resize is None:
            return self.size, (0, 0)
        short, long = sorted((width, height))
        grown = self.resize * long // short  # as torchvision rounds it
        tall, wide = (self.resize, grown) if width >= height else (grown, self.resize)
        top, left = round((tall - self.size[0]) / 2.0), round((wide - self.size[1]) / 2.0)
        return (tall, wide), (top, left)

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Turn pixels into the network's input on the device they lie on.

        Args:
            images: uint8 tensor (n, h, w, 3).

        Returns:
            float32 tensor (n, 3, h, w), channels last in memory.
        """
        import torch

        n, height, width, _ = images.shape
        scale, shift = _scale_and_shift(self.mean, self.std, width, images.device)
        rows = images.reshape(n, height, 3 * width).to(torch.float32).mul_(scale).add_(shift)
        return rows.view(n, height, width, 3).permute(0, 3, 1, 2)

    def __str__(self) -> str:
        """Return every step in words.

        >>> str(Preprocessing(size=(8, 8), resize=None)).partition(", scale")[0]
        'resize to 8 x 8 whatever the shape (bilinear)'
        """
        height, width = self.size
        first = f"resize to {height} x {width} whatever the shape ({self.interpolation})"
        if self.resize is not None:
            first = f"resize the shorter side to {self.resize} ({self.interpolation}), crop the "
            first += f"centre {height} x {width}"
        mean, std = (", ".join(f"{x:g}" for x in values) for values in (self.mean, self.std))
        return f"{first}, scale to [0, 1], subtract {mean}, divide by {std}"

    def to_json(self) -> dict[str, object]:
        """Return the settings as JSON-ready values."""
        return {
            "size": list(self.size),
            "resize": self.resize,
            "mean": list(self.mean),
            "std": list(self.std),
            "interpolation": self.interpolation,
        }


@lru_cache(maxsize=64)
def _scale_and_shift(
    mean: tuple[float, ...], std: tuple[float, ...], width: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what normalises a row of pixels, (3 * width,) each, on the device.

    They are kept: each copy of a few numbers to a GPU waits until all that is queued is done. They
    are a whole row, since three numbers over and over take a CPU seven times as long.
    """
    import torch

    scale = torch.tensor([1 / (255 * s) for s in std])
    shift = torch.tensor([-m / s for m, s in zip(mean, std)])
    return scale.repeat(width).to(device), shift.repeat(width).to(device)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return (height, width) as stored in a JPEG; None for anything else."""
    if data[:3] == b"\xff\xd8\xff":
        with contextlib.suppress(ValueError):
            height, width, _, _ = simplejpeg.decode_jpeg_header(data)
            return int(height), int(width)
    return None
