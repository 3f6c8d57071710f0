"""Let Arrow tables show themselves in a notebook as our other results do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from slicedb.show import numbers
from slicedb.show.tabular import Grid, Part, notebook
from slicedb.show.text import headings

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 100
"""Rows shown."""


def parts(table: pa.Table) -> list[Part]:
    """Return an Arrow table as a person reads it: how much there is, and the first rows."""
    head = table.slice(0, _ROWS).to_pylist()
    first = f", the first {_ROWS}" if len(table) > _ROWS else ""
    rows = [tuple(row.values()) for row in head]
    return [numbers.count(len(table), "row") + first, Grid(headings(table.column_names, ""), rows)]


def show_tables() -> bool:
    """Teach a running IPython to show Arrow tables, and return whether there is one.

    A formatter that somebody registered before stays.
    """
    module = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    if shell is None:
        return False
    import pyarrow as pa

    formatters = shell.display_formatter.formatters
    for kind, formatter in (("text/html", _html), ("text/plain", _plain)):
        if pa.Table not in formatters[kind].type_printers:
            formatters[kind].for_type(pa.Table, formatter)
    return True


def _html(table: pa.Table) -> str:
    return notebook(parts(table))


def _plain(table: pa.Table, printer: Any, cycle: bool) -> None:
    count, grid = parts(table)
    printer.text(f"{grid}\n{count}")
