"""Every verb is cut off at each of its changes: run again, it ends as a clean run does."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes_verbs import VERBS, reopened, sources, state, world

import slicedb
from slicedb.database import Database
from slicedb.store.door import watched

_HARMLESS = ("lost images", "stray pins", "cut-off checkout")
_MENDED = (*_HARMLESS, "orphans", "stale truths", "missing pins")
"""What the doctor may find between a kill and the next run, and says how to mend."""


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
    shutil.copytree(db.path, place)
    copy = slicedb.open(place, create=False)
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


def problems(db: Database, allowed: tuple[str, ...]) -> list[str]:
    return [str(found) for found in db.doctor() if found.problem not in allowed]


@pytest.mark.slow
@pytest.mark.parametrize("name", VERBS)
def test_a_verb_killed_after_any_change_and_run_again_equals_a_clean_run(
    name: str, first: Database, given: Path, tmp_path: Path
) -> None:
    verb = VERBS[name]
    clean = copied(first, tmp_path / "clean")
    changes: list[str] = []
    with watched(lambda when, what, table: changes.append(f"{when} {what} {table}")):
        verb.run(clean, given)
    done = [change.removeprefix("after ") for change in changes if change.startswith("after")]
    assert done
    expected = state(reopened(clean))
    for at, change in enumerate(done, 1):
        db = copied(first, tmp_path / str(at))
        with contextlib.suppress(Killed), watched(cut_after(at)):
            verb.run(db, given)
        again = reopened(db)
        assert problems(again, _MENDED) == [], change
        verb(again, given)
        assert state(reopened(db)) == expected, f"{name} killed after {change}, the {at}th"
        assert problems(reopened(db), _HARMLESS) == [], change
        shutil.rmtree(db.path)
