"""Run a suite: line up what is needed, gather the evidence, count all tests, decide."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import numpy as np

from slicedb import schema, sql
from slicedb.errors import SliceDBError
from slicedb.expectations import Check, parse_check
from slicedb.expectations.grammar import BASELINE
from slicedb.judge.absolute import absolute
from slicedb.judge.agreement import Agreement, agreements
from slicedb.judge.aligned import Aligned, load, universe
from slicedb.judge.behaviours import Behave, behaviours, fill
from slicedb.judge.counts import counts
from slicedb.judge.evidence import Evidence, Inputs
from slicedb.judge.looks import Looks, Past, asked, identity, looks_of, signature
from slicedb.judge.paired import paired
from slicedb.judge.results import Provenance, SuiteRun
from slicedb.judge.sequences import note_of_videos
from slicedb.judge.trials import JudgedSlice, Trial, trials_of
from slicedb.judge.truth import OtherTruth
from slicedb.judge.verdicts import MINIMUM, Correction, Guard, SuiteSettings, verdicts
from slicedb.keys import Keys, distinct
from slicedb.progress import Bar, Watch, bar
from slicedb.slices import BrokenSlice, Slice, unless_all
from slicedb.store import Store, software

Predict = Callable[[Sequence[str], Keys], object]
"""Computes the predictions of models that are missing among some samples."""

WORST = 5
"""Worst samples that a result names."""


def run(
    store: Store,
    slices: Sequence[Slice],
    *,
    model: str,
    baseline: str | None = None,
    predict: Predict | None = None,
    behave: Behave | None = None,
    confidence: float = 0.95,
    correction: Correction = "auto",
    strict: bool = False,
    minimum: int = MINIMUM,
    group: str | None = None,
    detect: float | None = None,
    guard: Guard = "fail",
    sequential: bool = False,
    past: Past | None = None,
    truth: OtherTruth | None = None,
    broken: Sequence[BrokenSlice] = (),
    progress: Watch = None,
) -> SuiteRun:
    """Judge the expectations of slices. Nothing is written down.

    A slice that cannot be asked, or an expectation of which cannot be judged, is left out of the
    suite with its error, and fails the run.

    Args:
        store: where labels and predictions are.
        slices: those with expectations are judged, on their holdout share if they have one.
        model: the model under test.
        baseline: what "baseline" stands for in expectations.
        predict: called once with all models and the union of the keys, to fill in what is missing.
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
        guard: "fail" controls false FAIL over the suite and false PASS for each test alone; "pass"
            controls false PASS over the suite, too (Holm, Scand. J. Statist. 1979).
        sequential: verdicts and bounds hold over all looks at an expectation together, over which
            the error rate is spent (Lan & DeMets, Biometrika 1983; `slicedb.stats.sequential`).
        past: earlier looks, against the same truth.
        truth: what stands in place of the ground truth.
        broken: slices that could not even be read.
        progress: see `slicedb.progress.Watch`.

    Raises:
        UnknownModelError: a model has no predictions.
        CheckError: an expectation of each slice does not parse or names a class that does not
            exist.
        SliceError: a setting is not right.
    """
    settings = SuiteSettings(confidence, correction, minimum, detect, guard, sequential)
    started, began = time.perf_counter(), datetime.now(UTC)
    left_out = list(broken)
    slices, checks, keys = _readable(slices, left_out)
    names = _models(model, baseline, (check for of_slice in checks for check in of_slice))
    if predict is not None:
        every = distinct(np.concatenate([np.empty(0, np.int64), *keys]))
        predict(names if truth is None else [*names, truth.name], every)
    if behave is not None and any(c.change for of_slice in checks for c in of_slice):
        fill(behave, model, keys, checks)
    aligned = {name: load(store, name, truth) for name in names}
    scopes = tuple(JudgedSlice(s, k, universe(store).rows(k)) for s, k in zip(slices, keys))
    trials, wrong = trials_of(scopes, checks, aligned[model], baseline, group)
    left_out += wrong
    scopes = tuple(s for s in scopes if all(s.slice.name != b.name for b in wrong))
    unless_all(left_out, len(scopes))
    inputs = Inputs(store, aligned, confidence)
    with bar(len(trials), "judge", progress, unit="expectation", keeps=False) as shown:
        evidence = [_doubted(e, aligned) for e in _gather(trials, inputs, shown)]
    fingerprints = {name: a.about.fingerprint for name, a in aligned.items()}
    looks = [_looks(e, past or {}, baseline, fingerprints, minimum) for e in evidence]
    if sequential:
        evidence = over_looks(evidence, looks, inputs)
    results = verdicts(_with_worst(store, evidence, aligned), settings, looks)
    return SuiteRun(
        results,
        model,
        baseline,
        confidence,
        correction,
        strict,
        guard,
        sequential,
        truth=truth,
        agreements=_agreements(store, names, truth, scopes, confidence),
        run=f"{began:%Y%m%dT%H%M%S}-{uuid4().hex[:6]}",
        ran_at=began.isoformat(timespec="microseconds"),
        seconds=time.perf_counter() - started,
        provenance=Provenance(store.versions(), fingerprints, software()),
        scopes=scopes,
        aligned=aligned,
        warnings=tuple(note_of_videos(store, _ungrouped(scopes), group)),
        broken=tuple(left_out),
    )


def _readable(
    slices: Sequence[Slice], broken: list[BrokenSlice]
) -> tuple[list[Slice], list[list[Check]], list[Keys]]:
    """Return the slices that can be asked, the expectations and members of each; note the others.

    Raises:
        SliceDBError: no slice can be asked.
    """
    sound, checks, keys = [], [], []
    for s in slices:
        try:
            parsed, members = [parse_check(text) for text in s.expect], s.holdout_keys()
        except SliceDBError as error:
            broken.append(BrokenSlice(s.name, str(error), s.path, s.suite, error))
            continue
        sound.append(s)
        checks.append(parsed)
        keys.append(members)
    unless_all(broken, len(sound))
    return sound, checks, keys


def _ungrouped(scopes: Sequence[JudgedSlice]) -> Keys:
    """Return the keys of the slices that name no group of their own."""
    return np.concatenate([np.empty(0, np.int64), *(s.keys for s in scopes if not s.slice.group)])


def _agreements(
    store: Store,
    models: Sequence[str],
    truth: OtherTruth | None,
    scopes: Sequence[JudgedSlice],
    confidence: float,
) -> tuple[Agreement, ...]:
    """Return how far another truth agrees with the ground truth and with the models."""
    if not scopes:
        return ()
    texts = [f"in_slice({sql.string(scope.slice.title)})" for scope in scopes]
    keys = [scope.keys for scope in scopes]
    lines = agreements(store, models, truth, keys, scopes=texts, confidence=confidence)
    if any(scope.slice.holdout is not None for scope in scopes):
        return tuple(replace(line, is_exact=False) for line in lines)
    return lines


def _models(model: str, baseline: str | None, checks: Iterable[Check]) -> list[str]:
    named = [c.baseline for c in checks if c.baseline not in (None, BASELINE)]
    every = [model, *([baseline] if baseline else []), *(n for n in named if n)]
    return list(dict.fromkeys(every))


# --- evidence -------------------------------------------------------------------------------------


def _unknown(trials: Sequence[Trial], inputs: Inputs) -> Iterator[Evidence]:
    """Yield the evidence for trials that have no value, for a reason known beforehand."""
    for trial in trials:
        n = len(trial.scope.rows) if trial.check.baseline == BASELINE else 0
        yield Evidence(trial=trial, undefined=trial.undefined, n=n)


def _doubted(evidence: Evidence, aligned: Mapping[str, Aligned]) -> Evidence:
    """Return the evidence with the members that a table of boxes says nothing of."""
    trial = evidence.trial
    names = [trial.model, *([trial.check.baseline] if trial.check.baseline in aligned else [])]
    if trial.is_exact or not names:
        return evidence
    counts = [(name, aligned[name].doubtful(trial.scope.rows)) for name in names if name]
    return replace(evidence, doubtful=tuple(pair for pair in counts if pair[1]))


Gather = Callable[[Sequence[Trial], Inputs], Iterator[Evidence]]
"""Trials of one kind that share metric, class and baseline -> the evidence for each."""

KINDS: tuple[tuple[Callable[[Trial], bool], Gather], ...] = (
    (lambda trial: trial.is_exact, counts),
    (lambda trial: trial.check.change is not None, behaviours),
    (lambda trial: bool(trial.undefined), _unknown),
    (lambda trial: trial.check.baseline is not None, paired),
    (lambda trial: True, absolute),
)
"""Kinds of trials; the first that a trial belongs to gathers its evidence."""


def _gather(trials: Sequence[Trial], inputs: Inputs, shown: Bar) -> list[Evidence]:
    """Return the evidence for all trials; those that share a computation are gathered together."""
    alike: dict[tuple[Gather, str, str | None, str | None], list[int]] = {}
    for i, trial in enumerate(trials):
        gather = next(gather for belongs, gather in KINDS if belongs(trial))
        what = (gather, trial.check.metric, trial.check.of, trial.check.baseline)
        alike.setdefault(what, []).append(i)
    result: dict[int, Evidence] = {}
    for (gather, *_), members in alike.items():
        result |= zip(members, gather([trials[i] for i in members], inputs))
        shown.advance(len(members))
    return [result[i] for i in range(len(trials))]


# --- looks ----------------------------------------------------------------------------------------


def _looks(
    evidence: Evidence,
    past: Past,
    baseline: str | None,
    fingerprints: Mapping[str, str],
    minimum: int,
) -> Looks:
    """Return the looks at an expectation, that of now included."""
    trial = evidence.trial
    of, check = trial.scope.slice, trial.check
    who = identity(trial.model, check.baseline or "", fingerprints, signature(of))
    earlier = past.get((of.name, asked(str(check), check.baseline, baseline)), ())
    return looks_of(evidence, who, earlier, evidence.least(minimum))


def over_looks(
    evidence: Sequence[Evidence], looks: Sequence[Looks], inputs: Inputs
) -> list[Evidence]:
    """Return the evidence with bounds that hold over all looks; those of one level go together."""
    levels: dict[float, list[int]] = {}
    for i, (e, at) in enumerate(zip(evidence, looks)):
        if not (e.trial.is_exact or np.isnan(e.low)):
            levels.setdefault(at.level(1 - inputs.confidence), []).append(i)
    result = list(evidence)
    for level, members in levels.items():
        again = _gather([evidence[i].trial for i in members], inputs.at(1 - level), Bar())
        for i, e in zip(members, again):
            result[i] = replace(evidence[i], low=e.low, high=e.high)
    return result


# --- the worst samples ----------------------------------------------------------------------------


def _with_worst(
    store: Store, evidence: Sequence[Evidence], aligned: Mapping[str, Aligned]
) -> list[Evidence]:
    """Return the evidence with the ids of the worst samples, all of them read at once."""
    worst = [_worst(e, aligned) for e in evidence]
    keys = distinct(np.concatenate([np.empty(0, np.int64), *worst]))
    ids: dict[int, str] = {}
    if len(keys):
        ids = dict(zip(keys.tolist(), store.take(schema.SAMPLES, keys, ["id"])["id"].to_pylist()))
    return [
        replace(e, worst=tuple(ids[key] for key in of_trial.tolist())) if len(of_trial) else e
        for e, of_trial in zip(evidence, worst)
    ]


def _worst(evidence: Evidence, aligned: Mapping[str, Aligned]) -> Keys:
    """Return the keys of wrong samples, highest loss first; regressions before others."""
    check, one = evidence.trial.check, aligned[evidence.trial.model]
    rows = one.row_of[evidence.rows]
    is_known = rows >= 0
    rows = rows[is_known]
    outcomes = one.outcomes.take(rows)
    has_class = check.of is not None and check.of in outcomes.classes
    wrong = outcomes.wrong(outcomes.classes.index(check.of) if has_class else None)
    loss = outcomes.losses()
    other = aligned.get(check.baseline or "")
    if other is not None:
        seen = other.row_of[evidence.rows[is_known]]
        loss = loss + 1e6 * ((seen >= 0) & other.outcomes.correct[seen])
    candidates = np.flatnonzero(wrong)
    order = candidates[np.argsort(-loss[candidates], kind="stable")][:WORST]
    return one.keys[rows[order]]
