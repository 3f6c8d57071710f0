"""Run the methods of the `grad-cam` package on a layer that was found already.

`gradcam`            weighs channels by their mean gradient; ours, see `gradcam.py`
`gradcam++`          ... by higher-order gradients (Chattopadhyay et al., WACV 2018)
`xgradcam`           ... by gradients scaled with the activations (Fu et al., BMVC 2020)
`hirescam`           multiplies activations and gradients cell by cell (Draelos & Carin, 2020)
`elementwise`        the same, negative products set to 0 before the sum
`layercam`           weighs each cell by its positive gradient (Jiang et al., TIP 2021)
`eigengradcam`       the first principal component of activations times gradients
`scorecam`           weighs channels by the score of the picture masked with them
                     (Wang et al., CVPR workshops 2020): one forward pass per channel, no gradient
`eigencam`           the first principal component of the activations (Muhammad & Yeasin, 2020):
                     it does not depend on the class
`kpcacam`            the same with a kernel (Karmani et al., 2024)

Nothing below the layer is recorded, gradients end there, and those of the network are left alone.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import torch

from slicedb.cam.layers import Forward, Layer
from slicedb.errors import ModelError, did_you_mean

OWN = "gradcam"
"""The method that runs here."""

_CLASSES = {
    "gradcam++": "GradCAMPlusPlus",
    "xgradcam": "XGradCAM",
    "hirescam": "HiResCAM",
    "elementwise": "GradCAMElementWise",
    "layercam": "LayerCAM",
    "eigengradcam": "EigenGradCAM",
    "scorecam": "ScoreCAM",
    "eigencam": "EigenCAM",
    "kpcacam": "KPCA_CAM",
}

METHODS = (OWN, *_CLASSES)

_MASKS = 16
"""Masked pictures that `scorecam` scores at once."""

Choose: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""Maps scores (n, c) to the class to explain for each image, int64 (n,)."""


def check_method(method: str) -> str:
    """Return the name of a method.

    Raises:
        ModelError: there is none of that name.
    """
    if method not in METHODS:
        raise ModelError(f"No method '{method}'.", did_you_mean(method, METHODS, "methods"))
    return method


def explain(
    method: str, layer: Layer, forward: Forward, images: torch.Tensor, choose: Choose
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Run a method of the package.

    Args:
        method: one of `METHODS`, but `OWN`.
        forward: runs the network, which is in evaluation mode.
        images: float32 (n, 3, h, w), where the network is.
        choose: chooses the classes, once the scores are known.

    Returns:
        Maps float32 (n, rows, columns), not negative and not scaled; classes int64 (n,); scores
        (n, c).
    """
    network = _Network(forward, choose, images.device)
    package = _package()
    bases = (_ScoreCAM, package.ScoreCAM) if method == "scorecam" else ()
    kind = type("Method", bases or (getattr(package, _CLASSES[method]),), {})
    reshape = None if layer.layout == "channels first" else layer.to_maps
    with contextlib.ExitStack() as stack:
        if method not in ("scorecam", "eigencam", "kpcacam"):
            stack.enter_context(recorded_from(layer.module))
        runner: Any = kind(network, [layer.module], reshape_transform=reshape)
        stack.callback(runner.activations_and_grads.release)
        raw: list[np.ndarray] = []
        image_of = runner.get_cam_image

        def keep(*given: object, **named: object) -> np.ndarray:
            raw.append(image_of(*given, **named))
            return raw[0]

        runner.get_cam_image = keep  # the maps at the size of their grid
        runner.get_target_width_height = lambda images: None  # and no others
        runner(images, [network.score_of(i) for i in range(len(images))])
    maps = torch.from_numpy(np.maximum(raw[0], 0).astype(np.float32))
    return maps, network.chosen, network.scores


def _package() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of what the package imports is deprecated
        import pytorch_grad_cam

    package: ModuleType = pytorch_grad_cam
    return package


class _Network(torch.nn.Module):
    """The network as the package wants it.

    Its only parameter tells the device, so that the package clears no gradient of the user's.
    """

    scores: torch.Tensor
    chosen: torch.Tensor

    def __init__(self, forward: Forward, choose: Choose, device: torch.device) -> None:
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1, device=device))
        self._run = lambda images: forward(images)  # a module would become a part of this one
        self._choose = choose

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores = self._run(images)
        if not hasattr(self, "scores"):  # the first pass is that of the pictures themselves
            self.scores, self.chosen = scores.detach(), self._choose(scores.detach())
        return scores

    def score_of(self, row: int) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return what takes the score to explain out of the scores (c,) of an image."""
        return lambda scores: scores[self.chosen[row]]


class _ScoreCAM:
    """Score-CAM in bounded memory, and without a progress bar per image.

    The package masks the whole batch with every channel at once: a gigabyte an image where a layer
    has 2,048 channels.
    """

    activations_and_grads: Any
    model: _Network

    def get_cam_weights(
        self,
        input_tensor: torch.Tensor,
        target_layer: torch.nn.Module,
        targets: Iterable[Callable[[torch.Tensor], torch.Tensor]],
        activations: np.ndarray,
        grads: object,
    ) -> np.ndarray:
        """Return float32 (n, channels), the softmax over the scores of the masked pictures."""
        self.activations_and_grads.release()  # else it would keep those of each masked picture
        size, weights = tuple(input_tensor.shape[-2:]), []
        for image, maps, target in zip(input_tensor, torch.from_numpy(activations), targets):
            scores: list[torch.Tensor] = []
            for part in maps.to(image.device).split(_MASKS):
                masks = torch.nn.functional.interpolate(
                    part[:, None], size=size, mode="bilinear", align_corners=True
                )
                low, high = masks.amin((2, 3), True), masks.amax((2, 3), True)
                masks = (masks - low) / (high - low + 1e-8)
                scores += [target(row) for row in self.model(image * masks)]
            weights.append(torch.stack(scores).float().softmax(0))
        return np.asarray(torch.stack(weights).cpu().numpy())


@contextlib.contextmanager
def recorded_from(module: torch.nn.Module) -> Iterator[list[torch.Tensor]]:
    """Record the forward pass from the output of a module on, and nothing below it.

    Yields a list that holds the output as a leaf, for its gradient, once the module has run.
    """
    seen: list[torch.Tensor] = []

    def hook(_module: object, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        leaf = output.detach()
        torch.set_grad_enabled(True)  # from here on up
        seen[:] = [leaf.requires_grad_()]
        return leaf.clone()  # a layer above may write into it

    handle = module.register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()
