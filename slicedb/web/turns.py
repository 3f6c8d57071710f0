"""Let each session ask only so much at once, so that none keeps the others waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

AT_ONCE, WAITING = 4, 32
"""Questions of one session that run, and that wait for a turn."""


class Busy(Exception):
    """A session has too many questions already; ask again later."""


@dataclass
class _Queue:
    """The turns of one session."""

    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    n_asked: int = 0


class Turns:
    """Who runs and who waits, by session."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}

    @asynccontextmanager
    async def of(self, session: str) -> AsyncIterator[None]:
        """Wait for a turn of a session.

        Raises:
            Busy: too many of it wait already.
        """
        queue = self._queues.setdefault(session, _Queue())
        if queue.n_asked >= AT_ONCE + WAITING:
            raise Busy
        queue.n_asked += 1
        try:
            async with queue.turns:
                yield
        finally:
            queue.n_asked -= 1
            if not queue.n_asked:
                self._queues.pop(session, None)
