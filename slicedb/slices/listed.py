"""A list of slices that shows itself."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from slicedb.schema import schema_of
from slicedb.show.tabular import Grid, Part, Tabular
from slicedb.slices.slice import Slice

_SCHEMA = schema_of(
    """
    slice string, kind string, version int64, expect string[], holdout float64, description string
    text string
    """
)


class SliceList(list[Slice], Tabular):
    """Slices in their order; it is a list, and prints as a table."""

    def to_arrow(self) -> pa.Table:
        """Return one row per slice."""
        rows = [
            {
                "slice": s.title,
                "kind": s.kind,
                "version": s.version,
                "expect": list(s.expect),
                "holdout": s.holdout,
                "description": s.description,
                "text": s.text,
            }
            for s in self
        ]
        return pa.Table.from_pylist(rows, schema=_SCHEMA)

    def parts(self) -> Iterable[Part]:
        """Yield one row per slice."""
        if not self:
            yield "no slices yet"
            return
        rows = [
            [
                s.title,
                s.kind,
                s.version,
                "; ".join(s.expect),
                s.description,
                " ".join(s.text.split()),
            ]
            for s in self
        ]
        yield Grid(["slice", "kind", "version", "expects", "description", "text"], rows)
