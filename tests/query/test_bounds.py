"""Every query has a bound of time and of memory, and the message says which and how to raise it."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from fakes_judge import small_store

import slicedb
from slicedb.errors import OptionError, QueryCancelledError, QueryMemoryError, QueryTimeoutError
from slicedb.query.run.bounds import Bounds, memory_of, timeout_of
from slicedb.query.run.clock import Clock, allocated

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@pytest.fixture
def path(tmp_path: Path) -> str:
    return small_store(tmp_path)[0].path


BOMB = "SELECT count(*) AS n FROM range(1000000) a(i), range(1000000) b(j) WHERE i * j % 7 = 3"


def test_a_query_has_bounds_where_nobody_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLICEDB_TIMEOUT", raising=False)
    monkeypatch.delenv("SLICEDB_MEMORY", raising=False)
    assert (timeout_of(None), memory_of(None)) == (600.0, "50%")
    assert (timeout_of(0), timeout_of(2), memory_of("4GB")) == (None, 2.0, "4GB")
    monkeypatch.setenv("SLICEDB_TIMEOUT", "7")
    monkeypatch.setenv("SLICEDB_MEMORY", "200MB")
    assert (timeout_of(None), memory_of(None)) == (7.0, "200MB")
    monkeypatch.setenv("SLICEDB_TIMEOUT", "soon")
    with pytest.raises(OptionError, match="SLICEDB_TIMEOUT=soon is no number"):
        timeout_of(None)
    with pytest.raises(OptionError, match="no size of memory"):
        memory_of("much")


class Cursor:
    """Notes when it is interrupted."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def interrupt(self) -> None:
        self.stopped.set()


def clock(seconds: float | None = None, memory: int = 1 << 50) -> Clock:
    return Clock(Bounds(seconds, memory, memory))


def test_one_thread_interrupts_the_runs_that_are_over_a_bound_and_no_other() -> None:
    cursors = [Cursor() for _ in range(5)]
    clocks = [clock(600.0), clock(0.2), clock(0.05), clock(), clock(memory=-(1 << 50))]
    for _ in range(300):  # many that end long before their time
        with clocks[0].asking(cast("DuckDBPyConnection", cursors[0])):
            pass
    clocks[3].cancel()
    with contextlib.ExitStack() as runs:
        runs.enter_context(clocks[0].asking(cast("DuckDBPyConnection", cursors[0])))
        for number in (1, 2):
            runs.enter_context(clocks[number].asking(cast("DuckDBPyConnection", cursors[number])))
        assert all(cursors[number].stopped.wait(10) for number in (1, 2))
    assert not cursors[0].stopped.is_set() and threading.active_count() < 20
    clocks[0].check()
    assert [type(c.over) for c in clocks[1:4]] == [
        QueryTimeoutError,
        QueryTimeoutError,
        QueryCancelledError,
    ]
    with pytest.raises(QueryCancelledError):
        clocks[3].check()
    with pytest.raises(QueryMemoryError):
        clocks[4].check()


@pytest.mark.slow
def test_a_query_that_takes_too_long_says_how_to_raise_the_bound(path: str) -> None:
    db, started = slicedb.open(path, timeout=1), time.monotonic()
    with pytest.raises(QueryTimeoutError, match=r"of 1 s.*SLICEDB_TIMEOUT"):
        db.sql(BOMB)
    assert time.monotonic() - started < 20
    assert db.query("label = 'cat'").count() > 0


def test_a_query_that_takes_too_much_says_how_to_raise_the_bound(path: str) -> None:
    db = slicedb.open(path, memory="150MB", timeout=60)
    greedy = "SELECT list(i::VARCHAR || repeat('x', 200)) AS l FROM range(3000000) t(i)"
    with pytest.raises(QueryMemoryError, match=r"used up its memory.*SLICEDB_MEMORY"):
        db.sql(greedy)
    assert db.query("label = 'cat'").count() > 0


class Peak(threading.Thread):
    """Notes the most that the process has allocated."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.ended = 0, threading.Event()
        self.start()

    def run(self) -> None:
        while not self.ended.wait(0.002):
            self.most = max(self.most, allocated())


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and a limit of data")
def test_a_query_that_heeds_no_interrupt_gets_no_more_memory(path: str) -> None:
    import resource

    db, before = slicedb.open(path, memory="300MB", timeout=60), allocated()
    limit, peak = resource.getrlimit(resource.RLIMIT_DATA), Peak()
    copied = "(SELECT repeat('x', 20000) a)"
    for _ in range(4):  # 20 kB times 14 at each level, in one piece of work
        copied = f"(SELECT {'||'.join(['a'] * 14)} a FROM {copied})"
    with pytest.raises(QueryMemoryError, match="used up its memory of 300"):
        db.sql(f"SELECT len(a) FROM {copied}")
    peak.ended.set()
    assert peak.most - before < 500e6  # it would be gigabytes
    assert resource.getrlimit(resource.RLIMIT_DATA) == limit
    assert db.query("label = 'cat'").count() > 0
