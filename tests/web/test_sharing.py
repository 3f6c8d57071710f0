"""Who gets in, with a browser: links, roles, prefixes; and what every page has."""

from __future__ import annotations

import queue
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import apps
import pytest
from watching import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

PAGES = ("/", "/map", "/slices", "/models", "/tests", "/clean", "/health", "/try")

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_a_heading_its_keys_and_its_twin(
    path: str, visit: Callable[..., Page], server: apps.App
) -> None:
    page = visit(path)
    assert page.locator("h1").count() == 1
    assert page.locator("nav a[aria-current=page]").count() == 1
    page.keyboard.press("?")
    keys = page.get_by_role("dialog").locator("kbd").all_text_contents()
    assert "?" in keys and "g" in keys
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0
    twin = server.ask("/explore.json" if path == "/" else f"{path}.json")
    assert isinstance(twin, dict) and "error" not in twin


def test_two_letters_go_to_a_page(visit: Callable[..., Page]) -> None:
    page = visit("/")
    for letters, path in (("gm", "/map"), ("gs", "/slices"), ("ge", "/")):
        for letter in letters:
            page.keyboard.press(letter)
        page.wait_for_url(lambda url, path=path: url.partition("?")[0].endswith(path))


def test_the_theme_is_kept(visit: Callable[..., Page]) -> None:
    page = visit("/slices")
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_link_lets_one_browser_in_and_a_new_one_is_printed(
    chromium: Browser, context: BrowserContext, watch: Watch, own_server: apps.App
) -> None:
    link = own_server.links.get(timeout=20)
    page = context.new_page()
    page.goto(f"{link}&q=label%20%3D%20%27Soup%27")
    page.wait_for_url(lambda url: "token" not in url)
    page.locator("#count", has_text="samples").wait_for()
    assert page.locator("#text").input_value() == "label = 'Soup'"
    cookie = next(c for c in context.cookies() if c["name"].startswith("slicedb_"))
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    stranger = chromium.new_context()
    try:
        tab = stranger.new_page()
        assert (tab.goto(link) or pytest.fail()).status == 403
        assert "used already" in tab.inner_text("body")
        assert (tab.goto(own_server.url) or pytest.fail()).status == 403
        assert "slicedb app" in tab.inner_text("body")
        tab.goto(own_server.links.get(timeout=20))
        tab.wait_for_url(lambda url: "token" not in url)
        tab.locator("#count", has_text="120 samples").wait_for()
    finally:
        stranger.close()


def test_a_read_only_page_lets_nobody_change_anything(
    context: BrowserContext, web_scenes: Path
) -> None:
    with apps.run(web_scenes, "--read-only") as app:
        app.enter(context)
        page = context.new_page()
        page.goto(app.url)
        assert page.locator("header .tagged").text_content() == "viewer"
        said = app.ask("/api/slices", body={"name": "x", "query": "label = 'Soup'"})
        assert said["error"]["kind"] == "NotAllowed"
        page.close()


def test_others_are_let_in_by_the_names_that_were_given(
    context: BrowserContext, web_scenes: Path
) -> None:
    options = ("--host", "0.0.0.0", "--allow-host", "localhost", "--root-path", "/team")
    with apps.run(web_scenes, *options) as app:
        viewer = app.links.get(timeout=20)
        assert "for one who may only look" in "".join(app.lines)
        assert viewer.startswith("http://localhost:") and "/team/?token=" in viewer
        page = context.new_page()
        port = app.url.rpartition(":")[2].partition("/")[0]
        page.goto(viewer.replace("localhost", "127.0.0.1"))
        page.wait_for_url(lambda url: "token" not in url)
        assert page.url == f"http://127.0.0.1:{port}/team/"
        page.locator("#count", has_text="120 samples").wait_for()
        page.locator("#grid img.picture").first.wait_for()
        page.click("nav a:text-is('Slices')")
        page.wait_for_url("**/team/slices")
        page.get_by_role("link", name="forks").first.wait_for()
        assert page.locator("header .tagged").text_content() == "viewer"
        with pytest.raises(queue.Empty):
            while "viewer" not in app.links.get(timeout=1):
                pass
        page.close()
