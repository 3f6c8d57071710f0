"""Write numbers and other values as a person reads them."""

from __future__ import annotations

import json
import math
import re
from datetime import date, datetime

MISSING = "-"
"""What stands for a number that is unknown or undefined."""

_UNSEEN = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What JSON may hold as it is, and what changes how a text is shown."""


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with so many significant digits, and a dash for None and NaN.

    >>> number(0.123456), number(float("nan")), number(120000.0), number(3)
    ('0.1235', '-', '120,000', '3')
    """
    if value is None or value != value:
        return MISSING
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) >= 10_000 and math.isfinite(value):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def percent(value: float | None, digits: int = 1) -> str:
    """Return a fraction as a percentage, and a dash for None and NaN.

    >>> percent(0.1234), percent(1.0, 0), percent(None)
    ('12.3%', '100%', '-')
    """
    return MISSING if value is None or value != value else f"{value:.{digits}%}"


def count(n: int, noun: str = "", plural: str = "") -> str:
    """Return a whole number with its noun in the singular or plural.

    Args:
        noun: what is counted; "" gives the number alone.
        plural: the plural of the noun where it is not made with an s.

    >>> count(1, "sample"), count(12345, "sample"), count(2, "query", "queries")
    ('1 sample', '12,345 samples', '2 queries')
    """
    if not noun:
        return f"{n:,}"
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def verb(n: int, one: str, many: str) -> str:
    """Return the form of a verb that goes with a number of things.

    >>> [f"{n} of 9 samples {verb(n, 'has', 'have')} no label" for n in (1, 2)]
    ['1 of 9 samples has no label', '2 of 9 samples have no label']
    """
    return one if n == 1 else many


def interval(low: float, high: float, form: str = ".3f") -> str:
    """Return an interval in brackets, and "" where an end is NaN.

    >>> interval(0.81, 0.86), interval(-0.02, 0.011, "+.3f"), interval(float("nan"), 1.0)
    ('[0.810, 0.860]', '[-0.020, +0.011]', '')
    """
    return "" if low != low or high != high else f"[{low:{form}}, {high:{form}}]"


def p_value(p: float | None) -> str:
    """Return a p-value with two digits, and a dash where it is not known.

    >>> p_value(0.0312), p_value(1e-7), p_value(float("nan"))
    ('0.031', '<0.0001', '-')
    """
    if p is None or p != p:
        return MISSING
    return "<0.0001" if p < 1e-4 else f"{p:.2g}"


def duration(seconds: float) -> str:
    """Return a time span in its two largest units.

    >>> duration(0.0123), duration(9.87), duration(75), duration(7322)
    ('12 ms', '9.9 s', '1 min 15 s', '2 h 02 min')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def size(n_bytes: float) -> str:
    """Return a number of bytes in decimal units.

    >>> size(512), size(2_340_000), size(7.1e9)
    ('512 bytes', '2.3 MB', '7.1 GB')
    """
    if n_bytes < 1000:
        return count(int(n_bytes), "byte")
    for unit in ("kB", "MB", "GB"):
        n_bytes /= 1000
        if n_bytes < 999.95:
            return f"{n_bytes:.1f} {unit}"
    return f"{n_bytes / 1000:,.1f} TB"


def value(cell: object, most: int = 6) -> str:
    """Return any value of a row as the text of a table's cell; None is "".

    Args:
        cell: a value as Arrow or Python gives it.
        most: elements of a list that are shown.

    >>> value(0.123456), value(None), value([1, 2]), value(b"abc"), value(2_000_000.0)
    ('0.1235', '', '[1, 2]', '<3 bytes>', '2,000,000')
    """
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, float):
        return f"{cell:.4g}" if not 1e6 <= abs(cell) < math.inf else f"{cell:,.0f}"
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ", timespec="seconds")
    if isinstance(cell, (list, tuple)) and len(cell) > most:
        cell = [*cell[:most], "..."]
    return to_json(cell) if isinstance(cell, (list, tuple, dict)) else _other(cell)


def to_json(cell: object, indent: int | None = None) -> str:
    """Return values as JSON, with dates in ISO form and bytes as their number.

    Marks that reorder text, and what else is no printable text, are escaped.

    >>> to_json({"when": date(2026, 11, 28), "name": "寿司"})
    '{"when": "2026-11-28", "name": "寿司"}'
    """
    return escaped(json.dumps(cell, default=_other, ensure_ascii=False, indent=indent))


def escaped(text: str) -> str:
    """Return JSON in which no letter changes how a terminal or a page shows it; it means the same.

    >>> escaped('["gnp\u202e", "寿司"]')
    '["gnp\\\\u202e", "寿司"]'
    """
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _other(cell: object) -> str:
    if isinstance(cell, date):
        return cell.isoformat()
    return f"<{count(len(cell), 'byte')}>" if isinstance(cell, bytes) else str(cell)
