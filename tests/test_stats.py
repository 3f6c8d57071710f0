"""Every interval and test against scipy, statsmodels or a few lines of numpy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, sparse
from scipy import stats as reference
from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from slicedb import stats
from slicedb.stats import multiple

COUNTS = [(0, 1), (1, 1), (0, 30), (30, 30), (17, 30), (499, 1000), (3, 100000)]


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("k", "n"), COUNTS)
def test_wilson_equals_statsmodels(k: int, n: int, confidence: float) -> None:
    expected = proportion_confint(k, n, 1 - confidence, method="wilson")
    assert stats.wilson(k, n, confidence) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("k", "n"), COUNTS)
def test_clopper_pearson_equals_statsmodels(k: int, n: int, confidence: float) -> None:
    expected = proportion_confint(k, n, 1 - confidence, method="beta")
    assert stats.clopper_pearson(k, n, confidence) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("interval", [stats.wilson, stats.clopper_pearson])
def test_an_empty_slice_has_no_interval(interval: object) -> None:
    low, high = interval([0, 3], [0, 4])  # type: ignore[operator]
    assert np.isnan(low[0]) and np.isnan(high[0]) and low[1] < 0.75 < high[1]


def test_one_sided_bounds_are_those_of_a_wider_two_sided_interval() -> None:
    assert stats.wilson(5, 9, 0.95, sides=1) == pytest.approx(stats.wilson(5, 9, 0.9))


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95])
def test_confidence_outside_0_to_1_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        stats.wilson(1, 2, confidence)


@pytest.mark.parametrize(("k", "n"), COUNTS)
@pytest.mark.parametrize("bound", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("side", ["less", "greater"])
def test_proportion_p_equals_the_binomial_test(k: int, n: int, bound: float, side: str) -> None:
    expected = reference.binomtest(k, n, bound, side).pvalue
    assert stats.proportion_p(k, n, bound, side) == pytest.approx(expected, abs=1e-9)  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [2, 5, 300])
def test_mean_interval_equals_students(n: int) -> None:
    x = np.random.default_rng(n).normal(3, 2, n)
    expected = reference.t.interval(0.9, n - 1, x.mean(), reference.sem(x))
    assert stats.mean_interval(x.sum(), (x**2).sum(), n, 0.9) == pytest.approx(expected, abs=1e-9)
    assert stats.paired_mean_interval(x, 0 * x, 0.9) == pytest.approx(expected, abs=1e-9)


def test_the_mean_of_one_value_has_no_interval() -> None:
    assert np.isnan(stats.mean_interval(3.0, 9.0, 1)).all()


def test_skewness_equals_scipys() -> None:
    x = np.random.default_rng(0).exponential(size=50)
    expected = reference.skew(x)
    assert stats.skewness(x.sum(), (x**2).sum(), (x**3).sum(), 50) == pytest.approx(expected)
    assert stats.skewness(5 * 0.1, 5 * 0.1**2, 5 * 0.1**3, 5) == 0.0
    assert np.isnan(stats.skewness(0.0, 0.0, 0.0, 0))


def test_without_skewness_halls_interval_is_students() -> None:
    expected = reference.t.interval(0.9, 19, 3.0, 0.5)
    assert stats.skewed_interval(3.0, 0.5, 0.0, 20, 0.9) == pytest.approx(expected)


@pytest.mark.parametrize("skew", [-3.0, -0.1, 0.0, 0.5, 4.0])
def test_halls_bounds_lie_where_the_cubic_of_the_studentised_mean_is_a_quantile(
    skew: float,
) -> None:
    low, high = stats.skewed_interval(2.0, 0.3, skew, 50, 0.95, sides=1)
    a, quantile = skew / np.sqrt(50), reference.t.ppf(0.95, 49)
    for bound, z in ((low, quantile), (high, -quantile)):
        t = (2.0 - bound) / 0.3
        assert t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6 == pytest.approx(z)
    assert stats.skewed_p(2.0, 0.3, skew, 50, high, "less") == pytest.approx(0.05)
    assert stats.skewed_p(2.0, 0.3, skew, 50, low, "greater") == pytest.approx(0.05)


def test_halls_upper_bound_of_skewed_losses_holds_where_students_does_not() -> None:
    x = np.random.default_rng(1).exponential(size=(4000, 30))
    mean, error = x.mean(axis=1), x.std(axis=1, ddof=1) / np.sqrt(30)
    skew = stats.skewness(x.sum(axis=1), (x**2).sum(axis=1), (x**3).sum(axis=1), 30)
    bounds = [stats.skewed_interval(mean, error, g, 30, 0.95, sides=1).high for g in (0, skew)]
    student, hall = (float(np.mean(high < 1.0)) for high in bounds)
    assert student > 0.1 and hall < 0.07


def test_the_bounded_interval_of_values_at_the_ends_is_the_exact_one_of_a_proportion() -> None:
    expected = np.array(stats.clopper_pearson(7, 50)) * 2
    assert stats.bounded_interval(2 * 7 / 50, 50, 2.0) == pytest.approx(expected)
    expected_p = stats.proportion_p(7, 50, 0.2, "less")
    assert stats.bounded_p(2 * 7 / 50, 50, 2.0, 0.4, "less") == pytest.approx(expected_p)
    assert np.isnan(stats.bounded_interval(0.1, 50, np.nan)).all()
    assert np.isnan(stats.bounded_p(0.1, 50, np.nan, 0.2, "less"))


@pytest.mark.parametrize(("b", "c"), [(0, 0), (0, 5), (3, 3), (2, 10), (400, 350)])
def test_mcnemar_equals_statsmodels_and_the_binomial_test(b: int, c: int) -> None:
    expected = sm_mcnemar([[7, b], [c, 9]], exact=True).pvalue
    assert stats.mcnemar(b, c) == pytest.approx(expected, abs=1e-9)
    if b + c:
        less = reference.binomtest(b, b + c, 0.5, "less").pvalue
        assert stats.mcnemar(b, c, "less") == pytest.approx(less, abs=1e-9)


def test_mcnemar_takes_arrays() -> None:
    assert stats.mcnemar([1, 2], [10, 10]).shape == (2,)


def tango(b: int, c: int, n: int, d: float) -> float:
    """Tango's statistic with the nuisance found by numerical maximum likelihood."""
    low, high = max(0.0, -d), (1 - d) / 2

    def minus(q: float) -> float:
        cells = ((b, q + d), (c, q), (n - b - c, 1 - 2 * q - d))
        return -sum(k * np.log(max(p, 1e-300)) for k, p in cells)

    q = optimize.minimize_scalar(
        minus, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    ).x
    return float((b - c - n * d) / np.sqrt(n * (2 * q + d * (1 - d))))


