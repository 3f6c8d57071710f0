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
    from slicedb.models.model import Model


def probabilities(model: Model, image: object) -> dict[str, float]:
    """Return the probability of each class, the likeliest first; see `Model.predict`."""
    import torch
    from PIL import Image

    if model.task not in ("classification", "multilabel"):
        raise ModelError(
            f"{model} does {model.task}.", "`predict` over a database shows what it finds."
        )
    if isinstance(image, Image.Image):
        file = io.BytesIO()
        image.convert("RGB").save(file, "PNG")
        data = file.getvalue()
    elif isinstance(image, bytes):
        data = image
    elif isinstance(image, str | os.PathLike):
        data = Path(image).expanduser().read_bytes()
    else:
        raise ModelError(
            f"A {type(image).__name__} is no picture.",
            "give a path, encoded bytes or a Pillow image.",
        )
    if model.transform is not None:
        batch = model.transform(decode(data))[None]
    else:
        pixels = np.zeros((1, *model.preprocessing.size, 3), np.uint8)
        model.preprocessing.fill(data, pixels[0])
        batch = model.preprocessing.normalise(torch.from_numpy(pixels))
    device = model.device or "cpu"
    with model.session(device), torch.inference_mode():
        output = model.predict_batch(batch.to(device))
    plain = output.detach().float().cpu().numpy() if hasattr(output, "detach") else output
    rows = softmax(model.logits_of(plain)) if model.task == "classification" else sigmoid(plain)
    order = np.argsort(-rows[0], kind="stable")
    return {model.classes[i]: float(rows[0, i]) for i in order.tolist()}
