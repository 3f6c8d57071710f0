"""Choose how many threads a model computes with on a CPU: as many as there are free cores.

torch's threads wait for one another at the end of each operation. Where other processes need the
cores one of them is always late, and a thread alone is 5 to 20 times as fast. How the work is
divided among threads changes the last bits of a value at most, and on some processors none.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_NEW = 0.5
"""Weight of what runs now against what ran before earlier batches."""


def running() -> int | None:
    """Return how many threads of the machine run or wait for a core; None where it does not say.

    Those of this process count as one: torch's spin for a while when they have nothing to do, and
    what decodes the next batch is part of the same work.
    """
    try:
        with open("/proc/loadavg", encoding="ascii") as file:
            every = int(file.read().split()[3].partition("/")[0])
        return max(1, every - _own() + 1)
    except (OSError, ValueError, IndexError):
        return None


def _own() -> int:
    """Return how many threads of this process run or wait for a core."""
    n = 0
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            line = Path(f"/proc/self/task/{thread}/stat").read_bytes()
            n += line.rpartition(b")")[2].split()[0] == b"R"
    return n


class Pace:
    """The number of threads of each batch.

    Args:
        device: what the model is on; only a CPU leaves a choice.
        look: gives how many threads run, this one among them.
        cores: of the machine, whether this process may use them or not.
    """

    def __init__(
        self,
        device: torch.device,
        look: Callable[[], int | None] = running,
        cores: int | None = None,
    ) -> None:
        import torch

        self._most = torch.get_num_threads() if device.type == "cpu" else 1
        self._look = look
        self._cores = cores or os.cpu_count() or 1
        self._others: float | None = None

    def threads(self) -> int:
        """Return how many threads the next batch is computed with."""
        now = self._look() if self._most > 1 else None
        if now is None:
            return self._most
        before = now - 1 if self._others is None else self._others
        self._others = _NEW * (now - 1) + (1 - _NEW) * before
        return max(1, min(self._most, int(self._cores - self._others + 0.5)))

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Let torch compute a batch with so many threads."""
        threads = self.threads()
        if threads == self._most:
            yield
            return
        import torch

        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(self._most)
