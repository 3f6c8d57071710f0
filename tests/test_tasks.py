"""Tasks: the table, what each shows, and a sixth one that takes the whole way from one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from fakes_models import MeanColour, coloured_store
from fakes_ordinal import GRADES, Ordinal

import slicedb
from slicedb.database import Database
from slicedb.errors import CheckError, PluginError, PredictionError
from slicedb.metrics import METRICS, Detections, LabelSets, Outcomes, PredictedNumbers, names
from slicedb.models import Model
from slicedb.predictions import predict, refresh
from slicedb.schema import OBJECT, keys_of
from slicedb.tasks import TASKS, AnyTask, ShownBox, register


@pytest.fixture
def ordinal() -> Iterator[AnyTask]:
    task = Ordinal()
    register(task)
    yield task
    del TASKS[task.name]
    METRICS.added.clear()


@pytest.fixture
def db(ordinal: AnyTask, scenes: Path) -> Database:
    """Sample i has grade i % 5 + 1; the last two have none."""
    db = slicedb.open(scenes / "data.slicedb", create=False)
    ids = sorted(db.sql("SELECT id FROM samples").to_pydict()["id"])[:-2]
    grades = pa.table({"id": ids, "key": keys_of(ids), "grade": np.arange(len(ids)) % 5 + 1})
    db.store.create(GRADES, grades.schema)
    db.store.append(GRADES, grades)
    return db


def logged(db: Database, name: str, shift: int) -> None:
    """Log a model that is `shift` grades off on every second sample, as far as there are some."""
    ids = sorted(db.sql("SELECT id FROM samples").to_pydict()["id"])
    grade = np.arange(len(ids)) % 5 + 1
    grade[::2] = np.minimum(grade[::2] + shift, 5)
    db.log_predictions(name, pa.table({"id": ids, "grade": grade, "note": ["mine"] * len(ids)}))


# --- a sixth task ---------------------------------------------------------------------------------


def test_a_sixth_task_is_logged_and_queried(db: Database) -> None:
    logged(db, "near", 1)
    n = db.query("near.grade IS NOT NULL").count()
    assert db.query("near.correct IS NULL").count() == 2
    assert db.query("near.correct").count() + db.query("NOT near.correct").count() == n - 2
    assert db.sql("SELECT max(distance) AS most FROM near").to_pydict() == {"most": [1]}
    worst = db.query("near.loss > 0 AND near.note = 'mine' ORDER BY near.loss DESC, id LIMIT 2")
    assert worst.ids() == sorted(db.query("near.distance = 1").ids())[:2]
    with pytest.raises(PredictionError, match="is not from 1 to 5"):
        db.log_predictions("bad", pa.table({"id": worst.ids(), "grade": [3, 6]}))
    with pytest.raises(PredictionError, match=r"'Correct' .* differs from 'correct' by its case"):
        db.log_predictions("bad", pa.table({"id": worst.ids(), "grade": [3, 4], "Correct": [1, 1]}))


def test_a_sixth_task_is_derived_again_where_its_truth_changes(db: Database) -> None:
    logged(db, "near", 1)
    wrong = db.query("NOT near.correct ORDER BY id LIMIT 1").ids()[0]
    row = db.sql(f"SELECT id, key, grade FROM near WHERE id = '{wrong}'")
    db.store.upsert(GRADES, row)
    assert refresh(db.store, "near") == 1
    assert db.query(f"near.correct AND id = '{wrong}'").count() == 1


def test_a_sixth_task_is_evaluated_tested_and_reported(db: Database) -> None:
    logged(db, "near", 1)
    logged(db, "far", 3)
    db.slices.add(
        "pictures",
        "status = 'ok'",
        expect=["within_one >= 0.9", "distance <= 0.2", "within_one no worse than near by 0.05"],
    )
    table = db.evaluate(["near", "far"], slices=["pictures"]).to_arrow()
    assert set(table["metric"].to_pylist()) == {"within_one"}
    near, far = table["value"].to_pylist()
    assert near == 1.0 and 0.5 < far < 0.9
    assert set(table["left_out"].to_pylist()) == {2}
    report = db.test(model="far", baseline="near")
    assert [result.verdict for result in report.results] == ["FAIL", "FAIL", "FAIL"]
    assert [r.verdict for r in db.test(model="near").results] == ["PASS", "FAIL", "PASS"]
    page = report.to_html()
    assert "within_one" in page and "grade 1" in page and "grade 4" in page
    with pytest.raises(CheckError, match="far does ordinal: a sample has no one predicted class"):
        db.confusion("far")


class _Brightness(Model):
    """Grades from the mean colour: five scores a picture."""

    task = "ordinal"
    input_size = 8
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def predict_batch(self, images: torch.Tensor) -> torch.Tensor:
        bright = images.mean((1, 2, 3))[:, None]  # (n, 1)
        return -(bright - torch.linspace(0.1, 0.9, 5)).abs()  # (n, 5)


def test_a_model_of_a_sixth_task_predicts(db: Database) -> None:
    db.models.add("bright", _Brightness())
    report = db.predict("bright")
    assert report.predicted == db.query("status = 'ok'").count()
    grades = db.sql("SELECT DISTINCT grade FROM bright").to_pydict()["grade"]
    assert set(grades) <= {1, 2, 3, 4, 5}
    assert db.query("bright.correct IS NOT NULL").count() == report.predicted - 2


def test_metrics_of_a_sixth_task_are_listed_and_their_names_are_taken(ordinal: AnyTask) -> None:
    assert names("ordinal") == ["within_one", "distance"]
    with pytest.raises(PluginError, match="'within_one' is taken"):
        register(ordinal)


class _Colours(MeanColour):
    """The colours of a picture, each by itself: surely there above a fifth of the range."""

    task = "multilabel"

    def predict_batch(self, images: torch.Tensor) -> torch.Tensor:
        return (images.mean((2, 3)) - 0.2) * 100


def test_a_model_predicts_sets_of_labels(tmp_path: Path) -> None:
    store = coloured_store(tmp_path)
    assert predict(store, "colours", _Colours()).predicted == 9
    table = store.table("predictions__colours", ["id", "labels", "loss", "probabilities"])
    labels = dict(zip(table["id"].to_pylist(), table["labels"].to_pylist()))
    assert labels["0_red"] == ["red"] and labels["1_green"] == ["green"]
    assert table["loss"].null_count == 9  # nobody said which labels the pictures have
    assert table["probabilities"].null_count == 0


# --- what a sample looks like ---------------------------------------------------------------------


def test_each_task_shows_truth_and_prediction() -> None:
    one = Outcomes.of(["cat", "dog"], ["cat", "cat"], [[0.9, 0.1], [0.7, 0.3]])
    shown = TASKS["classification"].shown(one, 1)
    assert (shown.truth, shown.prediction, shown.confidence) == ("dog", "cat", 0.7)
    number = PredictedNumbers(np.array([1.5]), np.array([2.0]))
    assert TASKS["regression"].shown(number, 0).prediction == "2"
    several = LabelSets(("a", "b"), np.array([[True, True]]), np.array([[False, False]]))
    shown = TASKS["multilabel"].shown(several, 0)
    assert (shown.truth, shown.prediction) == ("a, b", "(none)")


def test_a_detection_shows_the_boxes_that_count() -> None:
    cat = {"label": "cat", "bbox": [0.0, 0.0, 10.0, 10.0], "score": 0.9}
    unsure = {"label": "dog", "bbox": [5.0, 5.0, 1.0, 1.0], "score": 0.2}
    columns = [pa.array(rows, pa.list_(OBJECT)) for rows in ([[cat, unsure]], [[cat, cat]])]
    shown = TASKS["detection"].shown(Detections.of(*columns), 0)
    assert (shown.truth, shown.prediction) == ("2 cat", "1 cat")
    assert shown.boxes == (
        ShownBox((0.0, 0.0, 10.0, 10.0), "cat", state="missed"),
        ShownBox((0.0, 0.0, 10.0, 10.0), "cat", state="matched"),
        ShownBox((0.0, 0.0, 10.0, 10.0), "cat", 0.9, "matched"),
    )


def test_every_task_names_a_metric_of_its_own() -> None:
    for task in (task for task in TASKS.values() if task.is_judged):
        assert task.primary in names(task.name)
        assert set(task.reads) <= set(task.schema(3).names) and task.mark in task.schema(3).names
