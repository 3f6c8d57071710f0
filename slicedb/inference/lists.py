"""Run models that take a list of images, each of its own size."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slicedb.inference.batches import Item, pictures
from slicedb.inference.runner import DeviceSide, pick_device
from slicedb.models.detector import Detector, WholeImage, check_length
from slicedb.models.model import Model
from slicedb.tasks.objects import ImageBoxes

if TYPE_CHECKING:
    import torch

_CPU_IMAGES = 4
_GPU_IMAGES = 16


def run_lists(
    model: Model,
    items: Iterable[Item],
    *,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    threads: int | None = None,
) -> Generator[ListOutputs, None, None]:
    """Yield what a model says about each batch of items, in their order.

    Args:
        batch_size: images a batch; None is 4 on a CPU and 16 on a GPU. Halved for good when
            memory runs out.

    Raises:
        ModelError: the model fails, or one image does not fit in memory.
        ClassesError: it finds a label without a name.
    """
    import torch

    assert isinstance(model, Detector)
    chosen = pick_device(device, model)
    gpu = chosen.type == "cuda"
    size = batch_size or (_GPU_IMAGES if gpu else _CPU_IMAGES)
    feed = pictures(items, model.read, size=size, threads=threads, ahead=1 if gpu else 0)
    with contextlib.closing(feed), model.session(chosen):
        device_side = _ListSide(model, chosen, size)
        for ids, read in feed:
            decoded = [p for p in read if isinstance(p, WholeImage)]
            with torch.inference_mode():
                raw = iter(device_side([p.pixels for p in decoded]) if decoded else [])
            boxes = [model.boxes_of(next(raw), p) if isinstance(p, WholeImage) else p for p in read]
            yield ListOutputs(
                ids,
                [None if isinstance(b, str) else b for b in boxes],
                [b if isinstance(b, str) else None for b in boxes],
            )


@dataclass(frozen=True)
class ListOutputs:
    """What the model said about one batch, image by image."""

    ids: list[str]
    values: list[ImageBoxes | None]
    errors: list[str | None]
    """Why an image has no boxes at all, not even none."""


class _ListSide(DeviceSide[list["torch.Tensor"], list[Mapping[str, object]]]):
    """A batch is a list of tensors of different sizes."""

    def _forward(self, images: list[torch.Tensor]) -> list[Mapping[str, object]]:
        import torch

        moved = [image.to(self.device, non_blocking=True) for image in images]
        floats = [m.float().div_(255) if m.dtype == torch.uint8 else m for m in moved]
        raw = self._model.predict_batch(floats)
        check_length(self._model, raw, len(images))
        return list(raw)

    def _join(self, parts: list[list[Mapping[str, object]]]) -> list[Mapping[str, object]]:
        return [one for part in parts for one in part]

    def _shape(self, images: list[torch.Tensor]) -> str:
        return f"{len(images)} images, the first of shape {tuple(images[0].shape)}"
