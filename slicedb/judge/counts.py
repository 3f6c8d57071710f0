"""Evidence for the size of a slice: counts and shares of splits, which chance plays no part in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow.compute as pc

from slicedb import schema, sql
from slicedb.errors import CheckError, did_you_mean
from slicedb.judge.evidence import Evidence, Inputs
from slicedb.judge.trials import Trial
from slicedb.keys import KeyIndex, Keys, distinct


def counts(trials: Sequence[Trial], inputs: Inputs) -> Iterator[Evidence]:
    """Yield the evidence for counts and shares of splits.

    Raises:
        CheckError: no sample is in a split.
    """
    splits: dict[str, Keys] = {}
    for trial in trials:
        members = distinct(trial.scope.slice.keys())
        n, value = len(members), float(len(members))
        if trial.check.metric == "share":
            name = trial.check.of or ""
            if name not in splits:
                splits[name] = _split(trial, name, inputs)
            n = int(KeyIndex(members).mask(splits[name]).sum())
            value = n / len(splits[name])
        yield Evidence(trial=trial, value=value, low=value, high=value, n=n)


def _split(trial: Trial, name: str, inputs: Inputs) -> Keys:
    """Return the keys of a split."""
    where = sql.equals("split", name)
    keys: Keys = inputs.store.table(schema.SAMPLES, ["key"], where=where)["key"].to_numpy()
    if not len(keys):
        names = pc.unique(inputs.store.table(schema.SAMPLES, ["split"])["split"]).to_pylist()
        raise CheckError(
            f"In '{trial.check}' of slice '{trial.scope.slice.name}': no sample is in split "
            f"'{name}'.",
            did_you_mean(name, sorted(n for n in names if n), "splits"),
        )
    return keys
