"""Differences of means: few samples that carry them, and differences that are all the same."""

from __future__ import annotations

import numpy as np
import pytest

from slicedb import metrics as m
from slicedb import stats
from slicedb.expectations import Check
from slicedb.judge import Aligned
from slicedb.judge.evidence import Evidence, Inputs
from slicedb.judge.paired import paired
from slicedb.judge.trials import JudgedSlice, Trial
from slicedb.judge.verdicts import SuiteSettings, verdicts
from slicedb.metrics.regression import PredictedNumbers
from slicedb.slices import Slice


def compared(new: np.ndarray, old: np.ndarray, margin: float = 0.0) -> Evidence:
    """Return the evidence for "mae no worse than old by margin" from the errors of both."""
    rows = np.arange(len(new))
    models = {
        name: Aligned(name, PredictedNumbers(np.zeros(len(rows)), errors), rows, rows)
        for name, errors in (("new", new), ("old", old))
    }
    scope = JudgedSlice(Slice("s", "true"), rows, rows)
    trial = Trial(scope, Check("mae", baseline="old", margin=margin), "new", m.find("mae"))
    return next(paired([trial], Inputs(None, models, 0.95)))  # type: ignore[arg-type]


def verdict(evidence: Evidence) -> tuple[str, str]:
    result = verdicts([evidence], SuiteSettings())[0]
    return result.verdict, result.message


def test_few_samples_that_make_a_difference_need_more_evidence() -> None:
    # one sample of forty that is off by 100 makes nearly all of the spread
    new = np.append(np.full(39, 1.0) + np.linspace(0, 0.1, 39), 100.0)
    evidence = compared(new, np.zeros(40))
    assert evidence.carriers == pytest.approx(1.05, abs=0.01)
    # Student's interval of two values (one degree of freedom) at a quarter of 5 %
    d = new - 0
    error = d.std(ddof=1) / np.sqrt(40)
    low = d.mean() - 25.4517 * error  # stdtrit(1, 1 - 0.0125)
    assert evidence.low == pytest.approx(low, rel=1e-4)
    said, message = verdict(evidence)
    assert said == "INCONCLUSIVE" and "about 1 of which make the whole difference" in message


def test_a_model_that_is_always_wrong_fails_though_few_samples_make_the_spread() -> None:
    old = np.append(np.linspace(0, 1, 37), [12.0, 14.0, 16.0])
    evidence = compared(np.full(40, 200.0), old)
    assert evidence.carriers is not None and evidence.carriers < 8
    assert verdict(evidence)[0] == "FAIL"


def test_differences_that_are_all_the_same_have_a_width() -> None:
    evidence = compared(np.full(40, 1.5), np.full(40, 1.0), margin=1.0)
    assert (evidence.value, evidence.low, evidence.high) == (0.5, -np.inf, np.inf)
    assert verdict(evidence)[0] == "INCONCLUSIVE"
    same = compared(np.linspace(0, 1, 40), np.linspace(0, 1, 40), margin=0.1)
    assert (same.low, same.high) == (0.0, 0.0) and verdict(same)[0] == "PASS"
    with np.errstate(all="raise"):
        low, high = stats.equal_interval(0.5, 40, (-2.0, 2.0), 0.05)
    assert (low, high) == (pytest.approx(0.3197, abs=1e-4), pytest.approx(0.6082, abs=1e-4))
