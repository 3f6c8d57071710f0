"""Read a detector's boxes beside the annotated ones, or beside those of another truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from slicedb import sql
from slicedb.analysis.judgedrows import judged_rows
from slicedb.judge.aligned import Aligned
from slicedb.judge.truth import OtherTruth
from slicedb.keys import KeyIndex, Keys
from slicedb.metrics.detections import Detections
from slicedb.metrics.outcomes import Bools, Ints
from slicedb.store import Store


@dataclass(frozen=True, eq=False)
class JudgedBoxes:
    """Annotated and predicted samples, one row each, by id."""

    model: str
    aligned: Aligned
    outcomes: Detections
    keys: Keys
    rows: pa.Table
    """id and the columns asked for."""
    left_out: int
    asked: Keys

    label = "label"

    def errors_among(self, at: Ints, wrong: Bools) -> str:
        """Return the predicate of the samples with a mistake; of some rows, against a truth."""
        if self.aligned.truth is None:
            return f"NOT {sql.name(self.model)}.correct"
        return self.named(at[wrong[at]])

    def named(self, at: Ints) -> str:
        """Return the predicate of some rows by their ids.

        Against another truth no query can find them: `matches` and `loss` speak of the annotated
        boxes.
        """
        return sql.is_in("id", self.rows["id"].take(pa.array(at)).to_pylist())

    @property
    def n(self) -> int:
        return len(self.keys)

    def members(self, slices: Mapping[str, Keys] | None) -> dict[str, Keys]:
        """Return the row numbers of each slice."""
        given = slices or {}
        return {name: np.flatnonzero(self._index.mask(keys)) for name, keys in given.items()}

    @cached_property
    def _index(self) -> KeyIndex:
        return KeyIndex(self.keys)


def judged_boxes(
    store: Store, model: str, keys: Keys | None, by: Sequence[str], truth: OtherTruth | None
) -> JudgedBoxes:
    """Read annotated and predicted boxes, by id.

    Args:
        keys: int64 (n,); None is every sample that is shown.
        by: columns of samples to read beside them.
        truth: what stands in place of the annotated boxes.

    Raises:
        SliceError: there are no samples.
        PredictionError: none of them has both.
    """
    judged = judged_rows(
        store,
        model,
        keys,
        by,
        truth,
        lacks=("annotated boxes", "detections of"),
        hint=f"run `slicedb predict {model}`, or log them with `slicedb log-predictions`.",
    )
    aligned, at = judged.aligned, judged.at
    outcomes: Detections = aligned.outcomes.take(at)
    return JudgedBoxes(
        model, aligned, outcomes, aligned.keys[at], judged.rows, judged.left_out, judged.asked
    )
