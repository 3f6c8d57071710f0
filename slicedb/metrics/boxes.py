"""Compare boxes with boxes: overlaps, and COCO's one-to-one matching, for many images at once.

Boxes are columns over all images, so that nothing loops over images or boxes:

>>> import numpy as np
>>> image, label = np.array([0, 0]), np.array([0, 0])
>>> truth = Boxes(image, np.array([[0, 0, 10, 10], [20, 0, 10, 10.0]]), label)
>>> sides, score = np.array([[0, 0, 10, 8], [0, 0, 10, 9.0]]), np.array([0.9, 0.8])
>>> predicted = Boxes(image, sides, label, score)
>>> matched = match(overlaps(predicted, truth), predicted, truth, iou=0.5)
>>> matched.truth.tolist(), matched.predicted.tolist()
([0, -1], [0, -1])

The rule is that of COCO (Lin et al. 2014; `pycocotools.COCOeval.evaluateImg`): in each image and
class the predicted boxes choose in order of their score, each the free ground truth it overlaps
most. A crowd region may be chosen many times, and what chooses it counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.metrics.outcomes import Bools, Floats, Ints

_PAIRS = 1 << 21
"""Pairs whose overlap is computed at once."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of many images, one row each."""

    image: Ints
    """int64 (n,): the number of its image, from 0."""
    xywh: Floats
    """float64 (n, 4): left, top, width, height, in pixels; NaN where unknown."""
    label: Ints
    """int64 (n,): the code of its label, from 0; the same codes in all boxes compared."""
    score: Floats | None = None
    """float64 (n,): confidence; NaN counts as the lowest."""
    crowd: Bools | None = None
    """bool (n,): whether it covers many objects that were not told apart."""
    area: Floats | None = None
    """float64 (n,): area as annotated, square pixels: that of the outline; NaN where only the box
    tells it. None: the boxes tell all of them."""

    def areas(self) -> Floats:
        """Return float64 (n,): the annotated area, and where there is none that of the box."""
        sides = np.asarray(self.xywh[:, 2] * self.xywh[:, 3])
        if self.area is None:
            return sides
        return np.where(np.isnan(self.area), sides, self.area)

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def of(cls, objects: pa.Array | pa.ChunkedArray, codes: dict[str | None, int]) -> Boxes:
        """Build boxes from a column of objects (`slicedb.schema.OBJECT` in lists).

        Args:
            objects: one list an image; null and empty ones have no boxes.
            codes: label to its code; labels that are not there yet are added.
        """
        flat = Flat.of(objects)
        label = cls.coded(flat.label, codes)
        crowd, area = is_crowd(flat.attributes), annotated_area(flat.attributes)
        return cls(flat.image, flat.xywh, label, flat.score, crowd, area)

    @staticmethod
    def coded(labels: pa.Array, codes: dict[str | None, int]) -> Ints:
        """Return int64 (n,): the code of each label; new ones are added to `codes`."""
        coded = labels.dictionary_encode()
        names = coded.dictionary.to_pylist()
        table = np.array([codes.setdefault(n, len(codes)) for n in [*names, None]], np.int64)
        at = pc.fill_null(coded.indices, len(names)).to_numpy(zero_copy_only=False)
        return np.asarray(table[at])


def rows_of(boxes: Boxes, rows: Ints) -> Boxes:
    """Return some boxes, in the order given."""
    return Boxes(
        boxes.image[rows],
        boxes.xywh[rows],
        boxes.label[rows],
        None if boxes.score is None else boxes.score[rows],
        None if boxes.crowd is None else boxes.crowd[rows],
        None if boxes.area is None else boxes.area[rows],
    )


@dataclass(frozen=True, eq=False)
class Flat:
    """A column of lists of objects as columns of objects."""

    image: Ints
    """int64 (n,): the row of its list."""
    index: Ints
    """int64 (n,): its place in the list, from 1."""
    label: pa.Array
    xywh: Floats
    """float64 (n, 4); NaN where the box is null or has not four numbers."""
    score: Floats
    """float64 (n,); NaN where null."""
    attributes: pa.Array
    """string (n,): JSON, or null."""

    @classmethod
    def of(cls, objects: pa.Array | pa.ChunkedArray) -> Flat:
        """Flatten a column of lists."""
        column = pa.chunked_array([objects]) if isinstance(objects, pa.Array) else objects
        if not column.num_chunks:
            column = pa.chunked_array([pa.array([], column.type)])
        lists = pa.concat_arrays(column.chunks)
        image = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False).astype(np.int64)
        struct = pc.list_flatten(lists)
        first = np.flatnonzero(np.append(True, image[1:] != image[:-1])) if len(image) else image
        counts = np.diff(np.append(first, len(image)))
        index = np.arange(len(image)) - np.repeat(first, counts) + 1
        return cls(
            image,
            index,
            pc.struct_field(struct, "label"),
            _xywh(pc.struct_field(struct, "bbox")),
            _floats(pc.struct_field(struct, "score")),
            pc.struct_field(struct, "attributes"),
        )


