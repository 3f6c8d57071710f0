"""The scripts of the journeys run, line by line, on what a person has at the start of each."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import fakes_journeys
import pytest

from slicedb.cli import main

FOLDER = Path(__file__).parents[1] / "queries" / "journeys"
SCRIPTS = sorted(FOLDER.glob("*.sh"))

STEPS = (7, 6, 6, 6, 6)
"""How many steps each journey has; a script has no more commands."""

SAYS = (
    ("PASS          whole           accuracy > 0.5", "117 images"),
    ("PASS     held_out  accuracy >= 0.8", "300 predictions of 2 classes"),
    ("two pictures less", "4 predicted", "main (clean)", "dropped branch training_run"),
    ("60 embedded", "80 images", "20 added, 0 changed, 60 unchanged", "this is look 2 at it"),
    ("2 quarantined: 1 not_an_image, 1 truncated", "grizzly"),
)
"""What each prints, among other things."""

PAGES = (
    {"confusion.html": 0, "looked_at.html": 5, "templates.html": 2, "report.html": 5},
    {"validation.html": 2, "errors.html": 50, "cost.html": 0, "final.html": 0},
    {"worst.html": 4},
    {"soup.html": 6, "report-week1.html": 0, "report-week2.html": 0},
    {"errors.html": 8, "weather.html": 0},
)
"""The pages that each writes, and how many pictures these show at the least."""


def commands(script: Path) -> list[str]:
    """Return the commands of a script; comments and settings of variables are none."""
    lines = [line.split("   #")[0] for line in script.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not re.match(r"#|\w+=", line)]


def run(line: str) -> None:
    """Run one line of a script in this process, which has loaded the heavy libraries."""
    verb, *words = (os.path.expandvars(word) for word in shlex.split(line))
    if verb == "python":
        old, sys.argv = sys.argv, words
        try:
            runpy.run_path(words[0], run_name="__main__")
        finally:
            sys.argv = old
        return
    assert verb == "slicedb"
    try:
        main(words)
    except SystemExit as stop:
        assert not stop.code, line


def next_week() -> None:
    """The bucket has filled, and the same script runs again."""
    fakes_journeys.arrive(2, 20)
    os.environ["WEEK"] = "week2"
    for line in commands(SCRIPTS[3]):
        run(line)


def test_a_script_is_shell_and_has_no_more_commands_than_its_journey_has_steps() -> None:
    assert [script.name[0] for script in SCRIPTS] == list("12345")
    for script, steps in zip(SCRIPTS, STEPS):
        subprocess.run(["sh", "-n", str(script)], check=True)
        assert 4 <= len(commands(script)) <= steps, script.name


@pytest.mark.slow
@pytest.mark.parametrize("number", range(5), ids=lambda number: SCRIPTS[number].stem)
def test_a_journey_in_the_shell(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLICEDB_DB", raising=False)
    monkeypatch.setenv("HERE", str(FOLDER))
    monkeypatch.setenv("WEEK", "week1")
    fakes_journeys.NEEDS[number]()
    for line in commands(SCRIPTS[number]):
        run(line)
    if number == 3:
        next_week()
    said = capsys.readouterr().out
    assert [part for part in SAYS[number] if part not in said] == []
    shown = {name: Path(name).read_text(encoding="utf-8").count("<img ") for name in PAGES[number]}
    assert all(n >= PAGES[number][name] for name, n in shown.items()), shown
