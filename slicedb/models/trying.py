"""Run a model on pictures that are in no database, to see what it says."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slicedb.errors import ModelError
from slicedb.media import decode
from slicedb.tasks.probabilities import sigmoid, softmax

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from slicedb.models.model import Model


def probabilities(model: Model, image: object) -> dict[str, float]:
    """Return the probability of each class, the likeliest first; see `Model.predict`."""
    import torch

    if model.task not in ("classification", "multilabel"):
        raise ModelError(f"{model} does {model.task}.", "give a list, also of one picture.")
    batch = as_input(model, encoded(image))
    device = model.device or "cpu"
    with model.session(device), torch.inference_mode():
        output = model.predict_batch(batch.to(device))
    plain = output.detach().float().cpu().numpy() if hasattr(output, "detach") else output
    rows = softmax(model.logits_of(plain)) if model.task == "classification" else sigmoid(plain)
    order = np.argsort(-rows[0], kind="stable")
    return {model.classes[i]: float(rows[0, i]) for i in order.tolist()}


def predicted(model: Model, images: Iterable[object], **how: Any) -> Any:
    """Return what a model says of several pictures, see `Model.predict`.

    The room that runs batches stands behind this one and builds on it, so it is looked up by name.
    """
    return import_module("slicedb.inference").predict_pictures(model, images, **how)


def is_one(image: object) -> bool:
    """Return whether something is one picture, and not several of them."""
    if isinstance(image, np.ndarray):
        return image.ndim < 4
    return not isinstance(image, Iterable) or isinstance(
        image, str | bytes | bytearray | memoryview
    )


def title_of(image: object) -> str:
    """Return the name of the file that a picture is in; "" where there is none."""
    name = image if isinstance(image, str | os.PathLike) else getattr(image, "filename", "")
    return Path(name).name if name else ""


def encoded(image: object) -> bytes:
    """Return the encoded bytes of a picture.

    Args:
        image: a path, encoded bytes, a Pillow image, or uint8 (h, w), (h, w, 3) or (h, w, 4).

    Raises:
        ModelError: it is none of these, or there is no such file.
    """
    from PIL import Image

    if isinstance(image, Image.Image):
        return _png(image)
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, np.ndarray):
        return _png(Image.fromarray(_checked(image)))
    if isinstance(image, str | os.PathLike):
        path = Path(image).expanduser()
        if not path.is_file():
            raise ModelError(f"No picture '{path}'.", "the path is relative to where you are.")
        return path.read_bytes()
    raise ModelError(
        f"A value of type {type(image).__name__} is no picture.",
        "give a path, encoded bytes, a Pillow image or an array (h, w, 3) of uint8.",
    )


_KEPT = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
"""Modes that a PNG has: alpha and 16 bits are then read as they are from a file."""


def _png(image: Image.Image) -> bytes:
    """Return a picture as PNG, turned as it is displayed."""
    from PIL import ImageOps

    file = io.BytesIO()
    upright = ImageOps.exif_transpose(image)
    upright = upright if upright.mode in _KEPT else upright.convert("RGB")
    upright.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _checked(pixels: np.ndarray) -> np.ndarray:
    shape = pixels.shape
    if pixels.dtype != np.uint8 or not (
        len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))
    ):
        raise ModelError(
            f"An array {shape} of {pixels.dtype} is no picture.",
            "give uint8 (h, w, 3): height, width, and red, green, blue from 0 to 255.",
        )
    return np.ascontiguousarray(pixels)


def as_input(model: Model, data: bytes) -> torch.Tensor:
    """Return one encoded picture as a batch of the model's input: float32 (1, 3, h, w).

    Raises:
        MediaError: it does not decode.
    """
    import torch

    if model.transform is not None:
        return model.transform(decode(data))[None]
    pixels = np.zeros((1, *model.preprocessing.size, 3), np.uint8)
    model.preprocessing.fill(data, pixels[0])
    return model.preprocessing.normalise(torch.from_numpy(pixels))
