"""Metrics of detectors.

`map` and `ap50` are COCO's. `precision@0.5`, `recall@0.5` and `f1@0.5` count boxes over all images
and classes at an overlap, from the model's own confidence on; `recall@0.5:0.3` says another one.
`mean_iou` is the mean overlap over the annotated boxes, a missed one counting as 0, and
`matched_iou` that over the boxes that were matched.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import numpy as np

from slicedb.metrics import ratios
from slicedb.metrics.coco import IOUS, Curves, mean_over_classes
from slicedb.metrics.detections import AREAS, IOU, LEAST, Detections
from slicedb.metrics.estimate import Estimate, count, mean
from slicedb.metrics.metric import POSITIVE, Metric, Weighted
from slicedb.metrics.outcomes import Floats
from slicedb.metrics.states import MetricState, PerSample, mean_state

TASK = "detection"

_NO_TRUTH = "no box is annotated"
_NOTHING = "no box is predicted from that confidence on"
_NEITHER = "no box is annotated or predicted"
_NO_MATCH = "no predicted box is matched"
EMPTY = "no sample has both objects and detections"

_AP = re.compile(r"m?ap@?(0?\.\d+|\d\d)")
_SHARE = r"0?\.\d+|[01](?:\.0*)?"
_AT = re.compile(rf"(precision|recall|f1|mean_iou|matched_iou)(?:@({_SHARE}))?(?::({_SHARE}))?")
_BIAS = 1 + 2**0.5
_WORK = 400_000_000
"""Boxes x resamples that an interval may take: 15 s of a processor, from 400,000 boxes on."""
_FEWEST = 200
_AREA = {f"map_{area}": area for area in AREAS if area != "all"}


def _ap(word: str) -> Metric | None:
    """Return the average precision at one overlap, None when the name means something else.

    >>> metric = _ap("map@.75")
    >>> metric.name if metric else None
    'ap75'
    """
    match = _AP.fullmatch(word)
    if match is None:
        return None
    iou = float(match[1]) if "." in match[1] else int(match[1]) / 100
    name = f"ap{round(iou * 100):02d}" if _is_whole(iou * 100) else f"ap@{iou:g}"
    return _average(name, (iou,), "all") if iou >= LEAST else None


def _counted(word: str) -> Metric | None:
    """Return the metric of boxes at one overlap and confidence, None when it is another name."""
    match = _AT.fullmatch(word)
    if match is None or float(match[2] or IOU) < LEAST:
        return None
    return _at(match[1], float(match[2] or IOU), None if match[3] is None else float(match[3]))


def _is_whole(x: float) -> bool:
    return abs(x - round(x)) < 1e-9


# --- average precision ----------------------------------------------------------------------------


def _nothing(outcomes: Detections) -> Floats:
    return np.empty((outcomes.n, 0))


_RANKED = MetricState("boxes", "ranked", ("boxes",), _nothing)


def _average(
    name: str,
    ious: tuple[float, ...],
    area: str = "all",
    *,
    recall: bool = False,
    of: int | None = None,
    aliases: tuple[str, ...] = (),
    family: Callable[[str], Metric | None] | None = None,
) -> Metric:
    def weighted(outcomes: Detections) -> Weighted:
        curves = Curves(outcomes, ious, area, of)
        values = curves.recall if recall else curves.precision
        return lambda weights: mean_over_classes(values(weights))

    def compute(_: str, outcomes: Detections) -> Estimate:
        boxes = len(outcomes.predicted)
        replicates = int(np.clip(_WORK // max(boxes, 1), _FEWEST, ratios.REPLICATES))
        return ratios.drawn(weighted(outcomes), outcomes.n, _BIAS, replicates)

    return Metric(
        name,
        _RANKED,
        compute,
        "draws",
        _NO_TRUTH,
        TASK,
        aliases=aliases,
        family=family,
        by_class=True,
        bind=lambda code: _average(name, ious, area, recall=recall, of=code),
        weighted=weighted,
        bias=_BIAS,
    )


# --- boxes at one overlap and one confidence ------------------------------------------------------


def _parts(
    kind: str, iou: float, confidence: float | None, of: int | None
) -> Callable[[Detections], Floats]:
    def rows(outcomes: Detections) -> Floats:
        if kind in _OVERLAPS:
            total, matched = outcomes.overlap(iou, confidence, of)
            if kind == "matched_iou":
                return ratios.parts(total, matched)
            missed = outcomes.counts(iou, confidence, of).fn
            return ratios.parts(total, matched + missed)
        tp, fp, fn = outcomes.counts(iou, confidence, of)
        above = 2 * tp if kind == "f1" else tp
        return ratios.parts(above, above + {"precision": fp, "recall": fn, "f1": fp + fn}[kind])

    return rows


_OVERLAPS = ("mean_iou", "matched_iou")
"""Mean overlaps: over the annotated boxes, a missed one counting as 0; over the matched ones."""

_UNDEFINED = {
    "precision": _NOTHING,
    "recall": _NO_TRUTH,
    "f1": _NEITHER,
    "mean_iou": _NO_TRUTH,
    "matched_iou": _NO_MATCH,
}


def _at(
    kind: str,
    iou: float,
    confidence: float | None = None,
    of: int | None = None,
    *,
    family: Callable[[str], Metric | None] | None = None,
) -> Metric:
    name = f"{kind}@{iou:g}" if kind not in _OVERLAPS or iou != IOU else kind
    name += "" if confidence is None else f":{confidence:g}"
    label = name if of is None else f"{name} of {of}"
    state = MetricState(label, "moments", ("boxes",), _parts(kind, iou, confidence, of))
    return Metric(
        name,
        state,
        ratios.mean if kind in _OVERLAPS else ratios.share,
        "mean" if kind in _OVERLAPS else "share",
        _UNDEFINED[kind],
        TASK,
        family=family,
        by_class=True,
        bind=partial(_at, kind, iou, confidence),
    )


# --- a number a sample ----------------------------------------------------------------------------


_LOSS = PerSample("loss", lambda o: o.losses())
_LOSSES = mean_state(_LOSS, ("boxes",))

ROWS = (
    Metric("count", _LOSSES, count, "exact", EMPTY, TASK, POSITIVE),
    _average("map", IOUS, aliases=("ap@50:95", "map@50:95")),
    _average("ap50", (0.5,), family=_ap),
    *(_average(name, IOUS, area) for name, area in _AREA.items()),
    _average("mar", IOUS, recall=True, aliases=("ar", "ar100")),
    _at("precision", IOU, family=_counted),
    _at("recall", IOU),
    _at("f1", IOU),
    _at("mean_iou", IOU),
    _at("matched_iou", IOU),
    Metric("loss", _LOSSES, mean, "mean", EMPTY, TASK, POSITIVE, rises=False, sample=_LOSS),
)
