"""Leaks: what lies in more than one part of a split, what tells the parts, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import media, progress, sql, stats
from slicedb.curate.cells import cells_of
from slicedb.curate.chance import Chance, folds_of
from slicedb.curate.differences import differences, tells
from slicedb.curate.domain import area, domain
from slicedb.curate.drift import NOT_COMPARED
from slicedb.curate.pairs import By, near_pairs
from slicedb.curate.times import GAP
from slicedb.curate.units import Ints, codes_of, crossing
from slicedb.errors import CheckError, MediaError, did_you_mean
from slicedb.keys import KeyIndex, Keys, distinct
from slicedb.schema import PREDICTIONS, SAMPLES
from slicedb.show import numbers
from slicedb.show.tabular import Grid, Tabular
from slicedb.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slicedb.show.tabular import Part
    from slicedb.vectors import Vectors

TAG = "leak"
ALPHA = 0.05

_LEAST = 30
_BINS = 20
"""Quantiles of a number at most."""
_PER_BIN = 4
"""Samples of the smaller side that a quantile holds at least, lest noise tell the parts."""
_LISTED = 100
"""Samples that a query names one by one."""
_DECODED = 2000
"""Pairs with the same hash whose pixels are compared."""
_DRAWS = 20_000

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Leak:
    """Samples of one kind that lie in more than one part."""

    kind: str
    """bytes, pixels, hash, vectors, or a group column."""
    n: int
    """Samples with a duplicate, or a member of their group, in another part."""
    held: int
    """Those outside of the largest part, which is trained on."""
    share: float
    """Of the samples outside of the largest part."""
    query: str
    """The samples outside of the largest part; "" where there are none."""


@dataclass(frozen=True)
class Telling:
    """How well something tells which part a sample is in."""

    what: str
    """A column, or the vectors of an embedding."""
    auc: float
    """Area under the ROC curve of the largest part against the others, on samples held out; 0.5
    tells nothing."""
    p: float
    """By permutation."""
    q: float
    """p after Benjamini and Hochberg."""
    query: str
    """Where the parts differ most; "" of vectors."""


@dataclass(frozen=True)
class Worth:
    """What leaked samples do to the accuracy of a model outside of the largest part."""

    model: str
    n: int
    leaked: int
    accuracy: float
    """With leaked samples."""
    clean: float
    """Without them."""
    difference: float
    low: float
    """95 % interval of the difference."""
    high: float


@dataclass(frozen=True)
class Leaks(Tabular):
    """What lies in more than one part of a split, what tells the parts, and what it is worth."""

    column: str
    sizes: Mapping[str, int]
    """Samples of each part."""
    rows: tuple[Leak, ...]
    telling: tuple[Telling, ...]
    worth: tuple[Worth, ...]
    keys: Keys
    """int64: the leaked samples outside of the largest part."""
    notes: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing lies in more than one part."""
        return not any(row.n for row in self.rows)

    def to_arrow(self) -> pa.Table:
        """Return one row per kind of leak."""
        return pa.Table.from_pylist([asdict(row) for row in self.rows])

    def parts(self) -> Iterable[Part]:
        """Yield the leaks, what tells the parts, and the worth of it, each as a table."""
        largest, *others = self.sizes.items()
        held = ", ".join(f"{name} {n:,}" for name, n in others)
        yield f"'{self.column}': {largest[0]} {largest[1]:,}, against {held}."
        cells = [
            (row.kind, row.n, row.held, numbers.percent(row.share), row.query) for row in self.rows
        ]
        head = ["leak", "samples", f"outside {largest[0]}", "share", "query"]
        yield Grid(head, cells, align="<>>><")
        if self.telling:
            rows = [
                (
                    ("* " if t.q <= ALPHA else "") + t.what,
                    f"{t.auc:.3f}",
                    numbers.p_value(t.p),
                    numbers.p_value(t.q),
                    t.query,
                )
                for t in self.telling
            ]
            yield f"How well each tells {largest[0]} from the others (0.5: not at all):"
            yield Grid(["what", "AUC", "p", "q", "differs most in"], rows, align="<>>><")
        for worth in self.worth:
            if not worth.leaked:
                yield f"{worth.model}: no leaked sample among its {worth.n:,}."
                continue
            low, high = f"{worth.low:+.3f}", f"{worth.high:+.3f}"
            yield (
                f"{worth.model}: accuracy {worth.accuracy:.3f} with, {worth.clean:.3f} without the "
                f"{worth.leaked:,} leaked of {numbers.count(worth.n, 'sample')}; the leak adds "
                f"{worth.difference:+.3f} [{low}, {high}]."
            )
        yield from self.notes


