"""Labels that are likely wrong: scores as in cleanlab, findings that are queries, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from fakes_boxes import box, objects
from fakes_curate import add_model, made_store
from fakes_models import MeanColour

from slicedb import schema
from slicedb.cli import verbs
from slicedb.curate import confident
from slicedb.curate.boxscores import box_scores
from slicedb.curate.noise import noise
from slicedb.database import Database
from slicedb.errors import CheckError, PredictionError, UnknownModelError
from slicedb.metrics.boxes import Boxes
from slicedb.store import Store

CLASSES = ("cat", "dog", "owl", "pig")

P = np.array(
    [
        [0.70, 0.20, 0.06, 0.04],
        [0.10, 0.75, 0.10, 0.05],
        [0.05, 0.15, 0.55, 0.25],
        [0.02, 0.03, 0.05, 0.90],
        [0.40, 0.35, 0.15, 0.10],
        [0.85, 0.05, 0.05, 0.05],
        [0.00, 0.30, 0.70, 0.00],
        [0.25, 0.25, 0.25, 0.25],
    ]
)
LABEL = np.array([0, 1, 2, 3, 1, 1, 2, 0])


def planted(n: int = 400, seed: int = 0, to: str = "next") -> tuple[np.ndarray, np.ndarray, list]:
    """Return wrong (n,), probabilities (n, 4), and labels of which a fifth were changed."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, n)
    logits = rng.normal(size=(n, 4)) * 1.5
    logits[np.arange(n), truth] += 4
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    is_wrong = rng.random(n) < 0.2
    step = 1 if to == "next" else rng.integers(1, 4, n)
    label = np.where(is_wrong, (truth + step) % 4, truth)
    return is_wrong, p, [CLASSES[k] for k in label]


def filled(path: Path, n: int = 400, **columns: object) -> Database:
    _, p, labels = planted(n)
    return Database(made_store(path, labels, p, CLASSES, model="m", **columns))


# --- scores --------------------------------------------------------------------------------------


def test_scores_are_those_of_cleanlab() -> None:
    """Literals from cleanlab 2.9: `rank.get_label_quality_scores`."""
    own = [0.70, 0.75, 0.55, 0.90, 0.35, 0.05, 0.70, 0.25]
    margin = [0.75, 0.825, 0.65, 0.925, 0.475, 0.1, 0.7, 0.5]
    assert np.abs(confident.self_confidence(LABEL, P) - own).max() < 1e-12
    assert np.abs(confident.margin(LABEL, P) - margin).max() < 1e-12
    entropy = [0.7140808242856597, 0.73596629648536, 0.6172017995349556, 0.8597573160954285]
    entropy += [0.49485001533140116, 0.2653122658242251, 0.7756541257739086, 0.40235947810852507]
    assert np.abs(confident.weighted_entropy(LABEL, P) - entropy).max() < 1e-12
    assert confident.rival(LABEL, P).tolist() == [1, 0, 3, 2, 0, 0, 1, 1]


def reference_joint(label: np.ndarray, p: np.ndarray) -> np.ndarray:
    """The confident joint by the loop in cleanlab's documentation."""
    c = p.shape[1]
    cut = [p[label == k, k].mean() if (label == k).any() else 2.0 for k in range(c)]
    counts = np.zeros((c, c), int)
    for row, given in zip(p, label):
        reached = [k for k in range(c) if row[k] >= cut[k] - 1e-6]
        if len(reached) == 1:
            counts[given, reached[0]] += 1
        elif reached:
            counts[given, row.argmax()] += 1
    return counts


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("c", [2, 3, 7])
def test_the_joint_counts_as_the_loop_of_the_paper(seed: int, c: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(c) / 2, 5000 if seed == 0 else 90)
    label = rng.integers(0, max(2, c - seed % 2), len(p))
    counted = confident.joint(label, p)
    assert counted.counts.tolist() == reference_joint(label, p).tolist()
    whole = counted.calibrated(label)
    assert whole.sum(axis=1).tolist() == np.bincount(label, minlength=c).tolist()
    beaten = p[np.arange(len(p)), label] + 1e-6 < p.max(axis=1)
    assert (
        confident.suspects(label, p).tolist()
        == ((counted.taken >= 0) & (counted.taken != label) & beaten).tolist()
    )


