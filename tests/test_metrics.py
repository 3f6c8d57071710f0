"""Every metric against scikit-learn, a textbook value, or a few lines of numpy."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from slicedb import metrics as m
from slicedb import stats
from slicedb.errors import CheckError
from slicedb.metrics import Estimate, Membership, Outcomes, computing, states
from slicedb.metrics.ranked import auroc, average_precision, rank_area
from slicedb.metrics.regression import PredictedNumbers


def draw(n: int, c: int, seed: int, skill: float = 2.0, kinds: int | None = None) -> Outcomes:
    """Return n random outcomes of c classes; labels are of the first `kinds` classes alone."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, kinds or c, n)
    logits = rng.normal(size=(n, c))
    logits[np.arange(n), label] += skill
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    names = tuple(f"class{i}" for i in range(c))
    return Outcomes(names, label, p.argmax(axis=1), p.max(axis=1), p)


CASES = {
    "random": draw(300, 5, 0),
    "two classes": draw(80, 2, 1),
    "one class": draw(60, 4, 2, kinds=1),
    "all wrong": draw(50, 3, 3, skill=-50.0),
    "all right": draw(50, 3, 4, skill=50.0),
    "one sample": draw(1, 3, 5),
    "class never seen": draw(200, 6, 6, kinds=4),
}


def value(name: str, outcomes: Outcomes, of: int | None = None) -> float:
    metric = m.find(name)
    if of is not None:
        metric = m.for_class(metric, of)
    members = Membership([np.arange(outcomes.n)], outcomes.n)
    if metric.state.kind == "ranked":
        return float(m.compute_ranked(metric, outcomes, members).value[0])
    return float(m.compute(metric, m.update(metric, outcomes, members)).value[0])


def prf(part: str, average: str) -> Callable[[Outcomes], float]:
    score = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}[part]
    # a class without a ratio counts as 0 as scikit-learn has it
    empty = np.nan if part == "f1" else 0
    return lambda o: score(o.label, o.prediction, average=average, zero_division=empty)


def one_hot(o: Outcomes) -> np.ndarray:
    return np.eye(len(o.classes))[o.label]


def ece(o: Outcomes) -> float:
    total, edges = 0.0, np.linspace(0, 1, 16)
    for low, high in itertools.pairwise(edges):
        inside = (o.confidence > low) & (o.confidence <= high)  # type: ignore[operator]
        if inside.any():
            gap = o.correct[inside].mean() - o.confidence[inside].mean()  # type: ignore[index]
            total += inside.mean() * abs(gap)
    return total


REFERENCES: dict[str, Callable[[Outcomes], float]] = {
    "accuracy": lambda o: sk.accuracy_score(o.label, o.prediction),
    "balanced_accuracy": lambda o: np.mean(
        [np.mean(o.prediction[o.label == c] == c) for c in np.unique(o.label)]
    ),
    **{
        f"{part}{suffix}": prf(part, average)
        for part in ("precision", "recall", "f1")
        for suffix, average in (("", "macro"), ("_micro", "micro"), ("_weighted", "weighted"))
    },
    "log_loss": lambda o: sk.log_loss(o.label, o.probabilities, labels=range(len(o.classes))),
    "brier": lambda o: np.mean(((o.probabilities - one_hot(o)) ** 2).sum(axis=1)),
    "ece": ece,
    "top_1": lambda o: sk.accuracy_score(o.label, o.prediction),
    "top_2": lambda o: np.mean(
        [y in np.argsort(-p)[:2] for y, p in zip(o.label, o.probabilities)]  # type: ignore[arg-type]
    ),
    "count": lambda o: o.n,
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.filterwarnings("ignore")
def test_metric_equals_its_reference(name: str, case: str) -> None:
    outcomes = CASES[case]
    expected = REFERENCES[name](outcomes)
    assert value(name, outcomes) == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_macro_averages_count_the_same_classes_as_scikit_learn() -> None:
    o = Outcomes.of(["a", "a", "a", "b"], ["a", "a", "c", "a"], classes=["a", "b", "c", "d"])
    found = [value(name, o) for name in ("precision", "recall", "f1", "balanced_accuracy")]
    assert found == pytest.approx([2 / 9, 2 / 9, 2 / 9, 1 / 3])  # of a, b and c; of a and b
    expected = sk.precision_recall_fscore_support(
        o.label, o.prediction, average="macro", zero_division=0
    )
    assert found[:3] == pytest.approx(expected[:3])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("part", ["precision", "recall", "f1"])
@pytest.mark.filterwarnings("ignore")
def test_per_class_equals_scikit_learn(part: str, case: str) -> None:
    o = CASES[case]
    score = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}[part]
    codes = list(range(len(o.classes)))
    expected = score(o.label, o.prediction, average=None, labels=codes, zero_division=np.nan)
    found = [value(part, o, c) for c in codes]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("name", "score"),
    [("auroc", sk.roc_auc_score), ("average_precision", sk.average_precision_score)],
)
def test_areas_equal_scikit_learn(name: str, score: Any, case: str) -> None:
    o = CASES[case]
    defined = []
    for c in range(len(o.classes)):
        positive = o.label == c
        found = value(name, o, c)
        if positive.any() and (name == "average_precision" or not positive.all()):
            expected = score(positive, o.scores(c))
            assert found == pytest.approx(expected, abs=1e-9)
            defined.append(expected)
        else:
            assert np.isnan(found)
    mean = np.mean(defined) if defined else np.nan
    assert value(name, o) == pytest.approx(mean, abs=1e-9, nan_ok=True)


