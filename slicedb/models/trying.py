"""Run a classifier on one picture, to see what it says."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slicedb.errors import ModelError
from slicedb.media import decode
from slicedb.tasks.probabilities import sigmoid, softmax

if TYPE_CHECKING:
    import torch

    from slicedb.models.model import Model


def probabilities(model: Model, image: object) -> dict[str, float]:
    """Return the probability of each class, the likeliest first; see `Model.predict`."""
    import torch

    if model.task not in ("classification", "multilabel"):
        raise ModelError(
            f"{model} does {model.task}.", "`predict` over a database shows what it finds."
        )
    batch = as_input(model, encoded(image))
    device = model.device or "cpu"
    with model.session(device), torch.inference_mode():
        output = model.predict_batch(batch.to(device))
    plain = output.detach().float().cpu().numpy() if hasattr(output, "detach") else output
    rows = softmax(model.logits_of(plain)) if model.task == "classification" else sigmoid(plain)
    order = np.argsort(-rows[0], kind="stable")
    return {model.classes[i]: float(rows[0, i]) for i in order.tolist()}


def encoded(image: object) -> bytes:
    """Return the encoded bytes of a picture.

    Args:
        image: a path, encoded bytes, or a Pillow image.

    Raises:
        ModelError: it is none of these, or there is no such file.
    """
    from PIL import Image

    if isinstance(image, Image.Image):
        file = io.BytesIO()
        image.convert("RGB").save(file, "PNG")
        return file.getvalue()
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | os.PathLike):
        path = Path(image).expanduser()
        if not path.is_file():
            raise ModelError(f"No picture '{path}'.", "the path is relative to where you are.")
        return path.read_bytes()
    raise ModelError(
        f"A {type(image).__name__} is no picture.",
        "give a path, encoded bytes or a Pillow image.",
    )


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
