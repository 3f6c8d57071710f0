"""Metrics of regression and of several labels a sample, against scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from slicedb import metrics as m
from slicedb import stats
from slicedb.metrics import Detections, LabelSets, Membership, PredictedNumbers
from slicedb.schema import OBJECT


def value(name: str, outcomes: Any, of: int | None = None) -> float:
    metric = m.suit(m.find(name), outcomes.task)
    assert m.missing(metric, outcomes) == ""
    metric = metric if of is None else m.for_class(metric, of)
    members = Membership([np.arange(outcomes.n)], outcomes.n)
    if metric.state.kind == "ranked":
        return float(m.compute_ranked(metric, outcomes, members).value[0])
    return float(m.compute(metric, m.update(metric, outcomes, members)).value[0])


def numbers(n: int, seed: int) -> PredictedNumbers:
    rng = np.random.default_rng(seed)
    target = rng.normal(30, 10, n)
    return PredictedNumbers(target, target + rng.normal(1, 4, n))


@pytest.mark.parametrize("n", [1, 2, 300])
def test_errors_of_numbers_equal_scikit_learn(n: int) -> None:
    o = numbers(n, n)
    for name, score in {
        "mae": sk.mean_absolute_error,
        "mse": sk.mean_squared_error,
        "rmse": sk.root_mean_squared_error,
        "bias": lambda y, p: np.mean(p - y),
    }.items():
        assert value(name, o) == pytest.approx(score(o.target, o.value), abs=1e-9)


def test_no_numbers_at_all_are_nan_with_a_reason() -> None:
    o = numbers(0, 0)
    assert all(np.isnan(value(name, o)) for name in ("mae", "mse", "rmse", "bias"))
    assert m.find("mae").undefined == "no sample has both a target and a prediction"
    assert value("count", o) == 0


def test_intervals_of_errors_are_halls_and_the_delta_methods() -> None:
    o = numbers(200, 1)
    members = Membership([np.arange(200)], 200)
    x = np.abs(o.residual)
    mae = m.find("mae")
    got = m.interval(mae, m.compute(mae, m.update(mae, o, members)))
    error, skew = x.std(ddof=1) / np.sqrt(200), ((x - x.mean()) ** 3).mean() / x.std() ** 3
    wanted = stats.skewed_interval(x.mean(), error, skew, 200)
    np.testing.assert_allclose(np.ravel(got), wanted, atol=1e-9)
    rmse = m.find("rmse")
    found = m.compute(rmse, m.update(rmse, o, members))
    squares = o.residual**2
    error = squares.std(ddof=1) / np.sqrt(200) / (2 * np.sqrt(squares.mean()))
    assert found.error[0] == pytest.approx(error, abs=1e-9)


def test_the_interval_of_rmse_covers_about_as_often_as_it_says() -> None:
    o = numbers(100_000, 2)
    truth, rng = value("rmse", o), np.random.default_rng(0)
    positions = [np.unique(rng.integers(0, o.n, 200)) for _ in range(400)]
    rmse = m.find("rmse")
    found = m.compute(rmse, m.update(rmse, o, Membership(positions, o.n)))
    low, high = m.interval(rmse, found)
    assert float(((low <= truth) & (truth <= high)).mean()) >= 0.92


def sets(n: int, c: int, seed: int, kinds: int | None = None) -> LabelSets:
    rng = np.random.default_rng(seed)
    truth = rng.random((n, c)) < 0.3
    truth[:, kinds or c :] = False
    p = np.clip(0.5 * truth + rng.random((n, c)) * 0.6, 0, 1)
    return LabelSets(tuple("abcdef"[:c]), truth, p >= 0.5, p)


SETS = {
    "random": sets(200, 4, 0),
    "one class": sets(80, 4, 1, kinds=1),
    "one sample": sets(1, 3, 2),
    "all wrong": LabelSets(("a", "b"), np.eye(2, dtype=bool), ~np.eye(2, dtype=bool)),
    "never predicted": LabelSets(("a", "b"), np.ones((5, 2), bool), np.zeros((5, 2), bool)),
}


def prf(part: str, average: str) -> Callable[[LabelSets], float]:
    score = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}[part]

    def reference(o: LabelSets) -> float:
        if average == "micro":
            return score(o.truth, o.predicted, average=average, zero_division=np.nan)
        # classes that are neither label nor prediction count nowhere, others without a ratio as 0
        some = np.flatnonzero((o.truth | o.predicted).any(axis=0))
        return score(o.truth, o.predicted, average=average, labels=some, zero_division=0)

    return reference


REFERENCES: dict[str, Callable[[LabelSets], float]] = {
    "accuracy": lambda o: sk.accuracy_score(o.truth, o.predicted),
    "hamming_loss": lambda o: sk.hamming_loss(o.truth, o.predicted),
    **{
        f"{part}{suffix}": prf(part, average)
        for part in ("precision", "recall", "f1")
        for suffix, average in (("", "macro"), ("_micro", "micro"), ("_weighted", "weighted"))
    },
}


@pytest.mark.parametrize("case", SETS)
@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.filterwarnings("ignore")
def test_metrics_of_label_sets_equal_scikit_learn(name: str, case: str) -> None:
    o = SETS[case]
    assert value(name, o) == pytest.approx(REFERENCES[name](o), abs=1e-9, nan_ok=True)


@pytest.mark.filterwarnings("ignore")
def test_classes_and_ranks_of_label_sets_equal_scikit_learn() -> None:
    o = SETS["random"]
    assert o.probabilities is not None
    for c in range(4):
        y, p = o.truth[:, c], o.probabilities[:, c]
        assert value("f1", o, c) == pytest.approx(sk.f1_score(y, o.predicted[:, c]), abs=1e-9)
        assert value("auroc", o, c) == pytest.approx(sk.roc_auc_score(y, p), abs=1e-9)
    macro = sk.average_precision_score(o.truth, o.probabilities, average="macro")
    assert value("average_precision", o) == pytest.approx(macro, abs=1e-9)
    assert value("auroc", o) == pytest.approx(sk.roc_auc_score(o.truth, o.probabilities), abs=1e-9)
    entropies = [sk.log_loss(o.truth[:, c], o.probabilities[:, c]) for c in range(4)]
    assert value("log_loss", o) == pytest.approx(np.mean(entropies), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 59))
def test_merged_sums_equal_one_sum(seed: int, cut: int) -> None:
    o, several = numbers(60, seed), sets(60, 3, seed)
    for name, outcomes in (("mae", o), ("rmse", o), ("hamming_loss", several)):
        metric = m.find(name)

        def sums(rows: np.ndarray, metric: Any = metric, outcomes: Any = outcomes) -> np.ndarray:
            part = outcomes.take(rows)
            return m.update(metric, part, Membership([np.arange(part.n)], part.n))

        parts = sums(np.arange(cut)) + sums(np.arange(cut, 60))
        np.testing.assert_allclose(parts, sums(np.arange(60)), atol=1e-9)


def test_the_classes_of_some_rows_are_those_they_have() -> None:
    seen = LabelSets(("a", "b", "c"), np.array([[1, 0, 0], [1, 0, 1]], bool), np.ones((2, 3), bool))
    assert (seen.present, seen.present_in(np.array([0]))) == ([0, 2], [0])
    box = {"label": "b", "bbox": [0, 0, 9, 9.0], "score": 1.0, "attributes": None}
    found, truth = (
        [[{**box, "label": x} for x in row] for row in rows]
        for rows in (("c", "c", ""), ("b", "ab", ""))
    )
    columns = (pa.array(rows, pa.list_(OBJECT)) for rows in (found, truth))
    boxes = Detections.of(*columns, classes=("a", "b", "c"))
    rows = (slice(None), np.array([0]), np.array([2]))
    assert [boxes.present_in(r) for r in rows] == [[0, 1], [1], []]
    assert numbers(3, 0).present_in(slice(None)) == []


def test_a_set_in_other_columns_is_the_same_set() -> None:
    o = SETS["random"]
    other = o.with_classes(("c", "x", "a"))
    assert other.classes == ("c", "x", "a", "b", "d")
    assert value("f1", other) == pytest.approx(value("f1", o), abs=1e-12)
    assert value("auroc", other) == pytest.approx(value("auroc", o), abs=1e-12)
    np.testing.assert_array_equal(o.take(np.array([3, 1])).truth, o.truth[[3, 1]])
