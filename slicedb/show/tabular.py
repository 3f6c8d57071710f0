"""Results that show themselves: a text table at a prompt, an HTML table in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from slicedb.show import html, text
from slicedb.show.text import clean

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_STYLE = (
    "<style>.slicedb td,.slicedb th{text-align:left;overflow-wrap:anywhere}"
    ".slicedb td.n,.slicedb th.n{text-align:right}.slicedb p{white-space:pre-wrap}</style>"
)
"""Notebooks align every cell to the right unless they are told."""


@dataclass(frozen=True, eq=False)
class Grid:
    """One table for people."""

    head: Sequence[str]
    """Names of the columns."""
    rows: Sequence[Sequence[object]]
    """Cells: text as it is, other values as `numbers.value` writes them."""
    align: str = ""
    """As of `text.table`; "" aligns by content."""
    limit: int | None = None
    """Rows shown."""

    def __str__(self) -> str:
        return text.table(self.head, self.rows, align=self.align, limit=self.limit)

    def to_html(self) -> html.Html:
        """Return the table as HTML, all rows up to the limit."""
        rows = self.rows if self.limit is None else self.rows[: self.limit]
        return html.table(self.head, rows, align=self.align)


class Tabular:
    """Base of results that are rows: a subclass gives `to_arrow`, and what a person reads of it.

    Printed, shown at a prompt and shown in a notebook it is the same tables and lines.
    """

    def __init_subclass__(cls, **options: object) -> None:
        # A dataclass writes its own __repr__ unless the class itself, not a base, has one.
        super().__init_subclass__(**options)
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = Tabular.__repr__  # type: ignore[method-assign]

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        raise NotImplementedError

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a pandas data frame."""
        return self.to_arrow().to_pandas()

    def parts(self) -> Iterable[str | Grid]:
        """Yield what a person reads, in its order: lines of text, and tables.

        Without an own version it is all rows and columns of `to_arrow`.
        """
        rows = self.to_arrow()
        yield Grid(rows.column_names, [tuple(row.values()) for row in rows.to_pylist()])

    def __str__(self) -> str:
        parts = (p if isinstance(p, Grid) else clean(p, keep="\n") for p in self.parts())
        return "\n".join(map(str, parts))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        shown = "".join(
            part.to_html() if isinstance(part, Grid) else html.element("p", part)
            for part in self.parts()
            if part
        )
        return f'<div class="slicedb">{_STYLE}{shown}</div>'


class Record(Tabular):
    """Base of results of one row: dataclasses that say in `__str__` what was done."""

    def to_arrow(self) -> pa.Table:
        """Return one row with a column for each field."""
        import pyarrow as pa

        shown = [f.name for f in fields(self) if f.repr]  # type: ignore[arg-type]
        return pa.Table.from_pylist([{name: getattr(self, name) for name in shown}])

    def parts(self) -> Iterable[str | Grid]:
        """Yield the text of the result."""
        yield str(self)
