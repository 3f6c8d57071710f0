"""What reading changes of predictions made elsewhere, so that it can be said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slicedb.metrics.outcomes import Bools


@dataclass(eq=False)
class Changes:
    """What was changed of a batch of n rows."""

    sums: npt.NDArray[np.float64] | None = None
    """float64 (n,): what the probabilities of a row summed to that were divided by it, else NaN."""
    kept: Bools | None = None
    """bool (n,): where the prediction is the given one, though rounding makes another class as
    probable."""
    tied: Bools | None = None
    """bool (n,): where the logits of the two best classes differ, and not their probabilities as
    they are stored."""
