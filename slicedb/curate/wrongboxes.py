"""Find annotated boxes that are overlooked, badly placed or swapped, a row per box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from slicedb import sql
from slicedb.curate.boxscores import BoxScores, box_scores
from slicedb.curate.suspects import ROWS, Finding, by_ids, samples_of
from slicedb.keys import Keys
from slicedb.metrics.boxes import Boxes, Flat
from slicedb.metrics.outcomes import Floats, Ints

_DOUBTED = 0.5
"""Score up to which a box is a likely error: half of what the detector is sure of speaks against
it."""
KINDS = ("overlooked", "badly placed", "swapped")


class WrongBoxes(NamedTuple):
    """The boxes that are likely wrong, likeliest first."""

    rows: pa.Table
    """See `slicedb.curate.suspects.ROWS`."""
    image: Ints
    """int64 (m,): the sample of each row."""
    lowest: Floats
    """float64 (n,): the lowest score of each sample, 1 without boxes."""
    n: int
    """Boxes judged, of both sides."""


def wrong_boxes(
    predicted: pa.ChunkedArray, truth: pa.ChunkedArray, ids: pa.ChunkedArray, model: str
) -> WrongBoxes:
    """Rank annotated and predicted boxes by how likely an annotation is wrong.

    Args:
        predicted: `objects` of the model, a list per sample.
        truth: `objects` of the samples.
        ids: the samples.
        model: whose boxes.
    """
    sides = [Flat.of(predicted), Flat.of(truth)]
    codes: dict[str | None, int] = {}
    boxes = [_boxes(side, codes) for side in sides]
    scores = box_scores(*boxes)
    lowest = np.ones(len(ids))
    for side, values in zip((0, 1, 1), (scores.overlooked, scores.badly_placed, scores.swapped)):
        np.minimum.at(lowest, boxes[side].image, values)
    parts = [_part(kind, scores, sides, boxes, ids, model) for kind in KINDS]
    rows = pa.concat_tables([table for table, _ in parts])
    image = np.concatenate([image for _, image in parts])
    order = np.lexsort((image, rows["score"].to_numpy()))
    return WrongBoxes(rows.take(pa.array(order)), image[order], lowest, sum(map(len, boxes)))


def _boxes(side: Flat, codes: dict[str | None, int]) -> Boxes:
    return Boxes(side.image, side.xywh, Boxes.coded(side.label, codes), side.score)


def _part(
    kind: str,
    scores: BoxScores,
    sides: Sequence[Flat],
    boxes: Sequence[Boxes],
    ids: pa.ChunkedArray,
    model: str,
) -> tuple[pa.Table, Ints]:
    """Return the likely errors of one kind, and the sample of each."""
    predicted, truth = sides
    assert boxes[0].score is not None
    if kind == "overlooked":
        score = scores.overlooked
        at = np.flatnonzero(score <= _DOUBTED)
        other, image, number = at, predicted.image[at], predicted.index[at]
        label, source = pa.nulls(len(at), pa.string()), f"{sql.name(model)}.objects"
        objects = None
    else:
        score, partner = (
            (scores.badly_placed, scores.partner)
            if kind == "badly placed"
            else (scores.swapped, scores.rival)
        )
        at = np.flatnonzero((score <= _DOUBTED) & (partner >= 0))
        other, image, number = partner[at], truth.image[at], truth.index[at]
        label, source = truth.label.take(pa.array(at)), "objects"
        objects = pa.array(number)
    names = ids.take(pa.array(image)).to_pylist()
    queries = [
        f"FROM {source} WHERE {sql.equals('id', name)} AND index = {place}"
        for name, place in zip(names, number.tolist())
    ]
    columns = [
        pa.array(names, pa.string()),
        pa.array([kind] * len(at), pa.string()),
        label,
        predicted.label.take(pa.array(other)),
        pa.array(score[at]),
        pa.array(np.nan_to_num(boxes[0].score[other], nan=1.0)),
        pa.nulls(len(at), pa.int64()) if objects is None else objects,
        pa.array(predicted.index[other]),
        pa.array(queries, pa.string()),
        pa.nulls(len(at), pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=ROWS), image


def box_findings(rows: pa.Table, keys: Keys) -> tuple[Finding, ...]:
    """Return one finding per kind, and one per kind and label.

    Args:
        rows: the likely errors.
        keys: int64 (m,): the sample of each.
    """
    kinds = np.array(rows["kind"].to_pylist(), object)
    given, suggested = rows["label"].to_pylist(), rows["suggested"].to_pylist()
    labels = np.array([a or b for a, b in zip(given, suggested)], object)

    def finding(name: str, kind: str, label: str | None, at: Ints) -> Finding:
        own, ids = samples_of(rows.take(pa.array(at)), keys[at])
        return Finding(name, kind, label, None, len(at), len(own), by_ids(ids), own)

    findings = []
    for kind in KINDS:
        of_kind = kinds == kind
        findings.append(finding(kind, kind, None, np.flatnonzero(of_kind)))
        for label in sorted({str(name) for name in labels[of_kind]}):
            at = np.flatnonzero(of_kind & (labels == label))
            findings.append(finding(f"{kind} {label}", kind, label, at))
    return tuple(findings)
