"""Ask a person where the model is unsure: risk against coverage, and the cheapest share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.decide.curve import sweep
from slicedb.decide.thresholds import Solution, solve
from slicedb.errors import SliceError
from slicedb.metrics.outcomes import Floats


@dataclass(frozen=True, eq=False)
class Coverage:
    """What the answered samples cost when only the surest are answered."""

    coverage: Floats
    """float64 (k,) rising in (0, 1]: share that the model answers; equal doubts stay together."""
    risk: Floats
    """float64 (k,): mean cost of the answered."""
    doubt: Floats
    """float64 (k,): the largest doubt that is still answered."""

    @property
    def area(self) -> float:
        """Area under the curve, 0 at best (AURC; Geifman, Uziel & El-Yaniv, ICLR 2019)."""
        steps = np.diff(self.coverage, prepend=0.0)
        return float((steps * self.risk).sum())

    def to_arrow(self) -> pa.Table:
        """Return one row per cut point."""
        return pa.table({"coverage": self.coverage, "risk": self.risk, "doubt": self.doubt})

    def at_risk(self, most: float) -> float:
        """Return the largest coverage whose risk is at most `most`; 0 where there is none."""
        inside = self.coverage[self.risk <= most]
        return float(inside.max()) if len(inside) else 0.0

    def __str__(self) -> str:
        shown = [0.5, 0.8, 0.9, 0.95, 1.0]
        at = [min(int(np.searchsorted(self.coverage, c)), len(self.risk) - 1) for c in shown]
        parts = [f"{self.coverage[i]:.0%}: {self.risk[i]:.4g}" for i in dict.fromkeys(at)]
        return "risk by coverage  " + "  ".join(parts)


def risk_coverage(doubt: npt.ArrayLike, cost: npt.ArrayLike) -> Coverage:
    """Return the risk-coverage curve (El-Yaniv & Wiener, JMLR 2010).

    Args:
        doubt: float (n,): 1 - confidence or the expected cost; the least is answered first.
        cost: float (n,): what each answer costs.

    Raises:
        SliceError: there are no samples, or a doubt is NaN.

    >>> curve = risk_coverage([0.1, 0.4, 0.2, 0.3], [0, 1, 0, 1])
    >>> curve.risk.round(2).tolist(), curve.at_risk(0.0)
    ([0.0, 0.0, 0.33, 0.5], 0.5)
    """
    loss = np.asarray(cost, np.float64)
    curve = sweep(-np.asarray(doubt, np.float64), loss, np.zeros(len(loss)))
    answered = curve.n_yes[1:]
    return Coverage(answered / curve.n, curve.cost[1:] * curve.n / answered, -curve.threshold[1:])


def best_coverage(
    doubt: npt.ArrayLike,
    cost: npt.ArrayLike,
    ask: npt.ArrayLike,
    *,
    folds: int = 10,
    confidence: float = 0.95,
    seed: int = 0,
) -> Solution:
    """Return the cheapest doubt to answer up to, when asking costs `ask`.

    With calibrated probabilities and the expected cost as doubt it is `ask` itself (Chow, IEEE
    Trans. Information Theory 1970). The threshold is on -doubt: answered where -doubt >= value.

    Raises:
        SliceError: a cost of asking is negative or NaN.
    """
    price = np.asarray(ask, np.float64)
    if not (price >= 0).all():
        raise SliceError("The cost of asking is negative or NaN.", "give a number from 0 up.")
    score = -np.asarray(doubt, np.float64)
    return solve(score, cost, price, folds=folds, confidence=confidence, seed=seed)
