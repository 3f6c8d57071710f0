"""One metric: which statistics it sums, and how the sums become a value and an interval."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from slicedb.metrics.estimate import Estimate, PerClass
from slicedb.metrics.outcomes import Floats, Ints
from slicedb.metrics.ranked import RankArea
from slicedb.metrics.states import MetricState, PerSample

Weighted = Callable[[Floats], Floats]
"""From weights (b, n), how often each sample counts, to values (b,)."""

UNIT = (0.0, 1.0)
POSITIVE = (0.0, float("inf"))
ANY_NUMBER = (float("-inf"), float("inf"))

_NAME = re.compile(r"[A-Za-z][\w@.:]*")


@dataclass(frozen=True)
class Metric:
    """One metric of one task.

    The built-in metrics are objects of this class, and so are those of an installed package: it
    declares them as entry points in the group `slicedb.metrics`, and `evaluate`, `test`,
    expectations and `slicedb metrics` then know them by name. In a notebook,
    `slicedb.metrics.METRICS.add(metric)` does the same for the running process.

    The mean of a number per sample needs the fewest words:

    >>> from slicedb.metrics import PerSample, mean, mean_state
    >>> doubt = PerSample("doubt", lambda outcomes: 1 - outcomes.confidence)
    >>> state = mean_state(doubt, needs=("confidence",))
    >>> metric = Metric("doubt", state, mean, "mean", "no sample is judged", sample=doubt)
    >>> metric.is_share, metric.rises
    (True, True)
    """

    name: str
    state: MetricState
    """The per-sample statistics it is computed from; metrics of equal state share their sums."""
    compute: Callable[..., Estimate]
    """Sums of all slices -> estimates; for ranked metrics, its name, the outcomes of one slice
    and the code of a class or None -> estimate."""
    interval: Literal["share", "rank", "mean", "root", "draws", "exact"]
    """How its interval is made: of a share in [0, 1], of an area under a curve of ranks, of a
    mean or the root of one, from resamples, or none."""
    undefined: str
    """Why it is NaN where it is."""
    task: str = "classification"
    """The task of the outcomes that it reads."""
    range: tuple[float, float] = UNIT
    """The smallest and the largest value it can have, whatever the data."""
    rises: bool = True
    """Whether higher is better."""
    aliases: tuple[str, ...] = ()
    """Other names for it."""
    family: Callable[[str], Metric | None] | None = None
    """From another name of the same form, such as `top_3` beside `top_5`, to its metric; None for
    any other name."""
    sample: PerSample | None = None
    """What is right for a sample: the number per sample that the metric is the mean of, if it is
    one. Two models are then compared sample by sample."""
    sample_of_class: PerSample | None = None
    """The same for one class: the metric of a class is the mean over the samples of that class."""
    per_class: Callable[[Ints], PerClass] | None = None
    """From the confusion matrix to the values of all classes."""
    by_class: bool = False
    """Whether `of <class>` makes sense."""
    influence: Callable[..., RankArea | None] | None = None
    """Name, outcomes and the code of a class or None -> the value with what each sample adds to its
    error. Two models are then compared by the differences of these."""
    bind: Callable[[int], Metric] | None = None
    """The metric of one class; None derives it from `per_class` or `compute`."""
    weighted: Callable[..., Weighted] | None = None
    """Outcomes -> the function from weights to values; None derives it from the state."""
    minimum: int = 0
    """Samples of the class, or of each class of an average, from which on its interval holds."""
    bias: float = 0.0
    """Of resamples, see `slicedb.metrics.ratios.recentred`."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns of the outcomes it reads."""
        return self.state.needs

    @property
    def is_share(self) -> bool:
        """Whether it lies in [0, 1] whatever the data."""
        return self.range == UNIT

    @property
    def has_classes(self) -> bool:
        """Whether it is defined for one class."""
        return self.per_class is not None or self.by_class


def problem_of(metric: object) -> str:
    """Return what keeps an object from being a metric, "" if nothing does."""
    if not isinstance(metric, Metric):
        return f"{metric!r} is not a slicedb.metrics.Metric."
    if not _NAME.fullmatch(metric.name):
        return f"{metric.name!r} cannot stand in an expectation as the name of a metric."
    if not metric.range[0] < metric.range[1]:
        return f"The range of '{metric.name}' is {metric.range}: the smaller value comes first."
    return ""
