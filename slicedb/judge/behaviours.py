"""Trials of behaviour: invariance, direction, and accuracy on corrupted pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from slicedb import stats
from slicedb.behaviour.expect import Rate, accuracy, agreement, composed, direction, invariance
from slicedb.behaviour.spoilt import spoilt
from slicedb.errors import CheckError
from slicedb.expectations import Check
from slicedb.expectations.behaviours import Change
from slicedb.judge.aligned import Keys
from slicedb.judge.evidence import Trial
from slicedb.store import Store

SHOWN = 3
"""Offending pairs that a result names."""

Behave = Callable[[str, Keys, list[Change]], object]
"""Predicts corrupted pictures of a model where that is missing: name, keys, corruptions."""


def fill(behave: Behave, model: str, checked: Sequence[Sequence[Check]], keys: list[Keys]) -> None:
    """Have corrupted pictures predicted; slices that ask the same corruptions go together."""
    asked: dict[Change, set[int]] = defaultdict(set)
    for i, checks in enumerate(checked):
        for check in checks:
            if check.change is not None and not check.change.is_composed:
                asked[check.change].add(i)
    together: dict[frozenset[int], list[Change]] = defaultdict(list)
    for what, slices in asked.items():
        together[frozenset(slices)].append(what)
    for members, changes in together.items():
        union = np.unique(np.concatenate([keys[i] for i in members]))
        behave(model, union, changes)


def judge(
    store: Store, trials: Sequence[Trial], keys: Sequence[Keys], model: str, confidence: float
) -> None:
    """Fill in trials that change the pictures.

    Args:
        store: the database.
        trials: those with a `change`.
        keys: of each slice.
        model: the model under test.
        confidence: of each bound alone.
    """
    for trial in trials:
        assert trial.check.change is not None
        try:
            rate = _rate(
                store, trial.check, trial.check.change, keys[trial.slice], model, confidence
            )
        except CheckError as error:
            trial.reason = str(error)
            continue
        _take(trial, rate, confidence)


def _rate(
    store: Store, check: Check, what: Change, keys: Keys, model: str, confidence: float
) -> Rate:
    if what.is_composed:
        rows = composed(store, model, keys)
        if not len(rows):
            raise CheckError("No sample of the slice is a composition.", "compose templates first.")
        if check.metric == "direction":
            return direction(rows, confidence)
        if check.metric == "accuracy":
            return accuracy(rows, confidence)
        return invariance(rows, what.name, confidence)
    said = spoilt(store, model, keys, what)
    before = said["before"] if check.metric == "invariance" else said["label"]
    columns = before.to_pylist(), said["after"].to_pylist(), said["id"].to_pylist()
    return agreement(*columns, str(what), confidence)


def _take(trial: Trial, rate: Rate, confidence: float) -> None:
    """Note what a rate says."""
    trial.value, trial.low, trial.high = rate.value, rate.low, rate.high
    trial.n, trial.left_out = rate.samples, rate.left_out
    if np.isnan(rate.value):
        trial.reason = "no picture has a prediction before and after the change"
        return
    side = "less" if trial.wants_high else "greater"
    held = rate.value * rate.groups
    trial.p = float(stats.proportion_p(held, rate.groups, trial.bound, side))  # type: ignore[arg-type]
    trial.basis = _basis(trial.check, rate)
    trial.evidence = _evidence(trial.check, rate)
    trial.worst = tuple(dict.fromkeys(i for pair in rate.pairs[:SHOWN] for i in (pair[0], pair[2])))
    trial.needs = _needed(trial, rate, confidence)


def _basis(check: Check, rate: Rate) -> str:
    if check.change is None or not check.change.is_composed:
        return ""
    if check.metric == "direction":
        return f"{rate.n:,} pairs of foregrounds, as sure as {rate.groups:,} independent ones"
    if check.metric == "accuracy":
        return f"in {rate.groups:,} foregrounds"
    return f"{rate.n:,} sets in {rate.groups:,} foregrounds"


def _evidence(check: Check, rate: Rate) -> str:
    """Return the offending pairs as text."""
    shown = []
    for first, said, second, other in rate.pairs[:SHOWN]:
        if first == second and check.change is not None and check.change.is_composed:
            shown.append(f"'{first}' is {other}, taken for {said}")
        elif first == second:
            was = "is" if check.metric == "accuracy" else "was"
            shown.append(f"'{first}' {was} {said}, under {check.change} {other}")
        elif said == other:
            shown.append(f"'{first}' and '{second}' are both {said}")
        else:
            shown.append(f"'{first}' is {said}, '{second}' {other}")
    more = len(rate.pairs) - len(shown)
    return "; ".join(shown) + (f"; and {more:,} more" if more > 0 else "")


def _needed(trial: Trial, rate: Rate, confidence: float) -> Callable[[], int | None]:
    """Return the function that gives the pictures that would settle a trial."""

    def needs() -> int | None:
        if trial.value == trial.bound:
            return None

        def clears(k: int) -> bool:
            low, high = stats.clopper_pearson(trial.value * k, k, confidence, sides=1)
            return bool(low > trial.bound or high < trial.bound)

        groups = stats.n_to_clear(clears, max(1, rate.groups))
        return None if groups is None else int(np.ceil(groups * rate.samples / rate.groups))

    return needs
