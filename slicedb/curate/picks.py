"""What `sample` says: which samples to label next, in which order, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from slicedb import sql
from slicedb.keys import Keys
from slicedb.schema import schema_of
from slicedb.show import numbers
from slicedb.show.tabular import Grid, Tabular

if TYPE_CHECKING:
    from slicedb.show.tabular import Part

ROWS = schema_of("place! int64, id! string, score float64, cost float64, reason! string")
"""One row per sample to label, in their order. `score` is larger the more a label of it tells."""


@dataclass(frozen=True, eq=False)
class Picks(Tabular):
    """Samples to label next, the most telling first."""

    strategy: str
    """How they were chosen: typical, margin, entropy, diverse or random."""
    rows: pa.Table
    """See `ROWS`."""
    keys: Keys = field(repr=False)
    """int64 (n,): the samples, in their order."""
    pool: int
    """Samples that could be chosen."""
    labelled: int
    """Samples that have a label already."""
    shown: int = 20
    """Rows that are printed."""
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> list[str]:
        """The samples, in their order."""
        ids: list[str] = self.rows["id"].to_pylist()
        return ids

    @property
    def query(self) -> str:
        """The text that finds the samples again, in their order."""
        if not len(self.rows):
            return "false"
        listed = sql.literal(self.ids)
        return f"{sql.is_in('id', self.ids)} ORDER BY list_position({listed}, id)"

    def to_arrow(self) -> pa.Table:
        """Return one row per sample, in their order."""
        return self.rows

    def parts(self) -> Iterable[Part]:
        """Yield how many were chosen and how, then the samples with the reason of each."""
        yield (
            f"{numbers.count(len(self.rows), 'sample')} to label next of {self.pool:,}, by "
            f"{self.strategy}; {self.labelled:,} {numbers.verb(self.labelled, 'has', 'have')} a "
            "label already"
        )
        yield from self.notes
        yield ""
        has_cost = self.rows["cost"].null_count < len(self.rows)
        head = ["place", "id", "score", *(["cost"] if has_cost else []), "reason"]
        cells = [
            [
                r["place"],
                r["id"],
                numbers.number(r["score"]),
                *([r["cost"]] * has_cost),
                r["reason"],
            ]
            for r in self.rows.slice(0, self.shown).to_pylist()
        ]
        yield Grid(head, cells)
        if len(self.rows) > self.shown:
            yield f"... {len(self.rows) - self.shown:,} more; --format csv gives all."
