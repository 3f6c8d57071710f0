"""Divide what is left to do into shares, which any process can do, and do again.

A share is some rows of samples. Whoever does it writes its rows by id, so that a share that is done
twice, because a process died on the way, leaves what it leaves when it is done once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from slicedb.progress import Bar
from slicedb.store.decoded import Decoded

if TYPE_CHECKING:
    from slicedb.store.tables import Store

_ROWS = 2048
_BYTES = 64 << 20
"""Rows of a share, and bytes of what is written for them, at most: each is a commit or a few."""
_FEWEST = 64
_ROUNDS = 4
"""Shares for each process at least, so that none waits long for the last."""
_EXAMPLES = 3


@dataclass(frozen=True)
class Tally:
    """What became of the samples of one share, or of several."""

    failed: int = 0
    gone: int = 0
    """Samples that another process deleted meanwhile."""
    empty: int = 0
    """Of maps: those that are zero everywhere."""
    examples: tuple[str, ...] = ()
    """The first failures: id and reason."""
    decoded: Decoded = field(default_factory=Decoded)
    """Which chip decoded."""
    written: tuple[object, ...] = ()
    """What a job says of its own beside, one for each share."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.failed + other.failed,
            self.gone + other.gone,
            self.empty + other.empty,
            (self.examples + other.examples)[:_EXAMPLES],
            self.decoded + other.decoded,
            self.written + other.written,
        )


@dataclass(frozen=True)
class Place:
    """Where a process works."""

    device: str | None = None
    """A torch device; None takes a GPU if there is one."""
    threads: int | None = None
    """Decoding threads, and threads of a model on a CPU; None is one per core."""
    decode: str = "cpu"
    """Which chip decodes pictures: cpu, gpu or auto."""


class Work(Protocol):
    """Compute and write the rows of some samples; done twice it leaves the same."""

    def __call__(self, rows: pa.Table, shown: Bar) -> Tally:
        """Do one share, counting its samples on a bar."""
        ...


class Job(Protocol):
    """Names and numbers that say what is done, so that another process can do it."""

    def open(self, store: Store, place: Place) -> Work:
        """Load the model, and check that it is the one that was meant."""
        ...


class TableJob(Job, Protocol):
    """A job that writes one table."""

    @property
    def table(self) -> str:
        """The table that is written."""
        ...

    @property
    def size(self) -> int:
        """Samples of a batch of the model. Shares are multiples of it: the same samples then come
        together in a batch, however many processes there are, and give the same numbers."""
        ...

    @property
    def row_bytes(self) -> int:
        """Bytes of a row that is written."""
        ...


Divide: TypeAlias = Callable[[int], list[pa.Table]]
"""Returns what is left to do in shares for so many processes."""


class Crew(Protocol):
    """Several processes that share work."""

    def run(
        self, store: Store, job: Job, divide: Divide, shown: Bar
    ) -> Generator[Tally, None, None]:
        """Do a job in shares; yields the tally of each as it is done."""
        ...

    def pool(self) -> Executor:
        """Return where functions of a module can be run, for work that writes nothing."""
        ...

    @property
    def threads(self) -> int:
        """How many functions run at once."""
        ...


def divide(rows: pa.Table, workers: int, size: int, row_bytes: int) -> list[pa.Table]:
    """Cut rows into shares of whole batches.

    >>> rows = pa.table({"key": range(500)})
    >>> [len(share) for share in divide(rows, workers=2, size=48, row_bytes=100)]
    [48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 20]

    Args:
        rows: what is left to do.
        workers: processes that do it.
        size: samples of a batch.
        row_bytes: of what is written for each sample.
    """
    step = step_of(len(rows), workers, size, row_bytes)
    starts = range(0, len(rows), step)
    # Taken, not sliced: a slice would send the whole table along.
    return [rows.take(pa.array(np.arange(s, min(s + step, len(rows))))) for s in starts]


def step_of(n: int, workers: int, size: int, row_bytes: int) -> int:
    """Return how many of n samples make a share: whole batches, few enough for all to have some."""
    even = -(-n // (_ROUNDS * workers))
    most = max(1, min(_ROWS, _BYTES // max(1, row_bytes), max(even, _FEWEST)))
    return size * max(1, most // size)


def work_off(store: Store, job: TableJob, rows: pa.Table, crew: Crew, shown: Bar) -> Tally:
    """Let several processes do a job, and compact what their many small commits left."""

    def shares(workers: int) -> list[pa.Table]:
        return divide(rows, workers, job.size, job.row_bytes)

    return work_off_shares(store, job, (job.table,), shares, crew, shown)


def work_off_shares(
    store: Store, job: Job, tables: Sequence[str], shares: Divide, crew: Crew, shown: Bar
) -> Tally:
    """Let several processes do a job that writes some tables, and compact these."""
    total = Tally()
    try:
        with contextlib.closing(crew.run(store, job, shares, shown)) as tallies:
            for tally in tallies:
                total += tally
                for table in tables:
                    store.tend(table)
                    store.index(table)
    finally:
        for table in tables:
            if store.has(table) and store.small_fragments(table) > 1:
                store.compact(table)
    return total
