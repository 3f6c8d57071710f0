"""The certificate of a split: what was placed where, and what it promises."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slicedb import sql
from slicedb.curate.cells import Cells
from slicedb.curate.units import Ints, crossing
from slicedb.show import numbers
from slicedb.show.tabular import Grid, Tabular

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from slicedb.show.tabular import Part


@dataclass(frozen=True)
class PartRow:
    """One part of a split."""

    name: str
    asked: float | None
    """The share that was asked for; None of a part that was there before."""
    share: float
    """Of the samples that are in a part."""
    n: int
    groups: int
    """Groups that lie in it; its samples where nothing is grouped."""
    query: str


@dataclass(frozen=True)
class Deviation:
    """Where the parts of a split differ most in one column."""

    column: str
    value: str
    """A predicate: the samples that have the value."""
    part: str
    overall: float
    """Share of the samples that have it."""
    inside: float
    """The same in the part."""

    @property
    def size(self) -> float:
        """How far the part is from all samples."""
        return abs(self.inside - self.overall)


@dataclass(frozen=True)
class Crossing:
    """Samples of one group in more than one part."""

    what: str
    """The group column, or "near-duplicates"."""
    n: int
    groups: int
    query: str
    """The samples; "" where there are none, or where no short text names them."""


@dataclass(frozen=True)
class Split(Tabular):
    """How samples were placed into the parts of a split, and what holds of it."""

    column: str
    """The column that says the part of each sample."""
    placed: int
    """Samples that got a part now."""
    kept: int
    """Samples that had one, and kept it."""
    gap: int
    """Samples that are in no part: too near to a cut, or of a group on both sides of one."""
    rows: tuple[PartRow, ...]
    deviations: tuple[Deviation, ...]
    """The largest of every column that was balanced."""
    crossings: tuple[Crossing, ...]
    """One per group column, and one of near-duplicates where these were kept together."""
    closest: float | None
    """The largest similarity of two samples in different parts; None where not looked for."""
    compared: int
    """Samples outside of the largest part that it was looked for."""
    notes: tuple[str, ...] = ()
    dry_run: bool = False

    def to_arrow(self) -> pa.Table:
        """Return one row per part."""
        import pyarrow as pa

        return pa.Table.from_pylist([asdict(row) for row in self.rows])

    def parts(self) -> Iterable[Part]:
        """Yield the parts as a table, then a sentence for each promise."""
        would = "would be" if self.dry_run else "were" if self.placed != 1 else "was"
        yield (
            f"{numbers.count(self.placed, 'sample')} {would} placed in '{self.column}'; "
            f"{self.kept:,} kept the part they had."
            + (" --anew (anew=True) places all of them." if self.kept and not self.placed else "")
        )
        cells = [
            (p.name, numbers.percent(p.asked), numbers.percent(p.share), p.n, p.groups)
            for p in self.rows
        ]
        yield Grid(["part", "asked", "share", "samples", "groups"], cells, align="<>>>>")
        for cross in self.crossings:
            yield _crossing(cross)
        if self.closest is not None:
            yield (
                f"The largest similarity of two samples in different parts is {self.closest:.3f} "
                f"({numbers.count(self.compared, 'sample')} compared with all of the other parts)."
            )
        for d in self.deviations:
            yield (
                f"{d.column}: the shares deviate by at most {numbers.percent(d.size, 2)} "
                f"({d.value}: {numbers.percent(d.inside, 2)} of {d.part}, "
                f"{numbers.percent(d.overall, 2)} of all)."
            )
        if self.gap:
            column = sql.name(self.column)
            where = f"{column} IS NULL" if self.rows[0].name == "0" else f"{column} = 'gap'"
            are = "is" if self.gap == 1 else "are"
            yield f"{numbers.count(self.gap, 'sample')} {are} in no part: {where}"
        yield from self.notes

    def to_json(self) -> dict[str, Any]:
        """Return the certificate as it is stored."""
        return asdict(self)


def _crossing(cross: Crossing) -> str:
    if not cross.n:
        return f"{cross.what}: no group crosses."
    where = f": {cross.query}" if cross.query else "."
    cross_ = "crosses" if cross.groups == 1 else "cross"
    groups, samples = numbers.count(cross.groups, "group"), numbers.count(cross.n, "sample")
    return f"{cross.what}: {groups} {cross_}, {samples}{where}"


def deviations(cells: Cells, part: Ints, names: Sequence[str]) -> tuple[Deviation, ...]:
    """Return the largest deviation of each column; a part without samples has none."""
    counts = cells.count(part, len(names))  # (p, c)
    sizes = counts[:, :1]
    total = counts.sum(axis=0)
    overall = total / max(total[0], 1)
    inside: npt.NDArray[np.float64] = np.where(sizes > 0, counts / np.maximum(sizes, 1), overall)
    size = np.where(sizes > 0, np.abs(inside - overall), -1.0)
    result = []
    for number, column in enumerate(cells.columns):
        own = np.flatnonzero(cells.column == number)
        if not len(own):
            continue
        k, at = divmod(int(size[:, own].argmax()), len(own))
        c = int(own[at])
        result.append(
            Deviation(column, cells.queries[c], names[k], float(overall[c]), float(inside[k, c]))
        )
    return tuple(result)


def crossings(groups: Mapping[str, Ints], part: Ints, column: str) -> tuple[Crossing, ...]:
    """Return for each kind of group how many of them lie in more than one part.

    Args:
        groups: by column, or by "near-duplicates": int64 (n,), the group of each sample.
        part: int64 (n,): -1 is in none.
        column: that holds the parts.
    """
    result = []
    for what, group in groups.items():
        at = crossing(group, part)
        n_groups = len(np.unique(group[at]))
        query = ""
        if len(at) and what != "near-duplicates":
            name, held = sql.name(what), f"{sql.name(column)} <> 'gap'"
            query = (
                f"{held} AND {name} IN (SELECT {name} FROM samples WHERE {held} "
                f"GROUP BY {name} HAVING count(DISTINCT {sql.name(column)}) > 1)"
            )
        result.append(Crossing(what, len(at), n_groups, query))
    return tuple(result)
