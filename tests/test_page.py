"""What the page of a run shows beyond its verdicts: pictures, costs, history."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import slicedb
from slicedb.database import Database
from slicedb.judge import Result, load
from slicedb.report.figures import cost_curve, gallery


@pytest.fixture
def db(scenes: Path) -> Database:
    """`v1` is right but for every fourth sample."""
    db = slicedb.open(scenes / "data.slicedb", create=False)
    rows = db.sql("SELECT id, label FROM samples ORDER BY id").to_pylist()
    names = sorted({r["label"] for r in rows})
    p = np.full((len(rows), len(names)), 0.2 / (len(names) - 1))
    for i, r in enumerate(rows):
        said = r["label"] if i % 4 else names[names.index(r["label"]) - 1]
        p[i, names.index(said)] = 0.8
    table = pa.table({"id": [r["id"] for r in rows], **dict(zip(names, p.T))})
    db.log_predictions("v1", table, classes=names)
    return db


def test_the_page_of_a_run_has_pictures_costs_and_history(db: Database) -> None:
    db.slices.add("everything", "true", expect=["accuracy >= 0.99", "accuracy >= 0.1"])
    db.test(model="v1", predict=False)
    report = db.test(model="v1", predict=False)
    assert report.figures is not None
    figures = report.figures()
    assert [card.id for card in figures.gallery] == list(report.results[0].worst_ids)
    card = figures.gallery[0]
    assert card.src and card.src.startswith("data:image/jpeg;base64,") and card.cam is None
    assert card.label != card.prediction and card.confidence == pytest.approx(0.8)
    assert card.slices == ["everything"]
    assert figures.cost is not None and figures.cost.coverage[-1] == 1.0
    assert figures.cost.risk[-1] == pytest.approx(1 - report.results[0].value, abs=1e-5)
    assert [len(t.points) for t in figures.trends] == [2, 2]
    html = report.to_html()
    assert html.count("<figure>") == 5 and 'id="history"' in html and 'id="cost"' in html


def test_a_sample_that_was_not_judged_is_shown_without_label(db: Database) -> None:
    some = db.query("LIMIT 1").ids()[0]
    nan = float("nan")
    result = Result(
        slice="s",
        check="c",
        model="v1",
        verdict="FAIL",
        value=nan,
        low=nan,
        high=nan,
        n=1,
        worst_ids=(some, "gone.jpg"),
    )
    shown = gallery(db.store, [result], load(db.store, "v1"))
    assert shown[0].label and shown[1].label is None
    assert shown[1].src is None


def test_without_probabilities_there_is_no_cost_curve(db: Database) -> None:
    ids = db.query().ids()
    db.log_predictions("plain", pa.table({"id": ids, "prediction": ["Soup"] * len(ids)}))
    assert cost_curve(db.store, "plain", db.keys()) is None
