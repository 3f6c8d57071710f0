"""Results that show themselves: a text table at a prompt, an HTML table in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeAlias

from slicedb.show import html, text
from slicedb.show.style import NOTEBOOK
from slicedb.show.text import clean

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


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
    drawn: Callable[[], html.Html] | None = None
    """Draws it where there is HTML, with shades or rails, in place of the plain table."""

    def __str__(self) -> str:
        return text.table(self.head, self.rows, align=self.align, limit=self.limit)

    def to_html(self) -> html.Html:
        """Return the table as HTML, all rows up to the limit, or what is drawn in its place."""
        if self.drawn is not None:
            return self.drawn()
        rows = self.rows if self.limit is None else self.rows[: self.limit]
        return html.table(self.head, rows, align=self.align)


@dataclass(frozen=True, eq=False)
class Figure:
    """A chart or pictures, which a notebook shows and a terminal leaves out."""

    drawn: Callable[[], html.Html]

    def to_html(self) -> html.Html:
        """Draw it."""
        return self.drawn()


Part: TypeAlias = "str | Grid | Figure"
"""What a result is made of for people: a line of text, a table, or a figure."""


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

    def parts(self) -> Iterable[Part]:
        """Yield what a person reads, in its order: lines of text, and tables.

        Without an own version it is all rows and columns of `to_arrow`.
        """
        rows = self.to_arrow()
        yield Grid(rows.column_names, [tuple(row.values()) for row in rows.to_pylist()])

    def __str__(self) -> str:
        parts = (p for p in self.parts() if not isinstance(p, Figure))
        shown = (p if isinstance(p, Grid) else clean(p, keep="\n") for p in parts)
        return "\n".join(map(str, shown))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return notebook(self.parts())


def notebook(parts: Iterable[Part]) -> str:
    """Return parts as a notebook shows them: styled, with tips as titles."""
    shown = "".join(
        html.element("p", part) if isinstance(part, str) else part.to_html()
        for part in parts
        if part
    )
    # A page has a script that shows tips, a notebook has not. Text never holds a bare quote.
    shown = shown.replace(' data-tip="', ' title="')
    return f'<div class="slicedb">{NOTEBOOK}{shown}</div>'


class Record(Tabular):
    """Base of results of one row: dataclasses that say in `__str__` what was done."""

    def to_arrow(self) -> pa.Table:
        """Return one row with a column for each field."""
        import pyarrow as pa

        shown = [f.name for f in fields(self) if f.repr]  # type: ignore[arg-type]
        return pa.Table.from_pylist([{name: getattr(self, name) for name in shown}])

    def parts(self) -> Iterable[Part]:
        """Yield the text of the result."""
        yield str(self)
