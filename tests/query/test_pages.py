"""The cookbook and the catalogue of errors say what the language does, and leave nothing out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from pages import QUERIES, cases, cookbook, errors

import slicedb
from slicedb.query import Engine

SOURCE = [Path(slicedb.__file__).parent / room for room in ("query", "vectors")]

WITHOUT_A_TEXT = {
    "does not list": "of facets, histogram and page, not of a text",
    "No facet ": "of facets, histogram and page, not of a text",
    "facets(": "of facets, histogram and page, not of a text",
    "facets() names": "of facets, not of a text",
    "' twice": "of facets, histogram and page, not of a text",
    "is of type ": "of facets, histogram and page, not of a text",
    "Counting status": "of facets, histogram and page, not of a text",
    "histogram(": "of facets, histogram and page, not of a text",
    "() of a query with": "of facets, histogram and page, not of a text",
    "is not one column": "of facets, histogram and page, not of a text",
    "page(": "of facets, histogram and page, not of a text",
    "names the column": "of facets, histogram and page, not of a text",
    "No column is named": "of facets, histogram and page, not of a text",
    "split takes a fraction": "of query.split, not of a text",
    "to group by": "of query.split, not of a text",
    "is not valid Unicode": "no page can show it",
    "holds a NUL character": "no page can show it",
    "nests brackets more than": "too long to show",
    "nested too deeply": "too long to show",
    "used up its time": "depends on the clock",
    "used up its memory": "depends on the machine",
    "is no number.": "a setting, not a text",
    "is no size of": "a setting, not a text",
    "queries at once": "a setting, not a text",
    "has no place": "of complete, not of a text",
    "offers nothing": "of complete, not of a text",
    "is no time.": "a setting, not a text",
    "The request used up": "depends on the clock",
    "wait already": "depends on what others ask",
    "and may have": "too long to show",
    "The result takes": "too long to run",
    "was cancelled": "somebody cancels it",
    "DuckDB failed inside": "needs a DuckDB that fails",
    "was interrupted": "somebody stops it",
    "The function '.*' failed": "needs a package that fails",
    "describes a query in a way": "needs another DuckDB",
    "No image file": "reads a file",
    "is no picture to compare with": "of a parameter, not of a text",
    "cannot be read": "reads a file",
    "needs embeddings, there are none": "another world",
    "none is named 'default'": "another world",
    "needs maps, there are none": "another world",
    "needs a map, there is none": "another world",
    "There are no label maps": "another world",
    "Several models have maps": "another world",
    "the stored vectors have": "another encoder",
    "was made with another encoder": "another encoder",
    "is known here": "another engine",
    "an index needs": "a verb, not a text",
    "is not in (0, 1]": "a verb, not a text",
    "No text column": "a verb, not a text",
    "has no training code": "a verb, not a text",
    "needs samples, and this query": "a verb, not a text",
    "is negative": "a verb, not a text",
    "in the result": "a verb, not a text",
    "t-SNE needs openTSNE": "a verb, not a text",
    "is of the embedding": "a verb, not a text",
    "to project by": "a verb, not a text",
    "There is no vector to project": "a verb, not a text",
    "' is by ": "a verb, not a text",
    "was fitted on vectors of": "a verb, not a text",
    "shows nothing": "a verb, not a text",
    "of those the map was fitted on": "a verb, not a text",
    "Another process has made this map": "a verb, not a text",
    "which is no SQL value": "a value beside the text",
    "in the text.": "a value beside the text",
    "params is": "a value beside the text",
    "A query has no range": "a verb, not a text",
    "There is no sample": "a verb, not a text",
    "a call that does not end": "cannot happen",
}
"""Messages that no text in a small world provokes, and why."""


def test_the_cookbook_is_that_of_the_cases() -> None:
    recipes = [case for case in cases() if case.file == "cookbook"]
    assert len(recipes) >= 30
    assert all(case.wants.get("ids") or case.wants.get("rows") for case in recipes)
    assert (QUERIES / "COOKBOOK.md").read_text() == cookbook(), "run python tests/query/pages.py"


def test_the_catalogue_says_what_is_raised(engine: Engine) -> None:
    page = (QUERIES / "ERRORS.md").read_text().split("\n\n")
    raised = set(errors(engine).split("\n\n"))
    assert [entry for entry in page if entry not in raised] == [], "run python tests/query/pages.py"


@cache
def templates() -> tuple[str, ...]:
    """Return a regular expression for every message of an error in the code of the language."""
    return tuple(_templates())


def _templates() -> Iterator[str]:
    for file in (f for room in SOURCE for f in sorted(room.rglob("*.py"))):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "message":
                yield from _patterns(node.value)
            elif isinstance(node, ast.Call) and _is_error(node.func):
                yield from _patterns(next(iter(_messages(node)), None))


def _is_error(function: ast.expr) -> bool:
    name = ast.unparse(function).rsplit(".", 1)[-1]
    return name == "error" or name.endswith("Error")


def _messages(call: ast.Call) -> Iterator[ast.expr]:
    for argument in call.args[:2]:
        if not ast.unparse(argument).endswith("Error"):
            yield argument


def _patterns(value: ast.expr | None) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str) and " " in value.value:
        yield re.escape(value.value)
    elif isinstance(value, ast.JoinedStr):
        parts = (v.value if isinstance(v, ast.Constant) else None for v in value.values)
        found = "".join(".*" if part is None else re.escape(str(part)) for part in parts)
        if len(found.replace(".*", "").strip(" .\\'")) > 3:
            yield found


def test_every_error_of_the_language_is_in_the_catalogue() -> None:
    said = (QUERIES / "ERRORS.md").read_text()
    missing = [
        pattern
        for pattern in dict.fromkeys(templates())
        if not re.search(pattern, said)
        and not any(known in pattern.replace("\\", "") for known in WITHOUT_A_TEXT)
    ]
    assert missing == [], "add a case, and run python tests/query/pages.py"


@pytest.mark.parametrize("known", WITHOUT_A_TEXT)
def test_what_has_no_text_is_still_in_the_code(known: str) -> None:
    assert any(known in pattern.replace("\\", "") for pattern in templates())
