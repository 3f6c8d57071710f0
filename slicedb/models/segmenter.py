"""Segmenters: the contract, and the wrapper for torchvision's models and their like."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from slicedb.errors import ClassesError, ModelError
from slicedb.models.contract import check_names
from slicedb.models.fingerprint import code_text
from slicedb.models.model import TorchModel, float_type
from slicedb.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from slicedb.models.whole import WholeImage, WholeImageModel, form_of
from slicedb.show.numbers import count
from slicedb.tasks.labelmaps import LabelMap

if TYPE_CHECKING:
    import torch

    from slicedb.models.model import Transform

_MOST = 1 << 26
"""Numbers up to which logits are enlarged to the picture. Of larger pictures each pixel gets the
class of the nearest output instead, so that the memory is bounded."""
_OUT = "out"
"""Where torchvision's models put their logits."""


class Segmenter(WholeImageModel):
    """Base of every segmenter: state the classes, write `predict_batch`.

    >>> import torch
    >>> class Bright(Segmenter):
    ...     classes = ("dark", "bright")
    ...
    ...     def predict_batch(self, images):
    ...         light = [image.mean(0) - 0.5 for image in images]
    ...         return [torch.stack([-one, one]) for one in light]
    >>> image = WholeImage(torch.full((3, 2, 3), 0.9), (2, 3))
    >>> Bright().result_of(Bright().predict_batch([image.pixels])[0], image).codes.tolist()
    [[1, 1, 1], [1, 1, 1]]
    """

    task = "segmentation"
    gives = "logits (c, h, w)"
    _beside = ("name", "transform", "classes")

    def predict_batch(self, images: list[torch.Tensor]) -> list[torch.Tensor]:  # type: ignore[override]
        """Return the logits of the pixels of each image.

        Args:
            images: float32 tensors (3, h, w) in [0, 1], each of its own size, on the model's
                device.

        Returns:
            A tensor (c, h', w') an image, of any height and width: they are enlarged to the
            picture. c = len(classes), or 1 for two classes: the logit of the second.
        """
        raise NotImplementedError(f"{type(self).__name__} has no predict_batch")

    def result_of(self, output: object, picture: WholeImage) -> LabelMap | str:
        """Turn logits (c, h', w') into the label map of the original, or say what is wrong.

        Raises:
            ModelError: it is of another shape.
            ClassesError: it has another number of classes than the class list.
        """
        import torch

        logits = self._logits(output)
        if not bool(torch.isfinite(logits).all()):
            return "the model's output is not a finite number"
        sure = float(torch.softmax(logits, 0).amax(0).mean())
        height, width = picture.size
        if logits.shape[0] * height * width <= _MOST:
            wide = torch.nn.functional.interpolate(
                logits[None], (height, width), mode="bilinear", align_corners=False
            )
            codes = wide[0].argmax(0)
        else:
            small = logits.argmax(0)[None, None].float()
            codes = torch.nn.functional.interpolate(small, (height, width))[0, 0]
        kind = np.uint8 if len(self.classes) <= 256 else np.uint16
        return LabelMap(codes.cpu().numpy().astype(kind), tuple(self.classes), None, sure)

    def _logits(self, output: object) -> torch.Tensor:
        import torch

        tensor = torch.as_tensor(output) if isinstance(output, np.ndarray) else output
        if not isinstance(tensor, torch.Tensor) or tensor.ndim != 3:
            shape = getattr(tensor, "shape", None)
            what = form_of(output) if shape is None else f"shape {tuple(shape)}"
            raise ModelError(
                f"{self} returned {what} for an image.",
                "predict_batch returns logits (c, h, w) for each image.",
            )
        logits = tensor.detach().float()
        if logits.shape[0] == 1 and len(self.classes) == 2:
            logits = torch.cat([torch.zeros_like(logits), logits])
        if logits.shape[0] != len(self.classes):
            raise ClassesError(
                f"{self} has {count(len(self.classes), 'class name')}, its output has "
                f"{logits.shape[0]}.",
                "give one name for each, in the order of the logits, the background included.",
            )
        return logits

    def preprocessing_text(self) -> str:
        about: dict[str, object] = {"longest": self.longest}
        if self.transform is not None:
            about["transform"] = code_text(self.transform)
        return json.dumps(about)

    def check(self) -> None:
        """Run one black image.

        Raises:
            ClassesError: class list and output differ in number, or a name comes twice.
            ModelError: the model does not run, or returns something else than logits of pixels.
        """
        check_names(self)
        output, picture = self.tried()
        self.result_of(output, picture)


