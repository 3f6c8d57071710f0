"""Order samples the same way everywhere: by the text, then, where that says nothing, as stored.

Without it, rows that tie would come in any order, and a LIMIT would choose others each time.
"""

from __future__ import annotations

from typing import Literal

from slicedb.query.bound.binding import Binding
from slicedb.query.bound.bound import Bound, Edit
from slicedb.query.bound.relation import ROW, Relation
from slicedb.query.language.text import Source
from slicedb.query.language.tree import Node
from slicedb.sql import quoted

_LIMITS = (b"limit", b"offset", b"fetch")


def add_order(binding: Binding) -> None:
    """Note the edits that make the order of samples, and what a LIMIT takes of it, definite."""
    bound = binding.bound
    for node, relation in bound.ranked:
        _order(bound, node, relation, "")
    if bound.top is not None:
        # Not where rows are only counted, or put in stored order afterwards.
        _order(bound, bound.tree, bound.top, "ordered")


def _order(bound: Bound, node: Node, relation: Relation, when: Literal["", "ordered"]) -> None:
    source = bound.source
    if node.limit:
        at = limit_start(source, node)
    elif node.order:
        at = _order_end(source, node.order)
    else:
        at = source.tokens[-1].end if source.tokens else 0
    if at is None or _is_by_all(node):
        return
    column = f'{quoted(relation.alias)}."{ROW}"'
    text = f", {column} " if node.order else f" ORDER BY {column} "
    bound.edits.append(Edit(at, at, (text,), when))


def limit_start(source: Source, node: Node) -> int | None:
    """Return where the LIMIT or OFFSET of a query begins, whichever stands first.

    None where DuckDB does not say where its numbers are: `LIMIT ALL`.
    """
    assert node.limit is not None
    numbers = [n.at for n in (node.limit.limit_rows, node.limit.offset) if n is not None]
    places = [at for at in numbers if at is not None]
    if len(places) < len(numbers):
        return None
    before = [t.start for t in source.tokens_in(0, min(places)) if t.word in _LIMITS]
    return before[-1]


def _order_end(source: Source, order: Node) -> int | None:
    """Return where an ORDER BY ends that no LIMIT follows: with the brackets around its query."""
    place = order.orders[0].expression.at
    if place is None:
        return None
    number = source.number_at(place)
    # The place of `a + b` is its operator, and inside `a` may stand an ORDER BY of its own: in
    # brackets, so deeper.
    depth = source.tokens[number].depth
    while source.tokens[number].word != b"order" or source.tokens[number].depth > depth:
        number -= 1
    depth = source.tokens[number].depth
    rest = range(number + 1, len(source.tokens))
    end = next((n for n in rest if source.tokens[n].depth < depth), len(source.tokens))
    return source.tokens[end - 1].end


def _is_by_all(node: Node) -> bool:
    """Return whether a query has ORDER BY ALL, behind which nothing may stand."""
    return node.order is not None and any(o.expression.kind == "STAR" for o in node.order.orders)
