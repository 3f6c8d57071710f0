"""Drift: in what two sets of samples differ, and which samples drive it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import progress, sql, stats
from slicedb.curate.chance import Chance
from slicedb.curate.differences import Difference, differences
from slicedb.curate.domain import domain
from slicedb.curate.scan import densest
from slicedb.curate.units import codes_of
from slicedb.errors import CheckError, did_you_mean
from slicedb.keys import KeyIndex, Keys, distinct
from slicedb.schema import PLUMBING, PREDICTIONS, SAMPLES
from slicedb.show import numbers
from slicedb.show.tabular import Grid, Tabular
from slicedb.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slicedb.show.tabular import Part
    from slicedb.vectors import Vectors

LEAST = 30
"""Samples of a set below which nothing is said."""
ALPHA = 0.05
"""Share of comparisons of sets that are alike that raise an alarm."""

NOT_COMPARED = (PLUMBING - {"format", "bytes"}) | {"id", "key", "error", "mask_uri"}
"""Columns of samples that say how they were read, not what they are."""
_VECTORS = "AUC of a classifier"


@dataclass(frozen=True)
class Driver:
    """A population of the second set that the first has hardly, or not at all."""

    query: str
    """Its samples, in both sets."""
    n_a: int
    n_b: int
    share_a: float
    """Of the first set."""
    share_b: float
    """Of the second set."""
    p: float
    """By permutation."""
    said: str
    """What its samples have in common, as a predicate; "" where no column tells."""


@dataclass(frozen=True)
class Drift(Tabular):
    """In what two sets of samples differ, the largest effect first."""

    a: str
    b: str
    n_a: int
    n_b: int
    rows: tuple[Difference, ...]
    drivers: tuple[Driver, ...]
    notes: tuple[str, ...] = ()

    @property
    def alarms(self) -> tuple[Difference, ...]:
        """What differs by more than chance, at a false discovery rate of 5 %."""
        return tuple(row for row in self.rows if row.q <= ALPHA)

    @property
    def is_alarm(self) -> bool:
        """Whether anything differs by more than chance."""
        return bool(self.alarms)

    def to_arrow(self) -> pa.Table:
        """Return one row per column that was compared."""
        return pa.Table.from_pylist([asdict(row) for row in self.rows], _SCHEMA)

    def parts(self) -> Iterable[Part]:
        """Yield a sentence, the columns as a table, and what drives the difference."""
        n = len(self.alarms)
        verdict = (
            f"{n} of {numbers.count(len(self.rows), 'comparison')} differ"
            if n != 1
            else (f"1 of {numbers.count(len(self.rows), 'comparison')} differs")
        )
        yield (
            f"A: {self.a}, {numbers.count(self.n_a, 'sample')}. B: {self.b}, "
            f"{numbers.count(self.n_b, 'sample')}. {verdict} by more than chance (q <= {ALPHA:g})."
        )
        cells = [
            (
                ("* " if row.q <= ALPHA else "") + row.column,
                f"{row.effect:.3f}",
                row.kind,
                numbers.p_value(row.p),
                numbers.p_value(row.q),
                row.query,
                numbers.percent(row.share_a) if row.query else "",
                numbers.percent(row.share_b) if row.query else "",
            )
            for row in self.rows
        ]
        head = ["column", "effect", "measure", "p", "q", "differs most in", "A", "B"]
        yield Grid(head, cells, align="<><>><>>")
        for driver in self.drivers:
            what = f" ({driver.said})" if driver.said else ""
            yield (
                f"New in B: {numbers.count(driver.n_b, 'sample')}, "
                f"{numbers.percent(driver.share_b)} of B and "
                f"{numbers.percent(driver.share_a)} of A, p {numbers.p_value(driver.p)}{what}:\n"
                f"  {driver.query}"
            )
        yield from self.notes


_SCHEMA = pa.schema(
    [
        ("column", pa.string()),
        ("kind", pa.string()),
        ("effect", pa.float64()),
        ("p", pa.float64()),
        ("q", pa.float64()),
        ("query", pa.string()),
        ("share_a", pa.float64()),
        ("share_b", pa.float64()),
    ]
)


def drift(
    store: Store,
    vectors: Vectors,
    a: Keys,
    b: Keys,
    names: tuple[str, str],
    *,
    columns: Sequence[str] | None,
    models: Sequence[str],
    embedding: str | None,
    group: str | None,
    seed: int,
    show: progress.Watch = None,
) -> Drift:
    """Compare two sets of samples; see `Database.drift`."""
    shared = len(np.intersect1d(a, b))
    if shared:
        raise CheckError(
            f"A and B overlap in {numbers.count(shared, 'sample')}.",
            "a sample is in one of two sets: take A AND NOT B, for example.",
        )
    for name, keys in zip(("A", "B"), (a, b)):
        if len(keys) < LEAST:
            raise CheckError(
                f"{name} ({names[name == 'B']}) has {numbers.count(len(keys), 'sample')}.",
                f"drift says nothing of fewer than {LEAST}.",
            )
    keys = distinct(np.concatenate([a, b]))
    is_b = KeyIndex(b).has(keys)
    rows, left, real = _rows(store, keys, columns, names, models, group)
    unit = None if group is None else codes_of(rows, group)
    chance = Chance(is_b, unit, seed)
    compared = [name for name in rows.column_names if name != group]
    with progress.bar(len(compared), "compare columns", show, unit="column", keeps=False) as bar:
        found, useless = differences(rows, compared, chance, bar)
    found = [_renamed(row, real) for row in found]
    drivers: list[Driver] = []
    notes = [f"Named by A or B, hence not compared: {', '.join(left)}."] if left else []
    if useless:
        notes.append(f"Without a value that is shared, or with one alone: {', '.join(useless)}.")
    if embedding is not None:
        row, drivers = _of_vectors(vectors, embedding, keys, chance, rows, real, show)
        found += row
    q = stats.benjamini_hochberg([row.p for row in found])
    found = [Difference(**{**asdict(row), "q": float(value)}) for row, value in zip(found, q)]
    found.sort(key=lambda row: (-row.effect, row.column))
    n_b = int(is_b.sum())
    return Drift(*names, len(keys) - n_b, n_b, tuple(found), tuple(drivers), tuple(notes))


def _rows(
    store: Store,
    keys: Keys,
    columns: Sequence[str] | None,
    names: tuple[str, str],
    models: Sequence[str],
    group: str | None,
) -> tuple[pa.Table, list[str], Mapping[str, str]]:
    """Return what is compared, the columns that A or B are defined by, and real names of models'.

    Raises:
        CheckError: there is no such column.
    """
    there = store.schema(SAMPLES).names
    for name in [*(columns or ()), *([group] if group else [])]:
        if name not in there:
            raise CheckError(
                f"There is no column '{name}' in samples.", did_you_mean(name, there, "columns")
            )
    left: list[str] = []
    if columns is None:
        words = set(re.findall(r"\w+", " ".join(names).lower()))
        every = [name for name in there if name not in NOT_COMPARED]
        left = [name for name in every if name.lower() in words]
        columns = [name for name in every if name not in left]
    read = list(dict.fromkeys([*columns, *([group] if group else [])]))
    rows = store.take(SAMPLES, keys, read or ["id"])
    if not read:
        rows = rows.select([])
    real = {}
    for model in models:
        table = f"{PREDICTIONS}{model}"
        held = [c for c in ("prediction", "confidence") if c in store.schema(table).names]
        stored = store.table(table, ["key", *held])
        at = KeyIndex(stored["key"].to_numpy()).find(keys)
        place = pa.array(np.maximum(at, 0), mask=at < 0)
        for column in held:
            alias = f"{model}__{column}"
            rows = rows.append_column(alias, stored[column].take(place))
            real[alias] = f"{sql.name(model)}.{column}"
    return rows, left, real


def _renamed(row: Difference, real: Mapping[str, str]) -> Difference:
    if row.column not in real:
        return row
    name = real[row.column]
    query = row.query.replace(sql.name(row.column), name)
    return Difference(**{**asdict(row), "column": name, "query": query})


def _of_vectors(
    vectors: Vectors,
    embedding: str,
    keys: Keys,
    chance: Chance,
    rows: pa.Table,
    real: Mapping[str, str],
    show: progress.Watch,
) -> tuple[list[Difference], list[Driver]]:
    matrix = vectors.matrix(embedding)
    own = matrix.of(keys)
    known = np.flatnonzero(~np.isnan(own[:, 0]))
    unit = None if chance.unit is None else np.unique(chance.unit[known], return_inverse=True)[1]
    some = Chance(chance.is_b[known], unit, chance.seed)
    n_b = int(some.is_b.sum())
    if min(n_b, len(known) - n_b) < LEAST:
        return [], []
    with progress.bar(None, "compare vectors", show, unit="fold", keeps=False) as bar:
        told = domain(own[known], some, bar)
    effect = max(0.0, 2 * told.auc - 1)
    row = Difference(f"vectors of {embedding}", _VECTORS, effect, told.p, 1.0, "", 0.0, 0.0)
    with progress.bar(None, "search vectors", show, unit="window", keeps=False) as bar:
        window = densest(own[known], some, bar)
    if window is None or window.p > ALPHA:
        return [row], []
    named = vectors.store.take(SAMPLES, keys[known[window.centre]], ["id"])["id"].to_pylist()
    using = "" if embedding == "default" else f", using => {sql.string(embedding)}"
    middle = ", ".join(f"sample({sql.string(name)})" for name in named)
    query = f"similarity({middle}{using}) >= {window.cut:.4f}"
    direction = own[known[window.centre]].sum(axis=0)
    inside = own[known] @ (direction / np.linalg.norm(direction)) >= window.cut
    return [row], [_driver(query, window.p, inside, some, rows.take(pa.array(known)), real)]


def _driver(
    query: str,
    p: float,
    inside: npt.NDArray[np.bool_],
    chance: Chance,
    rows: pa.Table,
    real: Mapping[str, str],
) -> Driver:
    n_b = int(inside[chance.is_b].sum())
    n_a = int(inside[~chance.is_b].sum())
    share_a = n_a / max(1, int((~chance.is_b).sum()))
    share_b = n_b / max(1, int(chance.is_b.sum()))
    said = ""
    if rows.num_columns and min(int(inside.sum()), int((~inside).sum())) >= LEAST // 3:
        apart, _ = differences(rows, rows.column_names, Chance(inside, draws=199))
        plain = [_renamed(row, real) for row in apart if row.q <= ALPHA]
        if plain and plain[0].effect >= 0.3:
            best = plain[0]
            said = f"{best.query}: {best.share_b:.0%} of them, {best.share_a:.0%} of the others"
    return Driver(query, n_a, n_b, share_a, share_b, p, said)
