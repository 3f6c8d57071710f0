"""One metric: which statistics it sums, and how sums become a value and an interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from slicedb.metrics.estimate import Estimate, PerClass
from slicedb.metrics.outcomes import Floats, Ints
from slicedb.metrics.states import State

Weighted = Callable[[Floats], Floats]
"""From weights (b, n), how often each sample counts, to values (b,)."""


@dataclass(frozen=True)
class Metric:
    """One metric."""

    name: str
    state: State
    """The per-sample statistics it is computed from."""
    compute: Callable[..., Estimate]
    """Sums of all slices -> estimates; for ranked metrics, its name, the outcomes of one slice
    and the code of a class or None -> estimate."""
    interval: Literal["share", "mean", "draws", "exact"]
    """How its interval is made: of a share in [0, 1], of a mean, from resamples, or none."""
    undefined: str
    """Why it is NaN where it is."""
    rises: bool = True
    """Whether higher is better."""
    per_class: Callable[[Ints], PerClass] | None = None
    """The same for one class, from the confusion matrix."""
    by_class: bool = False
    """Whether `of <class>` makes sense."""
    task: str = "classification"
    """What the outcomes it is for do: classification, multilabel, detection, regression."""
    bind: Callable[[int], Metric] | None = None
    """The metric of one class; None derives it from `per_class` or `compute`."""
    weighted: Callable[[Any], Weighted] | None = None
    """Outcomes -> the function from weights to values; None derives it from the state."""
    bias: float = 0.0
    """Of resamples, see `slicedb.metrics.ratios.recentred`."""
    is_mean: bool = False
    """Whether it is the mean of a statistic a sample, so that models differ sample by sample."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns of the outcomes it reads."""
        return self.state.needs

    @property
    def is_share(self) -> bool:
        """Whether it lies in [0, 1] whatever the data."""
        return self.interval == "share" or (self.interval == "draws" and self.rises)
