"""Explore, as people use it: from the first picture to a query that they can copy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import apps
import pytest
from watching import Watch

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

Visit = Callable[..., "Page"]

TILE = "#grid .tile"
COUNTED = "document.getElementById('count').textContent"


TEXTS = (
    "",
    "split = 'test' -- held out",
    "cutlery = 'fork' OR NOT blurry",
    "split = 'test' ORDER BY id LIMIT 30",
    "ORDER BY captured_at",
    "SELECT id FROM samples WHERE width BETWEEN 1 AND 96 AND light <> 'night';",
    "WITH s AS (SELECT id FROM samples WHERE good.correct) SELECT * FROM s",
)


def state(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def until(page: Page, condition: str) -> None:
    """Wait for a condition in the page; a function, since its policy forbids eval."""
    page.wait_for_function(f"() => {condition}")


def shows(page: Page, text: str) -> None:
    """Wait for what stands above the grid."""
    page.wait_for_function(
        "text => document.getElementById('count').textContent === text", arg=text
    )


def fills(page: Page) -> None:
    """Wait until what was asked last is on screen, and every tile has its picture."""
    page.wait_for_function(
        """() => {
          const grid = document.getElementById('grid');
          const box = grid.getBoundingClientRect();
          const tiles = [...document.querySelectorAll('#grid .tile')].filter((tile) => {
            const at = tile.getBoundingClientRect();
            return at.bottom > box.top && at.top < box.bottom;
          });
          const img = (tile) => tile.querySelector('img')?.naturalWidth;
          const has = (tile) => img(tile) || tile.querySelector('.missing');
          return grid.ariaBusy !== 'true' && tiles.length && tiles.every(has);
        }"""
    )


def write(page: Page, text: str) -> None:
    """Write a query into the box and run it."""
    page.keyboard.press("/")
    page.locator("#editor .cm-content").wait_for()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)
    page.keyboard.press("Enter")


def places(page: Page) -> list[str]:
    """Return the captions on screen by their place."""
    found = page.locator(TILE).evaluate_all(
        "tiles => tiles.map(t => [Number(t.dataset.index), t.getAttribute('aria-label')])"
    )
    return [label for _, label in sorted(found)]


def test_a_query_is_written_and_its_pictures_come(visit: Visit, server: apps.App) -> None:
    page = visit("/")
    shows(page, "120 samples")
    fills(page)
    write(page, "label = 'Dessert'")
    n = server.ask("/api/count", q="label = 'Dessert'")["count"]
    shows(page, f"{n} of 120 samples")
    fills(page)
    assert page.locator(TILE).count() == n
    assert all(text.endswith(", Dessert") for text in places(page))
    assert state(page) == {"q": "label = 'Dessert'"}


def test_back_and_reload_restore_query_sort_size_and_open_sample(visit: Visit) -> None:
    page = visit("/", q="label = 'Dessert'")
    fills(page)
    page.locator("#sort option[value=width]").wait_for(state="attached")
    page.select_option("#sort", "captured_at")
    page.wait_for_url("**sort=captured_at**")
    fills(page)
    page.keyboard.press("+")
    page.locator(TILE).nth(2).click()
    page.locator("#panel dl dt").first.wait_for()
    before = state(page), places(page), page.locator("#panel h2").text_content()
    assert set(before[0]) >= {"q", "sort", "size", "open"}
    page.reload()
    fills(page)
    page.locator("#panel dl dt").first.wait_for()
    assert (state(page), places(page), page.locator("#panel h2").text_content()) == before
    page.go_back()
    assert page.locator("#panel").is_hidden()
    page.go_back()
    until(page, "!location.search.includes('sort')")
    assert state(page)["q"] == "label = 'Dessert'"
    until(page, "document.getElementById('sort').value === ''")


def test_a_facet_writes_into_the_query_and_takes_it_out_again(visit: Visit) -> None:
    page = visit("/")
    value = page.locator(".value", has_text="Dessert").first
    value.click()
    until(page, "location.search.includes('label')")
    assert state(page) == {"q": "label = 'Dessert'"}
    page.locator(".value", has_text="Soup").first.click()
    until(page, "location.search.includes('Soup')")
    assert state(page)["q"] == "label IN ('Dessert', 'Soup')"
    page.locator(".on .value", has_text="Dessert").first.click()
    until(page, "!location.search.includes('Dessert')")
    assert state(page)["q"] == "label = 'Soup'"
    page.locator("[aria-label='Leave out Soup']").first.click()
    until(page, "location.search.includes('DISTINCT')")
    assert state(page)["q"] == "label IS DISTINCT FROM 'Soup'"
    page.locator(".off .value", has_text="Soup").first.wait_for()


def test_figures_of_facets_are_those_of_the_query(visit: Visit, server: apps.App) -> None:
    page = visit("/", q="split = 'test'")
    page.locator(".value .total").first.wait_for()
    figures = (
        page.locator(".facet")
        .first.locator("li")
        .evaluate_all(
            "rows => rows.map(row => [row.querySelector('.name').textContent,"
            " row.querySelector('.figure').textContent])"
        )
    )
    assert len(figures) == 11
    for name, figure in figures:
        n = server.ask("/api/count", q=f"split = 'test' AND label = '{name}'")["count"]
        total = server.ask("/api/count", q=f"label = '{name}'")["count"]
        assert figure == (str(n) if n == total else f"{n} / {total}")


def test_what_is_let_in_and_what_is_left_out_make_the_whole(visit: Visit, server: apps.App) -> None:
    page = visit("/")
    facets = server.ask("/api/facets", by="label,tags,good.prediction,good.correct", q="", most=3)
    predicates = [value["predicate"] for f in facets["facets"] for value in f["values"]]
    assert len(predicates) >= 7
    script = """async ([text, predicate]) => {
      const from = document.querySelector("script[src*='explore.js']").src;
      const compose = await import(from.replace("explore.js", "compose.js"));
      return [compose.toggled(text, predicate), compose.excluded(text, predicate)];
    }"""
    for text in TEXTS:
        whole = server.ask("/api/count", q=text)["count"]
        for predicate in predicates:
            inside, outside = page.evaluate(script, [text, predicate])
            parts = [server.ask("/api/count", q=q)["count"] for q in (inside, outside)]
            assert sum(parts) == whole, (inside, outside)


def test_a_brush_on_a_histogram_is_a_range(visit: Visit) -> None:
    page = visit("/")
    chart = page.locator(".histogram").first
    chart.wait_for()
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 20)
    page.mouse.up()
    until(page, "location.search.includes('BETWEEN')")
    text = state(page)["q"]
    assert re.fullmatch(r"good\.confidence BETWEEN 0\.\d+ AND 0\.\d+", text)
    page.locator("[aria-label='No bounds for good.confidence']").click()
    until(page, "!location.search.includes('BETWEEN')")


def test_words_order_by_likeness_and_a_sample_is_added(visit: Visit) -> None:
    page = visit("/", q="split = 'test'")
    fills(page)
    page.fill("#words", "a bowl of soup")
    page.press("#words", "Enter")
    until(page, "location.search.includes('similarity')")
    assert state(page)["q"] == "split = 'test' ORDER BY similarity('a bowl of soup') DESC"
    fills(page)
    page.locator(TILE).first.click()
    page.locator("#panel button", has_text="Less like this").click()
    until(page, "location.search.includes('without')")
    sample = r"without\(sample\('test/[^']+'\)\)"
    text = state(page)["q"]
    assert re.search(rf"similarity\('a bowl of soup', {sample}\) DESC$", text)


def test_a_picture_of_the_reader_finds_what_is_like_it(
    visit: Visit, server: apps.App, web_scenes: Any
) -> None:
    import slicedb

    sample = (
        slicedb.open(web_scenes).query("ORDER BY id LIMIT 1").to_arrow(["id", "uri"]).to_pylist()
    )
    page = visit("/")
    fills(page)
    page.set_input_files("#file", sample[0]["uri"])
    until(page, "location.search.includes('upload')")
    assert state(page)["q"] == "ORDER BY similarity(image($upload)) DESC"
    assert set(json.loads(state(page)["p"])) == {"upload"}
    page.locator(f"{TILE}[title='{sample[0]['id']}'][data-index='0']").wait_for()


def test_the_keyboard_moves_selects_and_opens(visit: Visit) -> None:
    page = visit("/")
    fills(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("l")
    page.keyboard.press("x")
    assert page.locator("#chosen-count").text_content() == "1 selected"
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+L")
    until(page, "document.getElementById('chosen-count').textContent === '3 selected'")
    assert page.locator(f"{TILE}[aria-selected=true]").count() == 3
    page.keyboard.press("Enter")
    page.locator("#panel h2").wait_for()
    first = page.locator("#panel h2").text_content()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "id => document.querySelector('#panel h2').textContent !== id", arg=first
    )
    page.keyboard.press("Escape")
    assert page.locator("#panel").is_hidden()
    page.keyboard.press("Escape")
    assert page.locator("#chosen").is_hidden()
    page.keyboard.press("End")
    page.locator(f"{TILE}.cursor[data-index='119']").wait_for()
    page.keyboard.press("Home")
    page.locator(f"{TILE}.cursor[data-index='0']").wait_for()


def test_letters_in_a_text_field_are_letters(visit: Visit) -> None:
    page = visit("/")
    fills(page)
    page.keyboard.press("/")
    page.locator("#editor .cm-content").wait_for()
    page.keyboard.type("xjhl?")
    assert page.locator("#editor .cm-content").text_content() == "xjhl?"
    assert page.locator("#chosen").is_hidden()
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    assert page.locator("#chosen-count").text_content() == "1 selected"


def test_a_query_is_named_in_two_clicks(context: BrowserContext, own_server: apps.App) -> None:
    own_server.enter(context)
    page = context.new_page()
    page.goto(f"{own_server.url}/?q=cutlery%3D'spoon' ORDER BY id")
    fills(page)
    page.click("#name")
    page.locator("dialog #name-name").wait_for()
    name = page.locator("dialog #name-name").input_value()
    page.click("dialog button.main")
    page.locator(".notice.good").wait_for()
    slices = own_server.ask("/slices.json")
    assert name and name in json.dumps(slices)
    assert own_server.ask("/api/count", q=f"in_slice('{name}')")["count"] > 0


def test_the_query_goes_on_to_be_reviewed(visit: Visit) -> None:
    page = visit("/", q="label = 'Soup'", sort="-captured_at")
    fills(page)
    href = page.locator("#review").get_attribute("href") or ""
    asked = parse_qs(urlsplit(href).query)
    assert asked == {"queue": ["query"], "q": ["label = 'Soup' ORDER BY captured_at DESC"]}
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    first = page.locator(TILE).first.get_attribute("title")
    page.click("#review-these")
    page.wait_for_url("**/clean**")
    assert state(page) == {"queue": "query", "q": f"id IN ('{first}')"}


def test_only_the_selected_become_a_query(visit: Visit) -> None:
    page = visit("/")
    fills(page)
    page.locator(TILE).nth(1).click(modifiers=["Control"])
    page.locator(TILE).nth(3).click(modifiers=["Shift"])
    until(page, "document.getElementById('chosen-count').textContent === '3 selected'")
    ids = page.locator(TILE).evaluate_all("tiles => tiles.slice(1, 4).map(t => t.title)")
    page.click("#only")
    shows(page, "3 of 120 samples")
    assert state(page)["q"] == "id IN ({})".format(", ".join(f"'{i}'" for i in ids))


def test_a_wrong_query_is_marked_and_the_last_answer_stays(visit: Visit, watch: Watch) -> None:
    watch.expect("status of 400")
    page = visit("/")
    fills(page)
    before = places(page)
    top = page.locator("#grid").bounding_box()
    write(page, "lable = 'Soup'")
    wrong = page.locator("#wrong")
    wrong.wait_for()
    assert "No column 'lable'" in (wrong.text_content() or "")
    assert "'label'" in (wrong.text_content() or "")
    assert wrong.locator("mark").text_content() == "lable"
    assert page.locator("#editor .cm-wrong").all_text_contents() == ["lable"]
    assert places(page) == before
    assert page.locator("#grid").bounding_box() == top
    write(page, "label = 'Soup'")
    until(page, "document.getElementById('wrong').hidden")


def test_a_mark_is_in_its_place_behind_an_emoji(visit: Visit, watch: Watch) -> None:
    watch.expect("status of 400")
    page = visit("/")
    write(page, "label = '🍜🍜' AND lable = 'x'")
    page.locator("#editor .cm-wrong").wait_for()
    assert page.locator("#editor .cm-wrong").all_text_contents() == ["lable"]


def test_a_table_of_figures_is_shown_as_one(visit: Visit, server: apps.App) -> None:
    page = visit("/", q="SELECT label, count(*) n FROM samples GROUP BY ALL ORDER BY n DESC, label")
    shows(page, "11 rows")
    rows = page.locator("#table tbody tr").all_text_contents()
    top = server.ask("/api/facets", by="label", histograms="", q="", most=20)["facets"][0]["values"]
    best = max(top, key=lambda value: value["n"])
    assert rows[0] == f"{best['value']}{best['n']}"
    write(page, "label = 'Soup'")
    page.locator(TILE).first.wait_for()
    assert page.locator("#table").is_hidden()


def test_nothing_found_says_what_to_do_next(visit: Visit) -> None:
    page = visit("/", q="label = 'Soup' AND label = 'Bread'")
    empty = page.locator("#empty")
    empty.locator("a").first.wait_for()
    assert "No sample matches" in (empty.text_content() or "")
    empty.locator("a", has_text="without label = 'Bread'").click()
    until(page, f"{COUNTED}.endsWith('of 120 samples')")
    assert state(page)["q"] == "label = 'Soup'"


def test_offers_complete_what_is_written(visit: Visit) -> None:
    page = visit("/")
    page.keyboard.press("/")
    page.locator("#editor .cm-content").wait_for()
    page.keyboard.type("cap")
    page.locator("#editor [role=option]", has_text="caption").first.wait_for()
    page.keyboard.type("tion")
    page.keyboard.press("Escape")
    assert page.locator("#editor .cm-content").text_content() == "caption"


def test_the_history_has_what_ran(visit: Visit, server: apps.App) -> None:
    page = visit("/")
    fills(page)
    write(page, "label = 'Soup'")
    until(page, f"{COUNTED}.includes(' of ')")
    write(page, "split = 'test'")
    n = server.ask("/api/count", q="split = 'test'")["count"]
    shows(page, f"{n} of 120 samples")
    page.click("#past")
    listed = page.locator("dialog .history button").all_text_contents()
    assert listed[:2] == ["split = 'test'", "label = 'Soup'"]
    page.locator("dialog .history button").nth(1).click()
    until(page, f"!{COUNTED}.startsWith('{n} ')")
    page.keyboard.press("/")
    page.keyboard.press("ArrowUp")
    assert page.locator("#editor .cm-content").text_content() == "split = 'test'"


def test_a_lost_connection_is_told_and_the_page_goes_on(
    context: BrowserContext, own_server: apps.App, watch: Watch
) -> None:
    watch.expect("Failed to load resource: net::ERR")
    own_server.enter(context)
    page = context.new_page()
    page.goto(own_server.url + "/")
    fills(page)
    page.focus("#text")
    page.locator("#editor .cm-content").wait_for()
    context.set_offline(True)
    write(page, "label = 'Soup'")
    page.locator("#lost").wait_for()
    assert "cannot be reached" in (page.locator("#lost").text_content() or "")
    assert page.locator(TILE).count() > 20
    context.set_offline(False)
    until(page, "document.getElementById('lost').hidden")
    until(page, f"{COUNTED}.endsWith('of 120 samples')")
    assert all(text.endswith(", Soup") for text in places(page))


def test_a_reader_who_leaves_keeps_nobody_waiting(
    context: BrowserContext, server: apps.App
) -> None:
    server.enter(context)
    slow = "(SELECT count(*) FROM range(20000000000) t(i) WHERE hash(i) % 7 = 1) > width"
    page = context.new_page()
    for _ in range(6):  # more than one session may ask at once
        page.goto(f"{server.url}/?{urlencode({'q': slow})}")
        until(page, "document.getElementById('busy').hidden === false")
    page.goto(f"{server.url}/?q=label%3D'Soup'")
    fills(page)
    until(page, f"{COUNTED}.endsWith('of 120 samples')")


HOSTILE = """O'Brien" <img src=x onerror=alert(1)>"""


