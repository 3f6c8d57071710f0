"""How rows leave the command line: a table, CSV, JSON, JSON lines or Parquet."""

from __future__ import annotations

import json
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicedb.errors import SliceDBError

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("table", "csv", "json", "jsonl", "parquet")


def rows(data: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return dictionaries as an Arrow table."""
    import pyarrow as pa

    return pa.Table.from_pylist([dict(row) for row in data])


def write(table: pa.Table, form: str, output: str | None = None) -> None:
    """Write rows to stdout, or to a file.

    Args:
        table: the rows.
        form: one of `FORMATS`.
        output: a path; Parquet needs one unless stdout is redirected.
    """
    if form == "parquet":
        _parquet(table, output)
        return
    text = {"table": _table, "csv": _csv, "json": _json, "jsonl": _jsonl}[form](table)
    if output is None:
        sys.stdout.write(text)
    else:
        Path(output).write_text(text, encoding="utf-8")


def for_people(table: pa.Table, text: str) -> tuple[pa.Table, list[str]]:
    """Return the rows of `*` without what says nothing to a reader, and what was left out.

    Empty columns go, and those of `schema.PLUMBING` that the query does not mention.
    """
    from slicedb.schema import PLUMBING

    named = set(re.findall(r"\w+", text.lower()))
    empty = {n for n in table.column_names if table[n].null_count == table.num_rows}
    left = [n for n in table.column_names if n in PLUMBING - named - empty]
    return table.select([n for n in table.column_names if n not in {*left, *empty}]), left


def _parquet(table: pa.Table, output: str | None) -> None:
    import pyarrow.parquet as pq

    if output is None and sys.stdout.isatty():
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
            [_plain(value) for value in row]
            for row in zip(*(column.to_pylist() for column in batch.columns))
        )
    return out.getvalue()


def _plain(value: Any) -> Any:
    nested = isinstance(value, (list, dict))
    return json.dumps(value, default=_default, ensure_ascii=False) if nested else value


def _json(table: pa.Table) -> str:
    return json.dumps(table.to_pylist(), default=_default, ensure_ascii=False, indent=1) + "\n"


def _jsonl(table: pa.Table) -> str:
    dumps = json.dumps
    found = (dumps(row, default=_default, ensure_ascii=False) for row in table.to_pylist())
    return "".join(line + "\n" for line in found)


def _default(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return str(value)


def _table(table: pa.Table, limit: int = 1000) -> str:
    """Draw a plain table; wide cells are cut, empty columns left out when there are many."""
    shown = table.slice(0, limit)
    names = shown.column_names
    if len(names) > 12:
        names = [n for n in names if shown[n].null_count < len(shown)] or names
    numeric = [_is_number(shown.schema.field(name).type) for name in names]
    columns = [[_cell(value) for value in shown[name].to_pylist()] for name in names]
    for widest in _WIDEST:
        cells = [[_cut(cell, widest) for cell in column] for column in columns]
        widths = [max([_width(n), *map(_width, column)]) for n, column in zip(names, cells)]
        if sum(widths) + 2 * len(widths) - 2 <= _room():
            break
    lines = [_line(names, widths, numeric), "  ".join("-" * width for width in widths)]
    lines += [_line(row, widths, numeric) for row in zip(*cells)]
    left = table.num_rows - shown.num_rows
    if left:
        lines.append(f"... {left:,} more; --format csv gives all.")
    return "\n".join(lines) + "\n"


_WIDEST = (48, 36, 28, 20, 14)
"""Characters of the widest cell, tried until the table fits the terminal."""


def _room() -> int:
    """Return the columns of the terminal; a file or a pipe has room for any table."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for wide letters, none for marks."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    marks = sum(unicodedata.category(letter) in ("Mn", "Me", "Cf") for letter in text)
    return len(text) + wide - marks


def _cut(text: str, widest: int) -> str:
    """Shorten a cell at its end; a path at its start, since its end tells it from others."""
    if _width(text) <= widest:
        return text
    is_path = "/" in text and " " not in text
    while _width(text) >= widest:
        over = max((_width(text) - widest) // 2, 1)
        text = text[over:] if is_path else text[:-over]
    return "…" + text if is_path else text + "…"


def _line(row: Iterable[str], widths: list[int], numeric: list[bool]) -> str:
    padded = ((" " * (w - _width(c)), c, n) for c, w, n in zip(row, widths, numeric))
    return "  ".join(space + c if n else c + space for space, c, n in padded).rstrip()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e6 else f"{value:,.0f}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, list) and len(value) > 6:
        value = [*value[:6], "..."]
    text = str(_plain(value) if isinstance(value, (list, dict)) else value)
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
