"""Trials against a baseline: the same samples, judged by both models."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from slicedb import metrics as m
from slicedb import stats
from slicedb.judge.aligned import Keys
from slicedb.judge.evidence import Trial
from slicedb.judge.groups import resampled
from slicedb.judge.pairs import Pair
from slicedb.judge.resampled import REPLICATES, replicates_of, scaled
from slicedb.judge.resampled import judge as judge_resampled
from slicedb.metrics import Metric

Floats = npt.NDArray[np.float64]


def judge(
    trials: Sequence[Trial],
    metric: Metric,
    pair: Pair,
    rows: Sequence[Keys],
    sizes: Sequence[int],
    confidence: float,
    groups: Sequence[Keys | None],
) -> None:
    """Fill in trials of one metric against one baseline.

    Args:
        trials: to be filled in; all of the same class, if any.
        metric: the metric, not bound to the class.
        pair: both models on their common samples.
        rows: per trial, the rows of the universe.
        sizes: per trial, the members of the slice.
        confidence: of each bound alone.
        groups: per trial, the group of each row of the universe; None: samples are independent.
    """
    of = trials[0].check.of
    code = pair.a.classes.index(of) if of is not None else None
    members = pair.members(rows)
    d = pair.differences(metric, of)
    missing = pair.missing(metric)
    every = zip(trials, members.positions, rows, sizes, groups)
    for trial, positions, universe_rows, size, group in every:
        trial.rises = metric.rises
        if code is not None and d is not None:
            positions = positions[pair.a.label[positions] == code]
        trial.n, trial.left_out = len(positions), int(size) - len(positions)
        if code is not None:
            trial.left_out = 0  # other classes are not left out, they are not asked for
        trial.rows = pair.rows[positions] if len(positions) else universe_rows[:0]
        if missing or not len(positions):
            trial.reason = missing or "no sample was seen by both models"
        elif d is None or group is not None:
            trial.groups = None if group is None else group[trial.rows]
            _by_bootstrap(trial, metric, pair, positions, d, code, confidence)
            if d is not None and _is_share(metric):
                trial.gains, trial.right_by = d[positions], pair.right_by(metric, of)
        elif _is_share(metric):
            _by_counts(trial, d[positions], confidence)
            trial.gains, trial.right_by = d[positions], pair.right_by(metric, of)
        else:
            _by_means(trial, d[positions], confidence)


def _by_counts(trial: Trial, d: Floats, confidence: float) -> None:
    better, worse, n = int((d > 0).sum()), int((d < 0).sum()), len(d)
    trial.value = (better - worse) / n
    low, high = stats.paired_interval(better, worse, n, confidence, sides=1)
    trial.low, trial.high = float(low), float(high)
    margin = trial.check.margin
    if margin == 0:
        trial.p = float(stats.mcnemar(better, worse, "less"))
    else:
        trial.p = float(stats.noninferiority_p(better, worse, n, margin, "less"))

    z = stats.intervals.quantile(confidence, 1)

    def needs() -> int | None:
        def clears(k: int) -> bool:
            scale = k / n  # a bound clears the margin where the score statistic there passes z
            score = stats.paired_score(better * scale, worse * scale, k, -margin)
            return bool(abs(score) > z)

        return None if trial.value == -margin else stats.n_to_clear(clears, n)

    trial.needs = needs


def _by_means(trial: Trial, d: Floats, confidence: float) -> None:
    from scipy.special import stdtr

    trial.approximate = True
    trial.value = float(d.mean())
    low, high = stats.paired_mean_interval(d, np.zeros(len(d)), confidence, sides=1)
    trial.low, trial.high = float(low), float(high)
    error = float(d.std(ddof=1) / np.sqrt(len(d))) if len(d) > 1 else np.nan
    gap = trial.value - trial.bound
    with np.errstate(divide="ignore", invalid="ignore"):
        t = 0.0 if gap == 0 else np.divide(gap, error)
    trial.p = float(stdtr(max(len(d) - 1, 1), t if trial.rises else -t))
    trial.needs = scaled(trial)


def _is_share(metric: Metric) -> bool:
    return metric.interval == "share"


def _by_bootstrap(
    trial: Trial,
    metric: Metric,
    pair: Pair,
    positions: npt.NDArray[np.int64],
    d: Floats | None,
    code: int | None,
    confidence: float,
) -> None:
    """Resample the slice's common samples, or their groups, both models together."""
    if d is not None:
        statistic, units = _mean_by_group(d[positions], trial.groups)
    else:
        bound = metric if code is None else m.for_class(metric, code)
        sides = [
            resampled(bound, outcomes.take(positions), trial.groups)
            for outcomes in (pair.a, pair.b)
        ]
        units = sides[0][1]

        def statistic(weights: Floats) -> Floats:
            return np.asarray(sides[0][0](weights) - sides[1][0](weights))

    judge_resampled(
        trial,
        statistic,
        units,
        confidence,
        replicates=replicates_of(metric) if d is None else REPLICATES,
        undefined=metric.undefined,
        share=False,
        bias=metric.bias if d is None else 0.0,
        least=_least(metric, pair, positions, units, trial.groups, confidence),
    )


def _least(
    metric: Metric,
    pair: Pair,
    positions: npt.NDArray[np.int64],
    units: int,
    groups: npt.NDArray[np.int64] | None,
    confidence: float,
) -> tuple[float, float] | None:
    """Return how far below and above a difference of shares its bounds lie at least.

    The bootstrap does not know of the samples that could have differed: where none does its
    interval has no width. So it is no narrower than Tango's of the samples (or groups) of which
    one model alone is right, which keeps its level with few of them.
    """
    if not _is_share(metric) or not units:
        return None
    better = worse = 0
    if metric.state.kind == "codes" and groups is None:
        d = pair.a.correct[positions].astype(int) - pair.b.correct[positions]
        better, worse = int((d > 0).sum()), int((d < 0).sum())
    low, high = stats.paired_interval(better, worse, units, confidence, sides=1)
    value = (better - worse) / units
    return value - float(low), float(high) - value


def _mean_by_group(
    d: Floats, groups: npt.NDArray[np.int64] | None
) -> tuple[Callable[[Floats], Floats], int]:
    code = np.arange(len(d)) if groups is None else np.unique(groups, return_inverse=True)[1]
    total, n = np.bincount(code, d), np.bincount(code).astype(float)
    return lambda weights: (weights @ total) / (weights @ n), len(n)