@pytest.mark.parametrize(("b", "c", "n"), [(3, 9, 44), (1, 0, 10), (60, 30, 1000), (5, 5, 20)])
@pytest.mark.parametrize("d", [-0.3, -0.02, 0.1, 0.4])
def test_paired_score_equals_numerical_maximum_likelihood(b: int, c: int, n: int, d: float) -> None:
    assert stats.paired_score(b, c, n, d) == pytest.approx(tango(b, c, n, d), rel=1e-4)


@pytest.mark.parametrize(("b", "c", "n"), [(3, 9, 44), (0, 0, 10), (10, 0, 10), (60, 30, 1000)])
def test_paired_interval_solves_the_score_equation(b: int, c: int, n: int) -> None:
    low, high = stats.paired_interval(b, c, n)
    z = reference.norm.ppf(0.975)
    if low > -1:
        expected = (
            optimize.brentq(
                lambda d: stats.paired_score(b, c, n, d) - z, -1 + 1e-12, (b - c) / n, xtol=1e-13
            )
            if (b - c) / n > low
            else low
        )
        assert low == pytest.approx(expected, abs=1e-9)
    if high < 1:
        expected = optimize.brentq(
            lambda d: stats.paired_score(b, c, n, d) + z, (b - c) / n, 1 - 1e-12, xtol=1e-13
        )
        assert high == pytest.approx(expected, abs=1e-9)


