"""Trials against a plain bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from slicedb import metrics as m
from slicedb import stats
from slicedb.judge.aligned import Judged, Keys
from slicedb.judge.evaluation import estimates
from slicedb.judge.evidence import Trial
from slicedb.judge.groups import resampled
from slicedb.judge.resampled import judge as judge_resampled
from slicedb.judge.resampled import replicates_of
from slicedb.metrics import Estimate, Metric


def judge(
    trials: Sequence[Trial],
    metric: Metric,
    judged: Judged,
    rows: Sequence[Keys],
    sizes: Sequence[int],
    confidence: float,
    groups: Sequence[Keys | None],
) -> None:
    """Fill in trials of one metric (of one class), all slices at once.

    Args:
        trials: to be filled in.
        metric: the metric, already bound to its class.
        judged: the model's outcomes.
        rows: per trial, the rows of the universe.
        sizes: per trial, the members of the slice.
        confidence: of each bound alone.
        groups: per trial, the group of each row of the universe; None: samples are independent.
    """
    members = judged.members(rows)
    found = estimates(judged, members, [metric])[metric.name]
    low, high = m.interval(metric, found, confidence, sides=1, guarantee=True)
    missing = m.missing(metric, judged.outcomes)
    empty = missing or m.empty(judged.outcomes.task)
    for i, trial in enumerate(trials):
        one = found.at(i)
        trial.value, trial.low, trial.high = float(found.value[i]), float(low[i]), float(high[i])
        trial.n = int(members.sizes[i])
        trial.left_out = int(sizes[i]) - trial.n
        trial.rises = metric.rises
        trial.rows = rows[i]
        trial.approximate = metric.interval in ("mean", "draws")
        if trial.check.of is not None and metric.interval == "share":
            trial.n = int(found.size[i])  # the trials of a class: its labels, or its predictions
        if np.isnan(trial.value):
            trial.reason = empty if missing or not members.sizes[i] else metric.undefined
            if not sizes[i]:
                trial.reason = m.NO_SAMPLES
            continue
        side = "less" if trial.wants_high else "greater"
        trial.p = float(m.p_value(metric, one, trial.bound, side)[0])  # type: ignore[arg-type]
        trial.needs = _needed(metric, one, trial, confidence)
        group = groups[i]
        if group is not None:
            positions = members.positions[i]
            trial.groups = group[judged.rows[positions]]
            statistic, units = resampled(metric, judged.outcomes.take(positions), trial.groups)
            judge_resampled(
                trial,
                statistic,
                units,
                confidence,
                replicates=replicates_of(metric),
                undefined=metric.undefined,
                share=metric.interval == "share",
                bias=metric.bias,
            )


def _needed(
    metric: Metric, one: Estimate, trial: Trial, confidence: float
) -> Callable[[], int | None]:
    """Return the function that gives the samples that would settle a trial."""
    size, value, bound = float(one.size[0]), trial.value, trial.bound
    per_trial = trial.n / size if size else 1.0  # samples an effective trial stands for

    def by_share() -> int | None:
        def clears(k: int) -> bool:
            low, high = stats.clopper_pearson(value * k, k, confidence, sides=1)
            return bool(low > bound or high < bound)

        found = None if value == bound else stats.n_to_clear(clears, max(1, int(size)))
        return None if found is None else int(np.ceil(found * per_trial))

    def by_mean() -> int | None:
        return stats.n_to_narrow(trial.n, trial.high - value, abs(value - bound))

    return by_share if metric.interval == "share" else by_mean
