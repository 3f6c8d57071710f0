"""Run models that take a list of images, each of its own size."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slicedb.inference.batches import Item, pictures
from slicedb.inference.decoding import Decoding
from slicedb.inference.device import Device, device_of
from slicedb.inference.ongpu import whole_on_gpu
from slicedb.inference.runner import DeviceSide, pick_device
from slicedb.models.model import Model
from slicedb.models.whole import WholeImage, WholeImageModel, check_length
from slicedb.show.numbers import count

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
    decoding: Decoding | None = None,
) -> Generator[ListOutputs, None, None]:
    """Yield what a model says about each batch of items, in their order.

    Args:
        batch_size: images a batch; None is 4 on a CPU and 16 on a GPU. Halved for good when
            memory runs out.
        decoding: which chip decodes, and what it did; None is the CPU.

    Raises:
        ModelError: the model fails, one image does not fit in memory, or a GPU should decode that
            cannot.
        ClassesError: it finds a label without a name.
    """
    assert isinstance(model, WholeImageModel)
    chosen = pick_device(device, model)
    on = device_of(chosen)
    size = batch_size or default_list_size(chosen)
    decoder = whole_on_gpu(decoding, chosen, model)
    feed = pictures(items, model.read, size=size, threads=threads, ahead=on.ahead, decoder=decoder)
    with contextlib.closing(feed), model.session(chosen):
        device_side = ListSide(model, chosen, size)
        for ids, read in feed:
            yield device_side.outputs_of(ids, read)


def default_list_size(device: torch.device) -> int:
    """Return how many images go into a batch when the user does not say."""
    return _GPU_IMAGES if device.type == "cuda" else _CPU_IMAGES


@dataclass(frozen=True)
class ListOutputs:
    """What the model said about one batch, image by image."""

    ids: list[str]
    values: list[Any]
    errors: list[str | None]
    """Why an image has no result."""


def _fetched(outputs: list[object], reads: tuple[str, ...], on: Device) -> list[object]:
    """Return outputs with what is read of them on the host, brought there together."""
    import torch

    named = [one if isinstance(one, Mapping) else {} for one in outputs]
    held = [[key for key in reads if isinstance(one.get(key), torch.Tensor)] for one in named]
    brought = iter(on.fetch_all([one[key] for one, keys in zip(named, held) for key in keys]))
    return [
        {**one, **{key: next(brought) for key in keys}} if keys else output
        for output, one, keys in zip(outputs, named, held)
    ]


class ListSide(DeviceSide[list["torch.Tensor"], list[object]]):
    """A batch is a list of tensors of different sizes."""

    def outputs_of(self, ids: list[str], read: Sequence[WholeImage | str]) -> ListOutputs:
        """Return what the model says of a batch.

        Args:
            read: the images, and why one does not decode.
        """
        import torch

        model = self._model
        assert isinstance(model, WholeImageModel)
        decoded = [p for p in read if isinstance(p, WholeImage)]
        with torch.inference_mode():
            raw = self([p.pixels for p in decoded]) if decoded else []
            fetched = iter(_fetched(raw, model.reads, self.on))
        given = [
            model.result_of(next(fetched), p) if isinstance(p, WholeImage) else p for p in read
        ]
        return ListOutputs(
            ids,
            [None if isinstance(one, str) else one for one in given],
            [one if isinstance(one, str) else None for one in given],
        )

    def _forward(self, images: list[torch.Tensor]) -> list[object]:
        import torch

        moved = self.on.send_all(images)
        floats = [m.float().div_(255) if m.dtype == torch.uint8 else m for m in moved]
        raw = self._model.predict_batch(floats)  # type: ignore[arg-type]
        assert isinstance(self._model, WholeImageModel)
        check_length(self._model, raw, len(images))
        return list(raw)

    def _join(self, parts: list[list[object]]) -> list[object]:
        return [one for part in parts for one in part]

    def _shape(self, images: list[torch.Tensor]) -> str:
        return f"{count(len(images), 'image')}, the first of shape {tuple(images[0].shape)}"
