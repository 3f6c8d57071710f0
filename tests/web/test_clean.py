"""Clean in a real browser: queues are worked by keyboard, and one commit applies decisions."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apps
import pytest
from PIL import Image
from watching import Watch

import slicedb
from slicedb.schema import keys_of

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page


@pytest.fixture(scope="module")
def dirty(web_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[apps.App]:
    """The page of scenes of which one is there twice, in two splits, and one is broken."""
    root = tmp_path_factory.mktemp("dirty")
    path = root / "scenes.slicedb"
    shutil.copytree(web_scenes, path)
    db = slicedb.open(path)
    row = db.query("split = 'train' ORDER BY id LIMIT 1").to_arrow(["id", "label"]).to_pylist()[0]
    first, label = [row["id"]], row["label"]
    data = next(data for _, data in db.store.read_images(keys_of(first)))
    picture = Image.open(io.BytesIO(data)).resize((48, 48))
    (root / "more").mkdir()
    picture.save(root / "more" / "copy.png")
    (root / "more" / "broken.jpg").write_bytes(data[: len(data) // 2])
    db.ingest(root / "more", prefix="more", split="test", label=label, progress=False)
    db.commit("before")
    with apps.run(path) as app:
        yield app


def queue(app: apps.App, **question: object) -> Any:
    """Return a queue once it is found; the server waits a moment before it says that it looks."""
    while (answer := app.ask("/api/queue", **question)).get("state") == "searching":
        pass
    return answer


@pytest.fixture
def clean(context: BrowserContext, dirty: apps.App) -> Iterator[Page]:
    """A tab on Clean; what a test decided is discarded after it."""
    dirty.enter(context)
    page = context.new_page()
    yield page
    dirty.ask("/api/discard", body={})


def opened(page: Page, app: apps.App, queue: str) -> None:
    page.goto(f"{app.url}/clean?queue={queue}")


def pending(app: apps.App) -> Any:
    return app.ask("/api/edits", all="true")


def test_a_queue_is_worked_by_keyboard_and_its_place_is_in_the_address(
    clean: Page, dirty: apps.App
) -> None:
    opened(clean, dirty, "losses:weak")
    clean.locator(".review .id").wait_for()
    ids = []
    for key in ("k", "2", "d", "s"):
        ids.append(clean.locator(".review .id").inner_text())
        clean.keyboard.press(key)
        clean.wait_for_url(f"**/clean*at={len(ids)}*")
    decided = pending(dirty)
    assert [(e["sample"], e["kind"]) for e in decided["edits"]] == [
        *zip(ids, ("keep", "edit", "delete", "skip"))
    ]
    assert {e["queue"] for e in decided["edits"]} == {"losses:weak"}
    assert "4 pending" in clean.locator("#pending .count").inner_text()
    clean.keyboard.press("u")  # the skip
    clean.keyboard.press("u")  # the deletion, whose sample is shown again
    clean.wait_for_url("**/clean*at=2*")
    assert clean.locator(".review .id").inner_text() == ids[2]
    clean.reload()
    clean.locator(".review .id").wait_for()
    assert clean.locator(".review .id").inner_text() == ids[2]
    assert "2 pending" in clean.locator("#pending .count").inner_text()


def test_a_queue_is_chosen_and_its_suggestion_taken_with_enter(
    clean: Page, dirty: apps.App
) -> None:
    clean.goto(f"{dirty.url}/clean")
    clean.get_by_text("Choose what to look through").wait_for()
    clean.locator("[data-queue='losses:weak']").focus()
    clean.keyboard.press("Enter")
    clean.get_by_role("button", name="It is").wait_for()
    suggested = clean.get_by_role("button", name="It is").inner_text().partition("It is ")[2]
    clean.keyboard.press("Enter")
    clean.wait_for_url("**/clean*at=1*")
    assert [e["label"] for e in pending(dirty)["edits"]] == [suggested]
    clean.go_back()
    clean.get_by_text("Choose what to look through").wait_for()


def test_keys_are_letters_where_a_text_is_written(clean: Page, dirty: apps.App) -> None:
    opened(clean, dirty, "losses:weak")
    clean.locator(".review .id").wait_for()
    shown = clean.locator(".review .id").inner_text()
    clean.keyboard.press("r")
    clean.keyboard.type("dusk")
    assert pending(dirty)["n"] == 0
    clean.keyboard.press("Enter")
    clean.wait_for_url("**/clean*at=1*")
    decided = pending(dirty)["edits"]
    assert [(e["sample"], e["label"]) for e in decided] == [(shown, "dusk")]


def test_of_a_group_one_is_kept_and_one_undo_takes_all_of_it_back(
    clean: Page, dirty: apps.App
) -> None:
    opened(clean, dirty, "duplicates")
    clean.get_by_role("button", name="Find them").click()
    clean.locator(".copy").nth(1).wait_for()
    shown = clean.locator(".copy .id").all_inner_texts()
    assert "more/copy.png" in shown
    assert clean.locator(".copy").first.get_by_text("suggested").count() == 1
    at = shown.index("more/copy.png")
    clean.keyboard.press(str(at + 1))
    clean.locator(".copy").nth(at).get_by_text("to keep").wait_for()
    clean.locator(".copy").nth(1 - at).get_by_text("to delete").wait_for()
    assert pending(dirty)["kinds"] == {"keep": 1, "delete": len(shown) - 1}
    clean.keyboard.press("u")
    clean.locator(".copy").nth(at).get_by_text("to keep").wait_for(state="detached")
    assert pending(dirty)["n"] == 0


def test_all_groups_are_decided_as_suggested_after_a_question(clean: Page, dirty: apps.App) -> None:
    dirty.ask("/api/queue", body={"name": "duplicates"})
    opened(clean, dirty, "duplicates")
    clean.locator(".copy").nth(1).wait_for()
    clean.get_by_role("button", name="All as suggested").click()
    clean.get_by_role("button", name="Decide").click()
    clean.locator(".notice").get_by_text("to delete").wait_for()
    groups = queue(dirty, name="duplicates", a=0, b=50)
    kinds = pending(dirty)["kinds"]
    assert kinds["keep"] <= groups["count"] and kinds["delete"] >= kinds["keep"] > 0
    again = dirty.ask("/api/queue/accept", body={"name": "duplicates"})
    assert again["groups"] == 0 and again["pending"]["kinds"] == kinds
    assert (
        "no groups"
        in dirty.ask("/api/queue/accept", body={"name": "losses:weak"})["error"]["message"]
    )


def test_a_broken_picture_is_said_with_its_reason_and_deleted(
    clean: Page, dirty: apps.App, axe: Any
) -> None:
    opened(clean, dirty, "quarantine")
    clean.locator(".stage .broken").wait_for()
    assert clean.locator(".stage .broken").inner_text().startswith("truncated")
    assert axe(clean) == []
    clean.keyboard.press("d")
    clean.locator(".decided").get_by_text("to delete").wait_for()


def test_everything_is_applied_in_one_commit_and_what_has_changed_is_refused_by_name(
    clean: Page, dirty: apps.App
) -> None:
    opened(clean, dirty, "losses:good")
    clean.locator(".review .id").wait_for()
    ids = []
    for at in range(3):
        ids.append(clean.locator(".review .id").inner_text())
        clean.keyboard.press("1")
        clean.wait_for_url(f"**/clean*at={at + 1}*")
    changed = [e["sample"] for e in pending(dirty)["edits"]]
    other = slicedb.open(dirty.database)
    other.relabel(f"id = '{changed[0]}'", "something else")
    clean.locator("#message").fill("wrong labels")
    clean.get_by_role("button", name="Commit").click()
    clean.get_by_role("dialog").get_by_text(f"{changed[0]}").wait_for()
    assert "label was changed since" in clean.get_by_role("dialog").inner_text()
    history = other.commits.history()
    assert [c.message for c in history[:2]] == ["wrong labels", "before"]
    rows = other.query(f"id = '{changed[1]}'").to_arrow(["label"])
    assert rows["label"].to_pylist() == [other.edits(changed[1])[-1].after["label"]]
    assert "Nothing pending" in clean.locator("#pending .count").inner_text()


def test_who_may_only_look_sees_queues_and_cannot_decide(
    context: BrowserContext, dirty: apps.App, watch: Watch
) -> None:
    with apps.run(dirty.database, "--read-only") as app:
        app.enter(context)
        page = context.new_page()
        opened(page, app, "losses:weak")
        page.locator(".review .id").wait_for()
        assert page.get_by_role("button", name="Keep").count() == 0
        page.keyboard.press("k")
        page.keyboard.press("d")
        assert "You may look, not change." in page.locator("#pending").inner_text()
        assert app.ask("/api/edits")["n"] == 0
        for path in ("decide", "undo", "apply", "discard", "queue", "queue/accept", "sample/cam"):
            assert app.ask(f"/api/{path}", body={})["error"]["kind"] == "NotAllowed"
        page.close()


def test_queues_are_listed_and_a_wrong_one_is_answered(dirty: apps.App) -> None:
    names = [row["name"] for row in dirty.ask("/clean.json")["queues"]]
    assert names == [
        "labels:good",
        "labels:weak",
        "losses:good",
        "losses:weak",
        "duplicates",
        "leaks",
        "quarantine",
    ]
    assert "no queue 'losss:weak'" in queue(dirty, name="losss:weak")["error"]["message"]
    said = queue(dirty, name="query", q="split = 'test' ORDER BY id", a=0, b=2)
    assert said["count"] > 2 and len(said["items"]) == 2
    assert queue(dirty, name="query", q="lable = 1")["error"]["where"]["line"] == 1
    assert "error" in queue(dirty, name="losses:weak", a=0, b=5000)


def test_what_one_tab_decides_another_sees_and_a_name_keeps_them_apart(
    clean: Page, dirty: apps.App, context: BrowserContext
) -> None:
    opened(clean, dirty, "losses:weak")
    clean.locator(".review .id").wait_for()
    clean.keyboard.press("k")
    clean.wait_for_url("**/clean*at=1*")
    second = context.new_page()
    opened(second, dirty, "losses:weak")
    second.locator(".decided").get_by_text("to keep").wait_for()
    second.locator("#author").fill("eve")
    second.locator("#author").press("Tab")
    second.locator("#pending .count").get_by_text("Nothing pending · 1 of others").wait_for()
    second.locator(".decided").get_by_text("not decided").wait_for()
    second.evaluate("localStorage.clear()")


def test_a_lost_connection_is_said_and_no_decision_is_lost_silently(
    clean: Page, dirty: apps.App, context: BrowserContext, watch: Watch
) -> None:
    watch.expect("ERR_INTERNET_DISCONNECTED")
    opened(clean, dirty, "losses:weak")
    clean.locator(".review .id").wait_for()
    shown = clean.locator(".review .id").inner_text()
    context.set_offline(True)
    clean.keyboard.press("k")
    clean.get_by_role("alert").get_by_text("cannot be reached").wait_for()
    assert clean.locator(".review .id").inner_text() == shown  # it stays where it was
    context.set_offline(False)
    clean.get_by_role("alert").wait_for(state="hidden")
    clean.keyboard.press("k")
    clean.wait_for_url("**/clean*at=1*")
    assert [e["sample"] for e in pending(dirty)["edits"]] == [shown]


def test_the_pages_of_queues_are_accessible_in_both_themes(
    clean: Page, dirty: apps.App, axe: Any
) -> None:
    opened(clean, dirty, "losses:weak")
    clean.locator(".review .id").wait_for()
    clean.keyboard.press("k")
    clean.wait_for_url("**/clean*at=1*")
    for theme in ("light", "dark"):
        clean.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        assert axe(clean) == []
    clean.get_by_role("button", name="List").click()
    clean.get_by_role("dialog").get_by_role("link").first.wait_for()
    assert axe(clean) == []
