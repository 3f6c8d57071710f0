"""Bound what is made of many copies: `[l FOR x IN m]` holds l once for each x.

DuckDB makes such a value in one piece, which no interrupt reaches. An estimate therefore goes
before it: for a list its elements, times the characters of what the lambda takes from outside; for
`concat` the characters of all that it joins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from slicedb.query.bound.binding import Binding
from slicedb.query.bound.bound import Part
from slicedb.query.functions.duckdb import SPREAD, is_small
from slicedb.query.language.text import Span
from slicedb.query.language.tree import Node, nodes
from slicedb.sql import quoted

APPLYING = frozenset("list_transform array_transform list_apply array_apply apply".split())
"""Functions that make one value of each element."""
JOINING = frozenset({"concat", "concat_ws"})
_PICKING = frozenset({"ARRAY_EXTRACT", "STRUCT_EXTRACT"})
"""Operators that take one element: `classes[x]` is as small as the longest class."""


def bound_spread(binding: Binding, node: Node) -> None:
    """Put the estimate of its size before a list that a lambda makes of values from outside."""
    place = _place(binding, node)
    if place is None:
        return
    begin, head, listed = place
    sizes = [size for body, names in _bodies(node) for size in _sizes(body, names)]
    if not sizes:
        return
    estimate = ("len(", listed, ")::HUGEINT * (0", *_sum(sizes), ")")
    last = binding.source.tokens[binding.source.number_at(node.end) - 1]
    # The closing bracket as text: what others insert behind it is not to be written inside.
    whole = (*head, last.text.decode(), "\n)")
    binding.edit(begin, last.end, f"{quoted(SPREAD)}(", *estimate, ", ", *whole, only_bounds=True)


def bound_joined(binding: Binding, node: Node) -> None:
    """Put the estimate of its size before a text that `concat` or `concat_ws` joins."""
    if node.at is None:
        return
    call = binding.source.call_at(node.start)
    if len(call.arguments) != len(node.values):
        return
    last = binding.source.tokens[binding.source.number_at(call.end) - 1]
    name = binding.source.sql[node.start : call.inside].decode()
    separators = call.arguments[:1] * (len(node.values) - 1) * (node.name == "concat_ws")
    estimate = ("0", *_sum([*call.arguments, *separators]))
    whole = (name, (call.inside, last.start), last.text.decode(), "\n)")
    head = f"{quoted(SPREAD)}("
    binding.edit(node.start, last.end, head, *estimate, ", ", *whole, only_bounds=True)


def _sum(sizes: Iterable[Span | int]) -> Iterator[Part]:
    """Yield SQL that adds lengths: of the values at some places as text, and given ones."""
    for size in sizes:
        if isinstance(size, int):
            yield f" + {size}"
        else:
            yield from (" + coalesce(strlen((", size, ")::VARCHAR), 0)")


def _bodies(node: Node) -> Iterator[tuple[Node, frozenset[str]]]:
    """Yield each lambda's body and parameters: a comprehension with IF has three of them."""
    for value in node.values:
        if value.kind == "LAMBDA" and value.expr is not None:
            names = (ref.names[0].lower() for ref in nodes(value.lhs) if ref.kind == "COLUMN_REF")
            yield value.expr, frozenset(names)
        elif value.kind == "FUNCTION" and value.at is None:
            yield from _bodies(value)


def _sizes(body: Node, inner: frozenset[str]) -> Iterator[Span | int]:
    """Yield what of a lambda's result comes from outside: places of columns, lengths of texts."""
    if body.kind == "COLUMN_REF":
        if body.at is not None and body.names[0].lower() not in inner:
            yield body.start, body.end
    elif body.constant == "STRING":
        yield len(body.value)
    elif body.kind == "LAMBDA" and body.expr is not None:
        names = {ref.names[0].lower() for ref in nodes(body.lhs) if ref.kind == "COLUMN_REF"}
        yield from _sizes(body.expr, inner | names)
    elif not _is_small(body):
        for part in body.parts:
            yield from _sizes(part, inner)


def _is_small(node: Node) -> bool:
    """Return whether a value is one number, one truth, or one element of a list."""
    if node.kind in ("COMPARISON", "CONJUNCTION", "BETWEEN", "CONSTANT", "TYPE", "SUBQUERY"):
        return True
    if node.kind == "OPERATOR":
        return node.type in _PICKING or not node.type.startswith(("OPERATOR_CO", "ARRAY", "OP"))
    return node.kind == "FUNCTION" and is_small(node.name)


def _place(binding: Binding, node: Node) -> tuple[int, tuple[Part, ...], Span] | None:
    """Return where a list begins, its parts but the closing bracket, and the place of what it goes
    through; None where another call gives that.
    """
    source = binding.source
    if node.at is None:
        return None
    begin, last = node.start, source.tokens[source.number_at(node.end) - 1].start
    first = source.tokens[source.number_at(begin)]
    if first.text == b"[":
        listed = _listed(binding, node)
        return None if listed is None else (begin, ("[", (first.end, last)), listed)
    is_method = node.values[0].kind == "LAMBDA"
    number = source.number_at(begin) + 2 * len(node.method_of) * is_method
    call = source.call_at(source.tokens[number].start)
    rest = (call.inside, last)
    if not is_method and len(call.arguments) == len(node.values):
        name = source.sql[begin : call.inside].decode()
        return begin, (name, rest), call.arguments[0]
    if is_method and node.method_of:  # its column may be rewritten, together with the name
        return begin, ((begin, call.inside), rest), (begin, source.tokens[number - 2].end)
    return None


def _listed(binding: Binding, node: Node) -> Span | None:
    """Return the place of the list in `[... FOR x IN list IF ...]`."""
    inside = binding.source.tokens_in(node.start, node.end)[1:-1]
    depth = inside[0].depth
    words = [(n, token.word) for n, token in enumerate(inside) if token.depth == depth]
    begin = next((n for n, word in words if word == b"for"), len(inside))
    first = 1 + next((n for n, word in words if n > begin and word == b"in"), len(inside))
    last = next((n for n, word in words if n > first and word == b"if"), len(inside))
    return (inside[first].start, inside[last - 1].end) if first < last else None
