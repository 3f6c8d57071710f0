"""One expectation before its verdict: the value, its bounds and the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from slicedb.expectations import Check
from slicedb.judge.results import Verdict

NAN = float("nan")


@dataclass
class Trial:
    """One expectation of one slice; the verdict waits for the other trials of the suite."""

    slice: int
    """Index of the slice in the run."""
    check: Check
    expectation: str = ""
    """What the file says, before classes and the baseline are filled in."""
    value: float = NAN
    """The metric, or model - baseline."""
    low: float = NAN
    high: float = NAN
    """Each bound alone holds at the suite's confidence."""
    n: int = 0
    left_out: int = 0
    p: float = NAN
    """Evidence that the expectation does not hold."""
    p_adjusted: float = NAN
    counted: bool = True
    """False for counts and shares of splits: they are what they are, without chance."""
    approximate: bool = False
    """Whether the interval leans on the central limit theorem."""
    reason: str = ""
    """Why there is no value."""
    needs: Callable[[], int | None] | None = None
    """Gives the samples that would settle it."""
    baseline: str | None = None
    column: str = ""
    """The column of samples whose groups are independent; "" where samples are."""
    note: str = ""
    """What a reader of this result should know beside it."""
    rises: bool = True
    """Whether higher is better; for plain bounds the comparison says it."""
    gains: npt.NDArray[np.float64] | None = None
    """-1, 0 or 1 a row of `rows`: the model right alone is 1; None for other comparisons."""
    right_by: str = ""
    """The metric that says what is right, for `gains`: two may differ on the same sample."""
    units: int | None = None
    """Groups that its samples fall into, where those are what is independent."""
    groups: npt.NDArray[np.int64] | None = None
    """Group of each of `rows`."""
    rows: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Rows of the universe that count, ascending."""
    basis: str = ""
    """What a rate of behaviour is a share of."""
    evidence: str = ""
    """What it breaks on, by name."""
    worst: tuple[str, ...] = ()
    """Ids it breaks on."""

    @property
    def bound(self) -> float:
        """The number the value is compared with."""
        if self.check.baseline is None:
            return self.check.bound
        return -self.check.margin if self.rises else self.check.margin

    @property
    def wants_high(self) -> bool:
        """Whether the value should lie above the bound."""
        return self.rises if self.check.baseline is not None else self.check.op in (">=", ">")

    @property
    def holds(self) -> bool:
        """Whether the value itself is on the right side of the bound."""
        return self._clears(self.value)

    @property
    def is_shown(self) -> bool:
        """Whether the whole one-sided interval is on the right side."""
        return self._clears(self.low if self.wants_high else self.high)

    def _clears(self, x: float) -> bool:
        op = self.check.op
        if self.check.baseline is not None:
            op = ">=" if self.rises else "<="
        bound = self.bound
        return {">=": x >= bound, ">": x > bound, "<=": x <= bound, "<": x < bound}[op]

    def verdict(self, alpha: float, decide: str, minimum: int) -> Verdict:
        """Return the verdict.

        Args:
            alpha: 1 - confidence.
            decide: "point" compares the value alone.
            minimum: samples below which nothing is decided by interval.
        """
        if np.isnan(self.value):
            return "INCONCLUSIVE"
        if decide == "point" or not self.counted:
            return "PASS" if self.holds else "FAIL"
        if self.is_too_small(minimum):
            return "INCONCLUSIVE"
        if self.p_adjusted <= alpha and not self.holds:
            return "FAIL"
        return "PASS" if self.is_shown else "INCONCLUSIVE"

    def is_too_small(self, minimum: int) -> bool:
        """Return whether the slice reports but does not gate."""
        units = self.n if self.units is None else min(self.n, self.units)
        return self.counted and units < self.least(minimum)

    def least(self, minimum: int) -> int:
        """Return the samples from which on it gates."""
        return max(minimum, ENOUGH if self.approximate else 0)


ENOUGH = 30
"""Samples below which an interval from the central limit theorem is not believed."""
