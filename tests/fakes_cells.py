"""A detector of blood cells by colour: real photos, no training, the same answer each time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import ndimage

from slicedb.models import TorchDetector

NAMES = ("RBC", "WBC", "Platelets")


class Cells(torch.nn.Module):
    """Purple areas are white cells when large and platelets when small; pink ones are red cells.

    The photos are looked at in a quarter of their size. A white cell's body is wider than its
    purple nucleus, so its box is widened. The score is the share of its box that an area fills.
    """

    def __init__(self, purple: float = 0.12, pink: float = 0.05, widen: float = 0.12) -> None:
        super().__init__()
        self.purple = torch.nn.Parameter(torch.tensor(purple))
        self.pink = torch.nn.Parameter(torch.tensor(pink))
        self.widen = widen

    def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        return [self._one(image) for image in images]

    def _one(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        small = torch.nn.functional.avg_pool2d(image[None], 4)[0].numpy()
        red, green, blue = small
        purple = ndimage.binary_opening((blue - green > float(self.purple)) & (blue > red - 0.02))
        pink = (np.median(green) - green > -float(self.pink)) & (red - green > 0.02) & ~purple
        cores = ndimage.binary_erosion(ndimage.binary_fill_holes(pink), iterations=3)
        found = self._areas(cores, 60, 900, 1, 0.35)
        found += self._areas(purple, 240, 1e9, 2, self.widen)
        found += self._areas(purple, 12, 240, 3, 0.0)
        boxes = np.array([f[0] for f in found]).reshape(-1, 4) * 4
        return {
            "boxes": torch.from_numpy(np.clip(boxes, 0, [image.shape[2], image.shape[1]] * 2)),
            "labels": torch.tensor([f[1] for f in found], dtype=torch.int64),
            "scores": torch.tensor([f[2] for f in found], dtype=torch.float32),
        }

    @staticmethod
    def _areas(mask: Any, least: float, most: float, label: int, widen: float) -> list[Any]:
        areas, n = ndimage.label(mask)
        sizes = np.bincount(areas.ravel(), minlength=n + 1)
        found = []
        for i, (rows, columns) in enumerate(ndimage.find_objects(areas), 1):
            if least <= sizes[i] < most:
                h, w = rows.stop - rows.start, columns.stop - columns.start
                x, y = widen * w / 2, widen * h / 2
                box = [columns.start - x, rows.start - y, columns.stop + x, rows.stop + y]
                found.append((box, label, sizes[i] / (w * h)))
        return found


def build() -> TorchDetector:
    """The factory."""
    return TorchDetector(Cells(), classes=NAMES, confidence=0.3)


def build_blunt() -> TorchDetector:
    """A worse one: its boxes of white cells are too wide, and it misses pale platelets."""
    return TorchDetector(Cells(purple=0.2, widen=0.6), classes=NAMES, confidence=0.3)
