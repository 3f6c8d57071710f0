"""What is counted stands in the singular where it is one: `show.numbers.count` and `verb`."""

from __future__ import annotations

import re
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "slicedb"
_COUNTED = re.compile(r"\{(?:[^{}]*:,|len\([^{}]*\))\} (?:[a-z-]+ )?([a-z]+s|have|are|were)\b")
"""A number with separators, or a length, before what may be a plural."""
_NOT_COUNTED = {"is", "as", "this", "its", "does", "has", "was", "times", "yes", "names", "ties"}
_MANY = {
    "ingest/absent.py": "one is said before",
    "ingest/yololine.py": "that are named: a list",
    "judge/absolute.py": "a classifier has two classes or more",
    "pytest_plugin.py": "one is said before",
    "query/bind/sizes.py": "bounds of a hundred and more",
    "query/bound/binding.py": "several, between which it cannot choose",
    "runs/looks.py": "one is said before",
    "sources/pattern.py": "a bound of thousands",
    "tasks/givenmaps.py": "none of the classes",
    "training/columns.py": "none of the classes",
}
"""Files with numbers that are never one, and why."""


def test_no_text_prints_a_number_before_a_fixed_plural() -> None:
    wrong = [
        f"{path.relative_to(SOURCE)}:{number}: {line.strip()}"
        for path in sorted(SOURCE.rglob("*.py"))
        if str(path.relative_to(SOURCE)) not in _MANY
        for number, line in enumerate(path.read_text().split("\n"), 1)
        if any(word not in _NOT_COUNTED for word in _COUNTED.findall(line))
    ]
    assert not wrong, "count(n, 'image') and verb(n, 'has', 'have') agree:\n" + "\n".join(wrong)


def test_the_check_sees_what_it_looks_for() -> None:
    assert _COUNTED.search('f"{n:,} images have no label"')
    assert _COUNTED.search('f"{len(rows)} broken rows"')
    assert not _COUNTED.search("f\"{count(n, 'image')} left\"")
    assert all((SOURCE / name).exists() for name in _MANY)
