"""Overlaps and matching of boxes, against loops written from COCO's definition."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicedb.metrics import boxes
from slicedb.metrics.boxes import Boxes, Flat, iou, iou_matrix, match, overlaps
from slicedb.schema import OBJECT


def reference_iou(a: Any, b: Any, crowd: bool = False) -> float:
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(wide, 0) * max(high, 0)
    whole = a[2] * a[3] if crowd else a[2] * a[3] + b[2] * b[3] - shared
    return min(float(shared / whole), 1.0) if whole > 0 else 0.0


def reference_match(found: Boxes, truth: Boxes, at: float, same_label: bool) -> list[int]:
    """COCOeval.evaluateImg, a loop over images, labels and boxes."""
    partner = [-1] * len(found)
    taken: set[int] = set()
    crowd = np.zeros(len(truth), bool) if truth.crowd is None else truth.crowd
    assert found.score is not None
    for d in sorted(range(len(found)), key=lambda d: (-found.score[d], d)):  # type: ignore[index]
        best, best_iou = -1, min(at, 1 - 1e-10)
        for g in sorted(range(len(truth)), key=lambda g: (crowd[g], g)):
            if truth.image[g] != found.image[d]:
                continue
            if same_label and truth.label[g] != found.label[d]:
                continue
            if g in taken and not crowd[g]:
                continue
            if best >= 0 and not crowd[best] and crowd[g]:
                break
            value = reference_iou(found.xywh[d], truth.xywh[g], crowd[g])
            if value <= 0 or value < best_iou:
                continue
            best, best_iou = g, value
        if best >= 0:
            partner[d] = best
            taken.add(best)
    return partner


def some_boxes(rng: np.random.Generator, n: int, scored: bool, crowds: float = 0.0) -> Boxes:
    return Boxes(
        rng.integers(0, 3, n),
        np.column_stack([rng.integers(0, 7, (n, 2)), rng.integers(0, 9, (n, 2))]).astype(float),
        rng.integers(0, 2, n),
        rng.integers(0, 5, n) / 4 if scored else None,
        rng.random(n) < crowds,
    )


def test_iou_of_known_boxes() -> None:
    a = np.array([0, 0, 10, 10.0])
    assert iou(a, a) == 1
    assert iou(a, np.array([10, 0, 5, 5.0])) == 0
    assert iou(a, np.array([5, 5, 10, 10.0])) == pytest.approx(25 / 175)
    assert iou(a, np.array([2, 2, 0, 5.0])) == 0
    assert iou(np.array([2, 2, 4, 5.0]), a, np.array(True)) == 1
    assert np.isnan(iou(a, np.full(4, np.nan)))


numbers = st.floats(-50, 50, width=32)
sizes = st.floats(0, 50, width=32)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(numbers, numbers, sizes, sizes), min_size=2, max_size=8), st.booleans())
def test_iou_equals_a_loop_and_stays_in_its_range(rows: list[Any], crowd: bool) -> None:
    a = np.array(rows[: len(rows) // 2], float)
    b = np.array(rows[len(rows) // 2 :], float)
    found = iou_matrix(a, b, np.full(len(b), crowd))
    wanted = [[reference_iou(x, y, crowd) for y in b] for x in a]
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    assert (found >= 0).all() and (found <= 1).all()
    if not crowd:
        np.testing.assert_allclose(found.T, iou_matrix(b, a), atol=1e-12)


@pytest.mark.parametrize("same_label", [True, False])
@pytest.mark.parametrize("crowds", [0.0, 0.3])
def test_matching_equals_cocos_loop(same_label: bool, crowds: float) -> None:
    rng = np.random.default_rng(0)
    matched = 0
    for _ in range(150):
        found = some_boxes(rng, int(rng.integers(0, 24)), scored=True)
        truth = some_boxes(rng, int(rng.integers(0, 24)), scored=False, crowds=crowds)
        at = float(rng.choice([0.1, 0.3, 0.5]))
        got = match(overlaps(found, truth, same_label=same_label), found, truth, iou=at)
        assert got.truth.tolist() == reference_match(found, truth, at, same_label)
        assert truth.crowd is not None
        has = np.flatnonzero(got.truth >= 0)
        assert got.ignored[has].tolist() == truth.crowd[got.truth[has]].tolist()
        plain = has[~got.ignored[has]]
        assert got.predicted[got.truth[plain]].tolist() == plain.tolist()
        assert ((got.predicted >= 0) == np.isin(np.arange(len(truth)), got.truth)).all()
        matched += len(has)
    assert matched > 200


def test_boxes_below_a_score_change_nothing_for_the_others() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        found, truth = some_boxes(rng, 12, scored=True), some_boxes(rng, 8, scored=False)
        assert found.score is not None
        kept = np.flatnonzero(found.score >= 0.5)
        some = Boxes(found.image[kept], found.xywh[kept], found.label[kept], found.score[kept])
        whole = match(overlaps(found, truth), found, truth, iou=0.2)
        part = match(overlaps(some, truth), some, truth, iou=0.2)
        assert whole.truth[kept].tolist() == part.truth.tolist()


def test_an_ignored_truth_is_taken_once_and_only_when_no_other_is_near() -> None:
    box = np.array([[0, 0, 10, 10.0]] * 3)
    zeros = np.zeros(3, np.int64)
    found = Boxes(zeros, box, zeros, np.array([0.9, 0.8, 0.7]))
    truth = Boxes(zeros[:2], np.array([[0, 0, 10, 10.0], [0, 0, 10, 6.0]]), zeros[:2])
    ignored = np.array([True, False])
    got = match(overlaps(found, truth), found, truth, iou=0.5, ignored=ignored)
    assert got.truth.tolist() == [1, 0, -1]
    assert got.ignored.tolist() == [False, True, False]
    assert got.iou.round(2).tolist()[:2] == [0.6, 1.0] and np.isnan(got.iou[2])


def test_pairs_are_the_same_in_many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    found, truth = some_boxes(rng, 60, scored=True), some_boxes(rng, 50, scored=False)
    whole = overlaps(found, truth, least=0.1)
    monkeypatch.setattr(boxes, "_PAIRS", 7)
    parts = overlaps(found, truth, least=0.1)
    assert len(whole.iou) > 20 and whole.iou.min() >= 0.1
    assert whole.predicted.tolist() == parts.predicted.tolist()
    assert whole.truth.tolist() == parts.truth.tolist()


def test_no_boxes_at_all() -> None:
    none = Boxes(np.empty(0, np.int64), np.empty((0, 4)), np.empty(0, np.int64))
    got = match(overlaps(none, none), none, none)
    assert len(got.truth) == len(got.predicted) == 0


def test_lists_of_objects_become_columns() -> None:
    crowd = json.dumps({"iscrowd": 1})
    rows = [
        [{"label": "x", "bbox": [9, 9, 9, 9], "score": 1.0, "attributes": None}],
        None,
        [
            {"label": "cat", "bbox": [1, 2, 3, 4], "score": None, "attributes": crowd},
            {"label": None, "bbox": None, "score": 0.5, "attributes": '{"iscrowd": 0}'},
        ],
        [],
        [{"label": "dog", "bbox": [1, 2], "score": 0.25, "attributes": None}],
    ]
    column = pa.array(rows, pa.list_(OBJECT))[1:]
    flat = Flat.of(pa.chunked_array([column.slice(0, 1), column.slice(1)]))
    assert flat.image.tolist() == [1, 1, 3] and flat.index.tolist() == [1, 2, 1]
    np.testing.assert_equal(flat.xywh, [[1, 2, 3, 4], [np.nan] * 4, [np.nan] * 4])
    codes: dict[str | None, int] = {"dog": 0}
    found = Boxes.of(column, codes)
    assert codes == {"dog": 0, "cat": 1, None: 2}
    assert found.label.tolist() == [1, 2, 0]
    assert found.crowd is not None and found.crowd.tolist() == [True, False, False]
    np.testing.assert_equal(found.score, [np.nan, 0.5, 0.25])
    assert len(Boxes.of(pa.chunked_array([], pa.list_(OBJECT)), codes)) == 0
