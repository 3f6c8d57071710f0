"""Rows for people: aligned text, an HTML table, a data frame."""

from __future__ import annotations

import html
from collections.abc import Sequence


def to_text(head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Return aligned columns under their head.

    Args:
        head: names of the columns.
        rows: cells as text.
        left: columns that are aligned to the left, the others to the right.

    >>> print(to_text(["slice", "n"], [["night", "12"]]))
    slice   n
    -----  --
    night  12
    """
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * w for w in widths], *rows]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i in left else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths))
        ).rstrip()
        for row in lines
    )


def to_html(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table."""

    def line(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(c)}</{tag}>' for c in cells)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table>"


def p_value(p: float) -> str:
    """Return a p-value as text, a dash where it is not known.

    >>> p_value(0.0312), p_value(1e-7), p_value(float("nan"))
    ('0.031', '<0.0001', '-')
    """
    if p != p:
        return "-"
    return "<0.0001" if p < 1e-4 else f"{p:.2g}"
