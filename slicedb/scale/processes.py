"""Share work between processes of this machine, on one device each or on a few cores."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass, field
from typing import TypeVar, cast

from slicedb import progress
from slicedb.errors import CancelledError, SliceDBError
from slicedb.progress import Bar, Watch
from slicedb.scale import child
from slicedb.scale.child import Answer
from slicedb.scale.station import Address, Start
from slicedb.show.numbers import count
from slicedb.store import Store
from slicedb.store.shares import Divide, Job, Place, Tally

_T = TypeVar("_T")
_DEATHS = 3
"""Processes that one share may take with it."""
_PATIENCE = 60.0
"""Seconds given to a process that was told to stop, to write what it computed."""


@dataclass(eq=False)
class _Call:
    """A function to be run by any process."""

    function: Callable[..., object]
    arguments: tuple[object, ...]
    future: Future[object] = field(default_factory=Future)
    told: Callable[[int], None] = lambda n: None
    """Is told of progress."""
    n_told: int = 0
    deaths: int = 0


class Processes(Executor):
    """Processes that take calls from one queue.

    When one of them dies, the others do what it had begun.

    Args:
        places: of each process.
        show: whether what they are is said, see `slicedb.progress.note`.
    """

    def __init__(self, places: Sequence[Place], show: Watch = None) -> None:
        self.places = tuple(places)
        self.threads = len(self.places)
        self._show = show
        self._calls: queue.Queue[_Call | None] = queue.Queue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._alive: list[_Process] = []
        self._open: set[_Call] = set()

    # --- as a crew ----------------------------------------------------------------------------

    def run(
        self, store: Store, job: Job, divide: Divide, shown: Bar
    ) -> Generator[Tally, None, None]:
        """Do a job in shares; yields the tally of each as it is done."""
        address = Address.of(store)
        shares = divide(len(self.places))
        with self._started(len(shares)):
            futures = [
                self._put(_Call(child.share, (address, job, share), told=shown.advance))
                for share in shares
            ]
            try:
                for future in as_completed(futures):
                    tally = future.result()
                    assert isinstance(tally, Tally)
                    yield tally
            except BaseException:
                self.stop()
                raise

    def pool(self) -> Processes:
        """Start the processes and say what they are; leaving the block ends them."""
        return self._started(len(self.places))

    def _started(self, most: int) -> Processes:
        """Start the processes, at most so many."""
        if not self._threads:
            places = self.places[:most]
            progress.note(f"{_described(places)}.", self._show)
            for place in places:
                process = _Process(place)
                thread = threading.Thread(target=self._serve, args=(process,), daemon=True)
                self._alive.append(process)
                self._threads.append(thread)
                thread.start()
        return self

    # --- as an executor -----------------------------------------------------------------------

    def submit(self, function: Callable[..., _T], /, *args: object, **kwargs: object) -> Future[_T]:
        """Run a function of a module in one of the processes."""
        if kwargs:
            raise TypeError("Processes take positional arguments.")
        return cast("Future[_T]", self._put(_Call(child.call, (function, args))))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes, once they have done what there is or at once."""
        if cancel_futures:
            self.stop()
            return
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads if wait else ():
            thread.join()
        self._threads.clear()

    def stop(self) -> None:
        """Let the processes write what they have computed, and end them."""
        with self._lock:
            for call in self._open:
                call.future.cancel()
            self._open.clear()
            alive = list(self._alive)
        for process in alive:
            process.stop()
        for process in alive:
            process.wait(_PATIENCE)
        self.shutdown()

    # --- inside -------------------------------------------------------------------------------

    def _put(self, call: _Call) -> Future[object]:
        with self._lock:
            if self._threads and not self._alive:
                call.future.set_exception(_all_gone(len(self.places)))
                return call.future
            self._open.add(call)
        self._calls.put(call)
        return call.future

    def _serve(self, process: _Process) -> None:
        """Hand calls to one process until there are none or it dies."""
        while (call := self._calls.get()) is not None:
            if call.future.cancelled():
                continue
            try:
                answer = process.ask(call)
            except CancelledError as error:  # of the bar; `run` stops the processes then
                answer = ("error", error)
            except (EOFError, OSError, pickle.UnpicklingError):
                self._mourn(process, call)
                return
            with self._lock:
                self._open.discard(call)
            _settle(call.future, answer)
        process.close()
        with self._lock:
            self._alive.remove(process)

    def _mourn(self, process: _Process, call: _Call) -> None:
        """Give the call of a process that died to the others; without any, all calls fail."""
        status = process.close()
        call.deaths += 1
        with self._lock:
            self._alive.remove(process)
            lost = list(self._open) if not self._alive else []
            if call.deaths >= _DEATHS:
                lost.append(call)
            self._open.difference_update(lost)
        if call.future.cancelled():
            return
        for one in lost:
            _settle(one.future, ("error", _all_gone(len(self.places), status)))
        if call not in lost:
            progress.note(f"A process {_ended(status)}; the others do its share.", self._show)
            self._calls.put(call)


class _Process:
    """One child, and the two pipes to it."""

    def __init__(self, place: Place) -> None:
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        if place.threads is not None:
            environment["OMP_NUM_THREADS"] = str(place.threads)
        self._child = subprocess.Popen(
            [sys.executable, "-c", "from slicedb.scale.child import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._start: Start | None = Start.at(place)

    def ask(self, call: _Call) -> Answer:
        """Have a call done; returns "result" or "error", and which.

        Raises:
            EOFError: the process died.
        """
        assert self._child.stdin is not None and self._child.stdout is not None
        if self._start is not None:
            pickle.dump(self._start, self._child.stdin)
            self._start = None
        pickle.dump((call.function, call.arguments), self._child.stdin, pickle.HIGHEST_PROTOCOL)
        self._child.stdin.flush()
        n = 0
        while True:
            word, value = pickle.load(self._child.stdout)
            if word != "done":
                return word, value
            n += value
            if n > call.n_told:  # done by a process that died already, and shown
                call.told(n - call.n_told)
                call.n_told = n

    def stop(self) -> None:
        """Ask it to write what it computed and to end."""
        with contextlib.suppress(OSError):
            self._child.terminate()

    def wait(self, seconds: float) -> int:
        """Wait until it has ended, at most so long; returns its status."""
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self._child.wait()

    def close(self) -> int:
        """Tell it that nothing more comes, and wait; returns its status."""
        assert self._child.stdin is not None and self._child.stdout is not None
        with contextlib.suppress(OSError):
            self._child.stdin.close()
        status = self.wait(_PATIENCE)
        self._child.stdout.close()
        return status


def _settle(future: Future[object], answer: Answer) -> None:
    if future.cancelled():
        return
    word, value = answer
    if isinstance(value, Exception) and word == "error":
        future.set_exception(value)
    else:
        future.set_result(value)


def _all_gone(n: int, status: int | None = None) -> SliceDBError:
    who = "The process" if n == 1 else f"All {n} processes"
    how = "" if status is None else f"; the last one {_ended(status)}"
    return SliceDBError(
        f"{who} died at this work{how}.",
        "what was written stays, and running it again goes on from there; where memory ran out, "
        "take fewer workers.",
    )


def _ended(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


def _described(places: Sequence[Place]) -> str:
    devices = ", ".join(dict.fromkeys(place.device or "cpu" for place in places))
    threads = places[0].threads or 1
    who = count(len(places), "process", "processes")
    return f"{who} on {devices}, {count(threads, 'thread')} each"
