"""Divide an epoch among the processes of a distributed training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from slicedb.keys import Keys


@dataclass(frozen=True)
class Shard:
    """The part of an epoch that one process has."""

    rank: int = 0
    n: int = 1
    """Number of processes."""

    @classmethod
    def here(cls) -> Shard:
        """Return the shard of this process, as `torch.distributed` tells it; all of it without."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return cls()
        return cls(torch.distributed.get_rank(), torch.distributed.get_world_size())

    def size(self, n: int, *, drop_last: bool) -> int:
        """Return how many of n samples each process has: the same number in all of them."""
        return n // self.n if drop_last else -(-n // self.n)

    def take(self, order: Keys, *, drop_last: bool) -> Keys:
        """Return the samples of this process, int64, of an order that is the same in all.

        As torch's DistributedSampler does: every n-th one; where the number does not divide, the
        first ones come twice, or with `drop_last` the last ones not at all. Processes that have
        unequal numbers of batches would wait for each other for ever.
        """
        if self.n == 1 or not len(order):
            return order
        total = self.size(len(order), drop_last=drop_last) * self.n
        return np.resize(order, total)[self.rank :: self.n]
