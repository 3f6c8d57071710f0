"""Metrics of detectors.

`map` and `ap50` are COCO's. `precision@0.5`, `recall@0.5` and `f1@0.5` count boxes over all images
and classes at an overlap, from the model's own confidence on; `recall@0.5:0.3` says another one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import numpy as np

from slicedb.metrics import ratios
from slicedb.metrics.coco import IOUS, Curves, mean_over_classes
from slicedb.metrics.detections import AREAS, IOU, LEAST, Detections
from slicedb.metrics.estimate import Estimate, mean
from slicedb.metrics.metric import Metric, Weighted
from slicedb.metrics.outcomes import Floats
from slicedb.metrics.states import State, moments

TASK = "detection"
PRIMARY = "map"

_NO_TRUTH = "no box is annotated"
_NOTHING = "no box is predicted from that confidence on"
_NEITHER = "no box is annotated or predicted"
_NO_MATCH = "no predicted box is matched"
EMPTY = "no sample has both objects and detections"

_AP = re.compile(r"m?ap@?(0?\.\d+|\d\d)")
_SHARE = r"0?\.\d+|[01](?:\.0*)?"
_AT = re.compile(rf"(precision|recall|f1|mean_iou)(?:@({_SHARE}))?(?::({_SHARE}))?")
_BIAS = 1 + 2**0.5
_WORK = 400_000_000
"""Boxes x resamples that an interval may take: 15 s of a processor, from 400,000 boxes on."""
_FEWEST = 200
_AREA = {f"map_{area}": area for area in AREAS if area != "all"}


def names() -> list[str]:
    """Return the names, one value standing for every overlap."""
    return [
        "map",
        "ap50",
        *_AREA,
        "mar",
        "precision@0.5",
        "recall@0.5",
        "f1@0.5",
        "mean_iou",
        "loss",
    ]


def find(word: str) -> Metric | None:
    """Return the metric of a name in its canonical form or another, None when there is none.

    >>> found = find("mAP@.75")
    >>> found.name if found else None
    'ap75'
    """
    text = word.lower()
    text = {"ar": "mar", "ar100": "mar", "ap@50:95": "map", "map@50:95": "map"}.get(text, text)
    if text == "map" or text in _AREA:
        return _average(text, IOUS, _AREA.get(text, "all"))
    if text == "mar":
        return _average(text, IOUS, "all", recall=True)
    if match := _AP.fullmatch(text):
        iou = float(match[1]) if "." in match[1] else int(match[1]) / 100
        name = f"ap{round(iou * 100):02d}" if _is_whole(iou * 100) else f"ap@{iou:g}"
        return _average(name, (iou,), "all") if iou >= LEAST else None
    if text == "loss":
        return _LOSS
    if text == "count":
        return _COUNT
    match = _AT.fullmatch(text)
    if match is None or float(match[2] or IOU) < LEAST:
        return None
    return _at(match[1], float(match[2] or IOU), None if match[3] is None else float(match[3]))


def _is_whole(x: float) -> bool:
    return abs(x - round(x)) < 1e-9


# --- average precision ----------------------------------------------------------------------------


def _nothing(outcomes: Detections) -> Floats:
    return np.empty((outcomes.n, 0))


_RANKED = State("boxes", "ranked", ("boxes",), _nothing)


def _average(
    name: str, ious: tuple[float, ...], area: str, *, recall: bool = False, of: int | None = None
) -> Metric:
    def weighted(outcomes: Detections) -> Weighted:
        curves = Curves(outcomes, ious, area, of)
        values = curves.recall if recall else curves.precision
        return lambda weights: mean_over_classes(values(weights))

    def compute(_: str, outcomes: Detections) -> Estimate:
        boxes = len(outcomes.found)
        replicates = int(np.clip(_WORK // max(boxes, 1), _FEWEST, ratios.REPLICATES))
        return ratios.drawn(weighted(outcomes), outcomes.n, _BIAS, replicates)

    return Metric(
        name,
        _RANKED,
        compute,
        "draws",
        _NO_TRUTH,
        by_class=True,
        task=TASK,
        bind=lambda code: _average(name, ious, area, recall=recall, of=code),
        weighted=weighted,
        bias=_BIAS,
    )


# --- boxes at one overlap and one confidence ------------------------------------------------------


def _parts(kind: str, iou: float, confidence: float | None, of: int | None) -> Callable:
    def rows(outcomes: Detections) -> Floats:
        if kind == "mean_iou":
            total, matched = outcomes.overlap(iou, confidence, of)
            return ratios.parts(total, matched)
        tp, fp, fn = outcomes.counts(iou, confidence, of)
        above = 2 * tp if kind == "f1" else tp
        return ratios.parts(above, above + {"precision": fp, "recall": fn, "f1": fp + fn}[kind])

    return rows


_UNDEFINED = {"precision": _NOTHING, "recall": _NO_TRUTH, "f1": _NEITHER, "mean_iou": _NO_MATCH}


def _at(kind: str, iou: float, confidence: float | None, of: int | None = None) -> Metric:
    name = f"{kind}@{iou:g}" if kind != "mean_iou" or iou != IOU else kind
    name += "" if confidence is None else f":{confidence:g}"
    label = name if of is None else f"{name} of {of}"
    state = State(label, "moments", ("boxes",), _parts(kind, iou, confidence, of))
    return Metric(
        name,
        state,
        ratios.mean if kind == "mean_iou" else ratios.share,
        "mean" if kind == "mean_iou" else "share",
        _UNDEFINED[kind],
        by_class=True,
        task=TASK,
        bind=partial(_at, kind, iou, confidence),
    )


# --- a number a sample ----------------------------------------------------------------------------


def _count(sums: Floats) -> Estimate:
    n = sums[:, 0]
    return Estimate(n, n, np.full_like(n, np.nan))


_LOSSES = State("loss", "moments", ("boxes",), lambda o: moments(o.losses()))
_LOSS = Metric("loss", _LOSSES, mean, "mean", EMPTY, rises=False, task=TASK, is_mean=True)
_COUNT = Metric("count", _LOSSES, _count, "exact", EMPTY, task=TASK)
