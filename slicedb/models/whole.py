"""Models that take pictures as they are: a list of tensors, each of its own size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slicedb.errors import MediaError, ModelError
from slicedb.media import decode, decode_rgb
from slicedb.models.model import Model

if TYPE_CHECKING:
    import torch
    from PIL import Image

_SIDE = 64
"""Pixels of the black image that a model is tried on."""


@dataclass(frozen=True)
class WholeImage:
    """One image as the model sees it."""

    pixels: torch.Tensor
    """uint8 tensor (3, h, w), or what the transform made of it."""
    size: tuple[int, int]
    """(height, width) of the original, pixels."""


class WholeImageModel(Model):
    """Base of models that take pictures as they are, and give something for each."""

    takes_list = True
    gives = ""
    """What `predict_batch` returns for an image, for messages."""
    reads: tuple[str, ...] = ()
    """Keys of the tensors that `result_of` reads of a dict: they are brought from the device
    together, and the others stay there."""
    longest: int | None = None
    """Pixels of the longer side beyond which an image is reduced; results are scaled back."""

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

    def result_of(self, output: object, picture: WholeImage) -> Any:
        """Turn what the model says of one image into what is stored, or say what is wrong.

        Raises:
            ModelError: it is not of the form that `predict_batch` describes.
            ClassesError: a class has no name.
        """
        raise NotImplementedError(f"{type(self).__name__} has no result_of")

    def tried(self) -> tuple[object, WholeImage]:
        """Return what the model says of one black image, and that image.

        Raises:
            ModelError: it does not run, or gives no list with an element an image.
        """
        import torch
        from PIL import Image

        if self.transform is None:
            pixels = torch.zeros((3, _SIDE, _SIDE))
        else:
            black = Image.fromarray(np.zeros((_SIDE, _SIDE, 3), np.uint8))
            pixels = self._transformed("black", black)
        before = self._reached()
        with self.session(self.device or "cpu"), torch.inference_mode():
            try:
                outputs = self.predict_batch([pixels.to(self.device or "cpu")])  # type: ignore[arg-type]
            except ModelError:
                raise
            except Exception as error:
                raise ModelError(
                    f"{self} does not run on an image of {_SIDE} x {_SIDE} pixels: {error}",
                    "check predict_batch: it takes a list of tensors (3, h, w).",
                ) from error
        self._note_volatile(before)
        check_length(self, outputs, 1)
        return outputs[0], WholeImage(pixels, (_SIDE, _SIDE))


def check_length(model: WholeImageModel, outputs: object, n: int) -> None:
    """Hold an output against the contract: a list with an element an image.

    Raises:
        ModelError: it is something else.
    """
    if not isinstance(outputs, list | tuple) or len(outputs) != n:
        raise ModelError(
            f"{model} returned {form_of(outputs)} for {n} image{'s' * (n != 1)}.",
            f"predict_batch returns a list with an element an image: {model.gives}.",
        )


def form_of(output: object) -> str:
    """Return the words for what a model returned."""
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
