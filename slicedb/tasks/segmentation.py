"""Segmentation: a class for every pixel."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import CheckError
from slicedb.metrics.outcomes import Bools, Ints
from slicedb.metrics.segmented import EMPTY, PixelCounts
from slicedb.schema import AREAS, LABEL_MAP, MASKS, Row
from slicedb.tasks.about import About
from slicedb.tasks.arrays import null_in, one_array
from slicedb.tasks.columns import predictions_schema
from slicedb.tasks.given import GivenBatch
from slicedb.tasks.givenmaps import maps_from
from slicedb.tasks.labelmaps import (
    CELLS,
    LabelMap,
    areas_column,
    cells_column,
    digests_of,
    map_of,
    maps_column,
    triples,
)
from slicedb.tasks.task import (
    AlignedRows,
    ConfusionCounts,
    ModelOutput,
    NamedColumns,
    Shown,
    ShownMap,
    Task,
    TruthColumn,
)

PIXELS = "pixels"
"""What a confusion of this task counts."""
_MAP_BYTES = 16_384
"""What a label map takes, with which the memory of a chunk is reckoned."""
_SHOWN = 4
"""Classes of a picture that are told."""


class Segmentation(Task[PixelCounts]):
    """A sample has a label map, and the model gives every pixel a class."""

    name = "segmentation"
    reads = ("mask", "cells", "truth")
    mark = "truth"
    primary = "miou"
    empty = EMPTY

    def schema(self, width: int | None) -> pa.Schema:
        """Return the columns.

        `mask` is the predicted label map, `areas` its pixels and share by class, `pixels` their
        number, `confidence` the mean probability of the pixels' classes. After comparing with the
        truth: `iou`, the mean IoU of the classes of the sample, `accuracy`, the share of right
        pixels, `loss`, one minus the mean Dice score, and `cells`, pixels by truth and prediction.
        `truth` is a digest of the label map that they speak of.
        """
        single = [pa.field(name, pa.float32()) for name in ("iou", "accuracy", "loss")]
        own = [
            pa.field("mask", LABEL_MAP),
            pa.field("areas", AREAS),
            pa.field("pixels", pa.int64()),
            pa.field("confidence", pa.float32()),
            *single,
            pa.field("cells", CELLS),
            pa.field("truth", pa.int64()),
        ]
        return predictions_schema(own)

    def row_bytes(self, n_classes: int) -> int:
        return _MAP_BYTES

    def columns_of_output(self, output: ModelOutput, about: About) -> tuple[NamedColumns, Bools]:
        """Return the label map of each image."""
        maps = cast(Sequence[LabelMap | None], output)
        return _columns(maps), np.zeros(len(maps), bool)

    def recognises(self, names: Collection[str]) -> bool:
        return not {"mask", "rle"}.isdisjoint(names)

    def inputs(self, names: Collection[str], classes: Collection[str]) -> set[str]:
        return {"mask", "rle", "confidence"} & set(names)

    def read(self, batch: GivenBatch) -> NamedColumns:
        """Return the label maps, of arrays, PNG files or run-length codes."""
        name = "mask" if batch.has("mask") else "rle"
        maps = maps_from(batch, name)
        columns = _columns(maps)
        if batch.has("confidence"):
            sure = batch.numbers("confidence", np.float32)
            batch.check_unit(sure, "confidence")
            columns["confidence"] = pa.array(sure, pa.float32())
        return columns

    def classes_in(self, truth: pa.Array) -> list[str]:
        """Return the classes of label maps, in the order in which their numbers name them."""
        lists = pc.struct_field(truth.drop_null(), "classes")
        return list(dict.fromkeys(pc.list_flatten(lists).to_pylist()))

    def truth_of(self, about: About) -> TruthColumn:
        return TruthColumn("mask", MASKS)

    def answers(
        self, column: pa.Array, classes: Sequence[str], least: float | None, place: str
    ) -> pa.Array:
        """Return the label maps of another model."""
        if column.type != LABEL_MAP:
            raise CheckError(
                f"{place[0].upper()}{place[1:]} is {column.type}, not a label map per sample.",
                "name a segmentation model.",
            )
        return column

    def marks(self, truth: pa.Array, about: About) -> pa.Array:
        return digests_of(_as_maps(truth), about.classes)

    def derive(self, predictions: pa.Table, truth: pa.Array, about: About) -> NamedColumns:
        """Return what comparing the pixels gives, and the digest of the ground truth."""
        said, truth = one_array(predictions["mask"]), _as_maps(truth)
        cells = cells_column(said, truth)
        counts = _counts(cells, about.classes)
        unknown = null_in(said, truth)
        iou, accuracy = counts.ious(), counts.accuracies()
        floats = {"iou": iou, "accuracy": accuracy, "loss": counts.losses()}
        return {
            **{
                name: pa.array(values.astype(np.float32), mask=unknown | np.isnan(iou))
                for name, values in floats.items()
            },
            "cells": cells,
            "truth": digests_of(truth, about.classes),
        }

    def outside(self, truth: pa.Array, classes: Sequence[str]) -> int:
        """Return no count: a class that the model lacks counts as missed."""
        return 0

    def outcomes(self, rows: AlignedRows) -> PixelCounts:
        """Return the counts that are stored, and count where they speak of another truth."""
        said = rows.column("mask")
        truth = _as_maps(rows.truth)
        if not {"cells", "truth"} <= set(rows.table.column_names):  # of answers, not predictions
            return _counts(cells_column(said, truth), rows.about.classes, (truth, said))
        cells = rows.column("cells")
        marks = digests_of(truth, rows.about.classes)
        is_same = pc.fill_null(pc.equal(rows.column("truth"), marks), False)
        other = np.flatnonzero(~np.asarray(is_same))
        if len(other):
            fresh = cells_column(said.take(pa.array(other)), truth.take(pa.array(other)))
            at = np.arange(len(cells))
            at[other] = len(cells) + np.arange(len(other))
            cells = pa.concat_arrays([cells, fresh]).take(pa.array(at))
        return _counts(cells, rows.about.classes, (truth, said))

    def confusion(self, outcomes: PixelCounts, rows: Ints) -> ConfusionCounts:
        """Return how many pixels of each class are taken for each."""
        some = outcomes.take(rows)
        said = some.prediction >= 0
        codes = some.truth[said] * len(some.classes) + some.prediction[said]
        matrix = some.matrix(np.arange(some.n))
        return ConfusionCounts(some.classes, matrix, PIXELS, some.row[said], codes)

    def shown(self, outcomes: PixelCounts, row: int) -> Shown:
        """Return the largest classes of both label maps, and the maps to draw."""
        one = outcomes.take(np.array([row]))
        truth, said = (_told(one.classes, side[0]) for side in (one.actual, one.predicted))
        if one.maps is None:
            return Shown(truth, said)
        maps = tuple(map_of(side[0].as_py()) for side in one.maps)
        drawn = tuple(
            ShownMap(side.codes, side.classes, side.ignore, title)
            for side, title in zip(maps, ("truth", "prediction"))
        )
        return Shown(truth, said, maps=drawn)

    def unjudged(self, row: Mapping[str, object], about: About) -> Shown:
        """Return the predicted label map, judged by nothing."""
        one = map_of(cast(Row, row["mask"]))
        areas = one.areas()
        told = _told(tuple(areas), np.array([*areas.values()], float))
        shown = ShownMap(one.codes, one.classes, one.ignore, "prediction")
        return Shown("", told, maps=(shown,))


def annotated_map(row: object) -> Shown:
    """Return a sample's own label map, as people see it beside no prediction."""
    one = map_of(cast(Row, row))
    areas = one.areas()
    told = _told(tuple(areas), np.array([*areas.values()], float))
    return Shown(told, "", maps=(ShownMap(one.codes, one.classes, one.ignore, "truth"),))


