"""Expected accuracy without labels: close to the truth, and an interval that covers it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import slicedb
from slicedb import schema
from slicedb.cli import verbs
from slicedb.curate import expected as module
from slicedb.errors import CheckError, UnknownModelError

SHARE = {"night": (0.2, 0.7), "rain": (0.3, 0.5)}
"""Share of each slice among labelled samples, and among the others."""


def filled(path: Path, n: int = 4000, seed: int = 0) -> slicedb.Database:
    """Half of the samples are labelled; the others lie more often in slices that are hard."""
    db = slicedb.open(path)
    rng = np.random.default_rng(seed)
    is_other = np.arange(n) >= n // 2
    inside = {k: rng.random(n) < np.where(is_other, b, a) for k, (a, b) in SHARE.items()}
    accuracy = 0.95 - 0.3 * inside["night"] - 0.15 * inside["rain"]
    right = rng.random(n) < accuracy
    truth = rng.choice(["a", "b"], n)
    said = np.where(right, truth, np.where(truth == "a", "b", "a"))
    ids = [f"s{i:06}" for i in range(n)]
    labels = [None if other else str(t) for t, other in zip(truth, is_other)]
    rows = {"id": ids, "key": schema.keys_of(ids), "label": labels, "status": ["ok"] * n}
    db.store.append(schema.SAMPLES, pa.table(rows))
    db.attach({"id": ids, **inside, "truth": truth.tolist()})
    confidence = np.clip(accuracy + rng.normal(size=n) * 0.03, 0.5, 1)
    db.log_predictions(
        "m", {"id": ids, "prediction": said.tolist(), "confidence": confidence}, classes=["a", "b"]
    )
    for name in SHARE:
        db.slices.add(name, name)
    return db


def test_slices_carry_the_accuracy_over(tmp_path: Path) -> None:
    db = filled(tmp_path / "e.slicedb")
    report = db.expected("m")
    of = {row.method: row for row in report.rows}
    db.relabel("label IS NULL AND truth = 'a'", "a")
    db.relabel("label IS NULL AND truth = 'b'", "b")
    actual = db.query("id >= 's002000' AND m.correct").count() / 2000
    assert report.reference - actual > 0.1  # what the labelled samples as they are would say
    for name in ("slices", "confidence"):
        assert abs(of[name].estimate - actual) < 0.03
        assert of[name].low <= actual <= of[name].high
    assert report.slices[:2] == ("night", "rain") and report.unsupported == 0
    assert "never decides a test" in str(report) and "if" in str(report)
    known = db.expected("m", "id >= 's002000'", reference="id < 's002000'")
    assert known.actual == pytest.approx(actual)


def test_weights_give_the_shares_of_the_other_side() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((500, 3)) < 0.3, rng.random((400, 3)) < 0.6
    sides = module._Sides(rng.random(500) < 0.8, rng.random(500), rng.random(400), a, b)
    w = module.weights(sides, np.ones(500), np.ones(400))
    assert w @ a / w.sum() == pytest.approx(b.mean(axis=0), abs=0.01)
    assert module.by_slices(sides, np.ones(500), np.ones(400)) == pytest.approx(
        float(w @ sides.right / w.sum())
    )


@pytest.mark.slow
def test_intervals_cover_under_planted_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DRAWS", 100)
    covered, errors = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        shares = rng.uniform(0.1, 0.9, (2, 3))
        accuracy = rng.uniform(0.5, 0.98, 8)
        inside = [rng.random((2000, 3)) < share for share in shares]
        right = [rng.random(2000) < accuracy[g @ [1, 2, 4]] for g in inside]
        sides = module._Sides(right[0], np.full(2000, 0.9), np.full(2000, 0.9), *inside)
        estimate, low, high = sides.estimate(module.by_slices, seed)
        covered.append(low <= right[1].mean() <= high)
        errors.append(abs(estimate - right[1].mean()))
    assert sum(covered) >= 17 and np.median(errors) < 0.015


def test_all_wrong_is_no_proof_of_zero() -> None:
    inside, other = np.zeros((30, 0), bool), np.zeros((40, 0), bool)
    sides = module._Sides(np.zeros(30, bool), np.full(30, 0.9), np.full(40, 0.9), inside, other)
    estimate, low, high = sides.estimate(module.by_slices, 0)
    assert (estimate, low) == (0.0, 0.0)
    assert high == pytest.approx(0.1135, abs=1e-3)  # Wilson, 0 of 30


def test_what_the_model_was_trained_on_does_not_count(tmp_path: Path) -> None:
    db = filled(tmp_path / "e.slicedb", 400)
    db.split(folds=2, on="label IS NOT NULL")
    rows = db.sql("SELECT id, m.prediction AS prediction, m.confidence AS confidence FROM samples")
    for model in ("f_0", "f_1"):  # each was trained on the other fold
        db.log_predictions(model, rows, classes=["a", "b"])
    report = db.expected("f_0")
    assert report.left_out == db.query("fold = 1").count() == 100
    assert report.n_reference == 100
    assert "100 labelled samples left out, since the model was trained on them." in str(report)


def test_what_no_labelled_sample_is_like_is_said(tmp_path: Path) -> None:
    db = filled(tmp_path / "e.slicedb", 400)
    report = db.expected("m", reference="label IS NOT NULL AND NOT night")
    assert report.unsupported > 0.5 and "nothing speaks for these" in str(report)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"on": "id = 's000001'"}, "samples to estimate for include 1 .* needs 30"),
        ({"reference": "id < 's000005'"}, "labelled samples include 5 .* needs 30"),
    ],
)
def test_wrong_input_is_told(tmp_path: Path, options: dict[str, str], says: str) -> None:
    db = filled(tmp_path / "e.slicedb", 400)
    with pytest.raises(CheckError, match=says):
        db.expected("m", **options)  # type: ignore[arg-type]
    with pytest.raises(UnknownModelError):
        db.expected("n")


def test_the_command_line_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "e.slicedb"
    filled(path, 600)
    args = ["--db", str(path), "expected", "m", "--slice", "night"]
    said = CliRunner().invoke(verbs, args, catch_exceptions=False).stdout
    assert "m: 300 samples beside 300 labelled ones" in said and "slices" in said
