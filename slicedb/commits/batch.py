"""Remember what is being applied until its commit is made, so that it is finished after a kill.

The metadata of the table of commits says it: that table is no part of what is committed.
"""

from __future__ import annotations

import json
import os
import platform
import time
import uuid
from dataclasses import asdict, dataclass

from slicedb.schema import COMMITS, COMMITS_SCHEMA
from slicedb.store import Store

_APPLYING = "slicedb:applying"
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


def begun(store: Store) -> Batch | None:
    """Return the batch that is being applied, or was when its process ended."""
    text = store.metadata(COMMITS).get(_APPLYING) if store.has(COMMITS) else None
    return Batch(**json.loads(text)) if text else None


def begin(store: Store, message: str, author: str | None, queue: str | None) -> tuple[Batch, bool]:
    """Write down that a batch is begun; return it, or another's, and whether it is this one."""
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
    return found, found.id == ours.id


def end(store: Store, batch: Batch) -> None:
    """Write down that a batch is committed."""

    def change(text: str | None) -> str:
        is_ours = text and Batch(**json.loads(text)).id == batch.id
        return "" if is_ours else text or ""

    store.change_metadata(COMMITS, _APPLYING, change)
    store.sync()
