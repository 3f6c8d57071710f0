"""Detection: boxes with labels per sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.metrics.boxes import Boxes, match, overlaps, rows_of
from slicedb.metrics.detected import EMPTY
from slicedb.metrics.detections import Detections
from slicedb.metrics.mistaken import KINDS, mistaken
from slicedb.metrics.outcomes import Bools, Ints
from slicedb.schema import OBJECT, schema_of
from slicedb.tasks.about import About
from slicedb.tasks.arrays import null_in, one_array
from slicedb.tasks.columns import predictions_schema
from slicedb.tasks.digests import digest_of_objects
from slicedb.tasks.given import GivenBatch
from slicedb.tasks.objects import (
    ImageBoxes,
    box_of,
    check_objects,
    grouped,
    is_long,
    named_labels,
    objects_from,
    objects_from_dicts,
    objects_of,
    truth_boxes,
)
from slicedb.tasks.task import (
    AlignedRows,
    ConfusionCounts,
    ModelOutput,
    NamedColumns,
    Shown,
    ShownBox,
    Task,
    TruthColumn,
)

NOTHING = "(nothing)"
"""The last class of a confusion: boxes where nothing is, and what was missed."""

_BOXES = 20
"""Boxes an image that the memory of a chunk is reckoned with."""
_BOX_BYTES = 64


class Detection(Task[Detections]):
    """A sample has objects, and the model finds boxes."""

    name = "detection"
    reads = ("objects",)
    mark = "truth"
    one_row_each = False
    primary = "map"
    empty = EMPTY

    def schema(self, width: int | None) -> pa.Schema:
        """Return the columns.

        `tp`, `fp` and `fn` count boxes after matching with the ground truth. `iou` is the mean
        overlap over the annotated boxes, a missed one counting as 0; where nothing is annotated it
        is 0 if a box is predicted, and null if none is. `correct` says that nothing is missed and
        nothing too many. They, and `loss`, are null where the sample's `objects` are. `truth` is a
        digest of the ground truth that they speak of.
        """
        text = "objects object[], tp int64, fp int64, fn int64, iou float32, loss float32"
        own = schema_of(f"{text}, correct bool, truth int64", object=OBJECT)
        return predictions_schema(own)

    def row_bytes(self, n_classes: int) -> int:
        return _BOX_BYTES * _BOXES

    def columns_of_output(self, output: ModelOutput, about: About) -> tuple[NamedColumns, Bools]:
        """Return the boxes of each image."""
        images = cast(Sequence[ImageBoxes | None], output)
        return {"objects": objects_of(images, about.classes)}, np.zeros(len(images), bool)

    def recognises(self, names: Collection[str]) -> bool:
        return not {"objects", "detections"}.isdisjoint(names) or is_long(names)

    def inputs(self, names: Collection[str], classes: Collection[str]) -> set[str]:
        return {"objects", "detections"} & set(names)

    def grouped(self, table: pa.Table, place: str) -> pa.Table:
        return table if "objects" in table.column_names else grouped(table, place)

    def read(self, batch: GivenBatch) -> NamedColumns:
        """Return the objects, of lists of boxes or of what torchvision's models return."""
        if batch.has("detections"):
            given = cast(Sequence[dict[str, object]], batch.values["detections"])
            objects = objects_from_dicts(given, batch.classes, 1, batch.place)
        else:
            objects = objects_from(batch.values["objects"], batch.place)
        batch.check_length(len(objects), "objects")
        objects = named_labels(objects, batch)
        check_objects(objects, batch)
        return {"objects": objects}

    def classes_in(self, truth: pa.Array) -> list[str]:
        return super().classes_in(pc.struct_field(pc.list_flatten(truth), "label"))

    def truth_of(self, about: About) -> TruthColumn:
        return TruthColumn("objects")

    def answers(
        self, column: pa.Array, classes: Sequence[str], least: float | None, place: str
    ) -> pa.Array:
        """Return boxes without scores: those that another detector scores high enough."""
        return truth_boxes(column, least, place)

    def marks(self, truth: pa.Array, about: About) -> pa.Array:
        return digest_of_objects(truth, about.confidence)

    def derive(self, predictions: pa.Table, truth: pa.Array, about: About) -> NamedColumns:
        """Return what matching the boxes gives, and the digest of the ground truth."""
        objects = one_array(predictions["objects"])
        outcomes = Detections.of(objects, truth, about.classes, about.confidence)
        unknown = null_in(truth, objects)
        tp, fp, fn = outcomes.counts()
        iou = outcomes.mean_overlaps()
        return {
            "tp": pa.array(tp, pa.int64(), mask=unknown),
            "fp": pa.array(fp, pa.int64(), mask=unknown),
            "fn": pa.array(fn, pa.int64(), mask=unknown),
            "iou": pa.array(iou.astype(np.float32), mask=unknown | np.isnan(iou)),
            "loss": pa.array(outcomes.losses().astype(np.float32), mask=unknown),
            "correct": pa.array((fp == 0) & (fn == 0), mask=unknown),
            "truth": digest_of_objects(truth, about.confidence),
        }

    def outcomes(self, rows: AlignedRows) -> Detections:
        """Return the boxes of both sides; ties of score are broken as COCO does, by the image."""
        objects, about = rows.column("objects"), rows.about
        boxes = Detections.of(objects, rows.truth, about.classes, about.confidence)
        return replace(boxes, rank=rows.ranks())

    def annotated(self, outcomes: Detections, code: int | None) -> Ints:
        """Return int64 (n,): the annotated boxes of each image; crowds are none."""
        boxes = outcomes.positives()
        return np.asarray(boxes.sum(axis=1) if code is None else boxes[:, code])

    def confusion(self, outcomes: Detections, rows: Ints) -> ConfusionCounts:
        """Return boxes against boxes, matched whatever their labels, at an IoU of 0.5.

        The last row counts boxes where nothing is, the last column what was missed; boxes below
        the model's confidence and crowds are left aside.
        """
        images = outcomes.take(rows)
        truth = images.truth
        assert images.predicted.score is not None
        sure = np.flatnonzero(images.predicted.score >= images.confidence)
        predicted = rows_of(images.predicted, sure)
        matched = match(overlaps(predicted, truth, same_label=False), predicted, truth)
        crowd = truth.crowd if truth.crowd is not None else np.zeros(len(truth), bool)
        c = len(images.classes) + 1
        hit = matched.truth >= 0
        label = np.where(hit, np.append(truth.label, c - 1)[matched.truth], c - 1)
        is_missed = (matched.predicted < 0) & ~crowd
        codes = np.concatenate(
            [
                (label * c + predicted.label)[~matched.ignored],
                truth.label[is_missed] * c + c - 1,
            ]
        )
        image = np.concatenate([predicted.image[~matched.ignored], truth.image[is_missed]])
        matrix = np.bincount(codes, minlength=c * c).reshape(c, c)
        return ConfusionCounts((*images.classes, NOTHING), matrix, "boxes", image, codes)

    def shown(self, outcomes: Detections, row: int) -> Shown:
        """Return how many boxes of each label, and the boxes; predicted ones that count."""
        image = outcomes.take(np.array([row]))
        predicted, truth, names = image.predicted, image.truth, image.classes
        assert predicted.score is not None
        sure = predicted.score >= image.confidence
        kinds = mistaken(predicted, truth, sure).predicted.tolist()
        matches = match(overlaps(*_sure_of(image, sure)), *_sure_of(image, sure))
        annotated = [
            ShownBox(box_of(xywh), names[label], state=_state_of(by, is_crowd))
            for xywh, label, by, is_crowd in zip(
                truth.xywh, truth.label.tolist(), matches.predicted.tolist(), _crowds(truth)
            )
        ]
        found = [
            ShownBox(box_of(xywh), names[label], score, KINDS[kind] if kind >= 0 else "matched")
            for xywh, label, score, kind, is_sure in zip(
                predicted.xywh, predicted.label.tolist(), predicted.score.tolist(), kinds, sure
            )
            if is_sure
        ]
        return Shown(_tally(annotated), _tally(found), boxes=(*annotated, *found))

    def unjudged(self, row: Mapping[str, object], about: About) -> Shown:
        """Return the boxes that count, judged by nothing."""
        objects = cast(Sequence[Mapping[str, Any]], row["objects"])
        found = [
            ShownBox(box_of(np.asarray(one["bbox"])), str(one["label"]), score)
            for one in objects
            if (score := 1.0 if one["score"] is None else one["score"]) >= about.confidence
        ]
        return Shown("", _tally(found), boxes=tuple(found))


