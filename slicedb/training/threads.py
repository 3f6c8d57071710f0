"""Load batches with threads: one reads ahead in large windows, others decode."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from slicedb.training.batch import BatchPlan, BatchResult, BatchSource, Decoded
from slicedb.training.memory import Memory

_WINDOW_BYTES = 32 << 20
"""Encoded bytes read at once when images are small: one row among many costs Lance far less."""
_LARGE_WINDOW_BYTES = 8 << 20
"""The same for large images: beyond it, memory fresh from the system costs more than rows."""
_LARGE = 16 << 10
"""Average bytes per image from which images count as large."""
_PARTS = 2
"""Parts of a batch per decoding thread, so that threads finish at about the same time."""


@dataclass(frozen=True)
class Threads:
    """Loads the batches of a plan.

    With 0 workers each batch is decoded in the caller's thread when it is asked for; with n it is
    decoded ahead, in parts, by n threads.
    """

    source: BatchSource
    num_workers: int
    prefetch: int
    """Batches decoded ahead when there are workers."""
    stops_at_failure: bool
    pin_memory: bool
    memory: Memory

    def run(self, plan: BatchPlan) -> Generator[BatchResult, None, None]:
        """Yield (batch, failures) in the order of the plan."""
        n = self.num_workers
        reader = ThreadPoolExecutor(1, "slicedb-read")
        pool = ThreadPoolExecutor(n, "slicedb-decode") if n else None
        try:
            ahead: deque[Callable[[], list[Decoded]]] = deque()
            for indices, blobs in _read_ahead(self.source, plan, reader):
                ahead.append(self._decoding(indices, blobs, pool))
                if len(ahead) > (n and self.prefetch):
                    yield self._finish(ahead.popleft())
            while ahead:
                yield self._finish(ahead.popleft())
        finally:  # also when the consumer stops, or on Ctrl-C
            for each in (reader, pool):
                if each is not None:
                    each.shutdown(wait=True, cancel_futures=True)

    def _decoding(
        self, indices: np.ndarray, blobs: list[bytes], pool: ThreadPoolExecutor | None
    ) -> Callable[[], list[Decoded]]:
        """Start to decode a batch, and return what waits for its parts."""
        decode, shape = self.source.decode, self.source.shape
        room = None if shape is None else self.memory.array((len(indices), *shape))
        if pool is None:
            return lambda: [decode(indices, blobs, room)]
        step = -(-len(indices) // (_PARTS * self.num_workers))
        cuts = [slice(start, start + step) for start in range(0, len(indices), step)]
        parts: list[Future[Decoded]] = [
            pool.submit(decode, indices[cut], blobs[cut], None if room is None else room[cut])
            for cut in cuts
        ]
        return lambda: [part.result() for part in parts]

    def _finish(self, decoded: Callable[[], list[Decoded]]) -> BatchResult:
        parts = decoded()
        failures = [failure for part in parts for failure in part.failures]
        if failures and self.stops_at_failure:
            raise failures[0].error()
        return self.source.assemble(parts, pin=self.pin_memory), failures


def _read_ahead(
    source: BatchSource, plan: BatchPlan, reader: ThreadPoolExecutor
) -> Iterator[tuple[np.ndarray, list[bytes]]]:
    """Yield (indices, encoded images) of each batch while the next window is being read."""
    windows = [(window, np.concatenate(window)) for window in read_windows(source, plan)]
    # The first window is read in this thread, which has nothing else to do yet.
    blobs = source.read(windows[0][1]) if windows else []
    for number, (window, _) in enumerate(windows, 1):
        coming = [reader.submit(source.read, after) for _, after in windows[number : number + 1]]
        start = 0
        for indices in window:
            yield indices, blobs[start : start + len(indices)]
            start += len(indices)
        blobs = coming[0].result() if coming else []


def read_windows(source: BatchSource, plan: BatchPlan) -> list[BatchPlan]:
    """Group the batches that are read together, since Lance reads many rows at once far cheaper.

    There is one window when everything fits; otherwise the first holds one batch, for a quick
    start, and each later one up to twice as many as the one before.
    """
    sizes = [int(source.sizes[indices].sum()) for indices in plan]
    large = sum(sizes) > _LARGE * sum(map(len, plan))
    room = min(_WINDOW_BYTES, _LARGE_WINDOW_BYTES) if large else _WINDOW_BYTES
    if sum(sizes) <= room and source.stored:
        return [plan] if plan else []
    windows: list[BatchPlan] = []
    most, used = 0, 0
    for indices, size in zip(plan, sizes):
        if not windows or len(windows[-1]) >= most or used + size > room:
            windows.append([])
            most, used = max(1, 2 * most), 0
        windows[-1].append(indices)
        used += size
    return windows
