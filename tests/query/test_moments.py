"""A request that allows a lag is answered from one moment, while the next one is made ready."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from test_warm import (
    IDS,
    QUERIES,
    answers,
    checkout_of_a_branch,
    delete_few,
    fill,
    fresh,
    log,
    log_anew,
    log_new,
    make_column_anew,
    merge,
    reads,
    relabel,
    tag,
)

import slicedb
from slicedb.errors import OptionError, QueryCancelledError, QueryTimeoutError
from slicedb.query.hot.warm import WarmTables
from slicedb.query.run.moments import Moments

LONG = 3600.0
"""Seconds of a lag that no test uses up."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tables of any size be carried over, and be worth a lag."""
    monkeypatch.setattr(WarmTables, "least_rows", 1)
    monkeypatch.setattr(Moments, "large", 1)


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    made = slicedb.open(tmp_path / "moments.slicedb")
    fill(made, IDS)
    return made


@pytest.fixture
def other(db: slicedb.Database) -> slicedb.Database:
    """Somebody else, who writes to the same database."""
    return slicedb.open(db.path)


@contextmanager
def held_up(db: slicedb.Database) -> Iterator[threading.Event]:
    """Let nothing be made ready before the event is set, or the block ends."""
    moments, gate = db.engine.session.moments, threading.Event()
    follow = moments._follow

    def waits(versions: Mapping[str, int]) -> None:
        assert gate.wait(60)
        follow(versions)

    moments._follow = waits
    try:
        yield gate
    finally:
        gate.set()


def until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def counts(db: slicedb.Database, lag: float = LONG) -> tuple[list[int], bool]:
    """Return what a request counts by several ways, and whether it says that it is behind."""
    with db.request(lag=lag) as request:
        query = db.query("label = 'new'")
        found = [
            query.count(),
            len(query.ids()),
            query.page(0, 500, ["id", "label"])["label"].to_pylist().count("new"),
            sum(v.n for v in query.facets(["label"])["label"].values if v.value == "new"),
            db.query("label <> 'new'").where("label = 'new' OR label <> 'new'").count(),
        ]
    return found, request.behind > 0


def agree(n: int) -> list[int]:
    return [n, n, n, n, len(IDS) - n]


def test_all_answers_of_a_request_are_of_one_moment(
    db: slicedb.Database, other: slicedb.Database
) -> None:
    assert counts(db) == (agree(0), False)
    with held_up(db) as gate:
        other.relabel("id < '0007'", "new")
        assert counts(db) == (agree(0), True)
        assert db.query("label = 'new'").count() == 7  # without a lag: the present
        assert counts(db) == (agree(0), True)
        gate.set()
        until(lambda: counts(db) == (agree(7), False))


def test_a_request_stays_at_its_moment_when_the_next_one_is_ready(
    db: slicedb.Database, other: slicedb.Database
) -> None:
    counts(db)
    with db.request(lag=LONG):
        before = db.query("label = 'new'")
        assert before.count() == 0
        other.relabel("id < '0007'", "new")
        until(lambda: threading_count(db) == 7)
        query = db.query("label = 'new'")
        assert (query.count(), query.version) == (0, before.version)
        assert query.page(0, 9, ["id"]).num_rows == 0
    with db.request(lag=LONG):
        now = db.query("label = 'new'")
        assert now.count() == 7 and now.version != before.version


def threading_count(db: slicedb.Database) -> int:
    """Return what another request, of another thread, counts."""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(counts(db)[0][0]))
    thread.start()
    thread.join(60)
    return found[0]


def test_no_answer_is_older_than_the_lag(db: slicedb.Database, other: slicedb.Database) -> None:
    counts(db)
    with held_up(db) as gate:
        other.relabel("id < '0007'", "new")
        assert counts(db) == (agree(0), True)
        time.sleep(0.02)
        found: list[tuple[list[int], bool]] = []
        thread = threading.Thread(target=lambda: found.append(counts(db, lag=0.01)))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive() and not found  # it waits for what is made ready
        gate.set()
        thread.join(60)
    assert found[0][0] == agree(7)


def test_what_was_written_here_is_seen_at_once(
    db: slicedb.Database, other: slicedb.Database
) -> None:
    counts(db)
    with held_up(db) as gate:
        other.relabel("id < '0007'", "new")
        assert counts(db) == (agree(0), True)
        db.relabel("id < '0009'", "new")
        db.engine.renew()
        threading.Timer(0.2, gate.set).start()
        assert counts(db) == (agree(9), False)


def test_who_waits_for_a_moment_can_be_cancelled_and_has_a_deadline(
    db: slicedb.Database, other: slicedb.Database
) -> None:
    counts(db)
    with held_up(db):
        other.relabel("id < '0007'", "new")
        db.engine.renew()
        with db.request(lag=LONG, timeout=0.1), pytest.raises(QueryTimeoutError):
            db.query("label = 'new'")
        with db.request(lag=LONG) as request:
            threading.Timer(0.1, request.cancel).start()
            with pytest.raises(QueryCancelledError):
                db.query("label = 'new'")