def test_areas_with_tied_scores_equal_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    score, positive = rng.integers(0, 6, 200) / 5, rng.random(200) < 0.3
    assert auroc(score, positive).value == pytest.approx(  # type: ignore[union-attr]
        sk.roc_auc_score(positive, score), abs=1e-9
    )
    assert average_precision(score, positive).value == pytest.approx(  # type: ignore[union-attr]
        sk.average_precision_score(positive, score), abs=1e-9
    )


def test_auroc_influence_is_delongs_variance() -> None:
    rng = np.random.default_rng(1)
    score, positive = rng.normal(size=60), rng.random(60) < 0.4
    x, y = score[positive], score[~positive]
    wins = (x[:, None] > y).astype(float)
    expected = wins.mean(1).var(ddof=1) / len(x) + wins.mean(0).var(ddof=1) / len(y)
    curve = auroc(score, positive)
    assert curve is not None and (curve.influence**2).sum() == pytest.approx(expected, abs=1e-12)


def test_average_precision_influence_is_its_derivative_by_the_weight_of_a_sample() -> None:
    rng = np.random.default_rng(2)
    score, positive = rng.integers(0, 8, 40) / 7, rng.random(40) < 0.4
    curve = average_precision(score, positive)
    assert curve is not None
    for i in (0, 7, 21):
        up, down = (np.ones(40) + sign * 1e-6 * (np.arange(40) == i) for sign in (1, -1))
        slope = (
            sk.average_precision_score(positive, score, sample_weight=up)
            - sk.average_precision_score(positive, score, sample_weight=down)
        ) / 2e-6
        assert curve.influence[i] / np.sqrt(40 / 39) == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("name", ["auroc", "average_precision"])
def test_areas_of_all_classes_are_those_of_each(name: str) -> None:
    o = CASES["class never seen"]
    whole = rank_area(name, o)
    each = [rank_area(name, o, c) for c in range(4)]
    assert whole is not None
    assert whole.value == pytest.approx(np.mean([c.value for c in each if c is not None]))
    mean = np.mean([c.influence for c in each if c is not None], axis=0)
    np.testing.assert_allclose(whole.influence, mean, atol=1e-12)


def test_the_interval_of_auroc_is_delongs_on_the_scale_of_the_logit() -> None:
    o = CASES["two classes"]
    metric, members = m.for_class(m.find("auroc"), 1), Membership([np.arange(o.n)], o.n)
    estimate = m.compute_ranked(metric, o, members)
    x, y = o.scores(1)[o.label == 1], o.scores(1)[o.label == 0]
    wins = (x[:, None] > y).astype(float)
    error = np.sqrt(wins.mean(1).var(ddof=1) / len(x) + wins.mean(0).var(ddof=1) / len(y))
    a = wins.mean()
    ends = np.log(a / (1 - a)) + np.array([-1, 1]) * 1.959964 * error / (a * (1 - a))
    expected = 1 / (1 + np.exp(-ends))
    np.testing.assert_allclose(np.ravel(m.interval(metric, estimate)), expected, atol=1e-6)
    assert m.p_value(metric, estimate, expected[1], "less")[0] == pytest.approx(0.025, abs=1e-6)


