"""Every query has a bound of time and of memory, and the message says which and how to raise it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from fakes_judge import small_store

import slicedb
from slicedb.errors import OptionError, QueryMemoryError, QueryTimeoutError
from slicedb.query.run.bounds import memory_of, timeout_of
from slicedb.query.run.clock import alarm


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


def test_alarms_ring_in_time_and_not_after_the_block() -> None:
    rung: list[int] = []
    both = threading.Event()

    def ring(number: int) -> None:
        rung.append(number)
        if len(rung) == 2:
            both.set()

    for _ in range(300):  # many that end long before their time
        with alarm(600.0, lambda: ring(0)):
            pass
    with alarm(600.0, lambda: ring(1)), alarm(0.2, lambda: ring(2)), alarm(0.01, lambda: ring(3)):
        assert both.wait(10)
    with alarm(None, lambda: ring(4)), alarm(0.01, lambda: ring(5)):
        pass
    time.sleep(0.05)
    assert rung in ([3, 2], [3, 2, 5])  # the last block may take longer than its alarm
    assert threading.active_count() < 20


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
