"""What every process of a crew does: open the database, load what a job names, do its shares."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from slicedb.progress import Bar
from slicedb.sources import all_settings, credentials, take_credentials, use
from slicedb.store import Store
from slicedb.store.shares import Job, Place, Tally, Work


@dataclass(frozen=True)
class Address:
    """Where a database lies, for another process."""

    path: str
    options: Mapping[str, str] | None = field(default=None, hash=False, repr=False)
    """Settings of its object store, secrets among them, which are never shown."""

    @classmethod
    def of(cls, store: Store) -> Address:
        """Return the address of an open database, whatever folder another process works in."""
        path = os.path.abspath(store.path) if store.is_local else store.path
        return cls(path, store.files.settings)


@dataclass(frozen=True)
class Start:
    """What a process is told first."""

    place: Place
    buckets: Mapping[str, Mapping[str, str]] = field(repr=False)
    """Settings of the buckets that pictures come from."""
    credentials: Mapping[str, str] = field(repr=False)
    """Variables of the parent's environment that stores let it in by."""

    @classmethod
    def at(cls, place: Place) -> Start:
        """Return what one at a place is told, which knows the buckets that this process knows."""
        return cls(place, all_settings(), credentials())

    def take(self) -> None:
        """Reach buckets as the parent does; what a node has of its own for a service wins."""
        take_credentials(self.credentials)
        for root, options in self.buckets.items():
            use(root, options)


class Station:
    """One process at its place.

    Args:
        start: its device and threads, and the buckets it reads.
    """

    def __init__(self, start: Start) -> None:
        start.take()
        self._place = start.place
        self._opened: tuple[Address, Job, Work] | None = None

    def do(self, address: Address, job: Job, rows: pa.Table, done: Callable[[int], None]) -> Tally:
        """Do one share of a job; the model stays loaded for the next one.

        Args:
            address: of the database.
            job: what is done.
            rows: of the samples.
            done: is told of samples as they are done.
        """
        if self._opened is None or self._opened[:2] != (address, job):
            store = Store.open(address.path, create=False, storage_options=address.options)
            store.tends = False  # the parent does it, for one at a time is enough
            _compute_with(self._place.threads)
            self._opened = address, job, job.open(store, self._place)
        return self._opened[2](rows, _Telling(done))


class _Telling(Bar):
    """Tells the parent what is done."""

    def __init__(self, done: Callable[[int], None]) -> None:
        self._done = done

    def advance(self, n: int = 1) -> None:
        self._done(n)


def _compute_with(threads: int | None) -> None:
    """Let torch take the threads of this process and no more: the others want the cores too."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
