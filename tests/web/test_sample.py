"""Sample in a real browser: a picture with its boxes, edited in place by mouse and by keyboard."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import apps
import pyarrow as pa
import pytest
from fakes_boxes import box, objects
from watching import Watch

import slicedb
from slicedb.schema import ANNOTATION, SAMPLES, keys_of

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Route

HOSTILE = """odd/<img src=x onerror=alert(1)> "a" 'b' & c.png"""


OUTLINED = {
    **box("cup", 10, 10, 20, 20),
    "segmentation": "[[10, 10, 30, 10, 20, 30]]",
    "keypoints": [12.0, 14.0, 2.0, 0.0, 0.0, 0.0, 20.0, 25.0, 1.0],
}


@pytest.fixture(scope="module")
def boxed(web_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[apps.App]:
    """The page of scenes, the first of which has two boxes and what a detector says of them."""
    path = tmp_path_factory.mktemp("boxed") / "scenes.slicedb"
    shutil.copytree(web_scenes, path)
    db = slicedb.open(path)
    ids = db.query("ORDER BY id LIMIT 3").ids()
    boxes = [[box("plate", 4, 4, 30, 20), box("fork", 40, 10, 10, 40)], [], [OUTLINED]]
    own = pa.array(boxes, pa.list_(ANNOTATION))
    table = {"id": ids, "key": keys_of(ids), "objects": own}
    db.store.upsert(SAMPLES, pa.table(table), insert=False)
    said = objects([[box("plate", 5, 5, 30, 20, 0.9), box("knife", 50, 10, 8, 40, 0.3)], [], []])
    classes = ["fork", "knife", "plate"]
    db.log_predictions("finder", pa.table({"id": ids, "objects": said}), classes=classes)
    data = next(data for _, data in db.store.read_images(keys_of(ids[:1])))
    odd = path.parent / "odd"
    odd.mkdir()
    (odd / "a.jpg").write_bytes(data)
    (odd / "broken.jpg").write_bytes(data[: len(data) // 2])
    names = pa.table({"id": [HOSTILE, "odd/broken.jpg"], "image": ["a.jpg", "broken.jpg"]})
    (odd / "t.csv").write_text("id,image\n" + "\n".join(map(_csv, names.to_pylist())))
    db.ingest(odd / "t.csv", id_column="id", path_column="image", progress=False)
    db.relabel(f"id = '{HOSTILE.replace(chr(39), chr(39) * 2)}'", "</script><b>bold</b>")
    db.commit("before")
    with apps.run(path) as app:
        yield app


def _csv(row: dict[str, str]) -> str:
    return ",".join('"' + value.replace('"', '""') + '"' for value in row.values())


@pytest.fixture
def first(boxed: apps.App) -> Iterator[str]:
    """The id of the sample with boxes; what a test decided is discarded after it."""
    db = slicedb.open(boxed.database)
    yield db.query("id LIKE 'test/%' ORDER BY id LIMIT 1").ids()[0]
    db.discard_edits()


@pytest.fixture
def tab(context: BrowserContext, boxed: apps.App) -> Page:
    boxed.enter(context)
    return context.new_page()


def opened(page: Page, app: apps.App, sample: str, more: str = "") -> None:
    page.goto(f"{app.url}/sample?id={quote(sample, safe='')}{more}")
    page.locator(".facts .id").wait_for()


def now(app: apps.App, sample: str) -> Any:
    return app.ask("/sample.json", id=sample)["sample"]["now"]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag over the picture, from and to pixels of it."""
    frame = page.locator(".marks").bounding_box()
    width = page.locator(".marks").evaluate("marks => marks.viewBox.baseVal.width")
    assert frame is not None
    scale = frame["width"] / width
    at = [(frame["x"] + x * scale, frame["y"] + y * scale) for x, y in (start, end)]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move((at[0][0] + at[1][0]) / 2, (at[0][1] + at[1][1]) / 2)
    page.mouse.move(*at[1])
    page.mouse.up()


def settled(page: Page, n: int) -> None:
    """Wait until so many decisions are pending."""
    page.locator("#pending .count").get_by_text(f"{n} pending" if n else "Nothing").wait_for()