def annotated(objects: object) -> Shown:
    """Return a sample's annotated boxes, as people see them beside no prediction.

    Args:
        objects: a list of dicts with `label` and `bbox`.
    """
    boxes = [
        ShownBox(box_of(np.asarray(one["bbox"])), str(one["label"]))
        for one in cast(Sequence[Mapping[str, Any]], objects)
        if one["bbox"] is not None
    ]
    return Shown(_tally(boxes), "", boxes=tuple(boxes))


def _sure_of(image: Detections, sure: Bools) -> tuple[Boxes, Boxes]:
    """Return the predicted boxes that count, and the annotated ones."""
    return rows_of(image.predicted, np.flatnonzero(sure)), image.truth


def _crowds(truth: Boxes) -> list[bool]:
    return [False] * len(truth) if truth.crowd is None else truth.crowd.tolist()


def _state_of(partner: int, is_crowd: bool) -> str:
    return "matched" if partner >= 0 or is_crowd else "missed"


def _tally(boxes: Sequence[ShownBox]) -> str:
    """Return how many boxes there are of each label.

    >>> _tally([ShownBox((0, 0, 1, 1), "cat"), ShownBox((0, 0, 2, 2), "cat")])
    '2 cat'
    """
    counts = Counter(box.label for box in boxes)
    return ", ".join(f"{n} {label}" for label, n in counts.most_common()) or "(nothing)"