def _floats(values: pa.Array) -> Floats:
    filled = pc.fill_null(values.cast(pa.float64()), float("nan"))
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def _xywh(boxes: pa.Array) -> Floats:
    """Return float64 (n, 4) of a column of lists of four numbers."""
    xywh = np.full((len(boxes), 4), np.nan)
    lengths = pc.fill_null(pc.list_value_length(boxes), 0).to_numpy(zero_copy_only=False)
    values = _floats(pc.list_flatten(boxes))
    whole = lengths == 4
    xywh[whole] = values[np.repeat(whole, lengths)].reshape(-1, 4)
    return xywh


def is_crowd(attributes: pa.Array) -> Bools | None:
    """Return bool (n,): where the JSON attributes have `iscrowd` of 1; None when nowhere."""
    if attributes.null_count == len(attributes):
        return None
    marked = pc.match_substring_regex(attributes, r'"iscrowd"\s*:\s*(1\b|true)')
    crowd: Bools = pc.fill_null(marked, False).to_numpy(zero_copy_only=False).astype(bool)
    return crowd if crowd.any() else None


def annotated_area(attributes: pa.Array) -> Floats | None:
    """Return float64 (n,): `area` of the JSON attributes, NaN without; None when nowhere.

    COCO counts an object as small or large by the area of its outline, not of its box.
    """
    if attributes.null_count == len(attributes):
        return None
    found = pc.extract_regex(attributes, r'"area"\s*:\s*(?P<area>\d+\.?\d*(?:[eE][+-]?\d+)?)')
    if found.null_count == len(found):
        return None
    return _floats(pc.struct_field(found, "area"))


def iou(a: Floats, b: Floats, crowd: Bools | None = None) -> Floats:
    """Return the overlap of boxes, pair by pair, in [0, 1].

    Intersection over union; where `b` is a crowd, intersection over the area of `a`. Boxes
    without area overlap nothing; NaN where a box is unknown.

    Args:
        a: float64 (..., 4): left, top, width, height.
        b: float64 (..., 4), of a shape that broadcasts.
        crowd: bool (...).

    >>> iou(np.array([0, 0, 10, 10.0]), np.array([5, 0, 10, 10.0])).round(4).item()
    0.3333
    """
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    sides = np.maximum(high - low, 0)
    shared = sides[..., 0] * sides[..., 1]
    area = a[..., 2] * a[..., 3]
    union = area + b[..., 2] * b[..., 3] - shared
    whole = union if crowd is None else np.where(crowd, area, union)
    empty = whole <= 0
    share = np.where(empty, 0.0, shared / np.where(empty, 1.0, whole))
    return np.asarray(np.minimum(share, 1.0))  # rounding of `left + width` may pass 1


def iou_matrix(a: Floats, b: Floats, crowd: Bools | None = None) -> Floats:
    """Return float64 (n, m): the overlap of each box of `a` (n, 4) with each of `b` (m, 4)."""
    return iou(a[:, None, :], b[None, :, :], None if crowd is None else crowd[None, :])


@dataclass(frozen=True, eq=False)
class Pairs:
    """Boxes of both sides of one image that overlap; parallel (p,), in order of `predicted`."""

    predicted: Ints
    """int64: rows of the predicted boxes."""
    truth: Ints
    """int64: rows of the ground truth."""
    iou: Floats
    """float64 in (0, 1]."""
    group: Ints
    """int64: image and label (image alone where labels do not count); truth in different groups
    never competes."""


def overlaps(
    predicted: Boxes, truth: Boxes, *, same_label: bool = True, least: float = 0.0
) -> Pairs:
    """Return the pairs of boxes in one image that overlap.

    Args:
        predicted: predicted boxes.
        truth: ground truth.
        same_label: whether only boxes of one label make a pair.
        least: the smallest overlap worth keeping; pairs that do not touch are never kept.
    """
    labels = 1 + max(int(b.label.max(initial=0)) for b in (predicted, truth)) if same_label else 1
    mine = predicted.image * labels + (predicted.label if same_label else 0)
    theirs = truth.image * labels + (truth.label if same_label else 0)
    order = np.argsort(theirs, kind="stable")
    start = np.searchsorted(theirs, mine, "left", sorter=order)
    count = np.searchsorted(theirs, mine, "right", sorter=order) - start
    none = np.empty(0, np.int64)
    fs, ts, shares = [none], [none], [np.empty(0)]
    for part in _parts(count):
        n = count[part]
        f = np.repeat(np.arange(part.start, part.stop), n)
        place = np.arange(len(f)) - np.repeat(np.cumsum(n) - n, n)
        t = order[np.repeat(start[part], n) + place]
        crowd = None if truth.crowd is None else truth.crowd[t]
        values = iou(predicted.xywh[f], truth.xywh[t], crowd)
        near = (values > 0) & (values >= least)
        fs.append(f[near])
        ts.append(t[near])
        shares.append(values[near])
    rows = np.concatenate(fs)
    return Pairs(rows, np.concatenate(ts), np.concatenate(shares), mine[rows])


