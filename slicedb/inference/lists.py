"""The runner of detectors: images of any size through a model, a list at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

from slicedb.inference.batches import Item, pictures
from slicedb.inference.runner import DeviceSide, pick_device
from slicedb.models.detector import Detector, Found, Picture, check_length

_CPU_IMAGES = 4
_GPU_IMAGES = 16


@dataclass(frozen=True)
class Detected:
    """What a detector said about one batch."""

    ids: list[str]
    found: list[Found | None]
    errors: list[str | None]
    """Why an image has no boxes at all, not even none."""


def detect(
    model: Detector,
    items: Iterable[Item],
    *,
    batch_size: int | None = None,
    device: Any = None,
    threads: int | None = None,
) -> Generator[Detected, None, None]:
    """Yield what a detector says about each batch of items, in their order.

    Args:
        model: anything with the contract of `Detector`.
        items: (id, encoded image).
        batch_size: images a batch; None is 4 on a CPU and 16 on a GPU. Halved for good when
            memory runs out.
        device: a torch device or its name; None takes a GPU when there is one.
        threads: decoding threads; None takes the cores.

    Raises:
        ModelError: the model fails, or one image does not fit in memory.
        ClassesError: it finds a label without a name.
    """
    import torch

    chosen = pick_device(device, model)
    gpu = chosen.type == "cuda"
    size = batch_size or (_GPU_IMAGES if gpu else _CPU_IMAGES)
    feed = pictures(items, model.read, size=size, threads=threads, ahead=1 if gpu else 0)
    with contextlib.closing(feed), model.session(chosen):
        device_side = _Side(model, chosen, size)
        for ids, read in feed:
            seen = [p for p in read if isinstance(p, Picture)]
            with torch.inference_mode():
                said = iter(device_side([p.pixels for p in seen]) if seen else [])
            found = [model.found(next(said), p) if isinstance(p, Picture) else p for p in read]
            yield Detected(
                ids,
                [f if isinstance(f, Found) else None for f in found],
                [f if isinstance(f, str) else None for f in found],
            )


class _Side(DeviceSide):
    """A batch is a list of tensors of different sizes."""

    def _forward(self, images: list[Any]) -> list[Any]:
        import torch

        moved = [image.to(self._device, non_blocking=True) for image in images]
        floats = [m.float().div_(255) if m.dtype == torch.uint8 else m for m in moved]
        said = self._model.predict_batch(floats)
        check_length(self._model, said, len(images))
        return list(said)

    def _join(self, parts: list[list[Any]]) -> list[Any]:
        return [one for part in parts for one in part]

    def _shape(self, images: list[Any]) -> str:
        return f"{len(images)} images, the first of shape {tuple(images[0].shape)}"
