"""Compare two models in the way of their task: by samples, by boxes or by pixels."""

from __future__ import annotations

from collections.abc import Mapping

from slicedb.judge.aligned import load
from slicedb.judge.boxes import compare_boxes, power_of_boxes
from slicedb.judge.comparison import Comparison, compare_samples
from slicedb.judge.pixels import compare_pixels
from slicedb.judge.power import Power, power_of_samples
from slicedb.judge.slicewise import SliceCorrection
from slicedb.judge.truth import OtherTruth
from slicedb.keys import Keys
from slicedb.store import Store

_COMPARE = {"detection": compare_boxes, "segmentation": compare_pixels}
"""By task; of all others, single samples are right or wrong."""


def compare(
    store: Store,
    a: str,
    b: str,
    members: Mapping[str, Keys],
    *,
    scopes: Mapping[str, str] | None = None,
    confidence: float = 0.95,
    correction: SliceCorrection = "max-t",
    group: str | None = None,
    truth: OtherTruth | None = None,
) -> Comparison:
    """Compare two models on the samples that both saw; see `Database.compare`.

    Args:
        store: the database.
        a: a model, whose task decides what is counted.
        b: another one.
        members: slice -> int64 keys.
        scopes: slice -> predicate of its members, "" for all of them.
        confidence: of the two-sided intervals.
        correction: how the number of slices is counted.
        group: a column whose groups are independent where samples are not.
        truth: what stands in place of the ground truth.
    """
    by_task = _COMPARE.get(load(store, a, light=True).task.name, compare_samples)
    return by_task(
        store,
        a,
        b,
        members,
        scopes=scopes,
        confidence=confidence,
        correction=correction,
        group=group,
        truth=truth,
    )


def power(
    store: Store,
    a: str,
    b: str,
    members: Mapping[str, Keys],
    *,
    drop: float = 0.02,
    power: float = 0.8,
    confidence: float = 0.95,
) -> Power:
    """Return how many images show a drop between two models; see `Database.power`."""
    tasks = {load(store, name, light=True).task.name for name in (a, b)}
    compute = power_of_boxes if tasks == {"detection"} else power_of_samples
    return compute(store, a, b, members, drop=drop, power=power, confidence=confidence)
