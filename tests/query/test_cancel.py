"""A query that runs is cancelled from another thread, or by Ctrl-C, and the others go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes_judge import small_store

import slicedb
from slicedb import Database
from slicedb.errors import (
    OptionError,
    QueryCancelledError,
    QueryError,
    QueryMemoryError,
    QueryResultError,
)
from slicedb.query.run.bounds import bytes_of, result_of

LONG = "SELECT count(*) AS n FROM range(1000000) a(i), range(1000000) b(j) WHERE i * j % 7 = 3"


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return slicedb.open(small_store(tmp_path)[0].path, timeout=120)


def asked(ask: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    """Ask in another thread; returns it, and what it raises."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            ask()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, raised


def until(done: Callable[[], int]) -> None:
    """Call until something was done, for at most half a minute."""
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_another_thread_cancels_all_queries(db: Database) -> None:
    running = [asked(lambda: db.sql(LONG)), asked(lambda: db.sql(LONG + " AND i > 1"))]
    count = 0

    def cancel() -> int:
        nonlocal count
        count += db.cancel()
        return not any(thread.is_alive() for thread, _ in running)

    until(cancel)
    for thread, raised in running:
        thread.join(30)
        assert [type(error) for error in raised] == [QueryCancelledError]
    assert count >= 2
    assert db.cancel() == 0
    assert db.query("label = 'cat'").count() > 0


def test_one_query_is_cancelled_alone(db: Database) -> None:
    one, other = db.query(LONG), db.query(LONG + " AND i > 1")
    first, raised = asked(one.to_arrow)
    second, others = asked(other.to_arrow)
    until(lambda: one.cancel() and not first.join(0.2) and not first.is_alive())
    assert [type(error) for error in raised] == [QueryCancelledError]
    assert second.is_alive() and not others
    until(lambda: other.cancel() and not second.join(0.2) and not second.is_alive())


def test_a_result_has_a_bound(tmp_path: Path) -> None:
    db = slicedb.open(small_store(tmp_path)[0].path, result="1MB")
    with pytest.raises(QueryResultError, match=r"takes .* MB, and may take .*SLICEDB_RESULT"):
        db.sql("FROM range(1000000)")
    assert db.sql("SELECT count(*) AS n FROM range(1000000)")["n"].to_pylist() == [1_000_000]


