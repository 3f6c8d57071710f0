"""Write HTML: escaping, elements, pictures, the table, and the skeleton of a page."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Sequence

from slicedb.show import numbers
from slicedb.show.style import width
from slicedb.show.text import clean, side_of

Attribute = str | int | float | bool | None


class Html(str):
    """Text that is HTML already and is not escaped again, also not by Jinja."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


class Cell(Html):
    """A whole cell, made by `td` or `th`; a table takes it as it is."""

    __slots__ = ()


def escape(text: object) -> Html:
    """Return any value as HTML text, also fit for an attribute in quotes.

    Control characters and bidirectional overrides are made harmless, newlines and tabs kept.

    >>> escape("<b>"), escape(Html("<b>")), escape("a\\x1bb")
    ('&lt;b&gt;', '<b>', 'a␛b')
    """
    if isinstance(text, Html):
        return text
    return Html(html.escape(clean(numbers.value(text), keep="\n\t"), quote=True))


def element(tag: str, *inside: object, **attributes: Attribute) -> Html:
    """Return an element; what is inside and its attributes are escaped.

    Args:
        tag: the name of the element.
        *inside: texts, values or `Html`, one after the other.
        **attributes: by name, with "_" for "-" and a trailing "_" where Python has the word; True
            gives the name alone, None and False nothing.

    >>> element("td", "a < b", class_="n", data_key=1, hidden=True)
    '<td class="n" data-key="1" hidden>a &lt; b</td>'
    """
    return Html(f"<{tag}{_attributes(attributes)}>{''.join(map(escape, inside))}</{tag}>")


def prose(text: str) -> Html:
    """Return a text with its `commands` as code.

    >>> prose("run `slicedb embed` <first>")
    'run <code>slicedb embed</code> &lt;first&gt;'
    """
    parts = re.split(r"`([^`]+)`", text)
    return Html("".join(element("code", p) if i % 2 else escape(p) for i, p in enumerate(parts)))


def _attributes(values: dict[str, Attribute]) -> str:
    parts = []
    for name, value in values.items():
        if value is None or value is False:
            continue
        word = name.rstrip("_").replace("_", "-")
        parts.append(f" {word}" if value is True else f' {word}="{escape(str(value))}"')
    return "".join(parts)


def td(*inside: object, **attributes: Attribute) -> Cell:
    """Return a cell whose text finds its own direction."""
    return Cell(element("td", *inside, **{"dir": "auto", **attributes}))


def th(*inside: object, **attributes: Attribute) -> Cell:
    """Return a cell of a head whose text finds its own direction."""
    return Cell(element("th", *inside, **{"dir": "auto", **attributes}))


def table(
    head: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    align: str = "",
    **attributes: Attribute,
) -> Html:
    """Return a table; every text in it finds its own direction.

    Args:
        head: the names of the columns, or cells made by `th`.
        rows: the cells: values, `Html`, or whole cells made by `td` or `th`. A row that is `Html`
            is taken as it is: a `<tr>`, or a `<tbody>` of several.
        align: as of `slicedb.show.text.table`; cells at the right get the class "n".
        **attributes: of the table; see `element`.

    >>> table(["slice", "n"], [["<night>", 12]], id="slices")[:50]
    '<table id="slices"><thead><tr><th dir="auto">slice'
    """
    listed = list(rows)
    plain = [row for row in listed if not isinstance(row, Html)]
    sides = []
    for i in range(len(head)):
        column = [numbers.value(row[i]) for row in plain if not isinstance(row[i], Html)]
        sides.append(side_of(align[i : i + 1], column))
    classes = ["n" if side == ">" else None for side in sides]

    def line(cells: Sequence[object], cell_of: type[Cell] | None = None) -> str:
        make = th if cell_of is Cell else td
        return "".join(
            c if isinstance(c, Cell) else make(c, class_=n) for c, n in zip(cells, classes)
        )

    body = "".join(row if isinstance(row, Html) else f"<tr>{line(row)}</tr>" for row in listed)
    if not body.startswith("<tbody"):
        body = f"<tbody>{body}</tbody>"
    top = f"<thead><tr>{line(head, Cell)}</tr></thead>"
    return Html(f"<table{_attributes(attributes)}>{top}{body}</table>")


def data_uri(data: bytes, kind: str = "image/jpeg") -> str:
    """Return bytes as a URI that holds them, for a page that needs no other file."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def picture(data: bytes | None, name: str, missing: str = "no picture") -> Html:
    """Return an image with its name as tooltip, or a box that says that there is none.

    Args:
        data: an encoded JPEG; None or empty where there is none.
        name: what it shows, such as the id of its sample.
        missing: the text of the box.
    """
    if not data:
        return element("div", missing)
    return Html(f"<img{_attributes({'alt': name, 'title': name, 'src': data_uri(data)})}>")


def cards(pictures: Iterable[Sequence[object]], side: int) -> Html:
    """Return small pictures beside one another, each above its lines of text.

    Args:
        pictures: an encoded JPEG or None, the name that it shows under the pointer, and the lines.
        side: width of a card in pixels; see `slicedb.show.style.width`.
    """
    shown = [
        element(
            "div",
            picture(data if isinstance(data, bytes) else None, str(name)),
            *(element("div", line, dir="auto") for line in lines),
            class_=width(side),
        )
        for data, name, *lines in pictures
    ]
    return element("div", *shown, class_="cards")


def page(title: str, body: str, *, css: str = "", script: str = "") -> str:
    """Return a whole page that opens offline: nothing in it comes from elsewhere.

    Args:
        css: the styles, inline.
        script: the script, inline, at the end of the body.
    """
    code = f"<script>{script}</script>" if script else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{css}</style></head>"
        f"<body>{body}{code}</body></html>\n"
    )
