"""Run several models over pictures that are read and decoded once."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from slicedb.errors import CancelledError, ModelError, SliceDBError
from slicedb.inference.lanes import Lane, Rows, Tray, lane_of
from slicedb.inference.lists import ListOutputs
from slicedb.inference.prediction import record_batch
from slicedb.inference.runner import Outputs, is_out_of_memory, pick_device
from slicedb.media import decoded_once, n_threads
from slicedb.models.model import Model
from slicedb.models.weights import first_line
from slicedb.progress import Bar

if TYPE_CHECKING:
    import torch

Wanted: TypeAlias = tuple[str, bytes, Sequence[int]]
"""Id, encoded picture, and the numbers of the models that are to see it."""
Full: TypeAlias = tuple[Lane, Tray]
"""A model, and pictures that go through it next."""


@dataclass(frozen=True)
class Said:
    """What one of the models said of a batch."""

    model: int
    """Its number."""
    batch: pa.RecordBatch | None
    """As `predict` gives it; None where the model fails."""
    error: SliceDBError | None = None
    """Why it fails: it says nothing more, and the others go on."""


def predict_several(
    models: Sequence[Model],
    items: Iterable[Wanted],
    *,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    threads: int | None = None,
    progress: Bar | None = None,
) -> Generator[Said, None, None]:
    """Yield what several models say of the pictures each of them wants, in their order.

    A picture is read once. It is decoded once, and resized once for all that resize alike; a large
    JPEG that models of different input sizes take at different fractions of its size is decoded at
    each. Every model gets its pictures in the batches it would get alone, so that its rows are
    those of `predict`, bit by bit. No more pixels are held than fill the models' batches.

    Args:
        models: of any tasks and input sizes.
        items: the pictures, and who wants them.
        batch_size: images a batch of each model; None suits each of them on its device.
        progress: counts predictions: a picture that two models see counts twice.

    Raises:
        ModelError: there is no such device, or the models do not fit on it together.
    """
    with ExitStack() as stack:
        lanes = _lanes(models, batch_size, device, stack)
        for lane, tray in stack.enter_context(closing(_full(lanes, items, threads))):
            if not lane.is_lost:
                yield from _counted(_said(lanes, lane, tray), progress)
        for lane in lanes:
            if not lane.is_lost:
                yield from _counted(_said(lanes, lane, None), progress)


def _lanes(
    models: Sequence[Model],
    batch_size: int | None,
    device: torch.device | str | None,
    stack: ExitStack,
) -> list[Lane]:
    try:
        return [lane_of(model, batch_size, device, stack) for model in models]
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        names = ", ".join(map(str, models))
        raise ModelError(
            f"{names} do not fit on {pick_device(device, models[0])} together: {first_line(error)}",
            "predict with one after the other.",
        ) from error


def _said(lanes: list[Lane], lane: Lane, tray: Tray | None) -> list[Said]:
    """Return what a model says of a tray, or what it still owes."""
    number = lanes.index(lane)
    try:
        outputs: Iterator[Outputs | ListOutputs]
        outputs = lane.rest() if tray is None else lane.outputs(tray)
        return [Said(number, record_batch(lane.model, output)) for output in outputs]
    except CancelledError:
        raise
    except SliceDBError as error:
        lane.is_lost = True
        _let_go(error)
        return [Said(number, None, error)]


def _let_go(error: BaseException) -> None:
    """Drop what the frames of an error hold: where memory ran out, all that the model made."""
    while True:
        traceback.clear_frames(error.__traceback__)
        if error.__cause__ is None:
            return
        error = error.__cause__


def _counted(several: list[Said], progress: Bar | None) -> Iterator[Said]:
    for said in several:
        yield said
        if progress is not None and said.batch is not None:
            progress.advance(len(said.batch))


# --- pictures -------------------------------------------------------------------------------------


def _full(
    lanes: list[Lane], items: Iterable[Wanted], threads: int | None
) -> Generator[Full, None, None]:
    """Yield trays as they are full and decoded, and at the end those that are not full.

    Reading runs ahead in a thread of its own. On a CPU nothing is decoded while a model runs, see
    `Device.ahead`.
    """
    workers = n_threads(threads)
    ahead = max(lane.ahead for lane in lanes)
    waiting: deque[_Step] = deque()
    source = iter(items)
    steps = _steps(source, [lane.size for lane in lanes])
    with (
        ThreadPoolExecutor(1, "slicedb-read") as reader,
        ThreadPoolExecutor(workers, "slicedb-decode") as pool,
    ):
        coming: Future[list[Wanted]] | None = reader.submit(next, steps, [])
        try:
            while not all(lane.is_lost for lane in lanes):
                while coming is not None and len(waiting) <= ahead:
                    step = coming.result()
                    coming = reader.submit(next, steps, []) if step else None
                    if step:
                        waiting.append(_Step(step, lanes, pool, workers))
                if not waiting:
                    break
                yield from waiting.popleft().full()
            yield from [(lane, tray) for lane in lanes if (tray := lane.last()) is not None]
        finally:  # also when the consumer stops, or on Ctrl-C
            pool.shutdown(wait=True, cancel_futures=True)
            reader.shutdown(wait=True, cancel_futures=True)
            close = getattr(source, "close", None)
            if close is not None:
                close()


def _steps(items: Iterable[Wanted], sizes: list[int]) -> Iterator[list[Wanted]]:
    """Cut the pictures where a model has a tray full, so that it need not wait for others'.

    >>> items = [(name, b"", wanted) for name, wanted in zip("abcde", ([0], [0, 1], [1], [0], [1]))]
    >>> ["".join(name for name, _, _ in step) for step in _steps(items, [2, 3])]
    ['ab', 'cde']
    """
    counts = [0] * len(sizes)
    step: list[Wanted] = []
    for item in items:
        step.append(item)
        for model in item[2]:
            counts[model] += 1
        if any(counts[model] == sizes[model] for model in item[2]):
            counts = [n % size for n, size in zip(counts, sizes)]
            yield step
            step = []
    if step:
        yield step


class _Step:
    """Some pictures being decoded by the pool."""

    def __init__(
        self, items: list[Wanted], lanes: list[Lane], pool: ThreadPoolExecutor, workers: int
    ) -> None:
        self._full: list[Full] = []
        placed = [(name, data, self._places(name, models, lanes)) for name, data, models in items]
        size = -(-len(placed) // (2 * workers))
        self._parts = [
            pool.submit(_make, placed[start : start + size])
            for start in range(0, len(placed), size)
        ]

    def _places(self, name: str, models: Sequence[int], lanes: list[Lane]) -> list[_Place]:
        places = []
        for lane in (lanes[model] for model in models):
            if lane.is_lost:
                continue
            tray, at, is_full = lane.place(name)
            places.append((lane, tray, at))
            if is_full:
                self._full.append((lane, tray))
        return places

    def full(self) -> list[Full]:
        """Wait for the pool; returns the trays that these pictures have filled."""
        for part in self._parts:
            part.result()
        return self._full


_Place: TypeAlias = tuple[Lane, Tray, int]


def _make(part: list[tuple[str, bytes, list[_Place]]]) -> None:
    """Decode pictures, each for all models that want it."""
    for name, data, places in part:
        rows: Rows = {}
        with decoded_once(data):
            for lane, tray, at in places:
                lane.make(name, data, tray, at, rows)
