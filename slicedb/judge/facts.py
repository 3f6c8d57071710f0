"""What a run rests on, and what its page draws: confusion, calibration, slices by models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slicedb import metrics as m
from slicedb import stats
from slicedb.expectations import Check
from slicedb.judge import evaluation
from slicedb.judge.aligned import Judged, Keys
from slicedb.slices import Slice
from slicedb.slices.looks import guarded
from slicedb.store import Store, software


def facts_of(
    store: Store,
    checked: Sequence[tuple[Slice, list[Check]]],
    models: Sequence[str],
    judged: dict[str, Judged],
    rows: Sequence[Keys],
) -> dict[str, Any]:
    """Return versions, fingerprints, queries and software of a run, and what its page draws.

    Args:
        store: where labels and predictions are.
        checked: the slices with their expectations.
        models: names, the one under test first.
        judged: outcomes by model.
        rows: per slice, the rows of the universe.
    """
    union = np.unique(np.concatenate(rows)) if rows else np.empty(0, np.int64)
    first = judged[models[0]]
    every = first.members([union])
    return {
        "tables": store.versions(),
        "fingerprints": {name: judged[name].fingerprint for name in models},
        "queries": {s.title: s.text for s, _ in checked},
        "looks": guarded([s for s, _ in checked]),
        "slices": {
            s.title: {"holdout": s.holdout, "n": len(r)} for (s, _), r in zip(checked, rows)
        },
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
    names = [s.title for s, _ in checked]
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
    found = evaluation.estimates(judged, members, [metric])[metric.name]
    low, high = m.interval(metric, found)
    cells: list[list[float]] = np.stack([found.value, low, high, members.sizes], axis=1).tolist()
    return cells
