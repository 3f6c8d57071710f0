"""Register findings as slices that are expected to be as good as the rest."""

from __future__ import annotations

import math
from dataclasses import replace

from slicedb.curate.findings import Discovery, Finding
from slicedb.errors import CheckError
from slicedb.judge import OtherTruth, evaluate
from slicedb.keys import Keys
from slicedb.metrics import find
from slicedb.slices import Slices
from slicedb.store import Store

_DIGITS = 3
"""Decimals of a bound."""
_TRIES = 1000


def expectation(store: Store, model: str, keys: Keys, truth: OtherTruth | None = None) -> str:
    """Return what a model reaches on some samples, as an expectation, rounded to its favour.

    Args:
        store: the database.
        model: its name.
        keys: int64 (n,): the samples.
        truth: what stands in place of the ground truth.

    Raises:
        CheckError: its main metric is unknown there.
    """
    rows = evaluate(store, model, {"all": keys}, truth=truth).to_arrow().to_pylist()
    row = rows[0]
    if row["value"] is None or math.isnan(row["value"]):
        raise CheckError(
            f"The {row['metric']} of '{model}' is unknown: {row['reason']}.",
            "name the slices yourself, with an expectation that can be tested.",
        )
    metric = find(row["metric"])
    scaled = row["value"] * 10**_DIGITS
    bound = (math.floor if metric.rises else math.ceil)(scaled) / 10**_DIGITS
    return f"{row['metric']} {'>=' if metric.rises else '<='} {bound:g}"


def registered(slices: Slices, report: Discovery, expect: str, group: str = "") -> Discovery:
    """Register the confirmed findings as slices, and return the report with their names.

    A finding whose query is that of a slice already is not registered a second time.

    Args:
        slices: the registry.
        report: what was found.
        expect: the expectation of each.
        group: a column whose samples are not independent.
    """
    known = {s.text: s.name for s in slices.list()}
    findings = []
    for finding in report.findings:
        if finding.confirmed:
            name = known.get(finding.query) or _free(slices, finding.name)
            if name not in slices:
                slices.add(
                    name,
                    finding.query,
                    expect=[expect],
                    description=_described(report.model, finding),
                    group=group,
                )
            finding = replace(finding, slice=name)
        findings.append(finding)
    return replace(report, findings=tuple(findings), expectation=expect)


def _free(slices: Slices, name: str) -> str:
    names = (name if k == 1 else f"{name}_{k}" for k in range(1, _TRIES))
    return next(free for free in names if free not in slices)


def _described(model: str, finding: Finding) -> str:
    return (
        f"Discovered: {model} has an error of {finding.error:.3g} here and {finding.rest:.3g} "
        "elsewhere"
    )
