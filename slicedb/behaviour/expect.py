"""Measure what should and what should not change a prediction: rates with intervals.

A rate is a share of units that hold: for invariance a unit is the set of pictures that differ in
nothing but the named parts, for direction a pair of foregrounds of different classes. Units that
share a foreground are not independent, and intervals know it.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.behaviour.templates import LINEAGE
from slicedb.errors import CheckError, did_you_mean
from slicedb.expectations.behaviours import SURROUNDINGS
from slicedb.schema import PREDICTIONS, SAMPLES, Row
from slicedb.stats import clopper_pearson

if TYPE_CHECKING:
    from slicedb.store import Store


@dataclass(frozen=True)
class Rate:
    """How often a behaviour holds."""

    name: str
    value: float
    """Share of the units that hold, each group counting once; NaN when there are none."""
    low: float
    """Bounds of the exact interval (Clopper-Pearson over the groups), one-sided each."""
    high: float
    n: int
    """Units: sets of compositions, pairs of foregrounds, or samples."""
    left_out: int
    """Units without a prediction for every picture."""
    groups: int = 0
    """Independent groups behind the units: foregrounds, or samples."""
    samples: int = 0
    """Pictures behind the units."""
    broken: list[list[str]] = field(default_factory=list)
    """The ids of the units that do not hold."""
    pairs: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Of each broken unit: an id and its prediction, another id and its other prediction (for
    `direction`, the same one)."""

    def __str__(self) -> str:
        left = f", {self.left_out} left out" if self.left_out else ""
        return (
            f"{self.name} {self.value:.3f} [{self.low:.3f}, {self.high:.3f}] n={self.n} "
            f"in {self.groups} groups{left}"
        )


@dataclass(frozen=True)
class _Unit:
    """What holds or does not, as one."""

    ids: list[str]
    holds: float
    """1, 0, or a share."""
    group: object
    pair: tuple[str, str, str, str] | None = None
    """Where it breaks."""


def composed(store: Store, model: str, keys: np.ndarray | None = None) -> pa.Table:
    """Return compositions with their lineage and a model's predictions.

    Args:
        keys: int64 (n,); None takes every composition.

    Returns:
        id, label, template, foreground, background, extra, prediction (null where missing).

    Raises:
        CheckError: there are no compositions, or the model has no predictions of a class.
    """
    if "template" not in store.schema(SAMPLES).names:
        raise CheckError("There are no compositions.", "compose a template folder first.")
    columns = ["id", "key", "label", *LINEAGE]
    rows = store.take(SAMPLES, keys, columns) if keys is not None else store.table(SAMPLES, columns)
    rows = rows.filter(rows["template"].is_valid())
    table = PREDICTIONS + model
    if not store.has(table):
        raise CheckError(f"No predictions of '{model}'.", f"run `slicedb predict {model}`.")
    if "prediction" not in store.schema(table).names:
        raise CheckError(f"'{model}' predicts no class.", "name a classifier.")
    at = store.positions(table, rows["key"].to_numpy())
    stored = store.table(table, ["prediction"])["prediction"].combine_chunks()
    predictions = stored.take(pa.array(at, mask=at < 0))
    return rows.drop_columns(["key"]).append_column("prediction", predictions)


def accuracy(rows: pa.Table, confidence: float = 0.95) -> Rate:
    """Return the share of compositions whose prediction is their label; foregrounds are groups."""
    composed_rows = _rows(rows)
    known = [r for r in composed_rows if r["prediction"] is not None and r["label"] is not None]
    units = [
        _Unit(
            [r["id"]],
            r["prediction"] == r["label"],
            (r.get("template"), r["foreground"]),
            (r["id"], r["prediction"], r["id"], r["label"]),
        )
        for r in known
    ]
    return _rate("accuracy", units, len(composed_rows) - len(known), confidence)


