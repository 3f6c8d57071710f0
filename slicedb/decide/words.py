"""Query texts, put together from names and values; and tables of text for the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def name(word: str) -> str:
    """Return a column's or model's name as SQL takes it.

    >>> name("food_v2"), name("run7-epoch3")
    ('food_v2', '"run7-epoch3"')
    """
    return word if _PLAIN.match(word) else '"' + word.replace('"', '""') + '"'


def literal(value: Any) -> str:
    """Return a value as SQL takes it.

    >>> literal("Chef's salad"), literal(0.25), literal(True)
    ("'Chef''s salad'", '0.25', 'true')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value!r}"
    return "'" + str(value).replace("'", "''") + "'"


def equals(column: str, value: Any) -> str:
    """Return the predicate that a column has a value, null included.

    >>> equals("weather", None)
    'weather IS NULL'
    """
    return f"{name(column)} IS NULL" if value is None else f"{name(column)} = {literal(value)}"


def conjunction(*parts: str) -> str:
    """Join predicates with AND; empty ones are left out, those with an OR get parentheses.

    >>> conjunction("in_slice('a')", "", "x = 1 OR y = 2")
    "in_slice('a') AND (x = 1 OR y = 2)"
    """
    kept = [part.strip() for part in parts if part.strip()]
    if len(kept) == 1:
        return kept[0]
    return " AND ".join(f"({p})" if re.search(r"\bor\b", p, re.IGNORECASE) else p for p in kept)


def number(value: float) -> str:
    """Return a number with four digits, NaN as a dash.

    >>> number(0.123456), number(float("nan")), number(120000.0)
    ('0.1235', '-', '120,000')
    """
    if value != value:
        return "-"
    if abs(value) >= 10_000 and abs(value) != float("inf"):
        return f"{value:,.0f}"
    return f"{value:.4g}"


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows under their head, numbers to the right, text to the left.

    >>> print(columns(["pair", "n"], [["a as b", "12"], ["c as d", "3"]]))
    pair     n
    a as b  12
    c as d   3
    """
    cells = [list(map(str, head)), *[list(map(str, row)) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    right = [all(_is_number(row[i]) for row in cells[1:]) for i in range(len(head))]
    lines = [
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right)).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"([-+.,%\de]|inf)*( to ([-+.,%\de]|inf)*)?", text))
