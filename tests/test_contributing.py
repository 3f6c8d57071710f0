"""The pages for developers speak of what is there: files, names, and the steps of .ci/run."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [p for p in (ROOT / "CONTRIBUTING.md", ROOT / "slicedb" / "README.md") if p.is_file()]
STEPS = set(re.findall(r"^step_(\w+)\(\)", (ROOT / ".ci" / "run").read_text(), flags=re.M))

FILE = re.compile(r"\.?[\w-]+(/[\w.<>-]+)*(/|\.(py|md|sql|toml|yml|yaml|css|js|html))")
DOTTED = re.compile(r"[a-z_]\w*(\.\w+)+")


def spans(page: Path) -> list[str]:
    """Return the code spans of a page, without its blocks."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.findall(r"`([^`\n]+)`", text)


def exists(name: str) -> bool:
    """Return whether a dotted name is a module, or an object of one; `db` is a `Database`."""
    if name.startswith("db."):
        name = "slicedb.Database." + name[3:]
    for start in (name, f"slicedb.{name}"):
        parts = start.split(".")
        for cut in range(len(parts), 0, -1):
            try:
                value: object = import_module(".".join(parts[:cut]))
            except ImportError:
                continue
            for part in parts[cut:]:
                value = getattr(value, part, None)
            if value is not None:
                return True
            break
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_and_name_on_the_page_exists(page: Path) -> None:
    places = (page.parent, ROOT, ROOT / "slicedb", ROOT / "queries" / "demo")
    missing = []
    for span in spans(page):
        if FILE.fullmatch(span):
            if "<" not in span and not any((place / span).exists() for place in places):
                missing.append(span)
        elif DOTTED.fullmatch(span.removesuffix("()")) and not exists(span.removesuffix("()")):
            missing.append(span)
    assert missing == []


def test_names_that_do_not_exist_are_seen() -> None:
    assert exists("db.test") and exists("store.Store.open") and exists("slicedb.errors.QueryError")
    assert not any(map(exists, ("db.tset", "store.Store.opne", "slicedb.erors", "nowhere.at_all")))


def test_hooks_and_workflow_call_the_steps_of_the_ci_script() -> None:
    for file in (".pre-commit-config.yaml", ".github/workflows/ci.yml", "CONTRIBUTING.md"):
        if (ROOT / file).is_file():
            called = re.findall(r"[:`+] ?\.ci/run ((?:[a-z]+ ?)+)", (ROOT / file).read_text())
            assert called
            assert {word for words in called for word in words.split()} <= STEPS


def test_the_table_of_rooms_is_that_of_the_layout_test() -> None:
    from test_layout import ROWS, modules

    page = (ROOT / "slicedb" / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| [\w ]+ \| (`.+`) \|$", page, flags=re.M)
    rooms = {name for name, _ in modules()}
    assert [re.findall(r"`(\w+)`", line) for line in lines] == [
        [room for room in row if room in rooms] for row in ROWS
    ]
