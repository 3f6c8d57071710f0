"""Progress of long work, on stderr; silence is a null object with the same methods."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any


class Bar:
    """The silent progress bar, and the interface of the visible one."""

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def advance(self, n: int = 1) -> None:
        """Count `n` more units as done."""

    def total(self, n: int) -> None:
        """Say how many units there are in all, once that is known."""


class _RichBar(Bar):
    def __init__(self, total: int | None, text: str) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._progress: Any = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task(text, total=total)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def advance(self, n: int = 1) -> None:
        self._progress.advance(self._task, n)

    def total(self, n: int) -> None:
        self._progress.update(self._task, total=n)


def bar(total: int | None, text: str, show: bool | None = None) -> Bar:
    """Open a progress bar on stderr.

    Args:
        total: number of units, or None when it is not known yet.
        text: what is being done, for example "embed".
        show: True draws, False is silent, None draws when stderr is a terminal.
    """
    visible = sys.stderr.isatty() if show is None else show
    return _RichBar(total, text) if visible else Bar()
