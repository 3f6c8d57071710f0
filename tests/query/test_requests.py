"""One caller's queries are bounded and cancelled together, and those of others go on."""

from __future__ import annotations

import contextlib
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes_judge import small_store

import slicedb
from slicedb import Database
from slicedb.errors import (
    OptionError,
    QueryBusyError,
    QueryCancelledError,
    QueryError,
    QueryTimeoutError,
    SandboxError,
)
from slicedb.query.run.bounds import Bounds
from slicedb.query.run.clock import Clock
from slicedb.query.run.queue import WAITING, Queue, at_once_of
from slicedb.query.run.request import Request

LONG = "SELECT count(*) AS n FROM range(1000000) a(i), range(1000000) b(j) WHERE i * j % 7 = 3"


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return slicedb.open(small_store(tmp_path)[0].path, timeout=120)


class Asked(threading.Thread):
    """Asks in a thread of its own, and keeps what it raises."""

    def __init__(self, ask: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.ask, self.raised = ask, ""
        self.start()

    def run(self) -> None:
        try:
            self.ask()
        except Exception as error:
            self.raised = type(error).__name__


def until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_request_is_cancelled_alone_and_for_good(db: Database) -> None:
    mine, others = db.request(), db.request()

    def ask(request: Request) -> None:
        with request:
            db.sql(LONG)

    threads = [Asked(lambda: ask(mine)), Asked(lambda: ask(others))]
    until(lambda: mine.stop() and not threads[0].join(0.2) and not threads[0].is_alive())
    assert threads[0].raised == "QueryCancelledError"
    assert threads[1].is_alive()
    others.cancel()
    threads[1].join(30)
    assert threads[1].raised == "QueryCancelledError"
    assert others.is_cancelled
    with others, pytest.raises(QueryCancelledError):
        db.query("label = 'cat'").count()
    assert db.query("label = 'cat'").count() > 0


def test_the_same_text_of_another_caller_goes_on(db: Database) -> None:
    one, other = db.query(LONG), db.query(LONG)
    threads = [Asked(one.to_arrow), Asked(other.to_arrow)]
    until(lambda: one.cancel() and not threads[0].join(0.2) and not threads[0].is_alive())
    assert (threads[0].raised, threads[1].is_alive()) == ("QueryCancelledError", True)
    until(lambda: other.cancel() and not threads[1].join(0.2) and not threads[1].is_alive())


def test_what_is_made_of_a_query_is_cancelled_with_it(db: Database) -> None:
    query = db.query("label <> ''")
    thread = Asked(query.beside(LONG).to_arrow)
    until(lambda: query.cancel() and not thread.join(0.2) and not thread.is_alive())
    assert thread.raised == "QueryCancelledError"


def test_a_query_has_a_time_of_its_own(db: Database) -> None:
    with pytest.raises(QueryTimeoutError, match=r"its time of 0\.2 s"):
        db.query(LONG, timeout=0.2).to_arrow()
    assert db.query("label = 'cat'", timeout=5, memory="50%").count() > 0


def test_the_time_of_a_request_is_that_of_all_its_queries(db: Database) -> None:
    with db.request(timeout=0.3), pytest.raises(QueryTimeoutError):
        while True:
            db.query("label = 'cat'").count()
    with db.request(timeout=0), pytest.raises(QueryTimeoutError, match=r"request .* time of 0 s"):
        db.query("label = 'cat'").count()


def test_a_request_inside_a_request_is_bounded_by_both(db: Database) -> None:
    with db.request(timeout=0.2), db.request(timeout=60), pytest.raises(QueryTimeoutError):
        db.sql(LONG)
    with db.request(timeout=60), db.request(timeout=0.2), pytest.raises(QueryTimeoutError):
        db.sql(LONG)


def test_the_memory_of_a_request_is_at_most_that_of_the_database() -> None:
    allowed = Bounds(600.0, 1000, 800)
    assert Request(memory="25%").within(allowed) == Bounds(600.0, 250, 250)
    assert Request(memory="2KB").within(allowed) == allowed
    assert Request(seconds=2).within(allowed) == Bounds(2, 1000, 800)
    assert Request(seconds=0).within(allowed).seconds is None


@pytest.mark.parametrize("bad", [{"timeout": -1}, {"timeout": float("nan")}, {"memory": "much"}])
def test_a_bound_that_is_none_is_refused(db: Database, bad: dict[str, float | str]) -> None:
    with pytest.raises(OptionError):
        db.query("label = 'cat'", **bad)  # type: ignore[arg-type]
    with pytest.raises(OptionError):
        db.request(**bad)  # type: ignore[arg-type]


def clock(seconds: float | None = None) -> Clock:
    return Clock(Bounds(seconds, 1 << 50, 1 << 50))


def test_a_named_client_has_half_of_the_places() -> None:
    queue, held, ends = Queue(4), [], threading.Event()

    def hold(client: str) -> None:
        with queue.place(clock(), client):
            held.append(client)
            ends.wait(30)

    slow = [threading.Thread(target=hold, args=("slow",)) for _ in range(9)]
    for thread in slow:
        thread.start()
    until(lambda: len(held) == 2)
    with queue.place(clock(1.0), "other"), queue.place(clock(1.0)):  # inside, and needs no other
        assert held == ["slow", "slow"]
    ends.set()
    for thread in slow:
        thread.join(30)
    assert held == ["slow"] * 9


def test_slow_ones_do_not_keep_the_quick_ones_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    from slicedb.query.run import queue as module

    monkeypatch.setattr(module, "_SLOW", 0.1)
    queue, ends, held = Queue(2), threading.Event(), []

    def hold(client: str) -> None:
        with queue.place(clock(), client):
            held.append(client)
            ends.wait(30)

    slow = [threading.Thread(target=hold, args=(name,)) for name in "ab"]
    for thread in slow:
        thread.start()
    until(lambda: len(held) == 2)
    with queue.place(clock(5.0), "quick"):
        assert len(held) == 2
    ends.set()
    for thread in slow:
        thread.join(30)


def test_clients_take_turns() -> None:
    queue, order, first = Queue(1), [], clock()

    def ask(client: str) -> None:
        with queue.place(clock(), client):
            order.append(client)

    def waiting() -> int:
        return sum(map(len, queue._waiting.values()))

    threads = []
    with queue.place(first, "z"):
        for client in "aaab":
            threads.append(threading.Thread(target=ask, args=(client,)))
            threads[-1].start()
            until(lambda: waiting() == len(threads))
    for thread in threads:
        thread.join(30)
    assert order == ["a", "b", "a", "a"]


def test_who_is_patient_goes_last_and_leaves_places_free() -> None:
    queue, order, ends = Queue(2), [], threading.Event()

    def ask(client: str, is_patient: bool) -> None:
        with queue.place(clock(), client, is_patient):
            order.append(client)
            ends.wait(30)

    def asked(client: str, is_patient: bool = False) -> threading.Thread:
        thread = threading.Thread(target=ask, args=(client, is_patient))
        thread.start()
        return thread

    with queue.place(clock()), _in_another_thread(queue):
        threads = [asked("ahead", True)]
        until(lambda: len(queue._patient) == 1)
        threads += [asked("a"), asked("b")]
        until(lambda: len(queue._waiting) == 2)
    until(lambda: len(order) == 2)
    assert {*order} == {"a", "b"}
    ends.set()
    for thread in threads:
        thread.join(30)
    assert order[2:] == ["ahead"]
    cancelled = clock()
    cancelled.cancel()
    with queue.place(clock()), _in_another_thread(queue):
        thread = Asked(lambda: queue.place(cancelled, "ahead", True).__enter__())
        thread.join(30)
    assert thread.raised == "QueryCancelledError" and not queue._patient


@contextlib.contextmanager
def _in_another_thread(queue: Queue) -> Iterator[None]:
    """Hold a place of a queue by another thread."""
    inside, ends = threading.Event(), threading.Event()

    def hold() -> None:
        with queue.place(clock()):
            inside.set()
            ends.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(30)
    yield
    ends.set()
    thread.join(30)


def test_a_turn_is_one_place_for_all_queries_inside(db: Database) -> None:
    waited = []
    enter = db.engine.session.queue._enter

    def entered(*given: object) -> object:
        waited.append(given)
        return enter(*given)  # type: ignore[arg-type]

    db.engine.session.queue._enter = entered  # type: ignore[method-assign, assignment]
    with db.request(client="one"), db.engine.turn():
        query = db.query("label IS NOT NULL")
        assert query.count() == len(query.ids()) == len(query.page(0, 10**6, ["id"]))
        query.facets(["label"])
    assert len(waited) == 1
    with db.request() as request, pytest.raises(QueryCancelledError):
        request.cancel()
        with db.engine.turn():
            raise AssertionError("it was cancelled before")
    assert not db.engine.session.queue._running


def test_who_waits_has_a_deadline_and_can_be_cancelled() -> None:
    queue = Queue(1)
    cancelled = clock()
    cancelled.cancel()

    def ask(own: Clock) -> None:
        with queue.place(own):
            raise AssertionError("there is no place")

    with queue.place(clock()):
        threads = [Asked(lambda: ask(clock(0.05))), Asked(lambda: ask(cancelled))]
        for thread in threads:
            thread.join(30)
    assert [t.raised for t in threads] == ["QueryTimeoutError", "QueryCancelledError"]
    with queue.place(clock(1.0)):  # nobody has kept the place
        pass


def test_a_client_whose_queries_wait_already_is_refused() -> None:
    queue, ends = Queue(2), threading.Event()

    def hold() -> None:
        with queue.place(clock(), "one"):
            ends.wait(30)

    threads = [threading.Thread(target=hold) for _ in range(WAITING + 1)]
    for thread in threads:
        thread.start()
    until(lambda: len(queue._waiting.get("one", ())) == WAITING)
    with pytest.raises(QueryBusyError, match="32 queries of 'one' wait already"):
        hold()
    ends.set()
    for thread in threads:
        thread.join(30)
    assert not queue._running and not queue._waiting


def test_how_many_run_at_once_is_a_setting(monkeypatch: pytest.MonkeyPatch, db: Database) -> None:
    monkeypatch.setenv("SLICEDB_AT_ONCE", "7")
    assert (at_once_of(None), at_once_of(3)) == (7, 3)
    assert slicedb.open(db.path).engine.session.queue.places == 7
    assert slicedb.open(db.path, at_once=2).engine.session.queue.places == 2
    monkeypatch.setenv("SLICEDB_AT_ONCE", "many")
    with pytest.raises(OptionError, match="'many' queries at once"):
        at_once_of(None)


def test_the_run_that_went_on_longest_is_blamed_for_the_memory() -> None:
    from typing import cast

    from duckdb import DuckDBPyConnection

    class Cursor:
        def interrupt(self) -> None:
            pass

    first, second = (Clock(Bounds(None, 1 << 50, 1)) for _ in range(2))
    with first.asking(cast(DuckDBPyConnection, Cursor())):
        first.begin(-1)
        second.begin(-1)
        assert not second.look(0)
        assert first.look(0)
    assert second.look(0)  # it is still too much, and nobody else is there


# --- files ------------------------------------------------------------------------------------


def error_of(ask: Callable[[], object]) -> str:
    with pytest.raises(QueryError) as caught:
        ask()
    return f"{type(caught.value).__name__}: {caught.value.message}"


def test_a_text_that_may_read_no_files_does_not_tell_which_there_are(
    db: Database, tmp_path: Path
) -> None:
    there = tmp_path / "there.png"
    there.write_bytes(b"x")
    closed = slicedb.open(db.path, files=False)
    for name in (str(there), str(tmp_path / "nowhere.png"), "http://localhost:1/x.png"):
        text = f"similarity(image('{name}')) > 0.2"
        expected = "SandboxError: image() cannot read files here."
        assert error_of(lambda text=text: db.query(text, files=False)) == expected
        assert error_of(lambda text=text: closed.query(text)) == expected
        assert error_of(lambda text=text: closed.query(text, files=True)) == expected
        assert error_of(lambda text=text: closed.keys(text)) == expected
        assert error_of(lambda text=text: closed.sql(text)) == expected


@pytest.mark.parametrize(
    "form",
    [
        "FROM '{}'",
        'SELECT * FROM "{}"',
        "FROM read_text('{}')",
        "FROM read_blob('{}')",
        "FROM read_csv('{}')",
        "FROM read_json('{}')",
        "FROM read_parquet('{}')",
        "FROM parquet_metadata('{}')",
        "FROM sniff_csv('{}')",
        "FROM glob('{}')",
        "SELECT * FROM query('FROM ''{}''')",
        "SELECT * FROM query_table('{}')",
        "label IN (SELECT content FROM read_text('{}'))",
        "COPY samples TO '{}'",
        "ATTACH '{}' AS other",
        "PRAGMA import_database('{}')",
        "INSTALL '{}'",
        "LOAD '{}'",
        "SELECT getenv('{}')",
        "EXPORT DATABASE '{}'",
    ],
)
def test_no_text_reads_a_file_and_errors_are_the_same_whether_there_is_one(
    db: Database, tmp_path: Path, form: str
) -> None:
    closed = slicedb.open(db.path, files=False)
    (tmp_path / "a.csv").write_text("id\n1\n")
    names = [str(tmp_path / name) for name in ("a.csv", "b.csv", "*")]
    kept = [str(file) for file in Path(closed.store.cache_dir).rglob("*")][:1]
    said = set()
    for name in names + kept:
        error = error_of(lambda name=name: closed.query(form.format(name)).to_arrow())
        said.add(error.replace(name, "FILE"))
    assert len(said) == 1 and not (tmp_path / "b.csv").exists()


def test_settings_hold_for_earlier_moments_and_other_processes(db: Database) -> None:
    db.commit("now", tag="then")
    closed = slicedb.open(db.path, files=False, at_once=3, timeout=7)
    for other in (closed.at("then"), pickle.loads(pickle.dumps(closed))):
        with pytest.raises(SandboxError):
            other.query("similarity(image('x.png')) > 0")
        assert other.engine.session.bounds.seconds == 7
        assert other.engine.session.queue.places == 3
    assert closed.at("then").engine.session.queue is closed.engine.session.queue


def test_many_threads_ask_while_one_writes(tmp_path: Path) -> None:
    db = slicedb.open(small_store(tmp_path)[0].path, at_once=4)
    keys = db.query("ORDER BY id LIMIT 20").keys()
    everything, wrong, ends = db.query().count(), [], threading.Event()

    def ask(number: int) -> None:
        while not ends.is_set():
            with db.request(timeout=60, client=f"client {number % 5}", lag=number % 2):
                query = db.query(f"label IN ('cat', 'wolf') AND hash(id) % 7 <> {number % 7}")
                facets = query.facets(["label", "split"])
                page = query.page(0, 10, ["id", "label"])
                if facets.overall != everything or not {*page["label"].to_pylist()} <= {
                    "cat",
                    "wolf",
                }:
                    wrong.append((number, facets.overall, page["label"].to_pylist()))

    threads = [Asked(lambda n=n: ask(n)) for n in range(12)]  # type: ignore[misc]
    began = time.monotonic()
    for turn in range(1000):
        db.relabel(keys, ("cat", "wolf")[turn % 2])
        if turn > 3 and time.monotonic() > began + 2:
            break
    ends.set()
    for thread in threads:
        thread.join(60)
    assert [t.raised for t in threads] == [""] * 12
    assert wrong == []
