"""Verdicts over many looks, with `sequential` and without; run by `honesty.py --only looks`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from simulated import evidence, model, rate, right, truth, value

from slicedb.expectations import Check
from slicedb.judge import Aligned
from slicedb.judge.evidence import Inputs
from slicedb.judge.looks import Look, looks_of
from slicedb.judge.suite import over_looks
from slicedb.judge.verdicts import SuiteSettings, verdicts
from slicedb.keys import Keys
from slicedb.metrics.outcomes import Ints

NIGHTS = 30
FIRST = 200
"""Samples of the first night, and of each night after it."""

CANDIDATES = 20


@dataclass
class History:
    """The earlier looks at each slice of a suite."""

    sequential: bool
    past: dict[int, list[Look]] = field(default_factory=dict)

    def verdicts(
        self, check: Check, rows: Sequence[Keys], *models: Aligned, guard: str = "fail"
    ) -> list[str]:
        """Return the verdicts of one look, and keep it."""
        settings = SuiteSettings(sequential=self.sequential, guard=guard)  # type: ignore[arg-type]
        found = evidence(check, rows, *models)
        names = [m.model for m in models]
        who = " | ".join(names)
        looks = [looks_of(e, who, self.past.get(i, ()), e.least(10)) for i, e in enumerate(found)]
        if self.sequential:
            # Nothing is read: the outcomes are at hand.
            inputs = Inputs(None, dict(zip(names, models)), 0.95)  # type: ignore[arg-type]
            found = over_looks(found, looks, inputs)
        for i, e in enumerate(found):
            self.past.setdefault(i, []).append(Look(names[0], who, e.n, e.value))
        return [result.verdict for result in verdicts(found, settings, looks)]


def noisy(rng: np.random.Generator, name: str, logits: np.ndarray, label: Ints) -> Aligned:
    """Return a model that sees the logits through noise of its own."""
    return model(name, logits + 3 * rng.normal(size=logits.shape), label)


def sliced(rng: np.random.Generator, slices: int, n: int) -> list[Keys]:
    """Return overlapping slices; one alone is everything."""
    if slices == 1:
        return [np.arange(n)]
    return [np.flatnonzero(rng.random(n) < rng.uniform(0.05, 0.5)) for _ in range(slices)]


def _exact(metric: str, seed: int) -> float:
    """Return the true value of the model that `noisy` makes."""
    rng = np.random.default_rng(seed)
    logits, label = truth(rng, 200_000, 12.0)
    return value(metric, noisy(rng, "new", logits, label))


def growing(runs: int, metrics: Sequence[str], seed: int) -> None:
    """Print any FAIL and any PASS over nights whose data grow, the truth at the bound."""
    for metric in metrics:
        rises = metric not in ("log_loss", "brier")
        plain = Check(metric, ">=" if rises else "<=", _exact(metric, seed))
        for kind, check in (("paired", Check(metric, baseline="old")), ("plain", plain)):
            for slices in (1, 20):
                for sequential in (False, True):
                    rng = np.random.default_rng(seed)
                    times = runs if slices == 1 else max(runs // 4, 50)
                    nights = [_nights(rng, check, slices, sequential) for _ in range(times)]
                    failed, passed = (sum(v in n for n in nights) for v in ("FAIL", "PASS"))
                    way = "sequential" if sequential else "each alone"
                    print(
                        f"{kind} {metric:12} {slices:3} slices, {NIGHTS} nights, {way:10}  any "
                        f"FAIL {rate(failed, times):28} any PASS {rate(passed, times)}",
                        flush=True,
                    )


def _nights(rng: np.random.Generator, check: Check, slices: int, sequential: bool) -> set[str]:
    """Return the verdicts of all nights."""
    n = NIGHTS * FIRST
    logits, label = truth(rng, n, 12.0)
    models = [noisy(rng, "new", logits, label)]
    if check.baseline:
        models.append(noisy(rng, "old", logits, label))
    members, history, seen = sliced(rng, slices, n), History(sequential), set[str]()
    for night in range(1, NIGHTS + 1):
        rows = [r[r < night * FIRST] for r in members]
        seen |= set(history.verdicts(check, rows, *models))
    return seen


def candidates(runs: int, seed: int) -> None:
    """Print any PASS and any FAIL of candidates as good as the baseline, on one holdout."""
    for sequential in (False, True):
        rng = np.random.default_rng(seed)
        failed = passed = 0
        for _ in range(runs):
            logits, label = truth(rng, 1000, 12.0)
            old, history, seen = noisy(rng, "old", logits, label), History(sequential), set[str]()
            for i in range(CANDIDATES):
                check = Check("accuracy", baseline="old")
                new = noisy(rng, f"new{i}", logits, label)
                seen |= set(history.verdicts(check, [np.arange(1000)], new, old))
            failed, passed = failed + ("FAIL" in seen), passed + ("PASS" in seen)
        way = "sequential" if sequential else "each alone"
        print(
            f"{CANDIDATES} equal candidates, one holdout of 1,000, {way:10}  any FAIL "
            f"{rate(failed, runs):28} any PASS {rate(passed, runs)}",
            flush=True,
        )


def power(runs: int, seed: int) -> None:
    """Print how often a drop is found by the last night, beside one look at all the data."""
    n = NIGHTS * FIRST
    for drop in (0.01, 0.015, 0.02):
        rng = np.random.default_rng(seed)
        once = alone = together = 0
        for _ in range(runs):
            logits, label = truth(rng, n, 12.0)
            old, new = noisy(rng, "old", logits, label), noisy(rng, "new", logits, label)
            was, before = new.outcomes.correct.copy(), old.outcomes.correct
            was &= rng.random(n) >= drop / was.mean()
            old, new = right("old", before), right("new", was)
            check, whole = Check("accuracy", baseline="old"), [np.arange(n)]
            once += History(False).verdicts(check, whole, new, old)[0] == "FAIL"
            first = History(True).verdicts(check, whole, new, old)[0] == "FAIL"
            alone += first
            history, found = History(True), False
            for night in range(1, NIGHTS + 1):
                found |= history.verdicts(check, [np.arange(night * FIRST)], new, old)[0] == "FAIL"
            together += found
        print(
            f"drop of {100 * drop:g} points in {n:,} samples: found by one look {once / runs:.1%}, "
            f"by one look that leaves room for others {alone / runs:.1%}, "
            f"over {NIGHTS} sequential looks {together / runs:.1%}",
            flush=True,
        )


def looks(runs: int, sizes: Sequence[int], metrics: Sequence[str], seed: int) -> None:
    """Print false verdicts over many looks, and the power that preventing them costs."""
    some = [name for name in metrics if name in ("accuracy", "log_loss", "auroc")]
    candidates(runs // 4, seed)
    power(max(runs // 20, 50), seed)
    growing(max(runs // 10, 50), some, seed)
