"""Temperature scaling and calibration errors, against scipy and plain numpy."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from fakes_curate import made_store
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from slicedb.decide import Reliability, calibrate, ece, fit_temperature, reliability
from slicedb.decide.temperature import HOTTEST, held_out, log_probabilities, softmax
from slicedb.errors import ClassesError, PredictionError, SliceError
from slicedb.schema import keys_of
from slicedb.store import Store
from slicedb.tasks import TASKS


def planted(n: int, temperature: float, seed: int, c: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (n, c) that are `temperature` times too large, and labels (n,)."""
    rng = np.random.default_rng(seed)
    z = 1.6 * rng.normal(size=(n, c))
    z[np.arange(n), rng.integers(0, c, n)] += 2.0
    labels = (z + rng.gumbel(size=z.shape)).argmax(axis=1)  # drawn from softmax(z)
    return temperature * z, labels


def sure(p: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return p.max(axis=1), p.argmax(axis=1) == labels


def plain_ece(confidence: np.ndarray, correct: np.ndarray, edges: np.ndarray) -> float:
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.sum() * abs(correct[inside].mean() - confidence[inside].mean())
    return total / len(confidence)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_temperature_minimises_the_loss_as_scipy_does(temperature: float) -> None:
    z, y = planted(3000, temperature, seed=1)

    def loss(log_t: float) -> float:
        return float(-log_softmax(z / np.exp(log_t), axis=1)[np.arange(len(y)), y].mean())

    reference = np.exp(minimize_scalar(loss, bounds=(-4, 4), options={"xatol": 1e-10}).x)
    found = fit_temperature(z, y)
    assert found.value == pytest.approx(reference, rel=1e-5)
    assert found.low < temperature < found.high
    log_p = log_softmax(z, axis=1)
    assert fit_temperature(log_p, y).value == pytest.approx(found.value, rel=1e-9)


def test_temperature_interval_covers_its_level() -> None:
    inside = 0
    for seed in range(300):
        z, y = planted(300, 2.0, seed=1000 + seed, c=4)
        found = fit_temperature(z, y)
        inside += found.low <= 2.0 <= found.high
    assert 0.92 <= inside / 300 <= 0.98


def test_planted_miscalibration_of_13_points_comes_under_1_on_held_out_rows() -> None:
    z, y = planted(50_000, 1.47, seed=2)
    fit, rest = slice(0, 10_000), slice(10_000, None)
    before = sure(softmax(z[rest]), y[rest])
    assert ece(*before) == pytest.approx(0.13, abs=0.005)
    after = sure(softmax(z[rest], fit_temperature(z[fit], y[fit]).value), y[rest])
    for binning in ("width", "mass"):
        assert ece(*after, binning=binning) < 0.01
        assert ece(*after, binning=binning, debiased=True) < 0.005


def test_extreme_logits_stay_inside_the_bounds() -> None:
    z = np.array([[500.0, 0.0], [0.0, 500.0]])
    assert fit_temperature(z, [0, 1]).value <= 1.0  # separated: the colder the better
    assert fit_temperature(z, [1, 0]).value == pytest.approx(HOTTEST, rel=1e-3)
    assert np.isfinite(fit_temperature(log_probabilities([[1.0, 0.0]] * 3), [0, 0, 1]).value)
    assert fit_temperature([[1.0, 1.0]], [0]).high == np.inf  # nothing to learn from


def test_ece_equals_a_plain_loop_with_both_binnings() -> None:
    rng = np.random.default_rng(3)
    p = rng.beta(4, 1.5, 2000).round(2)  # many ties, some on edges
    hit = rng.random(2000) < p**2
    assert ece(p, hit) == pytest.approx(plain_ece(p, hit, np.linspace(0, 1, 16)), abs=1e-12)
    found = reliability(p, hit, bins=10, binning="mass")
    edges = np.append(found.low, found.high[-1])
    assert found.ece == pytest.approx(plain_ece(p, hit, edges), abs=1e-12)
    assert found.n.sum() == 2000 and found.n.min() > 100
    assert found.largest == np.abs(found.accuracy - found.confidence).max()


def test_ece_equals_the_metric_of_the_evaluation() -> None:
    from slicedb.metrics import Membership, Outcomes, compute, find, update

    z, y = planted(500, 2.0, seed=4, c=3)
    p = softmax(z)
    names = ["a", "b", "c"]
    said = [names[i] for i in p.argmax(axis=1)]
    outcomes = Outcomes.of([names[i] for i in y], said, p, names)
    metric = find("ece")
    sums = update(metric, outcomes, Membership([np.arange(500)], 500))
    assert compute(metric, sums).value[0] == pytest.approx(ece(*sure(p, y)), abs=1e-12)


def test_debiased_ece_is_near_zero_for_perfect_calibration_and_keeps_a_real_gap() -> None:
    rng = np.random.default_rng(5)
    plain, debiased, real = [], [], []
    for _ in range(60):
        p = rng.uniform(0.3, 1.0, 600)
        u = rng.random(600)
        plain.append(ece(p, u < p))
        debiased.append(ece(p, u < p, debiased=True))
        real.append(ece(p, u < p - 0.15, debiased=True))
    assert np.mean(plain) > 0.03 > 0.02 > np.mean(debiased)
    assert np.mean(real) == pytest.approx(0.14, abs=0.015)


def test_reliability_of_nothing_or_nonsense_is_an_error() -> None:
    with pytest.raises(SliceError, match="no samples"):
        reliability([], [])
    with pytest.raises(SliceError, match="outside 0 to 1"):
        ece([1.2], [True])
    with pytest.raises(SliceError, match="no samples"):
        fit_temperature(np.empty((0, 3)), [])
    with pytest.raises(ClassesError, match="do not fit"):
        fit_temperature([[1.0, 2.0]], [0, 1])
    with pytest.raises(ClassesError, match="outside 0 to 1"):
        fit_temperature([[1.0, 2.0]], [2])


def test_held_out_rows_are_not_fitted_on() -> None:
    z, y = planted(400, 3.0, seed=6, c=3)
    p = softmax(z)
    first = held_out(p, y).probabilities
    changed = y.copy()
    changed[0] = (y[0] + 1) % 3
    moved = np.abs(held_out(p, changed).probabilities - first).max(axis=1) > 0
    assert not moved[0]  # its own label does not reach it
    assert moved.sum() > 300


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    z, y = planted(3000, 2.2, seed=7, c=3)
    labels: list[str | None] = [("a", "b", "c")[i] for i in y]
    labels[0], labels[1] = None, "unknown"
    path = tmp_path_factory.mktemp("calibration")
    return made_store(path, labels, softmax(z), ("a", "b", "c"))


def test_calibrate_reports_before_and_after(store: Store) -> None:
    found = calibrate(store, "food_v2")
    assert found.temperature.low < 2.2 < found.temperature.high
    assert (found.n, found.left_out) == (2998, 2)
    assert found.before.ece > 0.1 and found.after.ece_debiased < 0.02
    assert found.after.log_loss < found.before.log_loss
    assert found.after.brier < found.before.brier
    assert found.after.accuracy == found.before.accuracy
    assert isinstance(found.diagram_after, Reliability)
    table = found.to_arrow()
    assert table["when"].to_pylist() == ["before", "after"]
    assert found.diagram_before.to_arrow().column_names[:4] == ["low", "high", "n", "confidence"]
    assert str(found).startswith("food_v2: temperature 2.")
    assert "gap" in str(found.diagram_after)
    again = found.temperature.apply(np.array([[0.9, 0.05, 0.05]]))
    assert again[0, 0] < 0.75 and again.sum() == pytest.approx(1.0)


def test_calibrate_over_keys_it_cannot_use_is_an_error(store: Store) -> None:
    with pytest.raises(ClassesError, match="No label is one of the classes of 'food_v2'"):
        calibrate(store, "food_v2", keys_of(["0001"]))


def test_a_model_without_probabilities_cannot_be_calibrated(tmp_path: Path) -> None:
    import pyarrow as pa

    store = made_store(tmp_path, ["a", "b"], np.eye(2), ["a", "b"])
    store.create("predictions__bare", TASKS["classification"].schema(None))
    row = {"id": ["0000"], "key": keys_of(["0000"]), "prediction": ["a"]}
    store.append("predictions__bare", pa.table(row))
    with pytest.raises(PredictionError, match="no probabilities"):
        calibrate(store, "bare")
