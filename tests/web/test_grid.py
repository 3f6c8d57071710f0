"""The grid alone, over five million samples: its scroll bar, its places, its keys to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from serving import serve

if TYPE_CHECKING:
    from playwright.sync_api import Page

COUNT = 5_000_000

SCRIPT = """
import { Grid } from "/grid.js";
const host = (window.host = document.getElementById("host"));
Object.assign(host.style, { width: "800px", height: "600px", overflowY: "scroll" });
host.setAttribute("role", "listbox");
window.wanted = [];
const packs = {
  get: (index) => ({ row: { id: `s${index}` }, picture: "" }),
  want: (first, last) => wanted.push([first, last]),
};
const sheet = new CSSStyleSheet();
sheet.replaceSync(`.pane { position: sticky; top: 0; height: var(--view); overflow: hidden }
  .height { position: relative } .strip, .tile { position: absolute }
  .tile { width: var(--tile); height: var(--tile) }`);
document.adoptedStyleSheets.push(sheet);
window.grid = new Grid(host, new Set(), {
  onOpen: () => 0, onPick: () => 0, onPlace: () => 0, caption: () => "",
});
grid.show(packs, %d, 0);
window.shown = () => {
  const box = host.getBoundingClientRect();
  return [...document.querySelectorAll(".tile")].filter((tile) => {
    const at = tile.getBoundingClientRect();
    return at.bottom > box.top && at.top < box.bottom;
  }).map((tile) => Number(tile.dataset.index)).sort((a, b) => a - b);
};
window.settled = () => new Promise((done) => setTimeout(done, 250));
"""


@pytest.fixture
def grid(page: Page) -> Iterator[Page]:
    with serve(SCRIPT % COUNT) as address:
        page.goto(address)
        page.wait_for_function("() => window.grid?.view > 0")
        yield page
        page.close()


def shown(grid: Page) -> list[int]:
    found: list[int] = grid.evaluate("async () => { await settled(); return shown(); }")
    assert found == list(range(found[0], found[-1] + 1))
    return found


def test_only_what_is_on_screen_is_an_element(grid: Page) -> None:
    first = shown(grid)
    assert first[0] == 0 and 20 <= len(first) <= 60
    assert grid.locator(".tile").count() < 80
    assert grid.evaluate("document.querySelector('.height').clientHeight") <= 8_000_000


def test_the_bar_stands_for_the_whole_result(grid: Page) -> None:
    for share in (0.25, 0.5, 0.9):
        grid.evaluate(
            "s => { host.scrollTop = s * (host.scrollHeight - host.clientHeight); }", share
        )
        assert abs(shown(grid)[0] / COUNT - share) < 0.001
    grid.evaluate("() => { host.scrollTop = host.scrollHeight; }")
    assert shown(grid)[-1] == COUNT - 1
    grid.evaluate("() => { host.scrollTop = 0; }")
    assert shown(grid)[0] == 0


def test_a_wheel_moves_by_pixels_wherever_it_is(grid: Page) -> None:
    grid.mouse.move(300, 300)
    for place in (0, 2_000_000):
        grid.evaluate("place => grid.show(grid.packs, grid.count, place)", place)
        before = grid.evaluate("grid.offset")
        for _ in range(5):
            grid.mouse.wheel(0, 200)
        grid.wait_for_function("before => grid.offset > before + 990", arg=before)
        shown(grid)
        assert abs(grid.evaluate("grid.offset") - before - 1000) < 5


def test_a_wheel_reaches_both_ends(grid: Page) -> None:
    grid.mouse.move(300, 300)
    grid.evaluate("() => grid.show(grid.packs, grid.count, grid.count - 100)")
    for _ in range(20):
        grid.mouse.wheel(0, 400)
    assert shown(grid)[-1] == COUNT - 1
    grid.evaluate("() => grid.show(grid.packs, grid.count, 60)")
    for _ in range(20):
        grid.mouse.wheel(0, -400)
    assert shown(grid)[0] == 0


def test_the_cursor_is_kept_in_sight(grid: Page) -> None:
    for index in (0, COUNT - 1, 1_234_567, 1_234_560, 17):
        grid.evaluate("index => grid.go(index)", index)
        assert index in shown(grid)
        active = grid.locator("#host").get_attribute("aria-activedescendant")
        assert active == f"t{index}"


def test_another_size_keeps_what_was_at_the_edge(grid: Page) -> None:
    grid.evaluate("() => grid.show(grid.packs, grid.count, 3000000)")
    place = grid.evaluate("grid.place")
    for size in (60, 240, 132):
        grid.evaluate("size => grid.resize(size)", size)
        assert place in shown(grid)


def test_the_middle_of_the_screen_is_asked_for(grid: Page) -> None:
    grid.evaluate("() => grid.show(grid.packs, grid.count, 1000000)")
    first, last = grid.evaluate("wanted.at(-1)")
    assert first <= 1_000_000 < last <= first + 60