def leaks(
    store: Store,
    vectors: Vectors,
    keys: Keys,
    column: str,
    *,
    by: By,
    group: Sequence[str],
    columns: Sequence[str] | None,
    models: Sequence[str],
    embedding: str | None,
    tag: Callable[[Keys, str], object] | None,
    seed: int,
    show: progress.Watch = None,
) -> Leaks:
    """Look for leaks between the parts of a split; see `Database.leaks`."""
    keys = distinct(keys)
    there = store.schema(SAMPLES).names
    for name in [column, *group, *(columns or ())]:
        if name not in there:
            raise CheckError(
                f"There is no column '{name}' in samples.", did_you_mean(name, there, "columns")
            )
    compared = [n for n in there if n not in NOT_COMPARED] if columns is None else columns
    compared = [n for n in compared if n != column]
    read = list(dict.fromkeys(["id", column, "sha256", *group, *compared]))
    rows = store.take(SAMPLES, keys, read)
    names, part = _parts(rows, column)
    keys, part, rows = keys[part >= 0], part[part >= 0], rows.filter(pa.array(part >= 0))
    outside = part > 0
    found, leaked = _duplicates(store, vectors, keys, part, by, embedding, show)
    kinds = dict(found)
    units = {name: codes_of(rows, name) for name in group}
    for name, unit in units.items():
        kinds[name] = np.isin(np.arange(len(keys)), crossing(unit, part))
        leaked |= kinds[name]
    worst = keys[leaked & outside]
    if tag is not None and len(worst):
        tag(worst, TAG)
    queries = _Queries(column, names, rows, tag is not None)
    result = [
        Leak(
            kind,
            int(own.sum()),
            int((own & outside).sum()),
            float((own & outside).sum() / max(1, outside.sum())),
            queries.of(kind, own & outside, kind in units),
        )
        for kind, own in kinds.items()
    ]
    first: Ints | None = units[group[0]] if group else None
    telling, notes = _telling(rows, compared, outside, first, vectors, embedding, keys, seed, show)
    worth = [w for m in models if (w := _worth(store, m, keys[outside], leaked[outside], seed))]
    sizes = {name: int((part == k).sum()) for k, name in enumerate(names)}
    return Leaks(column, sizes, tuple(result), tuple(telling), tuple(worth), worst, tuple(notes))


def _parts(rows: pa.Table, column: str) -> tuple[list[str], Ints]:
    """Return the parts, the largest first, and int64 (n,): the part of each sample, -1 for none.

    Raises:
        CheckError: there are fewer than two parts, or fewer than 30 samples in them.
    """
    coded = rows[column].combine_chunks().cast(pa.string()).dictionary_encode()
    values = coded.dictionary.to_pylist()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    n = np.bincount(codes[codes >= 0], minlength=len(values))
    order = [k for k in np.argsort(-n, kind="stable").tolist() if values[k] != GAP and n[k]]
    if len(order) < 2 or int(n[order].sum()) < _LEAST:
        raise CheckError(
            f"'{column}' has {numbers.count(len(order), 'part')} with "
            f"{numbers.count(int(n[order].sum()), 'sample')}; leaks lie between two parts of "
            f"{_LEAST} samples or more.",
            "`slicedb split` makes parts.",
        )
    place = np.full(len(values) + 1, -1)
    place[order] = np.arange(len(order))
    return [values[k] for k in order], place[codes]


def _duplicates(
    store: Store,
    vectors: Vectors,
    keys: Keys,
    part: Ints,
    by: By,
    embedding: str | None,
    show: progress.Watch,
) -> tuple[dict[str, Bools], Bools]:
    """Return by kind which samples have a duplicate in another part, and which have any."""
    if embedding is None and by in ("both", "vectors"):
        by = "hash"
    near = near_pairs(store, keys, by=by, vectors=vectors, name=embedding or "default", show=show)
    left, right = (near.pairs[side].to_numpy() for side in ("left", "right"))
    kinds = np.array(near.pairs["kind"].to_pylist(), object)
    index = KeyIndex(keys)
    a, b = index.find(left), index.find(right)
    across = part[a] != part[b]
    a, b, kinds = a[across], b[across], kinds[across]
    if by != "bytes":
        same = _same_pixels(store, near.pairs.filter(pa.array(across)), show)
        kinds[(kinds == "hash") & same] = "pixels"
    found = {}
    any_kind = np.zeros(len(keys), bool)
    known = {"bytes": ["bytes"], "hash": ["bytes", "pixels", "hash"]}
    for kind in known.get(by, ["bytes", "pixels", "hash", "vectors"]):
        own = np.zeros(len(keys), bool)
        own[a[kinds == kind]] = own[b[kinds == kind]] = True
        found[kind] = own
        any_kind |= own
    return found, any_kind