def test_paired_interval_swaps_with_the_models() -> None:
    low, high = stats.paired_interval([3, 0, 1], [9, 0, 8], [44, 5, 9])
    swapped = stats.paired_interval([9, 0, 8], [3, 0, 1], [44, 5, 9])
    np.testing.assert_allclose(low, -swapped.high, atol=1e-9)
    np.testing.assert_allclose(high, -swapped.low, atol=1e-9)


def test_without_common_samples_there_is_no_difference() -> None:
    assert np.isnan(stats.paired_interval(0, 0, 0)).all()
    assert np.isnan(stats.noninferiority_p(0, 0, 0, 0.1))


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 100), st.floats(0, 0.5))
def test_noninferiority_agrees_with_its_interval(b: int, c: int, same: int, margin: float) -> None:
    n = b + c + same
    p = stats.noninferiority_p(b, c, n, margin)
    low = stats.paired_interval(b, c, n, 0.95, sides=1).low
    if abs(low + margin) > 1e-9:
        assert (p < 0.05) == (low > -margin)


@pytest.mark.parametrize("name", ["percentile", "bca"])
def test_bootstrap_of_a_mean_equals_scipys_on_the_same_draws(name: str) -> None:
    x = np.random.default_rng(0).exponential(size=40)
    expected = reference.bootstrap(
        (x,), np.mean, n_resamples=500, method=name, rng=np.random.default_rng(7)
    ).confidence_interval
    found = stats.bootstrap(
        lambda w: w @ x / w.sum(axis=1),
        40,
        replicates=500,
        method=name,
        seed=7,  # type: ignore[arg-type]
    )
    assert found == pytest.approx(tuple(expected), abs=1e-9)


def test_bootstrap_by_group_draws_whole_groups() -> None:
    x = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    groups = ["a", "a", "a", "b", "b", "b"]
    draws: list[float] = []

    def mean(w: np.ndarray) -> np.ndarray:
        values = w @ x / w.sum(axis=1)
        draws.extend(values)
        return np.asarray(values)

    stats.bootstrap(mean, 6, groups=groups, replicates=200)
    assert set(draws) == {0.0, 0.5, 1.0}


def test_the_width_of_resamples_makes_up_for_few_samples() -> None:
    """The mean of n normals: percentiles of resamples, widened, are Student's bounds."""
    rng, n = np.random.default_rng(0), 12
    x = rng.normal(size=n)
    draws = stats.bootstrap_draws(lambda w: w @ x / w.sum(axis=1), n, replicates=40_000)
    half = (np.quantile(draws, 0.95) - np.quantile(draws, 0.05)) / 2 * stats.bootstrap_width(n)
    student = reference.t.ppf(0.95, n - 1) * x.std(ddof=1) / n**0.5
    assert half == pytest.approx(student, rel=0.03)
    assert stats.bootstrap_width(1) == 1.0


def test_bootstrap_of_nothing_is_nan() -> None:
    assert np.isnan(stats.bootstrap(lambda w: w.sum(axis=1), 0)).all()


def test_bootstrap_leaves_undefined_draws_out() -> None:
    x = np.array([np.nan, 1.0, 1.0])
    with np.errstate(invalid="ignore"):
        low, high = stats.bootstrap(
            lambda w: np.where(w[:, 0] > 0, np.nan, w[:, 1:] @ x[1:] / 3), 3
        )
    assert (low, high) == (1.0, 1.0)


PS = [[], [0.2], [0.01, 0.04, 0.03, 0.005], [0.5, 0.5, 0.9], list(np.linspace(0.001, 0.2, 30))]


@pytest.mark.parametrize("p", PS)
@pytest.mark.parametrize(
    ("method", "name"), [(stats.holm, "holm"), (stats.benjamini_hochberg, "fdr_bh")]
)
def test_adjusted_p_equals_statsmodels(p: list[float], method: object, name: str) -> None:
    expected = multipletests(p, method=name)[1] if p else []
    np.testing.assert_allclose(method(p), expected, atol=1e-9)  # type: ignore[operator]