def test_the_joint_is_that_of_cleanlab() -> None:
    """Literals from cleanlab 2.9: `compute_confident_joint`, plain and calibrated."""
    counted = confident.joint(LABEL, P)
    assert counted.counts.tolist() == JOINT
    assert counted.calibrated(LABEL).tolist() == CALIBRATED


JOINT = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
CALIBRATED = [[2, 0, 0, 0], [1, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]


def precision_of(is_wrong: np.ndarray, score: np.ndarray) -> float:
    hit = is_wrong[np.argsort(score, kind="stable")]
    return float((np.cumsum(hit) / np.arange(1, len(hit) + 1))[hit].mean())


def test_the_noise_tells_where_wrong_labels_go() -> None:
    """A model trained on labels of which some are changed gives the changed label some chance."""
    for to, particular in (("next", True), ("any", False)):
        is_wrong, p, labels = planted(4000, 1, to)
        label = np.array([CLASSES.index(name) for name in labels])
        share = np.full((4, 4), 0.2 / 3) * (1 - np.eye(4))
        if particular:
            share = np.roll(np.eye(4), 1, axis=1) * 0.2
        learned = p @ (share + np.eye(4) * 0.8)
        read = noise(label, learned)
        assert np.abs(read.share - share - np.eye(4) * 0.8).max() < 0.06
        assert (read.concentration > 0.15) == particular
        if particular:
            by_own = precision_of(is_wrong, confident.self_confidence(label, learned))
            assert precision_of(is_wrong, read.posterior(label, learned)) > by_own + 0.02


# --- findings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", ["auto", "self-confidence", "margin", "entropy", "posterior"])
def test_each_finding_is_a_query(tmp_path: Path, rank: str) -> None:
    db = filled(tmp_path)
    report = db.labels("m", rank=rank)
    is_wrong = planted()[0]
    found = [int(name) for name in report.rows["id"].to_pylist()]
    assert is_wrong[found].mean() > 0.8 and len(found) > 0.6 * is_wrong.sum()
    assert sorted(db.query(report.query).ids()) == sorted(report.rows["id"].to_pylist())
    assert len(report.findings) > 3
    for finding in report.findings:
        assert sorted(db.query(finding.query).keys()) == sorted(finding.keys)
        assert finding.n == finding.samples == len(finding.keys)
    for row in report.rows.slice(0, 3).to_pylist():
        assert db.query(row["query"]).ids() == [row["id"]]


def test_queries_stay_inside_what_was_asked(tmp_path: Path) -> None:
    db = filled(tmp_path)
    db.slices.add("cats", "label = 'cat' OR label = 'dog'")
    for on in ("cats", "label <> 'owl'", "label <> 'owl' ORDER BY id", db.keys("cats")):
        report = db.labels("m", on, rank="margin")
        assert set(report.rows["label"].to_pylist()) <= {"cat", "dog", "pig"}
        for finding in report.findings:
            assert sorted(db.query(finding.query).keys()) == sorted(finding.keys)
        assert report.samples == len(db.keys(on))


def test_findings_are_tagged_and_scores_written(tmp_path: Path) -> None:
    db = filled(tmp_path)
    report = db.labels("m", tag=True, into="label_score")
    assert db.query("has_tag('wrong_label')").count() == len(report.rows)
    worst = db.query("label_score IS NOT NULL ORDER BY label_score LIMIT 5").ids()
    assert worst == report.rows["id"].to_pylist()[:5]
    assert db.query("label_score IS NOT NULL").count() == 400


def test_models_of_folds_judge_what_they_did_not_see(tmp_path: Path) -> None:
    _, p, labels = planted()
    fold = np.arange(400) % 2
    store = made_store(tmp_path, labels, p, CLASSES, model="other", fold=fold)
    ids = [f"{i:04}" for i in range(400)]
    for k in (0, 1):
        told = np.eye(4)[[CLASSES.index(name) for name in labels]] * 0.96 + 0.01
        said = np.where((fold == k)[:, None], p, told)  # it repeats what it was trained on
        add_model(store, f"m_{k}", ids, labels, said, CLASSES)
    db = Database(store)
    report = db.labels("m", fold="fold", rank="margin")
    assert report.rows.equals(db.labels("other", rank="margin").rows)
    assert "fold = 0" in report.query
    assert sorted(db.query(report.query).keys()) == sorted(report.keys)
    with pytest.raises(PredictionError, match=r"'n_0', 'n_1'.*did not see fold k is called"):
        db.labels("n", fold="fold")
    with pytest.raises(CheckError, match="no column 'flod'"):
        db.labels("m", fold="flod")


def test_labels_that_the_model_does_not_know_are_said(tmp_path: Path) -> None:
    _, p, labels = planted()
    labels[7] = "emu"
    db = Database(made_store(tmp_path, labels, p, CLASSES, model="m"))
    report = db.labels("m")
    assert report.n == 399
    assert any("1 sample has a label that the model does not know" in n for n in report.notes)
    assert any("label = 'emu'" in n for n in report.notes)


def several(path: Path, n: int = 200) -> tuple[Database, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.random((n, 3)) < 0.4
    p = np.clip(np.where(truth, 0.9, 0.1) + rng.normal(0, 0.05, (n, 3)), 0.01, 0.99)
    is_wrong = rng.random((n, 3)) < 0.1
    given = truth ^ is_wrong
    db = Database(Store.open(path / "sets.slicedb"))
    ids = [f"{i:04}" for i in range(n)]
    lists = [[CLASSES[k] for k in range(3) if row[k]] for row in given]
    rows = {"id": ids, "key": schema.keys_of(ids), "labels": lists, "status": ["ok"] * n}
    db.store.append(schema.SAMPLES, pa.table(rows))
    table = pa.table({"id": ids, "probabilities": p.tolist()})
    db.log_predictions("words", table, classes=CLASSES[:3], multilabel=True)
    return db, is_wrong


def test_sets_of_labels_are_judged_class_by_class(tmp_path: Path) -> None:
    db, is_wrong = several(tmp_path)
    report = db.labels("words")
    found = {
        (int(r["id"]), CLASSES.index(r["label"] or r["suggested"])) for r in report.rows.to_pylist()
    }
    planted_there = {(int(i), int(k)) for i, k in np.argwhere(is_wrong)}
    assert found <= planted_there and len(found) > 0.8 * len(planted_there)
    assert {f.name for f in report.findings} == {"missing label", "extra label"}
    assert (report.n, report.unit) == (600, "decisions")
    assert sorted(db.query(report.query).keys()) == sorted(report.keys)


# --- boxes ---------------------------------------------------------------------------------------


def boxes(rows: list[tuple[int, int, list[float], float]]) -> Boxes:
    image, label, xywh, score = (np.array(column) for column in zip(*rows))
    return Boxes(image, xywh.astype(float), label, score.astype(float))


def test_boxes_are_scored_by_hand() -> None:
    places = [(0, 0, [0, 0, 10, 10], 1), (0, 1, [50, 0, 10, 10], 1), (1, 0, [5, 0, 10, 10], 1)]
    truth = boxes(places)
    said = boxes(
        [
            (0, 0, [0, 0, 10, 10], 0.9),
            (0, 0, [50, 0, 10, 10], 0.8),
            (0, 0, [80, 0, 10, 10], 0.7),
            (1, 0, [0, 0, 10, 10], 0.6),
        ]
    )
    scores = box_scores(said, truth)
    assert scores.overlooked.round(6).tolist() == [1.0, 1.0, 0.3, 1.0]
    assert scores.badly_placed.round(6).tolist() == [1.0, 1.0, 0.6]
    assert scores.swapped.round(6).tolist() == [0.95, 0.1, 0.6]
    assert (scores.partner.tolist(), scores.rival.tolist()) == ([0, -1, 3], [-1, 1, -1])


def test_a_crowded_object_is_overlooked_though_it_touches_another() -> None:
    truth = boxes([(0, 0, [0, 0, 10, 10], 1)])
    said = boxes([(0, 0, [0, 0, 10, 10], 0.9), (0, 0, [7, 0, 10, 10], 0.9)])
    assert box_scores(said, truth).overlooked.round(6).tolist() == [1.0, 0.1]


def detected(path: Path, n: int = 40) -> Database:
    """Pictures with three boxes; of every fourth one is dropped, moved or called otherwise."""
    db = Database(Store.open(path / "boxes.slicedb"))
    ids = [f"{i:03}" for i in range(n)]
    places = [[10.0, 10, 20, 20], [60.0, 10, 20, 20], [10.0, 60, 20, 20]]
    truth, said = [], []
    for i in range(n):
        names = ["RBC", "WBC", "RBC"]
        own = [box(name, *place) for name, place in zip(names, places)]
        said.append([box(name, *place, 0.95) for name, place in zip(names, places)])
        if i % 4 == 1:
            own = own[:2]
        elif i % 4 == 2:
            own[1] = box("WBC", 69, 19, 20, 20)
        elif i % 4 == 3:
            own[0] = box("WBC", *places[0])
        truth.append(own)
    rows = {
        "id": ids,
        "key": schema.keys_of(ids),
        "objects": pa.array(
            [[{**b, "segmentation": None, "keypoints": None} for b in row] for row in truth],
            schema.SAMPLES_SCHEMA.field("objects").type,
        ),
        "width": [100] * n,
        "height": [100] * n,
        "status": ["ok"] * n,
    }
    db.store.append(schema.SAMPLES, pa.table(rows))
    db.log_predictions("cells", pa.table({"id": ids, "objects": objects(said)}))
    return db


def test_each_box_is_a_row_with_its_query(tmp_path: Path) -> None:
    db = detected(tmp_path)
    report = db.labels("cells")
    assert {(f.name, f.n) for f in report.findings if f.name == f.kind} == {
        ("overlooked", 10),
        ("badly placed", 10),
        ("swapped", 10),
    }
    kinds = {"overlooked": 1, "badly placed": 2, "swapped": 3}
    for row in report.rows.to_pylist():
        assert int(row["id"]) % 4 == kinds[row["kind"]]
        (shown,) = db.sql(row["query"]).to_pylist()
        assert shown["id"] == row["id"]
        assert shown["label"] == (row["label"] or row["suggested"])
    swapped = report.finding("swapped WBC")
    assert sorted(db.query(swapped.query).keys()) == sorted(swapped.keys)
    of_kind = [r["suggested"] for r in report.rows.to_pylist() if r["kind"] == "swapped"]
    assert of_kind == ["RBC"] * 10
    text = str(report)
    assert "30 of 230 boxes are likely wrong" in text and "overlooked RBC" in text


def test_findings_too_long_for_a_text_are_read_by_their_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slicedb.curate.suspects._MOST_IDS", 8)
    db = detected(tmp_path)
    plain = db.labels("cells")
    assert (plain.finding("swapped").query, plain.query) == ("", "")
    assert "too many ids for a text" in str(plain)
    report = db.labels("cells", tag=True)
    assert report.finding("badly placed").query == "has_tag('badly_placed')"
    assert sorted(db.query(report.query).keys()) == sorted(report.keys)


# --- refusals ------------------------------------------------------------------------------------


def test_predictions_of_what_a_model_was_trained_on_are_refused(tmp_path: Path) -> None:
    _, p, labels = planted(100)
    split = ["train"] * 60 + ["test"] * 40
    store = made_store(tmp_path, labels, p, CLASSES, model="other", split=split)
    db = Database(store)
    commit = db.commit("what it was trained on")
    db.models.add("m", MeanColour(), trained_on=commit.id)
    add_model(store, "m", [f"{i:04}" for i in range(100)], labels, p, CLASSES)
    with pytest.raises(PredictionError, match=r"trained on 60 of the 100 samples.*'train'") as told:
        db.labels("m")
    assert "split NOT IN ('train', 'training')" in str(told.value)
    assert "fold=" in str(told.value)
    assert db.labels("m", "split = 'test'").samples == 40
    with pytest.raises(PredictionError, match="trained on 40 of the 100 samples"):
        db.labels("other", seen="split = 'test'")
    assert any("Nothing tells what 'other' was trained on" in n for n in db.labels("other").notes)


def test_a_model_of_one_fold_is_refused_for_the_others(tmp_path: Path) -> None:
    db = filled(tmp_path, 100)
    db.split(folds=2)
    _, p, labels = planted(100)
    for k in (0, 1):
        add_model(db.store, f"v_{k}", [f"{i:04}" for i in range(100)], labels, p, CLASSES)
    with pytest.raises(PredictionError, match='on="fold = 1"') as told:
        db.labels("v_1")
    assert "'v' with fold=\"fold\" (--fold)" in str(told.value)
    assert db.labels("v", fold="fold").samples == 100
    assert db.labels("v_1", "fold = 1").samples == db.query("fold = 1").count()


def test_what_says_nothing_is_refused(tmp_path: Path) -> None:
    db = filled(tmp_path)
    with pytest.raises(UnknownModelError, match="No predictions of a model 'n'"):
        db.labels("n")
    with pytest.raises(CheckError, match=r"Every one of .* samples has the label 'cat'"):
        db.labels("m", "label = 'cat'")
    db.relabel("id < '0040'", "zebra")
    with pytest.raises(CheckError, match="No sample has a label that is one of the model's"):
        db.labels("m", "label = 'zebra'")
    with pytest.raises(CheckError, match="Only 29 samples have both a label and a prediction"):
        db.labels("m", "id < '0029'")
    with pytest.raises(CheckError, match="a model of classification, not of detection"):
        db.labels("m", kind="detection")
    ids = [f"{i:04}" for i in range(400)]
    db.log_predictions("bare", pa.table({"id": ids, "prediction": ["cat"] * 400}), classes=CLASSES)
    with pytest.raises(PredictionError, match="no probabilities"):
        db.labels("bare")


def test_the_command_prints_findings_and_writes_rows(tmp_path: Path) -> None:
    filled(tmp_path)
    place = ["--db", str(tmp_path / "made.slicedb")]
    said = CliRunner().invoke(verbs, ["labels", "m", *place, "-n", "3", "--rank", "margin"])
    assert said.exit_code == 0, said.output
    assert "labels are likely wrong" in said.output and "ranked by margin" in said.output
    file = tmp_path / "likely.csv"
    said = CliRunner().invoke(verbs, ["labels", "m", *place, "-o", str(file)])
    assert file.read_text().startswith("id,kind,label,suggested,score,confidence,object,detection")


# --- pixels --------------------------------------------------------------------------------------


def segmented(path: Path, n: int = 40) -> Database:
    """Label maps of a car on a road under the sky, predicted one pixel off.

    In one of four the car is missing, in another one it is called a bus.
    """
    db = Database(Store.open(path / "maps.slicedb"))
    ids = [f"{i:03}" for i in range(n)]
    side = [20] * n
    rows = {"id": ids, "key": schema.keys_of(ids), "width": side, "height": side}
    db.store.append(schema.SAMPLES, pa.table({**rows, "status": ["ok"] * n}))
    given, said = [], []
    for i in range(n):
        codes = np.zeros((20, 20), np.uint8)
        codes[10:] = 1
        codes[12:16, 5:11] = 2
        said.append(np.roll(codes, 1, axis=1))
        if i % 4 == 1:
            codes[12:16, 5:11] = 1
        elif i % 4 == 2:
            codes[12:16, 5:11] = 3
        given.append(codes)
    classes = ["sky", "road", "car", "bus"]
    db.attach_masks({"id": ids, "mask": given}, classes=classes)
    db.log_predictions("seg", {"id": ids, "mask": said}, classes=classes)
    return db


def test_regions_of_label_maps_are_rows(tmp_path: Path) -> None:
    db = segmented(tmp_path)
    report = db.labels("seg", tag=True)
    assert (report.n, report.unit, len(report.rows)) == (110, "regions", 20)
    for row in report.rows.to_pylist():
        missing = int(row["id"]) % 4 == 1
        assert int(row["id"]) % 4 in (1, 2)
        assert (row["label"], row["suggested"]) == ("road" if missing else "bus", "car")
        assert row["score"] == pytest.approx(0.0 if missing else 1 / 6)
    finding = report.finding("bus as car")
    assert (finding.n, sorted(db.query(finding.query).keys())) == (10, sorted(finding.keys))
    assert db.query("has_tag('wrong_pixels')").count() == 20
