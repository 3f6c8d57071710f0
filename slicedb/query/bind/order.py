"""Where an outermost SELECT is ordered: ties, and rows without an order, go by stored order."""

from __future__ import annotations

from slicedb.query.bound.binding import Binding
from slicedb.query.bound.bound import Bound, Edit
from slicedb.query.bound.relation import ROW
from slicedb.query.language.text import Token
from slicedb.sql import quoted

_LIMITS = (b"limit", b"offset", b"fetch")


def add_order(binding: Binding) -> None:
    """Note the edit that makes the order of the samples deterministic."""
    bound = binding.bound
    if bound.top is None:
        return
    order = bound.tree.order
    if order is not None and any(o.expression.kind == "STAR" for o in order.orders):
        return
    column = f'{quoted(bound.top.alias)}."{ROW}"'
    limit = next((t for t in _tail(bound) if t.word in _LIMITS), None)
    has_limit = bound.tree.limit is not None
    if has_limit and limit is None:
        return
    tokens = bound.source.tokens
    at = limit.start if has_limit and limit else tokens[-1].end if tokens else 0
    text = f", {column} " if order else f" ORDER BY {column} "
    bound.edits.append(Edit(at, at, (text,), "ordered"))


def _tail(bound: Bound) -> list[Token]:
    """Return the outermost tokens from the last ORDER, WHERE or FROM on."""
    outermost = bound.source.outermost()
    for number in range(len(outermost) - 1, -1, -1):
        if outermost[number].word in (b"order", b"where", b"from"):
            return outermost[number:]
    return outermost
