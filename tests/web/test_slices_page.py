"""The page of slices: the list, one slice, naming, editing, freezing, calibrating."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import apps
import pyarrow as pa
import pytest
from watching import Watch

import slicedb

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def writable(web_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[apps.App]:
    """A page whose slices this module changes, each test those of its own names."""
    copy = tmp_path_factory.mktemp("slices") / "scenes.slicedb"
    shutil.copytree(web_scenes, copy)
    db = slicedb.open(copy)
    ids = db.query("ORDER BY id").ids()
    db.relabel(f"id = '{ids[0]}'", HOSTILE)
    db.log_predictions("gone", pa.table({"id": ids[:9], "prediction": ["Soup"] * 9}))
    db.slices.add("broken", "gone.confidence > 0 OR gone.correct")
    db.models.drop("gone")
    db.slices.add("marked", f"label = '{HOSTILE}'", description=HOSTILE, expect=["count >= 1"])
    db.test(["marked"], model="good", predict=False)
    db.slices.add("soup_shown", "matches('a bowl of soup')")
    db.slices.add("kept", "label = 'Soup'")
    db.slices.freeze("kept")
    db.relabel("id IN (SELECT id FROM samples WHERE label = 'Soup' ORDER BY id LIMIT 2)", "Rice")
    db.close() if hasattr(db, "close") else None
    with apps.run(copy) as app:
        yield app


@pytest.fixture
def go(context: BrowserContext, writable: apps.App) -> Callable[[str], Page]:
    """Open a path of `writable` in a watched tab."""
    writable.enter(context)

    def opened(path: str) -> Page:
        page = context.new_page()
        page.goto(writable.url + path)
        return page

    return opened


def test_the_list_says_size_splits_state_and_verdicts(writable: apps.App) -> None:
    told = writable.ask("/slices.json")
    rows = {row["name"]: row for row in told["slices"]}
    assert rows["kept"]["state"] == "stale" and rows["kept"]["note"].startswith("its query now")
    assert (rows["broken"]["state"], rows["broken"]["count"]) == ("broken", None)
    assert writable.ask("/slices.json", name="broken")["one"]["note"]
    assert rows["forks"]["state"] == "live" and rows["forks"]["splits"]
    assert sum(s["n"] for s in rows["forks"]["splits"]) == rows["forks"]["count"]
    (verdict,) = rows["marked"]["expect"]
    assert (verdict["check"], verdict["verdict"], verdict["n"]) == ("count >= 1", "PASS", 1)


def test_a_slice_is_named_changed_dropped_and_restored(writable: apps.App) -> None:
    made = writable.ask("/api/slices", body={"name": "a_b", "text": "label = 'Soup'"})
    assert (made["version"], made["name"]) == (1, "a_b")
    taken = writable.ask("/api/slices", body={"name": "a_b", "text": "true"})
    assert taken["error"]["kind"] == "SliceError"
    wrong = writable.ask("/api/slices", body={"name": "c", "text": "lable = 'Soup'"})["error"]
    assert wrong["where"]["token"] == "lable" and "label" in wrong["hint"]
    edited = writable.ask("/api/slices/edit", body={"name": "a_b", "text": "true", "version": 1})
    assert (edited["version"], edited["undo"]) == (2, "a_b@1")
    late = writable.ask("/api/slices/edit", body={"name": "a_b", "text": "false", "version": 1})
    assert late["error"]["kind"] == "ConflictError"
    assert writable.ask("/api/slices/freeze", body={"name": "a_b"})["kind"] == "frozen"
    assert writable.ask("/api/slices/thaw", body={"name": "a_b"})["kind"] == "live"
    dropped = writable.ask("/api/slices/drop", body={"name": "a_b"})
    assert writable.ask("/slices.json", name="a_b")["error"]["kind"] == "UnknownSliceError"
    back = writable.ask("/api/slices/restore", body={"name": dropped["undo"]})
    assert back["count"] == edited["count"]


def test_a_frozen_slice_says_what_changed_and_why(writable: apps.App) -> None:
    told = writable.ask("/api/slices/diff", a="kept")
    assert (told["n_come"], told["n_gone"]) == (0, 2)
    assert told["reasons"] == [{"reason": "relabelled", "come": 0, "gone": 2}]
    assert {row["detail"] for row in told["gone"]} == {"Soup -> Rice"}
    assert writable.ask("/api/count", q=told["gone_query"])["count"] == 2


def test_one_slice_tells_its_overlap_with_queries_that_count_the_same(writable: apps.App) -> None:
    told = writable.ask("/slices.json", name="desserts")["one"]
    for other in told["others"]:
        assert writable.ask("/api/count", q=other["query"])["count"] == other["shared"]
    whole = writable.ask("/api/slices/overlap")
    assert whole["n"] > 3 and "shade-20" in whole["html"] and "style=" not in whole["html"]


def test_thumbs_give_precision_and_recall(writable: apps.App) -> None:
    asked = writable.ask("/api/slices/calibrate/ask", body={"name": "soup_shown"})
    assert asked["text"] == "'a bowl of soup'" and len(asked["asked"]) == 12
    replies = {id: "Soup" in id for id in asked["asked"]}
    told = writable.ask(
        "/api/slices/calibrate/answer", body={"name": "soup_shown", "replies": replies}
    )
    assert told["labels"] == 12 and told["estimate"]["recall"]["low"] >= 0
    other = writable.ask(
        "/api/slices/calibrate/answer", body={"name": "soup_shown", "replies": {"nothing": True}}
    )
    assert "was not asked about" in other["error"]["message"]
    bad = {"name": "soup_shown", "replies": {asked["asked"][0]: "yes"}}
    assert "replies" in writable.ask("/api/slices/calibrate/answer", body=bad)["error"]["message"]
    saved = writable.ask("/api/slices/calibrate/save", body={"name": "soup_shown"})
    assert saved["version"] == 2 and saved["undo"] == "soup_shown@1"


def test_a_viewer_changes_nothing(web_scenes: Path, context: BrowserContext) -> None:
    with apps.run(web_scenes, "--read-only") as app:
        for verb in ("", "/edit", "/freeze", "/thaw", "/drop", "/restore", "/calibrate/ask"):
            told = app.ask(f"/api/slices{verb}", body={"name": "forks", "text": "true"})
            assert told["error"]["kind"] == "NotAllowed", verb
        app.enter(context)
        page = context.new_page()
        page.goto(f"{app.url}/slices?name=forks")
        assert page.locator("h1").text_content() == "forks"
        for control in ("#edit", "#freeze", "#drop", "#new", "#calibrate"):
            assert page.locator(control).count() == 0
        page.wait_for_load_state("networkidle")
        page.close()
    assert slicedb.open(web_scenes).slices.get("forks").version == 1


def test_a_query_is_named_in_two_clicks(go: Callable[[str], Page], writable: apps.App) -> None:
    page = go("/slices")
    page.evaluate(
        "import(document.querySelector('script[src$=\"/slices.js\"]').src.replace('slices.js',"
        " 'naming.js')).then((m) => { m.nameQuery(\"cutlery = 'fork' AND label = 'Soup'\") })"
    )
    name = page.get_by_label("Name: letters")
    assert name.input_value() == "cutlery_fork_soup"
    page.get_by_role("button", name="Save slice").click()
    page.get_by_text("Saved as cutlery_fork_soup.").wait_for()
    row = writable.ask("/slices.json", name="cutlery_fork_soup")["one"]
    assert row["text"] == "cutlery = 'fork' AND label = 'Soup'"


def test_a_name_that_is_taken_may_become_a_new_version(
    go: Callable[[str], Page], writable: apps.App, watch: Watch
) -> None:
    watch.expect("status of 400")
    writable.ask("/api/slices", body={"name": "taken", "text": "label = 'Soup'"})
    page = go("/slices")
    page.get_by_role("button", name="New slice").click()
    page.get_by_label("Name: letters").fill("taken")
    page.locator("#name-text").fill("label = 'Rice'")
    page.get_by_role("button", name="Save slice").click()
    page.get_by_role("button", name="Save as a new version").click()
    page.wait_for_url("**/slices?name=taken")
    assert page.get_by_text("version 2", exact=True).count() == 1


def test_a_text_is_edited_in_place_and_undone(
    go: Callable[[str], Page], writable: apps.App, watch: Watch
) -> None:
    watch.expect("status of 400")
    writable.ask("/api/slices", body={"name": "edited", "text": "label = 'Soup'"})
    page = go("/slices?name=edited")
    page.get_by_role("button", name="Edit").click()
    page.locator("#edit-text").fill("lable = 'Soup'")
    page.get_by_role("button", name="Save as version 2").click()
    page.locator("#edit-wrong").get_by_text("lable").wait_for()
    page.locator("#edit-text").fill("label = 'Rice'")
    page.get_by_role("button", name="Save as version 2").click()
    page.locator("pre.text", has_text="label = 'Rice'").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.locator("pre.text", has_text="label = 'Soup'").wait_for()
    assert page.get_by_text("version 3", exact=True).count() == 1


def test_a_calibration_goes_by_keyboard(go: Callable[[str], Page], writable: apps.App) -> None:
    writable.ask("/api/slices", body={"name": "keyed", "text": "matches('a plate of rice')"})
    page = go("/slices?name=keyed")
    page.get_by_role("button", name="Calibrate").click()
    page.locator(".question code").wait_for()
    for _ in range(6):
        id = page.locator(".question code").text_content() or ""
        page.keyboard.press("y" if "Rice" in id else "n")
        page.wait_for_function(
            "id => document.querySelector('.question code')?.textContent !== id", arg=id
        )
    page.get_by_role("row", name="recall").wait_for()
    page.keyboard.press("b")
    page.get_by_role("button", name="Save this cut").click()
    page.get_by_text("keyed is calibrated, as version 2.").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "path", ["/slices", "/slices?name=marked", "/slices?name=kept", "/slices?name=broken"]
)
def test_scripts_are_text_and_everybody_can_read_it(
    path: str, theme: str, go: Callable[[str], Page], axe: Callable[[Page], list[str]]
) -> None:
    page = go(path)
    page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    if path == "/slices":
        page.locator("#overlap summary").click()
        page.locator("#overlap td.shade-20").first.wait_for()
    assert page.locator("main img[src='x']").count() == 0
    assert page.get_by_text(HOSTILE).count() > 0 or "marked" not in path
    assert axe(page) == []
