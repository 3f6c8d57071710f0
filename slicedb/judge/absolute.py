"""Evidence for a metric against a number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from slicedb import metrics as m
from slicedb.judge.aligned import Aligned
from slicedb.judge.evidence import Evidence, Inputs
from slicedb.judge.resampling import replicates_of, resample, resampled
from slicedb.judge.sizes import samples_of
from slicedb.judge.trials import Trial
from slicedb.keys import Keys
from slicedb.metrics import Metric
from slicedb.show.numbers import verb

_NAMED = 5
"""Classes that a note names."""


def absolute(trials: Sequence[Trial], inputs: Inputs) -> Iterator[Evidence]:
    """Yield the evidence for trials of one metric (of one class), all slices at once."""
    aligned, confidence, metric = inputs.model, inputs.confidence, trials[0].metric
    assert metric is not None
    if trials[0].check.of is not None:
        metric = m.for_class(metric, aligned.outcomes.classes.index(trials[0].check.of))
    average = metric.state.kind == "codes" and metric.sample is None and trials[0].check.of is None
    members = aligned.members([t.scope.rows for t in trials])
    estimate = m.estimates(aligned.outcomes, members, [metric])[metric.name]
    low, high = m.interval(metric, estimate, confidence, sides=1, guarantee=True)
    of = trials[0].check.of
    code = None if of is None else aligned.outcomes.classes.index(of)
    samples = samples_of(aligned, members, metric, estimate, code)
    for i, trial in enumerate(trials):
        n, size = int(members.sizes[i]), len(trial.scope.keys)
        evidence = Evidence(
            trial=trial,
            value=float(estimate.value[i]),
            low=float(low[i]),
            high=float(high[i]),
            n=int(samples[i]),
            left_out=size - n,
            is_approximate=average or metric.interval in ("mean", "root", "draws"),
            rows=trial.scope.rows,
        )
        if np.isnan(evidence.value):
            reason = m.missing(metric, aligned.outcomes)
            reason = reason or (metric.undefined if n else aligned.task.empty)
            yield replace(evidence, undefined=reason if size else m.NO_SAMPLES)
            continue
        one = estimate.at(i)
        p, p_pass = (float(m.p_value(metric, one, trial.bound, side)[0]) for side in trial.sides)
        evidence = replace(evidence, p=p, p_pass=p_pass)
        if average:
            present = aligned.outcomes.present_in(members.positions[i])
            evidence = _naming_classes(evidence, aligned.outcomes.classes, present)
        if metric.interval in ("mean", "root", "draws"):
            evidence = replace(evidence, enough=metric.minimum)
        elif average or metric.interval == "rank":
            classes = aligned.outcomes.present_in(members.positions[i])
            number = len(classes) if trial.check.of is None else 1
            evidence = replace(evidence, enough=metric.minimum * number)
        groups = inputs.groups(trial.group)
        if groups is None:
            yield evidence
        else:
            yield _by_groups(evidence, metric, aligned, members.positions[i], groups, confidence)


def _naming_classes(evidence: Evidence, classes: Sequence[str], present: Sequence[int]) -> Evidence:
    """Return the evidence with a note of which classes have samples, if it is not all."""
    trial = evidence.trial
    if len(present) == len(classes):
        return evidence
    names = [classes[code] for code in present[:_NAMED]]
    more = ["..."] if len(present) > _NAMED else []
    have = verb(len(present), "has", "have")
    note = f"{len(present)} of {len(classes)} classes {have} samples: {', '.join(names + more)}"
    note = "; ".join(part for part in (trial.note, note) if part)
    return replace(evidence, trial=replace(trial, note=note))


def _by_groups(
    evidence: Evidence,
    metric: Metric,
    aligned: Aligned,
    positions: Keys,
    groups: Keys,
    confidence: float,
) -> Evidence:
    """Return the evidence with value and bounds from resamples of whole groups."""
    of_rows = groups[aligned.rows[positions]]
    statistic, units = resampled(metric, aligned.outcomes.take(positions), of_rows)
    return resample(
        replace(evidence, groups=of_rows),
        statistic,
        units,
        confidence,
        replicates=replicates_of(metric),
        undefined=metric.undefined,
        is_share=metric.interval == "share",
        bias=metric.bias,
    )
