"""The samples that have both a ground truth and a prediction, ordered by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from slicedb import schema
from slicedb.errors import PredictionError, SliceError
from slicedb.judge.aligned import Aligned, load, universe
from slicedb.judge.truth import OtherTruth
from slicedb.keys import Keys
from slicedb.metrics.outcomes import Ints
from slicedb.show import numbers
from slicedb.store import Store


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """Samples with a ground truth and a prediction."""

    aligned: Aligned
    at: Ints
    """int64 (n,): their rows in `aligned`, by id."""
    rows: pa.Table
    """Their id and the columns asked for."""
    left_out: int
    """Samples asked for that lack either."""
    asked: Keys


def judged_rows(
    store: Store,
    model: str,
    keys: Keys | None,
    by: Sequence[str],
    truth: OtherTruth | None,
    *,
    lacks: tuple[str, str],
    hint: str,
) -> JudgedRows:
    """Read which samples can be judged.

    Args:
        keys: int64 (n,); None is every sample that is shown.
        by: columns of samples to read beside the id.
        truth: what stands in place of the ground truth.
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
    return JudgedRows(aligned, at[by_id], rows.take(pa.array(by_id)), left_out, asked)