def test_boxes_are_drawn_moved_resized_named_and_removed_by_mouse(
    tab: Page, boxed: apps.App, first: str
) -> None:
    opened(tab, boxed, first)
    drag(tab, (4, 30), (24, 58))  # from where there is none: a new one
    settled(tab, 1)
    fresh = now(boxed, first)["boxes"][2]
    assert fresh["bbox"] == pytest.approx([4, 30, 20, 28], abs=1) and fresh["label"] == "fork"
    drag(tab, (10, 45), (14, 43))  # inside of it: it moves
    settled(tab, 2)
    assert now(boxed, first)["boxes"][2]["bbox"] == pytest.approx([8, 28, 20, 28], abs=1)
    drag(tab, (28, 56), (34, 50))  # at its corner: it is resized
    settled(tab, 3)
    assert now(boxed, first)["boxes"][2]["bbox"] == pytest.approx([8, 28, 26, 22], abs=1)
    name = tab.get_by_label("Label of box 3")
    name.fill("cup")
    name.press("Enter")
    settled(tab, 4)
    assert [one["label"] for one in now(boxed, first)["boxes"]] == ["plate", "fork", "cup"]
    tab.get_by_role("button", name="Remove box 1").click()
    settled(tab, 5)
    assert [one["label"] for one in now(boxed, first)["boxes"]] == ["fork", "cup"]
    tab.locator("body").press("u")
    settled(tab, 4)
    assert [one["label"] for one in now(boxed, first)["boxes"]] == ["plate", "fork", "cup"]


def test_a_query_is_walked_through_and_back_leads_to_it(tab: Page, boxed: apps.App) -> None:
    q, sort = "id LIKE 'test/%'", "-id"
    db = slicedb.open(boxed.database)
    ids = db.query(f"{q} ORDER BY id DESC").ids()
    tab.goto(f"{boxed.url}/?{urlencode({'q': q, 'sort': sort})}")
    tab.locator(f'.tile img[alt*="{ids[1]}"], .tile[aria-label*="{ids[1]}"]').first.wait_for()
    tab.locator("body").press("ArrowRight")
    tab.locator("body").press("ArrowRight")
    tab.locator("body").press("Enter")
    tab.locator("#panel h2 a").click()
    steps = tab.get_by_role("navigation", name="Samples of the query")
    steps.get_by_text(f"2 of {len(ids):,}").wait_for()
    assert tab.locator(".facts .id").inner_text() == ids[1]
    for key, place in (("]", 2), ("ArrowRight", 3), ("[", 2), ("ArrowLeft", 1), ("[", 0)):
        tab.locator("body").press(key)
        steps.get_by_text(f"{place + 1} of {len(ids):,}").wait_for()
        assert tab.locator(".facts .id").inner_text() == ids[place]
    assert steps.get_by_role("link", name="The sample before").count() == 0
    tab.locator("body").press("?")
    assert (
        "the sample before, in the query it was opened from"
        in tab.get_by_role("dialog").inner_text()
    )
    tab.keyboard.press("Escape")
    steps.get_by_role("link", name="The sample behind").click()
    steps.get_by_text(f"2 of {len(ids):,}").wait_for()
    tab.reload()
    steps.get_by_text(f"2 of {len(ids):,}").wait_for()
    assert steps.get_by_role("link", name=q).get_attribute("href")
    tab.go_back()
    tab.locator("#panel").wait_for()
    assert "/sample" not in tab.url and urlencode({"q": q}) in tab.url


def test_a_text_being_written_is_kept_when_the_next_sample_is_opened(
    tab: Page, boxed: apps.App, first: str
) -> None:
    opened(tab, boxed, first, f"&at=0&{urlencode({'q': 'ORDER BY id'})}")
    steps = tab.get_by_role("navigation", name="Samples of the query")
    tab.get_by_label("Label", exact=True).fill("written")
    steps.get_by_role("link", name="The sample behind").click()
    tab.wait_for_function(
        "(id) => document.querySelector('.facts .id')?.textContent !== id", arg=first
    )
    assert now(boxed, first)["label"] == "written"


