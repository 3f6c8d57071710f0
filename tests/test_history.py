"""Runs over time: trends, flips by chance, and the lineage of a model."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes_judge import add_predictions, add_samples

import slicedb
from slicedb.cli import main
from slicedb.database import Database
from slicedb.errors import DatabaseError
from slicedb.judge import Result, SuiteRun, Verdict
from slicedb.judge.results import Provenance
from slicedb.judge.trials import JudgedSlice
from slicedb.models import TorchClassifier
from slicedb.runs import Runs, record
from slicedb.runs.history import Trend, TrendPoint
from slicedb.slices import Slice
from slicedb.store import Store

DAY = datetime(2026, 1, 1)
NAN = float("nan")


def point(value: float, verdict: str, low: float = 0.8, high: float = 0.9) -> TrendPoint:
    return TrendPoint("r", "m", verdict, value, low, high, 100, DAY)


@pytest.mark.parametrize(
    ("points", "status", "flips", "direction", "verdicts"),
    [
        ([point(0.85, "PASS")], "new", 0, "flat", "P"),
        ([point(0.85, "PASS"), point(0.86, "PASS")], "steady", 0, "flat", "PP"),
        (
            [point(0.85, "PASS"), point(0.84, "FAIL"), point(0.86, "PASS")],
            "flaky by chance",
            2,
            "flat",
            "PFP",
        ),
        ([point(0.85, "PASS"), point(0.7, "FAIL", 0.5, 0.9)], "flaky by chance", 1, "flat", "PF"),
        ([point(0.7, "FAIL", 0.5, 0.9), point(0.85, "PASS")], "flaky by chance", 1, "flat", "FP"),
        ([point(0.85, "PASS"), point(0.5, "FAIL", 0.4, 0.6)], "changed", 1, "down", "PF"),
        ([point(0.5, "FAIL", 0.4, 0.6), point(0.85, "PASS")], "changed", 1, "up", "FP"),
        ([point(0.85, "PASS"), point(NAN, "INCONCLUSIVE", NAN, NAN)], "changed", 1, "flat", "P?"),
    ],
)
def test_a_flip_within_the_interval_is_by_chance(
    points: list[TrendPoint], status: str, flips: int, direction: str, verdicts: str
) -> None:
    trend = Trend("night", "accuracy >= 0.85", tuple(points))
    assert (trend.status, trend.flips, trend.direction, trend.verdicts) == (
        status,
        flips,
        direction,
        verdicts,
    )


def test_the_bars_run_from_the_lowest_to_the_highest_value() -> None:
    values = [0.0, 1.0, NAN, 0.5]
    assert Trend("s", "c", tuple(point(v, "PASS") for v in values)).bars == "▁█ ▅"
    assert Trend("s", "c", (point(0.3, "PASS"), point(0.3, "PASS"))).bars == "▅▅"


def a_run(i: int, model: str, baseline: str, value: float, verdict: Verdict) -> SuiteRun:
    checks = [f"accuracy no worse than {baseline}", "count >= 3"]
    results = tuple(
        Result(
            slice="night",
            check=c,
            model=model,
            verdict=verdict,
            value=value,
            low=value - 0.02,
            high=value + 0.02,
            n=50,
            baseline=b,
        )
        for c, b in zip(checks, (baseline, None))
    )
    rows = np.arange(50)
    return SuiteRun(
        results,
        model,
        baseline,
        run=f"run{i}",
        ran_at=(DAY + timedelta(days=i)).isoformat(),
        provenance=Provenance(fingerprints={model: f"f{i}"}),
        scopes=(JudgedSlice(Slice("night", "true"), rows, rows),),
    )


def test_trends_follow_a_test_over_models_and_their_baselines(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "h.slicedb"))
    assert len(Runs(store).trends()) == 0 and str(Runs(store).trends()) == "no runs yet"
    assert Runs(store).list().num_rows == 0
    came_out: list[tuple[float, Verdict]] = [(0.0, "PASS"), (0.01, "PASS"), (-0.2, "FAIL")]
    for i, (value, verdict) in enumerate(came_out):
        record(store, a_run(i, f"v{i + 1}", f"v{i}", value, verdict))
    runs = Runs(store)
    assert runs.list()["id"].to_pylist() == ["run2", "run1", "run0"]
    first, _ = runs.trends()
    assert first.check == "accuracy no worse than baseline"
    assert [p.model for p in first.points] == ["v1", "v2", "v3"]
    assert (first.verdicts, first.status, first.direction) == ("PPF", "changed", "down")
    assert [t.verdicts for t in runs.trends(last=2)] == ["PF", "PF"]
    assert [t.verdicts for t in runs.trends(model="v2")] == ["P", "P"]
    assert len(runs.trends("day")) == 0 and len(runs.trends(["night", "day"])) == 2
    row = runs.trends().to_arrow().to_pylist()[0]
    assert (row["values"], row["flips"]) == ([0.0, 0.01, -0.2], 1)
    assert "flaky by chance: each flip" in str(runs.trends())


# --- lineage --------------------------------------------------------------------------------------


class Always(torch.nn.Module):
    def __init__(self, bias: float) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.tensor([bias, 0.0, 0.0]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.bias.expand(len(images), 3)


def a_model(bias: float) -> TorchClassifier:
    return TorchClassifier(Always(bias), classes=["bird", "cat", "dog"], input_size=8)


@pytest.fixture
def db(tmp_path: Path) -> Database:
    db = slicedb.open(tmp_path / "l.slicedb")
    ids = [f"{i:02}.jpg" for i in range(40)]
    add_samples(db.store, ids, ["cat"] * 40)
    db.commit("the training data", tag="clean")
    return db


def test_the_lineage_tells_version_training_data_and_who_judged_it_on_what(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    first = db.models.add("m", a_model(1.0), trained_on="clean")
    commit = db.commits.get("clean").id
    assert (first.version, first.trained_on) == (1, commit)
    ids = [f"{i:02}.jpg" for i in range(40)]
    add_predictions(db.store, "m", ids, ["cat"] * 30 + ["dog"] * 10)
    db.slices.add("mine", "label = 'cat'", expect=["accuracy >= 0.5"], holdout=0.5)
    report = db.test(["mine"], model="m", predict=False)
    db.evaluate("m", ["mine"], predict=False)
    evaluated, tested = db.models.show("m").judged
    assert (evaluated.kind, tested.kind, tested.run, tested.by) == (
        "evaluate",
        "test",
        report.run,
        "ada",
    )
    assert tested.on == (f"mine (holdout 50%, n = {report.results[0].n})",)
    assert tested.result == "1 PASS" and evaluated.result == "accuracy 0.750 on mine"
    text = str(db.models.show("m"))
    assert f"trained on commit {commit} (clean)" in text and "by ada on mine (holdout 50%" in text


def test_a_new_version_keeps_what_came_before(db: Database) -> None:
    db.models.add("m", a_model(1.0), trained_on="clean")
    db.models.add("m", a_model(1.0))
    assert (db.models.show("m").version, db.models.show("m").trained_on) == (
        1,
        db.commits.get("clean").id,
    )
    old = db.models.show("m").fingerprint
    db.models.add("m", a_model(2.0), replace=True)
    found = db.models.show("m")
    assert found.version == 2 and found.trained_on == ""
    assert found.details["earlier"][0]["fingerprint"] == old
    assert found.details["earlier"][0]["trained_on"] == db.commits.get("clean").id
    assert f"version 1 was {old[:16]}" in str(found)
    assert json.loads(json.dumps(found.lineage(), default=str))["version"] == 2


def test_an_unknown_training_commit_is_refused_and_nothing_is_registered(db: Database) -> None:
    with pytest.raises(DatabaseError):
        db.models.add("m", a_model(1.0), trained_on="nowhere")
    assert "m" not in db.models


def test_runs_of_other_weights_are_told_apart(db: Database) -> None:
    from slicedb.models.lineage import judgements

    for i in range(2):
        record(db.store, a_run(i, "m", "b", 0.1, "PASS"))
    assert [j.current for j in judgements(db.runs.list(), "m", "f1")] == [True, False]
    assert "an earlier version" in str(judgements(db.runs.list(), "m", "f1")[1])
    assert [j.result for j in judgements(db.runs.list(), "m", "f1")] == ["2 PASS against b"] * 2


def test_history_of_tests_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store.open(str(tmp_path / "c.slicedb"))
    record(store, a_run(0, "v1", "v0", 0.0, "PASS"))
    with pytest.raises(SystemExit) as stop:
        main(["--db", str(tmp_path / "c.slicedb"), "history", "--tests", "-f", "json"])
    assert not stop.value.code
    rows = json.loads(capsys.readouterr().out)
    assert [r["status"] for r in rows] == ["new", "new"] and np.isclose(rows[0]["value"], 0.0)
