"""Trials without a formula: the bootstrap, of samples or of whole groups."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from slicedb import stats
from slicedb.judge.evidence import Trial
from slicedb.metrics import Metric, ratios

Floats = npt.NDArray[np.float64]

REPLICATES = 2000
"""Resamples of a statistic that is one matrix product."""

RANKED_REPLICATES = 500
"""Resamples of a statistic of the order of the scores."""


def replicates_of(metric: Metric) -> int:
    """Return how many resamples a metric is given."""
    if metric.state.kind != "ranked":
        return REPLICATES
    return RANKED_REPLICATES if metric.weighted is None else ratios.REPLICATES


def judge(
    trial: Trial,
    statistic: Callable[[Floats], Floats],
    units: int,
    confidence: float,
    *,
    replicates: int,
    undefined: str,
    share: bool,
    bias: float = 0.0,
    least: tuple[float, float] | None = None,
) -> None:
    """Fill in a trial from percentile bounds (Efron & Tibshirani 1993).

    Args:
        trial: to be filled in.
        statistic: weights float64 (b, units) -> values (b,).
        units: samples, or groups of samples that are drawn together.
        confidence: of each bound alone.
        replicates: resamples.
        undefined: why the value is NaN where it is.
        share: whether the value is a share of [0, 1]; where no resample differs (all are right)
            its bounds are those of as many independent samples as there are units.
        bias: see `slicedb.metrics.ratios.recentred`.
        least: how far below and above the value the bounds lie at least.
    """
    trial.approximate, trial.units = True, units
    value = float(statistic(np.ones((1, units)))[0]) if units else float("nan")
    trial.value = value
    if np.isnan(value):
        trial.reason = undefined
        return
    draws = stats.bootstrap_draws(statistic, units, replicates=replicates)
    draws = ratios.recentred(draws[~np.isnan(draws)], value, bias)
    low, high = (float(x) for x in np.quantile(draws, [1 - confidence, confidence]))
    if low == high and share:
        exact = stats.clopper_pearson(value * units, units, confidence, sides=1)
        low, high = min(low, float(exact.low)), max(high, float(exact.high))
    if least is not None:
        low, high = min(low, value - least[0]), max(high, value + least[1])
    trial.low, trial.high = low, high
    kept = draws >= trial.bound if trial.wants_high else draws <= trial.bound
    trial.p = float((kept.sum() + 1) / (len(draws) + 1))
    trial.needs = scaled(trial)


def scaled(trial: Trial) -> Callable[[], int | None]:
    """Return the function that gives the samples at which the bound leaves the interval."""

    def needs() -> int | None:
        beyond = trial.low if trial.holds == trial.wants_high else trial.high
        half, gap = abs(trial.value - beyond), abs(trial.value - trial.bound)
        return stats.n_to_narrow(trial.n, half, gap)

    return needs
