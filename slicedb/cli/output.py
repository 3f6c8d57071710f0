"""Write the rows of a command: as a table, CSV, JSON, JSON lines or Parquet, or as a page."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slicedb.errors import SliceDBError
from slicedb.show import html, numbers, text
from slicedb.show.tabular import Grid, notebook

if TYPE_CHECKING:
    import pyarrow as pa

    from slicedb.show.tabular import Tabular

FORMATS = ("table", "csv", "json", "jsonl", "parquet", "html")

PICTURES = 200
"""Samples that a page of a query shows as pictures."""

_CSS = "body{font:15px system-ui,sans-serif;margin:2rem;color-scheme:light dark}"


@dataclass
class Output:
    """Where the rows of a command go, and how."""

    chosen: str | None = None
    """One of `FORMATS`; None is what the ending of the file says, else a table."""
    file: str | None = None
    """A path; None is stdout."""

    @property
    def form(self) -> str:
        """The format that was chosen, or that the ending of the file says."""
        ending = Path(self.file or "").suffix.lower().removeprefix(".")
        return self.chosen or (ending if ending in FORMATS else "table")

    @property
    def is_for_people(self) -> bool:
        """Whether a person reads it in the terminal."""
        return self.form == "table" and self.file is None

    @property
    def is_page(self) -> bool:
        """Whether a person looks at it in a browser."""
        return self.form == "html"

    def show(self, result: Tabular) -> None:
        """Print a result for a person, show it on a page, or write its rows."""
        if self.is_for_people:
            click.echo(str(result))
        elif self.is_page:
            self.page(result._repr_html_())
        else:
            self.write(result.to_arrow())

    def page(self, inside: str) -> None:
        """Write what a notebook shows as one self-contained page, under the name of the verb."""
        title = click.get_current_context().command_path
        self._put(html.page(title, inside, css=_CSS))

    def list(self, rows: Iterable[Mapping[str, object]], none: str = "") -> None:
        """Write the rows of a list; where it is empty, `none` says how to add to it."""
        import pyarrow as pa

        listed = [dict(row) for row in rows]
        if listed or not none:
            self.write(pa.Table.from_pylist(listed))
        else:
            click.echo(none, err=True)

    def write(self, table: pa.Table) -> None:
        """Write rows to stdout, or to the file; Parquet does not go to a terminal."""
        if self.form == "parquet":
            _parquet(table, self.file)
            return
        if self.is_page:
            rows = [tuple(row.values()) for row in table.to_pylist()]
            self.page(notebook([Grid(table.column_names, rows)]))
            return
        self._put({"table": _table, "csv": _csv, "json": _json, "jsonl": _jsonl}[self.form](table))

    def _put(self, whole: str) -> None:
        if self.file is None:
            is_seen = self.form == "csv" and _is_terminal()  # a file gets each byte
            sys.stdout.write(text.clean(whole, keep="\n") if is_seen else whole)
        else:
            Path(self.file).write_text(whole, encoding="utf-8")
            if self.is_page:
                click.echo(f"{self.file} is written; a browser shows it.", err=True)


def for_people(table: pa.Table, asked: str) -> tuple[pa.Table, list[str]]:
    """Return the rows of `*` in the columns that a person wants, and the names of the others.

    Empty columns are left out, and those of `schema.PLUMBING` that the query does not mention.
    """
    from slicedb.schema import PLUMBING

    named = set(re.findall(r"\w+", asked.lower()))
    empty = {n for n in table.column_names if table[n].null_count == table.num_rows}
    left = [n for n in table.column_names if n in PLUMBING - named - empty]
    return table.select([n for n in table.column_names if n not in {*left, *empty}]), left


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _parquet(table: pa.Table, output: str | None) -> None:
    import pyarrow.parquet as pq

    if output is None and _is_terminal():
        raise SliceDBError("Parquet is not for a terminal.", "add --output FILE, or redirect.")
    pq.write_table(table, output if output is not None else sys.stdout.buffer)


def _csv(table: pa.Table) -> str:
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.column_names)
    for batch in table.to_batches(max_chunksize=10_000):
        writer.writerows(
            [numbers.to_json(v) if isinstance(v, (list, dict)) else v for v in row]
            for row in zip(*(column.to_pylist() for column in batch.columns))
        )
    return out.getvalue()


def _json(table: pa.Table) -> str:
    return numbers.to_json(table.to_pylist(), indent=1) + "\n"


def _jsonl(table: pa.Table) -> str:
    return "".join(numbers.to_json(row) + "\n" for row in table.to_pylist())


def _table(table: pa.Table, limit: int = 1000) -> str:
    """Return a table of text; empty columns are left out when there are many."""
    shown = table.slice(0, limit)
    names = shown.column_names
    if len(names) > 12:
        names = [n for n in names if shown[n].null_count < len(shown)] or names
    align = "".join(">" if _is_number(shown.schema.field(name).type) else "<" for name in names)
    rows = list(zip(*(shown[name].to_pylist() for name in names)))
    drawn = text.table(names, rows, align=align)
    left = table.num_rows - shown.num_rows
    return f"{drawn}\n" + (f"... {left:,} more; --format csv gives all.\n" if left else "")


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
