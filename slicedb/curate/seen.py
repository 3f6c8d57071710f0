"""Which samples a model was trained on: what it says of their labels it was told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import schema, sql
from slicedb.commits import Commits
from slicedb.curate.splits import stored
from slicedb.errors import CheckError, PredictionError, did_you_mean
from slicedb.keys import KeyIndex, Keys
from slicedb.models import Models
from slicedb.schema import PREDICTIONS, SAMPLES
from slicedb.show.numbers import count
from slicedb.store import Store

_TRAINING = ("train", "training")
"""Values of `split` that a model is trained on."""
_FOLD_MODEL = re.compile(r"(.+)_(\d+)")


@dataclass(frozen=True, eq=False)
class Seen:
    """What is known of the training data of a model."""

    keys: Keys
    """int64: the samples that it was trained on."""
    why: str
    """What tells."""
    unseen: str
    """The predicate of the others, "" where none says it shortly."""
    base: str = ""
    """What the models of all folds are called, of one that is called after a fold."""


def seen(store: Store, model: str) -> Seen | None:
    """Return what a model was trained on, None where nobody said it.

    A commit of training data (`--trained-on`) names its samples of the split `train`, or all of
    them where it has no such split. A model that is called after a fold, beside others that are,
    was trained on the other folds.
    """
    commit = next((m.trained_on for m in Models(store).list() if m.name == model), "")
    if commit:
        return _by_commit(store, commit)
    return _by_name(store, model)


def _by_commit(store: Store, commit: str) -> Seen:
    version = Commits(store).get(commit).tables[SAMPLES]
    rows = store.table(SAMPLES, ["key", "split"], where=schema.IS_SHOWN, version=version)
    is_training = pc.fill_null(pc.is_in(rows["split"], value_set=pa.array(_TRAINING)), False)
    has_split = bool(pc.any(is_training).as_py())
    keys = (rows.filter(is_training) if has_split else rows)["key"].to_numpy()
    what = "of the split 'train' in" if has_split else "in"
    unseen = "split IS NULL OR split NOT IN ('train', 'training')" if has_split else ""
    return Seen(keys, f"they are {what} the commit {commit}, its training data", unseen)


def _by_name(store: Store, model: str) -> Seen | None:
    named = _FOLD_MODEL.fullmatch(model)
    columns = [name for name, how in stored(store).items() if how["plan"]["folds"]]
    if named is None or not columns:
        return None
    base, number = named.groups()
    others = [name for name in store.names() if name.startswith(f"{PREDICTIONS}{base}_")]
    if len(others) < 2:
        return None
    column = columns[0]
    values = store.table(SAMPLES, ["key", column])
    is_other = pc.fill_null(pc.not_equal(values[column], int(number)), False)
    keys = values.filter(is_other)["key"].to_numpy()
    models = count(len(others), "model")
    why = f"they are in other folds than {number}, and it is one of {models} by fold"
    return Seen(keys, why, f"{sql.name(column)} = {number}", base)


def refuse_seen(model: str, keys: Keys, known: Seen | None, folds: str = "") -> None:
    """Refuse samples that a model was trained on.

    Args:
        model: whose predictions.
        keys: int64 (n,): the samples asked for.
        known: what it was trained on.
        folds: a column of folds, if there is one.

    Raises:
        PredictionError: some of the samples are among them.
    """
    if known is None or not len(known.keys):
        return
    n = int(np.count_nonzero(KeyIndex(known.keys).has(keys)))
    if not n:
        return
    unseen = f'ask for others: on="{known.unseen}"; or ' if known.unseen else ""
    say_fold = f'fold="{folds or "fold"}" (--fold)'
    every = (
        f"judge each label by the model of its fold: '{known.base}' with {say_fold}."
        if known.base
        else "train one model per fold (`slicedb split --folds 5`), call the one that did not see "
        f"fold 0 '{model}_0', and so on, and say {say_fold}."
    )
    raise PredictionError(
        f"'{model}' was trained on {n:,} of the {count(len(keys), 'sample')} ({known.why}): it "
        "repeats the labels it was told, the wrong ones too.",
        unseen + every,
    )


def by_fold(store: Store, model: str, column: str, keys: Keys) -> Mapping[str, tuple[str, Keys]]:
    """Return the model of each fold, with the predicate of the fold and its samples.

    Args:
        store: the database.
        model: what the models are called in front of `_0`, `_1`, ...
        column: of samples: the fold of each.
        keys: int64 (n,): the samples.

    Raises:
        CheckError: there is no such column, or it is NULL for all samples.
        PredictionError: a fold has no model.
    """
    names = store.schema(SAMPLES).names
    if column not in names:
        raise CheckError(
            f"There is no column '{column}' in samples.", did_you_mean(column, names, "columns")
        )
    values = store.take(SAMPLES, keys, [column])[column].combine_chunks()
    folds = [value for value in values.unique().to_pylist() if value is not None]
    if not folds:
        raise CheckError(
            f"'{column}' is NULL for all samples.", "`slicedb split --folds 5` writes folds."
        )
    lacking = [v for v in folds if not store.has(f"{PREDICTIONS}{model}_{v}")]
    if lacking:
        named = ", ".join(f"'{model}_{value}'" for value in sorted(lacking, key=str)[:5])
        raise PredictionError(
            f"There are no predictions of {named} for the folds in '{column}'.",
            f"the model that did not see fold k is called '{model}_k'; predict with it, or log "
            "what it says of that fold (`slicedb log-predictions`).",
        )
    parts = {}
    for value in sorted(folds, key=str):
        inside = pc.fill_null(pc.equal(values, value), False).to_numpy(zero_copy_only=False)
        parts[f"{model}_{value}"] = sql.equals(column, value), keys[inside]
    return parts