@pytest.mark.parametrize("method", [stats.holm, stats.benjamini_hochberg])
def test_a_test_that_could_not_be_made_does_not_count(method: object) -> None:
    found = method([0.02, np.nan, 0.04])  # type: ignore[operator]
    np.testing.assert_allclose(found[[0, 2]], method([0.02, 0.04]))  # type: ignore[operator]
    assert np.isnan(found[1])


def test_max_t_of_one_slice_is_the_sign_test() -> None:
    d = np.array([-1.0] * 9 + [1.0] * 2 + [0.0] * 50)
    p = stats.max_t(d, np.ones((1, d.size), bool), replicates=40_000).p[0]
    assert p == pytest.approx(float(stats.mcnemar(2, 9, "less")), abs=0.005)


def test_max_t_equals_all_flips_enumerated() -> None:
    rng = np.random.default_rng(5)
    d = rng.normal(-0.4, 1, 10)
    members = rng.random((4, 10)) < 0.6
    weighted = members * d
    scale = np.sqrt((weighted**2).sum(axis=1))
    t = weighted.sum(axis=1) / scale
    flips = np.array(list(itertools.product([-1, 1], repeat=10))) @ weighted.T / scale
    order = np.argsort(t)
    exact = np.empty(4)
    for i, s in enumerate(order):
        exact[s] = (flips[:, order[i:]].min(axis=1) <= t[s] + 1e-9).mean()
    exact[order] = np.maximum.accumulate(exact[order])
    found = stats.max_t(d, members, replicates=60_000, enough=None)
    np.testing.assert_allclose(found.statistic, t, atol=1e-9)
    np.testing.assert_allclose(found.p, exact, atol=0.01)


def test_max_t_of_a_better_slice_is_no_smaller_than_that_of_a_worse_one() -> None:
    d = np.array([-1.0] * 4 + [-1.0] * 59 + [1.0] * 41)  # t of -2 and -1.8
    members = np.arange(104) < 4, np.arange(104) >= 4
    p = stats.max_t(d, np.array(members), replicates=40_000, enough=None).p
    assert p[0] == pytest.approx(1 / 16 + reference.binom.cdf(40, 100, 0.5), abs=0.01)
    assert p[1] == p[0] > 1.5 * reference.binom.cdf(41, 100, 0.5)


def test_max_t_gives_no_p_of_zero_and_flips_until_the_smallest_is_known() -> None:
    d = np.array([-1.0] * 40)
    assert stats.max_t(d, np.ones((1, 40), bool), replicates=200).p[0] == 1 / 201
    d = np.array([-1.0] * 12 + [1.0, -1.0] * 20)
    members = np.array([np.arange(52) < 12, np.arange(52) >= 12])
    p = stats.max_t(d, members, enough=400).p
    assert p[1] > 0.5 and p[0] < 0.0008  # 2 ** -12, and 1,000 flips would give 0.001


def test_max_t_costs_nothing_for_a_slice_named_twice() -> None:
    d = np.array([-1.0] * 12 + [1.0] * 3)
    once = stats.max_t(d, np.ones((1, 15), bool)).p
    often = stats.max_t(d, np.ones((20, 15), bool)).p
    np.testing.assert_allclose(often, once[0])
    assert stats.holm([float(stats.mcnemar(3, 12, "less"))] * 20)[0] > 10 * once[0]


def test_max_t_with_a_margin_of_one_slice_is_about_the_score_test() -> None:
    d = np.array([-1.0] * 60 + [1.0] * 20 + [0.0] * 920)
    one = np.ones((1, 1000), bool)
    p = stats.max_t(d, one, margins=[0.02], replicates=40_000, enough=None).p[0]
    assert p == pytest.approx(float(stats.noninferiority_p(20, 60, 1000, 0.02, "less")), rel=0.2)
    wide = stats.max_t(d, one, margins=[0.04]).p[0]
    assert wide == pytest.approx(0.5, abs=0.05)


