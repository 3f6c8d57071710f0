"""Columns of label maps: encoded, with the names of their classes, and what is counted in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.media.labelmap import Codes, codes_in, fitted, png_of
from slicedb.metrics.outcomes import Ints
from slicedb.schema import AREAS, LABEL_MAP, Row

IGNORE = 255
"""The number of pixels that count for nothing, where nobody says otherwise."""
CELL = pa.struct([("truth", pa.string()), ("prediction", pa.string()), ("pixels", pa.int64())])
"""How many pixels of a sample are of one class and predicted as one; `prediction` is null where
the model says nothing of them."""
CELLS = pa.list_(CELL)
_KEPT = 256


@dataclass(frozen=True, eq=False)
class LabelMap:
    """The classes of the pixels of one picture."""

    codes: Codes
    """uint8 or uint16 (h, w): indices into `classes`; others are of no class."""
    classes: tuple[str, ...]
    ignore: int | None = IGNORE
    """The number of pixels that count for nothing."""
    confidence: float | None = None
    """Of a prediction: the mean over the pixels of the probability of their class."""

    def areas(self) -> dict[str, int]:
        """Return how many pixels each class has that some pixel has; the ignored have none."""
        counts = np.bincount(self.codes.ravel(), minlength=len(self.classes))
        if self.ignore is not None and self.ignore < len(counts):
            counts[self.ignore] = 0
        return {name: int(n) for name, n in zip(self.classes, counts.tolist()) if n}

    def pixels(self) -> int:
        """Return how many pixels count: all but the ignored."""
        return int(self.codes.size - (np.count_nonzero(self.codes == self._ignored)))

    @property
    def _ignored(self) -> int:
        return -1 if self.ignore is None else self.ignore


def maps_column(
    maps: Sequence[LabelMap | None], encoded: Sequence[bytes] | None = None
) -> pa.Array:
    """Return label maps as a column of `slicedb.schema.LABEL_MAP`, null where there is None.

    Args:
        maps: n of them.
        encoded: the files they were read from, which are kept as they are; None encodes them.
    """
    rows: list[Row | None] = []
    for i, one in enumerate(maps):
        data = None if one is None else png_of(one.codes) if encoded is None else encoded[i]
        rows.append(
            None
            if one is None
            else {"png": data, "classes": list(one.classes), "ignored": one.ignore}
        )
    return pa.array(rows, LABEL_MAP)


def areas_column(maps: Sequence[LabelMap | None]) -> tuple[pa.Array, pa.Array]:
    """Return the pixels and share of each class of label maps, and how many pixels count."""
    rows: list[list[Row] | None] = []
    totals: list[int | None] = []
    for one in maps:
        total = None if one is None else one.pixels()
        totals.append(total)
        rows.append(
            None
            if one is None
            else [
                {"label": name, "pixels": n, "share": n / total if total else None}
                for name, n in one.areas().items()
            ]
        )
    return pa.array(rows, AREAS), pa.array(totals, pa.int64())


def map_of(row: Row) -> LabelMap:
    """Return one value of a column of label maps.

    Raises:
        MediaError: what is stored does not decode.
    """
    return LabelMap(codes_in(row["png"]), tuple(row["classes"]), row["ignored"])


def cells_of(truth: LabelMap, predicted: LabelMap) -> list[Row]:
    """Return how many pixels are of each class and predicted as each, ignored ones left out.

    A prediction of another size is fitted to the truth by its nearest pixels.
    """
    side = fitted(predicted.codes, truth.codes.shape).astype(np.int64)
    rows, columns = len(truth.classes), len(predicted.classes)
    side = np.minimum(side, columns)  # what is beyond the classes is nothing
    if predicted.ignore is not None and predicted.ignore < columns:
        side[side == predicted.ignore] = columns
    codes = truth.codes.astype(np.int64)
    counted = codes < rows
    if truth.ignore is not None:
        counted &= codes != truth.ignore
    joint = np.bincount((codes * (columns + 1) + side)[counted], minlength=rows * (columns + 1))
    names = [*predicted.classes, None]
    return [
        {
            "truth": truth.classes[at // (columns + 1)],
            "prediction": names[at % (columns + 1)],
            "pixels": int(joint[at]),
        }
        for at in np.flatnonzero(joint).tolist()
    ]


def cells_column(predicted: pa.Array, truth: pa.Array) -> pa.Array:
    """Return the cells of each row of two columns of label maps, null where one is null."""
    rows = [
        None if said is None or meant is None else cells_of(map_of(meant), map_of(said))
        for said, meant in zip(predicted.to_pylist(), truth.to_pylist(), strict=True)
    ]
    return pa.array(rows, CELLS)


def digests_of(maps: pa.Array, classes: Sequence[str]) -> pa.Array:
    """Return int64 (n,): 63 bits of each label map, and of the classes of a model.

    Args:
        maps: a column of label maps.
        classes: of the model whose cells depend on both.
    """
    own = "\0".join(classes).encode()
    return pa.array([None if row is None else _digest(row, own) for row in maps], pa.int64())


def _digest(row: pa.StructScalar, own: bytes) -> int | None:
    if not row.is_valid:
        return None
    names = tuple(row["classes"].as_py())
    hashed = blake2b(row["png"].as_buffer(), digest_size=8)
    hashed.update(_words(names))
    hashed.update(f"{row['ignored'].as_py()}".encode() + own)
    return int.from_bytes(hashed.digest(), "big") >> 1


@lru_cache(_KEPT)
def _words(names: tuple[str, ...]) -> bytes:
    return "\0".join(names).encode()


def triples(cells: pa.Array) -> tuple[Ints, pa.Array, pa.Array, npt.NDArray[np.int64]]:
    """Return the cells of n rows one below the other: row, truth, prediction, pixels."""
    import pyarrow.compute as pc

    flat = pc.list_flatten(cells)
    rows = pc.list_parent_indices(cells).to_numpy(zero_copy_only=False).astype(np.int64)
    pixels = pc.struct_field(flat, "pixels").to_numpy(zero_copy_only=False).astype(np.int64)
    return rows, pc.struct_field(flat, "truth"), pc.struct_field(flat, "prediction"), pixels