def test_macro_precision_counts_a_class_that_is_never_predicted_as_zero() -> None:
    o = Outcomes.of(list("aabbcc"), list("aabbab"))  # c is never predicted
    assert value("precision", o) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert value("precision_weighted", o) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert np.isnan(value("precision", o, of=2))
    metric, members = m.find("precision"), Membership([np.arange(6)], 6)
    high = m.interval(metric, m.compute(metric, m.update(metric, o, members)), sides=1).high
    assert high[0] == pytest.approx(0.7507, abs=1e-4)  # as if c had been predicted once, wrongly


def test_ties_count_by_their_share_in_top_k() -> None:
    labels = [f"class{i}" for i in range(10)]
    same = Outcomes.of(labels, ["class0"] * 10, np.full((10, 10), 0.1), labels)
    assert (value("top_1", same), value("top_5", same)) == pytest.approx((0.1, 0.5))
    two = Outcomes.of(["a", "b", "c"], ["a"] * 3, [[0.5, 0.25, 0.25]] * 3, ["a", "b", "c"])
    assert value("top_2", two) == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_the_upper_bound_of_f1_starts_above_its_bias() -> None:
    o = CASES["random"]
    metric, members = m.find("f1"), Membership([np.arange(o.n)], o.n)
    estimate = m.compute(metric, m.update(metric, o, members))
    f1 = sk.f1_score(o.label, o.prediction, average=None)
    both = np.bincount(o.label, minlength=5) + np.bincount(o.prediction, minlength=5)
    assert estimate.roof is not None
    assert estimate.roof[0] == pytest.approx(np.mean(f1 + f1 * (1 - f1) / both))
    k, n = estimate.roof * estimate.size, estimate.size
    expected = stats.clopper_pearson(k, n, sides=1).high
    got = m.interval(metric, estimate, sides=1, guarantee=True).high
    assert got == pytest.approx(expected)


# --- undefined ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in (*m.names("classification"), "top_2") if n != "count"])
def test_an_empty_slice_is_nan_not_zero(name: str) -> None:
    outcomes = CASES["random"]
    metric, members = m.find(name), Membership([np.empty(0, np.int64)], outcomes.n)
    if metric.state.kind == "ranked":
        found = m.compute_ranked(metric, outcomes, members)
    else:
        found = m.compute(metric, m.update(metric, outcomes, members))
    assert np.isnan(found.value).all() and metric.undefined
    assert np.isnan(m.interval(metric, found)).all()
    assert np.isnan(m.p_value(metric, found, 0.5, "less")).all()


def test_a_label_the_model_does_not_know_is_wrong_but_counted() -> None:
    o = Outcomes.of(["a", "new"], ["a", "a"], [[0.9, 0.1], [0.9, 0.1]], classes=["a", "b"])
    assert o.classes == ("a", "b", "new") and value("accuracy", o) == 0.5
    assert value("top_2", o) == 0.5
    assert value("log_loss", o) == pytest.approx((-np.log(0.9) - np.log(2.0**-52)) / 2)
    assert value("brier", o) == pytest.approx((0.02 + 0.82 + 1.0) / 2)


def test_unknown_metrics_and_classless_ones() -> None:
    with pytest.raises(CheckError, match="did you mean 'accuracy'"):
        m.find("acuracy")
    with pytest.raises(CheckError, match="not defined for one class"):
        m.for_class(m.find("brier"), 0)
    assert m.find("top_5_accuracy").name == "top_5" and m.find("roc_auc").name == "auroc"


# --- sums -----------------------------------------------------------------------------------------

