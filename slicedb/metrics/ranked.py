"""Metrics of the ranking by score: AUROC and average precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from slicedb.metrics.estimate import Estimate
from slicedb.metrics.outcomes import Bools, Floats, Ranked


class RankArea(NamedTuple):
    """The area under one class's curve, against all others."""

    value: float
    influence: Floats
    """float64 (n,): what each sample adds to the error of `value`."""
    trials: float
    """Samples that decide it."""


def auroc(score: Floats, positive: Bools) -> RankArea | None:
    """Return the area under the ROC curve: P(a positive outscores a negative), ties half.

    The influences are DeLong's structural components (DeLong et al., Biometrics 1988).

    Args:
        score: float64 (n,).
        positive: bool (n,).

    Returns:
        The curve, or None where positives or negatives are missing.
    """
    m = int(positive.sum())
    k = len(positive) - m
    if m == 0 or k == 0:
        return None
    own = np.empty(len(score))
    own[positive], own[~positive] = _midranks(score[positive]), _midranks(score[~positive])
    beaten = _midranks(score) - own  # samples of the other kind below, ties half
    part = np.where(positive, beaten / k, 1 - beaten / m)
    value = float(part[positive].mean())
    count = np.where(positive, m, k)
    # m (m - 1) instead of m^2: DeLong's unbiased variances
    weight = np.sqrt(1 / (count * np.maximum(count - 1.0, 1.0)))
    return RankArea(value, (part - value) * weight, float(min(m, k)))


def average_precision(score: Floats, positive: Bools) -> RankArea | None:
    """Return average precision: the precision at each positive, averaged; ties share a step.

    Its interval is the binomial one on the positives (Boyd, Eng & Page, ECML 2013).

    Args:
        score: float64 (n,).
        positive: bool (n,).

    Returns:
        The curve, or None where there is no positive.
    """
    m = int(positive.sum())
    if m == 0:
        return None
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    hits = np.cumsum(positive[order])[last]
    precision = hits / (last + 1)
    value = float((np.diff(hits, prepend=0) * precision).sum() / m)
    return RankArea(value, np.zeros(len(score)), float(m))


CURVES: dict[str, Callable[[Floats, Bools], RankArea | None]] = {
    "auroc": auroc,
    "average_precision": average_precision,
}


def area(name: str, outcomes: Ranked, of: int | None = None) -> Estimate:
    """Return the area under one class's curve, or its mean over the classes where it is defined.

    Args:
        name: a key of `CURVES`.
        outcomes: the members of one slice.
        of: code of the class; None averages one-versus-rest over the classes with samples.

    Returns:
        Arrays of shape (1,).
    """
    codes = outcomes.present if of is None else [of]
    curves = [CURVES[name](outcomes.scores(c), outcomes.positive(c)) for c in codes]
    known = [c for c in curves if c is not None]
    if not known:
        return Estimate(np.array([np.nan]), np.array([0.0]), np.array([np.nan]))
    value = float(np.mean([c.value for c in known]))
    most = len(known) ** 2 / sum(1 / c.trials for c in known)
    variance = float((np.mean([c.influence for c in known], axis=0) ** 2).sum())
    size = min(value * (1 - value) / variance, most) if variance > 0 else most
    return Estimate(np.array([value]), np.array([size]), np.array([np.nan]))


def _midranks(x: Floats) -> Floats:
    """Return ranks from 1, ties sharing their mean rank."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    return np.asarray(np.cumsum(counts) - (counts - 1) / 2)[inverse]
