"""Decode encoded images in threads, into the reused buffers of batches."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np

from slicedb.errors import MediaError, ModelError
from slicedb.media import decode, n_threads
from slicedb.models.preprocessing import Preprocessing

if TYPE_CHECKING:
    import torch

    from slicedb.models.model import Transform

T = TypeVar("T")
Made_co = TypeVar("Made_co", covariant=True)
Batch = TypeVar("Batch")
Item = tuple[str, bytes]


@dataclass(frozen=True)
class ImageBatch:
    """A batch on its way to the model."""

    ids: list[str]
    images: torch.Tensor
    """uint8 tensor (n, h, w, 3), or float32 (n, 3, h, w) when the model has its own transform.
    On the host, its memory is used again three batches later; where a GPU decodes it lies there."""
    errors: list[str | None]
    """Why an image did not decode; its row of `images` is black."""


class Begun(Protocol[Made_co]):
    """A batch that is being decoded."""

    def batch(self) -> Made_co:
        """Wait until it is done, and return it."""
        ...


class Decoder(Protocol[Batch]):
    """Decodes batches elsewhere than on the CPU, which it may ask for help."""

    def begin(
        self, chunk: list[Item], on_host: Callable[[list[Item]], Begun[Batch]]
    ) -> Begun[Batch]:
        """Begin to decode a batch; `on_host` begins to decode pictures on the CPU."""
        ...

    def close(self) -> None:
        """Decode nothing more."""
        ...


def batches(
    items: Iterable[Item],
    preprocessing: Preprocessing,
    transform: Transform | None = None,
    *,
    size: int,
    threads: int | None = None,
    ahead: int = 0,
    pin: bool = False,
    decoder: Decoder[ImageBatch] | None = None,
) -> Generator[ImageBatch, None, None]:
    """Decode items into batches.

    Reading runs one batch ahead in a thread of its own. Decoding runs `ahead` batches ahead of
    the consumer, see `Device.ahead`.

    Args:
        preprocessing: what fills a row of the batch.
        transform: from an RGB Pillow image to a tensor; replaces the preprocessing.
        ahead: batches decoded before they are asked for.
        pin: page-locked memory, which a GPU copies from without waiting.
        decoder: decodes in place of the CPU; closed at the end.

    Raises:
        ModelError: the transform fails, or gives tensors of different shapes.
    """
    workers = n_threads(threads)
    decoding: deque[Begun[ImageBatch]] = deque()
    source = iter(items)
    with (
        ThreadPoolExecutor(1, "slicedb-read") as reader,
        ThreadPoolExecutor(workers, "slicedb-decode") as pool,
    ):
        buffers = itertools.cycle([_Buffer(size, preprocessing, pin) for _ in range(ahead + 3)])
        coming: Future[list[Item]] | None = reader.submit(_read, source, size)

        def on_host(chunk: list[Item]) -> Begun[ImageBatch]:
            return _Decoding(chunk, next(buffers), transform, pool, workers, pin)

        try:
            while True:
                while coming is not None and len(decoding) <= ahead:
                    chunk = coming.result()
                    coming = reader.submit(_read, source, size) if chunk else None
                    if chunk:
                        decoding.append(_begun(chunk, on_host, decoder))
                if not decoding:
                    break
                yield decoding.popleft().batch()
        finally:  # also when the consumer stops, or on Ctrl-C
            if decoder is not None:
                decoder.close()
            pool.shutdown(wait=True, cancel_futures=True)
            reader.shutdown(wait=True, cancel_futures=True)
            close = getattr(source, "close", None)
            if close is not None:
                close()


def pictures(
    items: Iterable[Item],
    read: Callable[[str, bytes], T],
    *,
    size: int,
    threads: int | None = None,
    ahead: int = 0,
    decoder: Decoder[list[T]] | None = None,
) -> Generator[tuple[list[str], list[T]], None, None]:
    """Read items in batches that are lists, for images of different sizes.

    Args:
        read: from one of them to anything; run by threads.
        ahead: batches read before they are asked for.
        decoder: reads in place of the CPU; closed at the end.

    Yields:
        The ids of a batch, and what `read` returned for each.
    """
    workers = n_threads(threads)
    waiting: deque[tuple[list[str], Begun[list[T]]]] = deque()
    source = iter(items)
    with ThreadPoolExecutor(workers, "slicedb-decode") as pool:

        def on_host(chunk: list[Item]) -> Begun[list[T]]:
            return _Reading([pool.submit(read, name, data) for name, data in chunk])

        try:
            while True:
                while len(waiting) <= ahead and (chunk := _read(source, size)):
                    waiting.append(([name for name, _ in chunk], _begun(chunk, on_host, decoder)))
                if not waiting:
                    break
                ids, begun = waiting.popleft()
                yield ids, begun.batch()
        finally:  # also when the consumer stops, or on Ctrl-C
            if decoder is not None:
                decoder.close()
            pool.shutdown(wait=True, cancel_futures=True)
            close = getattr(source, "close", None)
            if close is not None:
                close()


def _read(source: Iterator[Item], size: int) -> list[Item]:
    return list(itertools.islice(source, size))


def _begun(
    chunk: list[Item],
    on_host: Callable[[list[Item]], Begun[Batch]],
    decoder: Decoder[Batch] | None,
) -> Begun[Batch]:
    return on_host(chunk) if decoder is None else decoder.begin(chunk, on_host)


@dataclass(frozen=True)
class _Reading(Generic[T]):
    """Pictures that are being read by the pool."""

    futures: list[Future[T]]

    def batch(self) -> list[T]:
        return [future.result() for future in self.futures]


class _Buffer:
    """Memory for one batch of pixels; made at its first use."""

    def __init__(self, size: int, preprocessing: Preprocessing, pin: bool) -> None:
        self.preprocessing = preprocessing
        self._shape = (size, *preprocessing.size, 3)
        self._pin = pin
        self._images: torch.Tensor | None = None

    @property
    def images(self) -> torch.Tensor:
        if self._images is None:
            import torch

            self._images = torch.empty(self._shape, dtype=torch.uint8, pin_memory=self._pin)
        return self._images


class _Decoding:
    """One batch being decoded by the pool."""

    def __init__(
        self,
        chunk: list[Item],
        buffer: _Buffer,
        transform: Transform | None,
        pool: ThreadPoolExecutor,
        workers: int,
        pin: bool,
    ) -> None:
        self.chunk, self.pin = chunk, pin
        self.buffer = buffer
        self.transform = transform
        self._images = None if transform is not None else buffer.images
        step = -(-len(chunk) // (2 * workers))
        self._parts: list[Future[list[torch.Tensor | str | None]]] = [
            pool.submit(self._run, start, start + step) for start in range(0, len(chunk), step)
        ]

    def _run(self, start: int, stop: int) -> list[torch.Tensor | str | None]:
        part = self.chunk[start:stop]
        if self._images is None:
            assert self.transform is not None
            return [transformed(name, data, self.transform) for name, data in part]
        rows = self._images.numpy()[start:stop]
        fill = self.buffer.preprocessing.fill
        return [filled(data, row, fill) for (_, data), row in zip(part, rows)]

    def batch(self) -> ImageBatch:
        """Wait for the pool and return the batch."""
        done = [result for part in self._parts for result in part.result()]
        ids = [name for name, _ in self.chunk]
        if self._images is not None:
            return ImageBatch(ids, self._images[: len(ids)], done)
        errors = [result if isinstance(result, str) else None for result in done]
        return ImageBatch(ids, stacked(done, ids, self.pin), errors)


def filled(data: bytes, row: np.ndarray, fill: Callable[[bytes, np.ndarray], None]) -> str | None:
    """Fill a row of a batch; returns why the bytes do not decode, and leaves it black then."""
    try:
        fill(data, row)
    except MediaError as error:
        row[:] = 0
        return error.why
    return None


def transformed(name: str, data: bytes, transform: Transform) -> torch.Tensor | str:
    """Return the tensor of an image, or the reason why the bytes do not decode.

    Raises:
        ModelError: the transform fails.
    """
    try:
        image = decode(data)
    except MediaError as error:
        return error.why
    try:
        tensor = transform(image)
    except Exception as error:
        raise ModelError(
            f"The model's transform failed on sample '{name}' ({image.width}x{image.height}): "
            f"{type(error).__name__}: {error}",
            "a transform takes an RGB Pillow image and returns a float tensor (3, h, w).",
        ) from error
    if getattr(tensor, "ndim", 0) != 3:
        got = getattr(tensor, "shape", type(tensor).__name__)
        raise ModelError(
            f"The model's transform returned {got} for sample '{name}'.",
            "it returns a float tensor (3, h, w).",
        )
    return tensor


def stacked(done: Sequence[torch.Tensor | str], ids: list[str], pin: bool) -> torch.Tensor:
    """Return transformed images as one tensor, black where one did not decode.

    Raises:
        ModelError: they are of different shapes.
    """
    import torch

    first = next((tensor for tensor in done if not isinstance(tensor, str)), None)
    if first is None:
        return torch.zeros((0, 3, 1, 1))
    for name, tensor in zip(ids, done):
        if not isinstance(tensor, str) and tensor.shape != first.shape:
            raise ModelError(
                f"The model's transform gives tensors of different shapes: "
                f"{tuple(first.shape)} and, for sample '{name}', {tuple(tensor.shape)}.",
                "end it with a crop to one size.",
            )
    blank = torch.zeros_like(first)
    together = torch.stack([blank if isinstance(tensor, str) else tensor for tensor in done])
    return together.pin_memory() if pin else together