def _same_pixels(store: Store, pairs: pa.Table, show: progress.Watch) -> Bools:
    """Return bool (m,): whether two pictures with nearly the same hash have the same pixels."""
    bits = pairs["bits"].fill_null(256).to_numpy()
    turned = pairs["orientation"].fill_null(0).to_numpy()
    near = np.flatnonzero((bits <= 2) & (turned <= 1))[:_DECODED]
    same = np.zeros(len(pairs), bool)
    with progress.bar(len(near), "compare pixels", show, unit="pair", keeps=False) as bar:
        for at in near.tolist():
            bar.advance()
            pair = np.array([pairs["left"][at].as_py(), pairs["right"][at].as_py()])
            try:
                one, other = (media.decode_rgb(data) for _, data in store.read_images(pair))
            except MediaError:
                continue
            same[at] = one.shape == other.shape and bool((one == other).all())
    return same


@dataclass(frozen=True)
class _Queries:
    """Names the leaked samples outside of the largest part."""

    column: str
    names: Sequence[str]
    rows: pa.Table
    is_tagged: bool

    def of(self, kind: str, own: Bools, is_group: bool) -> str:
        """Return the query of samples; "" where there are none."""
        if not own.any():
            return ""
        column = sql.name(self.column)
        outside = f"{column} <> {sql.string(self.names[0])}"
        if is_group or kind == "bytes":
            name = sql.name(kind if is_group else "sha256")
            return (
                f"{outside} AND {name} IN (SELECT {name} FROM samples GROUP BY {name} "
                f"HAVING count(DISTINCT {column}) > 1)"
            )
        if int(own.sum()) <= _LISTED:
            return sql.is_in("id", self.rows["id"].filter(pa.array(own)).to_pylist())
        return f"has_tag({sql.string(TAG)})" if self.is_tagged else "tag=True (--tag) tags them"


def _telling(
    rows: pa.Table,
    compared: Sequence[str],
    outside: Bools,
    unit: Ints | None,
    vectors: Vectors,
    embedding: str | None,
    keys: Keys,
    seed: int,
    show: progress.Watch,
) -> tuple[list[Telling], list[str]]:
    chance = Chance(outside, unit, seed)
    with progress.bar(len(compared), "compare columns", show, unit="column", keeps=False) as bar:
        found, left = differences(rows, compared, chance, bar)
    groups = np.arange(len(rows)) if unit is None else unit
    fold = folds_of(groups, seed)
    smaller = int(min(outside.sum(), (~outside).sum()))
    bins = int(np.clip(smaller // _PER_BIN, 2, _BINS))
    telling = [
        Telling(
            row.column,
            area(tells(cells_of(rows, [row.column], bins), outside, fold), outside),
            row.p,
            1.0,
            row.query,
        )
        for row in found
    ]
    if embedding is not None:
        own = vectors.matrix(embedding).of(keys)
        known = np.flatnonzero(~np.isnan(own[:, 0]))
        if min(outside[known].sum(), (~outside[known]).sum()) >= _LEAST:
            units = None if unit is None else np.unique(unit[known], return_inverse=True)[1]
            with progress.bar(None, "compare vectors", show, unit="fold", keeps=False) as bar:
                told = domain(own[known], Chance(outside[known], units, seed), bar)
            telling.append(Telling(f"vectors of {embedding}", told.auc, told.p, 1.0, ""))
    q = stats.benjamini_hochberg([t.p for t in telling])
    full = [Telling(t.what, t.auc, t.p, float(v), t.query) for t, v in zip(telling, q)]
    notes = [f"Not compared, without a shared value: {', '.join(left)}."] if left else []
    return sorted(full, key=lambda t: (t.q, -t.auc, t.what)), notes


def _worth(store: Store, model: str, keys: Keys, leaked: Bools, seed: int) -> Worth | None:
    """Return a model's accuracy with and without leaked samples; None where nothing says it."""
    table = f"{PREDICTIONS}{model}"
    if "correct" not in store.schema(table).names:
        return None
    stored = store.table(table, ["key", "correct"])
    at = KeyIndex(stored["key"].to_numpy()).find(keys)
    right = stored["correct"].take(pa.array(np.maximum(at, 0), mask=at < 0))
    known = np.asarray(right.combine_chunks().is_valid())
    correct = np.asarray(right.combine_chunks().fill_null(False))[known]
    leaked = leaked[known]
    n, n_leaked = len(correct), int(leaked.sum())
    if not n:
        return None
    whole = float(correct.mean())
    if not n_leaked or n_leaked == n:
        return Worth(model, n, n_leaked, whole, whole, 0.0, 0.0, 0.0)
    clean = float(correct[~leaked].mean())
    # The leaked share is what it is; both accuracies are drawn from Jeffreys' posterior.
    rng = np.random.default_rng(seed)
    draws = [
        rng.beta(own.sum() + 0.5, len(own) - own.sum() + 0.5, _DRAWS)
        for own in (correct[leaked], correct[~leaked])
    ]
    low, high = np.quantile(n_leaked / n * (draws[0] - draws[1]), [0.025, 0.975])
    return Worth(model, n, n_leaked, whole, clean, whole - clean, float(low), float(high))
