"""Trials of the size of a slice: counts and shares of splits, which are what they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slicedb import schema
from slicedb.errors import CheckError, did_you_mean
from slicedb.expectations import Check
from slicedb.judge.aligned import Keys
from slicedb.judge.evidence import Trial
from slicedb.slices import Slice
from slicedb.store import Store


def judge(
    store: Store, trials: Sequence[Trial], checked: Sequence[tuple[Slice, list[Check]]]
) -> None:
    """Fill in trials of counts and shares of splits.

    Raises:
        CheckError: no sample is in a split.
    """
    splits: dict[str, Keys] = {}
    for trial in trials:
        members = np.unique(checked[trial.slice][0].keys())
        trial.counted, trial.n, trial.value = False, len(members), float(len(members))
        if trial.check.metric == "share":
            split = _split(store, trial, checked[trial.slice][0].name, splits)
            inside = int(np.isin(members, split, assume_unique=True).sum())
            trial.n, trial.value = inside, inside / len(split)
        trial.low = trial.high = trial.value


def _split(store: Store, trial: Trial, of: str, known: dict[str, Keys]) -> Keys:
    """Return the keys of the split whose share is asked, of the slice `of`."""
    name = trial.check.of
    assert name is not None
    if name not in known:
        table = store.table(schema.SAMPLES, ["key", "split"])
        names = np.array(table["split"].to_pylist(), dtype=object)
        known[name] = table["key"].to_numpy()[names == name]
        if not len(known[name]):
            there = sorted({n for n in names if n})
            raise CheckError(
                f"In '{trial.check}' of slice '{of}': no sample is in split '{name}'.",
                did_you_mean(name, there, "splits"),
            )
    return known[name]