NAMES = [n for n in m.names("classification") if m.find(n).state.kind != "ranked"] + ["top_2"]


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(0, 60))
def test_merged_updates_equal_one_update(name: str, seed: int, cut: int) -> None:
    whole = draw(60, 3, seed)
    metric = m.find(name)

    def sums(rows: np.ndarray) -> np.ndarray:
        part = whole.take(rows)
        return m.update(metric, part, Membership([np.arange(part.n)], part.n))

    every = sums(np.arange(60))
    np.testing.assert_allclose(sums(np.arange(cut)) + sums(np.arange(cut, 60)), every, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_shards_of_rows_give_the_sums_of_all_rows(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, metric, rng = draw(60, 3, 5), m.find(name), np.random.default_rng(0)
    slices = [np.arange(60), np.empty(0, np.int64), np.array([7, 58]), rng.permutation(60)[:30]]
    every = m.update(metric, whole, Membership(slices, 60))
    monkeypatch.setattr(computing, "_SHARD", 7)
    np.testing.assert_allclose(m.update(metric, whole, Membership(slices, 60)), every, atol=1e-9)


def test_rows_between_two_are_numbered_from_the_first() -> None:
    members = Membership([np.array([1, 4, 5, 9]), np.array([5, 9, 4]), np.empty(0, np.int64)], 10)
    part = members.between(4, 9)
    assert [rows.tolist() for rows in part.positions] == [[0, 1], [1, 0], []]
    assert part.n == 5
    kept = members.within(np.array([4, 9]))
    assert [rows.tolist() for rows in kept.positions] == [[0, 1], [1, 0], []]
    assert kept.n == 2


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_products_over_slices_equal_a_loop(share: float) -> None:
    rng = np.random.default_rng(0)
    n = 500
    positions = [np.flatnonzero(rng.random(n) < share) for _ in range(40)] + [np.empty(0, np.int64)]
    members = Membership(positions, n)
    x, codes = rng.normal(size=(n, 3)), rng.integers(0, 7, n)
    np.testing.assert_allclose(members.sum(x), [x[p].sum(axis=0) for p in positions], atol=1e-9)
    expected = [np.bincount(codes[p], minlength=7) for p in positions]
    np.testing.assert_array_equal(members.count(codes, 7), expected)
    np.testing.assert_array_equal(members.matrix.sum(axis=1).ravel(), [members.sizes])
    pieces = [part.count(codes, 7) for _, part in members.blocks(4_000_000)]
    np.testing.assert_array_equal(np.concatenate(pieces), expected)


# --- intervals ------------------------------------------------------------------------------------


def test_shares_have_wilson_intervals_and_clopper_pearson_guarantees() -> None:
    o = CASES["random"]
    metric = m.find("accuracy")
    found = m.compute(metric, m.update(metric, o, Membership([np.arange(o.n)], o.n)))
    k = int(o.correct.sum())
    np.testing.assert_allclose(m.interval(metric, found), stats.wilson([k], o.n), atol=1e-9)
    expected = stats.clopper_pearson([k], o.n, 0.9, sides=1)
    found_bounds = m.interval(metric, found, 0.9, sides=1, guarantee=True)
    np.testing.assert_allclose(found_bounds, expected, atol=1e-9)
    assert m.p_value(metric, found, 0.8, "less") == stats.proportion_p([k], o.n, 0.8, "less")


def test_means_have_halls_interval() -> None:
    o = CASES["random"]
    metric = m.find("log_loss")
    estimate = m.compute(metric, m.update(metric, o, Membership([np.arange(o.n)], o.n)))
    x = states.log_losses(o)
    error, skew = x.std(ddof=1) / np.sqrt(o.n), ((x - x.mean()) ** 3).mean() / x.std() ** 3
    expected = stats.skewed_interval(x.mean(), error, skew, o.n)
    np.testing.assert_allclose(np.ravel(m.interval(metric, estimate)), expected, atol=1e-9)


@pytest.mark.parametrize(("name", "high"), [("log_loss", 2.7905), ("brier", 0.1790)])
def test_losses_without_wrong_predictions_have_the_upper_bound_of_unseen_ones(
    name: str, high: float
) -> None:
    o = Outcomes.of(["a"] * 40, ["a"] * 40, [[0.9, 0.1]] * 40, ["a", "b"])
    metric = m.find(name)
    estimate = m.compute(metric, m.update(metric, o, Membership([np.arange(40)], 40)))
    low, above = m.interval(metric, estimate, sides=1)
    assert above[0] == pytest.approx(high, abs=1e-4) and low[0] <= estimate.value[0]
    assert m.p_value(metric, estimate, high, "less")[0] == pytest.approx(0.05, abs=1e-3)


@pytest.mark.parametrize(
    "name", ["balanced_accuracy", "precision", "precision_weighted", "f1", "f1_weighted"]
)
def test_the_delta_methods_variance_equals_numerical_derivatives(name: str) -> None:
    o = CASES["random"]
    metric = m.find(name)
    matrix = m.update(metric, o, Membership([np.arange(o.n)], o.n)).astype(float)
    base, step, variance = m.compute(metric, matrix), 1e-5, 0.0
    for cell in np.ndindex(5, 5):
        up, down = matrix.copy(), matrix.copy()
        up[(0, *cell)] += step
        down[(0, *cell)] -= step
        slope = (m.compute(metric, up).value - m.compute(metric, down).value)[0] / (2 * step)
        variance += matrix[(0, *cell)] * slope**2
    v = base.value[0]
    expected = v * (1 - v) / variance
    assert base.size[0] <= expected * (1 + 1e-5)
    assert base.size[0] >= (0.9 if "f1" not in name else 1 - 1e-5) * expected  # capped, if at all


@pytest.mark.parametrize("name", ["balanced_accuracy", "f1", "f1_weighted", "auroc", "ece"])
def test_intervals_cover_the_truth_about_as_often_as_they_say(name: str) -> None:
    metric = m.find(name)
    population = draw(200_000, 4, 99, skill=1.0)
    truth = value(name, population)
    rng = np.random.default_rng(3)
    positions = [rng.integers(0, population.n, 300) for _ in range(300)]
    if metric.state.kind == "ranked":
        found = m.compute_ranked(metric, population, Membership(positions, population.n))
    else:
        rows = np.concatenate(positions)
        part = population.take(rows)
        members = Membership([np.arange(300) + 300 * i for i in range(300)], part.n)
        found = m.compute(metric, m.update(metric, part, members))
    low, high = m.interval(metric, found)
    covered = float(((low <= truth) & (truth <= high)).mean())
    assert covered >= 0.91, covered


def test_exact_metrics_have_no_width() -> None:
    found = Estimate(np.array([3.0]), np.array([3.0]), np.array([np.nan]))
    assert m.interval(m.find("count"), found) == (3.0, 3.0)
    assert m.p_value(m.find("count"), found, 4, "less") == 0.0


def test_the_mean_of_perfect_areas_is_as_sure_as_its_smallest_classes_allow() -> None:
    label = np.repeat([0, 1, 2], [2, 3, 5])
    o = Outcomes(("a", "b", "c"), label, label, np.ones(10), np.eye(3)[label])
    found = m.compute_ranked(m.find("auroc"), o, Membership([np.arange(10)], 10))
    assert found.value[0] == 1.0
    assert found.size[0] == pytest.approx(9 / (1 / 2 + 1 / 3 + 1 / 5))


def test_a_calibrated_model_is_not_shown_to_be_off() -> None:
    rng = np.random.default_rng(8)
    p = rng.dirichlet(np.ones(3), 600)
    label = (rng.random((600, 1)) > p.cumsum(axis=1)).sum(axis=1)
    o = Outcomes(("a", "b", "c"), label, p.argmax(axis=1), p.max(axis=1), p)
    metric = m.find("ece")
    found = m.compute(metric, m.update(metric, o, Membership([np.arange(600)], 600)))
    assert found.value[0] / found.error[0] > 1.7  # chance alone makes gaps in the bins
    assert m.p_value(metric, found, 0.0, "greater")[0] > 0.05
    assert m.interval(metric, found, sides=1).low[0] == 0.0


def test_mistakes_of_a_class_are_those_it_is_taken_for_and_those_taken_for_it() -> None:
    o = Outcomes.of(["a", "b", "b", "a"], ["b", "a", "c", "a"])
    assert o.wrong().tolist() == [True, True, True, False]
    assert o.wrong(0).tolist() == [True, True, False, False]


@pytest.mark.parametrize("tied", [0.9, 1.0])
def test_a_model_that_is_equally_sure_of_all_can_be_shown_to_be_off(tied: float) -> None:
    n = 200
    half = np.arange(n) % 2 == 0
    label = (np.arange(n) % 10 < 6).astype(int)  # 60 % are of the class it always names
    o = Outcomes(("a", "b"), label, np.ones(n, int), np.full(n, tied), None, half)
    metric = m.find("ece")
    found = m.compute(metric, m.update(metric, o, Membership([np.arange(n)], n)))
    assert found.value[0] == pytest.approx(tied - 0.6)
    assert found.error[0] == pytest.approx(np.std(label == 1, ddof=1) / np.sqrt(n), rel=0.01)
    low, high = m.interval(metric, found, sides=1)
    assert tied - 0.7 < low[0] < found.value[0] < high[0] < tied - 0.5
    assert m.p_value(metric, found, 0.1, "greater")[0] < 0.001
    assert o.take(np.arange(50)).half is not None and o.with_classes(("b",)).half is half


def test_averages_are_no_surer_than_so_many_samples() -> None:
    label = np.arange(100) % 2
    for prediction in (label, 1 - label):
        o = Outcomes(("a", "b"), label, prediction)
        for name in ("f1", "f1_weighted", "balanced_accuracy", "precision"):
            metric = m.find(name)
            found = m.compute(metric, m.update(metric, o, Membership([np.arange(100)], 100)))
            assert found.value[0] == float(prediction is label)
            assert found.size[0] == pytest.approx(100)


# --- equal values, and roots ----------------------------------------------------------------------


def whole(outcomes: Any, name: str) -> tuple[m.Metric, Any]:
    """Return a metric and its estimate over all rows."""
    metric = m.suit(m.find(name), outcomes.task)
    rows = Membership([np.arange(outcomes.n)], outcomes.n)
    return metric, m.estimates(outcomes, rows, [metric])[metric.name]


def test_equal_values_say_nothing_of_their_spread() -> None:
    # ten residuals of 2: others have at most the chance 1 - 0.05^(1/10) = 0.2589
    same = PredictedNumbers(np.zeros(10), np.full(10, 2.0))
    metric, estimate = whole(same, "mae")
    low, high = m.interval(metric, estimate, sides=1)
    assert low[0] == pytest.approx(2 * 0.05**0.1) and np.isinf(high[0])
    assert m.p_value(metric, estimate, 100.0, "less")[0] == 1.0
    assert m.p_value(metric, estimate, 1.0, "greater")[0] == pytest.approx(0.5**10)
    # ten samples of which all are wrong in the same way; the Brier score ends at 2
    wrong = Outcomes.of(["a"] * 10, ["b"] * 10, [[0.2, 0.8]] * 10, ["a", "b"])
    metric, estimate = whole(wrong, "brier")
    low, high = m.interval(metric, estimate, sides=1)
    assert low[0] == pytest.approx(1.28 * 0.05**0.1)
    assert high[0] == pytest.approx(1.28 + 0.72 * (1 - 0.05**0.1))


def test_rmse_has_the_root_of_the_interval_of_the_mean_square() -> None:
    rng = np.random.default_rng(0)
    outcomes = PredictedNumbers(np.zeros(60), rng.normal(size=60) * rng.gamma(2, 1, 60))
    root, square = (whole(outcomes, name) for name in ("rmse", "mse"))
    assert np.allclose(m.interval(*root, sides=1), np.sqrt(m.interval(*square, sides=1)))
    assert m.p_value(*root, 2.0, "less") == pytest.approx(m.p_value(*square, 4.0, "less"))


def test_calibration_of_a_calibrated_model_fails_as_rarely_as_it_says() -> None:
    rng = np.random.default_rng(1)
    failed = 0
    for _ in range(400):
        confidence = rng.uniform(0.5, 1, 200)
        right = rng.random(200) < confidence
        label = np.where(right, 0, 1)
        outcomes = Outcomes(("a", "b"), label, np.zeros(200, np.int64), confidence)
        failed += m.p_value(*whole(outcomes, "ece"), 0.0, "greater")[0] <= 0.05
    assert failed / 400 <= 0.07  # 8.5 % without the covariance of the halves


def test_a_mean_that_few_samples_carry_has_a_wide_upper_bound() -> None:
    residuals = np.append(np.linspace(0.5, 1.5, 39), 40.0)
    metric, estimate = whole(PredictedNumbers(np.zeros(40), residuals), "mae")
    centred = residuals - residuals.mean()
    carriers = (centred**2).sum() ** 2 / (centred**4).sum()
    assert estimate.carriers[0] == pytest.approx(carriers) and carriers < 1.1
    high = m.interval(metric, estimate, sides=1)[1][0]
    # Student's bound of two values, at a quarter of 5 %
    assert high == pytest.approx(residuals.mean() + 25.4517 * estimate.error[0], rel=1e-4)
    assert m.p_value(metric, estimate, high, "less")[0] == pytest.approx(0.05, rel=1e-3)


def test_squares_and_averages_decide_from_these_sizes_on() -> None:
    sizes = {name: m.suit(m.find(name), "regression").minimum for name in ("mae", "mse", "rmse")}
    assert sizes == {"mae": 0, "mse": 50, "rmse": 50}
    assert m.suit(m.find("f1"), "multilabel").minimum == 50
