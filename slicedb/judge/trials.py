"""What a suite asks: one expectation of one slice, with its class and its baseline filled in."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from slicedb import metrics as m
from slicedb.errors import CheckError, did_you_mean
from slicedb.expectations import Check
from slicedb.expectations.grammar import BASELINE
from slicedb.judge.aligned import Aligned
from slicedb.judge.chosen import choosing
from slicedb.keys import Keys
from slicedb.metrics import Metric
from slicedb.metrics.computing import OneSided
from slicedb.show.numbers import count
from slicedb.slices import BrokenSlice, Slice

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}

EXACT = ("count", "share")
"""What is known exactly: the size of a slice, and its share of a split."""


@dataclass(frozen=True, eq=False)
class JudgedSlice:
    """A slice of a suite and the samples that it is judged on."""

    slice: Slice
    keys: Keys
    """int64 (n,): its members, or their holdout share where the slice has one."""
    rows: Keys
    """int64 (m,): their rows of the universe."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One expectation of one slice."""

    scope: JudgedSlice
    check: Check
    """The expectation, with its class and its baseline filled in."""
    model: str
    """The model under test."""
    metric: Metric | None = None
    """The metric as the task of the model has it, not bound to a class; None for counts, shares
    and behaviours."""
    expectation: str = ""
    """The expectation as the file says it."""
    group: str = ""
    """The column of samples whose groups are independent; "" where samples are."""
    note: str = ""
    """What a reader of the result should know."""
    chosen_by: str = ""
    """The compared model whose outputs choose the slice, "" for none: it does not gate then."""
    undefined: str = ""
    """Why it has no value, where that is known before anything is computed."""

    @property
    def is_exact(self) -> bool:
        """Whether its value is known exactly, so that chance plays no part."""
        return self.check.metric in EXACT

    @property
    def is_share(self) -> bool:
        """Whether its metric lies in [0, 1] whatever the data."""
        return self.check.metric != "count" if self.metric is None else self.metric.is_share

    @property
    def rises(self) -> bool:
        """Whether higher values are better."""
        return self.metric is None or self.metric.rises

    @property
    def wants_high(self) -> bool:
        """Whether the value should lie above the bound."""
        return self.rises if self.check.baseline is not None else self.check.op in (">=", ">")

    @property
    def bound(self) -> float:
        """The number that the value, or its difference to the baseline, is compared with."""
        if self.check.baseline is None:
            return self.check.bound
        return -self.check.margin if self.rises else self.check.margin

    @property
    def sides(self) -> tuple[OneSided, OneSided]:
        """The direction in which evidence against the expectation lies, and that for it."""
        return ("less", "greater") if self.wants_high else ("greater", "less")

    def holds(self, value: float) -> bool:
        """Return whether a value is on the right side of the bound."""
        op = self.check.op
        if self.check.baseline is not None:
            op = ">=" if self.rises else "<="
        return _COMPARE[op](value, self.bound)


def trials_of(
    scopes: Sequence[JudgedSlice],
    checks: Sequence[Sequence[Check]],
    model: Aligned,
    baseline: str | None,
    group: str | None,
) -> tuple[list[Trial], list[BrokenSlice]]:
    """Return the trials in the order of the expectations, and the slices that have a wrong one.

    Args:
        scopes: the slices.
        checks: the expectations of each slice.
        model: predictions of the model under test.
        baseline: the model that "baseline" stands for.
        group: the column whose groups are independent, for slices that name none.
    """
    trials: list[Trial] = []
    broken: list[BrokenSlice] = []
    for scope, of_slice in zip(scopes, checks):
        try:
            trials += _of_slice(scope, of_slice, model, baseline, group)
        except CheckError as error:
            s = scope.slice
            broken.append(BrokenSlice(s.name, str(error), s.path, s.suite, error))
    return trials, broken


def _of_slice(
    scope: JudgedSlice,
    checks: Sequence[Check],
    model: Aligned,
    baseline: str | None,
    group: str | None,
) -> list[Trial]:
    """Return the trials of one slice.

    Raises:
        CheckError: there is no such class.
    """
    trials: list[Trial] = []
    chosen: dict[str, str] = {}
    for check in checks:
        named = check
        if check.baseline == BASELINE and baseline:
            named = replace(check, baseline=baseline)
        column = scope.slice.group or group or ""
        trial = Trial(scope, named, model.model, _metric(named, model), str(check), column)
        if named.baseline not in (None, BASELINE) and scope.slice.decide == "interval":
            if named.baseline not in chosen:
                chosen[named.baseline] = choosing(scope.slice, model.model, named.baseline)
            trial = replace(trial, chosen_by=chosen[named.baseline])
        trials += _per_class(trial, model) if check.per_class else [_one(trial, model)]
    return trials


def _metric(check: Check, model: Aligned) -> Metric | None:
    if check.metric in EXACT or check.change is not None:
        return None
    return m.suit(m.find(check.metric), model.outcomes.task)


def _one(trial: Trial, model: Aligned) -> Trial:
    """Return the trial with what is known of it before anything is computed.

    Raises:
        CheckError: the model has no such class.
    """
    check, classes = trial.check, model.outcomes.classes
    if check.of is not None and check.metric != "share" and check.of not in classes:
        hint = did_you_mean(check.of, classes, "classes")
        name = trial.scope.slice.name
        raise CheckError(
            f"In '{check}' of slice '{name}': {trial.model} has no class '{check.of}'.", hint
        )
    if check.baseline == BASELINE:
        return replace(trial, undefined="no baseline was named")
    same = check.baseline == trial.model
    return replace(trial, note=f"{trial.model} is compared with itself") if same else trial


def _per_class(trial: Trial, model: Aligned) -> list[Trial]:
    """Return a trial for each class that samples of the slice have; one alone where there is none.

    Nothing is known of the other classes, and a slice of one class would be full of them.
    """
    outcomes, rows = model.outcomes, trial.scope.rows
    present = outcomes.present_in(model.members([rows]).positions[0])
    assert trial.metric is not None
    missing = m.missing(trial.metric, outcomes)
    if missing or not present:
        empty = model.task.empty if len(rows) else m.NO_SAMPLES
        return [replace(trial, undefined=missing or empty)]
    reason = "no baseline was named" if trial.check.baseline == BASELINE else ""
    trials = [
        replace(
            trial,
            check=replace(trial.check, per_class=False, of=outcomes.classes[code]),
            undefined=reason,
        )
        for code in present
    ]
    if absent := len(outcomes.classes) - len(present):
        total = len(outcomes.classes)
        note = f"not judged: {absent:,} of {count(total, 'class', 'classes')}, which no sample has"
        trials[0] = replace(trials[0], note=note)
    return trials
