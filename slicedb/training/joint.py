"""Transform a picture and its boxes together, as torchvision's `transforms.v2` do."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from slicedb.errors import SliceDBError
from slicedb.training.targets import LEAST, Target

if TYPE_CHECKING:
    from PIL import Image

Joint: TypeAlias = "Callable[[Image.Image, Target], tuple[Any, Target]]"
"""Takes an RGB Pillow image and its target, whose boxes are `tv_tensors.BoundingBoxes`, and gives
both back: a transform of `torchvision.transforms.v2`, or a function of one's own."""


def check_joint(transform: Callable[..., Any]) -> None:
    """Refuse a transform that takes the picture alone: its boxes would stay where they were.

    Raises:
        SliceDBError: it has room for one argument.
    """
    called = getattr(transform, "forward", transform)
    try:
        parameters = inspect.signature(called).parameters.values()
    except (TypeError, ValueError):  # no Python function: it says itself what it takes
        return
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(places) < 2 and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise SliceDBError(
            f"The transform {_name(transform)} takes the picture alone, so its boxes would not "
            "follow.",
            "use torchvision.transforms.v2, or a function of (image, target) that returns both.",
        )


def apply(
    transform: Joint, image: Image.Image, target: Target, as_float: bool
) -> tuple[torch.Tensor, Target]:
    """Return picture and target as the transform leaves them, as plain tensors.

    Boxes that are still `BoundingBoxes` are clipped to the picture, and those of which less than
    a pixel is left are left out, with what else the target has of them.

    Args:
        transform: the joint transform.
        image: RGB.
        target: boxes in pixels of the image.
        as_float: whether bytes become float32 in [0, 1].

    Raises:
        TypeError: it does not give back picture and target.
    """
    from torchvision import tv_tensors

    canvas = (image.height, image.width)
    boxes = tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=canvas)  # type: ignore[call-overload]
    result = transform(image, {**target, "boxes": boxes})
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
        raise TypeError("a joint transform returns the pair (image, target)")
    picture = pixels_of(result[0], as_float)
    return picture, _plain(result[1])


def pixels_of(picture: object, as_float: bool) -> torch.Tensor:
    """Return a picture as a plain tensor (3, h, w); bytes as float32 in [0, 1] where asked for."""
    if isinstance(picture, torch.Tensor):
        tensor = picture.as_subclass(torch.Tensor)
    else:
        tensor = torch.from_numpy(np.array(picture)).movedim(-1, 0)
    if as_float and tensor.dtype == torch.uint8:
        tensor = tensor.to(torch.float32).div_(255)
    return tensor


def _plain(target: Target) -> Target:
    from torchvision import tv_tensors
    from torchvision.transforms.v2 import functional

    boxes = target["boxes"]
    if isinstance(boxes, tv_tensors.BoundingBoxes):
        old = functional.convert_bounding_box_format(boxes, new_format="XYXY")
        clamped = functional.clamp_bounding_boxes(old)
        sides = clamped[:, 2:] - clamped[:, :2]
        least = torch.minimum(torch.tensor(LEAST), old[:, 2:] - old[:, :2])
        kept = ((sides > 0) & (sides >= least - 1e-6)).all(dim=1).as_subclass(torch.Tensor)
        n = len(boxes)
        target = {
            name: value[kept] if isinstance(value, torch.Tensor) and len(value) == n else value
            for name, value in {**target, "boxes": clamped}.items()
        }
    return {
        name: value.as_subclass(torch.Tensor) if isinstance(value, torch.Tensor) else value
        for name, value in target.items()
    }


def _name(transform: object) -> str:
    return getattr(transform, "__name__", type(transform).__name__)
