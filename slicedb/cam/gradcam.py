"""Grad-CAM (Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks", ICCV 2017).

The gradient of a class's logit, averaged over each channel of the last map of features, weighs
the channels; the positive part of their sum is the map. Results equal those of the `grad-cam`
package; the work is less: nothing is recorded below the layer, the gradient ends there, and
the maps are weighed where the network runs, so that a few numbers an image travel back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from slicedb.cam.layers import Layer, find, named, no_fast_path
from slicedb.cam.maps import enlarge
from slicedb.errors import ModelError, did_you_mean

METHODS = ("gradcam", "gradcam++", "xgradcam", "hirescam", "layercam", "eigencam")
"""`gradcam` runs here, the others in the `grad-cam` package."""


@dataclass(frozen=True)
class Cams:
    """What a network looked at, for one batch."""

    maps: np.ndarray
    """float32 (n, rows, columns) in [0, 1]: the largest value of each is 1, or all are 0."""
    strength: np.ndarray
    """float32 (n,): the largest value before it was scaled to 1."""
    targets: np.ndarray
    """int64 (n,): the class each map speaks of."""
    logits: np.ndarray
    """float32 (n, c)."""

    def enlarge(self, size: tuple[int, int]) -> np.ndarray:
        """Return the maps as the `grad-cam` package gives them: float32 (n, height, width)."""
        return enlarge(self.maps * self.strength[:, None, None], size)


class GradCam:
    """Explain a network; the layer is found by itself.

    Args:
        model: a `torch.nn.Module` from images (n, 3, h, w) to logits (n, c), or a SliceDB model.
        layer: a module, or its name in the network, in place of the one found.
        input_size: pixels of the square input, or (height, width), to find the layer with; None
            takes the model's own, else 224.

    Raises:
        ModelError: the network has no convolution and no attention layer.

    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.ReLU(),
    ...     torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> cam = GradCam(net, input_size=16)
    >>> cam.layer.name, cam.layer.grid, cam(torch.rand(5, 3, 16, 16)).maps.shape
    ('1', (8, 8), (5, 8, 8))
    """

    def __init__(
        self,
        model: Any,
        *,
        layer: str | torch.nn.Module | None = None,
        input_size: int | tuple[int, int] | None = None,
    ) -> None:
        self.name = str(model) if hasattr(model, "predict_batch") else type(model).__name__
        self._modules = _modules_of(model, self.name)
        self._forward = model.predict_batch if hasattr(model, "predict_batch") else model
        size: Any = input_size or getattr(model, "input_size", None) or 224
        height, width = (size, size) if isinstance(size, int) else size
        with self._evaluating():
            black = torch.zeros((1, 3, height, width), device=self.device)
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
        seen: list[torch.Tensor] = []

        def hook(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            leaf = output.detach()
            torch.set_grad_enabled(True)  # from here on up; below nothing was recorded
            seen[:] = [leaf.requires_grad_()]
            return leaf.clone()  # a layer above may write into it

        handle = self.layer.module.register_forward_hook(hook)
        try:
            with self._evaluating(), torch.inference_mode(False), torch.no_grad(), no_fast_path():
                pixels = images.clone() if images.is_inference() else images
                logits = self._forward(pixels.to(self.device))
                chosen = _targets(logits.detach(), targets, self.name)
                with torch.enable_grad():
                    score = logits.gather(1, chosen[:, None]).sum()
                    (gradient,) = torch.autograd.grad(score, seen)
        finally:
            handle.remove()
        maps = weigh(self.layer.to_maps(seen[0].detach()), self.layer.to_maps(gradient))
        strength = maps.amax((1, 2))
        scaled = maps / strength.clamp(min=torch.finfo(torch.float32).tiny)[:, None, None]
        return Cams(
            maps=scaled.cpu().numpy(),
            strength=strength.cpu().numpy(),
            targets=chosen.cpu().numpy(),
            logits=logits.detach().float().cpu().numpy(),
        )

    def with_package(
        self,
        images: torch.Tensor,
        targets: Sequence[int] | np.ndarray | None = None,
        method: str = "gradcam",
    ) -> np.ndarray:
        """Return the maps that the `grad-cam` package gives for the same layer.

        Args:
            images: float32 (n, 3, h, w).
            targets: the class to explain for each image; None is the predicted one.
            method: one of `METHODS`.

        Returns:
            float32 (n, h, w) in [0, 1], at the size of the images.
        """
        import pytorch_grad_cam as package
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        if method not in METHODS:
            raise ModelError(f"No method '{method}'.", did_you_mean(method, METHODS, "methods"))
        names = ("GradCAM", "GradCAMPlusPlus", "XGradCAM", "HiResCAM", "LayerCAM", "EigenCAM")
        kind = getattr(package, dict(zip(METHODS, names))[method])
        wanted = None if targets is None else [ClassifierOutputTarget(int(t)) for t in targets]
        with self._evaluating(), no_fast_path(), torch.enable_grad():
            reshape = None if self.layer.layout == "channels first" else self.layer.to_maps
            cam = kind(_Callable(self), [self.layer.module], reshape_transform=reshape)
            with cam:
                made: np.ndarray = cam(images.to(self.device), wanted)
        return made

    @contextlib.contextmanager
    def _evaluating(self) -> Iterator[None]:
        training = [m for m in self._modules.values() if m.training]
        try:
            for module in training:
                module.training = False
            yield
        finally:
            for module in training:
                module.training = True


class _Callable(torch.nn.Module):  # type: ignore[misc,unused-ignore]
    """The network as the package wants it, its modules kept where they are."""

    def __init__(self, cam: GradCam) -> None:
        super().__init__()
        self.inner = torch.nn.ModuleList([cam._modules[""]])
        self._cam = cam
        self.training = False

    def forward(self, images: torch.Tensor) -> Any:
        return self._cam._forward(images)


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
    chosen = torch.as_tensor(np.asarray(targets, np.int64), device=logits.device)
    if len(chosen) != len(logits):
        raise ModelError(f"{len(chosen)} targets for {len(logits)} images.", "give one an image.")
    if len(chosen) and not 0 <= int(chosen.min()) <= int(chosen.max()) < logits.shape[1]:
        raise ModelError(
            f"Target {int(chosen.min())} or {int(chosen.max())} of {name} is no class.",
            f"classes are 0 to {logits.shape[1] - 1}.",
        )
    return chosen


def _modules_of(model: Any, name: str) -> dict[str, Any]:
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
