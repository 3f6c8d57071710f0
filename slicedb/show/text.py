"""Lay out text for a terminal: its width in cells, harmless letters, and the text table."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Sequence

from slicedb.show import numbers

_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, line separators, bidirectional overrides and isolates, and lone surrogates."""

_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)

_ISOLATE, _POP = "\u2068", "\u2069"
"""First strong isolate and its end: what lies between does not reorder its surroundings."""

_NUMBER = re.compile(
    r"(?=.*\d)(?:[-+<>±≥≤.,%/\d\[\]()–∞ ]|to|e|inf|undefined)+|-|–|undefined|-?inf|nan"
)

_GAP = "  "
_NARROWEST = 14
"""Cells below which no column of text is cut, even where the table is wider than the terminal."""

ALL = sys.maxsize
"""A `room` that any table fits into."""


def width(text: str) -> int:
    """Return the cells of a terminal that a text takes.

    Wide letters (Chinese, Japanese, Korean, emoji) take two, combining marks and invisible
    characters none, and an emoji of several code points as much as the picture it is drawn as.

    >>> width("sushi"), width("寿司"), width("e\u0301"), width("👩‍👩‍👧")
    (5, 4, 1, 2)
    """
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth

    cells: int = wcswidth(text)
    return cells if cells >= 0 else len(text)


def clean(text: str, keep: str = "") -> str:
    """Return a text that cannot move the cursor, ring, colour or reorder what is around it.

    A break or a tab becomes a space, another control character its picture (ESC is ␛), and a
    bidirectional override or isolate its escape.

    Args:
        text: anything, such as a label from an unknown source.
        keep: characters that are left as they are, for example a newline.

    >>> clean("a\\tb\\x1b[31m\u202etxt")
    'a b␛[31m\\\\u202etxt'
    """
    if text.isprintable():
        return text

    def harmless(match: re.Match[str]) -> str:
        letter = match[0]
        if letter in keep:
            return letter
        if letter.isspace() and letter not in "\x1c\x1d\x1e\x1f":
            return " "
        code = ord(letter)
        if code < 0x20:
            return chr(0x2400 + code)
        return "␡" if code == 0x7F else f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

    return _HARMFUL.sub(harmless, text)


def cut(text: str, cells: int) -> str:
    """Return a text of at most so many cells, with an ellipsis where some of it is left out.

    A path loses its beginning, since its end tells it from others; any other text its end. A
    letter is never separated from its marks, nor an emoji taken apart.

    >>> cut("photos/2026/cat_01.jpg", 12), cut("a plate of laddu", 8), cut("寿司寿司", 6)
    ('…/cat_01.jpg', 'a plate…', '寿司…')
    """
    if len(text) <= cells and width(text) <= cells:
        return text
    backwards = "/" in text and " " not in text
    if text.isascii():
        return "…" + text[len(text) - cells + 1 :] if backwards else text[: cells - 1] + "…"
    from wcwidth import iter_graphemes

    # No grapheme of interest is longer than this, so that a text of a million letters costs little.
    longest = 16 * cells
    part = text[-longest:] if backwards else text[:longest]
    letters = list(iter_graphemes(part))
    chosen: list[str] = []
    left = cells - 1
    for letter in reversed(letters) if backwards else letters:
        left -= width(letter)
        if left < 0:
            break
        chosen.append(letter)
    return "…" + "".join(reversed(chosen)) if backwards else "".join(chosen) + "…"


def isolate(text: str) -> str:
    """Return right-to-left text so enclosed that the columns beside it keep their order.

    >>> isolate("soup"), isolate("מרק") == "\u2068מרק\u2069"
    ('soup', True)
    """
    return f"{_ISOLATE}{text}{_POP}" if _RIGHT_TO_LEFT.search(text) else text


