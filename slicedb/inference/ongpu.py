"""Let a GPU decode the plain JPEGs of a batch, and the CPU everything else."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from slicedb.errors import ModelError
from slicedb.inference.batches import Begun, ImageBatch, Item
from slicedb.inference.decoding import Decoding
from slicedb.inference.fitting import fit_all
from slicedb.inference.jpegs import GpuJpegs, apart, batches_of
from slicedb.media.plain import plain_size
from slicedb.models.model import Model
from slicedb.models.preprocessing import Preprocessing
from slicedb.models.weights import first_line
from slicedb.models.whole import WholeImage, WholeImageModel

if TYPE_CHECKING:
    import torch

Batch = TypeVar("Batch")
Made = TypeVar("Made")
Rows: TypeAlias = list[int]
"""Places in a batch."""

_LEVELS = 8.0
"""Levels of 255 by which a picture may differ on average between the two decoders. Colours that
are upsampled more coarsely make one or two, after the resize; a wrong picture makes dozens."""
_ENOUGH = 16
"""Pictures of a batch that both chips decode, to compare them."""
_FASTER = 1.1
"""How much faster a GPU is than the CPU, for "auto" to take it."""


class OnGpu(Generic[Batch, Made]):
    """Decodes batches in a thread that waits for the GPU.

    The first batch that has enough plain JPEGs is decoded by both chips. Where their pixels are
    too far apart, or the GPU is not faster and what is faster was asked for, the CPU decodes all.

    Args:
        jpegs: the decoder.
        decoding: what was asked for; counts.
    """

    def __init__(self, jpegs: GpuJpegs, decoding: Decoding) -> None:
        self._jpegs, self._decoding = jpegs, decoding
        self._is_chosen: bool | None = None
        self._last = ""
        self._thread = ThreadPoolExecutor(1, "slicedb-gpu-decode")

    def begin(
        self, chunk: list[Item], on_host: Callable[[list[Item]], Begun[Batch]]
    ) -> Begun[Batch]:
        """Begin to decode a batch.

        Args:
            chunk: its pictures.
            on_host: begins to decode pictures on the CPU.
        """
        if self._is_chosen is None:
            return _Done(self._try_both(chunk, on_host))
        if self._is_chosen:
            return _Coming(self._thread.submit(self._counted, chunk, on_host))
        self._decoding.count(0, len(chunk))
        return on_host(chunk)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def size_of(self, data: bytes) -> tuple[int, int] | None:
        """Return (height, width) of a picture that the GPU decodes, None of any other."""
        return plain_size(data)

    def made_of(self, decoded: list[torch.Tensor]) -> Made:
        """Return what becomes of some decoded pictures, uint8 (3, h, w) each."""
        raise NotImplementedError

    def together(
        self,
        ids: list[str],
        made: Sequence[tuple[Rows, Made]],
        read: Sequence[tuple[Rows, Batch]],
    ) -> Batch:
        """Return a batch of which some pictures come from the GPU and some from the CPU."""
        raise NotImplementedError

    def levels_apart(self, one: Batch, other: Batch, rows: Rows) -> float:
        """Return by how many levels some pictures of two batches differ on average."""
        raise NotImplementedError

    # --- inside -------------------------------------------------------------------------------

    def _try_both(self, chunk: list[Item], on_host: Callable[[list[Item]], Begun[Batch]]) -> Batch:
        """Decode a batch on both chips, and choose one of them for the batches to come."""
        started = time.perf_counter()
        by_cpu = on_host(chunk).batch()
        cpu = time.perf_counter() - started
        plain = sum(self.size_of(data) is not None for _, data in chunk)
        if plain < min(_ENOUGH, len(chunk)):
            self._decoding.count(0, len(chunk))
            return by_cpu
        by_gpu, rows = self._thread.submit(self._decoded, chunk, on_host).result()
        levels = self.levels_apart(by_gpu, by_cpu, rows) if rows else 0.0
        started = time.perf_counter()
        if self._decoding.how == "auto":  # the first time, memory was taken and kernels loaded
            by_gpu, rows = self._thread.submit(self._decoded, chunk, on_host).result()
        gpu = time.perf_counter() - started
        why = self._why_not(len(chunk), bool(rows), levels, cpu, gpu)
        self._is_chosen = not why
        if why:
            self._decoding.refuse(why)
            rows = []
        self._decoding.count(len(rows), len(chunk) - len(rows))
        return by_cpu if why else by_gpu

    def _why_not(self, n: int, is_read: bool, levels: float, cpu: float, gpu: float) -> str:
        """Return why the GPU does not decode from now on, "" where it does."""
        if not is_read:
            return f"the GPU decoded none of the first pictures ({self._last})"
        if levels > _LEVELS:
            return (
                f"the first pictures are {levels:.0f} of 255 levels from those of the CPU where "
                "the GPU decodes them"
            )
        if self._decoding.how == "auto" and cpu < _FASTER * gpu:
            return f"{n / cpu:,.0f} pictures/s, the GPU {n / gpu:,.0f}"
        return ""

    def _counted(self, chunk: list[Item], on_host: Callable[[list[Item]], Begun[Batch]]) -> Batch:
        batch, rows = self._decoded(chunk, on_host)
        self._decoding.count(len(rows), len(chunk) - len(rows))
        return batch

    def _decoded(
        self, chunk: list[Item], on_host: Callable[[list[Item]], Begun[Batch]]
    ) -> tuple[Batch, Rows]:
        """Return a batch, and the places of what the GPU decoded.

        Raises:
            ModelError: the GPU fails for good.
        """
        try:
            return self._mixed(chunk, on_host)
        except RuntimeError as error:
            raise ModelError(
                f"{self._jpegs.device} failed while it decoded JPEGs: {first_line(error)}",
                "leave out decode= (--decode): the CPU decodes then.",
            ) from error

    def _mixed(
        self, chunk: list[Item], on_host: Callable[[list[Item]], Begun[Batch]]
    ) -> tuple[Batch, Rows]:
        """Begin what the CPU decodes, decode the rest meanwhile, and put both together."""
        sizes = {i: size for i, (_, data) in enumerate(chunk) if (size := self.size_of(data))}
        plain = list(sizes)
        others = [i for i in range(len(chunk)) if i not in sizes]
        begun = on_host([chunk[i] for i in others]) if others else None
        with self._jpegs.stream():
            made: list[tuple[Rows, Made]] = []
            for part in batches_of(list(sizes.values())):
                made += self._read(chunk, [plain[k] for k in part])
            done = [i for rows, _ in made for i in rows]
            failed = sorted(set(plain) - set(done))
            more = on_host([chunk[i] for i in failed]) if failed else None
            read = [
                (rows, one.batch())
                for rows, one in ((others, begun), (failed, more))
                if one is not None
            ]
            return self.together([name for name, _ in chunk], made, read), done

    def _read(self, chunk: list[Item], rows: Rows) -> list[tuple[Rows, Made]]:
        """Decode pictures, halving them where one does not decode or memory is full.

        The decoder says of none which one it was. A single one that fails is left to the CPU.
        """
        try:
            decoded = self._jpegs.decode([chunk[i][1] for i in rows])
            return [(rows, self.made_of(decoded))]
        except (RuntimeError, MemoryError) as error:
            if len(rows) == 1:
                self._last = first_line(error)
                return []
        half = len(rows) // 2
        return self._read(chunk, rows[:half]) + self._read(chunk, rows[half:])


class FittedOnGpu(OnGpu[ImageBatch, "torch.Tensor"]):
    """Makes batches that are one tensor on the device, uint8 (n, h, w, 3).

    Args:
        jpegs: the decoder.
        decoding: what was asked for; counts.
        preprocessing: the size, and how it is reached.
    """

    def __init__(self, jpegs: GpuJpegs, decoding: Decoding, preprocessing: Preprocessing) -> None:
        super().__init__(jpegs, decoding)
        self._preprocessing = preprocessing

    def made_of(self, decoded: list[torch.Tensor]) -> torch.Tensor:
        return fit_all(decoded, self._preprocessing)

    def together(
        self,
        ids: list[str],
        made: Sequence[tuple[Rows, torch.Tensor]],
        read: Sequence[tuple[Rows, ImageBatch]],
    ) -> ImageBatch:
        import torch

        errors: list[str | None] = [None] * len(ids)
        parts, order = [images for _, images in made], [i for rows, _ in made for i in rows]
        for rows, batch in read:
            parts.append(batch.images.to(self._jpegs.device, non_blocking=True))
            order += rows
            for i, error in zip(rows, batch.errors):
                errors[i] = error
        images = parts[0] if len(parts) == 1 else torch.cat(parts)
        if order != list(range(len(ids))):
            images = images.index_select(0, torch.tensor(order).argsort().to(images.device))
        return ImageBatch(ids, images, errors)

    def levels_apart(self, one: ImageBatch, other: ImageBatch, rows: Rows) -> float:
        import torch

        where = torch.tensor(rows)
        return apart(one.images.cpu()[where], other.images[where])


Whole: TypeAlias = "list[WholeImage | str]"


class WholeOnGpu(OnGpu[Whole, "list[WholeImage]"]):
    """Makes batches that are lists of pictures as they are, on the device.

    Args:
        jpegs: the decoder.
        decoding: what was asked for; counts.
        longest: pixels of the longer side beyond which the CPU reads and reduces a picture.
    """

    def __init__(self, jpegs: GpuJpegs, decoding: Decoding, longest: int | None) -> None:
        super().__init__(jpegs, decoding)
        self._longest = longest

    def size_of(self, data: bytes) -> tuple[int, int] | None:
        size = super().size_of(data)
        is_long = size is not None and self._longest is not None and max(size) > self._longest
        return None if is_long else size

    def made_of(self, decoded: list[torch.Tensor]) -> list[WholeImage]:
        return [WholeImage(image, (image.shape[1], image.shape[2])) for image in decoded]

    def together(
        self,
        ids: list[str],
        made: Sequence[tuple[Rows, list[WholeImage]]],
        read: Sequence[tuple[Rows, Whole]],
    ) -> Whole:
        by_row: dict[int, WholeImage | str] = {}
        for rows, images in made:
            by_row.update(zip(rows, images))
        for rows, pictures in read:
            by_row.update(zip(rows, pictures))
        return [by_row[i] for i in range(len(ids))]

    def levels_apart(self, one: Whole, other: Whole, rows: Rows) -> float:
        levels = [0.0]
        for a, b in ((one[i], other[i]) for i in rows):
            if isinstance(a, WholeImage) and isinstance(b, WholeImage):
                same = a.pixels.shape == b.pixels.shape
                levels.append(apart(a.pixels, b.pixels) if same else 255.0)
        return sum(levels) / max(1, len(levels) - 1)


def fitted_on_gpu(
    decoding: Decoding | None, device: torch.device, model: Model
) -> FittedOnGpu | None:
    """Return what decodes for a model of images of one size; None is the CPU.

    Raises:
        ModelError: the GPU was asked for, and cannot.
    """
    jpegs = None if decoding is None else decoding.open(device, model)
    if decoding is None or jpegs is None:
        return None
    return FittedOnGpu(jpegs, decoding, model.preprocessing)


def whole_on_gpu(
    decoding: Decoding | None, device: torch.device, model: WholeImageModel
) -> WholeOnGpu | None:
    """Return what decodes for a model of images as they are; None is the CPU.

    Raises:
        ModelError: the GPU was asked for, and cannot.
    """
    jpegs = None if decoding is None else decoding.open(device, model)
    if decoding is None or jpegs is None:
        return None
    return WholeOnGpu(jpegs, decoding, model.longest)


@dataclass(frozen=True)
class _Done(Generic[Batch]):
    """A batch that is there."""

    made: Batch

    def batch(self) -> Batch:
        return self.made


@dataclass(frozen=True)
class _Coming(Generic[Batch]):
    """A batch that the thread makes."""

    future: Future[Batch]

    def batch(self) -> Batch:
        return self.future.result()
