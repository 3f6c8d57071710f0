"""Name the columns of a result as the user wrote them."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence

from slicedb.query.bound.binding import Binding
from slicedb.query.bound.bound import Edit
from slicedb.query.functions.registry import function_named
from slicedb.query.language.text import Source, Span, Token
from slicedb.query.language.tree import Node, nodes
from slicedb.sql import quoted

_ENDS = frozenset(
    b"""
    from where group having window qualify order limit offset fetch using union intersect except
    """.split()
)


def name_columns(binding: Binding) -> None:
    """Let each entry of a select list that was rewritten keep its own text as its name.

    DuckDB names a column after the SQL that it runs, which would show the loaded tables. In a
    subquery an entry has the name that DuckDB gives to its text.
    """
    tree = binding.bound.tree
    lists = list(_lists(binding.source))
    edits = sorted(binding.bound.edits, key=lambda edit: edit.start)
    places = [edit.start for edit in edits]
    if not lists or not edits:
        return
    for select in _selects(tree):
        shown = _list_of(select, lists)
        if shown is None:
            continue
        lists.remove(shown)
        for node, (start, end) in zip(select.select_list, shown):
            inside = edits[bisect.bisect_left(places, start) : bisect.bisect_left(places, end)]
            if inside and not node.alias and not _is_named(node):
                name = _name(binding, start, end, inside, is_top=select is tree)
                binding.edit(end, end, f" AS {quoted(name)}")


def _name(binding: Binding, start: int, end: int, inside: list[Edit], is_top: bool) -> str:
    text = binding.source.sql[start:end].decode()
    is_plain = all(edit.only_bounds for edit in inside)
    return " ".join(text.split()) if is_top and not is_plain else binding.heading(text)


def _is_named(node: Node) -> bool:
    """Return whether an entry has its names from elsewhere: columns, stars and our own calls."""
    is_ours = node.kind == "FUNCTION" and function_named(node.name, node.schema) is not None
    return is_ours or node.kind == "COLUMN_REF" or _has_star(node)


def _has_star(node: Node) -> bool:
    parts = nodes(node, lambda n: n.kind != "SUBQUERY")
    return any(part.kind == "STAR" for part in parts)


def _selects(tree: Node) -> Iterator[Node]:
    """Return each SELECT, those outside before those inside."""
    return (node for node in nodes(tree) if node.is_select and node.select_list)


def _list_of(select: Node, lists: list[list[Span]]) -> list[Span] | None:
    """Return the widest list that holds the entries; those around it are taken already."""
    places = [_place(entry) for entry in select.select_list]
    at = next((place for place in places if place is not None), None)
    if at is None:
        return None
    around = [shown for shown in lists if shown[0][0] <= at < shown[-1][1]]
    shown = max(around, key=lambda s: s[-1][1] - s[0][0], default=None)
    if shown is None or len(shown) != len(places):
        return None
    both = zip(places, shown)
    return shown if all(p is None or start <= p < end for p, (start, end) in both) else None


def _place(entry: Node) -> int | None:
    """Return a place in an entry; None where the text does not have it."""
    return next((node.at for node in nodes(entry) if node.at is not None), None)


def _lists(source: Source) -> Iterator[list[Span]]:
    """Return the place of each select list that is written."""
    tokens = source.tokens
    for number, token in enumerate(tokens):
        if token.word == b"select":
            entries = list(_entries(tokens, number + 1, token.depth))
            if entries:
                yield entries


def _entries(tokens: Sequence[Token], begin: int, depth: int) -> Iterator[Span]:
    """Return the place of each entry of the select list that begins at a token."""
    if begin < len(tokens) and tokens[begin].word in (b"distinct", b"all"):
        begin += 1
        if tokens[begin].word == b"on":  # and its brackets
            begin = next(n + 1 for n in range(begin + 2, len(tokens)) if tokens[n].depth == depth)
    first = begin
    for number in range(begin, len(tokens) + 1):
        token = tokens[number] if number < len(tokens) else None
        if token is not None and token.depth > depth:
            continue
        is_last = token is None or token.depth < depth or token.word in _ENDS | {b";"}
        if token is not None and token.word == b"from" and tokens[number - 1].word == b"distinct":
            is_last = number == begin  # IS DISTINCT FROM
        if token is None or is_last or token.word == b",":
            if first < number:
                yield tokens[first].start, tokens[number - 1].end
            first = number + 1
        if is_last:
            return