def pad(text: str, cells: int, side: str = "<") -> str:
    """Return a text with spaces up to so many cells, ready to stand beside others in a line.

    Args:
        text: clean text.
        cells: the width of the column.
        side: "<" for text at the left of its column, ">" at the right.

    >>> pad("寿司", 6) + "|" + pad("12", 4, ">")
    '寿司  |  12'
    """
    space = " " * (cells - width(text))
    return isolate(text) + space if side == "<" else space + isolate(text)


def room() -> int:
    """Return the cells of a line: the terminal's where stdout is one, else any number."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else ALL


def table(
    head: Sequence[object],
    rows: Sequence[Sequence[object]],
    *,
    align: str = "",
    limit: int | None = None,
    fit: int | None = None,
) -> str:
    """Return rows in columns under their head.

    Args:
        rows: the cells; text as it is, other values as `numbers.value` writes them.
        align: one letter per column: "<" left, ">" right, "." by content: numbers to the right,
            text to the left. Columns beyond its end are aligned by content.
        limit: rows shown; a last line then counts the others.
        fit: cells of a line that long text is cut to; None is the terminal's width where stdout
            is one, else nothing is cut.

    >>> print(table(["slice", "n", "accuracy"], [["寿司", 12, "0.83"], ["night", 3, "undefined"]]))
    slice   n   accuracy
    -----  --  ---------
    寿司   12       0.83
    night   3  undefined
    """
    shown = rows if limit is None else rows[:limit]
    text = "\n".join(lines(head, shown, align=align, fit=fit))
    left = len(rows) - len(shown)
    return f"{text}\n... {left:,} more" if left else text


def headings(names: list[str], asked: str) -> list[str]:
    """Return names of columns for people: DuckDB calls count(*) `count_star()`.

    >>> headings(["label", "count_star()"], "SELECT label, count(*) FROM samples GROUP BY 1")
    ['label', 'count(*)']
    """
    if "count_star" in asked.lower():
        return names
    return [name.replace("count_star()", "count(*)") for name in names]


def lines(
    head: Sequence[object],
    rows: Sequence[Sequence[object]],
    *,
    align: str = "",
    fit: int | None = None,
) -> list[str]:
    """Return the lines of a table: the head, a rule, and one line per row; see `table`."""
    names = [clean(str(name)) for name in head]
    columns = [[clean(numbers.value(row[i])) for row in rows] for i in range(len(names))]
    sides = [side_of(align[i : i + 1], column) for i, column in enumerate(columns)]
    widths = [max(map(width, (name, *column))) for name, column in zip(names, columns)]
    limits = _fitted(widths, sides, room() if fit is None else fit)
    for i, (natural, most) in enumerate(zip(widths, limits)):
        if most < natural:
            names[i], columns[i] = cut(names[i], most), [cut(cell, most) for cell in columns[i]]
            limits[i] = max(map(width, (names[i], *columns[i])))
    rule = ["-" * cells for cells in limits]
    return [
        _GAP.join(map(pad, row, limits, sides)).rstrip() for row in (names, rule, *zip(*columns))
    ]


def side_of(asked: str, cells: Sequence[str]) -> str:
    """Return the side that a column is aligned to: as asked, else numbers to the right.

    >>> side_of("", ["12", "-", ""]), side_of(".", ["night"]), side_of("<", ["12"])
    ('>', '<', '<')
    """
    if asked in ("<", ">"):
        return asked
    filled = [cell for cell in cells if cell]
    return ">" if filled and all(map(_NUMBER.fullmatch, filled)) else "<"


def _fitted(widths: list[int], sides: list[str], cells: int) -> list[int]:
    """Return the widths with the widest columns of text cut to what the line has room for."""

    def capped(most: int) -> list[int]:
        return [min(w, most) if side == "<" else w for w, side in zip(widths, sides)]

    gaps = len(_GAP) * (len(widths) - 1)
    fits: Callable[[int], bool] = lambda most: sum(capped(most)) + gaps <= cells  # noqa: E731
    low, high = _NARROWEST, max([*widths, _NARROWEST])
    while low < high:  # the largest cap that fits
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return capped(low)
