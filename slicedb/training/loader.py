"""Load batches of a dataset, in an order that depends only on the seed and the epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import torch

from slicedb.errors import SliceDBError
from slicedb.show import numbers
from slicedb.training.after import After, BatchTransform, Collate
from slicedb.training.batch import Batch, BatchPlan, BatchSource, Failure
from slicedb.training.memory import Memory
from slicedb.training.processes import Processes, Worker
from slicedb.training.shards import Shard
from slicedb.training.shown import ShownBatch
from slicedb.training.threads import Threads

Workers: TypeAlias = Literal["thread", "spawn", "forkserver"]
OnError: TypeAlias = Literal["raise", "skip"]
LoaderState: TypeAlias = dict[str, int | bool | str]
"""Where a loader stands, in JSON-ready values."""


class Loader:
    """Batches `(images, labels, ids)` of a slice.

    The order depends on the seed and the epoch alone, not on the workers. Each `iter()` begins the
    next epoch, which is shuffled anew; `set_epoch` names it. Images are read from the database in
    a background thread, ahead of the batches by at most 64 MB of encoded images.

    Random transforms draw from torch's generators. With `num_workers=0` they run in the caller's
    thread, and `torch.manual_seed` makes them repeatable. Worker processes are seeded for each
    batch from seed, epoch and batch. With several threads, transforms are not repeatable.

    Args:
        dataset: what `to_torch` returns.
        batch_size: samples per batch.
        shuffle: True draws a new order each epoch; False keeps the order of the slice.
        seed: seed of the order.
        num_workers: 0 decodes in the caller's thread, when a batch is asked for; n decodes ahead
            in n threads or processes.
        sampler: gives the indices of an epoch in place of `shuffle`: one of ours, or any torch
            sampler. Its `set_epoch` is called when it has one.
        drop_last: leaves out the last batch when it is not full.
        pin_memory: whether tensors are page-locked; None means yes when there is a GPU.
        workers: "thread" decodes with Python's lock released. "spawn" and "forkserver" start
            processes, for transforms that hold the lock; the first batch then waits seconds for
            their imports, and the script needs `if __name__ == "__main__":`.
        on_error: "raise" stops at an image that does not decode and names it; "skip" leaves it
            out of its batch and counts it in `skipped`.
        prefetch: batches decoded ahead per worker.
        distributed: with several processes of `torch.distributed` (also those that Lightning
            starts) each gets its part of the epoch, as with a DistributedSampler; False gives all
            of it to each. A sampler that divides by itself is left alone.

    Raises:
        SliceDBError: fork is asked for.
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        dataset: BatchSource,
        *,
        batch_size: int = 256,
        shuffle: bool = True,
        seed: int = 0,
        num_workers: int = 0,
        sampler: Iterable[int] | None = None,
        drop_last: bool = False,
        pin_memory: bool | None = None,
        workers: Workers = "thread",
        on_error: OnError = "raise",
        prefetch: int = 2,
        distributed: bool = True,
        collate_fn: Collate | None = None,
        device: torch.device | str | None = None,
        batch_transform: BatchTransform | None = None,
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
        divides = hasattr(sampler, "num_replicas")  # torch's DistributedSampler and its like
        self.distributed = distributed and not divides
        self._after = After(collate_fn, device, batch_transform)
        if collate_fn is not None:
            self.dataset = dataset.unstacked()
        self.skipped: dict[str, str] = {}
        """Why each sample was left out, by id (on_error="skip")."""
        self._memory = Memory(pin=self.pin_memory)
        self._next = _Position(0, 0)
        self._current: _Position | None = None
        self._processes: Processes | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in the order of the class numbers."""
        return self.dataset.classes

    def __repr__(self) -> str:
        batches = numbers.count(len(self), "batch", "batches")
        return f"<Loader: {batches} of {self.batch_size} from {self.dataset!r}>"

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        n: int = len(self.dataset if self._sampler is None else self._sampler)  # type: ignore[arg-type]
        n = self._shard.size(n, drop_last=self.drop_last)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        position = self._next
        order = self.order(position.epoch)
        position.order, position.n_batches = self._digest(order), len(self._plan(order))
        self._current, self._next = position, _Position(position.epoch + 1, 0)
        return self._run(position, self._plan(order))

    @property
    def _shard(self) -> Shard:
        return Shard.here() if self.distributed else Shard()

    def order(self, epoch: int) -> np.ndarray:
        """Return int64 (n,): the indices of an epoch in this process, in order."""
        return self._shard.take(self._whole_order(epoch), drop_last=self.drop_last)

    def _whole_order(self, epoch: int) -> np.ndarray:
        if self._sampler is not None:
            set_epoch = getattr(self._sampler, "set_epoch", None)
            if set_epoch is not None:
                set_epoch(epoch)
            order = np.fromiter(self._sampler, dtype=np.int64)
            if len(order) and not 0 <= order.min() <= order.max() < len(self.dataset):
                raise ValueError(
                    f"The sampler gives indices from {order.min()} to {order.max()} for a slice "
                    f"of {numbers.count(len(self.dataset), 'sample')}."
                )
            return order
        if self.shuffle:
            return np.random.default_rng([self.seed, epoch]).permutation(len(self.dataset))
        return np.arange(len(self.dataset))

    def _plan(self, order: np.ndarray) -> BatchPlan:
        size = self.batch_size
        stop = len(order) - len(order) % size if self.drop_last else len(order)
        return [order[start : start + size] for start in range(0, stop, size)]

    def show_batch(self, n: int = 9) -> ShownBatch:
        """Return the first items of the next batch for people: a notebook shows the pictures.

        They are as training code gets them, after every transform. The loader stays where it is.
        """
        place = self.state_dict()
        plan = self._plan(self.order(int(place["epoch"])))[int(place["batch"]) :]
        if not plan:
            raise SliceDBError("The loader has no batch.", "look at drop_last and the sampler.")
        source = self.dataset
        indices = plan[0][:n]
        batch = source.assemble([source.decode(indices, source.read(indices))])
        after = replace(self._after, collate=None)
        return source.shown(after(batch), n)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next `iter()`; a position loaded for that epoch is kept."""
        self._current = None
        if epoch != self._next.epoch:
            self._next = _Position(epoch, 0)

    def state_dict(self) -> LoaderState:
        """Return where the loader stands: after the last batch it gave."""
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

    def load_state_dict(self, state: LoaderState) -> None:
        """Let the next `iter()` continue with the exact next batch.

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
        self._next.order = str(state["order"])

    def _digest(self, order: np.ndarray) -> str:
        return hashlib.blake2b(self.dataset.keys[order].tobytes(), digest_size=8).hexdigest()

    def _run(self, position: _Position, plan: BatchPlan) -> Iterator[Batch]:
        rest, stops = plan[position.batch :], self.on_error == "raise"
        if self.workers == "thread" or not self.num_workers:
            results = Threads(
                self.dataset, self.num_workers, self.prefetch, stops, self.pin_memory, self._memory
            ).run(rest)
        else:
            self._processes = self._processes or Processes(
                Worker(self.dataset, stops),
                self.num_workers,
                self.workers,
                self.prefetch,
                self.pin_memory,
            )
            results = self._processes.run(rest, self.seed, position.epoch, position.batch)
        try:
            for batch, failures in results:
                position.batch += 1
                self._note(failures)
                if len(batch[-1]):
                    yield self._after(batch)
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
    """Number of the next batch of the epoch."""
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
