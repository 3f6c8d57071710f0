"""Rendered scenes with exact label maps, and segmenters with known answers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from slicedb.models import TorchSegmenter

CLASSES = ("sky", "road", "car")
COLOURS = np.array([(90, 150, 250), (110, 110, 110), (200, 30, 30)], np.float32)


def scene(seed: int, size: tuple[int, int] = (40, 60)) -> tuple[npt.NDArray[np.uint8], ...]:
    """Return a noisy picture, uint8 (h, w, 3), of sky over road with a car, and its label map."""
    rng = np.random.default_rng(seed)
    high, wide = size
    codes = np.zeros(size, np.uint8)
    horizon = int(rng.integers(high // 5, high * 4 // 5))
    codes[horizon:] = 1
    if seed % 4:
        top, left = int(rng.integers(0, high - 8)), int(rng.integers(0, wide - 12))
        codes[top : top + int(rng.integers(4, 8)), left : left + int(rng.integers(6, 12))] = 2
    light = rng.uniform(0.8, 1.1)
    pixels = COLOURS[codes] * light + rng.normal(0, 12, (*size, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8), codes


def png(array: npt.NDArray[np.uint8], palette: bool = False) -> bytes:
    image = Image.fromarray(array)
    if palette:
        image = Image.fromarray(array, "L").convert("P")
        image.putpalette([int(v) for v in np.random.default_rng(1).integers(0, 256, 768)])
        image.paste(Image.fromarray(array, "L"))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def folder(root: Path, n: int, *, first: int = 0, palette: bool = False) -> Path:
    """Write `images/*.png` and `masks/*.png`."""
    for i in range(first, first + n):
        pixels, codes = scene(i)
        for name, array in (("images", pixels), ("masks", codes)):
            (root / name).mkdir(parents=True, exist_ok=True)
            (root / name / f"{i:03}.png").write_bytes(png(array, palette and name == "masks"))
    return root


class Nearest(torch.nn.Module):
    """Gives each pixel the class of the nearest colour, `shift` columns to the right."""

    def __init__(self, shift: int = 0) -> None:
        super().__init__()
        self.colours = torch.nn.Parameter(torch.from_numpy(COLOURS / 255))
        self.shift = shift

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        away = (images[:, None] - self.colours[None, :, :, None, None]).square().sum(2)
        return torch.roll(-30 * away, self.shift, dims=3)  # (n, c, h, w)


class SmallNet(torch.nn.Module):
    """A network of two convolutions at half the size, to be trained."""

    def __init__(self, n_classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(16, 16, 3, padding=1),
        )
        self.head = torch.nn.Conv2d(16, n_classes, 1)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"out": self.head(torch.relu(self.features(images)))}


def trained(seeds: range, steps: int = 120) -> SmallNet:
    """Return a network trained on rendered scenes."""
    torch.manual_seed(0)
    net = SmallNet()
    made = [scene(seed) for seed in seeds]
    images = torch.stack([torch.from_numpy(p).permute(2, 0, 1).float() / 255 for p, _ in made])
    targets = torch.stack([torch.from_numpy(codes).long() for _, codes in made])
    optimiser = torch.optim.Adam(net.parameters(), 0.02)
    for step in range(steps):
        at = torch.arange(step * 8, step * 8 + 8) % len(images)
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(images[at])["out"], targets[at])
        loss.backward()
        optimiser.step()
    return net.eval()


def segmenter(module: torch.nn.Module | None = None, **options: object) -> TorchSegmenter:
    plain: dict[str, object] = {"mean": (0, 0, 0), "std": (1, 1, 1), **options}
    return TorchSegmenter(module or Nearest(), classes=CLASSES, **plain)  # type: ignore[arg-type]
