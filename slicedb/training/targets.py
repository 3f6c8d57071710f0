"""Hold the boxes of samples as torchvision's detectors take them, scaled with the picture."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from slicedb.errors import ClassesError, did_you_mean
from slicedb.metrics.boxes import Flat, is_crowd
from slicedb.models.preprocessing import Preprocessing
from slicedb.show.numbers import count, verb

Target: TypeAlias = dict[str, torch.Tensor]
"""`boxes`, float32 (k, 4): left, top, right, bottom in pixels of the picture beside it; `labels`,
int64 (k,): class numbers from 1, since 0 is torchvision's background."""

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]

LEAST = 1.0
"""Pixels of each side that must be left of a box: thinner ones are what a crop cut off, and
torchvision refuses boxes without area."""


class BoxesLeftOutWarning(UserWarning):
    """Annotated boxes that are not trained on."""


@dataclass(frozen=True)
class Targets:
    """The boxes of the samples of a dataset."""

    xyxy: _Floats
    """float64 (k, 4): of all samples one after the other, in pixels of the stored picture."""
    labels: _Ints
    """int64 (k,): class numbers from 1."""
    offsets: _Ints
    """int64 (n + 1,): where each sample's begin."""
    whole: _Floats
    """float64 (n, 2): width and height of each stored picture as displayed; NaN: not known."""

    @classmethod
    def of(
        cls,
        objects: pa.ChunkedArray,
        sizes: _Floats,
        ids: np.ndarray,
        classes: Sequence[str],
    ) -> Targets:
        """Return the boxes of a column of objects; crowds and boxes without area are left out.

        Args:
            objects: lists of `slicedb.schema.OBJECT`.
            sizes: as `whole`.
            ids: of the samples.
            classes: names in the order of the class numbers.

        Raises:
            ClassesError: a sample was never annotated, or a box is of none of the classes.
        """
        _refuse_unknown(objects, ids)
        flat = Flat.of(objects)
        crowd = is_crowd(flat.attributes)
        crowds = np.zeros(len(flat.image), bool) if crowd is None else crowd
        has_area = np.nan_to_num(flat.xywh[:, 2:]).min(axis=1, initial=np.inf) > 0
        kept = np.flatnonzero(~crowds & has_area & np.isfinite(flat.xywh).all(axis=1))
        if len(kept) < len(crowds):
            n = int(crowds.sum())
            _warn(
                f"{count(n, 'crowd')} and {count(len(crowds) - n - len(kept), 'box', 'boxes')} "
                "without area"
            )
        numbers = _numbers(flat.label.take(pa.array(kept)), flat.image[kept], ids, classes)
        xywh = flat.xywh[kept]
        xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
        offsets = np.searchsorted(flat.image[kept], np.arange(len(ids) + 1))
        return cls(xyxy, numbers, offsets, sizes)

    def warn_of_crop(self, fit: Preprocessing) -> None:
        """Warn if a resize and crop cuts boxes off as a whole."""
        image = np.repeat(np.arange(len(self.whole)), np.diff(self.offsets))
        lost = 0
        whole = self.whole[image]
        for size in np.unique(whole[np.isfinite(whole).all(axis=1)], axis=0):
            of_size = (whole == size).all(axis=1)
            lost += int((~_is_left(*self._placed(self.xyxy[of_size], size, fit))).sum())
        if lost:
            height, width = fit.size
            _warn(
                f"{lost:,} of {count(len(self.xyxy), 'box', 'boxes')} that "
                f"{verb(lost, 'lies', 'lie')} outside the crop",
                f"size=({height}, {width}) squashes the picture instead, and keeps them all",
            )

    def plain(self, index: int, shape: tuple[int, ...]) -> Target:
        """Return the boxes of a picture that was decoded, perhaps at a fraction of its size.

        Args:
            index: the sample.
            shape: (height, width, ...) of the decoded pixels.
        """
        xyxy, labels, whole = self._sample(index)
        size = np.array([shape[1], shape[0]], float)
        scale = np.ones(2) if np.isnan(whole).any() else size / whole
        return _target(xyxy * np.tile(scale, 2), size, labels)

    def fitted(
        self, index: int, fit: Preprocessing, whole: tuple[int, ...] | None = None
    ) -> Target:
        """Return the boxes of a picture that was resized and cropped.

        Args:
            index: the sample.
            fit: how.
            whole: (height, width) of the stored picture, where the samples do not know it.
        """
        xyxy, labels, size = self._sample(index)
        if whole is not None:
            size = np.array(whole[::-1], float)
        return _target(*self._placed(xyxy, size, fit), labels)

    def knows_size(self, index: int) -> bool:
        """Return whether the size of a stored picture is known without opening it."""
        return bool(np.isfinite(self.whole[index]).all())

    def _sample(self, index: int) -> tuple[_Floats, _Ints, _Floats]:
        part = slice(self.offsets[index], self.offsets[index + 1])
        return self.xyxy[part], self.labels[part], self.whole[index]

    def _placed(self, xyxy: _Floats, whole: _Floats, fit: Preprocessing) -> tuple[_Floats, _Floats]:
        """Return boxes in pixels of the result, not clipped, and (width, height) of the result."""
        (tall, wide), (top, left) = fit.place(int(whole[1]), int(whole[0]))
        scale = np.array([wide, tall], float) / whole
        placed = xyxy * np.tile(scale, 2) - np.array([left, top, left, top], float)
        return placed, np.array(fit.size[::-1], float)


