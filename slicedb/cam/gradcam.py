"""Explain a network: by our own Grad-CAM, or by a method of the `grad-cam` package.

Grad-CAM (Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks", ICCV 2017) averages
the gradient of a class's logit over each channel of the last feature map and weighs the channels
by it; the map is the positive part of their sum. Ours gives the maps of the package with less
work: nothing is recorded below the layer, the gradient ends there, and the maps are weighed where
the network runs, so that only a few numbers per image travel back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from PIL import Image

from slicedb.cam.layers import Forward, Layer, Modules, find, named, no_fast_path
from slicedb.cam.maps import enlarge
from slicedb.cam.methods import OWN, Choose, check_method, explain, recorded_from
from slicedb.errors import ModelError
from slicedb.inference.device import device_of
from slicedb.models.model import float_type
from slicedb.show.numbers import count

if TYPE_CHECKING:
    from slicedb.models import Model


_INPUT = 224
"""Pixels of the square input of a network that does not say."""


@dataclass(frozen=True)
class Cams:
    """What a network looked at, for one batch."""

    maps: np.ndarray
    """float32 (n, rows, columns) in [0, 1]: the largest value of each is 1, or all are 0."""
    strength: np.ndarray
    """float32 (n,): the largest value before it was scaled to 1."""
    targets: np.ndarray
    """int64 (n,): the class each map explains."""
    logits: np.ndarray
    """float32 (n, c)."""

    def enlarge(self, size: tuple[int, int]) -> np.ndarray:
        """Return the maps as the `grad-cam` package gives them: float32 (n, height, width)."""
        return enlarge(self.maps * self.strength[:, None, None], size)


class GradCam:
    """Explains a network; the layer is found by itself.

    Args:
        model: a `torch.nn.Module` from images (n, 3, h, w) to logits (n, c), or a SliceDB model.
        layer: a module, or its name in the network, in place of the one found.
        method: one of `slicedb.cam.METHODS`.
        input_size: pixels of the square input, or (height, width), to find the layer with; None
            takes what the model's transform gives, else the model's own, else 224.

    Raises:
        ModelError: the network has no convolution and no attention layer, or there is no such
            method.

    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.ReLU(),
    ...     torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> cam = GradCam(net, input_size=16)
    >>> cam.layer.name, cam.layer.grid, cam(torch.rand(5, 3, 16, 16)).maps.shape
    ('1', (8, 8), (5, 8, 8))
    """

    def __init__(
        self,
        model: torch.nn.Module | Model,
        *,
        layer: str | torch.nn.Module | None = None,
        method: str = OWN,
        input_size: int | tuple[int, int] | None = None,
    ) -> None:
        self.method = check_method(method)
        self.name = str(model) if hasattr(model, "predict_batch") else type(model).__name__
        self._modules = _modules_of(model, self.name)
        forward = cast("Forward", getattr(model, "predict_batch", model))
        is_binary = len(getattr(model, "classes", ())) == 2
        self._forward = _two_sided(forward) if is_binary else forward
        height, width = _input_of(model, input_size)
        with self._evaluating():
            black = torch.zeros((1, 3, height, width), device=self.device, dtype=self.dtype)
            self.layer: Layer = (
                find(self._modules, self._forward, black, self.name)
                if layer is None
                else named(self._modules, self._forward, black, self.name, layer)
            )

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        tensors = (t for m in self._modules.values() for t in m.parameters(recurse=False))
        first = next(tensors, None)
        return torch.device("cpu") if first is None else first.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights, which pictures are turned into."""
        return float_type(self._modules[""])

    def __call__(
        self, images: torch.Tensor, targets: Sequence[int] | np.ndarray | None = None
    ) -> Cams:
        """Return the maps of a batch.

        Args:
            images: float32 (n, 3, h, w), normalised, as the network takes them.
            targets: the class to explain for each image; None is the predicted one.

        Raises:
            ModelError: a target is no class of the network.
        """

        def choose(scores: torch.Tensor) -> torch.Tensor:
            return _targets(scores, targets, self.name)

        run = self._own if self.method == OWN else partial(explain, self.method, self.layer)
        on = device_of(self.device)
        with self._evaluating(), torch.inference_mode(False), torch.no_grad(), no_fast_path():
            pixels = images.clone() if images.is_inference() else images
            maps, chosen, scores = run(self._forward, on.send(pixels).to(self.dtype), choose)
        strength = maps.amax((1, 2))
        scaled = maps / strength.clamp(min=torch.finfo(torch.float32).tiny)[:, None, None]
        brought = on.fetch_all([scaled, strength, chosen, scores.float()])
        return Cams(*(one.numpy() for one in brought))

    def _own(
        self, forward: Forward, pixels: torch.Tensor, choose: Choose
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        with recorded_from(self.layer.module) as seen:
            logits = forward(pixels)
        chosen = choose(logits.detach())
        with torch.enable_grad():
            score = logits.gather(1, chosen[:, None]).sum()
            (gradient,) = torch.autograd.grad(score, seen)
        maps = weigh(self.layer.to_maps(seen[0].detach()), self.layer.to_maps(gradient))
        return maps, chosen, logits.detach()

    @contextlib.contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Put the network into evaluation mode and back.

        The package calls `backward`, which would add to the gradients of the weights: they are
        frozen meanwhile. It also hands activations to numpy, which knows no bfloat16: weights of
        half precision are single meanwhile, which is exact both ways. Ours asks for one gradient
        alone, and needs no such care.
        """
        training = [m for m in self._modules.values() if m.training]
        all_weights = () if self.method == OWN else self._modules[""].parameters()
        weights = [weight for weight in all_weights if weight.requires_grad]
        halves = [] if self.method == OWN else _halves(self._modules[""])
        try:
            for tensor, _ in halves:
                tensor.data = tensor.data.float()
            for module in training:
                module.training = False
            for weight in weights:
                weight.requires_grad_(False)
            yield
        finally:
            for module in training:
                module.training = True
            for weight in weights:
                weight.requires_grad_(True)
            for tensor, kind in halves:
                tensor.data = tensor.data.to(kind)


def _two_sided(forward: Forward) -> Forward:
    """Return scores of two classes where a network gives one number: what speaks against it."""

    def scores(images: torch.Tensor) -> torch.Tensor:
        made = forward(images)
        one = made.ndim == 2 and made.shape[1] == 1
        return torch.cat([-made, made], 1) if one else made

    return scores


def _halves(module: torch.nn.Module) -> list[tuple[torch.Tensor, torch.dtype]]:
    """Return the weights and buffers of half precision, each with its type."""
    tensors = (*module.parameters(), *module.buffers())
    return [(t, t.dtype) for t in tensors if t.is_floating_point() and t.element_size() == 2]


def _input_of(
    model: torch.nn.Module | Model, given: int | tuple[int, int] | None
) -> tuple[int, int]:
    """Return height and width of the network's input: given, the model's, what a transform makes.

    A transform alone knows what it gives the network, whatever `input_size` says.
    """
    size = given or getattr(model, "input_size", None) or _INPUT
    height, width = (size, size) if isinstance(size, int) else size
    transform = getattr(model, "transform", None)
    if given is not None or transform is None or not hasattr(model, "predict_batch"):
        return height, width
    made = transform(Image.new("RGB", (width, height)))
    return int(made.shape[-2]), int(made.shape[-1])


def weigh(activations: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Return the positive part of the sum of channels, each weighed by its mean gradient.

    Args:
        activations: (n, c, rows, columns).
        gradient: of the score, the same shape.

    Returns:
        float32 (n, rows, columns).
    """
    weights = gradient.float().mean((2, 3))
    return torch.einsum("nc,nchw->nhw", weights, activations.float()).clamp_(min=0)


def _targets(
    logits: torch.Tensor, targets: Sequence[int] | np.ndarray | None, name: str
) -> torch.Tensor:
    if logits.ndim != 2:
        raise ModelError(
            f"{name} returned shape {tuple(logits.shape)}.", "grad-cam needs logits (n, c)."
        )
    if targets is None:
        return logits.argmax(1)
    chosen = np.asarray(targets, np.int64)
    if len(chosen) != len(logits):
        raise ModelError(
            f"{count(len(chosen), 'target')} for {count(len(logits), 'image')}.",
            "give one an image.",
        )
    if len(chosen) and not 0 <= int(chosen.min()) <= int(chosen.max()) < logits.shape[1]:
        raise ModelError(
            f"Target {int(chosen.min())} or {int(chosen.max())} of {name} is no class.",
            f"classes are 0 to {logits.shape[1] - 1}.",
        )
    return device_of(logits.device).send(torch.from_numpy(chosen))


def _modules_of(model: torch.nn.Module | Model, name: str) -> Modules:
    """Return the modules of a network by name, the whole under ''."""
    module = model if isinstance(model, torch.nn.Module) else getattr(model, "module", None)
    if not isinstance(module, torch.nn.Module):
        held = [v for v in vars(model).values() if isinstance(v, torch.nn.Module)]
        module = held[0] if len(held) == 1 else torch.nn.ModuleList(held)
    if isinstance(module, torch.jit.ScriptModule):
        raise ModelError(
            f"{name} is a compiled program; grad-cam cannot look into it.",
            "load the network from its Python class.",
        )
    return dict(module.named_modules())
