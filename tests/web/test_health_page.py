"""Health: the curation verbs as jobs, and each finding as a query that gives what was counted."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apps
import pytest
from PIL import Image

import slicedb

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page


@pytest.fixture(scope="module")
def sick(web_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[apps.App]:
    """A copy of `web_scenes` whose split has leaks: some pictures are there twice."""
    root = tmp_path_factory.mktemp("sick")
    shutil.copytree(web_scenes, root / "scenes.slicedb")
    db = slicedb.open(root / "scenes.slicedb")
    folder = root / "again" / "other"
    folder.mkdir(parents=True)
    some = db.query("split = 'train'").keys()[:4]
    for i, (_, data) in enumerate(db.store.read_images(some)):
        (folder / f"{i}.jpg").write_bytes(data)
    Image.new("RGB", (224, 224), (3, 3, 3)).save(folder / "dark.png")
    db.ingest(root / "again", split="test", progress=False)
    with apps.run(root / "scenes.slicedb") as app:
        yield app


def ran(app: apps.App, kind: str, **options: str) -> dict[str, Any]:
    job = app.ask("/api/jobs", body={"kind": kind, **options})
    assert "error" not in job, job
    end = time.monotonic() + 120
    while (job := app.ask(f"/api/jobs/{job['id']}"))["state"] == "running":
        assert time.monotonic() < end
        time.sleep(0.1)
    return job


def test_each_finding_gives_as_many_samples_as_it_counts(sick: apps.App) -> None:
    kinds = [check["kind"] for check in sick.ask("/health.json")["checks"]]
    assert kinds == ["health", "duplicates", "leaks", "quality", "labels", "drift", "discover"]
    for kind in ("duplicates", "leaks", "quality"):
        job = ran(sick, kind)
        assert job["state"] == "done", job
        counted = [f for f in job["result"]["findings"] if f["query"] and f["n"] is not None]
        assert counted, kind
        for found in counted:
            assert sick.ask("/api/count", q=found["query"])["count"] == found["n"], found
    leaks = {f["name"]: f for f in ran(sick, "leaks")["result"]["findings"]}
    assert leaks["leak by bytes"]["n"] == 4


def test_drift_compares_two_predicates_and_health_bounds_everything(sick: apps.App) -> None:
    same = ran(sick, "drift", a="label < 'M'", b="label > 'M'")
    assert same["state"] == "done", same["message"]
    states = {f["name"]: f["state"] for f in same["result"]["findings"]}
    assert {"differs", "alike"} <= set(states.values()), states
    assert ran(sick, "drift")["message"] == "Drift compares two sets."
    wrong = ran(sick, "drift", a="lable = 'x'", b="true")
    assert wrong["state"] == "failed" and "lable" in wrong["message"]
    lines = {f["name"]: f for f in ran(sick, "health")["result"]["findings"]}
    assert lines["leaks"]["state"] == "BAD" and lines["leaks"]["link"] == "leaks"
    assert lines["label errors"]["state"] == "-"
    assert "<table" in same["result"]["html"] and "style=" not in same["result"]["html"]


def test_findings_that_name_many_ids_are_opened_by_a_tag(
    sick: apps.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slicedb.cache import Cache
    from slicedb.web.health import Found, _sent

    held: Cache[str, str] = Cache(5)
    many = Found("redundant", 900, "", "id IN ('" + "', '".join("x" * 9 for _ in range(900)) + "')")
    sent = _sent(many, held)
    assert sent["query"] == "" and held.find(str(sent["token"])) == many.query
    assert _sent(Found("few", 1, "", "true"), held)["query"] == "true"
    refused = sick.ask("/api/health/tag", body={"token": "none", "tag": "x"})
    assert "not held any more" in refused["error"]["message"]


@pytest.mark.slow
def test_a_reader_runs_checks_and_opens_a_finding(
    context: BrowserContext, sick: apps.App, axe: Callable[[Page], list[str]]
) -> None:
    sick.enter(context)
    page = context.new_page()
    page.goto(sick.url + "/health")
    page.locator("#leaks form button").click()
    link = page.get_by_role("link", name="Open leak by bytes in Explore")
    link.wait_for()
    page.locator("#jobs button").wait_for(state="detached")
    assert axe(page) == []
    page.emulate_media(color_scheme="dark")
    assert axe(page) == []
    page.reload()  # what was found is still there
    link.wait_for()
    link.click()
    page.wait_for_url("**/?q=*")