def invariance(
    rows: pa.Table, to: str | Sequence[str] = "surroundings", confidence: float = 0.95
) -> Rate:
    """Return how often the prediction stays while the surroundings change.

    A unit is the set of pictures that differ in nothing but the named parts. Sets of one
    foreground are not independent (a food that is easy is easy on every table), so the interval
    is that of as many independent trials as there are foregrounds.

    Args:
        rows: id, foreground, background, extra, prediction; one row per composition.
        to: a name of `SURROUNDINGS`, or the columns that may change.

    Raises:
        CheckError: an unknown behaviour or column.

    >>> rows = pa.table({"id": ["a", "b", "c", "d"], "template": ["t"] * 4,
    ...     "foreground": ["f", "f", "g", "g"], "background": ["1", "2", "1", "2"],
    ...     "extra": ["none"] * 4, "prediction": ["x", "x", "x", "y"]})
    >>> r = invariance(rows, "background")
    >>> r.value, r.n, r.groups, r.broken
    (0.5, 2, 2, [['c', 'd']])
    """
    if isinstance(to, str):
        if to not in SURROUNDINGS:
            raise CheckError(f"No behaviour '{to}'.", did_you_mean(to, SURROUNDINGS, "behaviours"))
        to = SURROUNDINGS[to]
    for column in to:
        if column not in rows.column_names:
            raise CheckError(f"No column '{column}'.", did_you_mean(column, rows.column_names))
    same = [name for name in LINEAGE if name not in to]
    sets: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in _rows(rows):
        sets[tuple(row.get(name) for name in same)].append(row)
    units, left_out = [], 0
    for members in sets.values():
        predictions = [m["prediction"] for m in members]
        if None in predictions or len(members) < 2:
            left_out += 1
            continue
        first = members[0]
        other = next((m for m in members if m["prediction"] != first["prediction"]), None)
        pair = None
        if other is not None:
            pair = (first["id"], predictions[0], other["id"], other["prediction"])
        group = (first.get("template"), first["foreground"])
        units.append(_Unit([m["id"] for m in members], other is None, group, pair))
    return _rate(f"invariance({', '.join(to)})", units, left_out, confidence)


def direction(rows: pa.Table, confidence: float = 0.95) -> Rate:
    """Return how often another class in front of the same surroundings changes the prediction.

    A unit is a pair of foregrounds of different classes; it counts with the share of surroundings
    in which the two predictions differ, and as broken when that is below one half. Pairs share
    foregrounds: the interval is that of half as many independent trials as there are foregrounds
    (a mean over all pairs is at least as sure as one over disjoint pairs: Hoeffding, "Probability
    Inequalities for Sums of Bounded Random Variables", JASA 1963, section 5).
    """
    scenes: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in _rows(rows):
        scenes[(row.get("template"), row["background"], row["extra"])].append(row)
    pairs: dict[tuple[str, str], list[tuple[Row, Row]]] = defaultdict(list)
    for members in scenes.values():
        for a, b in itertools.combinations(members, 2):
            if a["label"] != b["label"]:
                pairs[(a["foreground"], b["foreground"])].append((a, b))
    units, left_out, foregrounds = [], 0, set()
    for names, seen in pairs.items():
        if any(r["prediction"] is None for pair in seen for r in pair):
            left_out += 1
            continue
        foregrounds |= set(names)
        alike = [(a, b) for a, b in seen if a["prediction"] == b["prediction"]]
        share = 1 - len(alike) / len(seen)
        pair = None
        if share < 0.5:
            a, b = alike[0]
            pair = (a["id"], a["prediction"], b["id"], b["prediction"])
        ids = list(dict.fromkeys(r["id"] for both in seen for r in both))
        units.append(_Unit(ids, share, names, pair))
    return _rate("direction(foreground)", units, left_out, confidence, len(foregrounds) // 2)


def agreement(
    before: Sequence[str | None],
    after: Sequence[str | None],
    ids: Sequence[str],
    name: str = "agreement",
    confidence: float = 0.95,
) -> Rate:
    """Return how often two predictions of the same sample are equal (flips, crops, corruptions)."""
    units = [
        _Unit([i], a == b, i, (i, a, i, b))
        for i, a, b in zip(ids, before, after)
        if a is not None and b is not None
    ]
    return _rate(name, units, len(ids) - len(units), confidence)


def _rows(table: pa.Table) -> list[Row]:
    return list(table.to_pylist())


def _rate(
    name: str, units: list[_Unit], left_out: int, confidence: float, trials: int | None = None
) -> Rate:
    """Return the rate of units; each group is one trial, or there are so many of them."""
    by_group: dict[object, list[float]] = defaultdict(list)
    for unit in units:
        by_group[unit.group].append(float(unit.holds))
    means = [sum(shares) / len(shares) for shares in by_group.values()]
    value = sum(means) / len(means) if means else float("nan")
    n = len(means) if trials is None else max(trials, 1 if means else 0)
    low, high = clopper_pearson(value * n if n else 0.0, n, confidence, sides=1)
    broken = [unit for unit in units if unit.holds < 0.5]
    return Rate(
        name,
        value,
        float(low),
        float(high),
        len(units),
        left_out,
        n,
        len({i for unit in units for i in unit.ids}),
        [
            unit.ids if trials is None else [unit.pair[0], unit.pair[2]]
            for unit in broken
            if unit.pair
        ],
        [unit.pair for unit in broken if unit.pair],
    )
