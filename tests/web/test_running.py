"""The page as a process: it prints a link, opens a session, and answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import apps

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_printed_link_opens_one_session(server: apps.App) -> None:
    assert server.ask("/about.json")["role"] == "editor"
    assert server.ask("/about.json", cookie="")["error"]
    assert server.ask("/api/count", q="label = 'Dessert'")["count"] > 0


def test_a_browser_opens_the_page(visit: Callable[..., Page]) -> None:
    page = visit("/")
    assert page.locator("h1").text_content() == "Explore"
    assert page.title() == "Explore · SliceDB"
