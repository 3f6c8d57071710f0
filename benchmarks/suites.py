"""Suites of many tests: false alarms, and what they find; run by `honesty.py --only suites`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from simulated import (
    Twins,
    classifiers,
    detectors,
    evidence,
    label_sets,
    numbers,
    rate,
    right,
    value,
)

from slicedb import metrics as m
from slicedb.expectations import Check
from slicedb.judge import Aligned
from slicedb.judge.verdicts import SuiteSettings, verdicts
from slicedb.keys import Keys
from slicedb.metrics.outcomes import Bools

KINDS: dict[str, tuple[Callable[[np.random.Generator], Twins], int, tuple[str, ...]]] = {
    "classification": (
        classifiers,
        4_000,
        tuple(
            "accuracy balanced_accuracy precision recall f1 f1_weighted top_2 log_loss brier ece "
            "auroc average_precision".split()
        ),
    ),
    "regression": (numbers, 4_000, ("mae", "rmse", "mse", "bias")),
    "multilabel": (
        label_sets,
        4_000,
        tuple("accuracy hamming_loss f1 f1_micro auroc average_precision log_loss".split()),
    ),
    "detection": (
        detectors,
        1_000,
        tuple("map ap50 precision recall f1 mean_iou loss".split()),
    ),
}
"""By task: its models, the samples of a suite, and the metrics."""


def overlapping(rng: np.random.Generator, slices: int, n: int) -> list[Keys]:
    """Return slices of 5 to 50 % of the samples."""
    shares = rng.uniform(0.05, 0.5, slices)
    return [np.flatnonzero(rng.random(n) < share) for share in shares]


def verdicts_of(
    check: Check, rows: Sequence[Keys], models: Sequence[Aligned], guard: str = "fail"
) -> list[str]:
    """Return the verdict of one expectation on each slice, all slices counted."""
    settings = SuiteSettings(guard=guard)  # type: ignore[arg-type]
    return [result.verdict for result in verdicts(evidence(check, rows, *models), settings)]


def null(runs: int, slices: int, tasks: Sequence[str], metrics: Sequence[str], seed: int) -> None:
    """Print for each metric how many suites show any FAIL though nothing is worse.

    Beside it any PASS of a suite whose slices lie at their bounds, alone and with `guard: pass`,
    and how many of the slices of a model that is never right FAIL.
    """
    for task in tasks:
        make, size, names = KINDS[task]
        rng = np.random.default_rng(seed)
        twins = make(rng)
        whole = np.arange(twins.both.n)
        exact = Aligned("both", twins.both, whole, whole)
        for name in names:
            if metrics and name not in metrics:
                continue
            rises = m.suit(m.find(name), task).rises
            against = Check(name, baseline="old")
            plain = Check(name, ">=" if rises else "<=", value(name, exact))
            false, plainly, passed, guarded = 0, 0, 0, 0
            began = time.process_time()
            for _ in range(runs):
                models, rows = twins.suite(rng, size), overlapping(rng, slices, size)
                false += "FAIL" in verdicts_of(against, rows, models)
                found = evidence(plain, rows, *models[:1])
                alone, together = (
                    [r.verdict for r in verdicts(found, SuiteSettings(guard=guard))]
                    for guard in ("fail", "pass")
                )
                plainly += "FAIL" in alone
                passed, guarded = passed + ("PASS" in alone), guarded + ("PASS" in together)
            wrong = verdicts_of(against, rows, twins.suite(rng, size, wrong=True)).count("FAIL")
            seconds = (time.process_time() - began) / runs
            print(
                f"{name:18} {slices:4}  {rate(false, runs):26} {rate(plainly, runs):26} "
                f"{rate(passed, runs):26} {rate(guarded, runs):26} {wrong:4} {seconds:7.3f}",
                flush=True,
            )


def power(runs: int, seed: int) -> None:
    """Print false alarms and power of suites with a margin; accuracy, 8,000 samples."""
    rng, n = np.random.default_rng(seed), 8_000
    for margin in (0.0, 0.01):
        false = hit = alone = 0
        for _ in range(runs):
            chance = rng.beta(0.35, 0.054, n)  # of being right; 0.87 on average
            old, new = rng.random(n) < chance, rng.random(n) < chance
            new &= rng.random(n) >= margin / chance.mean()  # worse by the margin, everywhere
            rows = [np.arange(1000)]
            rows += [np.flatnonzero(rng.random(n) < rng.uniform(0.03, 0.5)) for _ in range(19)]
            dropped = new.copy()
            dropped[rng.permutation(np.flatnonzero(new[:1000]))[:50]] = False
            false += "FAIL" in _accuracies(new, old, rows, margin)
            hit += _accuracies(dropped, old, rows, margin)[0] == "FAIL"
            alone += _accuracies(dropped, old, rows[:1], margin)[0] == "FAIL"
        print(f"margin {margin}: any FAIL {rate(false, runs)}")
        print(f"    five points lost: {hit / runs:.1%}, that slice alone {alone / runs:.1%}")


def _accuracies(new: Bools, old: Bools, rows: Sequence[Keys], margin: float) -> list[str]:
    """Return the verdict of "accuracy no worse than baseline" for each slice."""
    check = Check("accuracy", baseline="old", margin=margin)
    return verdicts_of(check, rows, [right("new", new), right("old", old)])


def suites(runs: int, sizes: Sequence[int], metrics: Sequence[str], seed: int) -> None:
    """Print false alarms of suites of 20 slices for every metric, and power."""
    power(runs, seed)
    print(
        f"{'':18} {'':4}  {'any FAIL, paired':26} {'any FAIL, at the bound':26} "
        f"{'any PASS, at the bound':26} {'the same, guard: pass':26} FAIL of a wrong model"
    )
    null(max(runs // 10, 50), 20, tuple(KINDS), (), seed)
