"""Run batches through a model on a device, whatever fits into its memory."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt

from slicedb.errors import ModelError, SliceDBError
from slicedb.inference.batches import ImageBatch, Item, batches
from slicedb.inference.decoding import Decoding
from slicedb.inference.device import Wait, device_of
from slicedb.inference.ongpu import fitted_on_gpu
from slicedb.inference.pace import Pace
from slicedb.models.model import Model
from slicedb.models.weights import first_line
from slicedb.show.numbers import count

if TYPE_CHECKING:
    import torch

_CPU_PIXELS = 8 * 224 * 224
"""Pixels a batch on a CPU: more fall out of the caches (MobileNetV2 at 224 on two cores: 174 images
a second in batches of 8, 104 in batches of 16, 62 in batches of 64)."""
_GPU_PIXELS = 256 * 224 * 224
_CPU_WEIGHTS = 1 << 20
_MOST_FOR_WEIGHTS = 32
"""Parameters per image of a batch on a CPU, up to so many images: a batch reads all weights once,
and large ones fall out of the caches in between (in batches of 32, ViT-B/32 with 88 million and
ResNet-50 with 26 million are 1.8 times as fast as in batches of 8). The model decides, not a clock,
so that the same pictures give the same numbers."""
_NO_MEMORY = ("out of memory", "can't allocate memory", "status_alloc_failed")
"""What torch, the allocator of the CPU, and cuBLAS and cuDNN say when there is no memory left."""
_CPU_FEED = 8
"""Batches decoded at a time on a CPU: decoder and model take turns on the same cores, and each
turn costs a few milliseconds."""


@dataclass(frozen=True)
class Outputs:
    """What the model said about one batch."""

    ids: list[str]
    values: npt.NDArray[np.float32]
    """float32 (n, c); rows whose image did not decode are NaN."""
    errors: list[str | None]
    """Why a row has no values."""


def pick_device(
    device: torch.device | str | None = None, model: Model | None = None
) -> torch.device:
    """Return the torch device: as given, else the GPU the model is on, any GPU, the CPU.

    Raises:
        ModelError: the device given is not there.
    """
    import torch

    if device is None:
        own = model.device if model is not None else None
        if own is not None and own.type != "cpu":
            return own
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"No device '{device}' here: {reason}", "use 'cpu'.") from error
    return chosen


def default_batch_size(
    size: tuple[int, int], device: torch.device, parameters: int | None = None
) -> int:
    """Return how many images go into a batch when the user does not say.

    Args:
        size: height and width of the images in pixels.
        device: what the model is on.
        parameters: how many the model has, None where that is not known.
    """
    if device.type != "cpu":
        return int(np.clip(_GPU_PIXELS // (size[0] * size[1]), 4, 2048))
    fit = int(np.clip(_CPU_PIXELS // (size[0] * size[1]), 4, 512))
    return max(fit, min((parameters or 0) // _CPU_WEIGHTS, _MOST_FOR_WEIGHTS))


def run(
    model: Model,
    items: Iterable[Item],
    *,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    threads: int | None = None,
    decoding: Decoding | None = None,
) -> Generator[Outputs, None, None]:
    """Yield what the model says about each batch of items, in their order.

    Args:
        model: anything with the contract of `Model`; its width is not checked here.
        batch_size: images a batch; None suits the device. Halved for good when memory runs out.
        decoding: which chip decodes, and what it did; None is the CPU.

    Raises:
        ModelError: the model or its transform fails, one image does not fit in memory, or a GPU
            should decode that cannot.
    """
    with running(model, batch_size=batch_size, device=device) as side:
        on = side.on
        feed = batches(
            items,
            model.preprocessing,
            model.transform,
            size=feed_size(side, batch_size),
            threads=threads,
            ahead=on.ahead,
            pin=on.is_gpu,
            decoder=fitted_on_gpu(decoding, side.device, model),
        )
        flight = Flight(side)
        with contextlib.closing(feed):
            for batch in feed:
                yield from flight.add(batch)
            yield from flight.rest()


def feed_size(side: TensorSide, batch_size: int | None) -> int:
    """Return how many images are decoded at a time."""
    return side.size * _CPU_FEED if batch_size is None and not side.on.is_gpu else side.size


class Flight:
    """Batches that are queued on a device, and whose outputs are fetched when more are queued.

    Args:
        side: the model on its device.
    """

    def __init__(self, side: TensorSide) -> None:
        self._side = side
        self._queued: deque[tuple[ImageBatch, Wait]] = deque()

    def add(self, batch: ImageBatch) -> Iterator[Outputs]:
        """Queue a batch; yields the outputs of the one before that is due now, if there is one."""
        import torch

        on = self._side.on
        with torch.inference_mode():
            self._queued.append((batch, on.fetch(self._side(batch.images))))
        if len(self._queued) > on.in_flight:
            yield _outputs(*self._queued.popleft())

    def rest(self) -> Iterator[Outputs]:
        """Yield what is still queued."""
        while self._queued:
            yield _outputs(*self._queued.popleft())


@contextlib.contextmanager
def running(
    model: Model, *, batch_size: int | None = None, device: torch.device | str | None = None
) -> Iterator[TensorSide]:
    """Hold a model on its device, for whoever makes the batches himself."""
    chosen = pick_device(device, model)
    size = batch_size or default_batch_size(model.preprocessing.size, chosen, model.n_parameters())
    with model.session(chosen):
        yield TensorSide(model, chosen, size)


def _outputs(batch: ImageBatch, wait: Wait) -> Outputs:
    values = wait()
    if not len(values):  # not one image of the batch decoded, and there is no shape to go by
        values = np.full((len(batch.ids), 0), np.nan, dtype=np.float32)
    bad = [i for i, error in enumerate(batch.errors) if error is not None]
    if bad and values.shape[1]:
        values[bad] = np.nan
    return Outputs(batch.ids, values, batch.errors)


Pixels = TypeVar("Pixels", "torch.Tensor", "list[torch.Tensor]")
Raw = TypeVar("Raw")


class DeviceSide(Generic[Pixels, Raw]):
    """Copy, normalise, run; halve the batch and try again when memory runs out."""

    def __init__(self, model: Model, device: torch.device, size: int) -> None:
        self.device = device
        self.on = device_of(device)
        self.size = size
        """Images a batch; fewer when memory has run out."""
        self._model = model
        self._pace = Pace(device)

    def __call__(self, images: Pixels) -> Raw:
        parts: list[Raw] = []
        at = 0
        while at < len(images):
            part = images[at : at + self.size]
            try:
                with self._pace.batch():
                    parts.append(self._forward(part))
                at += len(part)
                continue
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise self._failed(part, error) from error
                if len(part) == 1:
                    raise ModelError(
                        f"{self._model} runs out of memory on a single image on "
                        f"{self.device}: {first_line(error)}",
                        "use a device with more memory, or device='cpu'.",
                    ) from error
            except SliceDBError:
                raise
            except Exception as error:
                raise self._failed(part, error) from error
            self.size = max(1, len(part) // 2)
            self.on.free()  # outside the handler, which keeps tensors alive
        return self._join(parts)

    def _forward(self, images: Pixels) -> Raw:
        """Return what the model says of a part of the batch."""
        raise NotImplementedError

    def _join(self, parts: list[Raw]) -> Raw:
        """Return what it said of several parts as one."""
        raise NotImplementedError

    def _shape(self, images: Pixels) -> str:
        """Return the words for a part of the batch."""
        raise NotImplementedError

    def _failed(self, part: Pixels, error: Exception) -> ModelError:
        return ModelError(
            f"{self._model} failed on {self._shape(part)} on {self.device}: "
            f"{type(error).__name__}: {first_line(error)}",
            "check predict_batch, input_size and the device.",
        )


class TensorSide(DeviceSide["torch.Tensor", "torch.Tensor"]):
    """A batch is one tensor: uint8 (n, h, w, 3), or float32 (n, 3, h, w) as the model takes it.

    The logits, (n, c), are on the device.
    """

    def _join(self, parts: list[torch.Tensor]) -> torch.Tensor:
        import torch

        if not parts:
            return torch.zeros((0, 0))
        return torch.cat(parts) if len(parts) != 1 else parts[0]

    def _shape(self, images: torch.Tensor) -> str:
        return f"a batch of shape {tuple(images.shape)}"

    def _forward(self, images: torch.Tensor) -> torch.Tensor:
        import torch

        moved = self.on.send(images)
        if moved.dtype == torch.uint8:
            moved = self._model.preprocessing.normalise(moved)
        elif moved.ndim == 4:
            moved = moved.to(memory_format=torch.channels_last)
        with self.on.autocast():
            values = _tensor_of(self._model.predict_batch(moved))
        if getattr(values, "ndim", 0) != 2 or len(values) != len(images):
            shape = tuple(getattr(values, "shape", ())) or type(values).__name__
            raise ModelError(
                f"{self._model} returned {shape} for {count(len(images), 'image')}.",
                "predict_batch returns a tensor with one row an image.",
            )
        return values


def _tensor_of(values: object) -> torch.Tensor:
    """Return an output as a tensor; numpy arrays are taken too."""
    import torch

    if isinstance(values, np.ndarray):
        return torch.as_tensor(values)
    return cast("torch.Tensor", values)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the device, or the machine, has no memory left."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return any(words in text for words in _NO_MEMORY)