def test_the_bound_of_a_result_is_a_size_or_a_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLICEDB_RESULT", raising=False)
    assert (result_of(None, 1000), result_of("25%", 1000)) == (1000, 250)
    assert (result_of("2KB", 1000), bytes_of("476.8 MiB")) == (2000, 499_961_036)
    monkeypatch.setenv("SLICEDB_RESULT", "3MB")
    assert result_of(None, 1000) == 3_000_000
    with pytest.raises(OptionError, match="'much' is no size of a result"):
        result_of("much", 1000)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_what_duckdb_does_not_count_is_bounded_too(tmp_path: Path) -> None:
    db = slicedb.open(small_store(tmp_path)[0].path, memory="150MB", timeout=60)
    with pytest.raises(QueryMemoryError, match=r"used up its memory of 150.* MB.*SLICEDB_MEMORY"):
        db.sql("FROM range(10000000000)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT list_reduce(range(40), lambda a, b: a || a, 'xy')", "list_reduce would make"),
        ("SELECT replace(repeat('x', 9000), 'x', repeat('y', 9000))", "replace would take or make"),
        ("SELECT regexp_replace(repeat('x', 9000), '.', repeat('y', 9000), 'g')", "regexp_replace"),
        ("SELECT array_to_string(range(9000), repeat('x', 9000))", "separator of array_to_string"),
        ("SELECT jaro_winkler_similarity(repeat('a', 9000), repeat('b', 9000))", "jaro_winkler"),
        ("SELECT string_agg(id, repeat('x', 9000)) FROM samples", "separator of string_agg"),
        ("SELECT [l FOR x IN l] FROM (SELECT range(9000) l)", "of copies would make more than"),
        (
            "SELECT flatten([l FOR x IN m IF x > 0]) FROM (SELECT range(9000) l, range(9000) m)",
            "of copies would make more than",
        ),
        (
            "SELECT m.apply(x -> {'a': upper(l)}) FROM (SELECT range(99) m, repeat('x', 99999) l)",
            "of copies would make more than",
        ),
        ("SELECT concat(l, l) FROM (SELECT repeat('x', 600000) l)", "of copies would make more"),
        (
            "SELECT concat_ws(repeat('x', 600000), 1, 2, 3)",
            "of copies would make more than",
        ),
        ("SELECT reservoir_quantile(1, 0.5, 2000000)", "sample of reservoir_quantile may be"),
        ("SELECT list_intersect(range(900000), range(900000))", "list_intersect would take"),
        ("SELECT mode(id) OVER (ROWS 10001 PRECEDING) FROM samples", "reaches 10,001 rows far"),
        (" AND ".join(["id <> 'a'"] * 1501), "AND joins 1,501 conditions"),
        (" OR ".join(["id = 'a'"] * 10_001), "OR joins 10,001 conditions"),
        ("FROM " + ", ".join(f"samples s{i}" for i in range(129)), "joins 129 tables"),
        (f"SELECT {', '.join('*' * 201)} FROM samples", "lists 201 stars"),
        (" + ".join(["(SELECT 1)"] * 129) + " > 3", "hold 129 subqueries"),
    ],
)
def test_a_call_or_a_text_that_no_interrupt_reaches_is_refused(
    db: Database, text: str, message: str
) -> None:
    with pytest.raises(QueryError, match=message):
        db.sql(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("SELECT list_reduce([1, 2, 3], lambda a, b: a * b) AS v", 6),
        ("SELECT [l FOR x IN m] v FROM (SELECT [1] l, ['a', 'b'] m)", [[1], [1]]),
        ("SELECT m.apply(lambda x: l || x) v FROM (SELECT 'a' l, ['b'] m)", ["ab"]),
        ("SELECT [[x, y] FOR x IN l IF x > y] v FROM (SELECT [1, 2] l, 1 y)", [[2, 1]]),
        ("SELECT len([[[z FOR x IN l] FOR y IN l] FOR z IN l]) v FROM (SELECT range(40) l)", 40),
        ("SELECT len([c[x] FOR x IN l]) v FROM (SELECT range(9000) l, range(9000) c)", 9000),
        (
            "SELECT len([c FOR x IN l IF list_contains(l, x)]) v FROM (SELECT range(999) l, 1 c)",
            999,
        ),
        ("SELECT list_reduce([[1], [2]],lambda a, b:[x + q FOR x IN a]) v FROM (SELECT 7 q)", [8]),
        ("SELECT concat('a', NULL, 1) || concat_ws('-', 2, NULL, 3) AS v", "a12-3"),
        ("SELECT list_reduce(['a', 'b'], lambda a, b: a || b || a) AS v", "aba"),
        ("SELECT list_reduce([[1], [2]], (a, b) -> list_concat(a, b)) AS v", [1, 2]),
        ("SELECT list_reduce([1, 2, 3], lambda a, b, i: a + b * i) AS v", 14),
        ("SELECT replace('banana', 'an', 'AN').lower() AS v", "banana"),
        ("SELECT replace(NULL, 'a', 'b') AS v", None),
        ("SELECT replace('abc', '', 'x') AS v", "abc"),
        ("SELECT regexp_replace('banana', '[an]+', 'x') AS v", "bx"),
        ("SELECT regexp_replace('banana', 'a', 'x', 'g') AS v", "bxnxnx"),
        ("SELECT array_to_string([1, NULL, 3], '-') AS v", "1-3"),
        ("SELECT round(jaro_winkler_similarity('duck', 'duckdb'), 2) AS v", 0.93),
        ("SELECT string_agg(DISTINCT label, ', ' ORDER BY label) <> '' AS v FROM samples", True),
        ("SELECT repeat('ab', 2) AS made, made || '!' AS v", "abab!"),
        ("SELECT [[y] FOR y IN range(3)] AS made, [x[1] + 1 FOR x IN made] AS v", [1, 2, 3]),
        ("SELECT replace('ab', 'a', 'c') AS v WHERE v = 'cb' GROUP BY v HAVING v <> ''", "cb"),
        ("SELECT TRY(lpad('a', i, 'x')) AS v FROM (VALUES (3)) t(i)", "xxa"),
        ("SELECT TRY(repeat('ab', 2000000)) AS v", None),
    ],
)
def test_what_is_small_means_what_it_means_to_duckdb(
    db: Database, text: str, value: object
) -> None:
    assert db.sql(text)["v"].to_pylist() == [value]


def test_a_duckdb_that_fails_inside_is_started_anew(db: Database) -> None:
    from slicedb.query.language.broken import BrokenSessionError

    assert db.query("label = 'cat'").count() > 0
    session = db.engine.session
    broken = session.connection
    with pytest.raises(QueryError, match="DuckDB failed inside: INTERNAL Error"), session.run("x"):
        raise BrokenSessionError("INTERNAL Error: it is lost")
    assert session.connection is not broken
    assert db.query("label = 'cat'").count() > 0


def test_an_error_shows_the_place_in_a_long_line_alone(db: Database) -> None:
    with pytest.raises(QueryError, match="No column 'lable'") as caught:
        db.query("id IN (" + ", ".join(f"'{i}'" for i in range(9000)) + ") AND lable = 'cat'")
    *_, line, mark = str(caught.value).splitlines()
    assert len(line) < 420
    assert line[mark.index("^") : mark.index("^") + 5] == "lable"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_ctrl_c_ends_a_query_of_the_command_line(db: Database) -> None:
    command = [
        sys.executable,
        "-c",
        "import signal; signal.signal(2, signal.default_int_handler); "
        "from slicedb.cli import main; main()",
    ]
    process = subprocess.Popen(
        [*command, "--db", str(db.path), "query", LONG],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(4)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Interrupted" in err
