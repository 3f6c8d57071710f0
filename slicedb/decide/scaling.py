"""Scale probabilities where one temperature leaves an error: by class, or with a noise floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from slicedb.metrics.outcomes import Bools, Floats, Ints

Way: TypeAlias = Literal["temperature", "floor", "classes"]

WAYS: dict[Way, str] = {
    "temperature": "one temperature",
    "floor": "a temperature and a share of labels at random",
    "classes": "a scale and a shift for each class",
}
"""How probabilities are calibrated; the first unless held-out samples tell another apart."""

_SHRINK = 4.0
"""Weight, in samples, of the penalty that draws scales to the temperature and shifts to 0."""
_MOST_CELLS = 20_000_000
"""Samples times classes from which on classes are not scaled one by one."""
_PER_CLASS = 20
"""Samples for each class that this takes."""
_HIGHEST_FLOOR = 0.9
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, eq=False)
class Scaling:
    """How log-probabilities z (n, c) become probabilities: softmax(z * scale + shift), mixed."""

    scale: Floats
    """float64 (c,): 1 / temperature, for each class."""
    shift: Floats
    """float64 (c,)."""
    floor: float = 0.0
    """Share of labels that are drawn at random: noise that no temperature describes."""

    def apply(self, z: Floats) -> Floats:
        """Return float64 (n, c): calibrated probabilities."""
        return np.asarray((1 - self.floor) * _softmax(z, self) + self.floor / z.shape[1])


def _softmax(z: Floats, scaling: Scaling) -> Floats:
    wide = z * scaling.scale + scaling.shift
    wide = np.exp(wide - wide.max(axis=1, keepdims=True))
    return np.asarray(wide / wide.sum(axis=1, keepdims=True))


def fit(way: Way, z: Floats, y: Ints, temperature: float) -> Scaling | None:
    """Fit one way of scaling by maximum likelihood; None where there are too few samples.

    Args:
        way: which.
        z: float64 (n, c), log-probabilities.
        y: int64 (n,) in [0, c).
        temperature: the best one alone.
    """
    c = z.shape[1]
    start = Scaling(np.full(c, 1 / temperature), np.zeros(c))
    if way == "temperature":
        return start
    if way == "floor":
        return _with_floor(z, y, start)
    enough = len(y) >= _PER_CLASS * c and z.size <= _MOST_CELLS
    return _by_class(z, y, start) if enough else None


def _with_floor(z: Floats, y: Ints, start: Scaling) -> Scaling:
    """Fit a temperature beside a share of random labels (as in Natarajan et al., NeurIPS 2013)."""
    from scipy.optimize import minimize

    rows, c = np.arange(len(y)), z.shape[1]

    def loss(x: Floats) -> tuple[float, Floats]:
        beta, floor = np.exp(x[0]), x[1]
        q = _softmax(z, Scaling(np.full(c, beta), start.shift))
        own, mean = q[rows, y], (q * z).sum(axis=1)
        p = np.maximum((1 - floor) * own + floor / c, _TINY)
        by_beta = -((1 - floor) * own * (z[rows, y] - mean) / p).mean() * beta
        return float(-np.log(p).mean()), np.array([by_beta, -((1 / c - own) / p).mean()])

    found = minimize(
        loss,
        [np.log(start.scale[0]), 0.02],
        jac=True,
        method="L-BFGS-B",
        bounds=[(-4.6, 4.6), (0, _HIGHEST_FLOOR)],
    )
    return Scaling(np.full(c, np.exp(found.x[0])), start.shift, float(found.x[1]))


def _by_class(z: Floats, y: Ints, start: Scaling) -> Scaling:
    """Fit a scale and a shift for each class (vector scaling; Guo et al., ICML 2017), shrunk."""
    from scipy.optimize import minimize

    n, c = z.shape
    rows, weight = np.arange(n), _SHRINK / n
    # Log-probabilities of rare classes are far below 0: without a centre a scale moves the shift.
    centre = z.mean(axis=0)
    x0 = np.concatenate([start.scale, start.scale * centre])
    z = z - centre

    def loss(x: Floats) -> tuple[float, Floats]:
        q = _softmax(z, Scaling(x[:c], x[c:]))
        away = x - x0
        value = -np.log(np.maximum(q[rows, y], _TINY)).mean() + weight * (away**2).sum() / 2
        q[rows, y] -= 1
        slope = np.concatenate([(q * z).mean(axis=0), q.mean(axis=0)])
        return float(value), slope + weight * away

    x = minimize(
        loss, x0, jac=True, method="L-BFGS-B", bounds=[(0, None)] * c + [(None, None)] * c
    ).x
    return Scaling(x[:c], x[c:] - x[:c] * centre)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Probabilities of samples that their calibration was not fitted on."""

    probabilities: Floats
    """float64 (n, c)."""
    way: Way
    """How they were calibrated."""
    loss: dict[Way, float]
    """Mean held-out log loss of each way that could be fitted."""


def chosen(tried: dict[Way, Floats], labels: Ints, known: Bools) -> HeldOut:
    """Choose a way by its held-out log loss: "temperature" unless another is better by an error.

    Args:
        tried: by way, float64 (n, c), held-out probabilities.
        labels: int64 (n,).
        known: bool (n,): which labels count.
    """
    rows = np.flatnonzero(known)
    losses = {way: -np.log(np.maximum(p[rows, labels[rows]], _TINY)) for way, p in tried.items()}
    best: Way = "temperature"
    for way, loss in losses.items():
        gain = losses[best] - loss
        if len(rows) > 1 and gain.mean() > gain.std() / len(rows) ** 0.5:
            best = way
    means = {way: float(loss.mean()) if len(rows) else float("nan") for way, loss in losses.items()}
    return HeldOut(tried[best], best, means)
