"""Choose what to label next: typical samples while few are labelled, then those in doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.curate.herding import farthest, herd
from slicedb.curate.picks import ROWS, Picks
from slicedb.curate.probe import probe
from slicedb.errors import CheckError, PredictionError, did_you_mean
from slicedb.keys import KeyIndex, Keys
from slicedb.metrics.outcomes import Bools, Floats, Ints
from slicedb.predictions.tables import no_predictions
from slicedb.schema import IS_SHOWN, PREDICTIONS, SAMPLES
from slicedb.show import numbers
from slicedb.store import Store
from slicedb.vectors import Vectors

Strategy: TypeAlias = Literal["auto", "typical", "margin", "entropy", "diverse", "random"]

UNLABELLED = "label IS NULL AND labels IS NULL AND objects IS NULL"
"""The predicate of samples that nobody has annotated in any way."""
_FEW = 10
"""Labels per class below which typical samples tell more than uncertain ones (Hacohen et al.,
ICML 2022)."""
_SURE = 0.5
"""How much it counts that a sample is stood for of which the labels so far leave no doubt; one that
they say nothing of counts three times as much. Without it typical samples of classes that are told
apart already go on being chosen."""
_CANDIDATES = 8
"""Uncertain samples, for each one that is chosen, among which those that stand for most are."""


@dataclass(frozen=True)
class Wish:
    """What is to be chosen."""

    n: int
    strategy: Strategy = "auto"
    model: str | None = None
    quotas: Mapping[str, tuple[int, Keys]] = field(default_factory=dict)
    """By slice: how many of it at least, and its samples."""
    cost: str | None = None
    """A column of samples."""
    budget: float | None = None
    seed: int = 0


@dataclass(eq=False)
class _Pool:
    """What may be chosen, and what is known of it."""

    keys: Keys
    vectors: npt.NDArray[np.float32] | None
    known: npt.NDArray[np.float32]
    """float32 (m, d): vectors of labelled samples, and of those that are chosen."""
    doubt: Floats | None
    """float64 (n,) in [0, 1]: how uncertain each one is."""
    words: Sequence[str] | None
    """What is uncertain of each."""
    cost: Floats | None
    left: float
    """What is left of the budget."""
    free: Bools
    """bool (n,): not chosen yet."""


def sample(store: Store, keys: Keys, wish: Wish, vectors: Vectors, embedding: str | None) -> Picks:
    """Choose samples to label next; see `Database.sample`.

    Args:
        store: the database.
        keys: int64 (n,): the samples that may be chosen.
        wish: how many, and how.
        vectors: the embeddings of the database.
        embedding: whose vectors; None where there are none.

    Raises:
        CheckError: nothing can be chosen, or nothing says how.
        PredictionError: the model has no predictions of the samples, or none with margins.
    """
    _check(keys, wish)
    asked, notes = len(keys), []
    labels = _labelled(store, keys)
    strategy = _strategy(wish, labels, embedding)
    if wish.model is not None and strategy in ("margin", "entropy"):
        keys, lacking = _predicted(store, wish.model, keys)
        notes += _missing(
            lacking, f"prediction of '{wish.model}' with probabilities", "predict or log it"
        )
    matrix = None if embedding is None else vectors.matrix(embedding)
    if matrix is not None:
        has = matrix.index.has(keys)
        has[has] = ~np.isnan(matrix.of(keys[has])[:, 0])
        keys = keys[has]
        notes += _missing(int((~has).sum()), f"vector in '{embedding}'", "`slicedb embed`")
    if not len(keys):
        raise CheckError(
            f"None of the {numbers.count(asked, 'sample')} can be chosen. {' '.join(notes)}",
            "strategy='random' takes any.",
        )
    of_labelled = np.empty((0, 1 if matrix is None else matrix.dim), np.float32)
    if matrix is not None:
        of_labelled = matrix.of(labels["key"].to_numpy())
    own = None if matrix is None else matrix.of(keys)
    doubt, words = None, None
    if strategy in ("margin", "entropy"):
        doubt, words = _doubts(store, keys, wish, strategy, labels, own, of_labelled)
    elif strategy == "typical" and len(_taught(labels, of_labelled)[1]) > 1:
        by_labels = replace(wish, model=None)  # a model need not have seen every sample
        doubt, _ = _doubts(store, keys, by_labels, "margin", labels, own, of_labelled)
    pool = _Pool(
        keys,
        own,
        of_labelled[~np.isnan(of_labelled).any(axis=1)],
        doubt,
        words,
        None if wish.cost is None else _costs(store, keys, wish.cost),
        np.inf if wish.budget is None else wish.budget,
        np.ones(len(keys), bool),
    )
    rows, at = _chosen(pool, wish, strategy)
    table = _table(store, keys[at], rows, pool.cost, at)
    if wish.budget is not None:
        spent = float(np.sum(pc.sum(table["cost"]).as_py() or 0))
        notes.append(f"They cost {spent:g} of {wish.budget:g}.")
    return Picks(strategy, table, keys[at], asked, len(labels), notes=tuple(notes))


def _check(keys: Keys, wish: Wish) -> None:
    if not len(keys):
        raise CheckError(
            "There are no samples to choose from.",
            "by default these are the samples without a label; on= (--on) names others.",
        )
    if wish.n < 1:
        raise CheckError(f"n is {wish.n}.", "choose one sample or more.")
    if wish.budget is not None and (wish.cost is None or wish.budget <= 0):
        raise CheckError(
            f"The budget is {wish.budget:g}, and "
            + ("above 0 it must be." if wish.cost else "no column says what a sample costs."),
            "give cost= a column of numbers (--cost), and a budget above 0.",
        )
    total = sum(n for n, _ in wish.quotas.values())
    if total > wish.n:
        raise CheckError(
            f"The quotas of the slices add up to {total}, and n is {wish.n}.", "raise n."
        )


def _labelled(store: Store, keys: Keys) -> pa.Table:
    """Return `key` and `label` of the samples that are annotated and may not be chosen."""
    rows = store.table(SAMPLES, ["key", "label"], where=f"({IS_SHOWN}) AND NOT ({UNLABELLED})")
    return rows.filter(pa.array(~KeyIndex(keys).has(rows["key"].to_numpy())))


def _strategy(wish: Wish, labels: pa.Table, embedding: str | None) -> str:
    """Return the strategy that is asked for, or that fits how many labels there are."""
    known = labels["label"].drop_null()
    n_classes = len(known.unique())
    can_doubt = wish.model is not None or (embedding is not None and n_classes > 1)
    if wish.strategy == "auto":
        is_early = len(known) < _FEW * max(n_classes, 1)
        if embedding is not None and (is_early or not can_doubt):
            return "typical"
        if can_doubt:
            return "margin"
    needs_vectors = wish.strategy in ("auto", "typical", "diverse")
    if embedding is None and needs_vectors:
        raise CheckError(
            "There are no vectors to tell typical samples by, and no model that says what it "
            "doubts."
            if wish.strategy == "auto"
            else f"There are no vectors, and {wish.strategy} samples are told by them.",
            "`slicedb embed` makes vectors; of several embeddings name one: embedding= "
            "(--embedding); a model is named by model= (--model).",
        )
    if wish.strategy in ("margin", "entropy") and not can_doubt:
        raise CheckError(
            f"Nothing says how uncertain a sample is: no model is named, and "
            f"{numbers.count(n_classes, 'class', 'classes')} of labels teach none.",
            "name a model with predictions: model= (--model), or label typical samples first.",
        )
    return str(wish.strategy)


def _missing(n: int, what: str, how: str) -> list[str]:
    if not n:
        return []
    has = "sample has" if n == 1 else "samples have"
    return [f"{n:,} {has} no {what} and cannot be chosen: {how} first."]


def _predicted(store: Store, model: str, keys: Keys) -> tuple[Keys, int]:
    table = PREDICTIONS + model
    if not store.has(table):
        raise no_predictions(store, model)
    lacking = {"margin", "entropy", "prediction"} - set(store.schema(table).names)
    if lacking:
        raise PredictionError(
            f"The predictions of '{model}' have no {' and no '.join(sorted(lacking))}.",
            "name a classifier with probabilities, or take strategy='typical'.",
        )
    has = np.asarray(store.positions(table, keys) >= 0)
    margin = store.take(table, keys[has], ["margin"])["margin"]
    has[has] = np.asarray(pc.is_valid(margin))
    return keys[has], int((~has).sum())


def _doubts(
    store: Store,
    keys: Keys,
    wish: Wish,
    strategy: str,
    labels: pa.Table,
    own: npt.NDArray[np.float32] | None,
    of_labelled: npt.NDArray[np.float32],
) -> tuple[Floats, list[str]]:
    """Return how uncertain each sample is, in [0, 1], and what of it."""
    if wish.model is not None:
        names = ["prediction", "confidence", strategy]
        rows = store.take(PREDICTIONS + wish.model, keys, names)
        said, sure = rows["prediction"].to_pylist(), rows["confidence"].to_pylist()
        words = [f"{wish.model} says {a} at {b or 0:.2f}" for a, b in zip(said, sure)]
        value = pc.fill_null(rows[strategy].cast(pa.float64()), np.nan).to_numpy()
        top = np.nanmax(value, initial=0.0)
        doubt = 1 - value if strategy == "margin" else value / max(top, 1e-12)
        return np.nan_to_num(doubt, nan=0.0), words
    assert own is not None
    label, classes = _taught(labels, of_labelled)
    if len(classes) < 2:
        raise CheckError(
            "Fewer than two classes of labelled samples have vectors, which teach nothing.",
            "`slicedb embed` first, or name a model: model= (--model).",
        )
    known = label >= 0
    p = probe(of_labelled[known], label[known], own, wish.seed)
    first, second = (p.argsort(axis=1)[:, -k] for k in (1, 2))
    every = np.arange(len(p))
    words = [
        f"{classes[a]} {x:.2f} or {classes[b]} {y:.2f}, as the labels so far have it"
        for a, b, x, y in zip(first, second, p[every, first], p[every, second])
    ]
    if strategy == "margin":
        return np.asarray(1 - (p[every, first] - p[every, second])), words
    entropy = -(p * np.log(np.maximum(p, 1e-30))).sum(axis=1)
    return np.asarray(entropy / np.log(p.shape[1])), words


def _taught(labels: pa.Table, of_labelled: npt.NDArray[np.float32]) -> tuple[Ints, list[str]]:
    """Return int64 (m,): the class of each labelled sample with a vector, else -1; and names."""
    known = np.asarray(pc.is_valid(labels["label"])) & ~np.isnan(of_labelled).any(axis=1)
    coded = labels["label"].filter(pa.array(known)).combine_chunks().dictionary_encode()
    label = np.full(len(labels), -1)
    label[known] = coded.indices.to_numpy(zero_copy_only=False)
    return label, coded.dictionary.to_pylist()


def _costs(store: Store, keys: Keys, column: str) -> Floats:
    names = store.schema(SAMPLES).names
    if column not in names:
        raise CheckError(
            f"There is no column '{column}' in samples.", did_you_mean(column, names, "columns")
        )
    values = store.take(SAMPLES, keys, [column])[column]
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise CheckError(f"The cost '{column}' is {values.type}.", "name a column of numbers.")
    cost = pc.fill_null(values.cast(pa.float64()), np.nan).to_numpy()
    bad = ~(cost > 0)
    if bad.any():
        raise CheckError(
            f"The cost '{column}' is NULL, 0 or negative for {int(bad.sum()):,} of {len(cost):,} "
            "samples.",
            f'leave them out: on="{UNLABELLED} AND {column} > 0".',
        )
    return np.asarray(cost)


_Row: TypeAlias = tuple[float, str]


def _chosen(pool: _Pool, wish: Wish, strategy: str) -> tuple[list[_Row], Ints]:
    """Return score and reason of each choice, and int64 (k,) the rows of the pool: quotas first."""
    rows: list[_Row] = []
    chosen: list[Ints] = []
    for name, (n, members) in wish.quotas.items():
        inside = KeyIndex(members).has(pool.keys)
        at, said = _some(pool, np.flatnonzero(inside & pool.free), n, wish, strategy)
        rows += [(score, f"{reason}; quota of {name}") for score, reason in said]
        chosen.append(at)
    left = wish.n - len(rows)
    at, said = _some(pool, np.flatnonzero(pool.free), left, wish, strategy)
    return rows + said, np.concatenate([*chosen, at])


def _some(pool: _Pool, rows: Ints, n: int, wish: Wish, strategy: str) -> tuple[Ints, list[_Row]]:
    """Choose n of some rows of the pool, and mark them as chosen."""
    cost = None if pool.cost is None else pool.cost[rows]
    if strategy == "typical":
        assert pool.vectors is not None
        own = pool.vectors[rows]
        worth = None if pool.doubt is None else _SURE + pool.doubt[rows]
        at, score = herd(
            own, pool.known, n, worth=worth, cost=cost, budget=pool.left, seed=wish.seed
        )
        said = [(s, f"typical: stands for {s:.1%} of what nothing else does") for s in score]
    elif strategy == "diverse":
        assert pool.vectors is not None
        at, score = farthest(pool.vectors[rows], pool.known, n)
        said = [(s, f"unlike the others: {s:.2f} from the nearest one (1 - cosine)") for s in score]
        at, said = _within(at, said, cost, pool.left)
    elif strategy == "random":
        at = np.random.default_rng(wish.seed).permutation(len(rows))
        at, said = _within(at, [(np.nan, "at random")] * len(at), cost, pool.left, n)
    else:
        at, said = _uncertain(pool, rows, n, cost, wish.seed)
    chosen = rows[at]
    pool.free[chosen] = False
    if pool.cost is not None:
        pool.left -= float(pool.cost[chosen].sum())
    if pool.vectors is not None:
        pool.known = np.concatenate([pool.known, pool.vectors[chosen]])
    return chosen, said


def _uncertain(
    pool: _Pool, rows: Ints, n: int, cost: Floats | None, seed: int
) -> tuple[Ints, list[_Row]]:
    """Choose among the most uncertain those that stand for most of them."""
    assert pool.doubt is not None and pool.words is not None
    doubt = pool.doubt[rows]
    order = np.argsort(-(doubt if cost is None else doubt / cost), kind="stable")
    if pool.vectors is not None:
        order = order[: n * _CANDIDATES]
        worth = np.maximum(doubt[order], 1e-3) ** 2  # the surer one is, the more it must stand for
        price = 1 / worth if cost is None else cost[order] / worth
        at, _ = herd(pool.vectors[rows[order]], pool.known, len(order), cost=price, seed=seed)
        order = order[at]
    said = [(float(doubt[i]), f"uncertain: {pool.words[rows[i]]}") for i in order]
    return _within(order, said, cost, pool.left, n)


def _within(
    at: Ints, said: list[_Row], cost: Floats | None, budget: float, n: int | None = None
) -> tuple[Ints, list[_Row]]:
    """Return the first n of what fits into the budget, in its order."""
    taken: list[int] = []
    for place, row in enumerate(at.tolist()):
        price = 0.0 if cost is None else float(cost[row])
        if price <= budget and (n is None or len(taken) < n):
            taken.append(place)
            budget -= price
    return at[taken], [said[place] for place in taken]


def _table(
    store: Store, keys: Keys, rows: Sequence[_Row], cost: Floats | None, at: Ints
) -> pa.Table:
    n = len(keys)
    score = np.array([score for score, _ in rows], np.float64)
    columns = [
        pa.array(np.arange(1, n + 1)),
        store.take(SAMPLES, keys, ["id"])["id"].combine_chunks().cast(pa.string()),
        pa.array(score, mask=np.isnan(score)),
        pa.nulls(n, pa.float64()) if cost is None else pa.array(cost[at]),
        pa.array([reason for _, reason in rows], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=ROWS)