def _parts(count: Ints) -> Iterator[slice]:
    """Yield slices of rows whose counts sum to at most `_PAIRS`, a single larger row aside."""
    total = np.cumsum(count)
    start = 0
    while start < len(count):
        before = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + _PAIRS, side="right")))
        yield slice(start, stop)
        start = stop


@dataclass(frozen=True, eq=False)
class Matches:
    """Who chose whom."""

    truth: Ints
    """int64 (n,): for each predicted box the row of its ground truth; -1: it has none."""
    predicted: Ints
    """int64 (m,): for each ground truth the row of the box that chose it; -1: it was missed. A
    crowd keeps the first."""
    iou: Floats
    """float64 (n,): overlap of each predicted box with its ground truth; NaN where it has none."""
    ignored: Bools
    """bool (n,): whether a predicted box chose an ignored ground truth, and so counts for
    nothing."""


def match(
    pairs: Pairs, predicted: Boxes, truth: Boxes, *, iou: float = 0.5, ignored: Bools | None = None
) -> Matches:
    """Match predicted boxes one to one with the ground truth, as COCO does.

    In each group the boxes choose in order of their score (ties: as stored), each the free ground
    truth with the largest overlap of at least `iou` (ties: the last). One that counts is preferred
    to one that is ignored. Leaving out the boxes below a score changes nothing for the others.

    Args:
        pairs: what `overlaps` gave for these boxes; computed once for many thresholds.
        predicted: predicted boxes.
        truth: ground truth.
        iou: the smallest overlap of a match.
        ignored: bool (m,), ground truth that neither counts when missed nor when matched; crowds
            are ignored always.
    """
    crowd = np.zeros(len(truth), bool) if truth.crowd is None else truth.crowd
    counts = ~crowd if ignored is None else ~(crowd | ignored)
    near = np.flatnonzero(pairs.iou >= min(iou, 1 - 1e-10))
    f, t, values = pairs.predicted[near], pairs.truth[near], pairs.iou[near]
    rank = _ranks(f, pairs.group[near], predicted.score)
    order = np.lexsort((t, values, counts[t], f, rank))
    f, t, values, rank = f[order], t[order], values[order], rank[order]
    partner = np.full(len(predicted), -1, np.int64)
    chosen = np.full(len(truth), -1, np.int64)
    overlap = np.full(len(predicted), np.nan)
    rounds = np.searchsorted(rank, np.arange(rank[-1] + 2)) if len(rank) else np.zeros(1, np.int64)
    for start, stop in zip(rounds[:-1].tolist(), rounds[1:].tolist()):
        mine = t[start:stop]
        free = start + np.flatnonzero((chosen[mine] < 0) | crowd[mine])
        if not len(free):
            continue
        best = free[np.append(f[free[1:]] != f[free[:-1]], True)]  # the last of each box
        partner[f[best]], overlap[f[best]] = t[best], values[best]
        first = best[chosen[t[best]] < 0]
        chosen[t[first]] = f[first]
    out = np.zeros(len(predicted), bool)
    has = partner >= 0
    out[has] = ~counts[partner[has]]
    return Matches(partner, chosen, overlap, out)


def _ranks(f: Ints, group: Ints, score: Floats | None) -> Ints:
    """Return int64 (p,): the place of each pair's box among those of its group that have pairs.

    Args:
        f: int64 (p,), ascending: rows of boxes.
        group: int64 (p,).
        score: float64 (n,), or None: all alike.
    """
    if not len(f):
        return f
    first = np.flatnonzero(np.append(True, f[1:] != f[:-1]))
    boxes, groups = f[first], group[first]
    falling = np.zeros(len(boxes)) if score is None else -score[boxes]
    order = np.lexsort((boxes, falling, groups))
    ordered = groups[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    sizes = np.diff(np.append(starts, len(ordered)))
    rank = np.empty(len(boxes), np.int64)
    rank[order] = np.arange(len(boxes)) - np.repeat(starts, sizes)
    return np.repeat(rank, np.diff(np.append(first, len(f))))
