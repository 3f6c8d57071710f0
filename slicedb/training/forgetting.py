"""Count forgetting events over the logged epochs of a training run, and line up the losses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import UnknownModelError, did_you_mean
from slicedb.keys import KeyIndex
from slicedb.schema import PREDICTIONS
from slicedb.store import Store
from slicedb.training.epoch_names import epoch_name, epochs_of


def forgetting(store: Store, run: str | Sequence[str], keys: np.ndarray | None = None) -> pa.Table:
    """Count how often each sample was forgotten, and line up its losses.

    A sample is forgotten when it was classified correctly at one presentation and wrongly at the
    next (Toneva et al., "An empirical study of example forgetting during deep neural network
    learning", ICLR 2019). Presentations here are the logged epochs; an epoch without a prediction
    of a sample is skipped for that sample.

    Args:
        store: the database.
        run: the name of a run whose epochs were logged, or the models in their order.
        keys: int64 (n,): samples to look at, in this order; None takes all that were logged.

    Returns:
        One row per sample: `id`; `key`; `epochs`, how many have a prediction; `forgetting`, the
        number of events, null for a sample never learned (the paper counts it as infinite);
        `learned_at`, the position of the first correct epoch; `unforgettable`, learned and never
        forgotten; `correctness`, the fraction of correct epochs; `mean_loss`; and `loss`, one
        float32 per epoch, null where there is none. Labels are the current ones.

    Raises:
        UnknownModelError: no epoch of the run was logged, or a model has no predictions.
    """
    models = list(epochs_of(store, run).values()) if isinstance(run, str) else list(run)
    logged = [n.removeprefix(PREDICTIONS) for n in store.names() if n.startswith(PREDICTIONS)]
    for name in models or [epoch_name(str(run), 0)]:
        if name not in logged:
            raise UnknownModelError(
                f"No predictions of '{name}'.", did_you_mean(name, logged, "models")
            )
    tables = [store.table(PREDICTIONS + m, ["id", "key", "loss", "correct"]) for m in models]
    ids, keys = _samples(tables, keys)
    correct = np.full((len(models), len(keys)), -1, dtype=np.int8)
    loss = np.full((len(models), len(keys)), np.nan, dtype=np.float32)
    for epoch, table in enumerate(tables):
        rows = KeyIndex(table["key"].to_numpy()).find(keys)
        has = rows >= 0
        known = pc.fill_null(pc.cast(table["correct"], pa.int8()), -1).to_numpy()
        correct[epoch, has] = known[rows[has]]
        loss[epoch, has] = pc.fill_null(table["loss"], float("nan")).to_numpy()[rows[has]]
    return _table(ids, keys, correct, loss)


def _samples(tables: list[pa.Table], keys: np.ndarray | None) -> tuple[pa.Array, np.ndarray]:
    """Return ids and keys of the logged samples by id, or of those asked for, in their order."""
    both = pa.concat_tables([table.select(["id", "key"]) for table in tables])
    both = both.group_by("key", use_threads=False).aggregate([("id", "min")]).sort_by("id_min")
    ids, logged = both["id_min"].combine_chunks(), both["key"].to_numpy()
    if keys is None:
        return ids, logged
    rows = KeyIndex(logged).rows(keys)
    return ids.take(pa.array(rows)), logged[rows]


def count_events(correct: np.ndarray) -> np.ndarray:
    """Return int64 (n,): forgetting events of a history, int8 (epochs, n).

    1 is correct, 0 wrong, -1 not presented.

    >>> count_events(np.array([[1, 0, 1], [0, 0, -1], [1, 1, 0]], np.int8)).tolist()
    [1, 0, 1]
    """
    events = np.zeros(correct.shape[1], dtype=np.int64)
    last = np.full(correct.shape[1], -1, dtype=np.int8)
    for now in correct:
        events += (last == 1) & (now == 0)
        last = np.where(now >= 0, now, last)
    return events


def _table(ids: pa.Array, keys: np.ndarray, correct: np.ndarray, loss: np.ndarray) -> pa.Table:
    events, n = count_events(correct), (correct >= 0).sum(axis=0)
    learned = (correct == 1).any(axis=0)
    counted = (~np.isnan(loss)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        share = (correct == 1).sum(axis=0) / n
        mean = np.nansum(loss, axis=0, dtype=np.float64) / counted
    flat = pa.array(np.ascontiguousarray(loss.T).reshape(-1), from_pandas=True)
    offsets = np.arange(len(keys) + 1, dtype=np.int32) * len(loss)
    return pa.table(
        {
            "id": ids,
            "key": keys,
            "epochs": n.astype(np.int64),
            "forgetting": pa.array(events, mask=~learned),
            "learned_at": pa.array((correct == 1).argmax(axis=0), mask=~learned),
            "unforgettable": learned & (events == 0),
            "correctness": pa.array(share, mask=n == 0),
            "mean_loss": pa.array(mean, mask=counted == 0),
            "loss": pa.ListArray.from_arrays(offsets, flat),
        }
    )
