"""The page of models: heat map, confusion, classes, flips, curves, for models of every task."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apps
import fakes_segmenter
import numpy as np
import pyarrow as pa
import pytest

import slicedb
from slicedb.web import judging

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

HOSTILE = "<img src=x onerror=alert(1)>"
"""A class that would run a script where a name is taken for HTML."""


def _wishful(ids: list[str], labels: list[str]) -> dict[str, pa.Table]:
    """Return the predictions of a model of each task."""
    rng = np.random.default_rng(5)
    names = sorted(set(labels))
    truth = np.array([names.index(label) for label in labels])
    z = rng.normal(size=(len(ids), len(names)))
    z[np.arange(len(ids)), truth] += 2
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    boxes = [[{"label": "plate", "bbox": [4.0, 4.0, 20.0, 20.0], "score": s}] for s in p[:, 0]]
    return {
        "sure": pa.table({"id": ids, "probabilities": p.tolist()}),
        "finder": pa.table({"id": ids, "objects": boxes}),
        "tagger": pa.table({"id": ids, "probabilities": p[:, :2].tolist()}),
        "weigher": pa.table({"id": ids, "value": rng.normal(300, 30, len(ids))}),
    }


@pytest.fixture(scope="module")
def judged(web_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[apps.App]:
    """A page with classifiers, a detector, a multi-label and a regression model."""
    copy = tmp_path_factory.mktemp("models") / "scenes.slicedb"
    shutil.copytree(web_scenes, copy)
    db = slicedb.open(copy)
    rows = db.query("ORDER BY id").to_arrow(["id", "label"])
    ids = rows["id"].to_pylist()
    db.relabel(f"id IN ('{ids[0]}', '{ids[1]}')", HOSTILE)
    labels = [HOSTILE, HOSTILE, *rows["label"].to_pylist()[2:]]
    tables = _wishful(ids, labels)
    boxes = [[{"label": "plate", "bbox": [5.0, 5.0, 20.0, 20.0]}] for _ in ids]
    truth = {"id": ids, "weight": [300.0 + k % 7 for k in range(len(ids))]}
    db.attach(pa.table({**truth, "labels": [["hot"] if k % 3 else [] for k in range(len(ids))]}))
    db.store.upsert("samples", pa.table({"id": ids, "objects": boxes}), insert=False)
    db.log_predictions("sure", tables["sure"], classes=sorted(set(labels)))
    db.log_predictions("finder", tables["finder"], classes=["plate"])
    db.log_predictions("tagger", tables["tagger"], classes=["cold", "hot"], multilabel=True)
    db.log_predictions("weigher", tables["weigher"], target="weight")
    db.slices.add("gated", "label = 'Soup'", expect=["accuracy >= 0.1"])
    db.slices.add("nothing", "false")
    db.slices.add("kept_back", "label = 'Rice'", holdout=0.5)
    with apps.run(copy) as app:
        yield app


@pytest.fixture
def go(context: BrowserContext, judged: apps.App) -> Callable[[str], Page]:
    """Open a path of `judged` in a watched tab."""
    judged.enter(context)

    def opened(path: str) -> Page:
        page = context.new_page()
        page.goto(judged.url + path)
        return page

    return opened


def evaluated(app: apps.App, **more: Any) -> dict[str, Any]:
    told: dict[str, Any] = app.ask(
        "/api/models/evaluate", body={"models": ["good", "weak"], **more}
    )
    return told


def test_the_table_of_slices_and_models_has_intervals_and_n(judged: apps.App) -> None:
    told = evaluated(judged)
    rows = {(row["slice"], row["model"]): row for row in told["rows"]}
    whole = slicedb.open(judged.database).evaluate(["good"], "true", record=False, predict=False)
    assert rows["all", "good"]["value"] == whole.value("true", "good")
    assert rows["all", "good"]["low"] < rows["all", "good"]["value"] < rows["all", "good"]["high"]
    assert ("kept_back", "good") not in rows and told["n_held_back"] == 1
    assert "n 120" in told["html"] and "style=" not in told["html"]


def test_a_look_is_counted_once_while_nothing_changes(judged: apps.App) -> None:
    db = slicedb.open(judged.database)
    evaluated(judged, metric="f1")
    before = len(db.runs.list("evaluate"))
    evaluated(judged, metric="f1")
    assert len(db.runs.list("evaluate")) == before > 0
    held = evaluated(judged, metric="f1", held_out=True)
    assert any(row["slice"] == "kept_back" for row in held["rows"])
    assert len(db.runs.list("evaluate")) == before + 1


def test_every_part_of_the_page_looks_once_at_a_slice_and_a_reload_no_more(
    judged: apps.App,
) -> None:
    db = slicedb.open(judged.database)
    db.slices.add("fresh", "label = 'Soup' OR label = 'Rice'", holdout=0.5, replace=True)
    for model in ("sure", "finder"):
        for part in ("curves", "confusion", "classes", "mistakes", "confusion"):
            told = judged.ask(f"/api/models/{part}", body={}, model=model, slice="fresh")
            assert "error" not in told
    assert db.slices.show("fresh").looks == "2 looks (finder 1, sure 1)"
    judged.ask("/api/models/compare", body={}, a="good", b="sure", held_out=False)
    assert db.slices.show("fresh").looks == "2 looks (finder 1, sure 1)"
    judged.ask("/api/models/compare", body={}, a="good", b="sure", held_out=True)
    assert db.slices.show("fresh").looks == "3 looks (finder 1, good 1, sure 1)"
    db.slices.drop("fresh")


def test_a_viewer_leaves_no_look(web_scenes: Path, tmp_path: Path) -> None:
    copy = tmp_path / "scenes.slicedb"
    shutil.copytree(web_scenes, copy)
    slicedb.open(copy).slices.add("gated", "label = 'Soup'", expect=["accuracy >= 0.1"])
    with apps.run(copy, "--read-only") as app:
        assert evaluated(app)["rows"]
        assert app.ask("/api/models/confusion", body={}, model="weak", slice="gated")["n"]
    assert not len(slicedb.open(copy).runs.list())


def test_cells_of_the_confusion_matrix_count_their_queries(judged: apps.App) -> None:
    for scope in ("all", "gated"):
        told = judged.ask("/api/models/confusion", body={}, model="weak", slice=scope)
        assert told["pairs"]
        for pair in told["pairs"]:
            assert judged.ask("/api/count", q=pair["query"])["count"] == pair["n"], pair
    boxes = judged.ask("/api/models/confusion", body={}, model="finder")
    assert boxes["n"] > 0 and "boxes" in boxes["about"]


def test_flips_open_as_queries_that_count_the_same(judged: apps.App) -> None:
    told = judged.ask("/api/models/compare", body={}, a="good", b="weak")
    for row in told["rows"]:
        if row["slice"] in ("all", "gated"):
            for name, query in (("wins", row["won"]), ("losses", row["lost"])):
                assert judged.ask("/api/models/flipped", q=query)["n"] == row[name]
    assert any("95% interval" in text for text in told["about"])


@pytest.mark.parametrize("model", ["good", "sure", "finder", "tagger", "weigher"])
def test_a_model_of_any_task_is_shown_by_what_its_task_has(model: str, judged: apps.App) -> None:
    assert evaluated(judged, models=[model])["rows"]
    curves = judged.ask("/api/models/curves", body={}, model=model, positive="Soup")
    classes = judged.ask("/api/models/classes", body={}, model=model)
    mistakes = judged.ask("/api/models/mistakes", body={}, model=model)
    if model == "sure":
        assert curves["reliability"]["charts"][0]["title"] == "as it is"
        assert "n = 120" in curves["threshold"]["svg"] and "bands 95%" in curves["threshold"]["svg"]
        found = judged.ask("/api/count", q=curves["cost"]["query"])["count"]
        assert 0 < found < 120 and curves["cost"]["policies"][0]["n"] == 120
    if model == "good":
        assert curves["reliability"]["charts"] and curves["missing"]
    if model == "finder":
        assert "120 predicted, 120 annotated" in curves["threshold"]["about"]
    if model == "weigher":
        assert "no classes" in classes["error"]["message"] and curves["missing"]
    else:
        assert classes["rows"] and "rail" in classes["html"]
    assert "findings" in mistakes or mistakes["error"]["message"]


def test_a_segmenter_is_shown_by_classes_of_pixels(tmp_path: Path) -> None:
    fakes_segmenter.folder(tmp_path / "road", 6)
    db = slicedb.open(tmp_path / "road.slicedb")
    db.ingest(tmp_path / "road", mask_classes=fakes_segmenter.CLASSES, progress=False)
    for name, shift in (("exact", 0), ("shifted", 4)):
        db.models.add(name, fakes_segmenter.segmenter(fakes_segmenter.Nearest(shift)))
        db.predict(name, progress=False)
    assert "0.7" in str(judging.grid(db, ["exact", "shifted"], "", False)["html"])
    for name in ("confusion", "classes"):
        told = getattr(judging, name)(db, "shifted", "all")
        queries = re.findall(r'data-query="([^"]+)"', told["html"])
        assert queries and all(0 < db.query(html.unescape(q)).count() <= 6 for q in queries)
    rows: Any = judging.compared(db, "exact", "shifted", False)["rows"]
    (row,) = rows
    assert judging.flipped(db, row["won"])["n"] == row["wins"] == 4  # a car moves in four scenes
    assert judging.curves(db, "exact", "all", "", (1, 1))["missing"]


def test_a_slice_without_samples_is_no_crash(judged: apps.App) -> None:
    rows = [row for row in evaluated(judged)["rows"] if row["slice"] == "nothing"]
    assert [row["value"] for row in rows] == [None, None] and rows[0]["reason"]
    for part in ("confusion", "classes", "mistakes", "curves"):
        told = judged.ask(f"/api/models/{part}", body={}, model="sure", slice="nothing")
        assert told.get("error", {}).get("kind") != "Error", part


def test_a_wrong_question_is_told(judged: apps.App) -> None:
    assert evaluated(judged, metric="accurcy")["error"]["hint"]
    told = judged.ask("/api/models/confusion", body={}, model="nobody")
    assert told["error"]["kind"] == "UnknownModelError"
    assert judged.ask("/api/models/evaluate", body={"models": "good"})["error"]["message"]
    for part in ("confusion", "classes", "mistakes", "curves"):
        told = judged.ask(f"/api/models/{part}", body={}, model="good", slice="label = 'Soup'")
        assert told["error"]["kind"] == "UnknownSliceError", part
    positive = judged.ask("/api/models/curves", body={}, model="sure", positive="Sop")
    assert "Soup" in positive["missing"][0]


def test_a_cell_opens_its_samples_in_explore(go: Callable[[str], Page], judged: apps.App) -> None:
    page = go("/models?model=weak")
    cell = page.locator("#confusion td[class^='shade-bad'] a").first
    n = int(cell.text_content() or "0")
    cell.click()
    page.wait_for_url("**/?q=*")
    text = page.evaluate("new URLSearchParams(location.search).get('q')")
    assert "weak.prediction" in text and judged.ask("/api/count", q=text)["count"] == n


def test_two_models_show_what_flipped(go: Callable[[str], Page]) -> None:
    page = go("/models?model=good&a=good&b=weak")
    page.get_by_text("good right, weak wrong, on all samples").wait_for()
    page.locator("#compare").get_by_role("button", name="desserts").click()
    page.get_by_text("good right, weak wrong, on desserts").wait_for()
    assert page.locator("#flipped img").count() > 0


def test_what_is_chosen_is_in_the_address(go: Callable[[str], Page]) -> None:
    page = go("/models?model=sure")
    page.locator("#curves svg.chart").first.wait_for()
    page.get_by_label("on", exact=True).select_option("gated")
    page.wait_for_url("**slice=gated*")
    page.reload()
    assert page.get_by_label("on", exact=True).input_value() == "gated"
    assert page.get_by_label("Model", exact=True).input_value() == "sure"
    page.go_back()
    page.wait_for_function("() => document.getElementById('slice').value === 'all'")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("model", ["sure", "finder", "weigher"])
def test_names_are_text_and_everybody_can_read_it(
    model: str, theme: str, go: Callable[[str], Page], axe: Callable[[Page], list[str]], watch: Any
) -> None:
    watch.expect("status of 400")  # a regression model has no classes
    page = go(f"/models?model={model}&models={model}")
    page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    page.wait_for_function("() => !document.querySelector('[aria-busy]')")
    assert page.locator("main img[src='x']").count() == 0
    if model == "sure":
        assert page.get_by_text(HOSTILE).count() > 0
    assert axe(page) == []


def test_a_database_without_predictions_says_what_to_do(
    web_scenes: Path, tmp_path: Path, context: BrowserContext
) -> None:
    copy = tmp_path / "scenes.slicedb"
    shutil.copytree(web_scenes, copy)
    db = slicedb.open(copy)
    for name in ("good", "weak"):
        db.models.drop(name)
    for s in list(db.slices.list()):
        db.slices.drop(s.name)
    with apps.run(copy) as app:
        app.enter(context)
        page = context.new_page()
        page.goto(f"{app.url}/models")
        assert page.get_by_text("slicedb log-predictions NAME FILE").count() == 1
        page.goto(f"{app.url}/slices")
        assert page.get_by_text("No slices yet").count() == 1
        page.close()
