"""Name the columns of a result as the user wrote them."""

from __future__ import annotations

import bisect

from slicedb.query.bound.binding import Binding
from slicedb.query.functions.registry import function_named
from slicedb.query.language.text import Source, Span
from slicedb.query.language.tree import Node, nodes
from slicedb.sql import quoted

_ENDS = frozenset(b"from where group having window qualify order limit offset fetch using".split())


def name_columns(binding: Binding) -> None:
    """Let each entry of the outermost SELECT that was rewritten keep its own text as its name.

    DuckDB names a column after the SQL that it runs, which would show the loaded tables.
    """
    tree = binding.bound.tree
    if tree.type != "SELECT_NODE":
        return
    entries = _entries(binding.source)
    if len(entries) != len(tree.select_list):
        return
    places = sorted(edit.start for edit in binding.bound.edits)
    for node, (start, end) in zip(tree.select_list, entries):
        is_rewritten = bisect.bisect_left(places, start) < bisect.bisect_left(places, end)
        if is_rewritten and not node.alias and not _is_named(node):
            text = " ".join(binding.source.sql[start:end].decode().split())
            binding.edit(end, end, f" AS {quoted(text)}")


def _is_named(node: Node) -> bool:
    """Return whether an entry has its names from elsewhere: columns, stars and our own calls."""
    is_ours = node.kind == "FUNCTION" and function_named(node.name, node.schema) is not None
    return is_ours or node.kind == "COLUMN_REF" or _has_star(node)


def _has_star(node: Node) -> bool:
    parts = nodes(node, lambda n: n.kind != "SUBQUERY")
    return any(part.kind == "STAR" for part in parts)


def _entries(source: Source) -> list[Span]:
    """Return the place of each entry of the outermost SELECT; none where it is not written."""
    tokens = source.outermost()
    words = [token.word for token in tokens]
    if b"select" not in words:
        return []
    begin = words.index(b"select") + 1
    stop = next((n for n in range(begin, len(words)) if words[n] in _ENDS), len(words))
    spans: list[Span] = []
    for number in range(begin, stop + 1):
        if number == stop or words[number] == b",":
            if begin < number:
                spans.append((tokens[begin].start, tokens[number - 1].end))
            begin = number + 1
    return spans
