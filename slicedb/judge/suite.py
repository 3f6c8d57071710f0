"""Running a suite: gather, judge, count the tests, decide, write down."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal
from uuid import uuid4

import numpy as np

from slicedb import metrics as m
from slicedb.expectations import Check, parse_check
from slicedb.expectations.grammar import BASELINE
from slicedb.judge import absolute, counts, paired, verdicts
from slicedb.judge import behaviours as behaviour
from slicedb.judge.aligned import Judged, Keys, load, universe
from slicedb.judge.evidence import Trial
from slicedb.judge.expand import trials_of
from slicedb.judge.facts import facts_of
from slicedb.judge.groups import groups_of
from slicedb.judge.pairs import Pair
from slicedb.judge.results import Report
from slicedb.judge.settings import check_settings
from slicedb.report import extras as page
from slicedb.runs.record import record
from slicedb.slices import Slice
from slicedb.slices.looks import LIMIT, warnings
from slicedb.store import Store

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
    every = np.unique(np.concatenate(keys)) if keys else np.empty(0, np.int64)
    models = _models(model, baseline, (c for _, checks in checked for c in checks))
    if predict is not None:
        for name in models:
            predict(name, every)
    if behave is not None:
        behaviour.fill(behave, model, [checks for _, checks in checked], keys)
    judged = {name: load(store, name) for name in models}
    rows = [universe(store).rows(k) for k in keys]
    trials = trials_of(checked, judged[model], rows, baseline, group)
    _judge(store, trials, checked, keys, rows, judged, model, confidence)
    verdicts.correct(trials, checked, correction, minimum, detect, 1 - confidence)
    results = verdicts.decide(store, trials, checked, judged, model, confidence, minimum)
    report = Report(
        tuple(results),
        model,
        baseline,
        confidence,
        correction,
        strict,
        run=f"{began:%Y%m%dT%H%M%S}-{uuid4().hex[:6]}",
        ran_at=began.isoformat(timespec="seconds"),
        more=lambda: page.facts(store, results, judged, model, every),
        facts=facts_of(store, checked, models, judged, rows),
    )
    report = replace(report, seconds=time.perf_counter() - started)
    if not write:
        return report
    record(store, report)
    sizes = {s.name: len(k) for (s, _), k in zip(checked, keys)}
    return replace(report, warnings=warnings(store, report.facts["looks"], sizes, looks))


def _models(model: str, baseline: str | None, checks: Iterable[Check]) -> list[str]:
    named = [c.baseline for c in checks if c.baseline not in (None, BASELINE)]
    every = [model, *([baseline] if baseline else []), *(n for n in named if n)]
    return list(dict.fromkeys(every))


def _judge(
    store: Store,
    trials: Sequence[Trial],
    checked: Sequence[tuple[Slice, list[Check]]],
    keys: Sequence[Keys],
    rows: Sequence[Keys],
    judged: dict[str, Judged],
    model: str,
    confidence: float,
) -> None:
    """Fill in the trials: sizes of slices, values of metrics, behaviour."""
    counts.judge(store, [t for t in trials if t.check.metric in ("count", "share")], checked)
    groups = {c: groups_of(store, c) if c else None for c in {t.column for t in trials}}
    _judge_values(trials, judged, model, rows, [len(k) for k in keys], groups, confidence)
    changed = [t for t in trials if t.check.change is not None]
    behaviour.judge(store, changed, keys, model, confidence)


def _judge_values(
    trials: Sequence[Trial],
    judged: dict[str, Judged],
    model: str,
    rows: Sequence[Keys],
    sizes: Sequence[int],
    groups: dict[str, Keys | None],
    confidence: float,
) -> None:
    """Judge the trials that share a metric, a class and a baseline together."""
    alike: dict[tuple[str, str | None, str | None], list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.counted and trial.check.change is None and not trial.reason:
            alike[trial.check.metric, trial.check.of, trial.check.baseline].append(trial)
    pairs: dict[str, Pair] = {}
    for (name, of, against), group in alike.items():
        metric = m.suit(m.find(name), judged[model].outcomes.task)
        group_rows, group_sizes = [rows[t.slice] for t in group], [sizes[t.slice] for t in group]
        units = [groups[t.column] for t in group]
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
            pairs[against] = Pair(judged[model], judged[against])
        paired.judge(group, metric, pairs[against], group_rows, group_sizes, confidence, units)
