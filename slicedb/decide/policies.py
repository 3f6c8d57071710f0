"""Compare ways of deciding: one row per policy and slice, and the rules that were fitted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from slicedb.decide.abstention import Coverage
from slicedb.decide.curve import Curve
from slicedb.decide.matrix import CostMatrix
from slicedb.decide.operating import Operating
from slicedb.decide.rates import ErrorRates
from slicedb.decide.scaling import WAYS, Way
from slicedb.decide.thresholds import Threshold
from slicedb.judge import OtherTruth
from slicedb.show import charts, curves
from slicedb.show.html import Html, element, table
from slicedb.show.numbers import number
from slicedb.show.tabular import Figure, Grid, Part, Tabular

_POINTS = 200
"""Points of the curve that is drawn."""

ALL = "all"


@dataclass(frozen=True)
class PolicyCost:
    """The cost of one way of deciding on one slice."""

    slice: str
    policy: str
    """prediction: the model's own; cheapest: of least expected cost; always X; threshold; ..."""
    cost: float
    """Mean per sample; held out where the policy was fitted."""
    low: float
    """Lower bound."""
    high: float
    """Upper bound."""
    saving: float
    """Mean saved per sample against "prediction", on the same samples."""
    saving_low: float
    """Lower bound, paired."""
    saving_high: float
    """Upper bound, paired."""
    asked: float
    """Share of samples given to a person."""
    n: int

    @property
    def total(self) -> float:
        """Sum over the samples of the slice."""
        return self.cost * self.n


@dataclass(frozen=True, eq=False, repr=False)
class CostReport(Tabular):
    """The costs of a model's decisions, and the rules that were fitted."""

    model: str
    rows: tuple[PolicyCost, ...]
    """All samples first, then slice by slice."""
    left_out: int
    """Samples without a label or without probabilities."""
    coverage: Coverage
    """Risk against coverage of the cheapest decisions."""
    matrix: CostMatrix | None
    """None with `positive`."""
    positive: str | None = None
    """The class that a threshold decides for."""
    threshold: Threshold | None = None
    """With `positive`: the cheapest one."""
    curve: Curve | None = None
    """With `positive`: the cost at every cut point."""
    operating: Operating | None = None
    """With `positive`: precision, recall and F1 at every threshold."""
    query: str = ""
    """With `positive`: the samples decided yes."""
    answer_up_to: Threshold | None = None
    """With `ask`: on minus the expected cost; answer where -expected >= value."""
    human: str = ""
    """Where the human baseline comes from."""
    rates: ErrorRates | None = None
    """With `positive`: false positives and false negatives at the threshold."""
    way: Way | None = None
    """With `calibrate`: how, chosen by held-out samples; see `slicedb.decide.scaling.WAYS`."""
    truth: OtherTruth | None = None
    """What stood in place of the label."""
    confidence: float = 0.95
    """Level of the intervals."""

    def row(self, policy: str, slice: str = ALL) -> PolicyCost:
        """Return the row of a policy.

        Raises:
            KeyError: there is no such row.
        """
        return {(row.policy, row.slice): row for row in self.rows}[policy, slice]

    def to_arrow(self) -> pa.Table:
        """Return one row per slice and policy."""
        return pa.Table.from_pylist([{**vars(row), "total": row.total} for row in self.rows])

    def parts(self) -> Iterator[Part]:
        """Yield the table, and the rules that were fitted."""
        yield f"{self.model}: cost per sample, {self.left_out:,} left out"
        if self.truth is not None:
            yield f"judged against {self.truth}, not the label"
        head = ["slice", "policy", "cost", "interval", "saving", "interval", "asked", "n"]
        rows = [
            [
                r.slice,
                r.policy,
                number(r.cost),
                _span(r.low, r.high),
                number(r.saving),
                _span(r.saving_low, r.saving_high),
                f"{r.asked:.0%}" if r.asked else "",
                f"{r.n:,}",
            ]
            for r in self.rows
        ]
        yield Grid(head, rows, align="<<>>>>>>")
        yield from self._legend()
        if self.threshold is not None:
            yield f"cheapest threshold {self.threshold}"
            yield f"query: {self.query}"
            if self.threshold.is_smoothed:
                yield f"smoothed; on these samples alone {self.threshold.exact:.4g} costs least"
        if self.rates is not None:
            yield f"at the threshold, held out: {self.rates}"
        if self.way is not None and self.way != "temperature":
            yield f"calibrated by {WAYS[self.way]}: one temperature is not enough"
        if self.answer_up_to is not None:
            most = -self.answer_up_to.value
            yield (
                f"answer where the expected cost is at most {most:.4g}"
                if np.isfinite(most) or most > 0
                else "no answer of the model is worth giving: ask about every sample"
            )
        yield str(self.coverage)
        yield Figure(self._drawn)

    def _legend(self) -> Iterator[str]:
        """Yield what the columns and the policies are."""
        asked = "; asked: share handed to a person" if any(r.asked for r in self.rows) else ""
        yield (
            f"cost: mean per sample, with its {self.confidence:.0%} interval; saving: how much "
            f"less than `prediction`; n: samples{asked}"
        )
        named = dict.fromkeys(_about(row.policy) for row in self.rows)
        yield "; ".join(text for text in named if text)

    def _drawn(self) -> Html:
        """Draw the risk by the share answered, and each policy's cost on its rail."""
        curve = self.coverage
        at = np.unique(np.linspace(0, len(curve.coverage) - 1, _POINTS).astype(int))
        points = curve.coverage[at].tolist(), curve.risk[at].tolist()
        whole = [r for r in self.rows if r.slice == ALL]
        span = charts.span_of([mark for r in whole for mark in (r.cost, r.low, r.high)], False)
        rails = [
            [r.policy, Html(charts.interval(r.cost, r.low, r.high, float("nan"), span))]
            for r in whole
        ]
        drawn = Html(charts.cost(*points, live=False))
        rows = table(["policy", "cost per sample"], rails)
        return element("div", drawn, rows, *map(Html, self.draw().values()), class_="beside")

    def draw(self) -> dict[str, str]:
        """Return the charts of a positive class as SVG, by name: cost, and what is found."""
        if self.curve is None or self.operating is None or self.threshold is None:
            return {}
        best = self.threshold
        mark = curves.Mark(best.value, "cheapest", best.low, best.high)
        return {
            "cost": self.curve.draw(mark, self.confidence),
            "operating": self.operating.draw(best.value),
        }


_POLICIES = {
    "prediction": "the class that the model predicts",
    "always": "the same decision for all, the cheapest such",
    "cheapest": "the decision of least expected cost, by the probabilities",
    "cheapest, calibrated": "the same after calibration",
    "threshold": "yes from the cheapest threshold on, on samples it was not fitted on",
    "cheapest, or ask": "a person where that is expected to cost less",
    "ask always": "a person for all",
    "human": "what people decide today",
}


def _about(policy: str) -> str:
    """Return what a policy is.

    >>> _about("always cat")
    'always: the same decision for all, the cheapest such'
    """
    name = "always" if policy.startswith("always ") else policy
    return f"{name}: {_POLICIES[name]}" if name in _POLICIES else ""


def _span(low: float, high: float) -> str:
    return f"{number(low)} to {number(high)}"
