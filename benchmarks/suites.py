"""Suites of many tests: false alarms, and what they find; run by `honesty.py --only suites`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from simulated import evidence, rate, right

from slicedb.expectations import Check
from slicedb.judge.verdicts import SuiteSettings, verdicts
from slicedb.keys import Keys
from slicedb.metrics.outcomes import Bools


def suites(runs: int, sizes: Sequence[int], metrics: Sequence[str], seed: int) -> None:
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
    models = [right(name, was) for name, was in (("new", new), ("old", old))]
    found = evidence(Check("accuracy", baseline="old", margin=margin), rows, *models)
    return [result.verdict for result in verdicts(found, SuiteSettings())]
