"""Split WHERE at its ANDs into places of the text, each proved against DuckDB's own tree."""

from __future__ import annotations

from typing import Any

from slicedb.errors import QueryError
from slicedb.query.bound.bound import Bound
from slicedb.query.language.parse import Node, parse
from slicedb.query.language.text import PREDICATE, Token

_ENDS = {b"group", b"having", b"window", b"qualify", b"order", b"limit", b"offset", b"fetch"}
_ENDS |= {b"using", b"union", b"intersect", b"except"}
_PLACES = ("query_location", "query_location_length")

Span = tuple[int, int]


def split(bound: Bound, connection: Any) -> list[tuple[Span, Node]] | None:
    """Return place and tree of each part of the outermost WHERE, or None where a place is unsure.

    A part is certain when it parses, alone, to the very tree it has inside the whole.
    """
    where = bound.tree.get("where_clause")
    if where is None:
        return []
    parts = list(where["children"]) if where["type"] == "CONJUNCTION_AND" else [where]
    spans = _at_ands(_where(bound.source.tokens), whole=len(parts) == 1)
    if len(spans) != len(parts):
        return None
    raw = bound.source.sql
    for (start, end), part in zip(spans, parts):
        if _alone(raw[start:end].decode(), connection) != _placeless(part):
            return None
    return list(zip(spans, parts))


def is_plain(bound: Bound, span: Span) -> bool:
    """Return whether no term of meaning stands in a place."""
    return not any(span[0] <= place < span[1] for place in bound.meanings)


def _where(tokens: tuple[Token, ...]) -> list[Token]:
    """Return the tokens of the outermost WHERE."""
    depth, found, inside = 0, [], False
    for token in tokens:
        if depth == 0 and token.word == b"where":
            inside = True
            continue
        if inside and depth == 0 and token.word in _ENDS:
            break
        depth += (token.text in (b"(", b"[", b"{")) - (token.text in (b")", b"]", b"}"))
        if inside:
            found.append(token)
    return found


def _at_ands(tokens: list[Token], whole: bool) -> list[Span]:
    if not tokens:
        return []
    if whole:
        return [(tokens[0].start, tokens[-1].end)]
    spans, start, depth, between = [], 0, 0, 0
    for number, token in enumerate(tokens):
        depth += (token.text in (b"(", b"[", b"{")) - (token.text in (b")", b"]", b"}"))
        depth += (token.word == b"case") - (token.word == b"end")
        between += depth == 0 and token.word == b"between"
        if depth == 0 and token.word == b"and":
            if between:
                between -= 1
                continue
            if number == start:
                return []
            spans.append((tokens[start].start, tokens[number - 1].end))
            start = number + 1
    if start >= len(tokens):
        return []
    return [*spans, (tokens[start].start, tokens[-1].end)]


def _alone(text: str, connection: Any) -> Any:
    try:
        return _placeless(parse(f"{PREDICATE.decode()}({text}\n)", connection).tree["where_clause"])
    except QueryError:
        return None


def _placeless(node: Any) -> Any:
    """Return a tree without its places."""
    if isinstance(node, list):
        return [_placeless(item) for item in node]
    if isinstance(node, dict):
        return {name: _placeless(item) for name, item in node.items() if name not in _PLACES}
    return node
