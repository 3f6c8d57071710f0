"""Metrics of detectors against faster-coco-eval, and loops of a few lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fakes_boxes import CLASSES, box, coco, draw, objects

from slicedb import metrics as m
from slicedb import stats
from slicedb.errors import CheckError
from slicedb.metrics import Detections, Membership, ratios
from slicedb.metrics.coco import IOUS, Curves

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "crowds": {"crowds": 0.2},
    "equal scores": {"ties": True, "crowds": 0.1},
    "large boxes": {"size": 120.0},
    "one class": {"labels": ("WBC",)},
    "annotated areas": {"areas": 0.5, "crowds": 0.1},
}
COCO_NAMES = {
    "map": "AP_all",
    "ap50": "AP_50",
    "ap75": "AP_75",
    "map_small": "AP_small",
    "map_medium": "AP_medium",
    "map_large": "AP_large",
    "mar": "AR_third",
}


def seen(found: list[Any], truth: list[Any], **options: Any) -> Detections:
    return Detections.of(objects(found), objects(truth), CLASSES, **options)


def value(name: str, outcomes: Detections, of: int | None = None) -> float:
    metric = m.suit(m.find(name), "detection")
    metric = metric if of is None else m.for_class(metric, of)
    members = Membership([np.arange(outcomes.n)], outcomes.n)
    if metric.state.kind == "ranked":
        return float(m.compute_ranked(metric, outcomes, members).value[0])
    return float(m.compute(metric, m.update(metric, outcomes, members)).value[0])


def test_sizes_are_those_of_the_outlines_where_annotations_tell_them() -> None:
    def one(area: str | None) -> list[Any]:
        return [{**box("RBC", 0, 0, 40, 40), "attributes": area}]  # a box of 1,600: medium

    found = [[box("RBC", 0, 0, 40, 40, 0.9)]]
    for attributes, small, medium in (
        (None, np.nan, 1.0),
        ('{"pose": "Left"}', np.nan, 1.0),
        ('{"area": 960.5}', 1.0, np.nan),
        ('{"area": 1.024e3}', 1.0, 1.0),  # 32 x 32 is both
        ('{"iscrowd": 0, "area": 9999}', np.nan, np.nan),
    ):
        outcomes = seen(found, [one(attributes)])
        values = [value(name, outcomes) for name in ("map_small", "map_medium")]
        np.testing.assert_allclose(values, [small, medium], err_msg=str(attributes))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_averages_equal_faster_coco_eval(case: str, seed: int) -> None:
    found, truth = draw(25, seed, **CASES[case])
    outcomes, wanted = seen(found, truth), coco(found, truth).stats_as_dict
    ones = np.ones((1, outcomes.n))
    for ours, theirs in COCO_NAMES.items():
        weighted = m.find(ours).weighted
        assert weighted is not None
        expected = np.nan if wanted[theirs] == -1 else wanted[theirs]
        np.testing.assert_allclose(weighted(outcomes)(ones)[0], expected, atol=1e-9, err_msg=ours)


def test_each_class_and_overlap_equals_faster_coco_eval() -> None:
    found, truth = draw(30, 7, crowds=0.1)
    outcomes, judge = seen(found, truth), coco(found, truth)
    wanted = judge.eval["precision"][:, :, :, 0, 2].mean(axis=1)  # (overlaps, classes)
    ours = Curves(outcomes).precision(np.ones((1, 30)))[0]
    np.testing.assert_allclose(ours, wanted, atol=1e-9)
    recalls = Curves(outcomes).recall(np.ones((1, 30)))[0]
    np.testing.assert_allclose(recalls, judge.eval["recall"][:, :, 0, 2], atol=1e-9)
    assert value("ap50", outcomes, 1) == pytest.approx(wanted[0, 1], abs=1e-9)
    assert value("map", outcomes, 2) == pytest.approx(wanted[:, 2].mean(), abs=1e-9)
    assert len(IOUS) == len(wanted)


@pytest.mark.parametrize("ties", [False, True])
def test_replicates_equal_faster_coco_eval_on_repeated_images(ties: bool) -> None:
    found, truth = draw(20, 11, ties=ties, crowds=0.1)
    rng = np.random.default_rng(0)
    weights = np.stack([np.bincount(rng.integers(0, 20, 20), minlength=20) for _ in range(8)])
    weighted = m.find("map").weighted
    assert weighted is not None
    ours = weighted(seen(found, truth))(weights)
    for w, mine in zip(weights, ours):
        rows = np.repeat(np.arange(20), w)
        judge = coco([found[i] for i in rows], [truth[i] for i in rows])
        assert mine == pytest.approx(judge.stats_as_dict["AP_all"], abs=1e-9)


def test_slices_equal_faster_coco_eval_on_their_images() -> None:
    found, truth = draw(40, 12, crowds=0.1)
    outcomes = seen(found, truth)
    rng = np.random.default_rng(1)
    positions = [np.flatnonzero(rng.random(40) < 0.4) for _ in range(5)]
    got = m.compute_ranked(m.find("map"), outcomes, Membership(positions, 40))
    for rows, mine in zip(positions, got.value):
        judge = coco([found[i] for i in rows], [truth[i] for i in rows])
        assert mine == pytest.approx(judge.stats_as_dict["AP_all"], abs=1e-9)
    weighted = m.find("map").weighted
    assert weighted is not None
    belongs = Membership(positions, 40).matrix.toarray()
    np.testing.assert_allclose(weighted(outcomes)(belongs), got.value, atol=1e-12)


def test_more_than_a_hundred_boxes_of_a_class_are_cut_as_coco_cuts_them() -> None:
    rng = np.random.default_rng(3)
    truth = [[box("RBC", 10 * i, 0, 9, 9) for i in range(150)]]
    found = [[box("RBC", 10 * i, 0, 9, 9, rng.random()) for i in range(150)]]
    wanted = coco(found, truth).stats_as_dict["AP_all"]
    assert value("map", seen(found, truth)) == pytest.approx(wanted, abs=1e-9)
    assert wanted == pytest.approx(67 / 101)


def test_nothing_annotated_is_nan_with_a_reason_and_nothing_found_is_zero() -> None:
    one = [box("RBC", 0, 0, 10, 10, 0.9)]
    for name in ("map", "ap50", "mar", "recall@0.5", "map_small"):
        assert np.isnan(value(name, seen([one], [[]])))
        assert value(name, seen([[]], [one])) == 0
    assert np.isnan(value("precision@0.5", seen([[]], [one])))
    assert value("precision@0.5", seen([one], [[]])) == 0
    assert np.isnan(value("mean_iou", seen([one], [[]])))
    assert value("mean_iou", seen([[]], [one])) == 0
    assert np.isnan(value("matched_iou", seen([[]], [one])))
    assert np.isnan(seen([[]], [[]]).mean_overlaps()[0])
    assert value("f1@0.5", seen([[]], [one])) == 0
    assert np.isnan(value("map", seen([], [])))
    assert m.find("map").undefined == "no box is annotated"
    assert np.isnan(value("map_large", seen([one], [one])))


def test_all_wrong_and_all_right() -> None:
    there = [box("RBC", 0, 0, 10, 10), box("WBC", 50, 50, 20, 20)]
    right = [{**b, "score": 0.9} for b in there]
    wrong = [{**b, "label": "Platelets"} for b in right]
    assert value("map", seen([right], [there])) == pytest.approx(1)
    assert value("map", seen([wrong], [there])) == 0
    assert value("loss", seen([right], [there])) == pytest.approx(0.1)
    assert value("loss", seen([wrong], [there])) == pytest.approx((2 + 1.8) / 2)


def loop_counts(found: list[Any], truth: list[Any], iou: float, sure: float) -> tuple[int, ...]:
    """Greedy matching of one image, box by box."""

    def overlap(a: Any, b: Any) -> float:
        w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
        h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
        both = max(w, 0) * max(h, 0)
        return float(both / (a[2] * a[3] + b[2] * b[3] - both))

    free, tp, fp = list(range(len(truth))), 0, 0
    for one in sorted((b for b in found if b["score"] >= sure), key=lambda b: -b["score"]):
        near = [
            (overlap(one["bbox"], truth[g]["bbox"]), g)
            for g in free
            if truth[g]["label"] == one["label"]
        ]
        best = max(near, default=(0.0, -1))
        if best[0] >= iou:
            free.remove(best[1])
            tp += 1
        else:
            fp += 1
    return tp, fp, len(free)


@pytest.mark.parametrize(("iou", "sure"), [(0.5, 0.5), (0.3, 0.2), (0.75, 0.0)])
def test_counts_precision_recall_and_f1_equal_a_loop(iou: float, sure: float) -> None:
    found, truth = draw(30, 5)
    outcomes = seen(found, truth, confidence=sure)
    rows = np.array([loop_counts(f, t, iou, sure) for f, t in zip(found, truth)])
    np.testing.assert_array_equal(np.stack(outcomes.counts(iou), axis=1), rows)
    tp, fp, fn = rows.sum(axis=0)
    at = f"@{iou:g}:{sure:g}"
    assert value(f"precision{at}", outcomes) == pytest.approx(tp / (tp + fp), abs=1e-12)
    assert value(f"recall{at}", outcomes) == pytest.approx(tp / (tp + fn), abs=1e-12)
    assert value(f"f1@{iou:g}", outcomes) == pytest.approx(2 * tp / (2 * tp + fp + fn), abs=1e-12)
    of = [sum(b["label"] == "WBC" for b in row) for row in truth]
    ours = outcomes.counts(iou, of=1)
    np.testing.assert_array_equal(ours.tp + ours.fn, of)


def test_per_sample_overlap_and_loss_by_hand() -> None:
    truth = [[box("RBC", 0, 0, 10, 10), box("WBC", 50, 50, 10, 10)], [], [box("RBC", 0, 0, 9, 9)]]
    found = [
        [box("RBC", 0, 0, 10, 8, 0.9), box("RBC", 80, 80, 5, 5, 0.4)],
        [box("WBC", 0, 0, 5, 5, 0.7)],
        [box("RBC", 0, 0, 9, 9, 1.0)],
    ]
    outcomes = seen(found, truth)
    expected = [((1 - 0.9 * 0.8) + 1 + 0.4) / 2, 0.7, 0.0]
    np.testing.assert_allclose(outcomes.losses(), expected, atol=1e-12)
    assert outcomes.correct.tolist() == [False, False, True]
    total, matched = outcomes.overlap()
    np.testing.assert_allclose(total, [0.8, 0, 1], atol=1e-12)
    assert matched.tolist() == [1, 0, 1]
    assert value("mean_iou", outcomes) == pytest.approx((0.8 + 0 + 1) / 3)
    assert value("matched_iou", outcomes) == pytest.approx(0.9)
    np.testing.assert_allclose(outcomes.mean_overlaps(), [0.4, 0, 1], atol=1e-12)
    assert value("loss", outcomes) == pytest.approx(np.mean(expected))


def test_a_box_without_a_score_is_sure_and_a_label_of_neither_kind_gets_a_code() -> None:
    outcomes = seen([[box("RBC", 0, 0, 9, 9)]], [[box("Yeast", 0, 0, 9, 9)]])
    assert outcomes.predicted.score is not None and outcomes.predicted.score.tolist() == [1.0]
    assert outcomes.classes == (*CLASSES, "Yeast")
    assert outcomes.counts().fp.tolist() == [1]


def test_taking_images_keeps_their_matches() -> None:
    found, truth = draw(30, 6, crowds=0.1)
    outcomes = seen(found, truth)
    rows = np.array([5, 3, 3, 20])
    part, again = outcomes.take(rows), seen([found[i] for i in rows], [truth[i] for i in rows])
    nested = outcomes.take(np.arange(25)).take(rows)
    for iou in (0.5, 0.65):
        for other in (part, nested):
            assert np.array_equal(other.counts(iou), again.counts(iou))
    np.testing.assert_allclose(nested.losses(), again.losses(), atol=1e-12)
    assert value("map", part) == pytest.approx(value("map", again), abs=1e-12)
    renamed = part.with_classes(("WBC", "Yeast"))
    assert renamed.classes == ("WBC", "Yeast", "RBC", "Platelets")
    assert value("map", renamed) == pytest.approx(value("map", part), abs=1e-12)
    assert value("ap50", renamed, 0) == pytest.approx(value("ap50", part, 1), abs=1e-12)


def test_equal_scores_of_two_images_stand_in_the_order_of_their_ranks() -> None:
    right, wrong = box("RBC", 0, 0, 9, 9, 0.5), box("RBC", 50, 50, 9, 9, 0.5)
    found, truth = [[wrong], [right]], [[], [right]]
    values = []
    for rank in (None, np.array([1, 0])):
        outcomes = seen(found, truth, rank=rank)
        values += [value("ap50", outcomes), value("ap50", outcomes.take(np.array([0, 1])))]
    assert values == pytest.approx([0.5, 0.5, 1, 1])


def test_names_have_one_canonical_form() -> None:
    for text, name in {
        "mAP": "map",
        "map@50:95": "map",
        "mAP50": "ap50",
        "ap@0.5": "ap50",
        "AP@.75": "ap75",
        "ap@0.625": "ap@0.625",
        "recall@0.5": "recall@0.5",
        "recall@.50:0.30": "recall@0.5:0.3",
        "mean_iou": "mean_iou",
        "mar": "mar",
        "ar100": "mar",
        "f1@1": "f1@1",
    }.items():
        assert m.find(text).name == name
        assert m.find(name).name == name
    for wrong in ("ap@0.01", "recall@0.05", "recall@1.5", "ap5"):
        with pytest.raises(CheckError):
            m.find(wrong)


def test_recall_suits_the_task_and_says_where_it_cannot() -> None:
    outcomes = seen(*draw(3, 0))
    suited = m.suit(m.find("recall"), "detection")
    assert suited.name == "recall" and m.missing(suited, outcomes) == ""
    other = m.suit(m.find("auroc"), "detection")
    assert m.missing(other, outcomes) == "auroc is for classification, the model does detection"


@pytest.mark.slow
def test_an_interval_of_map_is_the_bootstraps_and_covers_the_truth() -> None:
    """The plain percentile interval covers 65 to 75 % here: mAP of few images is too high."""
    population = seen(*draw(2000, 20, most=5))
    metric, rng = m.find("map"), np.random.default_rng(2)
    positions = [rng.permutation(2000)[:60] for _ in range(60)]
    got = m.compute_ranked(metric, population, Membership(positions, 2000))
    assert metric.weighted is not None
    whole = metric.weighted(population)(np.ones((1, 2000)))[0]
    low, high = m.interval(metric, got, 0.9)
    covered = float(((low <= whole) & (whole <= high)).mean())
    assert covered >= 0.83, covered
    part = population.take(positions[0])
    draws = stats.bootstrap_draws(metric.weighted(part), 60)
    draws -= (2 + np.sqrt(2)) * (draws.mean() - got.value[0])
    below = got.value[0] - (got.value[0] - draws) * (1 + 12 / 60)
    draws = np.where(draws < got.value[0], below, draws)
    draws = got.value[0] + (draws - got.value[0]) * stats.bootstrap_width(60)
    wanted = np.quantile(np.clip(draws, 0, 1), [0.05, 0.95])
    np.testing.assert_allclose((low[0], high[0]), wanted, atol=1e-12)
    p = m.p_value(metric, got.at(0), whole, "less")[0]
    assert got.draws is not None
    assert p == pytest.approx((np.sum(got.draws[0] >= whole) + 1) / 1001)


def test_resamples_that_do_not_differ_have_the_interval_of_a_share() -> None:
    from slicedb.metrics import ratios

    for n, value in ((2, 1.0), (35, 1.0), (2, 0.5), (1, 0.0)):
        got = ratios.drawn(lambda w, v=value: np.full(len(w), v), n, 1.0)  # type: ignore[misc]
        low, high = (float(x[0]) for x in m.interval(m.find("map"), got, 0.95, sides=1))
        wanted = stats.clopper_pearson(value * n, n, 0.95, sides=1)
        assert (low, high) == pytest.approx((float(wanted.low), float(wanted.high)), abs=0.01)
        assert high - low > 0.08


def test_very_many_boxes_get_fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    from slicedb.metrics import detected

    outcomes = seen(*draw(20, 1))
    monkeypatch.setattr(detected, "_WORK", 300 * len(outcomes.predicted))
    members = Membership([np.arange(20), np.arange(10)], 20)
    got = m.compute_ranked(m.find("map"), outcomes, members)
    assert got.draws is not None
    assert np.isnan(got.draws).sum(axis=1).tolist() == [
        700,
        700 - (300 * len(outcomes.predicted) // len(outcomes.take(np.arange(10)).predicted) - 300),
    ]
    low, high = m.interval(m.find("map"), got)
    assert (low < got.value).all() and (low < high).all()


def test_boxes_of_one_image_do_not_count_as_independent() -> None:
    """One image in two is all right, one all wrong: 40 images, not 400 boxes, say how sure."""
    there = [box("RBC", 20 * i, 0, 9, 9) for i in range(10)]
    right = [{**b, "score": 0.9} for b in there]
    outcomes = seen([right, []] * 20, [there] * 40)
    metric = m.find("recall@0.5")
    got = m.compute(metric, m.update(metric, outcomes, Membership([np.arange(40)], 40)))
    assert got.value[0] == 0.5 and got.size[0] == pytest.approx(39)
    perfect = m.compute(metric, m.update(metric, outcomes, Membership([np.arange(0, 40, 2)], 40)))
    assert perfect.value[0] == 1 and perfect.size[0] == 20


@pytest.mark.slow
def test_shares_of_boxes_cover_the_truth_about_as_often_as_they_say() -> None:
    outcomes = seen(*draw(3000, 21, most=6))
    metric = m.find("recall@0.5:0.3")
    rng = np.random.default_rng(4)
    positions = [np.unique(rng.integers(0, 3000, 80)) for _ in range(300)]
    got = m.compute(metric, m.update(metric, outcomes, Membership(positions, 3000)))
    low, high = m.interval(metric, got)
    whole = value("recall@0.5:0.3", outcomes)
    covered = float(((low <= whole) & (whole <= high)).mean())
    assert covered >= 0.92, covered


def test_a_share_of_boxes_is_no_surer_than_so_many_independent_boxes() -> None:
    above, below = np.array([1.0] * 9 + [2.0]), np.full(10, 2.0)  # alike in every image
    found = ratios.share(ratios.parts(above, below).sum(axis=0)[None])
    assert (found.value[0], found.size[0]) == (0.55, 20.0)
