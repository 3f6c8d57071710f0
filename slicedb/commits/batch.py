"""Remember what is being applied until its commit is made, so that it is finished after a kill.

The metadata of the table of commits says it: that table is no part of what is committed. A commit
is written to the same table, in one step that looks at the metadata. So a commit records the tables
as they are before a batch or after it, and never a batch that is half carried out.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Self

from slicedb.commits.head import HEAD, Head
from slicedb.errors import DatabaseError
from slicedb.progress import note
from slicedb.schema import COMMITS, COMMITS_SCHEMA
from slicedb.store import Store

_APPLYING = "slicedb:applying"
_APPLIED = "slicedb:applied"
"""The id of the last batch that changed a sample and was committed."""
_PAUSE, _QUIET, _LONG = 0.05, 2.0, 60.0
"""Seconds between two looks at another's batch, until it is said what is waited for, and until it
is carried out by whoever waits."""
_AT_WORK = 600.0
"""Seconds after which whoever began a batch is no longer waited for."""


@dataclass(frozen=True)
class Batch:
    """Pending edits that are being applied."""

    id: str
    """Of the commit."""
    message: str
    author: str | None
    """Whose edits are applied; None: everybody's."""
    queue: str | None
    """Of which review; None: of all."""
    host: str
    process: int
    began: float
    """Seconds since 1970."""

    def is_at_work(self) -> bool:
        """Return whether another process of this machine is at it, as far as one can tell."""
        if self.host != platform.node() or self.process == os.getpid():
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        except OSError:  # of another user
            pass
        return time.time() - self.began < _AT_WORK


class OvertakenError(DatabaseError):
    """Edits began to be applied, or were applied, between a look at the tables and the write."""


@dataclass(frozen=True)
class Settled:
    """A moment at which nobody was applying edits."""

    own: str | None
    """The id of the batch that looks, which alone may be under way."""
    applied: str
    """The id of the batch that was applied last; "" where there was none."""

    @classmethod
    def wait(
        cls, store: Store, own: str | None, finish: Callable[[], object] | None = None
    ) -> Self:
        """Wait until nobody applies edits.

        Args:
            store: the database.
            own: the id of the batch that asks.
            finish: carries out what a process had begun that is no longer there.

        Raises:
            DatabaseError: nobody carries out what was begun.
        """
        began, is_told = time.monotonic(), False
        while True:
            metadata = store.metadata(COMMITS) if store.has(COMMITS) else {}
            batch = _read(metadata)
            if batch is None or batch.id == own:
                return cls(own, metadata.get(_APPLIED, ""))
            waited = time.monotonic() - began
            if not batch.is_at_work() or waited > _LONG:
                if finish is None:
                    raise DatabaseError(
                        "Edits were being applied when their process ended.",
                        "open the database with `slicedb.open`, which finishes them.",
                    )
                finish()  # which several may do at once
                continue
            if waited > _QUIET and not is_told:
                note(f"waiting for process {batch.process}, which applies edits.")
                is_told = True
            time.sleep(_PAUSE)

    def check(self, metadata: Mapping[str, str]) -> None:
        """Raise OvertakenError where this is no longer so.

        Args:
            metadata: of the table of commits, as the writer is about to replace it.
        """
        batch = _read(metadata)
        is_free = batch is None or batch.id == self.own
        # A batch is under way until its commit has left its id, so nothing slips in between.
        if not is_free or metadata.get(_APPLIED, "") not in (self.applied, self.own):
            raise OvertakenError("Edits were applied meanwhile.")

    @property
    def metadata(self) -> dict[str, str]:
        """What the table of commits says once the commit of the batch is in it."""
        return {} if self.own is None else {_APPLIED: self.own}


def begun(store: Store) -> Batch | None:
    """Return the batch that is being applied, or was when its process ended."""
    return _read(store.metadata(COMMITS)) if store.has(COMMITS) else None


def _read(metadata: Mapping[str, str]) -> Batch | None:
    text = metadata.get(_APPLYING)
    return Batch(**json.loads(text)) if text else None


def begin(store: Store, message: str, author: str | None, queue: str | None) -> tuple[Batch, bool]:
    """Write down that a batch is begun; return it, or another's, and whether it is this one.

    Raises:
        DatabaseError: a checkout was cut off, or another process is at it.
    """
    ours = Batch(
        uuid.uuid4().hex[:12],
        message,
        author,
        queue,
        platform.node(),
        os.getpid(),
        time.time(),
    )
    store.create(COMMITS, COMMITS_SCHEMA)
    text = json.dumps(asdict(ours))
    store.change_metadata(COMMITS, _APPLYING, lambda before: before or text)
    found = begun(store) or ours
    is_ours = found.id == ours.id
    if is_ours:
        try:  # from here on no checkout begins, but one may have begun before
            Head.read(store.metadata(COMMITS).get(HEAD)).check_whole()
        except DatabaseError:
            end(store, ours)
            raise
    return found, is_ours


def leave(store: Store, batch: Batch) -> None:
    """Write down that whoever began a batch has given it up, so that nobody waits for it."""

    def change(text: str | None) -> str:
        is_ours = text and Batch(**json.loads(text)).id == batch.id
        return json.dumps(asdict(replace(batch, host=""))) if is_ours else text or ""

    with contextlib.suppress(DatabaseError):  # then they wait for a while
        store.change_metadata(COMMITS, _APPLYING, change)


def end(store: Store, batch: Batch) -> None:
    """Write down that a batch is committed."""

    def change(text: str | None) -> str:
        is_ours = text and Batch(**json.loads(text)).id == batch.id
        return "" if is_ours else text or ""

    store.change_metadata(COMMITS, _APPLYING, change)
    store.sync()
