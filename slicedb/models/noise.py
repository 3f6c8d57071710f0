"""Tell two models apart by what they say of a few fixed pictures of noise.

The second guard beside the fingerprint, which follows code and attributes as far as it can: a file
that is read in `forward`, or a library written in C, changes what a model says and nothing that
Python shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    import torch

    from slicedb.models.model import Model

_SIDE = 64
"""Pixels of a picture for models that take pictures as they are."""
_SHOWN = 24
"""Outputs of each picture that are kept; mean and spread stand for the others."""
_NEAR = 0.01
"""How far two outputs may be apart, in the largest of them: devices round differently."""


def outputs_on_noise(model: Model) -> tuple[float, ...]:
    """Return numbers that stand for what a model says of noise; empty where it says nothing.

    It is run in single precision, where it lies.
    """
    import torch

    pictures = [Image.fromarray(pixels) for pixels in _noise(_size(model))]
    try:
        images = [_tensor(model, picture) for picture in pictures]
        device = model.device or "cpu"
        with model.session(device), torch.inference_mode():
            moved = [image.to(device) for image in images]
            said = model.predict_batch(moved if model.takes_list else torch.stack(moved))  # type: ignore[arg-type]
        rows = said if model.takes_list else np.asarray(_plain(said), np.float64)
        numbers = np.concatenate([_summary(row) for row in rows])
    except Exception:  # whatever is wrong with it is told where it is used
        return ()
    return tuple(map(float, numbers)) if np.isfinite(numbers).all() else ()


def differ(before: Sequence[float], now: Sequence[float]) -> bool:
    """Return whether two models say different things; nothing said differs from nothing.

    >>> differ((1.0, 2.0), (1.001, 2.0)), differ((1.0, 2.0), (10.0, 20.0)), differ((), (1.0,))
    (False, True, False)
    """
    if not before or not now:
        return False
    if len(before) != len(now):
        return True
    a, b = np.asarray(before), np.asarray(now)
    return bool(np.abs(a - b).max() > _NEAR * max(np.abs(a).max(), np.abs(b).max()))


def _size(model: Model) -> tuple[int, int]:
    return (_SIDE, _SIDE) if model.takes_list else model.preprocessing.size


def _noise(size: tuple[int, int]) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield uint8 (h, w, 3): noise of single pixels, and noise of patches."""
    rng = np.random.default_rng(14)
    yield rng.integers(0, 256, (*size, 3), np.uint8)
    patches = rng.integers(0, 256, (8, 8, 3), np.uint8)
    rows, columns = (np.arange(n) * 8 // n for n in size)
    yield patches[rows][:, columns]


def _tensor(model: Model, picture: Image.Image) -> torch.Tensor:
    """Return float32 (3, h, w) as the model takes it."""
    import torch

    if model.transform is not None:
        return model.transform(picture)
    pixels = torch.from_numpy(np.array(picture))[None]
    if model.takes_list:
        return pixels[0].permute(2, 0, 1).float() / 255
    return model.preprocessing.normalise(pixels)[0]


def _plain(values: object) -> object:
    return values.detach().cpu().float().numpy() if hasattr(values, "detach") else values


def _summary(said: object) -> npt.NDArray[np.float64]:
    """Return a few numbers of what is said of one picture: scores, or boxes by their scores."""
    if isinstance(said, Mapping):
        scores = np.asarray(_plain(said["scores"]), np.float64).ravel()
        boxes = np.asarray(_plain(said["boxes"]), np.float64).reshape(-1, 4)
        labels = np.asarray(_plain(said["labels"]), np.float64).ravel()
        sums = [scores.sum(), scores @ labels, *(scores @ boxes)]
        return np.array(sums)
    scores = np.asarray(said, np.float64).ravel()
    return np.array([*scores[:_SHOWN], scores.mean(), scores.std()])