def _as_maps(truth: pa.Array) -> pa.Array:
    """Return a truth as label maps; it is of type null where the table is not there."""
    return pa.nulls(len(truth), LABEL_MAP) if pa.types.is_null(truth.type) else truth


def _columns(maps: Sequence[LabelMap | None]) -> NamedColumns:
    areas, pixels = areas_column(maps)
    sure = [None if one is None else one.confidence for one in maps]
    return {
        "mask": maps_column(maps),
        "areas": areas,
        "pixels": pixels,
        "confidence": pa.array(sure, pa.float32()),
    }


def _counts(
    cells: pa.Array, classes: tuple[str, ...], maps: tuple[pa.Array, pa.Array] | None = None
) -> PixelCounts:
    """Return cells as counts; the classes of the truth that the model lacks follow its own."""
    rows, truth, prediction, pixels = triples(cells)
    named = {*truth.unique().to_pylist(), *prediction.unique().to_pylist()} - {None, *classes}
    every = (*classes, *sorted(named))
    value_set = pa.array(every, pa.string())
    codes = [
        pc.fill_null(pc.index_in(side, value_set=value_set), -1).to_numpy().astype(np.int64)
        for side in (truth, prediction)
    ]
    return PixelCounts(every, len(cells), rows, codes[0], codes[1], pixels, maps)


def _told(classes: tuple[str, ...], pixels: np.ndarray) -> str:
    """Return the largest classes with their shares.

    >>> _told(("road", "sky"), np.array([30.0, 10.0]))
    'road 75 %, sky 25 %'
    """
    total = pixels.sum()
    largest = [i for i in np.argsort(-pixels, kind="stable").tolist() if pixels[i] > 0]
    parts = [f"{classes[i]} {pixels[i] / total:.0%}".replace("%", " %") for i in largest[:_SHOWN]]
    return ", ".join(parts) + (", ..." if len(largest) > _SHOWN else "") or "(nothing)"