def test_places_around_a_sample_are_those_of_the_answer(boxed: apps.App) -> None:
    ids = slicedb.open(boxed.database).query("id LIKE 'test/%' ORDER BY id").ids()
    q = "id LIKE 'test/%' ORDER BY id"

    def around(sample: str, **more: object) -> list[object]:
        told = boxed.ask("/api/sample/around", id=sample, **{"q": q, **more})
        return [told[name] for name in ("at", "is_in", "before", "behind", "count")]

    n = len(ids)
    assert around(ids[0], at=0) == [0, True, None, ids[1], n]
    assert around(ids[3], at=0) == around(ids[3]) == [3, True, ids[2], ids[4], n]
    assert around(ids[-1], at=n - 1) == [n - 1, True, ids[-2], None, n]
    left = f"id LIKE 'test/%' AND id <> '{ids[3]}' ORDER BY id"  # it was decided on meanwhile
    assert around(ids[3], at=3, q=left) == [3, False, ids[2], ids[4], n - 1]
    assert around(ids[3], q=left) == [None, False, None, None, n - 1]
    assert around(ids[3], at=99, q=left)[1:4] == [False, ids[-1], None]
    told = boxed.ask("/api/sample/around", id=ids[0], q="lable = 'x'")
    assert told["error"]["kind"] == "BindError" and told["error"]["where"]


def test_several_labels_are_given_and_taken_in_place(
    tab: Page, boxed: apps.App, first: str
) -> None:
    boxed.ask("/api/decide", body={"ids": [first], "labels": ["cold"]})
    opened(tab, boxed, first)
    row = tab.locator("#several-row")
    row.get_by_role("button", name="Take the label cold away").wait_for()
    tab.locator("body").press("s")
    tab.keyboard.type("soup")
    tab.keyboard.press("Enter")
    settled(tab, 2)
    assert now(boxed, first)["labels"] == ["cold", "soup"]
    row.get_by_role("button", name="Take the label cold away").click()
    settled(tab, 3)
    row.get_by_role("button", name="Take the label soup away").click()
    settled(tab, 4)
    assert now(boxed, first)["labels"] == [] and "none of the classes" in row.inner_text()
    tab.locator("body").press("u")
    settled(tab, 3)
    assert now(boxed, first)["labels"] == ["soup"]
    error = boxed.ask("/api/decide", body={"ids": [first], "labels": "soup"})["error"]
    assert error["message"] == "labels is 'soup'."


def test_explore_draws_the_boxes_that_are_chosen(tab: Page, boxed: apps.App, first: str) -> None:
    assert boxed.ask("/api/columns")["boxes"] == ["objects", "finder.objects"]
    q = f"id = '{first}'"
    layers = {"boxes": "objects,finder.objects", "columns": "split"}
    (row,) = boxed.ask("/api/page", q=q, a=0, b=1, **layers)["rows"]
    assert row["boxes"] == {
        "objects": [[4, 4, 30, 20], [40, 10, 10, 40]],
        "finder.objects": [[5, 5, 30, 20]],  # the other one is below the detector's confidence
    }
    error = boxed.ask("/api/page", q=q, a=0, b=1, boxes="good.objects")["error"]
    assert error["message"] == "No column 'good.objects' of boxes."
    assert error["hint"] == "there are objects, finder.objects."

    tab.goto(f"{boxed.url}/?{urlencode({'q': q, 'open': first})}")
    paths = "path => [path.getAttribute('class'), path.getAttribute('d')]"
    truth = ["truth", "M4 4h30v20h-30zM40 10h10v40h-10z"]
    said = ["said tone-1", "M5 5h30v20h-30z"]
    places = [".tile .outlines path", "#panel .outlines path"]
    for place in places:
        tab.locator(place).first.wait_for(state="attached")
        assert tab.locator(place).evaluate_all(f"all => all.map({paths})") == [truth]
    assert tab.locator("#panel dd", has_text="2 boxes: 1 plate, 1 fork").count() == 1
    facet = tab.locator(".facet", has_text="objects").first
    facet.get_by_text("plate").wait_for()
    assert facet.locator(".name").all_text_contents()[-2:] == ["fork", "plate"]
    tab.select_option("#boxes", label="truth and finder")
    for place in places:
        tab.locator(f"{place}.said").wait_for(state="attached")
        assert tab.locator(place).evaluate_all(f"all => all.map({paths})") == [truth, said]
    tab.select_option("#boxes", label="none")
    for place in places:
        tab.locator(place).first.wait_for(state="detached")
    tab.reload()
    tab.locator(".tile img").first.wait_for()
    assert tab.locator("#boxes").input_value() == ""


