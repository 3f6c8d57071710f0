"""What a model should not mind, and what it should: rates over compositions, with intervals.

A rate is a share of units that hold, so that its interval speaks of independent things: for
invariance a unit is the set of pictures that differ in nothing but the named parts, for direction
a pair of foregrounds of different classes.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from slicedb.behaviour.templates import LINEAGE
from slicedb.errors import CheckError, did_you_mean
from slicedb.schema import PREDICTIONS, SAMPLES
from slicedb.stats import clopper_pearson

if TYPE_CHECKING:
    from slicedb.store import Store

BEHAVIOURS: dict[str, tuple[str, ...]] = {
    "background": ("background",),
    "extra": ("extra",),
    "surroundings": ("background", "extra"),
}
"""Name of an invariance -> the columns that may change without changing the prediction."""


@dataclass(frozen=True)
class Rate:
    """How often a behaviour holds."""

    name: str
    value: float
    """Share of the units that hold; NaN when there are none."""
    low: float
    """Bounds of the exact interval (Clopper-Pearson), one-sided each."""
    high: float
    n: int
    """Units."""
    left_out: int
    """Units without a prediction for every picture."""
    broken: list[list[str]] = field(default_factory=list)
    """The ids of the units that do not hold."""

    def verdict(self, bound: float) -> str:
        """Return PASS when the interval clears a lower bound, FAIL when it lies below it."""
        if not self.n:
            return "INCONCLUSIVE"
        if self.low >= bound:
            return "PASS"
        return "FAIL" if self.high < bound else "INCONCLUSIVE"

    def __str__(self) -> str:
        left = f", {self.left_out} left out" if self.left_out else ""
        return f"{self.name} {self.value:.3f} [{self.low:.3f}, {self.high:.3f}] n={self.n}{left}"


def composed(store: Store, model: str, keys: np.ndarray | None = None) -> pa.Table:
    """Return compositions with their lineage and a model's predictions.

    Args:
        store: the database.
        model: name of the model.
        keys: int64 (n,); None takes every composition.

    Returns:
        id, label, template, foreground, background, extra, prediction (null where missing).

    Raises:
        CheckError: there are no compositions, or the model has no predictions.
    """
    if "template" not in store.schema(SAMPLES).names:
        raise CheckError("There are no compositions.", "compose a template folder first.")
    columns = ["id", "key", "label", *LINEAGE]
    rows = store.take(SAMPLES, keys, columns) if keys is not None else store.table(SAMPLES, columns)
    rows = rows.filter(rows["template"].is_valid())
    table = PREDICTIONS + model
    if not store.has(table):
        raise CheckError(f"No predictions of '{model}'.", f"run `slicedb predict {model}`.")
    at = store.positions(table, rows["key"].to_numpy())
    stored = store.table(table, ["prediction"])["prediction"].combine_chunks()
    found = stored.take(pa.array(at, mask=at < 0))
    return rows.drop_columns(["key"]).append_column("prediction", found)


def accuracy(rows: pa.Table, confidence: float = 0.95) -> Rate:
    """Return the share of compositions whose prediction is their label."""
    units = [([r["id"]], r["prediction"] and r["prediction"] == r["label"]) for r in _rows(rows)]
    left_out = sum(prediction is None for _, prediction in units)
    known = [(ids, bool(right)) for ids, right in units if right is not None]
    return _rate("accuracy", known, left_out, confidence)


def invariance(
    rows: pa.Table, to: str | Sequence[str] = "surroundings", confidence: float = 0.95
) -> Rate:
    """Return how often the prediction stays while the surroundings change.

    Args:
        rows: id, foreground, background, extra, prediction; one row a composition.
        to: a name of `BEHAVIOURS`, or the columns that may change.
        confidence: of each bound alone.

    Raises:
        CheckError: an unknown behaviour or column.

    >>> rows = pa.table({"id": ["a", "b", "c", "d"], "template": ["t"] * 4,
    ...     "foreground": ["f", "f", "g", "g"], "background": ["1", "2", "1", "2"],
    ...     "extra": ["none"] * 4, "prediction": ["x", "x", "x", "y"]})
    >>> r = invariance(rows, "background")
    >>> r.value, r.n, r.broken
    (0.5, 2, [['c', 'd']])
    """
    if isinstance(to, str):
        if to not in BEHAVIOURS:
            raise CheckError(f"No behaviour '{to}'.", did_you_mean(to, BEHAVIOURS, "behaviours"))
        to = BEHAVIOURS[to]
    for column in to:
        if column not in rows.column_names:
            raise CheckError(f"No column '{column}'.", did_you_mean(column, rows.column_names))
    same = [name for name in LINEAGE if name not in to]
    sets: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in _rows(rows):
        sets[tuple(row.get(name) for name in same)].append(row)
    units, left_out = [], 0
    for members in sets.values():
        said = {m["prediction"] for m in members}
        if None in said or len(members) < 2:
            left_out += 1
        else:
            units.append(([m["id"] for m in members], len(said) == 1))
    return _rate(f"invariance({', '.join(to)})", units, left_out, confidence)


def direction(rows: pa.Table, confidence: float = 0.95) -> Rate:
    """Return how often another class in front of the same surroundings changes the prediction.

    A unit is a pair of foregrounds of different classes; it counts with the share of surroundings
    in which the two predictions differ, and as broken when that is below one half.
    """
    scenes: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in _rows(rows):
        scenes[(row.get("template"), row["background"], row["extra"])].append(row)
    pairs: dict[tuple[str, str], list[tuple[list[str], bool | None]]] = defaultdict(list)
    for members in scenes.values():
        for a, b in itertools.combinations(members, 2):
            if a["label"] != b["label"]:
                unknown = a["prediction"] is None or b["prediction"] is None
                differs = None if unknown else a["prediction"] != b["prediction"]
                pairs[(a["foreground"], b["foreground"])].append(([a["id"], b["id"]], differs))
    shares, broken, left_out = [], [], 0
    for seen in pairs.values():
        known = [(ids, differs) for ids, differs in seen if differs is not None]
        if len(known) < len(seen):
            left_out += 1
            continue
        shares.append(float(np.mean([differs for _, differs in known])))
        if shares[-1] < 0.5:
            broken.append(next(ids for ids, differs in known if not differs))
    return _rate_of("direction", sum(shares), len(shares), left_out, broken, confidence)


def agreement(
    before: Sequence[str | None],
    after: Sequence[str | None],
    ids: Sequence[str],
    name: str = "agreement",
    confidence: float = 0.95,
) -> Rate:
    """Return how often two predictions of the same sample are equal (flips, crops, corruptions)."""
    units = [([i], a == b) for i, a, b in zip(ids, before, after) if None not in (a, b)]
    return _rate(name, units, len(ids) - len(units), confidence)


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _rate(name: str, units: list[tuple[list[str], bool]], left_out: int, confidence: float) -> Rate:
    held = sum(holds for _, holds in units)
    broken = [ids for ids, holds in units if not holds]
    return _rate_of(name, held, len(units), left_out, broken, confidence)


def _rate_of(
    name: str, held: float, n: int, left_out: int, broken: list[list[str]], confidence: float
) -> Rate:
    low, high = clopper_pearson(held, n, confidence, sides=1)
    value = held / n if n else float("nan")
    return Rate(name, value, float(low), float(high), n, left_out, broken)
