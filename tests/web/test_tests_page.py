"""Tests: verdicts with their worst samples, trends, and a suite that runs while a reader looks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apps
import pytest

import slicedb
from slicedb.errors import CheckError
from slicedb.runs import Standing, standings
from slicedb.web.testing import _source, _title

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page


@pytest.fixture(scope="module")
def judged(web_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `web_scenes` with two recorded runs over three expectations."""
    path = tmp_path_factory.mktemp("judged") / "scenes.slicedb"
    shutil.copytree(web_scenes, path)
    db = slicedb.open(path)
    desserts = "label = 'Dessert'"
    db.slices.add("desserts", desserts, expect=["accuracy >= 0.99", "count > 3"], replace=True)
    db.slices.add("forks", "cutlery = 'fork'", expect=["accuracy >= 0.05"], replace=True)
    db.test(model="good")
    db.test(model="weak")
    return path


@pytest.fixture(scope="module")
def tests_server(judged: Path) -> Iterator[apps.App]:
    with apps.run(judged) as app:
        yield app


def stands(db: slicedb.Database) -> dict[str, Standing]:
    scopes = {s.name: f"in_slice('{s.name}')" for s in db.slices.list()}
    return {one.name: one for one in standings(db.store, scopes, 20)}


def test_each_expectation_stands_with_its_bound_and_its_worst_samples(judged: Path) -> None:
    db = slicedb.open(judged)
    found = stands(db)
    assert list(found) == [
        "desserts: accuracy >= 0.99",
        "desserts: count > 3",
        "forks: accuracy >= 0.05",
    ]
    failing = found["desserts: accuracy >= 0.99"]
    assert (failing.last.verdict, failing.last.model, failing.bound) == ("FAIL", "weak", 0.99)
    assert failing.worst == "in_slice('desserts') AND NOT weak.correct ORDER BY weak.loss DESC"
    wrong = db.query(failing.worst)
    assert wrong.count() == db.query("label = 'Dessert' AND NOT weak.correct").count() > 0
    assert found["desserts: count > 3"].worst == "in_slice('desserts')"
    assert [p.model for p in failing.trend.points] == ["good", "weak"]
    assert failing.message.startswith("accuracy") or failing.message


def test_worst_samples_of_classes_and_against_a_baseline(judged: Path) -> None:
    from slicedb.runs.worst import worst

    store = slicedb.open(judged).store
    assert worst(store, "in_slice('a')", "recall of Soup >= 0.5", "good") == (
        "in_slice('a') AND label = 'Soup' AND NOT good.correct ORDER BY good.loss DESC"
    )
    assert worst(store, "true", "precision of Soup >= 0.5", "good") == (
        "true AND good.prediction = 'Soup' AND NOT good.correct ORDER BY good.loss DESC"
    )
    assert worst(store, "x", "f1 of Soup >= 0.5", "good") == (
        "x AND (label = 'Soup' OR good.prediction = 'Soup') AND NOT good.correct "
        "ORDER BY good.loss DESC"
    )
    assert worst(store, "x", "accuracy no worse than good by 0.02", "weak", "good") == (
        "x AND good.correct AND NOT weak.correct ORDER BY weak.loss DESC"
    )
    assert worst(store, "x", "accuracy >= 0.5", "none") == "x"
    assert worst(store, "x", "a metric of a package that is gone >= 1", "good") == "x"


def test_a_suite_is_a_registered_one_and_never_a_path_of_the_reader(judged: Path) -> None:
    db = slicedb.open(judged)
    assert _source(db, None) is None
    with pytest.raises(CheckError, match="No slice of a suite '/etc'"):
        _source(db, "/etc")
    assert _title({"model": "m", "suite": "queries"}) == "test m: suite queries"


def until_over(app: apps.App, id: str) -> dict[str, Any]:
    end = time.monotonic() + 60
    while (job := app.ask(f"/api/jobs/{id}"))["state"] == "running":
        assert time.monotonic() < end
        time.sleep(0.1)
    return job


