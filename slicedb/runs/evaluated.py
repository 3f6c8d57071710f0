"""Write an evaluation down, with the looks that it took at held-out slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from slicedb import schema
from slicedb.judge import Evaluation
from slicedb.runs.record import record_evaluation
from slicedb.slices import Slice, Slices, looks
from slicedb.store import Store


def keep(
    store: Store,
    evaluation: Evaluation,
    models: Sequence[str],
    members: Mapping[str, np.ndarray],
    slices: Slices,
    asked: Sequence[Slice],
    *,
    record: bool,
) -> Evaluation:
    """Write an evaluation down and return it with the warnings of its held-out slices.

    Args:
        store: the database; one at an earlier commit is not written to.
        evaluation: what came out.
        models: their names.
        members: slice -> int64 keys, as they were judged.
        slices: the registry.
        asked: the registered slices among those judged.
        record: False writes down only what looked at a held-out slice.
    """
    looked = looks.guarded(asked)
    if store.title:
        return evaluation
    if looked or record:
        texts = {s.name: s.text for s in slices.list()}
        about = {
            "tables": store.versions(),
            "fingerprints": {name: _fingerprint(store, name) for name in models},
            "queries": {name: texts.get(name, name) for name in members},
            "slices": {name: {"n": len(keys)} for name, keys in members.items()},
            "looks": looked,
        }
        record_evaluation(store, evaluation, about)
    sizes = {name.partition("@")[0]: len(keys) for name, keys in members.items()}
    return replace(evaluation, warnings=looks.warnings(store, looked, sizes) if looked else ())


def _fingerprint(store: Store, model: str) -> str:
    return store.metadata(schema.PREDICTIONS + model).get("slicedb:fingerprint", "")
