"""Models that predict a number."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from slicedb.models.model import TorchModel, float_type
from slicedb.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from slicedb.models.resizing import Interpolation

if TYPE_CHECKING:
    import torch

    from slicedb.models.model import Transform


class TorchRegressor(TorchModel):
    """Wrap any `torch.nn.Module` that maps images (n, 3, h, w) to numbers (n,) or (n, 1).

    Args:
        module: the network; training mode and device are put back after every use.
        target: the column of samples that it predicts; text in it is read as numbers.
        transform: as for `TorchClassifier`, and so are the others.
    """

    task = "regression"

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        target: str,
        transform: Transform | None = None,
        input_size: int | tuple[int, int] = 224,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        name: str | None = None,
        resize: int | Literal["squash"] | None = None,
        interpolation: Interpolation = "bilinear",
    ) -> None:
        self.module = module
        self.target = target
        self.transform = transform
        self.input_size = input_size
        self.mean, self.std = tuple(mean), tuple(std)
        self.name = name or type(module).__name__
        self.resize = resize
        self.interpolation = interpolation

    def predict_batch(self, images: torch.Tensor) -> torch.Tensor:
        values = self.module(images.to(float_type(self.module)))
        return values[:, None] if getattr(values, "ndim", 0) == 1 else values

    def preprocessing_text(self) -> str:
        return json.dumps({**json.loads(super().preprocessing_text()), "target": self.target})
