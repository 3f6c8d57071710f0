"""Intervals, paired tests, multiplicity and sample sizes; numpy and scipy only.

Every function takes scalars or arrays that broadcast, works in float64, and gives NaN where the
quantity is undefined (no samples, for example), never 0 and never a warning.

Wilson intervals are for reports (they cover their level on average), Clopper-Pearson for
guarantees (they cover at least their level), Tango's for the difference of two models on the same
samples, Hall's for means of skewed values, the bootstrap for everything that has no formula.
"""

from __future__ import annotations

from slicedb.stats.bootstrap import bootstrap, bootstrap_draws, bootstrap_width, tail_p
from slicedb.stats.intervals import (
    Interval,
    clopper_pearson,
    mean_interval,
    proportion_p,
    wilson,
)
from slicedb.stats.multiple import MaxT, benjamini_hochberg, holm, max_t
from slicedb.stats.paired import (
    mcnemar,
    newcombe,
    noninferiority_p,
    paired_interval,
    paired_mean_interval,
    paired_score,
)
from slicedb.stats.sequential import level_of_look, share_of_candidate
from slicedb.stats.size import (
    drop_for_paired,
    n_at_distance,
    n_for_paired,
    n_to_clear,
    n_to_settle,
)
from slicedb.stats.skewed import (
    bounded_interval,
    bounded_p,
    equal_interval,
    equal_p,
    skewed_interval,
    skewed_p,
    skewness,
)
from slicedb.stats.weights import detection_weights

__all__ = [
    "Interval",
    "MaxT",
    "benjamini_hochberg",
    "bootstrap",
    "bootstrap_draws",
    "bootstrap_width",
    "bounded_interval",
    "bounded_p",
    "clopper_pearson",
    "detection_weights",
    "drop_for_paired",
    "equal_interval",
    "equal_p",
    "holm",
    "level_of_look",
    "max_t",
    "mcnemar",
    "mean_interval",
    "n_at_distance",
    "n_for_paired",
    "n_to_clear",
    "n_to_settle",
    "newcombe",
    "noninferiority_p",
    "paired_interval",
    "paired_mean_interval",
    "paired_score",
    "proportion_p",
    "share_of_candidate",
    "skewed_interval",
    "skewed_p",
    "skewness",
    "tail_p",
    "wilson",
]
