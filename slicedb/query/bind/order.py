"""Where an outermost SELECT is ordered: ties, and rows without an order, go by stored order."""

from __future__ import annotations

from slicedb.query.bound.bound import Bound, Edit
from slicedb.query.bound.relation import ROW
from slicedb.query.language.text import Token
from slicedb.sql import quoted

_OPEN, _CLOSE = (b"(", b"[", b"{"), (b")", b"]", b"}")
_LIMITS = (b"limit", b"offset", b"fetch")


def add_order(bound: Bound) -> None:
    """Note the edit that makes the order of `bound.top` deterministic."""
    if bound.top is None:
        return
    modifiers = {m["type"]: m for m in bound.tree["modifiers"]}
    order = modifiers.get("ORDER_MODIFIER")
    if order and any(o["expression"]["class"] == "STAR" for o in order["orders"]):
        return
    column = f'{quoted(bound.top.alias)}."{ROW}"'
    limit = next((t for t in _outer(bound.source.tokens) if t.word in _LIMITS), None)
    has_limit = any("LIMIT" in kind for kind in modifiers)
    if has_limit and limit is None:
        return
    at = limit.start if has_limit and limit else _end(bound)
    text = f", {column} " if order else f" ORDER BY {column} "
    bound.edits.append(Edit(at, at, (text,), "ordered"))


def _outer(tokens: tuple[Token, ...]) -> list[Token]:
    """Return the tokens outside all parentheses, from the end of the text."""
    depth, found = 0, []
    for token in tokens:
        depth += (token.text in _OPEN) - (token.text in _CLOSE)
        if depth == 0:
            found.append(token)
    for number in range(len(found) - 1, -1, -1):
        if found[number].word in (b"order", b"where", b"from"):
            return found[number:]
    return found


def _end(bound: Bound) -> int:
    tokens = bound.source.tokens
    return tokens[-1].end if tokens else len(bound.source.sql)
