"""Find out what may stand at a place of a query text that may be unfinished or wrong.

DuckDB's tokens and its tree exist for whole texts only, so the text before the place is read here
by a few rules. They never fail; where they do not know, an expression may stand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

_TOKENS = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<string>'(?:[^']|'')*(?:'|\Z))
    |(?P<quoted>"(?:[^"]|"")*(?:"|\Z))
    |(?P<number>\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
    |(?P<word>[^\W\d]\w*)
    |(?P<mark>\$\w*|\?)
    |(?P<operator><>|!=|>=|<=|==|=>|:=|::|->>|->|\|\||[^\s\w])""",
    re.VERBOSE | re.DOTALL,
)
_COMPARES = frozenset({"=", "==", "<>", "!=", "<", ">", "<=", ">=", "like", "ilike"})
_TABLES = frozenset({"from", "join", "table", "describe", "summarize"})
_CLAUSES = frozenset(
    "select where and or not on having qualify by case when then else between in like ilike is "
    "using distinct limit offset set values with from join union except intersect all as".split()
)
"""Words behind which no expression has ended."""
_ENDS = frozenset({"null", "true", "false", "end", "asc", "desc", "last", "first"})

Role: TypeAlias = Literal[
    "nothing",
    "expression",
    "after",
    "member",
    "table",
    "value",
    "slice",
    "commit",
    "embedding",
    "map",
    "tag",
    "split",
    "box",
    "class",
    "number",
]
"""What is wanted: a whole expression; what follows one; a column of what stands before the dot; a
value of a column; the name of a slice, and so on, in quotes."""

_ARGUMENTS: dict[str, Role] = {
    "in_slice": "slice",
    "calibrated": "slice",
    "using": "embedding",
    "in_map": "map",
    "has_tag": "tag",
    "in_split": "split",
    "has_object": "box",
    "count_objects": "box",
    "pixel_share": "class",
}
"""What the first argument of a function names, or the value of an option."""
_FREE = frozenset(
    {"similarity", "matches", "nearest", "search", "image", "sample", "regexp_matches"}
)
"""Functions whose texts are the reader's own."""


class Token(NamedTuple):
    """One token: its kind, and from which character to which it stands."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The token in lower case; of a quoted name what stands in the quotes."""
        return self.text.strip('"').lower() if self.kind == "quoted" else self.text.lower()


