"""Batches of a dataset, in an order that depends on seed and epoch alone."""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from slicedb.errors import SliceDBError
from slicedb.training.dataset import Batch, SliceDataset
from slicedb.training.decoded import Decoded, Failure
from slicedb.training.memory import Memory

Workers: TypeAlias = Literal["thread", "spawn", "forkserver"]

_WINDOW_BYTES = 32 << 20
"""Encoded images read together where they are small: a row among many costs Lance far less."""
_LARGE_WINDOW_BYTES = 8 << 20
"""The same where they are large: beyond it, memory fresh from the system costs more than rows."""
_LARGE = 16 << 10
"""Bytes an image, on average, from which images are large."""
_PARTS = 2


class Loader:
    """Batches `(images, labels, ids)` of a slice.

    The order depends on the seed and the epoch alone, not on the workers. Each `iter()` begins the
    next epoch, which is shuffled anew; `set_epoch` names it. Images are read from the database in
    a background thread, ahead of the batches by at most 64 MB of encoded images.

    Random transforms draw from torch's generators: with `num_workers=0` they run in the caller's
    thread and `torch.manual_seed` repeats them; worker processes are seeded for each batch from
    seed, epoch and batch; with several threads they cannot be repeated.

    Args:
        dataset: what `to_torch` returns.
        batch_size: samples a batch.
        shuffle: in a new order each epoch; False keeps the order of the slice.
        seed: of the order.
        num_workers: 0 decodes in the caller's thread, when a batch is asked for; n decodes ahead
            in n threads or processes.
        sampler: indices of an epoch, in place of `shuffle`: ours, or any torch sampler. Its
            `set_epoch` is called when it has one.
        drop_last: leave out the last batch when it is not full.
        pin_memory: page-locked tensors; None where there is a GPU.
        workers: "thread" decodes with Python's lock released. "spawn" and "forkserver" start
            processes, for transforms that hold the lock; the first batch then waits seconds for
            their imports, and the script needs `if __name__ == "__main__":`.
        on_error: "raise" stops at an image that does not decode and names it; "skip" leaves it
            out of its batch and counts it in `skipped`.
        prefetch: batches decoded ahead a worker.

    Raises:
        SliceDBError: fork is asked for.
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        dataset: SliceDataset,
        *,
        batch_size: int = 256,
        shuffle: bool = True,
        seed: int = 0,
        num_workers: int = 0,
        sampler: Iterable[int] | None = None,
        drop_last: bool = False,
        pin_memory: bool | None = None,
        workers: Workers = "thread",
        on_error: Literal["raise", "skip"] = "raise",
        prefetch: int = 2,
    ) -> None:
        _check(batch_size, num_workers, prefetch, seed, workers, on_error)
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.num_workers = num_workers
        self._sampler = sampler  # Lightning takes what has a `sampler` for a torch DataLoader
        self.drop_last = drop_last
        self.pin_memory = torch.cuda.is_available() if pin_memory is None else pin_memory
        self.workers = workers
        self.on_error = on_error
        self.prefetch = prefetch
        self.skipped: dict[str, str] = {}
        """Why each sample was left out, by id (on_error="skip")."""
        self.memory = Memory(pin=self.pin_memory)
        """Where threads decode to, used again once a batch is let go."""
        self._next = _Position(0, 0)
        self._current: _Position | None = None
        self._processes: _Processes | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in the order of the class numbers."""
        return self.dataset.classes

    def __repr__(self) -> str:
        return f"<Loader: {len(self):,} batches of {self.batch_size} from {self.dataset!r}>"

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        n: int = len(self.dataset if self._sampler is None else self._sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        position = self._next
        order = self.order(position.epoch)
        position.order, position.n_batches = self._digest(order), len(self._plan(order))
        self._current, self._next = position, _Position(position.epoch + 1, 0)
        return self._run(position, self._plan(order))

    def order(self, epoch: int) -> np.ndarray:
        """Return int64 (n,): the indices of an epoch, in order."""
        if self._sampler is not None:
            set_epoch = getattr(self._sampler, "set_epoch", None)
            if set_epoch is not None:
                set_epoch(epoch)
            order = np.fromiter(self._sampler, dtype=np.int64)
            if len(order) and not 0 <= order.min() <= order.max() < len(self.dataset):
                raise ValueError(
                    f"The sampler gives indices from {order.min()} to {order.max()} for a slice "
                    f"of {len(self.dataset):,} samples."
                )
            return order
        if self.shuffle:
            return np.random.default_rng([self.seed, epoch]).permutation(len(self.dataset))
        return np.arange(len(self.dataset))

    def _plan(self, order: np.ndarray) -> list[np.ndarray]:
        size = self.batch_size
        stop = len(order) - len(order) % size if self.drop_last else len(order)
        return [order[start : start + size] for start in range(0, stop, size)]

    # --- where it stands ----------------------------------------------------------------------

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next `iter()` is; a position loaded for that epoch is kept."""
        self._current = None
        if epoch != self._next.epoch:
            self._next = _Position(epoch, 0)

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader stands: after the last batch it gave, in JSON-ready values."""
        at = self._next if self._current is None else self._current
        if at.n_batches is not None and at.batch >= at.n_batches:
            at = _Position(at.epoch + 1, 0)
        return {
            "epoch": at.epoch,
            "batch": at.batch,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            "order": at.order if at.batch else "",
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next `iter()` go on with the exact next batch.

        Raises:
            SliceDBError: the state is of another slice, seed, sampler or batch size.
        """
        for name in ("seed", "batch_size", "drop_last"):
            if state[name] != getattr(self, name):
                raise SliceDBError(
                    f"The state was saved with {name}={state[name]}, this loader has "
                    f"{getattr(self, name)}.",
                    "make the loader with the same arguments.",
                )
        epoch, batch = int(state["epoch"]), int(state["batch"])
        if batch and self._digest(self.order(epoch)) != state["order"]:
            raise SliceDBError(
                f"The samples of epoch {epoch} are not those of the saved state.",
                "the slice, its order or the sampler changed: freeze the slice, and use a sampler "
                "that gives the same order for the same epoch.",
            )
        self._next, self._current = _Position(epoch, batch), None
        self._next.order = state["order"]

    def _digest(self, order: np.ndarray) -> str:
        return hashlib.blake2b(self.dataset.keys[order].tobytes(), digest_size=8).hexdigest()

    # --- running ------------------------------------------------------------------------------

    def _run(self, position: _Position, plan: list[np.ndarray]) -> Iterator[Batch]:
        todo = plan[position.batch :]
        if self.workers == "thread" or not self.num_workers:
            results = _threaded(self, todo)
        else:
            self._processes = self._processes or _Processes(self)
            results = self._processes.run(todo, position.epoch, position.batch)
        try:
            for batch, failures in results:
                position.batch += 1
                self._note(failures)
                if len(batch[-1]):
                    yield batch
        finally:
            results.close()

    def _note(self, failures: Sequence[Failure]) -> None:
        if failures and self.on_error == "raise":
            raise failures[0].error()
        self.skipped.update((failure.id, failure.reason) for failure in failures)

    def close(self) -> None:
        """Stop the worker processes; threads stop with their epoch."""
        self._processes = None

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class _Position:
    epoch: int
    batch: int
    """The next batch of the epoch."""
    n_batches: int | None = None
    order: str = ""


def _check(
    batch_size: int, num_workers: int, prefetch: int, seed: int, workers: str, on_error: str
) -> None:
    if workers == "fork":
        raise SliceDBError(
            "Lance does not survive a fork, so workers='fork' is refused.",
            "use workers='thread' (the default), 'forkserver' or 'spawn'.",
        )
    for name, value, choices in (
        ("workers", workers, ("thread", "spawn", "forkserver")),
        ("on_error", on_error, ("raise", "skip")),
    ):
        if value not in choices:
            raise ValueError(f"{name}={value!r} is none of {', '.join(map(repr, choices))}.")
    for name, number, least in (
        ("batch_size", batch_size, 1),
        ("num_workers", num_workers, 0),
        ("prefetch", prefetch, 1),
        ("seed", seed, 0),
    ):
        if number < least:
            raise ValueError(f"{name}={number} is less than {least}.")


# --- threads -----------------------------------------------------------------------------------

Result: TypeAlias = tuple[Batch, Sequence[Failure]]


def _threaded(loader: Loader, plan: list[np.ndarray]) -> Any:
    """Yield (batch, failures): read in one thread, decoded here or in the workers' threads."""
    dataset, n = loader.dataset, loader.num_workers
    reader = ThreadPoolExecutor(1, "slicedb-read")
    pool = ThreadPoolExecutor(n, "slicedb-decode") if n else None
    try:
        ahead: deque[Callable[[], list[Decoded]]] = deque()
        for indices, blobs in _read_ahead(dataset, plan, reader):
            ahead.append(_decoding(loader, indices, blobs, pool))
            if len(ahead) > (n and loader.prefetch):
                yield _finish(loader, ahead.popleft())
        while ahead:
            yield _finish(loader, ahead.popleft())
    finally:  # also when the consumer stops, or on Ctrl-C
        for each in (reader, pool):
            if each is not None:
                each.shutdown(wait=True, cancel_futures=True)


def _decoding(
    loader: Loader, indices: np.ndarray, blobs: list[bytes], pool: ThreadPoolExecutor | None
) -> Callable[[], list[Decoded]]:
    dataset = loader.dataset
    shape = dataset.shape
    room = None if shape is None else loader.memory.array((len(indices), *shape))
    if pool is None:
        return lambda: [dataset.decode(indices, blobs, room)]
    step = -(-len(indices) // (_PARTS * loader.num_workers))
    parts: list[Future[Decoded]] = [
        pool.submit(
            dataset.decode,
            indices[a : a + step],
            blobs[a : a + step],
            None if room is None else room[a : a + step],
        )
        for a in range(0, len(indices), step)
    ]
    return lambda: [part.result() for part in parts]


def _finish(loader: Loader, decoded: Callable[[], list[Decoded]]) -> Result:
    parts = decoded()
    failures = [failure for part in parts for failure in part.failures]
    if failures and loader.on_error == "raise":
        raise failures[0].error()
    return loader.dataset.assemble(parts, pin=loader.pin_memory), failures


def _read_ahead(
    dataset: SliceDataset, plan: list[np.ndarray], reader: ThreadPoolExecutor
) -> Iterator[tuple[np.ndarray, list[bytes]]]:
    """Yield (indices, encoded images) of each batch; the next window is read meanwhile."""
    windows = [(window, np.concatenate(window)) for window in _windows(dataset, plan)]
    # the first is read here: there is nothing to do meanwhile
    blobs = dataset.read(windows[0][1]) if windows else []
    for number, (window, _) in enumerate(windows, 1):
        coming = [reader.submit(dataset.read, after) for _, after in windows[number : number + 1]]
        start = 0
        for indices in window:
            yield indices, blobs[start : start + len(indices)]
            start += len(indices)
        blobs = coming[0].result() if coming else []


def _windows(dataset: SliceDataset, plan: list[np.ndarray]) -> list[list[np.ndarray]]:
    """Group the batches that are read together, since Lance reads many rows at once far cheaper.

    One window where all fits; else one batch, for a quick start, then twice as many each time.
    """
    sizes = [int(dataset.sizes[indices].sum()) for indices in plan]
    large = sum(sizes) > _LARGE * sum(map(len, plan))
    room = min(_WINDOW_BYTES, _LARGE_WINDOW_BYTES) if large else _WINDOW_BYTES
    if sum(sizes) <= room and dataset.stored:
        return [plan] if plan else []
    windows: list[list[np.ndarray]] = []
    most, used = 0, 0
    for indices, size in zip(plan, sizes):
        if not windows or len(windows[-1]) >= most or used + size > room:
            windows.append([])
            most, used = max(1, 2 * most), 0
        windows[-1].append(indices)
        used += size
    return windows


# --- processes ---------------------------------------------------------------------------------


class _Processes:
    """Worker processes that live as long as the loader, fed and watched by torch's DataLoader."""

    def __init__(self, loader: Loader) -> None:
        self._tasks = _Tasks()
        self._loader = torch.utils.data.DataLoader(
            _Remote(loader.dataset, loader.on_error),
            batch_sampler=self._tasks,
            num_workers=loader.num_workers,
            multiprocessing_context=loader.workers,
            collate_fn=_as_is,
            pin_memory=loader.pin_memory,
            prefetch_factor=loader.prefetch,
            persistent_workers=True,
        )
        self._seed = loader.seed

    def run(self, plan: list[np.ndarray], epoch: int, first: int) -> Any:
        """Yield (batch, failures)."""
        self._tasks.tasks = [
            ((self._seed, epoch, first + number), indices) for number, indices in enumerate(plan)
        ]
        yield from self._loader


class _Tasks:
    """What torch takes for a batch sampler: the batches of the present epoch."""

    def __init__(self) -> None:
        self.tasks: list[Any] = []

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)


@dataclass(frozen=True)
class _Remote:
    """Runs in a worker process: from a task to a batch."""

    dataset: SliceDataset
    on_error: str

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, task: tuple[tuple[int, int, int], np.ndarray]) -> Result:
        seed, indices = task
        _seed_all(seed)
        decoded = self.dataset.decode(indices, self.dataset.read(indices))
        if decoded.failures and self.on_error == "raise":  # the main process raises
            return (None, []), decoded.failures
        return self.dataset.assemble([decoded]), decoded.failures


def _as_is(result: Result) -> Result:
    return result


def _seed_all(seed: tuple[int, int, int]) -> None:
    one, two, three = np.random.SeedSequence(seed).generate_state(3).tolist()
    torch.manual_seed(one)
    random.seed(two)
    np.random.seed(three)
