"""Explain segmenters: the score of a class is the mean logit of the pixels predicted as it.

Grad-CAM then shows what the network looks at for these pixels (Vinogradova et al., "Towards
Interpretable Semantic Segmentation via Gradient-Weighted Class Activation Mapping", AAAI 2020).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from slicedb.errors import ModelError
from slicedb.models.model import Model, TorchModel
from slicedb.models.segmenter import Segmenter, TorchSegmenter

if TYPE_CHECKING:
    import torch

_INPUT = 256
"""Pixels of the square input of a segmenter that takes pictures of any size."""
_ABSENT = 1e4
"""What is taken from the score of a class that no pixel is predicted as, so that the predicted
class of a picture is one that it has."""


class PooledSegmenter(TorchModel):
    """A segmenter as a classifier: a score for each class, from the pixels predicted as it.

    Args:
        segmenter: a wrapped network; pictures are resized to its input, or to a square.
    """

    resize = "squash"

    def __init__(self, segmenter: TorchSegmenter) -> None:
        self.module = segmenter.module
        self.classes = segmenter.classes
        self.name = segmenter.name
        self.input_size = segmenter.size or _INPUT
        self.mean, self.std = segmenter.mean, segmenter.std
        self.transform = segmenter.transform
        self._segmenter = segmenter

    def predict_batch(self, images: torch.Tensor) -> torch.Tensor:
        """Return scores (n, c) of pictures (n, 3, h, w), normalised."""
        import torch

        logits = self._segmenter.forward(images)  # (n, c, h, w)
        if logits.shape[1] == 1 and len(self.classes) == 2:
            logits = torch.cat([torch.zeros_like(logits), logits], 1)
        codes = logits.detach().argmax(1, keepdim=True)
        own = torch.zeros_like(logits).scatter_(1, codes, 1.0)
        n = own.sum((2, 3))
        inside = (logits * own).sum((2, 3)) / n.clamp(min=1)
        return torch.where(n > 0, inside, logits.mean((2, 3)) - _ABSENT)

    def fingerprint(self) -> str:
        return self._segmenter.fingerprint()

    def last_features(self) -> str | None:
        """Return the name of the last layer whose maps are not the logits; None: none is."""
        import torch

        seen: list[str] = []
        hooks = [
            module.register_forward_hook(_noting(name, seen, len(self.classes)))
            for name, module in self.module.named_modules()
            if name and not list(module.children())
        ]
        size = self.input_size
        height, width = (size, size) if isinstance(size, int) else size
        try:
            with self.session(self.device or "cpu"), torch.no_grad():
                black = torch.zeros((1, 3, height, width), device=self.device)
                self.module(black)
        finally:
            for hook in hooks:
                hook.remove()
        return seen[-1] if seen else None


def _noting(name: str, seen: list[str], n_classes: int) -> Callable[..., None]:
    def note(module: torch.nn.Module, inputs: object, output: object) -> None:
        shape = tuple(getattr(output, "shape", ()))
        if len(shape) == 4 and shape[1] != n_classes and min(shape[2:]) > 1:
            seen.append(name)

    return note


def explainable(model: Model) -> Model:
    """Return a model that gives one score per class and picture: a segmenter pooled, others as is.

    Raises:
        ModelError: a segmenter is no wrapped network.
    """
    if not isinstance(model, Segmenter):
        return model
    if not isinstance(model, TorchSegmenter):
        raise ModelError(
            f"{model} is no TorchSegmenter, and its network cannot be looked into.",
            "wrap the network: TorchSegmenter(module, classes=...).",
        )
    return PooledSegmenter(model)
