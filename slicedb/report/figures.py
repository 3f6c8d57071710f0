"""Gather what only the HTML page draws, from what the run lined up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from slicedb import cam, decide, schema
from slicedb import metrics as m
from slicedb.cam.overlays import jpeg
from slicedb.errors import MediaError, SliceDBError
from slicedb.judge import Aligned, OtherTruth, Result, SuiteRun
from slicedb.keys import KeyIndex, Keys, distinct
from slicedb.metrics import Membership
from slicedb.runs import Runs, Trend
from slicedb.show.html import data_uri
from slicedb.store import Store
from slicedb.tasks import drawing
from slicedb.tasks.task import Shown

CARDS = 48
"""Worst samples shown."""

_SIDE = 180
"""Pixels of the longer side of a thumbnail."""

_POINTS = 200
"""Points of the cost curve."""


class Tile(NamedTuple):
    """The metric of one model on one slice."""

    value: float
    """NaN where it is undefined."""
    low: float
    high: float
    n: float


class Bin(NamedTuple):
    """The samples of one bin of confidence."""

    n: float
    confidence: float
    """Sum of the confidences."""
    right: float
    """Number of right predictions."""


@dataclass(frozen=True)
class HeatMap:
    """One metric of every slice and model."""

    metric: str
    slices: Sequence[str]
    models: Sequence[str]
    tiles: Sequence[Sequence[Tile]]
    """One column per model, one tile per slice."""


@dataclass(frozen=True)
class Card:
    """A wrong sample."""

    id: str
    src: str | None
    """Its thumbnail as a data URI; None where there is no picture."""
    cam: str | None
    """The stored class activation map over it."""
    slices: Sequence[str]
    label: str | None = None
    prediction: str | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class CostCurve:
    """What answering only the surest costs, and what ways of deciding cost."""

    coverage: Sequence[float]
    risk: Sequence[float]
    doubt: Sequence[float]
    policies: Sequence[Mapping[str, str | float]]
    """policy, cost, low, high."""


@dataclass(frozen=True)
class Figures:
    """Everything that the page draws beyond the verdicts."""

    classes: Sequence[str] = ()
    confusion: Sequence[Sequence[int]] = ()
    """Counts of label (row) and prediction (column)."""
    bins: Sequence[Bin] = ()
    """Bins of confidence, of equal width."""
    heat_map: HeatMap | None = None
    gallery: Sequence[Card] = ()
    cost: CostCurve | None = None
    trends: Sequence[Trend] = ()


def figures_of(store: Store, run: SuiteRun) -> Figures:
    """Return the figures of a run, over all its slices together."""
    model = run.aligned[run.model]
    rows = distinct(np.concatenate([np.empty(0, np.int64), *(s.rows for s in run.scopes)]))
    keys = distinct(np.concatenate([np.empty(0, np.int64), *(s.keys for s in run.scopes)]))
    every = model.members([rows])
    names = list(dict.fromkeys(r.slice for r in run.results))
    truth = None if run.truth is None else str(run.truth)
    return Figures(
        classes=model.outcomes.classes,
        confusion=_confusion(model, every),
        bins=_bins(model, every),
        heat_map=_heat_map(run),
        gallery=gallery(store, run.results, model),
        cost=cost_curve(store, run.model, keys, run.truth),
        trends=tuple(t for t in Runs(store).trends(names) if t.truth == truth),
    )


def _confusion(model: Aligned, every: Membership) -> list[list[int]]:
    if not model.task.one_class:
        return []
    counts: list[list[int]] = m.update(m.find("accuracy"), model.outcomes, every)[0].tolist()
    return counts


def _bins(model: Aligned, every: Membership) -> list[Bin]:
    outcomes = model.outcomes
    if not model.task.one_class or outcomes.confidence is None:
        return []
    at = every.positions[0]
    confidence, right = outcomes.confidence[at], outcomes.correct[at].astype(float)
    bins = m.states.confidence_bins(confidence)
    columns = [np.bincount(bins, w, m.states.BINS) for w in (None, confidence, right)]
    return [Bin(*row) for row in np.stack(columns, axis=1).tolist()]


def _heat_map(run: SuiteRun) -> HeatMap:
    """Return accuracy of every slice and model with its Wilson interval.

    Of other tasks it is the metric that is shown where nobody asks for one; a model of another
    task than the first has none of it.
    """
    task = run.aligned[run.model].task
    metric = m.suit(m.find(task.primary), task.name)
    rows = [scope.rows for scope in run.scopes]
    columns = []
    for aligned in run.aligned.values():
        members = aligned.members(rows)
        estimate = m.estimates(aligned.outcomes, members, [metric])[metric.name]
        low, high = m.interval(metric, estimate)
        table = np.stack([estimate.value, low, high, members.sizes], axis=1)
        columns.append([Tile(*row) for row in table.tolist()])
    titles = [scope.slice.title for scope in run.scopes]
    return HeatMap(task.primary, titles, list(run.aligned), columns)


# --- worst samples --------------------------------------------------------------------------------


def gallery(store: Store, results: Sequence[Result], model: Aligned) -> tuple[Card, ...]:
    """Return a card for each of the worst samples of expectations that do not pass."""
    slices: dict[str, list[str]] = {}
    for r in results:
        for sample in r.worst_ids if r.verdict != "PASS" else ():
            if r.slice not in slices.setdefault(sample, []):
                slices[sample].append(r.slice)
    ids = list(slices)[:CARDS]
    if not ids:
        return ()
    keys = schema.keys_of(ids)
    shown = _shown(model, keys)
    known = zip(ids, _thumbnails(store, keys, shown), _maps(store, model.model, keys), shown)
    return tuple(
        Card(name, src, cam, slices[name])
        if row is None
        else Card(name, src, cam, slices[name], row.truth, row.prediction, row.confidence)
        for name, src, cam, row in known
    )


def _shown(model: Aligned, keys: Keys) -> list[Shown | None]:
    """Return truth, prediction and boxes of each key; None where it was not judged."""
    rows = KeyIndex(model.keys).find(keys).tolist()
    return [None if at < 0 else model.task.shown(model.outcomes, at) for at in rows]


def _thumbnails(store: Store, keys: Keys, shown: Sequence[Shown | None]) -> list[str | None]:
    """Return the pictures as data URIs, with boxes or label maps where there are some."""
    drawn = {key: one for key, one in zip(keys.tolist(), shown) if one is not None}
    small: dict[int, str] = {}
    try:
        for key, data in store.read_images(keys):
            try:
                one = drawn.get(key)
                marks = ((), ()) if one is None else (one.boxes, one.maps)
                small[key] = data_uri(drawing.picture(data, _SIDE, *marks))
            except MediaError:
                continue
    except SliceDBError:
        pass  # a database of predictions alone has no pictures
    return [small.get(key) for key in keys.tolist()]


def _maps(store: Store, model: str, keys: Keys) -> list[str | None]:
    if not store.has(schema.CAMS + model):
        return [None] * len(keys)
    pictures = cam.overlays(store, model, keys, side=_SIDE)
    files = map(jpeg, pictures)
    return [None if file is None else data_uri(file) for file in files]


# --- cost -----------------------------------------------------------------------------------------


def cost_curve(
    store: Store, model: str, keys: Keys, truth: OtherTruth | None = None
) -> CostCurve | None:
    """Return the cost curve; None without probabilities, or where nothing is judged."""
    try:
        report = decide.cost(store, model, keys, truth=truth)
    except SliceDBError:
        return None
    curve = report.coverage
    at = np.linspace(0, len(curve.coverage) - 1, _POINTS).astype(int)
    at = at[np.append(True, at[1:] != at[:-1])]
    coverage, risk, doubt = (
        np.round(x[at], 5).tolist() for x in (curve.coverage, curve.risk, curve.doubt)
    )
    return CostCurve(
        coverage,
        risk,
        doubt,
        [{"policy": r.policy, "cost": r.cost, "low": r.low, "high": r.high} for r in report.rows],
    )
