"""A real browser, a real server on a small database, and the checker of accessibility."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import apps
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


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless browser, or a skip with the reason.

    It is one of a module, since Playwright's event loop runs until it ends: further tests could not
    begin one, as those of the guard and of notebooks do.
    """
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
    context.set_default_timeout(60_000)  # of a machine with other work
    watch.follow(context)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A fresh tab, watched."""
    return context.new_page()


@pytest.fixture(scope="session")
def web_scenes(_scenes_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of 120 embedded scenes with the models `good` and `weak` and two slices."""
    import numpy as np
    import pyarrow as pa

    import slicedb

    path = tmp_path_factory.mktemp("web") / "scenes.slicedb"
    shutil.copytree(_scenes_once / "data.slicedb", path)
    db = slicedb.open(path)
    samples = db.query("ORDER BY id").to_arrow(["id", "label"])
    labels = samples["label"].to_pylist()
    names = sorted(set(labels))
    chance = np.random.default_rng(17)
    for model, share in (("good", 0.9), ("weak", 0.6)):
        is_right = chance.random(len(labels)) < share
        guesses = [
            a if right else names[i % len(names)]
            for i, (a, right) in enumerate(zip(labels, is_right))
        ]
        confidence = np.round(0.4 + 0.6 * chance.random(len(labels)), 3)
        columns = {"id": samples["id"], "prediction": guesses, "confidence": confidence}
        db.log_predictions(model, pa.table(columns))
    db.slices.add("forks", "cutlery = 'fork'")
    db.slices.add("desserts", "label = 'Dessert'")
    return path


@pytest.fixture(scope="session")
def server(web_scenes: Path) -> Iterator[apps.App]:
    """The page of `web_scenes`, for tests that change nothing; others run `own_server`."""
    with apps.run(web_scenes) as app:
        yield app


@pytest.fixture
def own_server(web_scenes: Path, tmp_path: Path) -> Iterator[apps.App]:
    """The page of a copy of `web_scenes`, for a test that writes or ends it."""
    copy = tmp_path / "scenes.slicedb"
    shutil.copytree(web_scenes, copy)
    with apps.run(copy) as app:
        yield app


@pytest.fixture
def visit(context: BrowserContext, server: apps.App) -> Callable[..., Page]:
    """Open a path of `server` in a watched tab: `visit("/", q="label = 'Soup'")`."""
    server.enter(context)

    def opened(path: str = "/", **state: object) -> Page:
        page = context.new_page()
        page.goto(server.url + path + (f"?{urlencode(state)}" if state else ""))
        return page

    return opened


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
