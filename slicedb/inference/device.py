"""Move batches to a device and their results back, without holding the device up.

A GPU works through a queue. It stands still when the queue runs dry, which happens whenever this
process waits for it (a `.cpu()`, an `.item()`, a copy from memory that is not page-locked) before
it has queued the next batch. So batches are copied from page-locked memory in a stream of their
own, while the one before is computed; results are copied into page-locked memory, and waited for
when the batches behind them are queued.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Wait = Callable[[], np.ndarray]
"""Waits for values that are being copied, and returns them."""


class Device:
    """A device that computes while it is called, such as a CPU: nothing overlaps.

    Args:
        device: the torch device.
    """

    is_gpu = False
    ahead = 0
    """Batches that are decoded before they are asked for. On a CPU none: decoder and model want
    the same cores, and a matrix product that waits for a busy core costs more than it gains."""
    in_flight = 0
    """Batches that are queued on the device while the results of one are waited for."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def send(self, images: torch.Tensor) -> torch.Tensor:
        """Return a batch on the device."""
        return images.to(self.device)

    def send_all(self, images: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return images of different sizes on the device."""
        return [self.send(image) for image in images]

    def fetch(self, values: torch.Tensor) -> Wait:
        """Begin to copy values to the host: float64 as it is, all else as float32."""
        host = values.to(device="cpu", dtype=_wide(values), copy=True)
        return lambda: np.asarray(host.numpy())

    def fetch_all(self, values: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return tensors of any shapes and types on the host."""
        return [one.detach().cpu() for one in values]

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Return the precision that a batch is computed in: that of the model."""
        return contextlib.nullcontext()

    def free(self) -> None:
        """Give back what is not in use, after memory has run out."""


class Gpu(Device):
    """A CUDA device, that queues what it is told."""

    is_gpu = True
    ahead = 2
    in_flight = 2

    def __init__(self, device: torch.device) -> None:
        import torch

        super().__init__(device)
        self._copies = torch.cuda.Stream(device)

    def send(self, images: torch.Tensor) -> torch.Tensor:
        """Copy in the stream of copies, which the computation waits for but this process does not.

        The memory of a batch that is not page-locked is copied before this returns, whatever
        `non_blocking` says.
        """
        import torch

        computing = torch.cuda.current_stream(self.device)
        if images.is_cuda:  # decoded there, in memory of another stream
            images.record_stream(computing)
            return images.to(self.device)
        with torch.cuda.stream(self._copies):
            moved = images.to(self.device, non_blocking=True)
        computing.wait_stream(self._copies)
        moved.record_stream(computing)  # or its memory would be given to the next copy too early
        return moved

    def send_all(self, images: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Copy images of one type together, from one page-locked buffer.

        Sixteen photos one by one take sixteen copies from ordinary memory, each of which waits
        for all that is queued.
        """
        import torch

        far = [i for i, image in enumerate(images) if image.is_cuda]
        if far or len({image.dtype for image in images}) != 1:
            return self._send_mixed(images, set(far))
        sizes = [image.numel() for image in images]
        packed = torch.empty(sum(sizes), dtype=images[0].dtype, pin_memory=True)
        for image, part in zip(images, packed.split(sizes)):
            _like(part, image).copy_(image)
        moved = self.send(packed).split(sizes)
        return [_like(part, image) for part, image in zip(moved, images)]

    def _send_mixed(self, images: Sequence[torch.Tensor], far: set[int]) -> list[torch.Tensor]:
        """Send images of which some are there already, or which are of several types."""
        near = [image for i, image in enumerate(images) if i not in far]
        together = bool(far) and bool(near)  # and else there would be no end to it
        sent = iter(self.send_all(near) if together else [self.send(image) for image in near])
        return [self.send(image) if i in far else next(sent) for i, image in enumerate(images)]

    def fetch(self, values: torch.Tensor) -> Wait:
        host, event = self._copied(values.to(_wide(values)))

        def wait() -> np.ndarray:
            event.synchronize()
            return np.asarray(host.numpy())

        return wait

    def fetch_all(self, values: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Copy tensors of one type together, and wait once for all of them."""
        import torch

        kinds: dict[torch.dtype, list[int]] = {}
        for number, one in enumerate(values):
            kinds.setdefault(one.dtype, []).append(number)
        copies = [
            (at, *self._copied(torch.cat([values[i].detach().reshape(-1) for i in at])))
            for at in kinds.values()
        ]
        result: list[torch.Tensor] = list(values)
        for at, host, event in copies:
            event.synchronize()
            for i, part in zip(at, host.split([values[i].numel() for i in at])):
                result[i] = part.reshape(values[i].shape)
        return result

    def _copied(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.cuda.Event]:
        """Return page-locked memory that values are copied into, and when they will be there."""
        import torch

        host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        host.copy_(values.detach(), non_blocking=True)
        event = torch.cuda.Event()
        # The stream is named: by default it is that of the first GPU, wherever the values are.
        event.record(torch.cuda.current_stream(self.device))
        return host, event

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Return bfloat16 autocast (half precision on a GPU that has no bfloat16)."""
        import torch

        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        context: contextlib.AbstractContextManager[object] = torch.autocast("cuda", dtype=dtype)
        return context

    def free(self) -> None:
        import torch

        torch.cuda.empty_cache()


def device_of(device: torch.device) -> Device:
    """Return how to move batches to and from a torch device."""
    return Gpu(device) if device.type == "cuda" else Device(device)


def _wide(values: torch.Tensor) -> torch.dtype:
    import torch

    return torch.float64 if values.dtype == torch.float64 else torch.float32


def _like(flat: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Return a flat part of a buffer in the shape of an image (c, h, w), channels last in memory.

    So are decoded pixels, and a copy that keeps the order of the numbers is one of whole lines.
    """
    channels, height, width = image.shape
    return flat.view(height, width, channels).permute(2, 0, 1)
