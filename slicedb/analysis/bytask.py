"""Analyse the errors of a model in the way of its task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from slicedb.analysis.boxes import BoxMistakes, box_errors
from slicedb.analysis.mistakes import Mistakes, class_errors
from slicedb.analysis.pixels import PixelMistakes, pixel_errors
from slicedb.judge.aligned import load
from slicedb.judge.truth import OtherTruth
from slicedb.keys import Keys
from slicedb.store import Store

_BY_TASK: Mapping[str, Callable[..., BoxMistakes | PixelMistakes]] = {
    "detection": box_errors,
    "segmentation": pixel_errors,
}
"""Of all other tasks, single samples are right or wrong."""


def errors(
    store: Store,
    model: str,
    keys: Keys | None = None,
    *,
    scope: str = "",
    slices: Mapping[str, Keys] | None = None,
    by: Sequence[str] = ("label",),
    sure: float = 0.9,
    unsure: float | None = None,
    n: int = 20,
    confidence: float = 0.95,
    truth: OtherTruth | None = None,
) -> Mistakes | BoxMistakes | PixelMistakes:
    """Analyse a model's errors; see `Database.errors`.

    Args:
        store: the database.
        model: its name.
        keys: int64 (n,); None is every sample that is ok.
        scope: the query text of `keys`, for example "in_slice('night')"; every finding's query
            starts with it.
        slices: name to keys of registered slices, for their shares of the errors.
        by: columns whose values are reviewed as if they were slices. "label" is passed over where
            boxes and pixels have labels, and not the sample.
        sure: confidence from which on a prediction of a class is sure.
        unsure: confidence below which it is not.
        n: largest losses and confused pairs that are reported.
        confidence: of the intervals.
        truth: what stands in place of the ground truth.

    Raises:
        CheckError: `unsure` is above `sure`, or `scope` is no predicate.
        SliceDBError: no ground truth, no predictions, no such column.
    """
    by_task = _BY_TASK.get(load(store, model, light=True).task.name)
    if by_task is not None:
        return by_task(
            store,
            model,
            keys,
            scope=scope,
            slices=slices,
            by=[column for column in by if column != "label"],
            n=n,
            confidence=confidence,
            truth=truth,
        )
    return class_errors(
        store,
        model,
        keys,
        scope=scope,
        slices=slices,
        by=by,
        sure=sure,
        unsure=unsure,
        n=n,
        confidence=confidence,
        truth=truth,
    )