def test_outlines_and_key_points_lie_over_the_picture(tab: Page, boxed: apps.App) -> None:
    third = slicedb.open(boxed.database).query("id LIKE 'test/%' ORDER BY id LIMIT 3").ids()[2]
    opened(tab, boxed, third)
    shape = tab.locator(".marks .truth .shape")
    shape.wait_for(state="attached")
    assert shape.get_attribute("d") == "M10 10L30 10L20 30z"
    points = "all => all.map(p => [p.getAttribute('cx'), p.getAttribute('cy'), p.classList[1]])"
    assert tab.locator(".marks .point").evaluate_all(points) == [
        ["12", "14", None],
        ["20", "25", "hidden"],  # annotated, though something lies over it
    ]


def test_boxes_are_edited_by_keyboard_alone_and_applied_in_one_commit(
    tab: Page, boxed: apps.App, first: str
) -> None:
    opened(tab, boxed, first)
    tab.keyboard.press("n")
    tab.keyboard.press("ArrowRight")
    settled(tab, 1)
    tab.keyboard.press("Shift+ArrowDown")
    settled(tab, 2)
    assert now(boxed, first)["boxes"][0]["bbox"] == pytest.approx([5, 4, 30, 21], abs=0.2)
    tab.keyboard.press("n")
    tab.keyboard.press("Delete")
    settled(tab, 3)
    tab.locator("#message").fill("boxes")
    tab.locator("#message").press("Enter")
    settled(tab, 0)
    db = slicedb.open(boxed.database)
    row = db.query(f"id = '{first}'").to_arrow(["objects"])["objects"].to_pylist()[0]
    assert [one["label"] for one in row] == ["plate"]
    assert db.commits.history()[0].message == "boxes"
    history = tab.locator(".facts").get_by_text("done")
    history.nth(2).wait_for()
    for n in range(3):  # what is applied is taken back too
        tab.locator("body").press("u")
        tab.locator(".notice", has_text="Taken back").nth(n).wait_for()
    row = db.query(f"id = '{first}'").to_arrow(["objects"])["objects"].to_pylist()[0]
    assert [one["bbox"] for one in row] == [[4, 4, 30, 20], [40, 10, 10, 40]]


def test_label_and_tags_are_edited_in_place_and_history_says_who(
    tab: Page, boxed: apps.App, first: str
) -> None:
    opened(tab, boxed, first)
    before = tab.locator("#label").input_value()
    tab.locator("#author").fill("ada")
    tab.locator("#author").press("Tab")
    tab.keyboard.press("Escape")
    tab.locator("#label").fill("Soup of the day")
    tab.locator("#label").press("Enter")
    settled(tab, 1)
    tab.locator("#tag").fill("doubtful")
    tab.locator("#tag").press("Enter")
    settled(tab, 2)
    assert f"was {before}" in tab.locator(".facts").inner_text()
    assert tab.locator(".facts").get_by_role("cell", name="ada", exact=True).count() == 2
    assert [e.author for e in slicedb.open(boxed.database).edits(state="pending")] == ["ada"] * 2
    tab.get_by_role("button", name="Take the tag doubtful away").click()
    settled(tab, 3)
    tab.get_by_role("button", name="Discard all").click()
    tab.get_by_role("button", name="Discard 3").click()
    settled(tab, 0)
    tab.locator(f"#label[value='{before}']").wait_for()


def test_fields_are_left_by_tab_and_what_is_being_written_stays(
    tab: Page, boxed: apps.App, first: str
) -> None:
    opened(tab, boxed, first)
    tab.get_by_label("Label of box 1").fill("dish")
    tab.keyboard.press("Tab")  # the button that removes the box
    tab.keyboard.press("Tab")
    tab.keyboard.type("spoon")
    settled(tab, 1)
    tab.wait_for_timeout(100)  # the facts were drawn anew meanwhile
    assert tab.get_by_label("Label of box 2").input_value() == "spoon"
    tab.keyboard.press("Enter")
    settled(tab, 2)
    assert [one["label"] for one in now(boxed, first)["boxes"]] == ["dish", "spoon"]
    tab.keyboard.press("u")  # a key again, since the field was left
    settled(tab, 1)


