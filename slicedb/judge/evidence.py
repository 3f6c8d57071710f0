"""The evidence for one expectation: its value and bounds, and what they are computed from."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from slicedb.judge.aligned import Aligned, groups_of
from slicedb.judge.pairs import Pair
from slicedb.judge.trials import Trial
from slicedb.keys import Keys
from slicedb.store import Store

NAN = float("nan")

ENOUGH = 30
"""Samples below which an interval from the central limit theorem is not trusted."""


class Inputs:
    """What evidence is computed from.

    Args:
        store: the tables.
        aligned: predictions and ground truth by model, the one under test first.
        confidence: of each bound alone.
    """

    def __init__(self, store: Store, aligned: Mapping[str, Aligned], confidence: float) -> None:
        self.store = store
        self.confidence = confidence
        self.model = next(iter(aligned.values()))
        self._aligned = aligned
        self._pairs: dict[str, Pair] = {}

    def at(self, confidence: float) -> Inputs:
        """Return the same inputs for bounds that hold at another confidence."""
        other = copy(self)
        other.confidence = confidence
        return other

    def pair(self, baseline: str) -> Pair:
        """Return the model and a baseline on the samples that both saw."""
        if baseline not in self._pairs:
            self._pairs[baseline] = Pair(self.model, self._aligned[baseline])
        return self._pairs[baseline]

    def groups(self, column: str) -> Keys | None:
        """Return int64 (universe,): the group of each sample; None for no column."""
        return groups_of(self.store, column) if column else None


@dataclass(frozen=True, eq=False)
class Gains:
    """Which of the two models of a comparison is right, sample by sample."""

    values: npt.NDArray[np.float64]
    """float64 (n,): 1 where the model alone is right, -1 where the baseline alone is, else 0."""
    right_by: str
    """The metric that says what is right: two metrics may differ on the same sample."""


@dataclass(frozen=True, eq=False)
class Failures:
    """Pictures on which a behaviour does not hold."""

    basis: str
    """What the rate is a share of, "" where it is one of samples."""
    text: str
    """The pictures and their predictions."""
    ids: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """The answer to a trial; the verdict waits for the evidence of the whole suite."""

    trial: Trial
    value: float = NAN
    """The metric, or the difference to the baseline (model - baseline); NaN where undefined."""
    low: float = NAN
    """Lower bound; each bound alone holds at the confidence of the suite."""
    high: float = NAN
    """Upper bound."""
    p: float = NAN
    """One-sided p-value of the null hypothesis that the expectation holds."""
    p_pass: float = NAN
    """The same of the null hypothesis that it does not hold."""
    n: int = 0
    """Samples that the value rests on."""
    left_out: int = 0
    """Members without label or prediction, or not seen by the baseline."""
    doubtful: tuple[tuple[str, int], ...] = ()
    """Models of boxes, and how many annotated members have no row among the detections of each."""
    undefined: str = ""
    """Why there is no value."""
    is_approximate: bool = False
    """Whether the interval leans on the central limit theorem."""
    enough: int = 0
    """Samples below which its interval is not trusted, whatever the suite says."""
    rows: Keys = field(default_factory=lambda: np.empty(0, np.int64))
    """int64 (n,): rows of the universe that count, ascending."""
    carriers: float | None = None
    """Of a mean difference that few samples make: about how many, (sum d^2)^2 / sum d^4 of the
    centred differences."""
    groups: Keys | None = None
    """int64 (n,): the group of each of `rows`, where groups are what is independent."""
    units: int | None = None
    """Independent units that were resampled: samples or groups; None without resampling."""
    gains: Gains | None = None
    """Of a comparison whose samples are right or wrong."""
    failures: Failures | None = None
    """Of a behaviour."""
    worst: tuple[str, ...] = ()
    """Ids of wrong samples, the worst first."""

    @property
    def holds(self) -> bool:
        """Whether the value itself is on the right side of the bound."""
        return self.trial.holds(self.value)

    @property
    def is_shown(self) -> bool:
        """Whether the whole one-sided interval is on the right side of the bound."""
        return self.trial.holds(self.low if self.trial.wants_high else self.high)

    def gates(self, minimum: int) -> bool:
        """Return whether it has the samples to decide anything."""
        units = self.n if self.units is None else min(self.n, self.units)
        return units >= self.least(minimum)

    def least(self, minimum: int) -> int:
        """Return the number of samples from which on it decides."""
        return max(minimum, self.enough, ENOUGH if self.is_approximate else 0)
