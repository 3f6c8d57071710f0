"""Parameters: `label = $label` and `label = ?`, written into the text as SQL values.

The text that comes out is a whole one: it can be a slice, and shows what was asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from slicedb.errors import MediaError, ModelError, ParseError, QueryError, did_you_mean, place_after
from slicedb.query.language.text import Token, tokenize
from slicedb.sql import literal, string
from slicedb.vectors.pictures import Picture, picture_of

_IMAGE = re.compile(rb"\bimage\s*\(\s*\Z", re.I)
_JOINS = re.compile(rb"[\w'\x80-\xff]")
NO_VALUE = "give it one: params={'name': value} in Python, --param name=value on the command line."

Params: TypeAlias = "Mapping[str, object] | Sequence[object]"


@dataclass(frozen=True)
class Filled:
    """A text with its parameters written out, and the way back to what the user wrote."""

    written: str
    """What the user wrote."""
    text: str
    places: tuple[tuple[int, int, int, int], ...] = ()
    """Of each parameter: from where to where it is written, and where its value stands in `text`;
    in characters."""

    def place_back(self, error: QueryError) -> None:
        """Let an error of the text, or of its beginning, point into what the user wrote."""
        start, end = error.start, error.end
        if start is None or end is None or not self.text.startswith(error.asked):
            if error.text and self.text.startswith(error.text):
                error.text = self.written
            return
        start, end = self._origin(start, 0), self._origin(end, 1)
        if error.include is not None:
            error.include = self.written, start, end
            return
        error.text, error.token = self.written, self.written[start:end]
        error.line, error.column = place_after(self.written[:start])

    def _origin(self, offset: int, side: int) -> int:
        """Return where a place of `text` is written, at the side of a parameter it falls into."""
        moved = 0
        for begin, end, start, stop in self.places:
            if offset <= start:
                break
            if offset < stop:
                return (begin, end)[side]
            moved = end - stop
        return offset + moved


def fill(text: str, params: Params, pictures: list[Picture] | None = None) -> str:
    """Return a text with its parameters written out; see `filled`.

    >>> fill("label = $label AND lux > $lux", {"label": "it's", "lux": 0.5})
    "label = 'it''s' AND lux > 0.5e0"
    >>> fill("label IN ?", [["cat", "dog"]])
    "label IN ['cat', 'dog']"
    """
    return filled(text, params, pictures).text


def filled(text: str, params: Params, pictures: list[Picture] | None = None) -> Filled:
    """Return a text with its parameters written out.

    Args:
        text: a query text with `$name`, or with `?` or `$1`, where values stand.
        params: name to value, or the values in order: texts, numbers, booleans, None, dates,
            times, lists and dictionaries of these; in `image($name)` also a picture.
        pictures: takes the pictures; the text has their names.

    Raises:
        QueryError: a parameter has no value, a value no parameter, or a value is of another kind.
    """
    if isinstance(params, str) or not isinstance(params, (Mapping, Sequence)):
        raise QueryError(f"params is {params!r}.", "a dictionary by name, or a list in order.")
    pairs = params.items() if isinstance(params, Mapping) else enumerate(params, 1)
    values = {str(name): value for name, value in pairs}
    body, done, used, counted = text.encode(), 0, set(), 0
    placed = marks(tokenize(body))
    pieces: list[bytes] = []
    places: list[tuple[int, int, int, int]] = []
    for token in placed:
        counted += token.text == b"?"
        name = str(counted) if token.text == b"?" else token.text[1:].decode()
        if name not in values:
            raise _no_value(text, token, name, list(values))
        used.add(name)
        value = values[name]
        if _IMAGE.search(body[: token.start]) and not isinstance(value, str):
            picture = _picture(text, token, value)
            written = string(picture.name)
            if pictures is not None:
                pictures.append(picture)
        else:
            written = sql_value(value, name)
        pieces += [body[done : token.start], _apart(body, token, written).encode()]
        done = token.end
        begin = len(body[: token.start].decode())
        start = (places[-1][3] - places[-1][1] if places else 0) + begin
        stop = start + len(pieces[-1].decode())
        places.append((begin, begin + len(token.text.decode()), start, stop))
    if len(used) < len(values):
        rest = next(name for name in values if name not in used)
        shown = [token.text.decode() for token in placed]
        hint = did_you_mean(f"${rest}", shown, "parameters") if shown else "the text has none."
        raise QueryError(f"No parameter ${rest} in the text.", hint, text=text)
    return Filled(text, b"".join([*pieces, body[done:]]).decode(), tuple(places))


def marks(tokens: Sequence[Token]) -> list[Token]:
    """Return the parameters among tokens: `?`, `$1` and `$name`, each as one token.

    >>> [mark.text for mark in marks(tokenize(b"a = $a AND b = ? AND c = '$c' -- $d"))]
    [b'$a', b'?']
    """
    placed = []
    for token, after in zip(tokens, [*tokens[1:], None]):
        if token.text == b"?":
            placed.append(token)
        elif token.text == b"$" and after is not None:
            placed.append(Token(token.start, after.end, "parameter", b"$" + after.text))
    return placed


def sql_value(value: object, name: str = "") -> str:
    """Return a value as an SQL expression of the same type.

    >>> sql_value([True, None, 2.5])
    '[true, NULL, 2.5e0]'
    """
    try:
        return literal(value, doubles=True)
    except ValueError:
        hint = "texts, numbers, booleans, None, dates and lists of these are."
        message = f"The parameter ${name} is {value!r}, which is no SQL value."
        raise QueryError(message, hint) from None


def _apart(body: bytes, mark: Token, value: str) -> str:
    """Return a value that no character beside it can join: `x=?AND y`, `n?`."""
    before, after = body[: mark.start][-1:], body[mark.end :][:1]
    left = "" if not before or before in b" \t\r\n([,:>" else " "
    return left + value + (" " if _JOINS.match(after) else "")


def _picture(text: str, token: Token, value: object) -> Picture:
    try:
        return picture_of(value)
    except (MediaError, ModelError) as error:
        why = error.why if isinstance(error, MediaError) else error.message
        message = f"The parameter {token.text.decode()} is no picture to compare with: {why}"
        hint = error.hint or "give the bytes of a JPEG, PNG or other image, or a Pillow image."
        raise _at(text, token, message, hint) from error


def _no_value(text: str, token: Token, name: str, known: list[str]) -> QueryError:
    """Return the error of a parameter without a value, at its place."""
    hint = did_you_mean(name, known, "values") if known else NO_VALUE
    return _at(text, token, f"The parameter {token.text.decode()} has no value.", hint)


def _at(text: str, token: Token, message: str, hint: str) -> ParseError:
    """Return an error at the place of a parameter."""
    line, column = place_after(text.encode()[: token.start].decode())
    mark = token.text.decode()
    return ParseError(message, hint, text=text, line=line, column=column, token=mark)