def test_a_text_that_was_whole_when_a_late_answer_came_is_saved(
    tab: Page, boxed: apps.App, first: str
) -> None:
    opened(tab, boxed, first)
    held: list[Route] = []
    tab.route("**/api/decide*", lambda route: held.append(route), times=1)
    tab.get_by_label("Label of box 1").fill("bowl")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.type("ladle")
    while not held:
        tab.wait_for_timeout(20)
    for route in held:
        route.continue_()
    settled(tab, 1)
    tab.wait_for_timeout(300)
    assert tab.locator("#pending .count").inner_text().startswith("1 pending")  # of what was left
    assert now(boxed, first)["boxes"][1]["label"] != "ladle"
    tab.keyboard.press("Enter")
    settled(tab, 2)
    assert [one["label"] for one in now(boxed, first)["boxes"]] == ["bowl", "ladle"]


def test_layers_are_toggled_and_the_address_keeps_them(
    tab: Page, boxed: apps.App, first: str
) -> None:
    opened(tab, boxed, first)
    tab.locator(".marks .dashed").first.wait_for()
    assert tab.locator(".marks g").count() == 3  # what counts
    tab.locator("#least").fill("0.2")
    assert tab.locator(".marks .dashed").count() == 2
    tab.locator(".tools").get_by_label("truth").uncheck()
    assert tab.locator(".marks g").count() == 2
    tab.reload()
    tab.locator(".marks .dashed").nth(1).wait_for()
    assert tab.locator(".marks g").count() == 2


def test_everything_that_is_known_is_shown_and_reachable(
    tab: Page, boxed: apps.App, first: str, axe: Callable[[Page], list[str]]
) -> None:
    opened(tab, boxed, first)
    tab.locator(".strip a").nth(3).wait_for()
    text = tab.locator(".facts").inner_text()
    assert all(word in text for word in ("good", "weak", "finder", "Metadata", "Slices", "Nearest"))
    for theme in ("light", "dark"):
        tab.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        assert axe(tab) == []
    near = tab.locator(".strip a").first
    near.focus()
    near.press("Enter")
    tab.wait_for_url("**/sample?id=*")
    tab.go_back()
    tab.locator(".facts .id").get_by_text(first).wait_for()


def test_hostile_ids_and_labels_are_text(tab: Page, boxed: apps.App) -> None:
    opened(tab, boxed, HOSTILE)
    assert tab.locator(".facts .id").inner_text() == HOSTILE
    assert tab.locator("#label").input_value() == "</script><b>bold</b>"
    tab.locator("#label").fill("<i>x</i>")
    tab.locator("#label").press("Enter")
    settled(tab, 1)
    assert tab.locator(".facts i, .facts b, .facts img[src=x]").count() == 0
    boxed.ask("/api/discard", body={})


def test_a_broken_picture_says_why_and_asks_for_nothing(tab: Page, boxed: apps.App) -> None:
    opened(tab, boxed, "odd/broken.jpg")
    assert tab.locator(".stage .broken").inner_text().startswith("truncated")
    assert tab.get_by_role("button", name="Draw a box").count() == 0


def test_who_may_only_look_sees_it_all_and_changes_nothing(
    context: BrowserContext, boxed: apps.App, first: str, axe: Callable[[Page], list[str]]
) -> None:
    with apps.run(boxed.database, "--read-only") as app:
        app.enter(context)
        page = context.new_page()
        opened(page, app, first)
        page.locator(".marks g").nth(2).wait_for()
        assert page.locator("#label").is_disabled()
        assert page.get_by_role("button", name="Draw a box").count() == 0
        drag(page, (4, 30), (24, 58))
        for key in ("d", "k", "1", "Delete", "u"):
            page.keyboard.press(key)
        assert axe(page) == []
        assert slicedb.open(boxed.database).edits(state="pending") == []
        page.close()


def test_a_sample_at_a_commit_is_shown_as_it_was_and_is_not_edited(
    tab: Page, boxed: apps.App, first: str
) -> None:
    db = slicedb.open(boxed.database)
    before = db.query(f"id = '{first}'").to_arrow(["label"])["label"].to_pylist()[0]
    commit = db.commits.get("HEAD").id
    db.edit(first, label="changed since")
    opened(tab, boxed, first, f"&commit={commit}")
    tab.get_by_text(f"As it was at commit {commit}").wait_for()
    assert tab.locator("#label").input_value() == before and tab.locator("#label").is_disabled()
    tab.locator(".strip a").first.wait_for()
    tab.keyboard.press("d")
    tab.get_by_role("link", name="As it is now").click()
    tab.locator("#label[value='changed since']").wait_for()
    assert db.edits(state="pending") == [] and db.undo(first).undone


