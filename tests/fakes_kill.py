"""Run a verb in a process of its own, and kill it there."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from fakes_models import MeanColour
from fakes_server import server
from fakes_verbs import VERBS, narrow, reopened, sources, state, world

import slicedb
from slicedb.database import Database
from slicedb.errors import SliceDBError

HARMLESS = ("lost images", "stray pins", "cut-off checkout", "cut-off creation", "stale pictures")
MENDED = (*HARMLESS, "orphans", "stale truths", "missing pins")
"""What the doctor may find between a kill and the next run, and says how to mend."""


@dataclass(frozen=True)
class Death:
    """One kill."""

    seconds: float
    """After which it came, from when the verb started."""
    struck: bool
    """Whether the verb was still at work."""
    fault: str
    """What was wrong afterwards; "" where nothing was."""


def problems(db: Database, allowed: tuple[str, ...]) -> list[str]:
    """Return what the doctor finds beside what is allowed."""
    return [str(found) for found in db.doctor() if found.problem not in allowed]


class Kills:
    """A database of which each verb gets a copy to be killed at.

    The verbs run in processes that are forked from a server which has imported everything and
    opened nothing, so that a kill costs no start.
    """

    def __init__(
        self, root: Path, first: Database | None = None, given: Path | None = None
    ) -> None:
        self._context = server()
        self._root = root
        self._given = given or sources(root / "given")
        self._first = first or world(root / "first", self._given)
        self._clean: dict[str, tuple[float, dict[str, str]]] = {}
        self._n = 0

    def kill(self, name: str, share: float) -> Death:
        """Kill a verb after a share of the time that it takes, and look at what is left.

        Args:
            name: of the verb.
            share: 0 to 1.
        """
        if name not in self._clean:
            self._run(name, None)  # what is slow the first time
            seconds, path, _ = self._run(name, None)
            self._clean[name] = seconds, state(slicedb.open(path))
            shutil.rmtree(path)
        seconds, expected = self._clean[name]
        _, path, struck = self._run(name, share * seconds)
        fault = self._fault(name, path, expected)
        shutil.rmtree(path)
        return Death(share * seconds, struck, fault)

    def _run(self, name: str, after: float | None) -> tuple[float, Path, bool]:
        """Run a verb at a copy; return its seconds, the copy, and whether it was killed at work."""
        self._n += 1
        path = self._root / f"{name.replace(' ', '_')}{self._n}"
        shutil.copytree(self._first.path, path)
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(path, name, self._given, theirs))
        process.start()
        ours.recv()
        started = time.monotonic()
        if after is not None:
            is_done = ours.poll(after)
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            return time.monotonic() - started, path, not is_done
        ours.recv()
        seconds = time.monotonic() - started
        process.join()
        return seconds, path, False

    def _fault(self, name: str, path: Path, expected: dict[str, str]) -> str:
        try:
            db = slicedb.open(path, create=False)
            db.models._loaded.update(mean=MeanColour(), net=narrow())
            if found := problems(db, MENDED):
                return f"the doctor found {found}"
            VERBS[name](db, self._given)
            seen = state(reopened(db))
            differing = [part for part in expected if seen.get(part) != expected[part]]
            if differing or seen.keys() != expected.keys():
                return f"{differing or set(seen) ^ set(expected)} differ from a clean run"
            found = problems(reopened(db), HARMLESS)
            return f"the doctor found {found} in the end" if found else ""
        except SliceDBError as error:
            return f"{type(error).__name__}: {error}"


def _serve(path: Path, name: str, given: Path, pipe: Connection) -> None:
    db = slicedb.open(path, create=False)
    db.models._loaded.update(mean=MeanColour(), net=narrow())
    pipe.send("open")
    VERBS[name].run(db, given)
    pipe.send("done")
