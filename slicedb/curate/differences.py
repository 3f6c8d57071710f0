"""Compare the columns of two sets of samples: an effect size each, then a p-value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import stats
from slicedb.curate.cells import Cells, cells_of
from slicedb.curate.chance import Chance, p_of
from slicedb.curate.units import Ints
from slicedb.progress import SILENT, Bar

Floats = npt.NDArray[np.float64]

_BINS = 40
"""Quantiles of a number."""
_OWN = 0.5
"""A column with more values than this share of the samples names them and tells nothing."""


@dataclass(frozen=True)
class Difference:
    """How one column differs between two sets of samples."""

    column: str
    kind: str
    """What the effect is: "Cramér's V" of values, "Kolmogorov-Smirnov" of numbers and times,
    "difference of shares" of entries of lists."""
    effect: float
    """0 where the sets are alike, at most 1."""
    p: float
    """By permutation."""
    q: float
    """p after Benjamini and Hochberg, over the columns."""
    query: str
    """The value, or the range, in which they differ most."""
    share_a: float
    """Of the first set that `query` holds for."""
    share_b: float
    """Of the second set."""


def differences(
    rows: pa.Table, columns: Sequence[str], chance: Chance, bar: Bar = SILENT
) -> tuple[list[Difference], list[str]]:
    """Return how each column differs, the largest effect first; and the columns left out.

    Columns of one value, and those with a value of its own for most samples, are left out.

    Args:
        rows: the samples of both sets.
        columns: of them.
        chance: which are in the second set.
        bar: advanced by one per column.
    """
    results, left = [], []
    for at, column in enumerate(columns):
        bar.advance(int(at > 0))
        values = rows[column]
        if values.null_count == len(rows) or _names_samples(values):
            left.append(column)
            continue
        cells = cells_of(rows, [column], _BINS)
        if len(cells) < 3:
            left.append(column)
            continue
        results.append(_difference(column, cells, chance))
    bar.advance(int(len(columns) > 0))
    adjusted = stats.benjamini_hochberg([d.p for d in results])
    full = [Difference(**{**d.__dict__, "q": float(q)}) for d, q in zip(results, adjusted)]
    return sorted(full, key=lambda d: (-d.effect, d.column)), left


def _names_samples(values: pa.ChunkedArray) -> bool:
    kind = values.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return is_text and len(values.unique()) > _OWN * len(values)


def _difference(column: str, cells: Cells, chance: Chance) -> Difference:
    cell, n_cells = cells.cell - 1, len(cells) - 1
    inside = chance.counts(cell, cells.sample, n_cells)  # (1 + draws, c)
    n, sizes = len(chance.is_b), chance.sizes()[:, None]
    total = np.bincount(cell, minlength=n_cells).astype(np.float64)
    share_b = inside / np.maximum(sizes, 1)
    share_a = (total - inside) / np.maximum(n - sizes, 1)
    is_list = len(cells.sample) != n
    if is_list:
        kind = "difference of shares"
        overall = total / n
        error = np.sqrt(np.maximum(overall * (1 - overall), 1e-12))
        each = np.abs(share_b - share_a)
        statistic = (each / error).max(axis=1)
        at = int((each[0] / error).argmax())
        effect = float(each[0, at])
    elif cells.ordered[0]:
        kind = "Kolmogorov-Smirnov"
        below = np.abs(np.cumsum(share_b - share_a, axis=1))
        statistic = below.max(axis=1)
        at = int(below[0].argmax())
        effect = float(statistic[0])
        a, b = float(share_a[0, : at + 1].sum()), float(share_b[0, : at + 1].sum())
        return Difference(column, kind, effect, p_of(statistic), 1.0, _up_to(cells, at), a, b)
    else:
        kind = "Cramér's V"
        expected = np.maximum(total * sizes / n, 1e-12)
        other = np.maximum(total - expected, 1e-12)
        statistic = ((inside - expected) ** 2 * (1 / expected + 1 / other)).sum(axis=1)
        effect = float(np.sqrt(statistic[0] / n))
        at = int(np.abs(share_b[0] - share_a[0]).argmax())
    query = cells.queries[at + 1]
    a, b = float(share_a[0, at]), float(share_b[0, at])
    return Difference(column, kind, effect, p_of(statistic), 1.0, query, a, b)


def _up_to(cells: Cells, at: int) -> str:
    """Return the predicate of the first cells of an ordered column."""
    if at + 1 >= len(cells) - 1:
        return "true"
    last = cells.queries[at + 1]
    return last.partition(" AND ")[2] or last if " < " in last else f"NOT ({cells.queries[-1]})"


def tells(cells: Cells, is_b: npt.NDArray[np.bool_], fold: Ints) -> Floats:
    """Return float64 (n,): how likely each sample is in the second set by its cell alone.

    A sample's own fold does not count, so that chance tells nothing.
    """
    n_folds, n_cells = int(fold.max()) + 1, len(cells)
    every, inside = np.zeros((n_folds, n_cells)), np.zeros((n_folds, n_cells))
    np.add.at(every, (fold[cells.sample], cells.cell), 1)
    np.add.at(inside, (fold[cells.sample], cells.cell), is_b[cells.sample])
    rate = is_b.mean()
    score = np.full(len(is_b), rate)
    others = (inside.sum(axis=0) - inside + rate) / (every.sum(axis=0) - every + 1)
    score[cells.sample] = others[fold[cells.sample], cells.cell]
    return score
