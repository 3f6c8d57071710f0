"""Hold columns of `samples` as batches need them: tensors for numbers, lists for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from slicedb.errors import ClassesError, did_you_mean
from slicedb.show.numbers import count

Values: TypeAlias = torch.Tensor | list[object]
"""Those of a batch: a tensor (b, ...), or a list."""


class BatchColumn(Protocol):
    """One column of the samples of a dataset, in their order."""

    def batch(self, indices: np.ndarray) -> Values:
        """Return the values of samples, int64 (b,), as a tensor (b, ...) or a list."""
        ...

    def items(self, indices: np.ndarray) -> list[object]:
        """Return the same values one by one, as Python numbers where they are numbers."""
        ...


@dataclass(frozen=True)
class Numbers:
    """int64, float32 or bool (n,)."""

    values: np.ndarray

    def batch(self, indices: np.ndarray) -> Values:
        return torch.from_numpy(self.values[indices])

    def items(self, indices: np.ndarray) -> list[object]:
        return list(self.values[indices].tolist())


@dataclass(frozen=True)
class ManyHot:
    """Several classes per sample, kept as their numbers; float32 (b, c) of 0 and 1 in a batch."""

    values: np.ndarray
    """int64: the class numbers of all samples, one after the other."""
    offsets: np.ndarray
    """int64 (n + 1,): where each sample's begin."""
    width: int

    def batch(self, indices: np.ndarray) -> Values:
        out = torch.zeros((len(indices), self.width))
        for row, i in enumerate(indices.tolist()):
            out[row, self.values[self.offsets[i] : self.offsets[i + 1]]] = 1
        return out

    def items(self, indices: np.ndarray) -> list[object]:
        return list(self.batch(indices))


@dataclass(frozen=True)
class Objects:
    """Anything else, as Python values."""

    values: pa.ChunkedArray

    def batch(self, indices: np.ndarray) -> Values:
        return self.items(indices)

    def items(self, indices: np.ndarray) -> list[object]:
        return list(self.values.take(pa.array(indices)).to_pylist())


def column_of(
    name: str, values: pa.ChunkedArray, ids: np.ndarray, classes: Sequence[str]
) -> BatchColumn:
    """Return a column ready for batches.

    `label` becomes class numbers, `labels` zeros and ones; integers, floats and booleans become
    numbers (a float that is null becomes NaN); the rest stays as it is.

    Raises:
        ClassesError: a label is missing, or none of the classes.
        ValueError: an integer or a boolean is null.
    """
    if name == "label":
        return Numbers(_numbers_of(values, ids, classes))
    kind = values.type
    if name == "labels" and pa.types.is_list(kind):
        return _many_hot(values, ids, classes)
    if pa.types.is_floating(kind):
        return Numbers(pc.fill_null(values, float("nan")).to_numpy().astype(np.float32))
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        if values.null_count:
            first = ids[int(np.flatnonzero(pc.is_null(values).to_numpy())[0])]
            raise ValueError(
                f"Column '{name}' is null in {values.null_count:,} of "
                f"{count(len(values), 'sample')}, "
                f"the first is '{first}'. Hint: add `{name} IS NOT NULL` to the query."
            )
        plain = values.to_numpy()
        return Numbers(plain.astype(np.int64) if plain.dtype.kind in "iu" else plain)
    return Objects(values)


def _numbers_of(labels: pa.ChunkedArray, ids: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    numbers = pc.index_in(labels, value_set=pa.array(list(classes), pa.string()))
    outside = np.flatnonzero(pc.is_null(numbers).to_numpy())
    if len(outside):
        first = int(outside[0])
        _refuse(labels[first].as_py(), ids[first], len(outside), len(labels), classes)
    return np.asarray(numbers.to_numpy().astype(np.int64))


def _many_hot(labels: pa.ChunkedArray, ids: np.ndarray, classes: Sequence[str]) -> ManyHot:
    lengths = pc.fill_null(pc.list_value_length(labels), 0).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    flat = pc.list_flatten(labels)
    numbers = pc.index_in(flat, value_set=pa.array(list(classes), pa.string()))
    outside = np.flatnonzero(pc.is_null(numbers).to_numpy())
    if len(outside):
        sample = int(np.searchsorted(offsets, outside[0], side="right")) - 1
        _refuse(flat[int(outside[0])].as_py(), ids[sample], len(outside), len(flat), classes)
    return ManyHot(numbers.to_numpy().astype(np.int64), offsets, len(classes))


def _refuse(label: str | None, sample: str, n: int, of: int, classes: Sequence[str]) -> None:
    if label is None:
        raise ClassesError(
            f"Sample '{sample}' has no label, as {n:,} of {of:,} are missing or no class.",
            "add `label IS NOT NULL` to the query, take boxes with columns=('objects',), or leave "
            "labels out with columns=().",
        )
    raise ClassesError(
        f"Label '{label}' of sample '{sample}' is none of the {len(classes)} classes, "
        f"as are {n:,} of {count(of, 'label')}.",
        did_you_mean(label, classes, "classes"),
    )
