"""Break slices down by split: how many members lie in train, validation and test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.keys import Keys
from slicedb.schema import SAMPLES
from slicedb.show.heat import Tile, heat
from slicedb.show.html import Html
from slicedb.show.tabular import Grid, Tabular
from slicedb.slices.overlap import membership

if TYPE_CHECKING:
    from slicedb.store import Store

NO_SPLIT = "(none)"
"""What samples without a split are counted under."""

_ORDER = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")


@dataclass(frozen=True, eq=False)
class Breakdown(Tabular):
    """The members of slices by split."""

    splits: tuple[str, ...]
    """train, validation and test first, then the others, then `NO_SPLIT`."""
    table: pa.Table
    """slice, count, held_out (null without a holdout), and one column of counts per split."""

    def to_arrow(self) -> pa.Table:
        """Return the counts."""
        return self.table

    def parts(self) -> Iterable[Grid]:
        """Yield one row per slice, each count with its share of the slice."""
        rows = []
        for row in self.table.to_pylist():
            n = row["count"]
            cells = [f"{row[s]:,} ({row[s] / n:.0%})" if n else "0" for s in self.splits]
            held = "" if row["held_out"] is None else f"{row['held_out']:,}"
            rows.append([row["slice"], f"{n:,}", held, *cells])
        head = ["slice", "count", "held out", *self.splits]
        yield Grid(head, rows, drawn=lambda: self._drawn(head, rows))

    def _drawn(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
        """Shade each count by its share of the slice."""
        lines = []
        for texts, row in zip(rows, self.table.to_pylist()):
            n = row["count"]
            shares = [row[s] / n if n else float("nan") for s in self.splits]
            tiles = [Tile(text, share) for text, share in zip(texts[3:], shares)]
            lines.append((texts[0], [*texts[1:3], *tiles]))
        return heat(head[0], head[1:], lines)


def breakdown(
    store: Store, members: Mapping[str, Keys], held_out: Sequence[int | None]
) -> Breakdown:
    """Return how many members of each slice are in each split.

    Args:
        held_out: members in the holdout share of each slice, None without one.
    """
    column = store.table(SAMPLES, ["split"])["split"].combine_chunks().dictionary_encode()
    values = [str(name) for name in column.dictionary.to_pylist()]
    rank = {name: k for k, name in enumerate(_ORDER)}
    order = sorted(range(len(values)), key=lambda k: (rank.get(values[k], len(rank)), values[k]))
    place = np.empty(len(values) + 1, np.int64)
    place[order] = np.arange(len(values))
    place[-1] = len(values)
    codes = pc.fill_null(column.indices, len(values)).to_numpy(zero_copy_only=False)
    belongs = membership(store, members)
    counts = belongs.count(place[codes], len(values) + 1)  # (s, splits)
    splits = [*(values[k] for k in order), NO_SPLIT]
    if not counts[:, -1].any():
        splits = splits[:-1]
    columns = {name: counts[:, k] for k, name in enumerate(splits)}
    return Breakdown(
        tuple(splits),
        pa.table(
            {
                "slice": pa.array(list(members), pa.string()),
                "count": belongs.sizes,
                "held_out": pa.array(list(held_out), pa.int64()),
                **columns,
            }
        ),
    )
