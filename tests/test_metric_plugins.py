"""A metric of an installed package: in evaluate, test, expectations and the list of metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from test_plugins import install, site

import slicedb
from slicedb import metrics
from slicedb.cli import main
from slicedb.database import Database
from slicedb.errors import CheckError, PluginError
from slicedb.metrics import METRICS, Metric, PerSample, mean, mean_state
from slicedb.plugins import PluginWarning

__all__ = ["site"]

CODE = """
from slicedb.metrics import Metric, PerSample, mean, mean_state

doubt = PerSample("doubt", lambda outcomes: 1 - outcomes.confidence)
METRICS = [
    Metric(
        "doubt",
        mean_state(doubt, ("confidence",)),
        mean,
        "mean",
        "no sample has both a label and a prediction",
        rises=False,
        aliases=("uncertainty",),
        sample=doubt,
    )
]
WRONG = Metric("a b", mean_state(doubt), mean, "mean", "nothing")
TAKEN = Metric("accuracy", mean_state(doubt), mean, "mean", "nothing")
"""


@pytest.fixture
def package(site: Path) -> Iterator[Path]:
    install(site, "doubtful", "slicedb.metrics", {"all": "doubtful:METRICS"}, CODE)
    METRICS.forget()
    yield site
    METRICS.forget()


@pytest.fixture
def db(package: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """`sure` doubts nothing, `unsure` a quarter on average; both are always right."""
    monkeypatch.chdir(scenes)
    monkeypatch.delenv("SLICEDB_DB", raising=False)
    db = slicedb.open("data.slicedb", create=False)
    rows = db.sql("SELECT id, label FROM samples ORDER BY id").to_pydict()
    for name, confidences in (("sure", [1.0, 1.0]), ("unsure", [0.7, 0.8])):
        sure = [confidences[i % 2] for i in range(len(rows["id"]))]
        data = {"id": rows["id"], "prediction": rows["label"], "confidence": sure}
        db.log_predictions(name, pa.table(data))
    return db


def test_evaluate_takes_it_by_name_and_by_alias(db: Database) -> None:
    db.slices.add("night", "light = 'night'")
    table = db.evaluate(["sure", "unsure"], slices=["night"], metrics=["doubt"]).to_arrow()
    assert table["model"].to_pylist() == ["sure", "unsure"]
    assert table["value"].to_pylist() == pytest.approx([0.0, 0.25], abs=0.01)
    again = db.evaluate("unsure", slices=["night"], metrics=["uncertainty"]).to_arrow()
    assert again["metric"].to_pylist() == ["doubt"]


def test_expectations_bound_it_and_compare_it(db: Database) -> None:
    expect = ["doubt <= 0.3", "doubt <= 0.2", "doubt no worse than sure by 0.1"]
    db.slices.add("pictures", "status = 'ok'", expect=expect)
    report = db.test(model="unsure")
    assert [result.verdict for result in report.results] == ["PASS", "FAIL", "FAIL"]
    with pytest.raises(CheckError, match="doubt lies between 0 and 1, the bound is 5"):
        db.slices.add("day", "light = 'day'", expect=["doubt <= 5"])


def test_the_list_of_metrics_has_it(db: Database, capsys: pytest.CaptureFixture[str]) -> None:
    main_or_exit(["metrics", "-f", "json"])
    rows = {(row["task"], row["name"]): row for row in json.loads(capsys.readouterr().out)}
    row = rows["classification", "doubt"]
    assert (row["range"], row["better"], row["also"]) == ("0 to 1", "lower", "uncertainty")
    assert rows["regression", "bias"]["range"] == "-inf to inf"
    with pytest.raises(CheckError, match="did you mean 'doubt'"):
        metrics.find("dout")


def main_or_exit(line: list[str]) -> None:
    try:
        main(line)
    except SystemExit as stop:
        assert not stop.code


def test_a_metric_that_is_none_and_one_whose_name_is_taken_are_left_out(site: Path) -> None:
    entries = {"a": "odd:WRONG", "b": "odd:TAKEN", "c": "odd:CODE"}
    install(site, "odd", "slicedb.metrics", entries, CODE + "CODE = 3\n")
    METRICS.forget()
    try:
        with pytest.warns(PluginWarning) as warned:
            assert METRICS.installed == {}
    finally:
        METRICS.forget()
    texts = sorted(str(warning.message) for warning in warned)
    assert "'a' of the package 'odd'" in texts[0] and "cannot stand in an expectation" in texts[0]
    assert "'accuracy' is taken" in texts[1]
    assert "3 has no name" in texts[2]


def test_a_metric_of_the_running_process() -> None:
    wrong = PerSample("wrong", lambda outcomes: 1.0 - outcomes.correct)
    metric = Metric("error", mean_state(wrong), mean, "mean", "nothing", rises=False)
    METRICS.add(metric)
    try:
        assert metrics.find("error") is metric
        with pytest.raises(PluginError, match="'error' is taken"):
            METRICS.add(metric)
    finally:
        METRICS.added.clear()


@pytest.mark.parametrize(
    ("task", "name", "low", "high", "rises"),
    [
        ("classification", "accuracy", 0, 1, True),
        ("classification", "brier", 0, 2, False),
        ("classification", "log_loss", 0, float("inf"), False),
        ("classification", "top_3", 0, 1, True),
        ("multilabel", "hamming_loss", 0, 1, False),
        ("detection", "map", 0, 1, True),
        ("detection", "loss", 0, float("inf"), False),
        ("regression", "mae", 0, float("inf"), False),
        ("regression", "rmse", 0, float("inf"), False),
        ("regression", "bias", float("-inf"), float("inf"), False),
    ],
)
def test_range_and_direction(task: str, name: str, low: float, high: float, rises: bool) -> None:
    metric = metrics.suit(metrics.find(name), task)
    assert (metric.range, metric.rises) == ((low, high), rises)
    assert metric.is_share == (metric.range == (0, 1))
