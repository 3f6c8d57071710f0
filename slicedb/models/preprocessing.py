"""Preprocessing: from encoded bytes to the pixels a network was trained on."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import simplejpeg
from PIL import Image

from slicedb.media import decode_rgb

Interpolation = Literal["nearest", "bilinear", "bicubic", "box", "lanczos"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
}
_GAP = 3
"""A large JPEG is decoded at a fraction of its size that leaves its shorter side this many times
the resized one; Pillow calls a gap of 3 "almost the same" as the full resize."""
_LARGE = 2 * _GAP
"""Below this many times the resized side a fraction saves little, and the whole is decoded."""


@dataclass(frozen=True)
class Preprocessing:
    """Resize the shorter side, crop the centre, scale to [0, 1], normalise.

    This is torchvision's `Resize(resize)`, `CenterCrop(size)`, `ToTensor()`,
    `Normalize(mean, std)` on a Pillow image. Crop and resize are one step, so each pixel is
    computed once. Pixels agree with torchvision's within 2 of 255 levels; JPEGs whose shorter
    side is 6 times `resize` or more are decoded at a fraction of their size, and agree within 2
    levels on average (the tests hold both).
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
        if self.interpolation not in _FILTERS:
            raise ValueError(f"interpolation {self.interpolation!r} is none of {list(_FILTERS)}")

    def fill(self, data: bytes, out: np.ndarray) -> None:
        """Decode one image into a row of a batch.

        Args:
            data: the encoded image.
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
        box = self.box(width, height)
        if whole is not None:
            tall, wide = whole if (whole[0] > whole[1]) == (height > width) else whole[::-1]
            x, y = width / wide, height / tall
            left, top, right, bottom = self.box(wide, tall)
            box = (left * x, top * y, min(right * x, width), min(bottom * y, height))
        image = Image.fromarray(pixels).resize(
            (self.size[1], self.size[0]), _FILTERS[self.interpolation], box=box
        )
        out[:] = np.asarray(image)

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return the (left, top, right, bottom) of the original that the input shows, pixels."""
        if self.resize is None:
            return (0.0, 0.0, float(width), float(height))
        short, long = sorted((width, height))
        grown = self.resize * long // short  # as torchvision rounds it
        new_width, new_height = (grown, self.resize) if width >= height else (self.resize, grown)
        left = round((new_width - self.size[1]) / 2.0)
        top = round((new_height - self.size[0]) / 2.0)
        x, y = width / new_width, height / new_height
        return (left * x, top * y, (left + self.size[1]) * x, (top + self.size[0]) * y)

    def normalise(self, images: Any) -> Any:
        """Turn pixels into the network's input on the device they lie on.

        Args:
            images: uint8 tensor (n, h, w, 3).

        Returns:
            float32 tensor (n, 3, h, w), channels last in memory.
        """
        import torch

        scale = torch.tensor([1 / (255 * s) for s in self.std], device=images.device)
        shift = torch.tensor([-m / s for m, s in zip(self.mean, self.std)], device=images.device)
        return images.to(torch.float32).mul_(scale).add_(shift).permute(0, 3, 1, 2)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON-ready values."""
        return {
            "size": list(self.size),
            "resize": self.resize,
            "mean": list(self.mean),
            "std": list(self.std),
            "interpolation": self.interpolation,
        }


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return (height, width) as stored in a JPEG; None for anything else."""
    if data[:3] == b"\xff\xd8\xff":
        with contextlib.suppress(ValueError):
            height, width, _, _ = simplejpeg.decode_jpeg_header(data)
            return int(height), int(width)
    return None
