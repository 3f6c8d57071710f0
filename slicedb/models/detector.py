"""Detectors: the contract, and the wrapper for torchvision's detection models and their like."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slicedb.errors import ClassesError, MediaError, ModelError
from slicedb.media import decode, decode_rgb
from slicedb.metrics.detections import CONFIDENCE
from slicedb.metrics.outcomes import Floats, Ints
from slicedb.models.fingerprint import code_text
from slicedb.models.model import Model, TorchModel, check_names, float_type
from slicedb.tasks.given import numpy_of
from slicedb.tasks.objects import ImageBoxes

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from slicedb.models.model import Transform

_SIDE = 64
"""Pixels of the black image that a detector is tried on."""


@dataclass(frozen=True)
class WholeImage:
    """One image as a detector sees it."""

    pixels: torch.Tensor
    """uint8 tensor (3, h, w), or what the transform made of it."""
    size: tuple[int, int]
    """(height, width) of the original, pixels."""


class Detector(Model):
    """Base of every detector: state the classes, write `predict_batch`.

    >>> import torch
    >>> class Everything(Detector):
    ...     classes = ("thing",)
    ...
    ...     def predict_batch(self, images):
    ...         sizes = [(image.shape[2], image.shape[1]) for image in images]
    ...         one = {"labels": torch.tensor([1]), "scores": torch.tensor([0.9])}
    ...         return [{"boxes": torch.tensor([[0, 0, *size]]), **one} for size in sizes]
    >>> image = WholeImage(torch.zeros((3, 20, 30), dtype=torch.uint8), (20, 30))
    >>> Everything().boxes_of(Everything().predict_batch([image.pixels])[0], image).xywh.tolist()
    [[0.0, 0.0, 30.0, 20.0]]
    """

    task = "detection"
    takes_list = True
    first_label = 1
    """The number of the first class; torchvision counts from 1, 0 being the background."""
    longest: int | None = None
    """Pixels of the longer side beyond which an image is reduced; boxes are scaled back."""
    min_score = 0.0
    """Boxes below are not kept."""
    most = 300
    """Boxes an image that are kept, the surest ones."""
    _beside = ("name", "transform", "classes", "confidence")

    def predict_batch(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        """Return the boxes of each image.

        Args:
            images: float32 tensors (3, h, w) in [0, 1], each of its own size, on the model's
                device.

        Returns:
            A dict an image: boxes (k, 4) as left, top, right, bottom in pixels of that tensor;
            labels (k,), integers from `first_label`; scores (k,) in [0, 1].
        """
        raise NotImplementedError(f"{type(self).__name__} has no predict_batch")

    def read(self, name: str, data: bytes) -> WholeImage | str:
        """Return an encoded image as the model sees it, or why it does not decode."""
        import torch

        try:
            if self.transform is not None:
                image = decode(data)
                return WholeImage(self._transformed(name, image), (image.height, image.width))
            pixels = decode_rgb(data)
        except MediaError as error:
            return error.why
        size = pixels.shape[:2]
        if self.longest is not None and max(size) > self.longest:
            pixels = _reduced(pixels, self.longest)
        return WholeImage(torch.from_numpy(pixels).permute(2, 0, 1), (size[0], size[1]))

    def _transformed(self, name: str, image: Image.Image) -> torch.Tensor:
        assert self.transform is not None
        try:
            tensor = self.transform(image)
        except Exception as error:
            raise ModelError(
                f"The transform of {self} failed on sample '{name}' "
                f"({image.width}x{image.height}): {type(error).__name__}: {error}",
                "a transform takes an RGB Pillow image and returns a float tensor (3, h, w).",
            ) from error
        if getattr(tensor, "ndim", 0) != 3:
            raise ModelError(
                f"The transform of {self} returned {getattr(tensor, 'shape', type(tensor))}.",
                "it returns a float tensor (3, h, w) of the whole image: resized, not cropped.",
            )
        return tensor

    def boxes_of(self, output: Mapping[str, object], picture: WholeImage) -> ImageBoxes | str:
        """Turn what the model says of one image into boxes of the original, or say what is wrong.

        Raises:
            ModelError: it is not of the form that `predict_batch` describes.
            ClassesError: a label has no name.
        """
        boxes, labels, scores = self._parts(output)
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            return "the model's output is not a finite number"
        sides = boxes[:, 2:] - boxes[:, :2]
        if (sides < 0).any():
            return "a box of the model's output ends before it begins"
        number = labels - self.first_label
        if len(number) and not 0 <= number.min() <= number.max() < len(self.classes):
            wrong = labels[(number < 0) | (number >= len(self.classes))][0]
            last = len(self.classes) - 1 + self.first_label
            raise ClassesError(
                f"{self} found label {wrong}, its {len(self.classes)} classes are numbered "
                f"{self.first_label} to {last}.",
                "give one name for each label, and first_label= as the model counts.",
            )
        height, width = (int(n) for n in picture.pixels.shape[-2:])
        scale = np.array([picture.size[1] / width, picture.size[0] / height] * 2)
        xywh = np.concatenate([boxes[:, :2], sides], axis=1) * scale
        best = np.argsort(-scores, kind="stable")
        best = best[scores[best] >= self.min_score][: self.most]
        return ImageBoxes(xywh[best], number[best], scores[best])

    def _parts(self, output: Mapping[str, object]) -> tuple[Floats, Ints, Floats]:
        try:
            parts = [np.asarray(numpy_of(output[k])) for k in ("boxes", "labels", "scores")]
            boxes = parts[0].astype(np.float64).reshape(-1, 4)
            labels, scores = parts[1].astype(np.int64).ravel(), parts[2].astype(np.float64).ravel()
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{self} returned {_form(output)} for an image.",
                "predict_batch returns a dict an image: boxes (k, 4), labels (k,), scores (k,).",
            ) from error
        if not len(boxes) == len(labels) == len(scores):
            raise ModelError(
                f"{self} returned {len(boxes)} boxes, {len(labels)} labels and {len(scores)} "
                "scores for one image."
            )
        return boxes, labels, scores

    def preprocessing_text(self) -> str:
        about: dict[str, object] = {
            "longest": self.longest,
            "first_label": self.first_label,
            "min_score": self.min_score,
            "most": self.most,
        }
        if self.transform is not None:
            about["transform"] = code_text(self.transform)
        return json.dumps(about)

    def check(self) -> None:
        """Run one black image.

        Raises:
            ClassesError: there are no or repeated class names.
            ModelError: the model does not run, or returns something else than boxes.
        """
        import torch
        from PIL import Image

        check_names(self)
        if self.transform is None:
            pixels = torch.zeros((3, _SIDE, _SIDE))
        else:
            black = Image.fromarray(np.zeros((_SIDE, _SIDE, 3), np.uint8))
            pixels = self._transformed("black", black)
        before = self._reached()
        with self.session(self.device or "cpu"), torch.inference_mode():
            try:
                outputs = self.predict_batch([pixels.to(self.device or "cpu")])
            except Exception as error:
                raise ModelError(
                    f"{self} does not run on an image of {_SIDE} x {_SIDE} pixels: {error}",
                    "check predict_batch: it takes a list of tensors (3, h, w).",
                ) from error
        self._note_volatile(before)
        check_length(self, outputs, 1)
        self.boxes_of(outputs[0], WholeImage(pixels, (_SIDE, _SIDE)))


class TorchDetector(TorchModel, Detector):
    """Wrap any `torch.nn.Module` that maps a list of images to a list of dicts, as torchvision's.

    It computes in single precision: half of it would move boxes by pixels.

    Args:
        module: the network; training mode and device are put back after every use.
        classes: class names in the order of the labels, without the background.
        transform: from an RGB Pillow image to a float tensor (3, h, w), resized but not cropped;
            None gives the pixels in [0, 1], as torchvision's models want them.
        name: what messages call the model.
        confidence: score from which on a box counts in tp, fp, fn and iou; changing it asks
            nothing of the model.
        first_label: number of the first class: 1 in torchvision, whose 0 is the background.
        longest: pixels of the longer side beyond which an image is reduced.
        min_score: boxes below are not kept.
        most: boxes an image that are kept, the surest ones.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        classes: Sequence[str],
        transform: Transform | None = None,
        name: str | None = None,
        confidence: float = CONFIDENCE,
        first_label: int = 1,
        longest: int | None = None,
        min_score: float = 0.0,
        most: int = 300,
    ) -> None:
        self.module = module
        self.classes = tuple(classes)
        self.transform = transform
        self.name = name or type(module).__name__
        self.confidence = confidence
        self.first_label = first_label
        self.longest = longest
        self.min_score = min_score
        self.most = most

    @staticmethod
    def _layout() -> torch.memory_format:
        import torch

        return torch.preserve_format

    def predict_batch(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        kind = float_type(self.module)
        return self.module([image.to(kind) for image in images])  # type: ignore[no-any-return]


def check_length(model: Model, outputs: object, n: int) -> None:
    """Hold a detector's output against the contract: a list with an element an image.

    Raises:
        ModelError: it is something else.
    """
    if not isinstance(outputs, list | tuple) or len(outputs) != n:
        raise ModelError(
            f"{model} returned {_form(outputs)} for {n} image{'s' * (n != 1)}.",
            "predict_batch returns a list with a dict an image: boxes, labels, scores.",
        )


def _form(output: object) -> str:
    if isinstance(output, dict):
        return f"a dict with {', '.join(map(str, output)) or 'nothing'}"
    length = f" of {len(output)}" if hasattr(output, "__len__") else ""
    return f"a {type(output).__name__}{length}"


def _reduced(pixels: np.ndarray, longest: int) -> np.ndarray:
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