def test_a_lag_is_seconds(db: slicedb.Database) -> None:
    with pytest.raises(OptionError, match="lag=-1 is no time"):
        db.request(lag=-1)


def test_a_small_database_has_no_lag(
    db: slicedb.Database, other: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Moments, "large", len(IDS) + 1)
    counts(db)
    with held_up(db):
        other.relabel("id < '0007'", "new")
        assert counts(db) == (agree(7), False)


def test_a_model_that_was_dropped_is_gone_at_once(
    db: slicedb.Database, other: slicedb.Database
) -> None:
    with db.request(lag=LONG):
        db.query("m.prediction = 'a'").count()
    other.store.drop("predictions__m")
    with db.request(lag=LONG), pytest.raises(slicedb.errors.BindError):
        db.query("m.prediction = 'a'").count()


def followed(db: slicedb.Database) -> None:
    """Make the newest moment ready, as the thread of a lagging request does."""
    db.engine.session.moments._make_ready()


@pytest.mark.parametrize(
    "edit",
    [delete_few, log_new, merge, make_column_anew, log_anew, checkout_of_a_branch],
)
def test_after_an_edit_that_was_followed_the_answers_are_those_of_a_fresh_copy(
    db: slicedb.Database, edit: Callable[[slicedb.Database], None]
) -> None:
    with db.request(lag=LONG):
        answers(db)
    edit(db)
    followed(db)
    with db.request(lag=LONG) as request:
        assert answers(db) == fresh(db)
    assert request.behind == 0


def test_what_was_followed_is_answered_without_a_copy(
    db: slicedb.Database, other: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = QUERIES[:3]
    for text in texts:
        db.query(text).ids()
    for edit in (tag, relabel):
        edit(other)
        followed(db)
        made = db.engine.session.tables._made
        read = reads(db, monkeypatch)
        expected = [other.query(text).ids() for text in texts]
        assert [db.query(text).ids() for text in texts] == expected
        assert (read, db.engine.session.tables._made) == ([], made)
    log(other, "m", ["0007", "0008"], np.random.default_rng(3))  # samples stay as they are
    followed(db)
    made = db.engine.session.tables._made
    assert [db.query(text).ids() for text in texts] == [other.query(t).ids() for t in texts]
    assert db.engine.session.tables._made == made


def test_an_edit_copies_a_table_once_whatever_is_asked_then(
    db: slicedb.Database, other: slicedb.Database
) -> None:
    texts = [*QUERIES[:4], FIGURES_OF_TWO]
    for text in texts:
        db.query(text).to_arrow()
    for turn in range(3):
        other.relabel("id < '0007'", "ab"[turn % 2])
        made = db.engine.session.tables._made
        for text in texts:
            db.query(text).to_arrow()
        assert db.engine.session.tables._made == made + 1
        assert db.query(texts[1]).ids() == slicedb.open(db.path).query(texts[1]).ids()


FIGURES_OF_TWO = (
    "SELECT label, avg(m.confidence) AS m, avg(o.confidence) AS o FROM samples GROUP BY ALL"
)


def test_queries_go_on_while_a_version_is_followed(
    db: slicedb.Database, other: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slicedb.query.hot import warm

    counts(db)
    held = dict(db.engine.session.moments.latest(LONG, lambda: None).versions)
    carry, inside, gate = warm.carry, threading.Event(), threading.Event()

    def waits(*given: object) -> None:
        inside.set()
        assert gate.wait(60)
        carry(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(warm, "carry", waits)
    other.relabel("id < '0007'", "new")
    thread = threading.Thread(target=lambda: followed(db))
    thread.start()
    try:
        assert inside.wait(60)
        # Also columns that were never asked of this version.
        assert db.engine.query("weight >= 0", at=held).count() == len(IDS)
        assert db.engine.query("label = 'new'", at=held).count() == 0
    finally:
        gate.set()
        thread.join(60)
    assert counts(db) == (agree(7), False)


def test_a_version_that_a_query_loads_while_it_is_followed_is_kept_once(
    db: slicedb.Database, other: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slicedb.query.hot import warm

    counts(db)
    carry, inside, gate = warm.carry, threading.Event(), threading.Event()

    def waits(*given: object) -> None:
        if threading.current_thread().name == "follows":
            inside.set()
            assert gate.wait(60)
        carry(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(warm, "carry", waits)
    other.relabel("id < '0007'", "new")
    thread = threading.Thread(target=lambda: followed(db), name="follows")
    thread.start()
    assert inside.wait(60)
    assert db.query("label = 'new'").count() == 7
    gate.set()
    thread.join(60)
    assert counts(db) == (agree(7), False)
    tables = db.engine.session.tables
    places = {state.place for state in tables._loaded.values()}
    kept = tables.fetch("SELECT table_name AS t FROM duckdb_tables() WHERE schema_name = 'hot'")
    assert {f'hot."{name}"' for name in kept["t"].to_pylist()} <= places
