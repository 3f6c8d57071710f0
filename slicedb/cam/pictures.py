"""Explain pictures that are in no database."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from slicedb.cam.maps import overlay
from slicedb.errors import CheckError, ModelError, did_you_mean
from slicedb.inference.batches import batches
from slicedb.media import decode
from slicedb.models.trying import encoded, title_of

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from slicedb.cam.gradcam import Cams, GradCam
    from slicedb.models.model import Model, Picture


@dataclass(frozen=True, eq=False)
class Explained:
    """What a model looked at in one picture."""

    picture: str
    """The name of its file, or its number from 0."""
    target: str
    """The class that is explained; "" of a model that predicts a number."""
    layer: str
    """The layer that was looked at."""
    map: np.ndarray | None = field(repr=False)
    """float32 (rows, columns) in [0, 1]; all 0 where nothing speaks for the class. None where the
    picture does not decode."""
    overlay: Image.Image | None = field(repr=False)
    """The picture with the map over it, from blue to red."""
    error: str | None = None
    """Why there is none."""


def explained(
    model: Model,
    images: Iterable[Picture],
    *,
    target: str = "prediction",
    method: str = "gradcam",
    layer: str | None = None,
    batch_size: int = 32,
    threads: int | None = None,
) -> Iterator[Explained]:
    """Yield what a model looked at in each of some pictures, in their order.

    Args:
        model: a classifier, or another model with one score per picture.
        images: paths, encoded bytes, Pillow images or arrays; taken a batch at a time.
        target: explain the prediction, or the class of this name.
        method: one of `slicedb.cam.METHODS`.
        layer: the layer to explain, instead of the one that is found automatically.
        batch_size: pictures per batch.
        threads: decoding threads.

    Raises:
        ModelError: the model has no layer to explain, or something is no picture.
        CheckError: the target is no class of the model.
    """
    from slicedb.cam.gradcam import GradCam

    classes = list(model.classes)
    if target != "prediction" and target not in classes:
        choices = ["prediction", *classes]
        raise CheckError(f"No target '{target}' of {model}.", did_you_mean(target, choices))
    if model.takes_list:
        raise ModelError(f"{model} does {model.task}.", "grad-cam explains one score per picture.")
    items = ((title_of(image) or str(i), encoded(image)) for i, image in enumerate(images))
    explain: GradCam | None = None
    while some := list(itertools.islice(items, batch_size)):
        feed = batches(some, model.preprocessing, model.transform, size=len(some), threads=threads)
        with contextlib.closing(feed):
            batch = next(feed)
        good = [i for i, error in enumerate(batch.errors) if error is None]
        pixels = batch.images[good]
        if not pixels.is_floating_point():
            pixels = model.preprocessing.normalise(pixels)  # (n, h, w, 3) -> (n, 3, h, w)
        if good and explain is None:
            size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
            explain = GradCam(model, layer=layer, method=method, input_size=size)
        yield from _drawn(model, explain, some, batch.errors, pixels, target)


def _drawn(
    model: Model,
    explain: GradCam | None,
    items: Sequence[tuple[str, bytes]],
    errors: Sequence[str | None],
    pixels: torch.Tensor,
    target: str,
) -> Iterator[Explained]:
    """Yield the maps of one batch over their pictures."""
    cams: Cams | None = None
    if explain is not None and len(pixels):
        chosen = None
        if target != "prediction":
            chosen = [list(model.classes).index(target)] * len(pixels)
        with model.session(explain.device):
            cams = explain(pixels, chosen)
    at = 0
    for (name, data), error in zip(items, errors):
        if error is not None or cams is None or explain is None:
            yield Explained(name, "", "", None, None, error)
            continue
        heat, index = cams.maps[at], int(cams.targets[at])
        at += 1
        picture = decode(data)
        laid = overlay(picture, heat, shown=shown_of(model, picture))
        of = model.classes[index] if model.classes else ""
        yield Explained(name, of, explain.layer.name, heat, laid)


def shown_of(model: Model, picture: Image.Image) -> list[float] | None:
    """Return left, top, right, bottom of the part of a picture that the model sees, in pixels.

    Returns:
        None where a transform of the model's own decides that.
    """
    if model.transform is not None:
        return None
    (tall, wide), (top, left) = model.preprocessing.place(picture.height, picture.width)
    high, broad = model.preprocessing.size
    x, y = picture.width / wide, picture.height / tall
    return [left * x, top * y, (left + broad) * x, (top + high) * y]