def test_a_sample_that_is_not_there_is_said(tab: Page, boxed: apps.App, watch: Watch) -> None:
    watch.expect("status of 404")
    tab.goto(f"{boxed.url}/sample?id=nothing.jpg")
    tab.get_by_text("There is no sample 'nothing.jpg'").wait_for()
    tab.goto(f"{boxed.url}/sample")
    tab.get_by_text("No sample is named").wait_for()


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("decide", {}, "No samples are named"),
        ("decide", {"ids": "a"}, "No samples are named"),
        ("decide", {"ids": [1]}, "No samples are named"),
        ("decide", {"ids": ["../../etc/passwd"], "keep": True}, "There is no sample"),
        ("decide", {"ids": ["{first}"], "drop": True}, "Nothing is decided by 'drop'"),
        ("decide", {"ids": ["{first}"], "keep": True, "author": "x" * 61}, "is no name"),
        ("decide", {"ids": ["{first}"], "keep": True, "author": "a\u0000b"}, "is no name"),
        ("decide", {"ids": ["{first}"], "add_box": 7}, "add_box"),
        ("decide", {"ids": ["{first}"], "add_box": [7]}, "add_box is [7]"),
        ("decide", {"ids": ["{first}"], "set_box": [1, 2]}, "set_box"),
        ("decide", {"ids": ["{first}"], "label": 7}, "label"),
        ("decide", {"ids": ["{first}"], "tag": 7}, "tag"),
        ("decide", {"ids": ["{first}"], "tag": [7]}, "tag is [7]"),
        ("decide", {"ids": ["{first}"], "tag": [" "]}, "empty tag"),
        ("decide", {"ids": ["{first}"], "keep": "yes"}, "keep"),
        ("decide", {"ids": ["{first}"], "queue": {"a": 1}, "keep": True}, "queue"),
        (
            "decide",
            {"ids": ["{first}"], "add_box": [{"label": "x", "bbox": [0, 0, "NaN", 1]}]},
            "positive sides",
        ),
        ("undo", {"id": "{first}", "number": "x"}, "number"),
        ("undo", {"id": 7}, "id"),
        ("undo", {"together": 7}, "together"),
        ("apply", {"message": "x", "author": 7}, "author"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    boxed: apps.App, first: str, path: str, body: dict[str, Any], message: str
) -> None:
    given = json.loads(json.dumps(body).replace("{first}", first))
    error = boxed.ask(f"/api/{path}", body=given)["error"]
    assert message in error["message"] and error["kind"] != "Error"
    assert slicedb.open(boxed.database).edits(state="pending") == []


def test_pictures_are_made_anew_and_never_read_from_elsewhere(boxed: apps.App, first: str) -> None:
    for params, message in (
        ({"id": "/etc/passwd"}, "cannot be read"),
        ({"id": "%2e%2e%2fetc%2fpasswd"}, "cannot be read"),
        ({"id": first, "side": 4}, "side is 4"),
        ({"id": first, "side": 99999}, "side is 99999"),
        ({"id": first, "cam": "nobody"}, "nobody"),
        ({"id": first, "cam": "../x"}, "../x"),
    ):
        assert message in boxed.ask("/api/sample/picture", **params)["error"]["message"]
    assert "no label map" in boxed.ask("/api/sample/map", id=first)["error"]["message"]
    assert "no label map" in boxed.ask("/api/sample/map", id=first, model="x")["error"]["message"]


def test_a_picture_that_lies_elsewhere_is_not_fetched_for_a_reader(
    tab: Page, boxed: apps.App
) -> None:
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as there:
        threading.Thread(target=there.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{there.server_port}/secret.jpg"
        row = {"id": ["far.jpg"], "key": keys_of(["far.jpg"]), "uri": [uri], "status": ["ok"]}
        slicedb.open(boxed.database).store.upsert(SAMPLES, pa.table(row))
        opened(tab, boxed, "far.jpg")
        assert f"It lies at {uri}" in tab.locator(".stage .broken").inner_text()
        for path in ("sample/picture", "sample/map", "sample/near"):
            boxed.ask(f"/api/{path}", id="far.jpg")
        there.shutdown()
    assert asked == []
