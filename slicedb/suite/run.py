"""Running a suite: gather, judge, count the tests, decide, write down."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

import numpy as np

from slicedb import evaluate, schema, stats
from slicedb import metrics as m
from slicedb.errors import CheckError, did_you_mean
from slicedb.evaluate.judged import Judged, Keys
from slicedb.slices import Check, Slice, parse_check
from slicedb.slices.expect import BASELINE
from slicedb.slices.looks import LIMIT, guarded, warnings
from slicedb.store import Store
from slicedb.suite import absolute, behaviour, page, paired, verdicts
from slicedb.suite.record import record
from slicedb.suite.records import Report
from slicedb.suite.settings import check_settings
from slicedb.suite.trial import Trial

Correction = Literal["auto", "holm", "max-t", "benjamini-hochberg", "none"]

MINIMUM = 10
"""Samples below which a slice reports but does not gate."""


def run(
    store: Store,
    slices: Sequence[Slice],
    *,
    model: str,
    baseline: str | None = None,
    predict: Callable[[str, Keys], object] | None = None,
    behave: behaviour.Behave | None = None,
    confidence: float = 0.95,
    correction: Correction = "auto",
    strict: bool = False,
    minimum: int = MINIMUM,
    group: str | None = None,
    detect: float | None = None,
    looks: int | None = LIMIT,
    write: bool = True,
) -> Report:
    """Judge the expectations of slices.

    Args:
        store: where labels and predictions are, and where the run is written down.
        slices: those with expectations are judged, on their holdout share if they have one.
        model: the model under test.
        baseline: what "baseline" stands for in expectations.
        predict: called once a model with the union of the keys, to fill in what is missing.
        behave: the same for corrupted pictures, where expectations speak of them.
        confidence: of each one-sided bound; 1 - confidence bounds the chance that a suite in
            which every expectation holds shows any FAIL.
        correction: how many tests are counted; "auto" is max-T for the comparisons with one
            baseline (its slices overlap) and Holm elsewhere.
        strict: INCONCLUSIVE counts as failure.
        minimum: samples below which a slice reports but does not gate.
        group: a column of samples (the video a frame is of, say) whose groups are independent
            where samples are not: intervals resample whole groups, signs flip together. A
            slice's own `group` goes first.
        detect: the drop in accuracy that must not be missed: max-T spends the error rate on the
            slices in which it is decided (`slicedb.stats.detection_weights`); None treats all
            slices alike.
        looks: runs over a slice with a holdout after which they are warned of; 0 never warns.
        write: store the run in `runs` and `tests`.

    Raises:
        UnknownModelError: a model has no predictions.
        CheckError: an expectation does not parse or names a class that does not exist.
        SliceError: a setting is not right.
    """
    check_settings(confidence, correction, detect=detect)
    started, began = time.perf_counter(), datetime.now(UTC)
    checked = [(s, [parse_check(text) for text in s.expect]) for s in slices]
    keys = [s.holdout_keys() for s, _ in checked]
    models = _models(model, baseline, (c for _, checks in checked for c in checks))
    if predict is not None:
        union = np.unique(np.concatenate(keys)) if keys else np.empty(0, np.int64)
        for name in models:
            predict(name, union)
    if behave is not None:
        behaviour.fill(behave, model, [checks for _, checks in checked], keys)
    judged = {name: evaluate.load(store, name) for name in models}
    rows = [evaluate.universe(store).rows(k) for k in keys]
    trials = [
        replace(trial, slice=i, expectation=str(check), column=s.group or group or "")
        for i, (s, checks) in enumerate(checked)
        for check in checks
        for trial in _expand(_with_baseline(check, baseline), judged[model], rows[i])
    ]
    sizes = [len(k) for k in keys]
    _judge_sizes(store, [t for t in trials if t.check.metric in ("count", "share")], checked)
    groups = [_groups(store, s.group or group) for s, _ in checked]
    _judge_values(trials, judged, model, rows, sizes, groups, confidence)
    changed = [t for t in trials if t.check.change is not None]
    behaviour.judge(store, changed, keys, model, confidence)
    verdicts.correct(trials, checked, correction, minimum, detect, 1 - confidence)
    results = verdicts.decide(store, trials, checked, judged, model, confidence, minimum)
    every = np.unique(np.concatenate(keys)) if keys else np.empty(0, np.int64)
    report = Report(
        tuple(results),
        model,
        baseline,
        confidence,
        correction,
        strict,
        f"{began:%Y%m%dT%H%M%S}-{uuid4().hex[:6]}",
        began.isoformat(timespec="seconds"),
        0.0,
        lambda: page.facts(store, results, judged, model, every),
        _facts(store, checked, models, judged, rows),
    )
    report = replace(report, seconds=time.perf_counter() - started)
    if not write:
        return report
    record(store, report)
    sizes_of = {s.name: n for (s, _), n in zip(checked, sizes)}
    return replace(report, warnings=warnings(store, report.facts["looks"], sizes_of, looks))


def _groups(store: Store, column: str | None) -> Keys | None:
    return None if column is None else evaluate.groups_of(store, column)


def _with_baseline(check: Check, baseline: str | None) -> Check:
    """Return the check with the model that "baseline" stands for, if one was named."""
    return replace(check, baseline=baseline) if check.baseline == BASELINE and baseline else check


def _models(model: str, baseline: str | None, checks: Iterable[Check]) -> list[str]:
    named = [c.baseline for c in checks if c.baseline not in (None, BASELINE)]
    every = [model, *([baseline] if baseline else []), *(n for n in named if n)]
    return list(dict.fromkeys(every))


def _expand(check: Check, judged: Judged, rows: Keys) -> list[Trial]:
    """Return the trials of a check, for `per class` one a class that the slice has.

    Raises:
        CheckError: there is no such class.
    """
    classes = judged.outcomes.classes
    if check.per_class:
        return _per_class(check, judged, rows)
    if check.of is not None and check.metric != "share" and check.of not in classes:
        hint = did_you_mean(check.of, classes, "classes")
        raise CheckError(f"In '{check}': {judged.model} has no class '{check.of}'.", hint)
    return [Trial(0, check, baseline=check.baseline)]


def _per_class(check: Check, judged: Judged, rows: Keys) -> list[Trial]:
    """Return a trial a class that samples of the slice have; one alone where they have none.

    Of the other classes nothing can be said here, and a slice of one class would be full of them.
    """
    outcomes = judged.outcomes
    there = outcomes.present_in(judged.members([rows]).positions[0])
    metric = m.suit(m.find(check.metric), outcomes.task)
    if m.missing(metric, outcomes) or not there:
        reason = m.missing(metric, outcomes) or m.empty(outcomes.task)
        return [Trial(0, check, baseline=check.baseline, reason=reason)]
    each = [replace(check, per_class=False, of=outcomes.classes[code]) for code in there]
    trials = [Trial(0, one, baseline=one.baseline) for one in each]
    if absent := len(outcomes.classes) - len(there):
        total = len(outcomes.classes)
        trials[0].note = f"not judged: {absent:,} of {total:,} classes, which no sample has"
    return trials


def _judge_sizes(
    store: Store, trials: Sequence[Trial], checked: Sequence[tuple[Slice, list[Check]]]
) -> None:
    """Judge counts and shares of splits, which are what they are."""
    splits: dict[str, Keys] = {}
    for trial in trials:
        members = np.unique(checked[trial.slice][0].keys())
        trial.counted, trial.n, trial.value = False, len(members), float(len(members))
        if trial.check.metric == "share":
            assert trial.check.of is not None
            split = _split(store, trial.check.of, splits)
            inside = int(np.isin(members, split, assume_unique=True).sum())
            trial.n, trial.value = inside, inside / len(split)
        trial.low = trial.high = trial.value


def _split(store: Store, name: str, known: dict[str, Keys]) -> Keys:
    if name not in known:
        table = store.table(schema.SAMPLES, ["key", "split"])
        names = np.array(table["split"].to_pylist(), dtype=object)
        known[name] = table["key"].to_numpy()[names == name]
        if not len(known[name]):
            there = sorted({n for n in names if n})
            raise CheckError(
                f"No sample is in split '{name}'.", did_you_mean(name, there, "splits")
            )
    return known[name]


def _judge_values(
    trials: Sequence[Trial],
    judged: dict[str, Judged],
    model: str,
    rows: Sequence[Keys],
    sizes: Sequence[int],
    groups: Sequence[Keys | None],
    confidence: float,
) -> None:
    """Judge the trials that share a metric, a class and a baseline together."""
    alike: dict[tuple[str, str | None, str | None], list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.counted and trial.check.change is None and not trial.reason:
            alike[trial.check.metric, trial.check.of, trial.check.baseline].append(trial)
    pairs: dict[str, evaluate.Pair] = {}
    for (name, of, against), group in alike.items():
        metric = m.suit(m.find(name), judged[model].outcomes.task)
        group_rows, group_sizes = [rows[t.slice] for t in group], [sizes[t.slice] for t in group]
        units = [groups[t.slice] for t in group]
        if against == BASELINE:
            for trial in group:
                trial.reason = "no baseline was named"
                trial.n = len(rows[trial.slice])
            continue
        if against is None:
            if of is not None:
                metric = m.for_class(metric, judged[model].outcomes.classes.index(of))
            absolute.judge(group, metric, judged[model], group_rows, group_sizes, confidence, units)
            continue
        if against not in pairs:
            pairs[against] = evaluate.Pair(judged[model], judged[against])
        paired.judge(group, metric, pairs[against], group_rows, group_sizes, confidence, units)


def _facts(
    store: Store,
    checked: Sequence[tuple[Slice, list[Check]]],
    models: Sequence[str],
    judged: dict[str, Judged],
    rows: Sequence[Keys],
) -> dict[str, Any]:
    """Return what the run rests on, and what the page draws."""
    from slicedb.store import software

    union = np.unique(np.concatenate(rows)) if rows else np.empty(0, np.int64)
    first = judged[models[0]]
    every = first.members([union])
    return {
        "tables": store.versions(),
        "fingerprints": {name: judged[name].fingerprint for name in models},
        "queries": {s.name: s.text for s, _ in checked},
        "looks": guarded([s for s, _ in checked]),
        "slices": {s.name: {"holdout": s.holdout, "n": len(r)} for (s, _), r in zip(checked, rows)},
        "software": software(),
        "classes": list(first.outcomes.classes),
        "confusion": _confusion(first, every),
        "calibration": _calibration(first, every),
        "grid": _grid(checked, models, judged, rows),
    }


def _confusion(judged: Judged, every: m.Membership) -> list[list[int]]:
    if judged.outcomes.task != "classification":
        return []
    counts: list[list[int]] = m.update(m.find("accuracy"), judged.outcomes, every)[0].tolist()
    return counts


def _calibration(judged: Judged, every: m.Membership) -> list[list[float]]:
    """Return (n, sum of confidence, n right) a bin of confidence."""
    outcomes = judged.outcomes
    if outcomes.task != "classification" or outcomes.confidence is None:
        return []
    at = every.positions[0]
    confidence, right = outcomes.confidence[at], outcomes.correct[at].astype(float)
    bins = m.states.confidence_bins(confidence)
    columns = [np.bincount(bins, w, m.states.BINS) for w in (None, confidence, right)]
    found: list[list[float]] = np.stack(columns, axis=1).tolist()
    return found


def _grid(
    checked: Sequence[tuple[Slice, list[Check]]],
    models: Sequence[str],
    judged: dict[str, Judged],
    rows: Sequence[Keys],
) -> dict[str, Any]:
    """Return accuracy of every slice and model with its Wilson interval.

    Of other tasks the metric that is shown where nobody asks for one; a model of another task
    than the first has none of it.
    """
    names = [s.name for s, _ in checked]
    task = judged[models[0]].outcomes.task
    found: dict[str, Any] = {"slices": names, "models": list(models), "metric": m.primary(task)}
    if task != "classification":
        return {**found, "cells": [_column(judged[name], task, rows) for name in models]}
    cells = []
    for name in models:
        members = judged[name].members(rows)
        matrix = m.update(m.find("accuracy"), judged[name].outcomes, members)
        hit = np.trace(matrix, axis1=1, axis2=2)
        n = matrix.sum(axis=(1, 2))
        low, high = stats.wilson(hit, n)
        value = np.divide(hit, n, out=np.full(len(n), np.nan), where=n > 0)
        cells.append(np.stack([value, low, high, n], axis=1).tolist())
    return {**found, "cells": cells}


def _column(judged: Judged, task: str, rows: Sequence[Keys]) -> list[list[float]]:
    """Return value, low, high, n of a task's own metric, a row a slice."""
    metric, members = m.suit(m.find(m.primary(task)), task), judged.members(rows)
    found = evaluate.table.estimates(judged, members, [metric])[metric.name]
    low, high = m.interval(metric, found)
    cells: list[list[float]] = np.stack([found.value, low, high, members.sizes], axis=1).tolist()
    return cells
