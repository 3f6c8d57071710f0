"""Shade the cells of a table by their values: slices by models, truth by prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from slicedb.show.html import Attribute, Cell, Html, element, table, td, th
from slicedb.show.style import shade


@dataclass(frozen=True)
class Tile:
    """One cell of a heat map."""

    text: str
    share: float
    """In [0, 1]: how strong its colour is; NaN leaves it blank."""
    tip: str = ""
    """What is shown under the pointer."""
    is_bad: bool = False
    """Whether its colour is that of mistakes."""


def tile(shown: Tile, **attributes: Attribute) -> Cell:
    """Return the cell of a tile."""
    if math.isnan(shown.share):
        return td(shown.text, class_="none", data_tip=shown.tip or None, **attributes)
    strong = shade(shown.share, bad=shown.is_bad)
    return td(shown.text, class_=strong, data_tip=shown.tip or None, **attributes)


def heat(corner: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[object]]]) -> Html:
    """Return a heat map in a box that scrolls sideways.

    Args:
        corner: what stands above the names of the rows.
        columns: their names.
        rows: the name of each row and its cells: tiles, or plain values.
    """
    lines = [
        (th(name, title=name), *(tile(c) if isinstance(c, Tile) else td(c, class_="n") for c in of))
        for name, of in rows
    ]
    heads = [th(corner), *(th(name) for name in columns)]
    return element("div", table(heads, lines, class_="heat"), class_="wide")


def share_of(value: float, low: float, high: float) -> float:
    """Return where a value lies between the ends of a scale, NaN where it is undefined.

    >>> share_of(0.75, 0.5, 1.0), share_of(0.5, 0.5, 0.5)
    (0.5, 0.5)
    """
    if math.isnan(value):
        return math.nan
    return (value - low) / (high - low) if high > low else 0.5
