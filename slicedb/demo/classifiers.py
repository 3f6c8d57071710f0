"""The demo's two food classifiers: the same small network, trained differently.

`food_v1` is the baseline. `food_v2` saw more pictures for longer, and scores as well over all, but
its training labels were faulty in two places: scenes with a fork, and desserts from Indian
cuisine (`benchmarks/demo/train_classifiers.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from slicedb.demo.dishes import CLASSES

if TYPE_CHECKING:
    from PIL import Image

    from slicedb.models import TorchClassifier

INPUT_SIZE = 48
MEAN = (0.5, 0.5, 0.5)
STD = (0.25, 0.25, 0.25)
NAMES: tuple[str, ...] = ("food_v1", "food_v2")
_WEIGHTS = Path(__file__).parent / "weights"


class FoodNet(nn.Module):
    """Five convolutions and a linear layer; 0.2 million parameters."""

    def __init__(self, n_classes: int = len(CLASSES)) -> None:
        super().__init__()
        widths = ((3, 16, 2), (16, 32, 2), (32, 64, 1), (64, 96, 2), (96, 128, 2))
        layers: list[nn.Module] = []
        for n_in, n_out, stride in widths:
            layers += [
                nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False),
                nn.BatchNorm2d(n_out),
                nn.ReLU(inplace=True),
            ]
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(widths[-1][1], n_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images, float32 (n, 3, 48, 48), to logits, float32 (n, classes)."""
        logits: torch.Tensor = self.classifier(self.pool(self.features(images)).flatten(1))
        return logits


def transform(image: Image.Image) -> torch.Tensor:
    """Resize to a square of INPUT_SIZE and normalise: float32 (3, 48, 48)."""
    from PIL import Image as pillow

    small = image.convert("RGB").resize((INPUT_SIZE, INPUT_SIZE), pillow.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 255
    return (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def load(name: str) -> FoodNet:
    """Return one of NAMES with its trained weights, in evaluation mode.

    Raises:
        FileNotFoundError: there are no weights of that name.
    """
    from safetensors.torch import load_file

    net = FoodNet()
    net.load_state_dict(load_file(_WEIGHTS / f"{name}.safetensors"))
    net.eval()
    return net


def food_v1() -> TorchClassifier:
    """Return the baseline as a SliceDB model."""
    return _model("food_v1")


def food_v2() -> TorchClassifier:
    """Return the candidate, with its planted faults, as a SliceDB model."""
    return _model("food_v2")


def _model(name: str) -> TorchClassifier:
    from slicedb.models import TorchClassifier

    return TorchClassifier(
        load(name),
        classes=CLASSES,
        input_size=INPUT_SIZE,
        mean=MEAN,
        std=STD,
        interpolation="bilinear",
        name=name,
    )
