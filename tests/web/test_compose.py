"""What facets, histograms and "more like this" write into the text of a query."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from serving import serve

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CAT, DOG = "label = 'cat'", "label = 'dog'"
BOTH = {"like": ["'x'"], "unlike": ["sample('b')"]}
LIMITED = "id IN (SELECT id FROM (SELECT * FROM samples WHERE label = 'cat' LIMIT 9))"

CASES: list[tuple[str, list[Any], Any]] = [
    ("toggled", ["", CAT], CAT),
    ("toggled", ["a > 1", CAT], "a > 1 AND label = 'cat'"),
    ("toggled", ["a > 1 AND label='cat'", CAT], "a > 1"),
    ("toggled", ["LABEL   = 'cat'", CAT], ""),
    ("toggled", [CAT, DOG], "label IN ('cat', 'dog')"),
    ("toggled", ["label IN ('cat', 'dog') AND a > 1", CAT], "label = 'dog' AND a > 1"),
    ("toggled", ["label in ('cat','dog','cow')", DOG], "label IN ('cat', 'cow')"),
    ("toggled", ["a = 1 OR b = 2", CAT], "(a = 1 OR b = 2) AND label = 'cat'"),
    ("toggled", ["(a = 1 OR b = 2)", CAT], "(a = 1 OR b = 2) AND label = 'cat'"),
    ("toggled", ["a OR b -- why", CAT], "(a OR b) AND label = 'cat'"),
    ("toggled", ["a -- x\n OR b", CAT], "(a -- x\n OR b\n) AND label = 'cat'"),
    ("toggled", ["a BETWEEN 1 AND 2 AND b", CAT], "a BETWEEN 1 AND 2 AND b AND label = 'cat'"),
    ("toggled", ["a > 1 ORDER BY b", CAT], "a > 1 AND label = 'cat' ORDER BY b"),
    ("toggled", ["ORDER BY b", CAT], "label = 'cat' ORDER BY b"),
    ("toggled", ["label = 'cat' LIMIT 9", "a > 1"], f"{LIMITED} AND a > 1"),
    (
        "toggled",
        ["SELECT id FROM samples;", CAT],
        f"id IN (SELECT id FROM (SELECT id FROM samples)) AND {CAT}",
    ),
    ("toggled", ["label IS DISTINCT FROM 'cat'", CAT], CAT),
    ("toggled", ["label = 'O''Hara; DROP'", "label = 'x'"], "label IN ('O''Hara; DROP', 'x')"),
    ("toggled", ["NOT label = 'cat'", CAT], "NOT label = 'cat' AND label = 'cat'"),
    ("toggled", ["label NOT IN ('cat')", CAT], "label NOT IN ('cat') AND label = 'cat'"),
    ("toggled", ["label IN (SELECT 'cat')", DOG], "label IN (SELECT 'cat') AND label = 'dog'"),
    (
        "toggled",
        ["CASE WHEN a AND b THEN c END AND d", CAT],
        "CASE WHEN a AND b THEN c END AND d AND label = 'cat'",
    ),
    ("excluded", ["", CAT], "label IS DISTINCT FROM 'cat'"),
    ("excluded", ["label IS DISTINCT FROM 'cat'", CAT], ""),
    (
        "excluded",
        ["label IN ('cat', 'dog')", CAT],
        "label = 'dog' AND label IS DISTINCT FROM 'cat'",
    ),
    ("excluded", ["a > 1", "split IS NULL"], "a > 1 AND split IS NOT NULL"),
    ("excluded", ["", "list_contains(tags, 'x')"], "(list_contains(tags, 'x')) IS NOT TRUE"),
    ("has", ["a AND label IN ('cat', 'dog')", DOG], True),
    ("has", ["NOT label = 'dog'", DOG], False),
    ("has", ["label = 'dog' OR a", DOG], False),
    ("leavesOut", ["label IS DISTINCT FROM 'cat'", CAT], True),
    ("range", ["a > 1 AND width BETWEEN 1 AND 20.5", "width"], ["1", "20.5"]),
    ("range", ["width > 3", "width"], None),
    ("ranged", ["a", "width", ["1", "2"]], "a AND width BETWEEN 1 AND 2"),
    ("ranged", ["width BETWEEN 1 AND 2 AND a", "width", ["3", "4"]], "a AND width BETWEEN 3 AND 4"),
    ("ranged", ["a AND width BETWEEN 1 AND 2 ORDER BY b", "width", None], "a ORDER BY b"),
    ("ordered", ["label = 'cat' ORDER BY a", "b"], "label = 'cat' ORDER BY b DESC"),
    ("ordered", ["label = 'cat' ORDER BY a", ""], "label = 'cat'"),
    (
        "likeness",
        [["sample('a')", "'a red car'"], ["sample('b')"]],
        "similarity(sample('a'), 'a red car', without(sample('b')))",
    ),
    ("unordered", ["a AND b ORDER BY c"], "a AND b"),
    ("unordered", ["a AND b ORDER BY c LIMIT 3"], "a AND b ORDER BY c LIMIT 3"),
    ("targets", ["a ORDER BY similarity('x', without(sample('b'))) DESC"], BOTH),
    ("targets", ["ORDER BY similarity('x')"], None),
    ("targets", ["ORDER BY similarity('x') DESC LIMIT 3"], None),
    ("liked", ["a", ["'x'"], []], "a ORDER BY similarity('x') DESC"),
    (
        "liked",
        ["ORDER BY similarity('x', sample('b')) DESC", [], ["sample('b')"]],
        "ORDER BY similarity('x', without(sample('b'))) DESC",
    ),
    ("liked", ["", [], ["sample('b')"]], "ORDER BY -similarity(sample('b')) DESC"),
    ("quoted", ["O'Hara"], "'O''Hara'"),
]


@pytest.fixture(scope="module")
def compose(chromium: Browser) -> Iterator[Page]:
    script = "import * as compose from '/compose.js'; window.compose = compose;"
    with serve(script) as address:
        page = chromium.new_page()
        page.goto(address)
        page.wait_for_function("window.compose")
        yield page
        page.close()


@pytest.mark.parametrize("verb, arguments, result", CASES)
def test_a_text_is_changed_as_a_person_would(
    compose: Page, verb: str, arguments: list[Any], result: Any
) -> None:
    assert compose.evaluate(f"given => compose.{verb}(...given)", arguments) == result