class TorchSegmenter(TorchModel, Segmenter):
    """Wrap any `torch.nn.Module` that maps images (n, 3, h, w) to logits of pixels (n, c, h', w').

    torchvision's, which return a dict with `out`, are taken as they are.

    Args:
        module: the network; training mode and device are put back after every use.
        classes: class names in the order of the logits, the background included.
        transform: from an RGB Pillow image to a float tensor (3, h, w), resized but not cropped;
            it replaces what follows.
        input_size: pixels of the square input, or (height, width), that a picture is resized to;
            None leaves it as it is. The label map has the size of the picture all the same.
        longest: pixels of the longer side beyond which a picture is reduced.
        mean: subtracted from the channels in [0, 1]; three numbers.
        std: divides them after that; three numbers.
        name: what messages call the model.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        classes: Sequence[str],
        transform: Transform | None = None,
        input_size: int | tuple[int, int] | None = None,
        longest: int | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        name: str | None = None,
    ) -> None:
        self.module = module
        self.classes = tuple(classes)
        self.transform = transform
        self.size = (input_size, input_size) if isinstance(input_size, int) else input_size
        """Height and width of the input, None where pictures are taken as they are."""
        self.longest = longest
        self.mean, self.std = tuple(mean), tuple(std)
        self.name = name or type(module).__name__

    def predict_batch(self, images: list[torch.Tensor]) -> list[torch.Tensor]:  # type: ignore[override]
        """Return the logits of each image; those of one size go through the network together."""
        import torch

        inputs = [self.input_of(image) for image in images]
        given: list[torch.Tensor | None] = [None] * len(inputs)
        shapes = {tuple(image.shape) for image in inputs}
        for shape in sorted(shapes):
            at = [i for i, image in enumerate(inputs) if tuple(image.shape) == shape]
            output = self.forward(torch.stack([inputs[i] for i in at]))
            for i, one in zip(at, output, strict=True):
                given[i] = one
        return [one for one in given if one is not None]

    def input_of(self, image: torch.Tensor) -> torch.Tensor:
        """Return an image (3, h, w) in [0, 1] as the network takes it."""
        import torch

        if self.transform is not None:
            return image.to(float_type(self.module))
        if self.size is not None:
            image = torch.nn.functional.interpolate(
                image[None], self.size, mode="bilinear", align_corners=False, antialias=True
            )[0]
        mean, std = (image.new_tensor(side)[:, None, None] for side in (self.mean, self.std))
        return ((image - mean) / std).to(float_type(self.module))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the logits (n, c, h', w') of a batch (n, 3, h, w), as the network takes it.

        Raises:
            ModelError: the network gives something else.
        """
        output: Any = self.module(batch)
        logits = output.get(_OUT) if hasattr(output, "get") else output
        if getattr(logits, "ndim", 0) != 4 or len(logits) != len(batch):
            shape = getattr(logits, "shape", None)
            what = form_of(output) if shape is None else f"shape {tuple(shape)}"
            raise ModelError(
                f"{self} returned {what} for a batch of {len(batch)}.",
                "the module returns logits (n, c, h, w), or a dict with them as 'out'.",
            )
        return logits  # type: ignore[no-any-return]

    def preprocessing_text(self) -> str:
        about = json.loads(super().preprocessing_text())
        if self.transform is None:
            about |= {"input_size": self.size, "mean": self.mean, "std": self.std}
        return json.dumps(about)
