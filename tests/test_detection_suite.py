"""Detectors, numbers and label sets judged: slices, expectations, intervals, confusion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fakes_boxes import CLASSES, box, coco, draw, objects
from fakes_judge import FakeAsk
from hypothesis import given, settings
from hypothesis import strategies as st

from slicedb import metrics as m
from slicedb import stats
from slicedb.errors import CheckError
from slicedb.expectations import parse_check
from slicedb.judge import compare, confusion, evaluate, groups_of, load, resampled, run
from slicedb.predictions import log
from slicedb.report import report_of
from slicedb.schema import OK, SAMPLES, SAMPLES_SCHEMA, keys_of
from slicedb.slices import Slices
from slicedb.store import Store

N = 60


def boxes_store(path: Path, n: int = N) -> tuple[Store, Slices, list[Any], dict[str, list[Any]]]:
    """Return a database of n images with boxes, and two detectors; the last image has no truth."""
    store = Store.open(path / "boxes.slicedb")
    found, truth = draw(n, 1, crowds=0.05)
    worse = [row[::2] for row in found]
    ids = [f"{i:03d}.jpg" for i in range(n)]
    store.create(SAMPLES, SAMPLES_SCHEMA)
    column = objects([*truth[:-1], None])
    night = ["night" if i % 3 == 0 else "day" for i in range(n)]
    table = {"id": ids, "key": keys_of(ids), "objects": column, "split": night, "status": [OK] * n}
    store.upsert(SAMPLES, pa.table(table))
    said = {"good": found, "worse": worse}
    for name, rows in said.items():
        log(store, name, pa.table({"id": ids, "objects": objects(rows)}), classes=CLASSES)
    return store, FakeAsk(store).slices, truth, said


def test_evaluate_gives_cocos_values_of_slices_with_n_and_what_was_left_out(tmp_path: Path) -> None:
    store, _, truth, said = boxes_store(tmp_path)
    ids = [f"{i:03d}.jpg" for i in range(N)]
    night = [i for i in range(N) if i % 3 == 0]
    members = {"all": keys_of(ids), "night": keys_of([ids[i] for i in night])}
    found = evaluate(store, ["good", "worse"], members, metrics=["map", "ap50", "recall@0.5"])
    for name, rows in said.items():
        for title, which in (("all", range(N - 1)), ("night", night)):
            judge = coco([rows[i] for i in which], [truth[i] for i in which]).stats_as_dict
            assert found.value(title, name, "map") == pytest.approx(judge["AP_all"], abs=1e-9)
            assert found.value(title, name, "ap50") == pytest.approx(judge["AP_50"], abs=1e-9)
    row = found.to_arrow().to_pylist()[0]
    assert (row["n"], row["left_out"]) == (N - 1, 1)
    assert row["low"] < row["high"] <= 1
    seen = load(store, "good").outcomes
    tp, _, fn = (x.sum() for x in seen.counts())
    assert found.value("all", "good", "recall@0.5") == pytest.approx(tp / (tp + fn))
    assert "map" in str(found)


def test_each_task_has_its_own_metric_where_nobody_asks(tmp_path: Path) -> None:
    store, _, _, _ = boxes_store(tmp_path)
    ids = [f"{i:03d}.jpg" for i in range(N)]
    store.add_columns(SAMPLES, [pa.field("age", pa.float64())])
    ages = np.arange(float(N))
    store.upsert(SAMPLES, pa.table({"id": ids, "age": ages}), insert=False)
    log(store, "ages", pa.table({"id": ids[:10], "value": ages[:10] + 2}), target="age")
    found = evaluate(store, ["good", "ages"], {"all": keys_of(ids), "none": keys_of(ids[20:30])})
    assert found.value("all", "ages", "mae") == pytest.approx(2)
    assert not np.isnan(found.value("all", "good", "map"))
    rows = {(r["slice"], r["model"]): r for r in found.to_arrow().to_pylist()}
    assert rows["none", "ages"]["reason"] == "no sample has both a target and a prediction"
    assert (rows["all", "ages"]["n"], rows["all", "ages"]["left_out"]) == (10, N - 10)
    other = evaluate(store, ["good"], {"all": keys_of(ids)}, metrics=["accuracy"], per_class=True)
    reasons = set(other.to_arrow()["reason"].to_pylist())
    assert reasons == {"accuracy is for classification, the model does detection"}


def test_per_class_rows_equal_cocos_classes(tmp_path: Path) -> None:
    store, _, truth, said = boxes_store(tmp_path)
    keys = keys_of([f"{i:03d}.jpg" for i in range(N)])
    found = evaluate(store, "good", {"all": keys}, metrics=["ap50", "recall"], per_class=True)
    judge = coco(said["good"][:-1], truth[:-1])
    wanted = judge.eval["precision"][0, :, :, 0, 2].mean(axis=0)
    for code, name in enumerate(CLASSES):
        assert found.value("all", "good", "ap50", name) == pytest.approx(wanted[code], abs=1e-9)
    assert 0 < found.value("all", "good", "recall", "WBC") < 1


def test_expectations_of_detectors_are_judged_with_bootstrap_intervals(tmp_path: Path) -> None:
    store, slices, _, _ = boxes_store(tmp_path)
    slices.add(
        "every",
        "split IS NOT NULL",
        expect=[
            "map >= 0.05",
            "ap50 of RBC >= 0.95",
            "recall at iou 0.5 and confidence 0.2 >= 0.3",
            "map no worse than worse by 0.01",
            "loss <= 5",
            "precision per class >= 0.01",
            "accuracy >= 0.5",
            "auroc per class >= 0.5",
        ],
    )
    report = report_of(store, run(store, [slices.get("every")], model="good"))
    found = {r.check: r for r in report.results}
    assert found["map >= 0.05"].verdict == "PASS"
    assert found["ap50 of RBC >= 0.95"].verdict == "FAIL"
    assert found["recall@0.5:0.2 >= 0.3"].verdict == "PASS"
    assert found["loss <= 5"].verdict == "PASS"
    assert found["precision of WBC >= 0.01"].verdict == "PASS"
    assert found["accuracy >= 0.5"].verdict == "INCONCLUSIVE"
    assert "accuracy is for classification" in found["accuracy >= 0.5"].message
    assert "auroc is for classification" in found["auroc per class >= 0.5"].message
    paired = found["map no worse than worse by 0.01"]
    assert paired.verdict == "PASS" and paired.value > 0
    a, b = (load(store, name).outcomes for name in ("good", "worse"))
    weighted = m.find("map").weighted
    assert weighted is not None
    sides = [weighted(o) for o in (a, b)]
    draws = stats.bootstrap_draws(lambda w: sides[0](w) - sides[1](w), N - 1)
    draws -= (2 + np.sqrt(2)) * (draws.mean() - paired.value)
    below = paired.value - (paired.value - draws) * (1 + 12 / (N - 1))
    draws = np.where(draws < paired.value, below, draws)
    draws = paired.value + (draws - paired.value) * stats.bootstrap_width(N - 1)
    np.testing.assert_allclose(
        (paired.low, paired.high), np.quantile(draws, [0.05, 0.95]), atol=1e-12
    )
    assert len(paired.worst_ids) == 5
    assert "map: a stronger colour is higher" in report.to_html()
    assert report.to_json() and report.to_markdown()


def test_boxes_are_confused_with_one_another_and_with_nothing(tmp_path: Path) -> None:
    from fakes_detector import detector, world

    from slicedb.predictions import predict

    store = world(tmp_path)
    predict(store, "blobs", detector())
    keys = store.table(SAMPLES, ["key"])["key"].to_numpy()
    found = confusion(store, "blobs", keys)
    assert found.classes == ("red", "green", "blue", "(nothing)")
    assert found.matrix.tolist() == [[2, 0, 0, 0], [0, 1, 0, 1], [0, 1, 1, 0], [0, 1, 0, 0]]
    assert (found.n, found.left_out) == (7, 1)
    assert "7 boxes, 1 sample left out" in str(found)
    boxes = "SELECT id FROM blobs.matches(same_label => false, confidence => 0.5) WHERE "
    assert found.query("red", "blue") == (
        f"id IN ({boxes}outcome = 'tp' AND label = 'red' AND prediction = 'blue')"
    )
    assert "outcome = 'fn' AND label = 'red'" in found.boxes_query("red", "(nothing)")
    assert "outcome = 'fp' AND prediction = 'red'" in found.boxes_query("(nothing)", "red")


def test_boxes_in_a_crowd_are_not_confused(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "crowd.slicedb")
    crowd = box("RBC", 0, 0, 99, 99) | {"attributes": '{"iscrowd": 1}'}
    truth = objects([[crowd, box("WBC", 200, 0, 9, 9)]])
    said = objects([[box("RBC", 5, 5, 9, 9, 0.9), box("WBC", 200, 0, 9, 9, 0.9)]])
    row = {"id": ["a"], "key": keys_of(["a"])}
    store.upsert(SAMPLES, pa.table({**row, "objects": truth, "status": [OK]}))
    log(store, "m", pa.table({"id": ["a"], "objects": said}), classes=CLASSES)
    found = confusion(store, "m", row["key"])
    assert found.to_arrow().to_pylist() == [{"label": "WBC", "prediction": "WBC", "n": 1}]


def test_what_is_right_or_wrong_a_sample_is_refused_for_other_tasks(tmp_path: Path) -> None:
    store, _, _, _ = boxes_store(tmp_path)
    keys = keys_of([f"{i:03d}.jpg" for i in range(N)])
    log(store, "numbers", pa.table({"id": ["000.jpg"], "value": [1.0]}))
    assert compare(store, "good", "worse", {"all": keys}).to_arrow().num_rows  # chosen by task
    with pytest.raises(CheckError, match="does detection"):
        compare(store, "good", "numbers", {"all": keys})
    with pytest.raises(CheckError, match="numbers does regression: a sample has no one"):
        confusion(store, "numbers", keys)


def test_intervals_of_groups_draw_whole_groups_of_images(tmp_path: Path) -> None:
    store, _, _, _ = boxes_store(tmp_path)
    keys = keys_of([f"{i:03d}.jpg" for i in range(N)])
    store.add_columns(SAMPLES, [pa.field("video", pa.int64())])
    ids = [f"{i:03d}.jpg" for i in range(N)]
    video = np.arange(N) // 6
    store.upsert(SAMPLES, pa.table({"id": ids, "video": video}), insert=False)
    found = evaluate(store, "good", {"all": keys}, metrics=["map", "recall"], group="video")
    rows = {r["metric"]: r for r in found.to_arrow().to_pylist()}
    judged = load(store, "good")
    groups = groups_of(store, "video")[judged.rows]
    statistic, units = resampled(m.find("map"), judged.outcomes, groups)
    draws = stats.bootstrap_draws(statistic, units)
    value = rows["map"]["value"]
    draws = draws - (2 + np.sqrt(2)) * (draws.mean() - value)
    draws = np.where(draws < value, value - (value - draws) * (1 + 12 / units), draws)
    low, high = np.quantile(value + (draws - value) * stats.bootstrap_width(units), [0.025, 0.975])
    assert (rows["map"]["low"], rows["map"]["high"]) == pytest.approx((low, high))
    assert rows["recall"]["low"] < rows["recall"]["value"] < rows["recall"]["high"]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("mAP >= 40%", "map >= 0.4"),
        ("ap50 of RBC >= 0.8", "ap50 of RBC >= 0.8"),
        ("recall at iou 0.5 >= 0.7", "recall@0.5 >= 0.7"),
        ("recall at IoU .75 and confidence 0.30 of WBC >= 0.7", "recall@0.75:0.3 of WBC >= 0.7"),
        ("precision at confidence 0.3 > 0.5", "precision@0.5:0.3 > 0.5"),
        ("ap at iou 0.5 no worse than baseline by 2%", "ap50 no worse than baseline by 0.02"),
        ("map per class >= 0.1", "map per class >= 0.1"),
        ("mae <= 3.5", "mae <= 3.5"),
        ("rmse no worse than old by 2", "rmse no worse than old by 2"),
        ("recall >= 0.5", "recall >= 0.5"),
    ],
)
def test_expectations_of_other_tasks_parse(text: str, canonical: str) -> None:
    assert str(parse_check(text)) == canonical
    assert parse_check(canonical) == parse_check(text)


@settings(max_examples=50, deadline=None)
@given(st.integers(10, 100), st.integers(0, 100), st.sampled_from(["precision", "recall", "f1"]))
def test_overlap_and_confidence_go_round(iou: int, sure: int, kind: str) -> None:
    check = parse_check(f"{kind} at iou {iou / 100} and confidence {sure / 100} >= 0.5")
    assert check.metric == f"{kind}@{iou / 100:g}:{sure / 100:g}"
    assert parse_check(str(check)) == check


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("map >= 40", "lies between 0 and 1"),
        ("mae of RBC <= 1", "not defined for one class"),
        ("recall at iou 5 >= 0.5", "there is no metric"),
        ("recall at >= 0.5", "comparison is expected"),
        ("ap51x >= 0.5", "there is no metric"),
    ],
)
def test_expectations_that_make_no_sense_say_where(text: str, message: str) -> None:
    with pytest.raises(CheckError, match=message):
        parse_check(text)


def test_numbers_are_judged_against_bounds_and_baselines(tmp_path: Path) -> None:
    store, slices, _, _ = boxes_store(tmp_path)
    ids = [f"{i:03d}.jpg" for i in range(N)]
    rng = np.random.default_rng(0)
    ages = rng.normal(40, 10, N)
    store.add_columns(SAMPLES, [pa.field("age", pa.float64())])
    store.upsert(SAMPLES, pa.table({"id": ids, "age": ages}), insert=False)
    for name, noise in (("old", 2.0), ("new", 6.0)):
        values = ages + rng.normal(0, noise, N)
        log(store, name, pa.table({"id": ids, "value": values}), target="age")
    expect = [
        "mae <= 3",
        "rmse <= 20",
        "mae no worse than old by 0.5",
        "rmse no worse than old by 9",
    ]
    slices.add("every", "split IS NOT NULL", expect=expect)
    report = run(store, [slices.get("every")], model="new")
    verdicts = {r.check: r.verdict for r in report.results}
    assert verdicts == {
        "mae <= 3": "FAIL",
        "rmse <= 20": "PASS",
        "mae no worse than old by 0.5": "FAIL",
        "rmse no worse than old by 9": "PASS",
    }
    first = report.results[2]
    new, old = (load(store, name).outcomes for name in ("new", "old"))
    d = np.abs(new.residual) - np.abs(old.residual)
    assert first.value == pytest.approx(d.mean())
    error, skew = d.std(ddof=1) / np.sqrt(N), ((d - d.mean()) ** 3).mean() / d.std() ** 3
    both = [stats.skewed_interval(d.mean(), error, g, N, 0.95, sides=1) for g in (0.0, skew)]
    wider = min(b.low for b in both), max(b.high for b in both)
    np.testing.assert_allclose((first.low, first.high), wider, atol=1e-9)


def test_sets_of_labels_are_judged(tmp_path: Path) -> None:
    store, slices, _, _ = boxes_store(tmp_path)
    ids = [f"{i:03d}.jpg" for i in range(N)]
    rng = np.random.default_rng(1)
    truth = [[c for c in "abc" if rng.random() < 0.5] for _ in range(N)]
    lists = pa.array(truth, pa.list_(pa.string()))
    store.upsert(SAMPLES, pa.table({"id": ids, "labels": lists}), insert=False)
    said = [row if i % 10 else ["a"] for i, row in enumerate(truth)]
    log(store, "sets", pa.table({"id": ids, "labels": pa.array(said, pa.list_(pa.string()))}))
    expect = ["f1 >= 0.7", "f1 of a >= 0.7", "accuracy >= 0.7", "hamming_loss <= 0.2"]
    slices.add("every", "split IS NOT NULL", expect=expect)
    report = run(store, [slices.get("every")], model="sets")
    assert [r.verdict for r in report.results] == ["PASS"] * 4
    alone = ", ".join(f"'{i}'" for i, row in zip(ids, truth) if row == ["b"])
    slices.add("b", f"id IN ({alone})", expect=["f1 per class >= 0.1"])
    (one,) = run(store, [slices.get("b")], model="sets").results
    assert one.check == "f1 of b >= 0.1"
