"""Simulated models whose true values are known, and the verdicts on slices of their samples.

The models see ten classes through noise. `even` is right in two thirds of the samples, `good` in
nine tenths, `sure` is as good as `good` and too sure of itself, `best` is right in 96 of 100.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

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
from slicedb.metrics.detections import Detections
from slicedb.metrics.multilabel import LabelSets
from slicedb.metrics.outcomes import Bools, Floats, Ints
from slicedb.metrics.regression import PredictedNumbers
from slicedb.schema import OBJECT
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


@dataclass(frozen=True)
class Twins:
    """Two models over the same samples, of which each suite mixes two that are exchangeable."""

    both: Any
    """Outcomes of 2 n rows: those of one model, then those of the other."""
    wrong: Any
    """Outcomes of n rows: those of a model that is never right."""

    def suite(self, rng: np.random.Generator, size: int, *, wrong: bool = False) -> list[Aligned]:
        """Return a new and an old model over some of the samples."""
        n = self.wrong.n
        rows, swapped = rng.choice(n, size, replace=False), rng.random(size) < 0.5
        new, old = (self.both.take(rows + n * at) for at in (swapped, ~swapped))
        if wrong:
            new = self.wrong.take(rows)
        everything = np.arange(size)
        return [
            Aligned(name, o, everything, everything) for name, o in (("new", new), ("old", old))
        ]


def classifiers(rng: np.random.Generator, n: int = 100_000, noise: float = 3.0) -> Twins:
    """Return two models that see ten classes through noise of their own."""
    logits, label = truth(rng, n, 12.0)
    seen = np.concatenate([logits + noise * rng.normal(size=logits.shape) for _ in range(2)])
    wrong = rng.normal(size=logits.shape) * 3
    wrong[np.arange(n), label] = -20.0
    return Twins(
        model("both", seen, np.tile(label, 2)).outcomes, model("wrong", wrong, label).outcomes
    )


def numbers(rng: np.random.Generator, n: int = 100_000) -> Twins:
    """Return two models of a number whose errors differ from sample to sample."""
    target = rng.normal(40, 15, n)
    errors = rng.normal(size=(2, n)) * rng.gamma(2, 1, n)
    both = PredictedNumbers(np.tile(target, 2), (target + errors).ravel())
    return Twins(both, PredictedNumbers(target, target + 30 + rng.normal(size=n)))


def label_sets(rng: np.random.Generator, n: int = 50_000) -> Twins:
    """Return two models that give each sample some of five labels."""
    signal = rng.normal(-1, 2, (n, 5))
    labels = rng.random((n, 5)) < 1 / (1 + np.exp(-signal))
    seen = np.concatenate([signal + rng.normal(size=signal.shape) for _ in range(2)])
    p, names = 1 / (1 + np.exp(-seen)), tuple("abcde")
    off = np.where(labels, 0.01, 0.99) + 0.005 * rng.normal(size=labels.shape).clip(-1, 1)
    return Twins(
        LabelSets(names, np.tile(labels, (2, 1)), p >= 0.5, p),
        LabelSets(names, labels, ~labels, off),
    )


def detectors(rng: np.random.Generator, n: int = 4_000) -> Twins:
    """Return two detectors of three classes."""
    truth, said = [], []
    for _ in range(n):
        k = int(rng.integers(0, 5))
        sides = np.concatenate([rng.uniform(0, 300, (k, 2)), rng.uniform(20, 90, (k, 2))], axis=1)
        truth.append([_box(str(rng.choice(_THINGS)), one) for one in sides])
    for _ in range(2):
        for of_image in truth:
            seen = [box for box in of_image if rng.random() < 0.85]
            boxes = [
                _box(b["label"], b["bbox"] + rng.normal(0, 4, 4), rng.beta(4, 2)) for b in seen
            ]
            if rng.random() < 0.4:
                boxes.append(_box(str(rng.choice(_THINGS)), rng.uniform(20, 90, 4), rng.beta(2, 4)))
            said.append(boxes)
    nowhere = [[_box("cat", np.array([900.0, 900, 20, 20]), 0.9)] for _ in range(n)]
    rows = pa.list_(OBJECT)
    both = Detections.of(pa.array(said, rows), pa.array(truth * 2, rows), _THINGS)
    return Twins(both, Detections.of(pa.array(nowhere, rows), pa.array(truth, rows), _THINGS))


_THINGS = ("bus", "car", "cat")


def _box(label: str, sides: npt.NDArray[np.float64], score: float | None = None) -> dict[str, Any]:
    x, y, w, h = np.maximum(sides, 1.0).tolist()
    return {"label": label, "bbox": [x, y, w, h], "score": score, "attributes": None}


# --- verdicts -------------------------------------------------------------------------------------


def samples(rng: np.random.Generator, runs: int, size: int, n: int = POPULATION) -> list[Keys]:
    """Return the rows of random slices, each ascending and without repetition."""
    return [np.sort(rng.choice(n, size, replace=False, shuffle=False)) for _ in range(runs)]


def evidence(check: Check, rows: Sequence[Keys], *models: Aligned) -> list[Evidence]:
    """Return the evidence of one expectation on each slice."""
    scopes = [JudgedSlice(Slice(f"s{i}", "true"), r, r) for i, r in enumerate(rows)]
    metric = m.suit(m.find(check.metric), models[0].outcomes.task)
    trials = [Trial(scope, check, models[0].model, metric) for scope in scopes]
    # Nothing is read: the outcomes are at hand, and no groups are asked for.
    inputs = Inputs(None, {a.model: a for a in models}, 0.95)  # type: ignore[arg-type]
    return list((absolute if check.baseline is None else paired)(trials, inputs))


def value(metric: str, aligned: Aligned) -> float:
    """Return a metric over the whole population."""
    whole = Membership([np.arange(aligned.outcomes.n)], aligned.outcomes.n)
    found = m.suit(m.find(metric), aligned.outcomes.task)
    return float(m.estimates(aligned.outcomes, whole, [found])[found.name].value[0])


def rate(k: int, n: int) -> str:
    """Return a share with its Monte-Carlo interval."""
    low, high = stats.wilson(k, n)
    return f"{k / n:6.1%} [{low:.1%}, {high:.1%}]" + (" *" if low > 0.05 else "")
