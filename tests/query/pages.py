"""The pages made from the cases: `python tests/query/pages.py` writes them, a test compares them.

The cookbook shows `cases/cookbook.sql` and `cases/sequences.sql`, the catalogue of errors every
case that ends in an error.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CASES = Path(__file__).parent / "cases"
QUERIES = Path(__file__).parents[2] / "queries"

COOKBOOK = """# Cookbook

Worked queries. Each of them is a test: `tests/query/cases/cookbook.sql` has the samples that it
finds in a small world. `m1` and `m2` are classifiers, and `d1` and `d2` are detectors; put the
names of your own models in their place. Those about sequences need the columns `video` and
`frame`. A text that begins with SELECT returns what it lists. Any other text selects samples and
becomes a slice with `slicedb slice add NAME "TEXT"`. [README.md](README.md) explains the functions.
"""

ERRORS = """# Errors of the query language

This page lists every error, each with a text that causes it. An error is one line with the
position, the token and a hint. It comes before any row is read, unless the value of a row is to
blame. In Python it is a `slicedb.errors.QueryError` with `line`, `column`, `token` and `hint`.
Each text is a test (`tests/query/cases`), and another test checks that no error of the language
is missing here.
"""

ABOUT = {
    "ParseError": "The text is not SQL.",
    "BindError": "The text names something that does not exist, or uses it where it cannot stand.",
    "SandboxError": "The text tries to write, or to reach files, the network or internals.",
    "QueryError": "The value of a row cannot be computed.",
}


@dataclass
class Case:
    """One case of a file."""

    file: str
    title: str
    part: str
    wants: dict[str, str] = field(default_factory=dict)
    text: str = ""


def cases() -> Iterator[Case]:
    """Yield every case of every file."""
    for file in sorted(CASES.glob("*.sql")):
        part = ""
        for piece in re.split(r"^(?=-- (?:case|part): )", file.read_text(), flags=re.MULTILINE):
            head, _, rest = piece.partition("\n")
            if head.startswith("-- part: "):
                part = head.removeprefix("-- part: ")
            elif head.startswith("-- case: "):
                case = Case(file.stem, head.removeprefix("-- case: ").strip(), part)
                lines = rest.split("\n")
                while lines and (m := re.match(r"-- (ids\*?|rows|error|hint): ?(.*)", lines[0])):
                    case.wants[m[1]] = m[2].strip()
                    lines.pop(0)
                case.text = "\n".join(lines).rstrip("\n")
                yield case


def cookbook() -> str:
    """Return the cookbook as Markdown."""
    lines, part = [COOKBOOK], ""
    for case in (c for c in cases() if c.file in ("cookbook", "sequences")):
        if case.part != part:
            part = case.part
            lines.append(f"## {part}\n")
        lines.append(f"{case.title}:\n\n```sql\n{case.text}\n```\n")
    return "\n".join(lines)


def error_of(engine: Any, case: Case) -> Any:
    """Return the error a case raises."""
    from slicedb.errors import QueryError

    try:
        engine.query(case.text, files=False).to_arrow()
    except QueryError as error:
        return error
    raise AssertionError(f"{case.file}: {case.title} raises nothing")


def errors(engine: Any) -> str:
    """Return the catalogue of errors as Markdown."""
    lines = [ERRORS]
    wrong = [case for case in cases() if "error" in case.wants]
    for kind, about in ABOUT.items():
        lines.append(f"## {kind}\n\n{about}\n")
        for case in wrong:
            if case.wants["error"].split()[0] == kind:
                shown = str(error_of(engine, case)).split("\n")[0]
                fence = "```" if "```" not in case.text else "~~~"
                lines.append(f"{case.title}:\n\n{fence}text\n{case.text}\n\n{shown}\n{fence}\n")
    return "\n".join(lines)


def main() -> None:
    """Write both pages."""
    sys.path.insert(0, str(Path(__file__).parent))
    from world import build, engine_of

    with tempfile.TemporaryDirectory() as folder:
        engine = engine_of(build(Path(folder) / "world"))
        (QUERIES / "COOKBOOK.md").write_text(cookbook(), encoding="utf-8")
        (QUERIES / "ERRORS.md").write_text(errors(engine), encoding="utf-8")


if __name__ == "__main__":
    main()
