"""From expectations to trials: the baseline filled in, `per class` told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from slicedb import metrics as m
from slicedb.errors import CheckError, did_you_mean
from slicedb.expectations import Check
from slicedb.expectations.grammar import BASELINE
from slicedb.judge.aligned import Judged, Keys
from slicedb.judge.evidence import Trial
from slicedb.slices import Slice


def trials_of(
    checked: Sequence[tuple[Slice, list[Check]]],
    judged: Judged,
    rows: Sequence[Keys],
    baseline: str | None,
    group: str | None,
) -> list[Trial]:
    """Return the trials of all slices, in the order of their expectations.

    Args:
        checked: the slices with their expectations.
        judged: outcomes of the model under test.
        rows: per slice, the rows of the universe.
        baseline: what "baseline" stands for.
        group: the column whose groups are independent, for slices that name none.

    Raises:
        CheckError: there is no such class.
    """
    return [
        replace(trial, slice=i, expectation=str(check), column=s.group or group or "")
        for i, (s, checks) in enumerate(checked)
        for check in checks
        for trial in _expand(_with_baseline(check, baseline), judged, rows[i], s.name)
    ]


def _with_baseline(check: Check, baseline: str | None) -> Check:
    """Return the check with the model that "baseline" stands for, if one was named."""
    return replace(check, baseline=baseline) if check.baseline == BASELINE and baseline else check


def _expand(check: Check, judged: Judged, rows: Keys, name: str) -> list[Trial]:
    """Return the trials of a check, for `per class` one a class that the slice has.

    Raises:
        CheckError: there is no such class.
    """
    classes = judged.outcomes.classes
    if check.per_class:
        return _per_class(check, judged, rows)
    if check.of is not None and check.metric != "share" and check.of not in classes:
        hint = did_you_mean(check.of, classes, "classes")
        raise CheckError(
            f"In '{check}' of slice '{name}': {judged.model} has no class '{check.of}'.", hint
        )
    same = check.baseline == judged.model
    note = f"{judged.model} is compared with itself" if same else ""
    return [Trial(0, check, baseline=check.baseline, note=note)]


def _per_class(check: Check, judged: Judged, rows: Keys) -> list[Trial]:
    """Return a trial a class that samples of the slice have; one alone where they have none.

    Of the other classes nothing can be said here, and a slice of one class would be full of them.
    """
    outcomes = judged.outcomes
    there = outcomes.present_in(judged.members([rows]).positions[0])
    metric = m.suit(m.find(check.metric), outcomes.task)
    if m.missing(metric, outcomes) or not there:
        empty = m.empty(outcomes.task) if len(rows) else m.NO_SAMPLES
        reason = m.missing(metric, outcomes) or empty
        return [Trial(0, check, baseline=check.baseline, reason=reason)]
    each = [replace(check, per_class=False, of=outcomes.classes[code]) for code in there]
    trials = [Trial(0, one, baseline=one.baseline) for one in each]
    if absent := len(outcomes.classes) - len(there):
        total = len(outcomes.classes)
        trials[0].note = f"not judged: {absent:,} of {total:,} classes, which no sample has"
    return trials
