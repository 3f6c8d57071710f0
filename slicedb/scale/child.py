"""One process of a crew on this machine, fed by its parent.

It is told what to do through its stdin and answers through its stdout, in pickles. What a model
prints goes to stderr. A process that is started like this imports nothing of the parent's script.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, TypeAlias

import pyarrow as pa

from slicedb.errors import SliceDBError
from slicedb.scale.station import Address, Start, Station
from slicedb.store.shares import Job, Tally

Answer: TypeAlias = tuple[str, object]
"""("result", what a function gave), ("error", what it raised) or ("done", n more samples)."""

_LOOK = 1.0
"""Seconds between two looks whether the parent is still there."""
_PAUSE = 0.2
"""Seconds between two words about progress."""


def main() -> None:
    """Do what comes, until there is nothing more, the parent is gone, or it says stop."""
    inbox, outbox = _channels()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which decides
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    try:
        start: Start = pickle.load(inbox)
        hands = Hands(Station(start), outbox)
        while True:
            function, arguments = pickle.load(inbox)
            _tell(outbox, _answer(function, hands, arguments))
    except (EOFError, KeyboardInterrupt, BrokenPipeError):
        return


class Hands:
    """What a function that runs here can use."""

    def __init__(self, station: Station, outbox: IO[bytes]) -> None:
        self.station = station
        self._outbox = outbox
        self._held, self._last = 0, time.monotonic()

    def done(self, n: int) -> None:
        """Tell the parent that samples are done."""
        self._held += n
        if time.monotonic() - self._last > _PAUSE:
            _tell(self._outbox, ("done", self._held))
            self._held, self._last = 0, time.monotonic()

    def rest(self) -> None:
        """Tell what was not told yet."""
        if self._held:
            _tell(self._outbox, ("done", self._held))
            self._held = 0


def share(hands: Hands, address: Address, job: Job, rows: pa.Table) -> Tally:
    """Do one share of a job."""
    try:
        return hands.station.do(address, job, rows, hands.done)
    finally:
        hands.rest()


def call(hands: Hands, function: Callable[..., object], arguments: tuple[object, ...]) -> object:
    """Run a function that knows nothing of this process."""
    return function(*arguments)


def _answer(function: Callable[..., object], hands: Hands, arguments: tuple[object, ...]) -> Answer:
    try:
        return "result", function(hands, *arguments)
    except Exception as error:
        return "error", portable(error)


def portable(error: Exception) -> Exception:
    """Return an error that another process can read."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:
        pass
    if isinstance(error, SliceDBError):
        return SliceDBError(error.message, error.hint)
    return SliceDBError(f"{type(error).__name__}: {error}")


def _channels() -> tuple[IO[bytes], IO[bytes]]:
    """Take stdin and stdout for the parent, and leave others to whatever reads or prints."""
    inbox, outbox = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return inbox, outbox


def _tell(outbox: IO[bytes], message: object) -> None:
    pickle.dump(message, outbox, protocol=pickle.HIGHEST_PROTOCOL)
    outbox.flush()


def _stop(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: what was computed is being written
    raise KeyboardInterrupt


def _watch(parent: int) -> None:
    """Stop as soon as the parent is gone; nobody would read what is left."""
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os.kill(os.getpid(), signal.SIGTERM)
