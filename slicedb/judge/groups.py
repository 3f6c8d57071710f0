"""Samples that are not independent: groups from a column, and the bootstrap that draws them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from slicedb import schema
from slicedb.errors import CheckError, did_you_mean
from slicedb.judge.aligned import Keys, cached, universe
from slicedb.metrics import Metric
from slicedb.store import Store

Floats = npt.NDArray[np.float64]


def groups_of(store: Store, column: str) -> Keys:
    """Return int64 (universe,): the group of each sample; one without a value stands alone.

    Args:
        store: the database.
        column: a column of samples, such as the video a frame is of.

    Raises:
        CheckError: there is no such column, or its values are no names.
    """
    names = store.schema(schema.SAMPLES).names
    if column not in names:
        hint = did_you_mean(column, names, "columns of samples")
        raise CheckError(f"No column '{column}' to group by.", hint)
    slot = (schema.SAMPLES,), f"groups {column}"
    return cached(store, *slot, lambda: _read(store, column))


def _read(store: Store, column: str) -> Keys:
    import pyarrow as pa

    table = store.table(schema.SAMPLES, ["key", column])
    values = table[column].combine_chunks()
    if pa.types.is_nested(values.type):
        raise CheckError(f"'{column}' is {values.type}.", "group by one value a sample.")
    encoded = values.dictionary_encode()
    code = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    lonely = code < 0
    code[lonely] = len(encoded.dictionary) + np.arange(int(lonely.sum()))
    found = np.empty(len(code), np.int64)
    found[universe(store).places.find(table["key"].to_numpy())] = code
    return found


def resampled(
    metric: Metric, outcomes: Any, groups: npt.ArrayLike | None = None
) -> tuple[Callable[[Floats], Floats], int]:
    """Return a metric as a function of weights, and the number of weights.

    Args:
        metric: the metric, bound to its class if it has one.
        outcomes: n rows.
        groups: (n,) group of each row; None is a group a row.

    Returns:
        (weights float64 (b, g) -> values (b,), g), as `slicedb.stats.bootstrap` takes them.
    """
    n = outcomes.n
    code = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    size = int(code.max()) + 1 if n else 0
    if metric.weighted is not None:
        weighted = metric.weighted(outcomes)
        return lambda weights: weighted(np.asarray(weights)[:, code]), size
    kinds = {"ranked": _ranked, "moments": _moments, "codes": _counts}
    return kinds[metric.state.kind](metric, outcomes, code, size), size


def _ranked(metric: Metric, outcomes: Any, code: Keys, size: int) -> Any:
    def values(weights: Floats) -> Floats:
        picked = (np.repeat(np.arange(outcomes.n), w.astype(int)) for w in weights[:, code])
        found = [metric.compute(metric.name, outcomes.take(rows)).value[0] for rows in picked]
        return np.array(found)

    return values


def _moments(metric: Metric, outcomes: Any, code: Keys, size: int) -> Any:
    sums = _by_group(code, size) @ metric.state.rows(outcomes)  # (g, n) @ (n, d) -> (g, d)

    def values(weights: Floats) -> Floats:
        return np.asarray(metric.compute(np.asarray(weights @ sums)).value)

    return values


def _counts(metric: Metric, outcomes: Any, code: Keys, size: int) -> Any:
    from scipy import sparse

    c = len(outcomes.classes)
    cells, cell = np.unique(metric.state.rows(outcomes), return_inverse=True)
    ones = np.ones(len(code))
    counts = sparse.csr_matrix((ones, (code, cell)), shape=(size, len(cells)))
    step = max(1, 4_000_000 // (c * c))

    def values(weights: Floats) -> Floats:
        parts = []
        for start in range(0, len(weights), step):
            some = np.asarray(weights[start : start + step] @ counts)  # (b, g) @ (g, k) -> (b, k)
            matrix = np.zeros((len(some), c * c))
            matrix[:, cells] = some
            parts.append(metric.compute(matrix.reshape(-1, c, c)).value)
        return np.concatenate(parts)

    return values


def _by_group(code: Keys, size: int) -> Any:
    from scipy import sparse

    n = len(code)
    return sparse.csr_matrix((np.ones(n), (code, np.arange(n))), shape=(size, n))
