"""Split WHERE at its ANDs into places of the text, each proved against DuckDB's own tree."""

from __future__ import annotations

from collections.abc import Callable

from slicedb.errors import QueryError
from slicedb.query.bound.bound import Bound
from slicedb.query.language.text import Span, Token
from slicedb.query.language.tree import Node

_ENDS = frozenset(
    b"group having window qualify order limit offset fetch using union intersect except".split()
)


def split(bound: Bound, parsed: Callable[[str], Node]) -> list[tuple[Span, Node]] | None:
    """Return place and tree of each part of the outermost WHERE, or None where a place is unsure.

    The places come from the tokens, and are believed when each part, by itself, parses to the very
    tree that it has inside the whole.

    Args:
        bound: a text.
        parsed: gives the tree of a SELECT; raises QueryError where it is none.
    """
    where = bound.tree.where if bound.tree.type == "SELECT_NODE" else None
    if where is None:
        return []
    parts = where.children if where.type == "CONJUNCTION_AND" else [where]
    tokens = _where(bound)
    spans = _at_ands(tokens) if len(parts) > 1 else _whole(tokens)
    try:
        if len(spans) != len(parts) or _alone(bound, spans, parsed) != parts:
            return None
    except RecursionError:  # trees are compared as deep as they nest
        return None
    return list(zip(spans, parts))


def is_plain(bound: Bound, span: Span) -> bool:
    """Return whether no term of meaning stands in a place."""
    return not any(span[0] <= place < span[1] for place in bound.meanings)


def _where(bound: Bound) -> list[Token]:
    """Return the tokens of the outermost WHERE."""
    tokens = bound.source.tokens
    outermost = [(n, token.word) for n, token in enumerate(tokens) if not token.depth]
    begin = next((n + 1 for n, word in outermost if word == b"where"), len(tokens))
    end = next((n for n, word in outermost if n >= begin and word in _ENDS), len(tokens))
    return list(tokens[begin:end])


def _whole(tokens: list[Token]) -> list[Span]:
    return [(tokens[0].start, tokens[-1].end)] if tokens else []


def _at_ands(tokens: list[Token]) -> list[Span]:
    """Return the places between the outermost ANDs, those of BETWEEN and CASE left out."""
    spans, start, cases, betweens = [], 0, 0, 0
    for number, token in enumerate(tokens):
        if token.depth:
            continue
        word = token.word
        cases += (word == b"case") - (word == b"end")
        betweens += word == b"between" and not cases
        if word != b"and" or cases:
            continue
        if betweens:
            betweens -= 1
            continue
        spans += _whole(tokens[start:number])
        start = number + 1
    return spans + _whole(tokens[start:])


def _alone(bound: Bound, spans: list[Span], parsed: Callable[[str], Node]) -> list[Node]:
    """Return the tree of each place by itself; nothing where one does not parse."""
    raw = bound.source.sql
    listed = ", ".join(f"({raw[start:end].decode()}\n)" for start, end in spans)
    try:
        return parsed(f"SELECT {listed}").select_list
    except QueryError:
        return []
