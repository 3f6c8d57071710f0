"""Costs: the matrix, every cut point, honest estimates, asking, the human baseline."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fakes_copies import LONG
from fakes_curate import add_model, ask, made_store
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_recall_curve

from slicedb.decide import (
    CostMatrix,
    best_coverage,
    best_threshold,
    cheapest,
    cost,
    cross_fit,
    crossfit,
    expected_cost,
    risk_coverage,
    sweep,
)
from slicedb.decide.crossfit import fold_of, mean_cost
from slicedb.decide.curve import readable
from slicedb.decide.rates import error_rates
from slicedb.errors import (
    BindError,
    CheckError,
    ClassesError,
    PredictionError,
    SliceError,
    UnknownModelError,
)
from slicedb.schema import keys_of
from slicedb.store import Store

# --- every cut point ------------------------------------------------------------------------------


def brute_force(score: np.ndarray, yes: np.ndarray, no: np.ndarray) -> float:
    """Return the least mean cost over all thresholds, each tried."""
    cuts = [np.inf, *np.unique(score)]
    return min(float(np.where(score >= t, yes, no).mean()) for t in cuts)


values = st.integers(0, 6)
samples = st.lists(st.tuples(values, values, values), min_size=1, max_size=25)


@settings(max_examples=300, deadline=None)
@given(samples)
def test_best_threshold_is_the_brute_force_optimum(rows: list[tuple[int, int, int]]) -> None:
    score, yes, no = (np.array(column, float) for column in zip(*rows))
    score = score / 7
    curve = sweep(score, yes, no)
    least = brute_force(score, yes, no)
    assert curve.cost[curve.best] == pytest.approx(least, abs=1e-12)
    used = readable(curve, curve.best)
    assert np.where(score >= used, yes, no).mean() == pytest.approx(least, abs=1e-12)
    assert (score.astype(np.float32) >= np.float32(used)).tolist() == (score >= used).tolist()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("decimals", [1, 2, 17])  # many ties, some, none
def test_best_threshold_is_exact_on_random_scores(seed: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 400))
    score = rng.random(n).round(decimals).astype(np.float32).astype(float)
    sick = rng.random(n) < score
    yes, no = ~sick * rng.gamma(1.0, 2.0, n), sick * rng.gamma(1.0, 5.0, n)
    curve = sweep(score, yes, no)
    for t, k, c in zip(curve.threshold, curve.n_yes, curve.cost):
        said = score >= t
        assert k == said.sum()
        assert c == pytest.approx(np.where(said, yes, no).mean(), abs=1e-12)
    found = best_threshold(score, yes, no)
    least = np.where(score >= found.exact, yes, no).mean()
    assert least == pytest.approx(brute_force(score, yes, no), abs=1e-12)
    assert found.cost == pytest.approx(np.where(score >= found.value, yes, no).mean(), abs=1e-12)
    assert found.low <= found.value <= found.high


def test_cut_points_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    score, sick = rng.random(300).round(2), rng.random(300) < 0.4
    _, recall, cuts = precision_recall_curve(sick, score)
    curve = sweep(score, np.zeros(300), sick.astype(float))  # misses only
    assert curve.threshold[1:].tolist() == cuts[::-1].tolist()
    assert 1 - curve.cost[1:] * 300 / sick.sum() == pytest.approx(recall[:-1][::-1])


@pytest.mark.parametrize(
    ("score", "sick", "cost", "value"),
    [
        ([0.5] * 4, [1, 1, 1, 0], 0.25, 0.0),  # all equal: all or none
        ([0.5] * 4, [1, 0, 0, 0], 0.25, np.inf),
        ([0.2, 0.4], [0, 0], 0.0, np.inf),  # one class only
        ([0.2, 0.4], [1, 1], 0.0, 0.0),
        ([0.7], [1], 0.0, 0.0),
    ],
)
def test_degenerate_scores(score: list[float], sick: list[int], cost: float, value: float) -> None:
    positive = np.array(sick, bool)
    found = best_threshold(score, ~positive * 1.0, positive * 1.0)
    assert (found.cost, found.value) == (cost, value)


def test_curve_tells_the_saving_against_deciding_nothing() -> None:
    curve = sweep([0.9, 0.8, 0.2], [0, 1, 1], [5, 0, 0])
    assert curve.saving.round(3).tolist() == [-1.0, 0.667, 0.333, 0.0]
    assert curve.to_arrow().column_names == [
        "threshold",
        "n_yes",
        "share_yes",
        "cost",
        "saving",
    ]
    assert str(curve) == "4 cut points of 3 samples; cheapest at 0.9: 0 per sample"


def test_threshold_is_a_short_number_inside_the_gap() -> None:
    assert readable(sweep([0.71234, 0.31], [0, 1], [1, 0]), 1) == 0.5
    close = np.float32(0.3), np.nextafter(np.float32(0.3), np.float32(0))
    assert readable(sweep(close, [0, 1], [1, 0]), 1) == 0.3  # between them, as float32 too
    tight = 0.3, np.nextafter(0.3, 0)
    assert readable(sweep(tight, [0, 1], [1, 0]), 1) == 0.3


def test_sweep_refuses_nothing_and_nan() -> None:
    with pytest.raises(SliceError, match="no samples"):
        sweep([], [], [])
    with pytest.raises(SliceError, match="1 score is NaN"):
        sweep([0.1, np.nan], [0, 0], [0, 0])
    with pytest.raises(SliceError, match="1 folds"):
        best_threshold([0.1], [0], [0], folds=1)


# --- held-out estimates ---------------------------------------------------------------------------


def test_each_sample_is_decided_without_itself() -> None:
    rng = np.random.default_rng(1)
    score = rng.random(60).round(1)
    sick = rng.random(60) < score
    yes, no = ~sick * 1.0, sick * 3.0
    found = cross_fit(score, yes, no, folds=5, repeats=1, seed=3)
    part = fold_of(60, 5, 3)
    assert np.bincount(part).tolist() == [12] * 5
    for fold in range(5):
        rest, own = part != fold, part == fold
        threshold = found.thresholds[fold]
        chosen = np.where(score >= threshold, yes, no)
        assert chosen[rest].mean() == pytest.approx(brute_force(score[rest], yes[rest], no[rest]))
        assert found.cost[own].tolist() == chosen[own].tolist()


def test_the_held_out_cost_of_noise_is_not_optimistic() -> None:
    rng = np.random.default_rng(2)
    flattering, honest = [], []
    for _ in range(40):
        sick = rng.random(80) < 0.5
        found = best_threshold(rng.random(80), ~sick * 1.0, sick * 1.0)
        flattering.append(found.cost)
        honest.append(found.cost_held_out)
    assert np.mean(flattering) < 0.46
    assert np.mean(honest) == pytest.approx(0.5, abs=0.035)


def test_expected_cost_of_bayes_decisions_is_the_bayes_cost() -> None:
    matrix = np.array([[0, 1, 4], [2, 0, 1], [9, 3, 0]], float)
    rng = np.random.default_rng(3)
    p = rng.dirichlet([1, 1, 1], 200_000)
    decision, expected = cheapest(p, matrix)
    tried = [p @ matrix[:, d] for d in range(3)]
    assert expected == pytest.approx(np.min(tried, axis=0))
    truth = (rng.random(200_000)[:, None] > p.cumsum(axis=1)).sum(axis=1)
    mean, low, high = expected_cost(truth, decision, matrix)
    assert mean == pytest.approx(expected.mean(), rel=0.01)
    assert low < expected.mean() < high


def test_expected_cost_is_the_confusion_matrix_times_the_costs() -> None:
    rng = np.random.default_rng(4)
    truth, said = rng.integers(0, 3, 500), rng.integers(0, 3, 500)
    matrix = rng.random((3, 3))
    mean, low, high = expected_cost(truth, said, matrix)
    assert mean == pytest.approx((confusion_matrix(truth, said) * matrix).sum() / 500)
    assert low < mean < high
    twice, _, _ = expected_cost(truth, said, matrix, weight=2.0)
    assert twice == pytest.approx(2 * mean)


def test_the_interval_of_a_cost_stays_inside_what_is_possible() -> None:
    assert expected_cost([1] * 9 + [0], [1] * 9 + [1], [[0, 1], [8, 0]])[1] == 0.0
    # ten samples, all wrong: the next may be right; 1 - 0.025^(1/10) = 0.3085
    mean, low, high = expected_cost([1] * 10, [0] * 10, [[0, 1], [8, 0]])
    assert (mean, low, high) == (8.0, pytest.approx(8 * (1 - 0.3085), abs=1e-3), 8.0)
    # and ten that are all right
    mean, low, high = expected_cost([1] * 10, [1] * 10, [[0, 1], [8, 0]])
    assert (mean, low, high) == (0.0, 0.0, pytest.approx(8 * 0.3085, abs=1e-3))


def test_mean_cost_is_students_interval() -> None:
    from scipy.stats import t

    x = np.array([0.0, 1.0, 4.0, 2.0])
    low, high = t.interval(0.9, 3, x.mean(), x.std(ddof=1) / 2)
    assert mean_cost(x, 0.9) == pytest.approx((1.75, low, high))
    assert np.isnan(mean_cost(x[:0])).all()
    assert np.isnan(mean_cost(x[:1])).tolist() == [False, True, True]


def simulate(n: int, fp: float, fn: float, runs: int, seed: int) -> tuple[float, float, float]:
    """Return mean excess over the Bayes cost, coverage of the cost and of the threshold.

    Calibrated scores, uniform in [0, 1]: the cost of a threshold t is known exactly,
    fp (1 - t)^2 / 2 + fn t^2 / 2.
    """
    rng = np.random.default_rng(seed)
    best = fp / (fp + fn)

    def true_cost(t: float) -> float:
        t = min(max(t, 0.0), 1.0)
        return fp * (1 - t) ** 2 / 2 + fn * t**2 / 2

    excess, inside, found_it = [], 0, 0
    for _ in range(runs):
        p = rng.random(n)
        sick = rng.random(n) < p
        found = best_threshold(p, ~sick * fp, sick * fn)
        real = true_cost(found.value)
        excess.append(real / true_cost(best) - 1)
        inside += found.cost_low <= real <= found.cost_high
        found_it += found.low <= best <= found.high
    return float(np.mean(excess)), inside / runs, found_it / runs


def test_threshold_costs_within_1_percent_of_bayes_at_5000() -> None:
    excess, inside, found_it = simulate(5000, 1.0, 5.0, 60, seed=5)
    assert 0 <= excess < 0.01
    assert inside >= 0.88 and found_it >= 0.88  # the slow test holds the level


def test_the_smoothed_threshold_costs_less_than_the_exact_optimum() -> None:
    """Uniform calibrated scores: the cost of t is (1 - t)^2 / 2 + 5 t^2 / 2, least at 1 / 6."""
    rng, costs, above = np.random.default_rng(8), [], []
    for _ in range(60):
        p = rng.random(1000)
        sick = rng.random(1000) < p
        found = best_threshold(p, ~sick * 1.0, sick * 5.0)
        costs.append([(1 - t) ** 2 / 2 + 5 * t**2 / 2 for t in (found.exact, found.value)])
        above.append([found.excess_low, found.excess, found.excess_high])
    excess = np.array(costs) - 5 / 12
    assert excess[:, 1].mean() < 0.5 * excess[:, 0].mean()
    assert excess[:, 1].mean() < 0.008 * 5 / 12
    low, mean, high = np.array(above).T
    assert ((low <= excess[:, 1]) & (excess[:, 1] <= high)).mean() >= 0.88
    assert 0.5 < mean.mean() / excess[:, 1].mean() < 2


def test_too_few_samples_are_not_smoothed() -> None:
    few = best_threshold([0.1, 0.2, 0.3], [1, 0, 1], [0, 1, 0])
    assert not few.is_smoothed and np.isnan(few.excess)
    assert "above the best" not in str(few)


def test_what_a_smooth_curve_cannot_say_is_left_to_the_exact_optimum() -> None:
    """Savings that jump: a yes costs 20 just below the cut, and saves as much above it."""
    rng = np.random.default_rng(3)
    score = rng.random(4000)
    good = np.where(score > 0.5, rng.random(4000) < 0.9, rng.random(4000) < 0.1)
    spike = (score > 0.45) & (score <= 0.5)
    yes, no = ~good * np.where(spike, 60.0, 1.0), good * 1.0
    found = best_threshold(score, yes, no)
    assert found.value == pytest.approx(0.5, abs=0.01)


def test_error_rates_are_those_of_held_out_decisions() -> None:
    from scipy.stats import binomtest

    positive = np.arange(40) < 10
    yes = np.where(positive, np.arange(40) < 7, np.arange(40) < 13).astype(float)
    found = error_rates(positive, yes)
    assert (found.false_positive, found.n_negative) == (0.1, 30)
    assert (found.false_negative, found.n_positive) == (0.3, 10)
    wanted = binomtest(3, 30).proportion_ci()
    assert (found.false_positive_low, found.false_positive_high) == pytest.approx(wanted)
    none = error_rates(np.ones(3, bool), np.ones(3))
    assert np.isnan(none.false_positive) and none.n_negative == 0
    assert str(none).startswith("false negatives 0.0%")


def test_the_error_of_the_choice_follows_from_brownian_motion() -> None:
    """W(t) - t^2 on a grid: the mean of W at its argmax is 4 E[Z^2], E|Z| and E[Z^2] as stated."""
    rng, dt, half = np.random.default_rng(9), 0.004, 625
    t = np.arange(-half, half + 1) * dt
    steps = rng.normal(0, dt**0.5, (6000, 2 * half))
    right = np.cumsum(steps[:, :half], axis=1)
    left = np.cumsum(steps[:, half:], axis=1)[:, ::-1]
    w = np.hstack([left, np.zeros((6000, 1)), right])
    at = np.argmax(w - t**2, axis=1)
    distance, square = np.abs(t[at]).mean(), (t[at] ** 2).mean()
    assert distance == pytest.approx(crossfit._MEAN_DISTANCE, rel=0.05)
    assert square == pytest.approx(crossfit._MEAN_SQUARE, rel=0.08)
    assert w[np.arange(6000), at].mean() == pytest.approx(4 * crossfit._MEAN_SQUARE, rel=0.06)
    assert pytest.approx(0.609, abs=0.001) == crossfit._CHOICE


@pytest.mark.slow
@pytest.mark.parametrize(("fp", "fn"), [(1.0, 1.0), (1.0, 5.0)])
def test_the_interval_of_the_cost_covers_92_to_97_percent(fp: float, fn: float) -> None:
    excess, inside, found_it = simulate(5000, fp, fn, 1000 if LONG else 400, seed=6)
    assert 0 <= excess < 0.01
    assert 0.92 <= inside <= 0.97
    assert 0.90 <= found_it <= 0.98


# --- asking ---------------------------------------------------------------------------------------


def test_risk_coverage_equals_a_plain_loop() -> None:
    rng = np.random.default_rng(7)
    doubt, loss = rng.random(50).round(1), rng.random(50)
    found = risk_coverage(doubt, loss)
    for share, risk, most in zip(found.coverage, found.risk, found.doubt):
        answered = doubt <= most
        assert share == answered.mean()
        assert risk == pytest.approx(loss[answered].mean())
    assert found.coverage[-1] == 1.0 and found.risk[-1] == pytest.approx(loss.mean())
    assert found.at_risk(1.0) == 1.0 and found.at_risk(-1.0) == 0.0
    assert str(found).startswith("risk by coverage")
    assert len(found.to_arrow()) == len(found.risk)


def test_cheapest_share_to_ask_is_chows_rule() -> None:
    rng = np.random.default_rng(8)
    doubt = rng.random(20_000) / 2  # the chance of a mistake, calibrated
    wrong = (rng.random(20_000) < doubt) * 1.0
    solved = best_coverage(doubt, wrong, 0.2)
    found, curve = solved.threshold, solved.curve
    assert -found.value == pytest.approx(0.2, abs=0.05)
    assert -found.high <= 0.2 <= -found.low
    tried = [np.where(doubt <= t, wrong, 0.2).mean() for t in [-1.0, *np.unique(doubt)[::200]]]
    assert curve.cost.min() <= min(tried) + 1e-12
    with pytest.raises(SliceError, match="cost of asking is negative"):
        best_coverage(doubt, wrong, -1.0)


# --- the matrix -----------------------------------------------------------------------------------

NAMES = ("ham", "spam")
NESTED = {"spam": {"ham": 1, "spam": 0}, "ham": {"spam": 9, "ham": 0}}


def test_matrix_from_every_form_is_the_same(tmp_path: Path) -> None:
    rows = [[0, 9], [1, 0]]
    first = CostMatrix.of(rows, NAMES)
    (tmp_path / "cost.csv").write_text("truth,spam,ham\nspam,0,1\nham,9,0\n")
    forms: list[Any] = [NESTED, first, first.to_arrow(), tmp_path / "cost.csv", np.array(rows)]
    for form in forms:
        assert CostMatrix.of(form, NAMES).values.tolist() == rows
    assert CostMatrix.of(NESTED, ("spam", "ham")).values.tolist() == [[0, 1], [9, 0]]
    assert CostMatrix.of(None, NAMES).is_zero_one and not first.is_zero_one


@pytest.mark.parametrize(
    ("costs", "error", "message"),
    [
        ([[0, 1]], ClassesError, "is 1 x 2; there are 2 classes. Hint: give 2 x 2 numbers"),
        ([0, 1], ClassesError, "is 2; there are 2 classes"),
        ([[0, 1], [1]], ClassesError, "not made of rows of numbers"),
        ([[0, "x"], [1, 0]], ClassesError, "not made of rows of numbers"),
        ([[0, -1], [1, 0]], CheckError, "cost of 'spam' where 'ham' is true is -1"),
        ([[0, 1], [np.nan, 0]], CheckError, "cost of 'ham' where 'spam' is true is nan"),
        ([[0, np.inf], [1, 0]], CheckError, "is inf"),
        ({"ham": {"ham": 0, "spam": 1}}, ClassesError, "no row for the class 'spam'"),
        ({"ham": {"ham": 0}, "spam": {}}, ClassesError, "no column, in the row 'ham'"),
        ({"Ham": {}, "spam": {}}, ClassesError, "did you mean 'Ham'"),
        ("missing.csv", CheckError, "'missing.csv' cannot be read"),
    ],
)
def test_a_wrong_matrix_is_a_clear_error(costs: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message.replace("?", "[?]")):
        CostMatrix.of(costs, NAMES)


# --- over a database ------------------------------------------------------------------------------

CLASSES = ("Bread", "Dessert", "Rice")
COSTS = [[0.0, 1.0, 2.0], [6.0, 0.0, 6.0], [2.0, 1.0, 0.0]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    rng = np.random.default_rng(9)
    n = 1200
    z = 1.5 * rng.normal(size=(n, 3))
    true = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    p = np.exp(z)
    p /= p.sum(axis=1, keepdims=True)
    labels: list[str | None] = [CLASSES[i] for i in true]
    labels[0] = None
    nurse = [CLASSES[i] for i in np.where(rng.random(n) < 0.9, true, (true + 1) % 3)]
    price = rng.gamma(2.0, 3.0, n)
    broken = price.copy()
    broken[5] = np.nan
    made = made_store(
        tmp_path_factory.mktemp("cost"),
        labels,
        p,
        CLASSES,
        nurse=nurse,
        price=price,
        broken=broken,
        debt=-price,
        half=[*nurse[: n // 2], *[None] * (n - n // 2)],
    )
    ids = [f"{i:04}" for i in range(n)]
    sharp = np.exp(3 * z)
    add_model(made, "sharp", ids, labels, sharp / sharp.sum(axis=1, keepdims=True), CLASSES)
    said = np.eye(3)[[CLASSES.index(a) for a in nurse]]
    add_model(made, "ward", ids, labels, said, CLASSES)
    return made


def plain(store: Store) -> dict[str, np.ndarray]:
    rows = store.table("samples", ["label", "nurse", "price"])
    said = store.table("predictions__food_v2", ["prediction", "probabilities"])
    p = np.array(said["probabilities"].to_pylist(), float)[1:]
    code = {name: i for i, name in enumerate(CLASSES)}
    return {
        "truth": np.array([code[a] for a in rows["label"].to_pylist()[1:]]),
        "nurse": np.array([code[a] for a in rows["nurse"].to_pylist()[1:]]),
        "price": rows["price"].to_numpy()[1:],
        "said": np.array([code[a] for a in said["prediction"].to_pylist()[1:]]),
        "p": p / p.sum(axis=1, keepdims=True),
    }


def test_policies_of_many_classes(store: Store) -> None:
    found = cost(store, "food_v2", matrix=COSTS, human="nurse")
    x, m = plain(store), np.array(COSTS)
    assert [row.policy for row in found.rows] == [
        "prediction",
        "always Dessert",
        "cheapest",
        "human",
    ]
    assert found.left_out == 1
    said, human = m[x["truth"], x["said"]], m[x["truth"], x["nurse"]]
    assert found.row("prediction").cost == pytest.approx(said.mean())
    assert found.row("human").cost == pytest.approx(human.mean())
    assert found.row("human").saving == pytest.approx((said - human).mean())
    low, high = mean_cost(said - human)[1:]
    assert (found.row("human").saving_low, found.row("human").saving_high) == (low, high)
    best = m[x["truth"], (x["p"] @ m).argmin(axis=1)]
    assert found.row("cheapest").cost == pytest.approx(best.mean())
    assert found.row("cheapest").total == pytest.approx(best.sum())
    assert found.row("cheapest").saving_low > 0
    assert found.coverage.risk[-1] == pytest.approx(best.mean())
    with pytest.raises(KeyError):
        found.row("threshold")


def test_a_column_multiplies_the_costs_of_its_sample(store: Store) -> None:
    x = plain(store)
    found = cost(store, "food_v2", column="price")
    wrong = (x["truth"] != x["said"]) * x["price"]
    assert found.row("prediction").cost == pytest.approx(wrong.mean())


def test_calibration_pays_for_a_model_that_is_too_sure(store: Store) -> None:
    found = cost(store, "sharp", matrix=COSTS, calibrate=True)
    assert found.row("cheapest, calibrated").cost < found.row("cheapest").cost
    same = cost(store, "food_v2", matrix=COSTS).row("cheapest").cost
    assert found.row("cheapest, calibrated").cost == pytest.approx(same, rel=0.02)


def test_asking_is_held_out_and_no_dearer_than_either_way_alone(store: Store) -> None:
    found = cost(store, "food_v2", matrix=COSTS, ask=0.4)
    both = found.row("cheapest, or ask")
    assert 0.1 < both.asked < 0.9
    assert both.cost < found.row("cheapest").cost and both.cost < found.row("ask always").cost
    assert found.answer_up_to is not None
    assert -found.answer_up_to.high <= 0.4 <= -found.answer_up_to.low
    erring = cost(store, "food_v2", matrix=COSTS, ask=0.4, human="nurse")
    human = erring.row("human").cost
    assert erring.row("ask always").cost == pytest.approx(0.4 + human)


def test_a_person_may_be_a_column_a_logged_model_or_a_number(store: Store) -> None:
    a, b = (cost(store, "food_v2", human=who).row("human") for who in ("nurse", "ward"))
    assert a == b
    number = cost(store, "food_v2", human=0.05).row("human")
    assert (number.cost, number.low, number.high) == pytest.approx((0.05, 0.05, 0.05))


def test_threshold_for_one_class_is_a_query(store: Store) -> None:
    found = cost(store, "food_v2", positive="Dessert", false_negative=5, false_positive="price")
    x = plain(store)
    assert found.threshold is not None and found.curve is not None
    assert found.query.startswith("food_v2.probabilities['Dessert'] >= 0.")
    yes = set(ask(store, found.query + " AND label IS NOT NULL").ids())
    keys = store.table("samples", ["id", "label"]).to_pylist()
    said = np.array([row["id"] in yes for row in keys if row["label"] is not None])
    sick = x["truth"] == 1
    by_hand = np.where(said, ~sick * x["price"], sick * 5.0)
    assert found.threshold.cost == pytest.approx(by_hand.mean())
    score = np.array(
        store.table("predictions__food_v2", ["probabilities"])["probabilities"].to_pylist()
    )[1:, 1]
    least = brute_force(score, ~sick * x["price"], sick * 5.0)
    assert found.curve.cost.min() == pytest.approx(least) and found.threshold.cost >= least
    row = found.row("threshold")
    assert row.cost == found.threshold.cost_held_out >= least
    assert (row.low, row.high) == (found.threshold.cost_low, found.threshold.cost_high)
    assert found.matrix is None


def test_never_yes_is_a_query_too(store: Store) -> None:
    found = cost(store, "food_v2", positive="Rice", false_positive=1e9, false_negative=0)
    assert found.query == "false" and ask(store, found.query).count() == 0


def test_slices_are_judged_by_the_rules_of_all(store: Store) -> None:
    halves = {"a": ask(store, "price < 5").keys(), "b": ask(store, "price >= 5").keys()}
    slices = {**halves, "none": halves["a"][:0]}
    found = cost(store, "food_v2", positive="Bread", column="price", slices=slices)
    for policy in ("prediction", "threshold", "cheapest"):
        parts = [found.row(policy, name) for name in halves]
        assert sum(r.n for r in parts) == found.row(policy).n == 1199
        assert sum(r.total for r in parts) == pytest.approx(found.row(policy).total)
    assert np.isnan(found.row("prediction", "none").cost)
    table = found.to_arrow()
    assert table.column_names == [
        "slice",
        "policy",
        "cost",
        "low",
        "high",
        "saving",
        "saving_low",
        "saving_high",
        "asked",
        "n",
        "total",
    ]
    assert table["slice"].unique().to_pylist() == ["all", "a", "b", "none"]
    text = str(found)
    assert "cheapest threshold 0." in text and f"query: {found.query}" in text


def test_same_seed_same_report(store: Store) -> None:
    a, b, c = (cost(store, "food_v2", positive="Rice", ask=0.2, seed=s) for s in (1, 1, 2))
    assert a.rows == b.rows != c.rows


def test_labels_the_model_lacks_need_a_row(tmp_path: Path) -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    store = made_store(tmp_path, ["a", "b", "tiramisu"], p, ["a", "b"])
    assert cost(store, "food_v2").row("prediction").cost == pytest.approx(1 / 3)
    with pytest.raises(ClassesError, match=r"is 2 x 2; there are 3 classes.*a, b, tiramisu"):
        cost(store, "food_v2", matrix=[[0, 1], [1, 0]])
    found = cost(store, "food_v2", positive="b", calibrate=True)
    assert found.row("prediction").cost == 0.0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"matrix": [[0, 1], [1, 0]]}, ClassesError, "is 2 x 2; there are 3 classes"),
        ({"positive": "Desert"}, ClassesError, "no class 'Desert'. Hint: did you mean 'Dessert'"),
        ({"positive": "Rice", "matrix": COSTS}, CheckError, "exclude each other"),
        ({"column": "prize"}, BindError, "No column 'prize' in samples. Hint: did you mean"),
        ({"column": "debt"}, CheckError, r"The cost in 'debt' of '0001' is -.* \(1,199 such"),
        ({"column": "broken"}, CheckError, "in 'broken' of '0005' is nan"),
        ({"column": "nurse"}, CheckError, "'nurse' is string, not a number"),
        ({"ask": -1.0}, CheckError, "The cost is -1"),
        ({"human": "half"}, SliceError, "no answer for 600 of 1,199 samples"),
        ({"human": "doctor"}, UnknownModelError, "No predictions of a model 'doctor'"),
        ({"human": "id"}, ClassesError, "'0001' in the human baseline 'id' is no class"),
    ],
)
def test_bad_input_is_a_clear_error(
    store: Store, options: dict[str, Any], error: type, message: str
) -> None:
    with pytest.raises(error, match=message.replace("?", "[?]")):
        cost(store, "food_v2", **options)


def test_missing_labels_and_predictions_are_clear_errors(store: Store) -> None:
    with pytest.raises(SliceError, match="None of the 1 sample has a label"):
        cost(store, "food_v2", keys_of(["0000"]))
    with pytest.raises(UnknownModelError, match="did you mean 'food_v2'"):
        cost(store, "food_v3")
    store.create("predictions__boxes", pa.schema([pa.field("id", pa.string()), ("key", "int64")]))
    with pytest.raises(PredictionError, match="'boxes' is not a classifier"):
        cost(store, "boxes")


def test_cost_is_the_least_over_all_rules_of_two_cuts() -> None:
    score = np.array([0.1, 0.4, 0.4, 0.8])
    for sick in itertools.product([False, True], repeat=4):
        s = np.array(sick)
        assert sweep(score, ~s * 1.0, s * 2.0).cost.min() == brute_force(score, ~s * 1.0, s * 2.0)