def test_the_twin_in_json_and_a_run_by_the_api(tests_server: apps.App) -> None:
    shown = tests_server.ask("/tests.json")
    assert shown["counts"] == {"FAIL": 1, "INCONCLUSIVE": 0, "PASS": 2}
    assert [test["verdict"] for test in shown["tests"]] == ["FAIL", "PASS", "PASS"]
    assert (shown["n_slices"], shown["n_expectations"]) == (2, 3)
    assert {"good", "weak"} <= set(shown["models"])
    job = tests_server.ask("/api/jobs", body={"kind": "test", "model": "weak"})
    over = until_over(tests_server, job["id"])
    assert over["state"] == "done" and sum(over["result"]["counts"].values()) == 3
    assert over["result"]["run"] == tests_server.ask("/tests.json")["runs"][0]["id"]
    job = tests_server.ask("/api/jobs", body={"kind": "test", "model": "gone"})
    over = until_over(tests_server, job["id"])
    assert over["state"] == "failed" and "gone" in over["message"]
    assert "error" in tests_server.ask("/api/jobs", body={"kind": "none"})
    assert tests_server.ask("/api/jobs/none")["error"]["kind"] == "UnknownJobError"


@pytest.fixture
def tab(context: BrowserContext, tests_server: apps.App) -> Callable[[str], Page]:
    tests_server.enter(context)

    def opened(path: str) -> Page:
        page = context.new_page()
        page.goto(tests_server.url + path)
        return page

    return opened


@pytest.mark.slow
def test_a_reader_filters_opens_and_comes_back(tab: Callable[[str], Page]) -> None:
    page = tab("/tests")
    tests = page.locator("tbody[data-test]:visible")
    assert tests.count() == 3
    page.get_by_role("button", name="PASS").first.click()
    assert tests.count() == 1 and page.locator("#shown").text_content() == "1 of 3 shown"
    page.get_by_role("button", name="FAIL").last.click()
    assert page.locator("tr.more:visible figure svg").count() == 1
    page.reload()
    assert tests.count() == 1 and page.locator("tr.more:visible").count() == 1
    link = page.get_by_role("link", name="Open the worst in Explore")
    assert "weak.correct" in (link.get_attribute("href") or "") or "good.correct" in (
        link.get_attribute("href") or ""
    )
    page.keyboard.press("/")
    page.keyboard.type("forks")
    assert page.locator("#shown").text_content() == "0 of 3 shown"


@pytest.mark.slow
def test_a_reader_runs_a_suite_and_sees_its_verdicts(
    tab: Callable[[str], Page], axe: Callable[[Page], list[str]]
) -> None:
    page = tab("/tests")
    before = page.locator(".runs tbody tr").count()
    page.get_by_label("Model").select_option("good")
    page.get_by_role("button", name="Run", exact=True).click()
    page.locator("#running b.PASS").wait_for()
    assert page.locator(".runs tbody tr").count() == before + 1
    assert page.get_by_role("button", name="Run", exact=True).is_enabled()
    page.locator("button.open").first.click()
    assert axe(page) == []
    page.emulate_media(color_scheme="dark")
    assert axe(page) == []


SLOW = """
import time

import torch
from slicedb.models import Detector


class Slow(Detector):
    classes = ("thing",)

    def predict_batch(self, images):
        time.sleep(0.25)
        none = torch.zeros(0)
        found = {"boxes": torch.zeros(0, 4), "labels": none.long(), "scores": none}
        return [found for _ in images]
"""


@pytest.mark.slow
def test_a_run_survives_a_reload_and_is_cancelled_from_another_page(
    context: BrowserContext, judged: Path, tmp_path: Path
) -> None:
    path = tmp_path / "scenes.slicedb"
    shutil.copytree(judged, path)
    (tmp_path / "slow.py").write_text(SLOW)
    db = slicedb.open(path)
    db.models.add("slow", f"{tmp_path}/slow.py:Slow")
    db.slices.add("everything", "true", expect=["count > 3"])
    n_runs = len(db.runs.list())
    with apps.run(path) as app:
        app.enter(context)
        page = context.new_page()
        page.goto(app.url + "/tests")
        page.get_by_label("Model").select_option("slow")
        page.get_by_role("button", name="Run", exact=True).click()
        page.locator("#running", has_text="predict slow").wait_for(timeout=60_000)
        page.reload()
        page.locator("#running", has_text="predict slow").wait_for()
        assert page.get_by_role("button", name="Run", exact=True).is_disabled()
        again = app.ask("/api/jobs", body={"kind": "test", "model": "good"})
        assert again["error"]["kind"] == "ConflictError"
        page.goto(app.url + "/")
        page.locator("#jobs button").click()
        page.get_by_text("predict slow was cancelled after").wait_for()
        page.locator("#jobs button").wait_for(state="detached")
    db = slicedb.open(path)
    assert len(db.runs.list()) == n_runs
    assert 0 < db.store.count("predictions__slow") < 120
