"""Load batches with worker processes, for transforms that hold Python's lock."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch

from slicedb.training.batch import BatchPlan, BatchResult, BatchSource

Job: TypeAlias = tuple[tuple[int, int, int], np.ndarray]
"""((seed, epoch, number of the batch), its samples)."""


class Processes:
    """Worker processes that live as long as the loader, fed and watched by torch's DataLoader.

    Args:
        worker: runs in each process.
        context: "spawn" or "forkserver".
        prefetch: batches decoded ahead per process.
        pin_memory: whether tensors are page-locked.
    """

    def __init__(
        self, worker: Worker, num_workers: int, context: str, prefetch: int, pin_memory: bool
    ) -> None:
        self._tasks = _Tasks()
        self._loader = torch.utils.data.DataLoader(
            worker,
            batch_sampler=self._tasks,
            num_workers=num_workers,
            multiprocessing_context=context,
            collate_fn=_as_is,
            pin_memory=pin_memory,
            prefetch_factor=prefetch,
            persistent_workers=True,
        )

    def run(
        self, plan: BatchPlan, seed: int, epoch: int, first: int
    ) -> Generator[BatchResult, None, None]:
        """Yield (batch, failures); the batches are seeded from `first` on."""
        self._tasks.tasks = [
            ((seed, epoch, first + number), indices) for number, indices in enumerate(plan)
        ]
        yield from self._loader


class _Tasks:
    """What torch takes for a batch sampler: the batches of the present epoch."""

    def __init__(self) -> None:
        self.tasks: list[Job] = []

    def __iter__(self) -> Iterator[Job]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)


@dataclass(frozen=True)
class Worker:
    """Turns tasks into batches inside a worker process; torch takes it for a dataset."""

    source: BatchSource
    stops_at_failure: bool

    def __len__(self) -> int:
        return len(self.source)

    def __getitems__(self, task: Job) -> BatchResult:
        seed, indices = task
        _seed_all(seed)
        decoded = self.source.decode(indices, self.source.read(indices))
        if decoded.failures and self.stops_at_failure:  # the main process raises
            return (None, []), decoded.failures
        return self.source.assemble([decoded]), decoded.failures


def _as_is(result: BatchResult) -> BatchResult:
    return result


def _seed_all(seed: tuple[int, int, int]) -> None:
    one, two, three = np.random.SeedSequence(seed).generate_state(3).tolist()
    torch.manual_seed(one)
    random.seed(two)
    np.random.seed(three)
