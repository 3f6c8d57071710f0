"""Kinds of mistakes of detectors, as TIDE sorts them, and the queries that hand them out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fakes_boxes import CLASSES, box, draw, objects

import slicedb
from slicedb import Database
from slicedb.metrics.boxes import Boxes, iou_matrix
from slicedb.metrics.detections import Detections
from slicedb.metrics.mended import gains
from slicedb.metrics.mistaken import KINDS, mistaken
from slicedb.schema import OK, SAMPLES, SAMPLES_SCHEMA, keys_of

N = 80


def tide(found: list[Any], truth: list[Any], sure: float) -> Counter[str]:
    """Count the kinds of mistakes of one image, as the paper defines them."""
    kinds: Counter[str] = Counter()
    used, fixable = set(), set()
    for one in sorted((b for b in found if b["score"] >= sure), key=lambda b: -b["score"]):
        ious = iou_matrix(
            np.array([one["bbox"]]), np.array([t["bbox"] for t in truth] or [[0.0] * 4])
        )
        share = ious[0] if truth else np.zeros(0)
        same = np.array([t["label"] == one["label"] for t in truth], bool)
        free = [i for i in np.argsort(share) if same[i] and share[i] >= 0.5 and i not in used]
        right, other = share[same].max(initial=0), share[~same].max(initial=0)
        if free:
            used.add(free[-1])
        elif 0.1 <= right < 0.5:
            kinds["badly placed"] += 1
            fixable.add(int(np.flatnonzero(same)[share[same].argmax()]))
        elif other >= 0.5:
            kinds["wrong class"] += 1
            fixable.add(int(np.flatnonzero(~same)[share[~same].argmax()]))
        else:
            about = "double" if right >= 0.5 else "extra" if max(right, other) <= 0.1 else "both"
            kinds[about] += 1
    kinds["missed"] = len(set(range(len(truth))) - used - fixable)
    return kinds


def boxes_of(rows: list[Any]) -> Boxes:
    return Boxes.of(objects(rows), {name: i for i, name in enumerate(CLASSES)})


@pytest.mark.parametrize("seed", range(4))
def test_the_kinds_are_those_of_tide(seed: int) -> None:
    found, truth = draw(N, seed)
    predicted, annotated = boxes_of(found), boxes_of(truth)
    assert predicted.score is not None
    kinds = mistaken(predicted, annotated, predicted.score >= 0.3)
    codes = np.concatenate([kinds.predicted[kinds.predicted >= 0], kinds.truth[kinds.truth >= 0]])
    wanted = sum((tide(f, t, 0.3) for f, t in zip(found, truth)), Counter[str]())
    assert Counter(KINDS[k] for k in codes.tolist()) == +wanted
    assert all(wanted[kind] for kind in KINDS)


CAR = ("car", 0, 0, 10, 10)
BY_HAND = {
    # what is annotated, what is found, the kinds
    "right": ([box(*CAR)], [box(*CAR, 0.9)], []),
    "missed": ([box(*CAR)], [], ["missed"]),
    "extra": ([], [box(*CAR, 0.9)], ["extra"]),
    "wrong": ([box(*CAR)], [box("bus", 0, 0, 10, 10, 0.9)], ["wrong class"]),
    "placed": ([box(*CAR)], [box("car", 0, 0, 10, 3, 0.9)], ["badly placed"]),
    "both": ([box(*CAR)], [box("bus", 0, 0, 10, 3, 0.9)], ["both", "missed"]),
    "double": ([box(*CAR)], [box(*CAR, 0.9), box("car", 0, 0, 10, 9, 0.8)], ["double"]),
    "unsure": ([box(*CAR)], [box(*CAR, 0.2), box("bus", 50, 50, 9, 9, 0.1)], ["missed"]),
    "crowd": ([{**box(*CAR), "attributes": '{"iscrowd": 1}'}], [box("car", 0, 0, 5, 5, 0.9)], []),
}


def average_precision(rows: list[tuple[float, str, bool]], truths: Counter[str]) -> float:
    """Return AP at 0.5 as COCO reads it, of (score, class, is right) and how many there are."""
    values = []
    for label, n in truths.items():
        right = np.array([r[2] for r in sorted(rows, key=lambda r: -r[0]) if r[1] == label], bool)
        hits = np.cumsum(right)
        precision = np.maximum.accumulate((hits / (np.arange(len(right)) + 1))[::-1])[::-1]
        at = np.searchsorted(hits / n, np.linspace(0, 1, 101), side="left")
        values.append(np.mean([precision[i] if i < len(precision) else 0.0 for i in at]))
    return float(np.mean(values))


def oracle(predicted: Boxes, truth: Boxes, kind: str) -> float:
    """Return what AP gains when an oracle mends one kind, box by box as the paper says."""
    assert predicted.score is not None
    kinds = mistaken(predicted, truth, np.ones(len(predicted), bool))
    taken = set(np.flatnonzero(kinds.found).tolist())
    left = [t for t in range(len(truth)) if kind != "missed" or kinds.truth[t] < 0]
    before, after = [], []
    for i in np.argsort(-predicted.score, kind="stable").tolist():
        score, label = float(predicted.score[i]), CLASSES[predicted.label[i]]
        code, about = kinds.predicted[i], int(kinds.partner[i])
        before.append((score, label, code < 0))
        if code < 0 or KINDS[code] != kind:
            after.append(before[-1])
        elif kind in ("wrong class", "badly placed") and about not in taken:
            taken.add(about)
            after.append((score, CLASSES[truth.label[about]], True))
    every = Counter(CLASSES[code] for code in truth.label)
    return average_precision(after, Counter(CLASSES[truth.label[t]] for t in left)) - (
        average_precision(before, every)
    )


@pytest.mark.parametrize("seed", range(3))
def test_what_mending_a_kind_gains_is_that_of_an_oracle(seed: int) -> None:
    found, truth = draw(N, seed)
    boxes = Detections.of(objects(found), objects(truth), CLASSES)
    wanted = [oracle(boxes_of(found), boxes_of(truth), kind) for kind in KINDS]
    assert gains(boxes) == pytest.approx(wanted, abs=1e-9)
    assert min(wanted) >= 0 and max(wanted) > 0.02


def test_mending_the_only_kind_of_mistake_leaves_none() -> None:
    """Three objects: one found, one of the wrong class, one missed: AP50 0.5, then 1, then 1."""
    at = [[0, 0, 10, 10], [20, 0, 10, 10], [40, 0, 10, 10]]
    cat, dog = CLASSES[:2]
    truth = [[{"label": cat, "bbox": at[0]}, {"label": dog, "bbox": at[1]}]]
    wrong = [
        [{"label": n, "bbox": b, "score": s} for n, b, s in ((cat, at[0], 0.9), (cat, at[1], 0.8))]
    ]
    boxes = Detections.of(objects(wrong), objects(truth), CLASSES)
    assert dict(zip(KINDS, gains(boxes).round(9).tolist())) == {
        "missed": 0.0,
        "extra": 0.0,
        "wrong class": 0.5,
        "badly placed": 0.0,
        "both": 0.0,
        "double": 0.0,
    }


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    db = slicedb.open(tmp_path_factory.mktemp("mistaken") / "cars.slicedb")
    db.store.create(SAMPLES, SAMPLES_SCHEMA)
    ids = [*BY_HAND, "unknown"]
    truth = objects([*(t for t, _, _ in BY_HAND.values()), None])
    split = ["val" if i % 2 else "train" for i in range(len(ids))]
    columns = {"id": ids, "key": keys_of(ids), "objects": truth, "status": [OK] * len(ids)}
    db.store.upsert(SAMPLES, pa.table({**columns, "split": split}))
    found = objects([*(f for _, f, _ in BY_HAND.values()), [box(*CAR, 0.9)]])
    db.log_predictions("det", pa.table({"id": ids, "objects": found}), classes=["bus", "car"])
    return db


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_a_query_of_boxes_and_of_samples(db: Database, kind: str) -> None:
    wanted = [name for name, (_, _, kinds) in BY_HAND.items() if kind in kinds]
    text = f"SELECT id FROM det.matches(confidence => 0.5) WHERE mistake = '{kind}' ORDER BY id"
    assert db.sql(text)["id"].to_pylist() == sorted(wanted)
    mistakes = db.errors("det")
    finding = mistakes.finding(kind)
    assert finding.n == len(wanted) and finding.images == len(wanted)
    assert sorted(db.query(finding.query).ids()) == sorted(wanted)
    assert sorted(db.sql(finding.boxes)["id"].to_pylist()) == sorted(wanted)
    name = "kind_" + kind.replace(" ", "_")
    assert db.slices.add(name, finding.query, replace=True).count() == len(wanted)
    db.slices.drop(name)


def test_errors_of_a_detector_counts_boxes_by_kind_and_class(db: Database) -> None:
    mistakes = db.errors("det")
    assert (mistakes.n, mistakes.left_out, mistakes.n_boxes) == (9, 1, 7)
    assert {f.name: f.n for f in mistakes.findings} == {
        "missed": 3,
        "extra": 1,
        "wrong class": 1,
        "badly placed": 1,
        "both": 1,
        "double": 1,
    }
    (pair,) = mistakes.pairs
    assert (pair.truth, pair.prediction, pair.n) == ("car", "bus", 1)
    assert db.query(pair.query).ids() == ["wrong"]
    by_class = {(r["label"], r["kind"]): r["n"] for r in mistakes.by_class.to_pylist()}
    assert by_class["car", "missed"] == 3 and by_class["bus", "wrong class"] == 1
    assert mistakes.top["loss"].to_pylist()[:3] == pytest.approx([1.9, 1.9, 1.9])
    assert db.query(mistakes.top_query).ids() == mistakes.top["id"].to_pylist()
    text = str(mistakes)
    assert "det: 8 mistakes" in text and "badly placed" in text and "double" in text
    assert len(mistakes.to_pandas()) == len(mistakes.to_arrow()) >= 7


def test_errors_of_a_slice_begin_with_its_scope_and_can_be_tagged(db: Database) -> None:
    mistakes = db.errors("det", on="split = 'val'", tag=True)
    assert mistakes.finding("missed").n == 3 and mistakes.n == 4
    ids = db.query(mistakes.finding("missed").query).ids()
    assert len(ids) == 3 and set(ids) <= set(db.query("split = 'val'").ids())
    assert sorted(db.sql(mistakes.finding("missed").boxes)["id"].to_pylist()) == sorted(ids)
    assert db.query("has_tag('wrong class')").ids() == ["wrong"]
    db.tag("has_tag('wrong class')", "wrong class", remove=True)


def test_cells_of_the_confusion_are_queries_of_boxes(db: Database) -> None:
    confusion = db.confusion("det")
    names = confusion.classes
    total = 0
    for i, label in enumerate(names):
        for j, prediction in enumerate(names):
            n = int(confusion.matrix[i, j])
            if (label, prediction) == ("(nothing)", "(nothing)"):
                continue
            boxes = db.sql(confusion.boxes_query(label, prediction))
            assert len(boxes) == n, (label, prediction)
            ids = set(boxes["id"].to_pylist())
            assert set(db.query(confusion.query(label, prediction)).ids()) == ids
            total += n
    assert total == confusion.n
