"""Evidence of behaviour: invariance, direction, and accuracy on corrupted pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from slicedb import stats
from slicedb.behaviour.expect import Rate, accuracy, agreement, composed, direction, invariance
from slicedb.behaviour.spoilt import spoilt
from slicedb.errors import CheckError
from slicedb.expectations import Check
from slicedb.expectations.behaviours import Change
from slicedb.judge.evidence import Evidence, Failures, Inputs
from slicedb.judge.trials import Trial
from slicedb.keys import Keys, distinct
from slicedb.show.numbers import count
from slicedb.store import Store

SHOWN = 3
"""Offending pairs that a result names."""

Behave = Callable[[str, Keys, list[Change]], object]
"""Predicts corrupted pictures of a model where that is missing: name, keys, corruptions."""


def fill(
    behave: Behave, model: str, keys: Sequence[Keys], checks: Sequence[Sequence[Check]]
) -> None:
    """Have corrupted pictures predicted; slices that ask for the same corruptions go together."""
    asked: dict[Change, set[int]] = defaultdict(set)
    for i, of_slice in enumerate(checks):
        for check in of_slice:
            if check.change is not None and not check.change.is_composed:
                asked[check.change].add(i)
    together: dict[frozenset[int], list[Change]] = defaultdict(list)
    for change, slices in asked.items():
        together[frozenset(slices)].append(change)
    for members, changes in together.items():
        behave(model, distinct(np.concatenate([keys[i] for i in members])), changes)


def behaviours(trials: Sequence[Trial], inputs: Inputs) -> Iterator[Evidence]:
    """Yield the evidence for trials that change the pictures."""
    for trial in trials:
        assert trial.check.change is not None
        try:
            _check_truth(trial, inputs)
            rate = _rate(inputs.store, trial, trial.check.change, inputs.confidence)
        except CheckError as error:
            yield Evidence(trial=trial, undefined=str(error))
            continue
        yield evidence_of(trial, rate, inputs.confidence)


def _check_truth(trial: Trial, inputs: Inputs) -> None:
    """Refuse accuracy on changed pictures against another truth: it is one of the pictures as
    they are.
    """
    if inputs.model.truth is not None and trial.check.metric == "accuracy":
        raise CheckError(
            f"Changed pictures are compared with labels, not with {inputs.model.truth}.",
            "run these expectations without a truth.",
        )


def _rate(store: Store, trial: Trial, change: Change, confidence: float) -> Rate:
    metric, model, keys = trial.check.metric, trial.model, trial.scope.keys
    if change.is_composed:
        rows = composed(store, model, keys)
        if not len(rows):
            raise CheckError("No sample of the slice is a composition.", "compose templates first.")
        if metric == "invariance":
            return invariance(rows, change.name, confidence)
        return (direction if metric == "direction" else accuracy)(rows, confidence)
    rows = spoilt(store, model, keys, change)
    before = rows["before" if metric == "invariance" else "label"]
    columns = before.to_pylist(), rows["after"].to_pylist(), rows["id"].to_pylist()
    return agreement(*columns, str(change), confidence)


def evidence_of(trial: Trial, rate: Rate, confidence: float) -> Evidence:
    """Return the evidence that a rate is."""
    value, n = rate.value, rate.samples
    evidence = Evidence(
        trial=trial, value=value, low=rate.low, high=rate.high, n=n, left_out=rate.left_out
    )
    if np.isnan(value):
        reason = "no picture has a prediction before and after the change"
        return replace(evidence, undefined=reason)
    p, p_pass = (
        float(stats.proportion_p(value * rate.groups, rate.groups, trial.bound, side))
        for side in trial.sides
    )
    ids = tuple(dict.fromkeys(i for pair in rate.pairs[:SHOWN] for i in (pair[0], pair[2])))
    return replace(
        evidence,
        p=p,
        p_pass=p_pass,
        failures=Failures(_basis(trial.check, rate), _shown(trial.check, rate), ids),
        worst=ids,
    )


def _basis(check: Check, rate: Rate) -> str:
    if check.change is None or not check.change.is_composed:
        return ""
    if check.metric == "direction":
        alone = count(rate.groups, "independent one")
        return f"{count(rate.n, 'pair')} of foregrounds, as sure as {alone}"
    if check.metric == "accuracy":
        return f"in {count(rate.groups, 'foreground')}"
    return f"{count(rate.n, 'set')} in {count(rate.groups, 'foreground')}"


def _shown(check: Check, rate: Rate) -> str:
    """Return the first pictures on which a behaviour does not hold, as text."""
    shown = []
    for first, one, second, other in rate.pairs[:SHOWN]:
        if first == second and check.change is not None and check.change.is_composed:
            shown.append(f"'{first}' is {other}, taken for {one}")
        elif first == second:
            was = "is" if check.metric == "accuracy" else "was"
            shown.append(f"'{first}' {was} {one}, under {check.change} {other}")
        elif one == other:
            shown.append(f"'{first}' and '{second}' are both {one}")
        else:
            shown.append(f"'{first}' is {one}, '{second}' {other}")
    more = len(rate.pairs) - len(shown)
    return "; ".join(shown) + (f"; and {more:,} more" if more > 0 else "")
