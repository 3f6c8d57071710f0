"""Simulated models whose true values are known, and the verdicts on slices of their samples.

The models see ten classes through noise. `even` is right in two thirds of the samples, `good` in
nine tenths, `sure` is as good as `good` and too sure of itself, `best` is right in 96 of 100.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slicedb import metrics as m
from slicedb import stats
from slicedb.expectations import Check
from slicedb.judge import Aligned
from slicedb.judge.absolute import absolute
from slicedb.judge.evidence import Evidence, Inputs
from slicedb.judge.paired import paired
from slicedb.judge.trials import JudgedSlice, Trial
from slicedb.keys import Keys
from slicedb.metrics import Membership, Outcomes
from slicedb.metrics.outcomes import Bools, Floats, Ints
from slicedb.slices import Slice

CLASSES = tuple(f"class_{i}" for i in range(10))
POPULATION = 200_000
MODELS = {"even": (3.0, 1.0), "good": (12.0, 1.0), "sure": (12.0, 0.6), "best": (30.0, 1.0)}
"""Scale of the logits, and the temperature that they are divided by."""


# --- models ---------------------------------------------------------------------------------------


def softmax(logits: Floats) -> Floats:
    """Return the probabilities of logits (n, c)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def truth(rng: np.random.Generator, n: int, scale: float) -> tuple[Floats, Ints]:
    """Return logits, and labels that are drawn from them: a model that says them is calibrated."""
    logits = rng.normal(size=(n, len(CLASSES))) * scale
    below = softmax(logits).cumsum(axis=1) < rng.random(n)[:, None]
    return logits, below.sum(axis=1).clip(0, len(CLASSES) - 1)


def model(name: str, logits: Floats, label: Ints, temperature: float = 1.0) -> Aligned:
    """Return a model that says some logits, over a universe of its own."""
    p = softmax(logits / temperature)
    outcomes = Outcomes(CLASSES, label, p.argmax(axis=1), p.max(axis=1), p)
    return Aligned(name, outcomes, np.arange(len(label)), np.arange(len(label)))


def right(name: str, was: Bools) -> Aligned:
    """Return a model that is right where told, over a universe of its own."""
    n = len(was)
    outcomes = Outcomes(("a", "b"), np.zeros(n, np.int64), np.where(was, 0, 1))
    return Aligned(name, outcomes, np.arange(n), np.arange(n))


# --- verdicts -------------------------------------------------------------------------------------


def samples(rng: np.random.Generator, runs: int, size: int, n: int = POPULATION) -> list[Keys]:
    """Return the rows of random slices, each ascending and without repetition."""
    return [np.sort(rng.choice(n, size, replace=False, shuffle=False)) for _ in range(runs)]


def evidence(check: Check, rows: Sequence[Keys], *models: Aligned) -> list[Evidence]:
    """Return the evidence of one expectation on each slice."""
    scopes = [JudgedSlice(Slice(f"s{i}", "true"), r, r) for i, r in enumerate(rows)]
    metric = m.find(check.metric)
    trials = [Trial(scope, check, models[0].model, metric) for scope in scopes]
    # Nothing is read: the outcomes are at hand, and no groups are asked for.
    inputs = Inputs(None, {a.model: a for a in models}, 0.95)  # type: ignore[arg-type]
    return list((absolute if check.baseline is None else paired)(trials, inputs))


def value(metric: str, aligned: Aligned) -> float:
    """Return a metric over the whole population."""
    whole = Membership([np.arange(aligned.outcomes.n)], aligned.outcomes.n)
    return float(m.estimates(aligned.outcomes, whole, [m.find(metric)])[metric].value[0])


def rate(k: int, n: int) -> str:
    """Return a share with its Monte-Carlo interval."""
    low, high = stats.wilson(k, n)
    return f"{k / n:6.1%} [{low:.1%}, {high:.1%}]" + (" *" if low > 0.05 else "")