def test_max_t_takes_slices_with_and_without_margins_together() -> None:
    rng = np.random.default_rng(3)
    d = rng.choice([-1.0, 0.0, 1.0], 400, p=[0.2, 0.7, 0.1])
    members = rng.random((3, 400)) < 0.5
    plain = stats.max_t(d, members, enough=None).p
    mixed = stats.max_t(d, members, margins=[0.0, 0.0, 0.3], enough=None).p
    assert mixed[2] > plain[2]
    np.testing.assert_allclose(mixed[:2], plain[:2], atol=0.02)


def test_max_t_of_slices_without_discordant_rows_is_nan() -> None:
    result = stats.max_t(np.array([-1.0, 0.0]), np.array([[True, False], [False, True]]))
    assert np.isnan(result.p[1]) and not np.isnan(result.p[0])
    assert np.isnan(stats.max_t(np.zeros(3), np.ones((2, 3))).p).all()


@pytest.mark.parametrize(("drop", "n"), [(0.05, 158), (0.02, 988), (0.01, 3956)])
def test_sample_sizes_at_six_percent_disagreement(drop: float, n: int) -> None:
    z = reference.norm.ppf
    spread = z(0.95) * np.sqrt(0.064) + z(0.8) * np.sqrt(0.064 - drop**2)
    assert stats.n_for_paired(0.064, drop) == int(np.ceil((spread / drop) ** 2))
    assert stats.n_for_paired(0.064, drop) == pytest.approx(n, rel=0.02)


def test_a_drop_larger_than_the_disagreement_is_refused() -> None:
    with pytest.raises(ValueError, match=r"drop is 0\.1"):
        stats.n_for_paired(0.05, 0.1)


def test_n_to_clear_gives_none_when_no_size_would_do() -> None:
    assert stats.n_to_clear(lambda n: False, 10) is None
    assert stats.n_to_clear(lambda n: n >= 3, 10) == 3


def test_the_images_at_a_distance_are_those_of_the_z_test() -> None:
    n = stats.n_at_distance(1.0, 100, 1.644854, 0.8)
    assert n == 619  # 100 (1.645 + 0.842)^2
    assert reference.norm.cdf(np.sqrt(n / 100) - 1.644854) == pytest.approx(0.8, abs=1e-3)
    assert stats.n_at_distance(0.0, 100, 1.645) is None
    assert stats.n_at_distance(1e-4, 100, 1.645) is None


@pytest.mark.parametrize("z", [0.1, 1.0, 3.0])
def test_four_of_five_fresh_samples_settle_what_the_noise_allows(z: float) -> None:
    n = stats.n_to_settle(z, 100, 1.645, 2.5)
    assert n is not None
    rng = np.random.default_rng(0)
    truth = rng.normal(z, 1, 200_000)  # in standard errors of 100 images
    seen = rng.normal(truth * np.sqrt(n / 100), 1)
    assert np.mean((seen > 1.645) | (seen < -2.5)) == pytest.approx(0.8, abs=0.01)


def test_samples_that_are_alike_flip_by_one_binomial_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    d = rng.choice([-1.0, 0.0, 1.0], 3000, p=[0.11, 0.79, 0.10])
    members = np.stack([rng.random(3000) < share for share in (0.9, 0.5, 0.2, 0.05)])
    for margins in (None, [0.01] * 4):
        found = []
        for many in (10, 10**9):
            monkeypatch.setattr(multiple, "_MANY", many)
            result = stats.max_t(d, members, margins=margins, sides=2, enough=None)
            found.append(result.p)
        np.testing.assert_allclose(*found, atol=0.03)


def test_columns_that_are_alike_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiple, "_MANY", 1)
    columns = np.array([[1.0, 0, 1, 1, -1], [0, 2.0, 0, 0, 0]])
    merged, counts = multiple._merged(sparse.csr_matrix(columns))
    assert counts is not None
    kinds = sorted(zip(merged.toarray().T.tolist(), counts.tolist()))
    assert kinds == [([-1.0, 0.0], 1), ([0.0, 2.0], 1), ([1.0, 0.0], 3)]
    several = np.random.default_rng(0).random((2, 2000))  # hardly two are alike
    assert multiple._merged(sparse.csr_matrix(several))[1] is None
