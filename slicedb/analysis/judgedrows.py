"""The samples that have both a ground truth and a prediction, ordered by their ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np
import pyarrow as pa

from slicedb import schema, sql
from slicedb.errors import PredictionError, SliceError
from slicedb.judge.aligned import Aligned, load, universe
from slicedb.judge.truth import OtherTruth
from slicedb.keys import KeyIndex, Keys
from slicedb.metrics.detections import Detections
from slicedb.metrics.outcomes import Bools, Ints
from slicedb.metrics.segmented import PixelCounts
from slicedb.show import numbers
from slicedb.store import Store

O = TypeVar("O", Detections, PixelCounts)  # noqa: E741


@dataclass(frozen=True, eq=False)
class JudgedRows(Generic[O]):
    """Samples with a ground truth and a prediction, one row each, by id."""

    model: str
    aligned: Aligned
    outcomes: O
    keys: Keys
    rows: pa.Table
    """id and the columns asked for."""
    left_out: int
    """Samples asked for that lack either."""
    asked: Keys
    wrong: str
    """The predicate of the samples with a mistake, against the ground truth."""

    label = "label"

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.keys)

    def errors_among(self, at: Ints, wrong: Bools) -> str:
        """Return the predicate of the samples with a mistake; of some rows, against a truth."""
        return self.wrong if self.aligned.truth is None else self.named(at[wrong[at]])

    def named(self, at: Ints) -> str:
        """Return the predicate of some rows by their ids.

        Against another truth no query can find them: `matches` and `loss` speak of the ground
        truth.
        """
        return sql.is_in("id", self.rows["id"].take(pa.array(at)).to_pylist())

    def members(self, slices: Mapping[str, Keys] | None) -> dict[str, Keys]:
        """Return the row numbers of each slice."""
        return self._index.members(slices or {})

    @cached_property
    def _index(self) -> KeyIndex:
        return KeyIndex(self.keys)


def judged_rows(
    store: Store,
    model: str,
    keys: Keys | None,
    by: Sequence[str],
    truth: OtherTruth | None,
    kind: type[O],
    *,
    wrong: str,
    lacks: tuple[str, str],
    hint: str,
) -> JudgedRows[O]:
    """Read the samples that can be judged.

    Args:
        keys: int64 (n,); None is every sample that is shown.
        by: columns of samples to read beside the id.
        truth: what stands in place of the ground truth.
        kind: of the outcomes of the model's task.
        wrong: the predicate of the samples with a mistake.
        lacks: what errors call the ground truth, and what the model predicts.
        hint: how predictions come about.

    Raises:
        SliceError: there are no samples.
        PredictionError: none of them has both.
    """
    aligned = load(store, model, truth)
    if keys is None:
        keys = store.table(schema.SAMPLES, ["key"], where=schema.IS_SHOWN)["key"].to_numpy()
    asked = np.asarray(keys, np.int64)
    if not len(asked):
        raise SliceError("There are no samples to judge.", "the slice is empty; widen its query.")
    at = aligned.row_of[universe(store).rows(asked)]
    at = at[at >= 0]
    if not len(at):
        raise PredictionError(
            f"None of the {numbers.count(len(asked), 'sample')} has both "
            f"{aligned.truth or lacks[0]} and {lacks[1]} '{model}'.",
            hint,
        )
    rows = store.take(schema.SAMPLES, aligned.keys[at], list(dict.fromkeys(["id", *by])))
    by_id = np.argsort(np.asarray(rows["id"].to_pylist(), object), kind="stable")
    left_out = len(np.unique(asked)) - len(at)
    rows, at = rows.take(pa.array(by_id)), at[by_id]
    outcomes = aligned.outcomes.take(at)
    assert isinstance(outcomes, kind)
    return JudgedRows(model, aligned, outcomes, aligned.keys[at], rows, left_out, asked, wrong)
