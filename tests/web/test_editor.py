"""The query box alone in a browser, under the policy of the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from serving import serve
from watching import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Page

SCRIPT = """
import { Editor } from "/editor.js";
window.log = [];
const labels = [
  { insert: "label", label: "label", kind: "column", detail: "VARCHAR" },
  { insert: "labels", label: "labels", kind: "column", detail: "VARCHAR[]" },
];
window.editor = new Editor(document.getElementById("host"), {
  text: "label = 'cat'",
  caret: 13,
  label: "Query",
  hint: "all samples",
  complete: async (text, place) => ({ from: 0, to: 3, options: text === "lab" ? labels : [] }),
  run: (text) => log.push(["run", text]),
  typed: (text) => log.push(["typed", text]),
  recall: (step) => (step < 0 ? "an earlier query" : null),
  leave: () => log.push(["leave"]),
});
"""


@pytest.fixture(scope="module")
def bench() -> Iterator[str]:
    """The address of a page that holds a query box and nothing else."""
    with serve(SCRIPT) as address:
        yield address


@pytest.fixture
def box(page: Page, bench: str) -> Page:
    page.goto(bench)
    page.wait_for_function("window.editor")
    page.evaluate("editor.focus()")
    return page


def replace(box: Page, text: str) -> None:
    box.keyboard.press("Control+a")
    box.keyboard.type(text)


def test_words_strings_and_numbers_have_their_colours(box: Page) -> None:
    replace(box, "label = 'Chef''s' AND v3.loss > 2.5 -- why")
    spans = box.locator(".cm-line span").all_text_contents()
    assert spans == ["=", "'Chef''s'", "AND", ">", "2.5", "-- why"]


def test_a_string_and_a_comment_may_go_over_lines(box: Page) -> None:
    box.evaluate("editor.text = \"a = 'one\\ntwo' /* and\\nmore */ OR b\"")
    spans = box.locator(".cm-line span").all_text_contents()
    assert spans == ["=", "'one", "two'", "/* and", "more */", "OR"]


def test_enter_runs_and_no_offer_gets_in_its_way(box: Page) -> None:
    replace(box, "lab")
    box.locator(".cm-tooltip-autocomplete").wait_for()
    box.keyboard.press("Enter")
    assert box.evaluate("log.at(-1)") == ["run", "lab"]
    assert box.locator(".cm-tooltip-autocomplete").count() == 0


def test_tab_takes_the_first_offer_and_leaves_the_box_without_one(box: Page) -> None:
    replace(box, "lab")
    box.locator(".cm-tooltip-autocomplete").wait_for()
    assert box.locator("[role=option]").all_text_contents() == ["labelVARCHAR", "labelsVARCHAR[]"]
    box.keyboard.press("Tab")
    assert box.evaluate("editor.text") == "label"
    box.keyboard.press("Escape")
    box.keyboard.press("Tab")
    assert not box.evaluate("document.activeElement === document.getElementById('host')")


def test_an_arrow_chooses_another_offer(box: Page) -> None:
    replace(box, "lab")
    box.locator(".cm-tooltip-autocomplete").wait_for()
    box.keyboard.press("ArrowDown")
    box.keyboard.press("ArrowDown")
    box.keyboard.press("Enter")
    assert box.evaluate("editor.text") == "labels"


def test_a_text_in_place_of_a_selection_keeps_the_policy(box: Page) -> None:
    box.keyboard.press("Control+a")
    box.keyboard.insert_text("'dog' = label")
    assert box.evaluate("editor.text") == "'dog' = label"
    assert box.evaluate("log.at(-1)") == ["typed", "'dog' = label"]


def test_a_quote_around_a_selection_keeps_it(box: Page) -> None:
    box.keyboard.press("Control+a")
    box.keyboard.type("(")
    assert box.evaluate("editor.text") == "(label = 'cat')"


def test_a_mark_goes_when_the_text_is_changed(box: Page) -> None:
    replace(box, "lable = 'cat'")
    box.evaluate("editor.mark({start: 0, end: 5})")
    assert box.locator(".cm-wrong").all_text_contents() == ["lable"]
    assert box.locator(".cm-content").get_attribute("aria-invalid") == "true"
    box.keyboard.type("x")
    assert box.locator(".cm-wrong").count() == 0


@pytest.mark.parametrize(
    "place", [{"start": 99, "end": 120}, {"start": 3, "end": 3}, {"start": 0, "end": 0}]
)
def test_a_mark_at_the_end_or_of_no_width_shows_somewhere(box: Page, place: dict[str, int]) -> None:
    replace(box, "label = ")
    box.evaluate("place => editor.mark(place)", place)
    assert len(box.locator(".cm-wrong").first.text_content() or "") == 1


def test_a_mark_in_an_empty_box_is_none(box: Page) -> None:
    replace(box, "x")
    box.keyboard.press("Backspace")
    box.evaluate("editor.mark({start: 0, end: 5})")
    assert box.locator(".cm-wrong").count() == 0


def test_the_history_is_an_arrow_away(box: Page) -> None:
    box.keyboard.press("ArrowUp")
    assert box.evaluate("editor.text") == "an earlier query"


def test_escape_leaves_the_box(box: Page) -> None:
    box.keyboard.press("Escape")
    assert box.evaluate("log.at(-1)") == ["leave"]


def test_typing_is_told_and_a_text_put_in_is_not(box: Page) -> None:
    box.evaluate("editor.text = 'put in'")
    box.keyboard.type("!")
    box.keyboard.press("Backspace")
    told = [entry for entry in box.evaluate("log") if entry[0] == "typed"]
    assert told == [["typed", "put in!"], ["typed", "put in"]]


def test_the_harness_sees_faults(chromium: Any, bench: str) -> None:
    watch, context = Watch(), chromium.new_context()
    watch.follow(context)
    page = context.new_page()
    page.goto(bench)
    page.evaluate("document.body.appendChild(document.createElement('style')).textContent = 'p {}'")
    page.evaluate("setTimeout(() => { throw new Error('thrown late') })")
    page.evaluate("console.error('expected')")
    page.wait_for_timeout(100)
    watch.expect("^expected")
    blank = context.new_page()
    blank.evaluate("fetch('http://localhost:9/').catch(() => 0)")
    context.close()
    text = "\n".join(watch.faults)
    assert "policy: style-src-elem forbids inline" in text
    assert "thrown late" in text
    assert "a request left this machine: http://localhost:9/" in text
    assert "expected" not in text