@dataclass(frozen=True)
class Place:
    """What is wanted at a place, and what of it is written already."""

    role: Role
    start: int
    """Characters before what an option replaces."""
    end: int
    typed: str = ""
    """What is written of it, without quotes."""
    of: tuple[str, ...] = ()
    """Of a value the column, of a member what stands before the dot; each part in lower case."""
    clause: str = ""
    """The word that begins the part of the text, such as `order`, or empty."""
    is_quoted: bool = False
    """Whether the place is inside quotes, so that nothing but a value fits."""
    is_list: bool = False
    """Whether the value stands in a list of values."""


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of a text that may end anywhere.

    >>> [token.text for token in tokens_of("label <> 'So")]
    ['label', '<>', "'So"]
    """
    found = _TOKENS.finditer(text)
    return [Token(m.lastgroup or "", m.group(), m.start(), m.end()) for m in found]


def place_of(text: str, at: int) -> Place:
    """Return what is wanted at a place.

    Args:
        text: the text.
        at: characters before the place.
    """
    tokens = tokens_of(text)
    here = next((token for token in tokens if token.start < at <= token.end), None)
    if here is not None and here.kind == "comment" and not _has_ended(here, at):
        return Place("nothing", at, at)
    if here is not None and (here.kind in ("operator", "comment") or _has_ended(here, at)):
        here = None
    before = [t for t in tokens if t.end <= at and t is not here and t.kind != "comment"]
    start, end, typed = at, at, ""
    if here is not None:
        start, typed = here.start, text[here.start : at].lstrip("'\"")
        # What an open quote swallows is not the reader's word.
        end = at if here.kind in ("string", "quoted") and not _is_closed(here) else here.end
    is_string = here is not None and here.kind == "string"
    if is_string:
        typed = typed.replace("''", "'")
    if here is not None and here.kind == "number":
        return Place("nothing", at, at)
    role, of, is_list = _role(before, is_string)
    return Place(role, start, end, typed, of, _clause(before), is_string, is_list)


def _has_ended(token: Token, at: int) -> bool:
    """Return whether a token in quotes, or a comment, ends just before a place."""
    if token.kind == "comment":
        return at == token.end and token.text.startswith("/*") and token.text.endswith("*/")
    return at == token.end and token.kind in ("string", "quoted") and _is_closed(token)


def _is_closed(token: Token) -> bool:
    inner = token.text[1:].replace(token.text[0] * 2, "")
    return inner.endswith(token.text[0])


def _role(before: Sequence[Token], is_string: bool) -> tuple[Role, tuple[str, ...], bool]:
    """Return what is wanted behind tokens, of what, and whether it stands in a list of values."""
    if not before:
        return ("nothing" if is_string else "expression"), (), False
    last = before[-1]
    if last.text == "." and not is_string:
        return "member", _path(before[:-1]), False
    if last.word == "at":
        return "commit", (), False
    if last.text in ("=>", ":=") and len(before) > 1:
        return _ARGUMENTS.get(before[-2].word, "expression"), (), False
    if last.word in _COMPARES:
        words = before[:-2] if len(before) > 1 and before[-2].word == "not" else before[:-1]
        return "value", _path(words), False
    opened = _opened(before)
    if opened is not None and last.text in ("(", "[", ","):
        inside = _inside(before, opened, is_string)
        if inside is not None:
            return inside
    if is_string:
        return "nothing", (), False
    if last.word in _TABLES or (last.text == "," and _clause(before) == "from"):
        return "table", (), False
    if last.word in ("limit", "offset"):
        return "number", (), False
    is_end = last.kind in ("string", "quoted", "number", "mark") or last.text in (")", "]")
    is_end = is_end or (last.kind == "word" and last.word not in _CLAUSES) or last.word in _ENDS
    return ("after" if is_end else "expression"), (), False


def _inside(
    before: Sequence[Token], opened: int, is_string: bool
) -> tuple[Role, tuple[str, ...], bool] | None:
    """Return what is wanted as an element of what a bracket opens; None where an expression is."""
    bracket, head = before[opened], before[opened - 1] if opened else None
    if head is None:
        return None
    if head.word == "in" and bracket.text in ("(", "["):
        words = before[: opened - 2] if before[opened - 2].word == "not" else before[: opened - 1]
        return "value", _path(words), True
    if bracket.text == "[":
        path = _path(before[:opened])
        return ("class", path[:1], False) if path and path[-1] == "probabilities" else None
    if head.kind not in ("word", "quoted"):
        return None
    is_first = opened == len(before) - 1
    if head.word in ("list_contains", "list_has", "array_contains", "contains") and not is_first:
        return "value", _path(before[opened + 1 : -1]), False
    if head.word in _FREE and (is_first or is_string):
        return "nothing", (), False
    if is_first and head.word in _ARGUMENTS:
        return _ARGUMENTS[head.word], _path(before[:opened])[:-1], False
    return None


def _opened(before: Sequence[Token]) -> int | None:
    """Return the number of the innermost bracket that is open behind tokens."""
    depth = 0
    for number in range(len(before) - 1, -1, -1):
        text = before[number].text
        if text in (")", "]", "}"):
            depth += 1
        elif text in ("(", "[", "{"):
            if not depth:
                return number
            depth -= 1
    return None


def _path(before: Sequence[Token]) -> tuple[str, ...]:
    """Return the name that tokens end with: `v3`, `.`, `loss` is ("v3", "loss")."""
    if before and before[-1].text == ")":  # of lower(label) the column
        before = before[:-1]
    parts: list[str] = []
    for number in range(len(before) - 1, -1, -2):
        if before[number].kind not in ("word", "quoted"):
            break
        parts.append(before[number].word)
        if number == 0 or before[number - 1].text != ".":
            break
    return tuple(reversed(parts))


def _clause(before: Sequence[Token]) -> str:
    """Return the word that begins the part of a query that tokens end in."""
    for token in reversed(before):
        if token.kind == "word" and token.word in _BEGINNINGS:
            return token.word
    return ""


_BEGINNINGS = frozenset("select from where group having order limit qualify with on".split())


def aliases(text: str) -> dict[str, str]:
    """Return the other names that a text gives to its tables, in lower case.

    >>> aliases("SELECT s. FROM samples s JOIN v3 AS p USING (key)")
    {'s': 'samples', 'p': 'v3'}
    """
    found: dict[str, str] = {}
    tokens = tokens_of(text)
    for number, token in enumerate(tokens[:-2]):
        if token.word not in ("from", "join", ","):
            continue
        table, after = tokens[number + 1], tokens[number + 2]
        if after.word == "as" and number + 3 < len(tokens):
            after = tokens[number + 3]
        is_name = after.kind == "quoted" or (after.kind == "word" and after.word not in _NO_ALIAS)
        if table.kind in ("word", "quoted") and is_name:
            found.setdefault(after.word, table.word)
    return found


_NO_ALIAS = _CLAUSES | _BEGINNINGS | frozenset("left right full inner cross natural asof".split())
