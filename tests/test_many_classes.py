"""Two classes, a thousand classes, twenty thousand; and folders whose labels look alike."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fakes_models import MeanColour, fill, png

import slicedb
from slicedb import metrics as m
from slicedb.errors import CheckError, ClassesError, PredictionError
from slicedb.judge import Confusion
from slicedb.metrics import Membership, Outcomes


@pytest.fixture
def binary(tmp_path: Path) -> slicedb.Database:
    ids = [f"{i:02d}" for i in range(20)]
    db = slicedb.open(tmp_path / "data.slicedb")
    labels = {i: str(k % 2) for k, i in enumerate(ids)}
    fill(db.store, {i: png((k, 1, 1)) for k, i in enumerate(ids)}, labels)
    one = np.linspace(0.41, 0.99, 20)
    rows = pa.table({"id": ids, "probabilities": np.stack([1 - one, one], 1).tolist()})
    db.log_predictions("m", rows, classes=["0", "1"])
    return db


def test_a_metric_of_one_class_is_evaluated_by_name(binary: slicedb.Database) -> None:
    asked = ["recall of 1", "precision of '1'", "recall"]
    rows = binary.evaluate("m", slices=[""], metrics=asked).to_arrow().to_pylist()
    assert [(r["metric"], r["of"]) for r in rows] == [
        ("recall", "1"),
        ("precision", "1"),
        ("recall", None),
    ]
    truth = np.arange(20) % 2
    said = np.linspace(0.41, 0.99, 20) >= 0.5
    assert rows[0]["value"] == pytest.approx((said & (truth == 1)).sum() / 10)
    assert rows[1]["value"] == pytest.approx((said & (truth == 1)).sum() / said.sum())
    with pytest.raises(ClassesError, match="'m' has no class '2'"):
        binary.evaluate("m", metrics=["recall of 2"])


def test_a_misspelt_metric_is_told_before_anything_is_predicted(binary: slicedb.Database) -> None:
    binary.models.add("mean", MeanColour())
    MeanColour.batches = []
    with pytest.raises(CheckError, match="did you mean 'accuracy'"):
        binary.evaluate("mean", metrics=["acuracy"])
    assert MeanColour.batches == []


def test_two_classes_have_unsure_predictions(binary: slicedb.Database) -> None:
    sets = {s.name: s for s in binary.errors("m").findings}
    unsure = sets["unsure_and_wrong"].n + sets["unsure_and_right"].n
    assert unsure == int((np.abs(np.linspace(0.41, 0.99, 20) - 0.5) < 0.1).sum())
    assert binary.query(sets["unsure_and_wrong"].query).count() == sets["unsure_and_wrong"].n
    with pytest.raises(CheckError, match=r"of two classes one always has a confidence of 0\.5"):
        binary.errors("m", unsure=0.5)


def test_accuracy_of_twenty_thousand_classes_needs_no_matrix() -> None:
    rng = np.random.default_rng(0)
    c, n = 20_000, 50_000
    label = rng.integers(0, c, n)
    prediction = np.where(rng.random(n) < 0.7, label, rng.integers(0, c, n))
    outcomes = Outcomes(tuple(map(str, range(c))), label, prediction)
    members = Membership([np.arange(n), np.arange(100)], n)
    made = m.estimates(outcomes, members, [m.find("accuracy")])["accuracy"]
    hits = label == prediction
    np.testing.assert_allclose(made.value, [hits.mean(), hits[:100].mean()])


def test_a_confusion_of_a_thousand_classes_prints_twenty() -> None:
    matrix = np.eye(1000, dtype=np.int64) * 5
    matrix[7, 900] = 40
    matrix[12, 900] = 30
    confusion = Confusion("m", tuple(f"c{i}" for i in range(1000)), matrix, 0)
    text = str(confusion)
    assert len(text) < 10_000
    assert "c900" in text and "c12" in text
    assert "20 of 1,000 classes, those with the most mistakes; top= (--top) shows more" in text
    assert confusion.to_arrow().num_rows == 1002
    assert len(str(Confusion("m", ("a", "b"), np.eye(2, dtype=np.int64), 0)).splitlines()) == 5


def test_probabilities_as_plain_numbers_are_refused_with_a_word(binary: slicedb.Database) -> None:
    ids = [f"{i:02d}" for i in range(20)]
    with pytest.raises(PredictionError, match="'probabilities' of the table is double"):
        binary.log_predictions("n", pa.table({"id": ids, "probabilities": [0.5] * 20}))
    log = binary.log_predictions("n", classes=["0", "1"])
    with pytest.raises(PredictionError, match="give one row a sample"):
        log.add(ids, probabilities=np.full(20, 0.5))  # type: ignore[union-attr]


def test_labels_that_look_alike_have_folders_of_their_own(tmp_path: Path) -> None:
    labels = ["a/b", "a-b", "a:b", "Cat", "cat", "..", "-"]
    db = slicedb.open(tmp_path / "data.slicedb")
    ids = [f"{i}.png" for i in range(len(labels))]
    pictures = {i: png((9 * k, 1, 1)) for k, i in enumerate(ids)}
    fill(db.store, pictures, dict(zip(ids, labels)))
    report = db.export("", tmp_path / "out")
    with (tmp_path / "out" / "metadata.csv").open() as file:
        rows = list(csv.DictReader(file))
    folders = {row["label"]: row["path"].rpartition("/")[0] for row in rows}
    assert len({folder.lower() for folder in folders.values()}) == len(labels)
    assert (folders["a-b"], folders["Cat"], folders["-"]) == ("a-b", "Cat", "-")
    for row in rows:
        assert (tmp_path / "out" / row["path"]).read_bytes() == pictures[row["id"]]
    assert "label 'a/b' is in 'a-b-2'" in str(report)
    plain = slicedb.open(tmp_path / "plain.slicedb")
    fill(plain.store, {"1.png": png((1, 2, 3))}, {"1.png": "x"})
    assert "Note" not in str(plain.export("", tmp_path / "plain"))
