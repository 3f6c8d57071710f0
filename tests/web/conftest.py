"""A real browser for the tests of the page, and the checker of its accessibility."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
import tools
from watching import Watch, find_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whatever asks for a browser."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless browser for the whole run, or a skip with the reason."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = find_chromium()
    if path is None:
        pytest.skip("there is no chromium; install it or name it in SLICEDB_CHROMIUM")
    # A container's root has no sandbox and its /dev/shm is small.
    flags = ["--no-sandbox", "--disable-dev-shm-usage"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Fails the test when a page had an error, broke the policy or asked another machine."""
    watch = Watch()
    yield watch
    assert watch.faults == []


@pytest.fixture
def context(chromium: Browser, watch: Watch) -> Iterator[BrowserContext]:
    """A fresh browser profile, watched."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    context.set_default_timeout(15_000)
    watch.follow(context)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A fresh tab, watched."""
    return context.new_page()


@pytest.fixture
def axe() -> Callable[[Page], list[str]]:
    """Lists the serious and critical findings of axe-core on a page, or skips with the reason."""
    script = (tools.fetched() / "axe-core" / "axe.min.js").read_text()

    def findings(page: Page) -> list[str]:
        page.evaluate(script)  # by the debugger, which the content security policy does not bind
        report = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{found['id']}: {node['html'][:120]} {node['failureSummary']}"
            for found in report["violations"]
            if found["impact"] in ("serious", "critical")
            for node in found["nodes"]
        ]

    return findings
