"""Verbs that are cut off, killed or overtaken: run again, they end as a clean run does."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes_copies import LONG, duplicate
from fakes_kill import HARMLESS, MENDED, Kills, problems
from fakes_race import Four, four, wrong
from fakes_verbs import READS, VERBS, WRITES, reopened, sources, state, world

import slicedb
from slicedb.commits import Commits
from slicedb.database import Database
from slicedb.models import Models
from slicedb.runs import Runs
from slicedb.slices import Slices
from slicedb.store.door import watched


class Killed(BaseException):
    """Reaches the caller as Ctrl-C or a kill does: nothing catches it."""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sources(tmp_path_factory.mktemp("given"))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, given: Path) -> Database:
    """The database that every case starts from a copy of."""
    return world(tmp_path_factory.mktemp("world") / "db", given)


def copied(db: Database, place: Path) -> Database:
    copy = slicedb.open(duplicate(db.path, place), create=False)
    copy.models._loaded.update(db.models._loaded)
    return copy


def cut_after(change: int) -> Callable[[str, str, str], None]:
    """Return a watch that kills after the n-th change, which is before the next."""
    seen = 0

    def watch(when: str, what: str, table: str) -> None:
        nonlocal seen
        seen += when == "after"
        if seen == change and when == "after":
            raise Killed(f"{what} {table}")

    return watch


MOST = 6
"""So many moments of a verb are tried, from its first change to its last."""


def moments(changes: list[str]) -> list[int]:
    """Return after which changes, counted from 1, a verb is killed.

    Of changes of one kind in a row, such as ten tables that are restored, these are the first and
    the last, and of those at most MOST, evenly spread; `.ci/run long` tries all changes.
    """
    if LONG:
        return list(range(1, len(changes) + 1))
    chosen, at = [], 1
    for _, group in itertools.groupby(changes, key=lambda change: change.rpartition(" ")[0]):
        n = len(list(group))
        chosen += sorted({at, at + n - 1})
        at += n
    spread = np.linspace(0, len(chosen) - 1, min(MOST, len(chosen))).round().astype(int)
    return [chosen[i] for i in spread]


@pytest.mark.skipif(LONG, reason="all changes are tried")
def test_of_changes_of_one_kind_the_first_and_the_last_are_cut_off() -> None:
    restored = [f"restore {table}" for table in "abc"]
    assert moments(["append a", *restored, "replace c"]) == [1, 2, 4, 5]
    many = [f"{'append' if i % 2 else 'pin'} a" for i in range(51)]
    assert moments(many) == [1, 11, 21, 31, 41, 51]


class Moments:
    """Copies the database after every change, as a process that dies there leaves it."""

    def __init__(self, db: Database, folder: Path) -> None:
        self._db = db
        self._folder = folder
        self.changes: list[str] = []
        self._models: list[dict[str, object]] = []

    def __call__(self, when: str, what: str, table: str) -> None:
        if when == "after":
            self.changes.append(f"{what} {table}")
            self._models.append(dict(self._db.models._loaded))
            duplicate(self._db.path, self._folder / str(len(self.changes)))

    def after(self, change: int) -> Database:
        """Return the database as the n-th change left it."""
        db = slicedb.open(self._folder / str(change), create=False)
        db.models._loaded.update(self._models[change - 1])  # type: ignore[arg-type]
        return db


@pytest.mark.slow
@pytest.mark.parametrize("name", VERBS)
def test_a_verb_killed_after_any_change_and_run_again_equals_a_clean_run(
    name: str, first: Database, given: Path, tmp_path: Path
) -> None:
    verb = VERBS[name]
    clean = copied(first, tmp_path / "clean")
    left = Moments(clean, tmp_path)
    with watched(left):
        verb.run(clean, given)
    assert left.changes
    expected = state(reopened(clean))
    tried = moments(left.changes)
    for at in tried:
        change = left.changes[at - 1]
        if at == tried[len(tried) // 2]:  # one is cut off by Ctrl-C, which `finally` can see
            db = copied(first, tmp_path / "interrupted")
            with contextlib.suppress(Killed), watched(cut_after(at)):
                verb.run(db, given)
            db = reopened(db)
        else:
            db = left.after(at)
        assert problems(db, MENDED) == [], change
        verb(db, given)
        again = reopened(db)
        assert state(again) == expected, f"{name} killed after {change}, the {at}th"
        assert problems(again, HARMLESS) == [], change
    shutil.rmtree(tmp_path)


HANDLES = (Database, Slices, Commits, Models, Runs)


@pytest.mark.parametrize("handle", HANDLES, ids=lambda handle: handle.__name__)
def test_every_public_verb_is_one_that_is_killed_or_one_that_only_reads(handle: type) -> None:
    methods = {
        f"{handle.__name__}.{name}"
        for part in handle.__mro__[:-1]
        for name, method in vars(part).items()
        if inspect.isfunction(method) and not name.startswith("_")
    }
    listed = {name for name in [*WRITES, *READS] if name.split(".")[0] == handle.__name__}
    assert methods == listed, "list a new verb in WRITES or READS of fakes_verbs"
    assert not set(WRITES) & set(READS) and {v for vs in WRITES.values() for v in vs} == set(VERBS)


def test_verbs_that_only_read_change_nothing(first: Database, tmp_path: Path) -> None:
    changes: list[str] = []
    db = copied(first, tmp_path / "db")
    with watched(lambda when, what, table: changes.append(f"{what} {table}")):
        for name, read in READS.items():
            read(db, tmp_path)
            assert changes == [], name


@pytest.fixture(scope="module")
def kills(tmp_path_factory: pytest.TempPathFactory, first: Database, given: Path) -> Kills:
    return Kills(tmp_path_factory.mktemp("kills"), first, given)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "ingest",
        "log anew",
        "commit",
        "checkout",
        "predict anew",
    ],
)
def test_a_verb_killed_by_the_system_and_run_again_equals_a_clean_run(
    name: str, kills: Kills
) -> None:
    shares = np.random.default_rng(len(name)).random(2)
    assert [kills.kill(name, share).fault for share in shares] == [""] * 2


@pytest.fixture(scope="module")
def processes() -> Iterator[Four]:
    with four() as started:
        yield started


@pytest.mark.slow
@pytest.mark.parametrize(
    "pair",
    [
        ("tag", "ingest"),
        ("relabel", "ingest"),
        ("log", "log anew"),
        ("predict", "embed"),
        ("commit", "reset"),
        ("add slice", "freeze"),
        ("add model", "test"),
    ],
    ids=" and ".join,
)
def test_four_processes_at_once_lose_nothing_that_was_acknowledged(
    pair: tuple[str, str], first: Database, processes: Four, tmp_path: Path
) -> None:
    db = copied(first, tmp_path / "db")
    for at in range(2):
        assert wrong(db.path, pair, at, processes.act(db.path, pair, at)) == []
