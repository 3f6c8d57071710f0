"""The map: what the server sends, and what a person does with it in a browser."""

from __future__ import annotations

import json
import math
import re
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import apps
import numpy as np
import pyarrow as pa
import pytest

import slicedb
from slicedb.database import Database
from slicedb.schema import SAMPLES
from slicedb.web.cloud import Clouds
from slicedb.web.colours import NONE, colours
from slicedb.web.maps import about

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator, Page
    from watching import Watch

SCENES = 120


@pytest.fixture(scope="module")
def mapped(web_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose samples have points: the map `pca`."""
    path = tmp_path_factory.mktemp("map") / "scenes.slicedb"
    shutil.copytree(web_scenes, path)
    slicedb.open(path).project(progress=False)
    return path


@pytest.fixture(scope="module")
def app(mapped: Path) -> Iterator[apps.App]:
    with apps.run(mapped) as app:
        yield app


@pytest.fixture(scope="module")
def db(mapped: Path) -> Database:
    return slicedb.open(mapped)


@pytest.fixture
def opened(context: BrowserContext, app: apps.App) -> Callable[..., Page]:
    """Open the map in a watched tab, and wait until it has its legend."""
    app.enter(context)

    def opened(**state: object) -> Page:
        page = context.new_page()
        page.goto(f"{app.url}/map?{urlencode(state)}")
        page.locator("#legend tbody tr").first.wait_for()
        return page

    return opened


def fetch(app: apps.App, path: str, **params: object) -> tuple[dict[str, Any], bytes]:
    """Return the head and the bytes behind it."""
    request = Request(f"{app.url}{path}?{urlencode(params)}", headers={"Cookie": app.cookie})
    with urlopen(request) as answer:
        body = answer.read()
    (length,) = struct.unpack("<I", body[:4])
    return json.loads(body[4 : 4 + length]), body[4 + length :]


def count(page: Page) -> int:
    """Return the number of samples that the page says the query has."""
    return int(re.sub(r"\D", "", page.locator("#count").inner_text().split("sample")[0]))


def text(page: Page) -> str:
    """Return the query, as the plain field has it."""
    return page.locator("#text").input_value()


def expecting(locator: Locator) -> Any:
    """Return what waits for a state of an element; the policy forbids functions that are polled."""
    from playwright.sync_api import expect

    return expect(locator)


def until(page: Page, pattern: str) -> None:
    """Wait until the query matches a regular expression."""
    expecting(page.locator("#text")).to_have_value(re.compile(pattern))


def table(page: Page) -> dict[str, tuple[int, int]]:
    """Return the counts of each row of the legend: in the query, and all."""
    rows = page.locator("#legend tbody tr").all()
    cells = [row.locator("th, td").all_inner_texts() for row in rows]
    return {name.strip(): (int(n), int(total)) for name, n, total in cells}


def box_of(stage: Locator) -> dict[str, float]:
    box = stage.bounding_box()
    assert box is not None
    return dict(box)


def draw(page: Page, corners: list[tuple[float, float]]) -> None:
    """Drag over the map along corners, which are parts of its width and height."""
    box = box_of(page.locator("#points"))
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*at[0])
    page.mouse.down()
    for x, y in at[1:]:
        page.mouse.move(x, y, steps=4)
    page.mouse.up()


# --- the server -------------------------------------------------------------------------------


def test_points_come_in_the_order_of_their_keys_within_a_step_of_their_place(
    app: apps.App, db: Database
) -> None:
    head, body = fetch(app, "/api/map/points", map="pca")
    grid = np.frombuffer(body, "<u2").reshape(-1, 2)
    at = grid * np.array(head["step"]) + np.array(head["low"])
    rows = db.sql("SELECT map_x('pca') AS x, map_y('pca') AS y FROM samples ORDER BY key")
    exact = np.stack([rows["x"].to_numpy(), rows["y"].to_numpy()], axis=1)
    assert (head["n"], head["without"], len(body)) == (SCENES, 0, 4 * SCENES)
    assert (np.abs(at - exact) <= 0.501 * np.array(head["step"])).all()
    assert grid.min() == 0 and grid.max() == 65535


def test_bits_say_which_points_a_query_has(app: apps.App, db: Database) -> None:
    version = fetch(app, "/api/map/points", map="pca")[0]["version"]
    asked = {"map": "pca", "version": version}
    head, body = fetch(app, "/api/map/inside", **asked, q="cutlery = 'fork' ORDER BY id DESC")
    bits = np.unpackbits(np.frombuffer(body, np.uint8), bitorder="little")[:SCENES]
    keys = np.sort(db.query("").keys())
    assert set(keys[bits.astype(bool)]) == set(db.query("cutlery = 'fork'").keys())
    assert head["count"] == head["points"] == bits.sum() == db.query("cutlery = 'fork'").count()
    wrong = app.ask("/api/map/inside", **asked, q="SELECT label FROM samples")
    assert "needs samples" in wrong["error"]["message"]
    wrong = app.ask("/api/map/inside", **asked, q="lable = 'x'")
    assert wrong["error"]["where"]["token"] == "lable"


@pytest.mark.parametrize(
    ("by", "kind"),
    [
        ("label", "categories"),
        ("good.prediction", "categories"),
        ("good.correct", "categories"),
        ("in_slice('forks')", "categories"),
        ("id", "categories"),
        ("tags", "categories"),
        ("objects", "categories"),
        ("[length(cutlery), 3, 3]", "categories"),
        ("good.confidence", "ramp"),
        ("length(cutlery)", "ramp"),
        ("map_x('pca')", "ramp"),
        ("nullif(good.confidence, good.confidence)", "ramp"),
        ("CASE WHEN good.correct THEN DATE '2026-01-01' ELSE DATE '2026-03-05' END", "ramp"),
        ("if(good.correct, good.confidence, CAST('nan' AS DOUBLE))", "ramp"),
        ("good.confidence OR true", "categories"),
    ],
)
def test_each_row_of_a_legend_is_a_query_of_its_points(db: Database, by: str, kind: str) -> None:
    cloud = Clouds().now(db, "pca")
    found = colours(db, cloud, by)
    assert found.kind == kind and len(found.codes) == SCENES
    covered = np.zeros(SCENES, int)
    for row in found.rows:
        held = (found.codes >= row.first) & (found.codes <= row.last)
        covered += held
        assert set(cloud.keys[held]) == set(db.query(row.query).keys()), row
    assert (covered == 1).all() and len(found.rows) <= 61


HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "it's; DROP TABLE samples; --",
    "</script><script>alert(1)</script>",
    "",
    "\u202eab\n\tc",
    "🦊",
    "a, b",
)


def test_values_of_any_text_are_rows_that_ask_for_them(tmp_path: Path, mapped: Path) -> None:
    path = tmp_path / "scenes.slicedb"
    shutil.copytree(mapped, path)
    db = slicedb.open(path)
    ids = db.query("ORDER BY id LIMIT 14").ids()
    odd = pa.table({"id": ids, "my label; --": [*HOSTILE, *HOSTILE]})
    db.attach(odd, partial=True)
    choices = about(db)["choices"]
    (by,) = [c["by"] for c in choices[0]["by"] if c["title"] == "my label; --"]  # type: ignore[index]
    cloud = Clouds().now(db, "pca")
    rows = colours(db, cloud, by).rows
    assert len(rows) == len(HOSTILE) + 1
    for row in rows:
        assert db.query(row.query).count() == (2 if row.first != NONE else SCENES - 14), row


def test_a_map_without_points_is_shown_as_such(tmp_path: Path, mapped: Path) -> None:
    path = tmp_path / "scenes.slicedb"
    shutil.copytree(mapped, path)
    db = slicedb.open(path)
    db.delete("true")
    cloud = Clouds().now(db, "pca")
    assert len(cloud) == cloud.n_without == 0 and cloud.grid.shape == (0, 2)
    for by in ("label", "good.confidence", "length(cutlery)", ""):
        found = colours(db, cloud, by)
        assert len(found.codes) == 0 and all(row.first <= row.last for row in found.rows)
    assert cloud.holds(db.query("").keys()).tolist() == []


def test_colours_stay_where_counts_change(db: Database) -> None:
    cloud = Clouds().now(db, "pca")
    rows = colours(db, cloud, "label").rows
    coloured = [row.label for row in rows[:8]]
    assert coloured == sorted(coloured) and [row.first for row in rows] == list(range(len(rows)))
    one = colours(db, cloud, " ")
    assert [row.label for row in one.rows] == ["all samples"] and not one.codes.any()
    levels = colours(db, cloud, "length(cutlery)")
    assert [row.label for row in levels.rows if row.first != NONE] == ["4", "5", "10"]


def test_what_cannot_be_shown_is_said(app: apps.App) -> None:
    version = fetch(app, "/api/map/points", map="pca")[0]["version"]
    asked = {"map": "pca", "version": version}
    for by, said in (
        ("lable", "No column 'lable'"),
        ("[[1], [2]]", "no values to count"),
        ("label, split", "TUPLE"),
        ("count(*)", ""),
        ("1); DROP TABLE samples; --", ""),
    ):
        error = app.ask("/api/map/colours", **asked, by=by)["error"]
        assert said in error["message"] and error["kind"].endswith("Error"), by
    missing = app.ask("/api/map/points", map="pac")["error"]
    assert missing["message"] == "No map 'pac'." and "did you mean 'pca'" in missing["hint"]
    assert "../" not in app.ask("/api/map/points", map="../../etc")["error"]["hint"]
    stale = app.ask("/api/map/colours", map="pca", version="0.0", by="label")["error"]
    assert stale["kind"] == "ConflictError" and "load the map again" in stale["hint"]
    for point in (-1, SCENES, 10**20):
        assert "point" in app.ask("/api/map/sample", **asked, point=point)["error"]["message"]


def test_a_point_tells_its_sample(app: apps.App, db: Database) -> None:
    version = fetch(app, "/api/map/points", map="pca")[0]["version"]
    asked = {"map": "pca", "version": version, "by": "good.confidence"}
    ids = db.sql("SELECT id FROM samples ORDER BY key")["id"].to_pylist()
    told = app.ask("/api/map/sample", **asked, point=7)
    row = db.sql(f"SELECT label, good.confidence AS c FROM samples WHERE id = '{ids[7]}'")
    assert (told["id"], told["label"]) == (ids[7], row["label"][0].as_py())
    assert float(told["value"]) == pytest.approx(row["c"][0].as_py())


def test_deleted_samples_leave_and_new_ones_are_counted(tmp_path: Path, mapped: Path) -> None:
    path = tmp_path / "scenes.slicedb"
    shutil.copytree(mapped, path)
    db, clouds = slicedb.open(path), Clouds()
    before = clouds.now(db, "pca")
    gone = db.query("ORDER BY id LIMIT 3")
    ids = gone.ids()
    db.delete(f"id IN ('{ids[0]}', '{ids[1]}', '{ids[2]}')")
    after = clouds.now(db, "pca")
    assert (len(before), len(after), after.n_without) == (SCENES, SCENES - 3, 0)
    assert after.version != before.version and clouds.at(db, "pca", before.version) is before
    assert (colours(db, before, "label").codes == NONE).sum() == 3
    db.project("half", on="hash(id) % 2 = 0")
    half = clouds.now(db, "half")
    assert half.n_without == SCENES - 3 - len(half) and 20 < len(half) < 100


# --- a browser --------------------------------------------------------------------------------


def test_the_map_shows_points_and_a_table_with_their_counts(
    opened: Callable[..., Page], db: Database
) -> None:
    page = opened()
    counts = db.sql("SELECT label, count(*) AS n FROM samples GROUP BY ALL")
    wanted = dict(zip(counts["label"].to_pylist(), counts["n"].to_pylist()))
    assert table(page) == {label: (n, n) for label, n in wanted.items()}
    assert count(page) == SCENES
    painted = page.evaluate(
        "() => {const c = document.querySelector('#points'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; let n = 0;"
        " for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n}"
    )
    assert 15 * SCENES < painted < 50 * SCENES  # dots of seven pixels


def test_a_lasso_becomes_a_condition_that_has_what_it_encloses(
    opened: Callable[..., Page], db: Database
) -> None:
    page = opened(q="cutlery = 'fork'")
    before = count(page)
    page.get_by_role("button", name="Lasso").click()
    draw(page, [(0.05, 0.1), (0.5, 0.1), (0.5, 0.95), (0.05, 0.95)])
    until(page, "in_map")
    expecting(page.locator("#count")).not_to_have_text(re.compile(f"^{before} "))
    asked = text(page)
    assert asked.startswith("cutlery = 'fork' AND in_map('pca', [[") and len(asked) < 1000
    assert count(page) == db.query(asked).count() and 0 < count(page) < before
    assert sum(n for n, _ in table(page).values()) == count(page)
    assert sum(total for _, total in table(page).values()) == SCENES
    page.locator("#over .asked").wait_for(state="attached")
    page.go_back()
    until(page, "^cutlery = 'fork'$")


@pytest.mark.slow
def test_an_outline_is_named_and_is_a_slice(
    context: BrowserContext, mapped: Path, tmp_path: Path
) -> None:
    path = tmp_path / "scenes.slicedb"
    shutil.copytree(mapped, path)
    with apps.run(path) as app:
        app.enter(context)
        page = context.new_page()
        page.goto(f"{app.url}/map")
        page.locator("#legend tbody tr").first.wait_for()
        page.get_by_role("button", name="Rectangle").click()
        draw(page, [(0.1, 0.15), (0.55, 0.9)])
        until(page, "^in_map")
        page.get_by_role("button", name="Name it").click()
        name = page.get_by_label("Name:")
        assert name.input_value() == "map_pca"
        name.fill("left")
        page.get_by_role("button", name="Save slice").click()
        page.get_by_text("Saved as left.").wait_for()
        left = slicedb.open(path).slices.get("left")
        assert (left.text, left.count()) == (text(page), count(page)) and 0 < left.count() < SCENES


def test_an_outline_leaves_out_or_replaces_and_escape_gives_it_up(
    opened: Callable[..., Page], db: Database
) -> None:
    page = opened(q="cutlery = 'fork'")
    page.get_by_role("button", name="Rectangle").click()
    page.get_by_label("Outline").select_option("leaves these out")
    corners = [(0.1, 0.15), (0.55, 0.9)]
    draw(page, corners)
    until(page, "IS NOT TRUE")
    without = text(page)
    assert without.startswith("cutlery = 'fork' AND (in_map('pca'")
    page.get_by_label("Outline").select_option("replaces the query")
    draw(page, corners)
    until(page, "^in_map")
    inside = text(page)
    both = set(db.query(without).ids()), set(db.query(inside).ids())
    assert not both[0] & both[1]
    assert both[0] == set(db.query("cutlery = 'fork'").ids()) - both[1]
    box = box_of(page.locator("#points"))
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 400, steps=3)
    page.keyboard.press("Escape")
    page.mouse.up()
    assert text(page) == inside and page.locator("#over .drawn").get_attribute("d") is None


def test_the_text_of_any_outline_stays_short(opened: Callable[..., Page], db: Database) -> None:
    page = opened()
    scribble = [
        [500 + 300 * math.cos(i * 2.39) * (i % 89) / 89, 300 + 225 * math.sin(i * i)]
        for i in range(6000)
    ]
    asked = page.evaluate(
        """async (drawn) => {
          const { href } = document.querySelector('link[href*="outline.js"]');
          const { outlined } = await import(href);
          const found = outlined(drawn, ([x, y]) => [x / 1e5 - 7, y / 1e5], 1e-5, 4000);
          return [found.text, found.corners.length];
        }""",
        scribble,
    )
    assert 3000 < len(asked[0]) <= 4000 and asked[1] > 100
    assert db.query(f"in_map('pca', {asked[0]})").count() >= 0
    long = "label <> '" + "x" * 9000 + "'"
    page.goto(page.url.partition("?")[0] + "?" + urlencode({"q": long}))
    page.locator("#legend tbody tr").first.wait_for()
    page.get_by_role("button", name="All on screen").click()
    until(page, "in_map")
    assert len(text(page)) < 10_000
    page.goto(page.url.partition("?")[0] + "?" + urlencode({"q": long.replace("x", "xx", 880)}))
    page.locator("#legend tbody tr").first.wait_for()
    page.get_by_role("button", name="All on screen").click()
    page.get_by_role("button", name="Replace the query").click()
    until(page, "^in_map")


def test_a_row_of_the_legend_filters_and_lets_go(opened: Callable[..., Page], db: Database) -> None:
    page = opened()
    label = db.query("ORDER BY id LIMIT 1").to_arrow(["label"])["label"][0].as_py()
    row = page.locator("#legend").get_by_role("button", name=label, exact=True)
    row.click()
    until(page, f"^label = '{label}'$")
    page.locator("#legend button[aria-pressed=true]").wait_for()
    assert count(page) == db.query(f"label = '{label}'").count()
    assert [n for n, _ in table(page).values() if n] == [count(page)]
    row.click()
    until(page, "^$")


def test_more_classes_than_eight_get_colours_that_are_chosen(
    opened: Callable[..., Page], db: Database
) -> None:
    page = opened(by="id[-7:]")  # more values than have a colour
    legend, expect = page.locator("#legend"), expecting
    switches = legend.get_by_role("switch")
    expect(switches).to_have_count(60)
    tones = "all => all.map((one) => getComputedStyle(one.querySelector('i')).backgroundColor)"

    def shown() -> list[str]:
        found: list[str] = switches.evaluate_all(tones)
        return found

    first = shown()
    gray = first[8]
    assert len(set(first[:8])) == 8 and gray not in first[:8] and set(first[8:]) == {gray}
    expect(page.locator("#notes")).to_contain_text("8 of 120 values have a colour")
    switches.nth(2).click()  # its colour is free, and the next one that is chosen takes it
    expect(switches.nth(2)).to_have_attribute("aria-checked", "false")
    switches.nth(20).press(" ")
    expect(switches.nth(20)).to_be_focused()
    now = shown()
    assert (now[2], now[20]) == (gray, first[2]) and now[:2] + now[3:8] == first[:2] + first[3:8]
    switches.nth(30).click()
    expect(page.locator("#notes")).to_contain_text("hard to tell apart")
    assert len({*shown()} - {gray}) == 9
    chosen = shown()
    page.reload()
    expect(switches).to_have_count(60)
    assert shown() == chosen
    page.get_by_role("button", name="Colour all 60").click()
    expect(switches.nth(59)).to_have_attribute("aria-checked", "true")
    assert gray not in shown() and len(set(shown())) >= 55
    page.get_by_role("button", name="Only the 8 most frequent").click()
    expect(switches.nth(59)).to_have_attribute("aria-checked", "false")
    assert shown() == first and "tint" not in page.url
    page.get_by_label("Colour", exact=True).select_option("label")
    page.wait_for_function("() => document.querySelectorAll('#legend [role=switch]').length < 60")


def test_numbers_have_a_ramp_and_expressions_are_told_when_wrong(
    opened: Callable[..., Page], db: Database, watch: Watch
) -> None:
    page = opened()
    page.get_by_label("Colour").select_option("good.confidence")
    page.locator("#legend", has_text=" – ").wait_for()
    rows = table(page)
    assert sum(n for n, _ in rows.values()) == SCENES and len(rows) == 8
    page.locator("#legend button").last.click()
    until(page, "confidence")
    page.locator("#legend button[aria-pressed=true]").wait_for()
    assert count(page) == list(rows.values())[-1][0] == db.query(text(page)).count()
    page.get_by_label("Colour").select_option("?")
    page.get_by_label("A value for each sample").fill("lable")
    watch.expect("status of 400")
    page.get_by_role("button", name="Colour", exact=True).click()
    page.get_by_text("No column 'lable'").wait_for()
    page.locator("#legend", has_text="all samples").wait_for()


def test_a_wrong_query_is_told_and_the_map_stays(opened: Callable[..., Page], watch: Watch) -> None:
    page = opened()
    watch.expect("status of 400")
    page.get_by_label("Query").first.click()
    page.keyboard.type("lable = 'Soup'")
    page.keyboard.press("Enter")
    page.get_by_text("No column 'lable'").wait_for()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("label = 'Soup'")
    page.keyboard.press("Enter")
    page.locator("#wrong").wait_for(state="hidden")


def test_the_map_is_moved_and_zoomed_by_pointer_wheel_and_keys(
    opened: Callable[..., Page],
) -> None:
    page = opened()

    def view() -> list[float]:
        page.wait_for_timeout(350)
        state = page.evaluate("new URLSearchParams(location.search).get('view')")
        return [float(part) for part in state.split(" ")]

    x, y, scale = view()
    draw(page, [(0.5, 0.5), (0.6, 0.4)])
    moved = view()
    assert moved[0] < x and moved[1] < y and moved[2] == scale
    page.mouse.wheel(0, -400)
    assert view()[2] > 2 * scale
    page.locator("#points").dblclick(position={"x": 20, "y": 600})
    assert view()[2] > 4 * scale
    page.reload()
    page.locator("#legend tbody tr").first.wait_for()
    assert view()[2] > 4 * scale
    page.locator("#points").focus()
    page.keyboard.press("0")
    assert view() == pytest.approx([x, y, scale])
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    assert view()[0] > x and view()[2] > scale
    page.keyboard.press("s")
    until(page, "in_map")


def test_a_point_shows_its_picture_and_opens_its_sample(
    opened: Callable[..., Page], db: Database, watch: Watch
) -> None:
    watch.expect("404")  # of pages that are not there in a small server
    page = opened(by="good.confidence")
    box = box_of(page.locator("#points"))
    page.locator("#points").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    said = page.locator("#near")
    expecting(said).to_contain_text("In the middle")
    name = said.inner_text().partition(": ")[2].partition(",")[0]
    at = db.sql(f"SELECT map_x('pca') AS x, map_y('pca') AS y FROM samples WHERE id = '{name}'")
    page.wait_for_timeout(350)
    state = page.evaluate("new URLSearchParams(location.search).get('view')")
    x, y, scale = (float(part) for part in state.split(" "))
    left = box["width"] / 2 + (at["x"][0].as_py() - x) * scale
    top = box["height"] / 2 - (at["y"][0].as_py() - y) * scale
    page.mouse.move(box["x"] + left, box["y"] + top)
    page.locator("#card").wait_for()
    assert name in page.locator("#card").inner_text()
    page.mouse.click(box["x"] + left, box["y"] + top)
    page.wait_for_url(re.compile(r"/sample\?id="))
    page.go_back()
    page.locator("#legend tbody tr").first.wait_for()
    page.locator("#points").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/sample\?id="))


@pytest.mark.slow
def test_a_click_makes_the_first_map_and_a_form_another(
    context: BrowserContext, own_server: apps.App
) -> None:
    own_server.enter(context)
    page = context.new_page()
    page.goto(f"{own_server.url}/map")
    page.get_by_role("heading", name="There is no map yet").wait_for()
    page.get_by_role("button", name="Make a map of 'default'").click()
    page.locator("#legend tbody tr").first.wait_for()
    assert count(page) == SCENES
    page.get_by_role("button", name="New …").click()
    page.get_by_label("Method").select_option("pca")
    page.get_by_text("no other point moves").wait_for()
    page.get_by_label("Name").fill("second")
    page.get_by_role("button", name="Make", exact=True).click()
    page.wait_for_url(re.compile("map=second"))
    page.locator("#legend tbody tr").first.wait_for()
    assert page.locator("#which").input_value() == "second"
    assert slicedb.open(own_server.database).info()["maps"] == ["pca", "second"]


def test_jobs_check_what_they_are_told(app: apps.App) -> None:
    for options, said in (
        ({"method": "umap"}, "No method 'umap'"),
        ({"name": 7}, "'name' is no text"),
        ({"name": "../x"}, "no name"),
        ({"embedding": "defualt"}, "No embedding 'defualt'"),
    ):
        job = app.ask("/api/jobs", body={"kind": "project", **options})
        while job["state"] == "running":
            job = app.ask(f"/api/jobs/{job['id']}")
        assert job["state"] == "failed" and said in job["message"], job


@pytest.mark.slow
def test_a_viewer_makes_and_names_nothing(context: BrowserContext, mapped: Path) -> None:
    with apps.run(mapped, "--read-only") as app:
        app.enter(context)
        page = context.new_page()
        page.goto(f"{app.url}/map")
        page.locator("#legend tbody tr").first.wait_for()
        assert page.get_by_role("button", name="New …").count() == 0
        assert page.get_by_role("button", name="Name it").count() == 0
        error = app.ask("/api/jobs", body={"kind": "project", "name": "x"})["error"]
        assert error["kind"] == "NotAllowed"


def test_the_pages_of_a_query_hand_it_on(opened: Callable[..., Page]) -> None:
    page = opened(q="cutlery = 'fork'")
    page.get_by_role("navigation").get_by_role("link", name="Explore").click()
    page.wait_for_url(re.compile(r"/\?q=cutlery"))
    page.get_by_role("navigation").get_by_role("link", name="Map").click()
    page.wait_for_url(re.compile(r"/map\?q=cutlery"))
    page.locator("#legend tbody tr").first.wait_for()
    assert text(page) == "cutlery = 'fork'"
    page.get_by_role("link", name="Pictures").click()
    page.wait_for_url(re.compile(r"/\?q=cutlery"))


def test_what_colours_the_points_first_has_values(tmp_path: Path, mapped: Path) -> None:
    path = tmp_path / "scenes.slicedb"
    shutil.copytree(mapped, path)
    db = slicedb.open(path)
    assert about(db)["first"] == "label"
    unlabelled = pa.table({"id": db.query("").ids(), "label": pa.nulls(SCENES, pa.string())})
    db.store.upsert(SAMPLES, unlabelled, insert=False)
    assert about(db)["first"] == "split"  # there are no boxes


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_serious_stands_in_the_way_of_a_screen_reader(
    opened: Callable[..., Page], axe: Callable[[Page], list[str]], theme: str
) -> None:
    page = opened(by="good.confidence", q="cutlery = 'fork'")
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.evaluate("document.documentElement.removeAttribute('data-theme')")
    assert axe(page) == []
