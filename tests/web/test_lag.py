"""While others write, readers are answered from one state, and learn of the next one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import apps
import pytest

import slicedb

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

GATE = """
import pathlib, time
from slicedb.query.run.moments import Moments
Moments.large, follow, gate = 1, Moments._make_ready, pathlib.Path({gate!r})
def waits(self):
    while not gate.exists():
        time.sleep(0.02)
    follow(self)
Moments._make_ready = waits
"""
"""Makes no later state ready before a file is there."""
TEXT = "label = 'Soup'"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def app(web_scenes: Path, tmp_path: Path, gate: Path) -> Iterator[apps.App]:
    copy = tmp_path / "scenes.slicedb"
    shutil.copytree(web_scenes, copy)
    with apps.run(copy, first=GATE.format(gate=str(gate))) as running:
        yield running


def until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def counts(app: apps.App) -> tuple[set[int], set[str], bool]:
    """Return the counts that several questions give, their versions, and whether one is behind."""
    answers = [
        app.ask("/api/count", q=TEXT),
        app.ask("/api/page", q=TEXT, a=0, b=2),
        app.ask("/api/facets", q=TEXT, by="label"),
    ]
    listed = app.ask("/api/page", q="", a=0, b=500)["rows"]
    n = {*(answer["count"] for answer in answers), sum(row["label"] == "Soup" for row in listed)}
    return n, {a["version"] for a in answers}, any(a["behind"] > 0 for a in answers)


def test_every_answer_is_of_one_state_and_the_next_one_comes(app: apps.App, gate: Path) -> None:
    (n,), (version,), is_behind = counts(app)
    assert not is_behind
    other = slicedb.open(app.database)
    other.relabel(f"{TEXT} LIMIT 3", "Bread")
    assert counts(app) == ({n}, {version}, True)
    gate.touch()
    until(lambda: not counts(app)[2])
    (now,), (then,), _ = counts(app)
    assert (now, then != version) == (n - 3, True)


def test_what_a_reader_writes_is_in_the_next_answer(app: apps.App, gate: Path) -> None:
    (n,), _, _ = counts(app)
    ids = [row["id"] for row in app.ask("/api/page", q=TEXT, a=0, b=2)["rows"]]
    slicedb.open(app.database).relabel(f"id = '{ids[0]}'", "Bread")
    assert counts(app)[0] == {n}
    gate.touch()
    app.ask("/api/decide", body={"ids": ids[1:], "label": "Bread"})
    assert "error" not in app.ask("/api/apply", body={"message": "one more"})
    assert app.ask("/api/count", q=TEXT)["count"] == n - 2


def test_the_page_shows_the_next_state_once_it_is_loaded(
    app: apps.App, gate: Path, context: BrowserContext
) -> None:
    (n,), _, _ = counts(app)
    slicedb.open(app.database).relabel(f"{TEXT} LIMIT 3", "Bread")
    app.enter(context)
    page = context.new_page()
    page.goto(f"{app.url}/?q={TEXT}")
    counted = "text => document.getElementById('count').textContent === text"
    later = f"{n} of 120 samples; what others have changed is being loaded"
    page.wait_for_function(counted, arg=later)
    gate.touch()
    page.wait_for_function(counted, arg=f"{n - 3} of 120 samples")