def test_a_broken_picture_and_a_hostile_label_are_shown_as_they_are(
    context: BrowserContext, _scenes_once: Path, tmp_path: Path
) -> None:
    import slicedb

    files = sorted((_scenes_once / "pictures").rglob("*.jpg"))[:3]
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, file in zip("abc", files):
        (folder / f"{name}.jpg").write_bytes(file.read_bytes())
    (folder / "b.jpg").write_bytes(files[1].read_bytes()[:400])
    label = HOSTILE.replace('"', '""')
    lines = ["path,label", f'a.jpg,"{label}"', f'b.jpg,"{label}"', "c.jpg,plain"]
    (folder / "list.csv").write_text("\n".join(lines))
    slicedb.open(tmp_path / "d.slicedb").ingest(folder / "list.csv", verify="later")
    with apps.run(tmp_path / "d.slicedb") as app:
        app.enter(context)
        page = context.new_page()
        page.goto(app.url + "/")
        shows(page, "3 samples")
        fills(page)
        assert len(places(page)) == 3
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        until(page, "document.querySelector('#panel img')?.naturalWidth > 0")
        assert page.locator("#panel h2").text_content() == "b.jpg"
        assert page.locator(f"{TILE} .caption").first.text_content() == HOSTILE
        page.locator(".value .name", has_text="O'Brien").click()
        shows(page, "2 of 3 samples")
        assert state(page)["q"] == "label = '{}'".format(HOSTILE.replace("'", "''"))
        assert page.locator(".on .name").text_content() == HOSTILE
        page.close()


def test_a_second_tab_has_its_own_query(context: BrowserContext, server: apps.App) -> None:
    server.enter(context)
    first, second = context.new_page(), context.new_page()
    for page, label in ((first, "Soup"), (second, "Bread")):
        page.goto(f"{server.url}/?q=label = '{label}'")
    for page, label in ((first, "Soup"), (second, "Bread")):
        fills(page)
        assert all(text.endswith(f", {label}") for text in places(page))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_there_is_no_serious_finding(
    visit: Visit, theme: Any, axe: Callable[[Page], list[str]]
) -> None:
    page = visit("/", q="split = 'test'")
    page.emulate_media(color_scheme=theme)
    fills(page)
    page.locator(".value").first.wait_for()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.keyboard.press("Enter")
    page.locator("#panel dl dt").first.wait_for()
    assert axe(page) == []
    write(page, "label = 'Soup' AND label = 'Bread'")
    page.locator("#empty a").first.wait_for()
    assert axe(page) == []