def clipped(xyxy: _Floats, size: _Floats) -> _Floats:
    """Return boxes cut off at the edges of a picture of (width, height)."""
    return np.clip(xyxy, 0, np.tile(size, 2))


def _is_left(xyxy: _Floats, size: _Floats) -> npt.NDArray[np.bool_]:
    """Return bool (k,): whether at least `LEAST` pixels of both sides lie in the picture."""
    inside = clipped(xyxy, size)
    sides = inside[:, 2:] - inside[:, :2]
    # a box that was thin from the start is no cut
    least = np.minimum(LEAST, xyxy[:, 2:] - xyxy[:, :2])
    return np.asarray((sides > 0).all(axis=1) & (sides >= least - 1e-9).all(axis=1))


def _target(xyxy: _Floats, size: _Floats, labels: _Ints) -> Target:
    left = _is_left(xyxy, size)
    boxes = clipped(xyxy, size)[left].astype(np.float32)
    return {"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(labels[left])}


def _warn(what: str, hint: str = "") -> None:
    end = f" ({hint})" if hint else ""
    warnings.warn(f"Left out of training: {what}{end}.", BoxesLeftOutWarning, stacklevel=2)


def _refuse_unknown(objects: pa.ChunkedArray, ids: np.ndarray) -> None:
    if objects.null_count:
        first = ids[int(np.flatnonzero(pc.is_null(objects).to_numpy())[0])]
        raise ClassesError(
            f"Sample '{first}' was never annotated, as {objects.null_count:,} of {len(ids):,}: its "
            "`objects` are NULL.",
            "add `objects IS NOT NULL` to the query; an empty list says that there is nothing.",
        )


def _numbers(labels: pa.Array, image: _Ints, ids: np.ndarray, classes: Sequence[str]) -> _Ints:
    numbers = pc.index_in(labels, value_set=pa.array(list(classes), pa.string()))
    outside = np.flatnonzero(np.asarray(pc.is_null(numbers)))
    if len(outside):
        first = int(outside[0])
        name, sample = labels[first].as_py(), ids[image[first]]
        raise ClassesError(
            f"A box of sample '{sample}' has the label {name!r}, which is none of the "
            f"{count(len(classes), 'class', 'classes')}, as {verb(len(outside), 'has', 'have')} "
            f"{len(outside):,} of {count(len(labels), 'box', 'boxes')}.",
            did_you_mean(str(name), classes, "classes"),
        )
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.int64) + 1
