"""Detectors: the contract, and the wrapper for torchvision's detection models and their like."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from slicedb.errors import ClassesError, ModelError
from slicedb.metrics.detections import CONFIDENCE
from slicedb.metrics.outcomes import Floats, Ints
from slicedb.models.contract import check_names
from slicedb.models.fingerprint import code_text
from slicedb.models.model import TorchModel, float_type
from slicedb.models.whole import WholeImage, WholeImageModel, form_of
from slicedb.show.numbers import count
from slicedb.tasks.given import numpy_of
from slicedb.tasks.objects import ImageBoxes

if TYPE_CHECKING:
    import torch

    from slicedb.models.model import Transform


class Detector(WholeImageModel):
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
    gives = "a dict with boxes, labels, scores"
    reads = ("boxes", "labels", "scores")
    first_label = 1
    """The number of the first class; torchvision counts from 1, 0 being the background."""
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

    def result_of(self, output: object, picture: WholeImage) -> ImageBoxes | str:
        """Return the boxes of one image; see `boxes_of`."""
        return self.boxes_of(cast("Mapping[str, object]", output), picture)

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
                f"{self} found label {wrong}, its "
                f"{count(len(self.classes), 'class is', 'classes are')} numbered "
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
                f"{self} returned {form_of(output)} for an image.",
                "predict_batch returns a dict an image: boxes (k, 4), labels (k,), scores (k,).",
            ) from error
        if not len(boxes) == len(labels) == len(scores):
            raise ModelError(
                f"{self} returned {count(len(boxes), 'box', 'boxes')}, "
                f"{count(len(labels), 'label')} and {count(len(scores), 'score')} for one image."
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
        check_names(self)
        outputs, picture = self.tried()
        self.boxes_of(cast("Mapping[str, object]", outputs), picture)


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
