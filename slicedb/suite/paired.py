"""Trials against a baseline: the same samples, judged by both models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from slicedb import metrics as m
from slicedb import stats
from slicedb.evaluate.judged import Judged, Keys
from slicedb.metrics import Membership, Metric, Outcomes
from slicedb.suite.trial import Trial

Floats = npt.NDArray[np.float64]

REPLICATES = 2000
"""Resamples for metrics that have no per-sample difference."""

_RANKED_REPLICATES = 500
_BINARY = ("accuracy", "recall_micro", "precision_micro", "f1_micro", "recall_weighted")


class Pair:
    """Two models on the samples that both of them saw."""

    def __init__(self, model: Judged, baseline: Judged) -> None:
        both = (model.row_of >= 0) & (baseline.row_of >= 0)
        self.rows = np.flatnonzero(both)  # of the universe
        self.row_of = np.where(both, np.cumsum(both) - 1, -1)
        self.a = model.outcomes.take(model.row_of[self.rows])
        self.b = _same_classes(baseline.outcomes.take(baseline.row_of[self.rows]), self.a.classes)
        if len(self.b.classes) > len(self.a.classes):
            self.a = _same_classes(self.a, self.b.classes)
        self.only_seen_by_model = (model.row_of >= 0) & (baseline.row_of < 0)
        self._differences: dict[str, Floats | None] = {}

    def members(self, rows: Sequence[Keys]) -> Membership:
        """Return the membership over the common samples of slices given as universe rows."""
        found = [self.row_of[r] for r in rows]
        return Membership([f[f >= 0] for f in found], len(self.rows))

    def differences(self, metric: Metric, of: str | None) -> Floats | None:
        """Return float64 (n,) model - baseline a sample, or None where a metric has no such."""
        name = "accuracy" if metric.name in _BINARY or (of and metric.name == "recall") else ""
        if not name and of is None and metric.state.kind == "moments" and metric.name != "ece":
            name = metric.name
        if not name:
            return None
        if name not in self._differences:
            if name == "accuracy":
                d = self.a.correct.astype(float) - self.b.correct
            elif set(metric.needs) <= self.a.columns & self.b.columns:
                d = metric.state.rows(self.a)[:, 1] - metric.state.rows(self.b)[:, 1]
            else:
                d = np.full(self.a.n, np.nan)
            self._differences[name] = d
        return self._differences[name]

    def of_class(self, code: int) -> npt.NDArray[np.bool_]:
        """Return bool (n,): the samples of one class."""
        return np.asarray(self.a.label == code)


def judge(
    trials: Sequence[Trial],
    metric: Metric,
    pair: Pair,
    rows: Sequence[Keys],
    sizes: Sequence[int],
    confidence: float,
) -> None:
    """Fill in trials of one metric against one baseline.

    Args:
        trials: to be filled in; all of the same class, if any.
        metric: the metric, not bound to the class.
        pair: both models on their common samples.
        rows: per trial, the rows of the universe.
        sizes: per trial, the members of the slice.
        confidence: of each bound alone.
    """
    of = trials[0].check.of
    code = pair.a.classes.index(of) if of is not None else None
    members = pair.members(rows)
    d = pair.differences(metric, of)
    known = set(metric.needs) <= pair.a.columns & pair.b.columns
    for trial, positions, universe_rows, size in zip(trials, members.positions, rows, sizes):
        trial.rises = metric.rises
        if code is not None and d is not None:
            positions = positions[pair.a.label[positions] == code]
        trial.n, trial.left_out = len(positions), int(size) - len(positions)
        if code is not None:
            trial.left_out = 0  # other classes are not left out, they are not asked for
        trial.rows = pair.rows[positions] if len(positions) else universe_rows[:0]
        if not known or not len(positions):
            trial.reason = (
                f"the predictions have no {metric.needs[0]}"
                if not known
                else "no sample was seen by both models"
            )
        elif d is None:
            _by_bootstrap(trial, metric, pair, positions, code, confidence)
        elif metric.interval == "share" or metric.name == "accuracy":
            _by_counts(trial, d[positions], confidence)
            trial.gains = d[positions]
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
    trial.needs = _scaled(trial)


def _by_bootstrap(
    trial: Trial,
    metric: Metric,
    pair: Pair,
    positions: npt.NDArray[np.int64],
    code: int | None,
    confidence: float,
) -> None:
    """Resample the slice's common samples, both models together (Efron & Tibshirani 1993)."""
    trial.approximate = True
    bound = metric if code is None else m.for_class(metric, code)
    sides = [weighted(bound, outcomes.take(positions)) for outcomes in (pair.a, pair.b)]

    def difference(weights: Floats) -> Floats:
        return np.asarray(sides[0](weights) - sides[1](weights))

    n = len(positions)
    trial.value = float(difference(np.ones((1, n)))[0])
    if np.isnan(trial.value):
        trial.reason = metric.undefined
        return
    count = _RANKED_REPLICATES if metric.state.kind == "ranked" else REPLICATES
    draws = stats.bootstrap_draws(difference, n, replicates=count)
    draws = draws[~np.isnan(draws)]
    at = np.quantile(draws, [1 - confidence, confidence])
    trial.low, trial.high = float(at[0]), float(at[1])
    kept = draws >= trial.bound if trial.rises else draws <= trial.bound
    trial.p = float((kept.sum() + 1) / (len(draws) + 1))
    trial.needs = _scaled(trial)


def weighted(metric: Metric, outcomes: Outcomes) -> Any:
    """Return the function from weights (b, n) to values (b,) of a metric."""
    if metric.state.kind == "ranked":

        def by_repeats(weights: Floats) -> Floats:
            picked = (np.repeat(np.arange(outcomes.n), w.astype(int)) for w in weights)
            found = [metric.compute(metric.name, outcomes.take(rows)).value[0] for rows in picked]
            return np.array(found)

        return by_repeats
    rows = metric.state.rows(outcomes)
    if metric.state.kind == "moments":
        return lambda weights: metric.compute(weights @ rows).value
    c = len(outcomes.classes)
    codes = np.asarray(rows, np.int64)

    def by_counts(weights: Floats) -> Floats:
        counts = np.stack([np.bincount(codes, w, minlength=c * c) for w in weights])
        return np.asarray(metric.compute(counts.reshape(-1, c, c)).value)

    return by_counts


def _scaled(trial: Trial) -> Any:
    def needs() -> int | None:
        edge = trial.low if trial.holds else trial.high
        edge = edge if trial.rises else trial.low + trial.high - edge
        gap = abs(trial.value - trial.bound)
        return int(np.ceil(trial.n * (abs(trial.value - edge) / gap) ** 2)) if gap > 0 else None

    return needs


def _same_classes(outcomes: Outcomes, classes: tuple[str, ...]) -> Outcomes:
    """Return outcomes with codes into `classes`, followed by those it does not have."""
    if outcomes.classes == classes:
        return outcomes
    union = classes + tuple(c for c in outcomes.classes if c not in classes)
    code = np.array([union.index(c) for c in outcomes.classes], np.int64)
    p = outcomes.probabilities
    if p is not None:
        wide = np.zeros((outcomes.n, len(union)))
        wide[:, code[: p.shape[1]]] = p
        p = wide
    return Outcomes(union, code[outcomes.label], code[outcomes.prediction], outcomes.confidence, p)
