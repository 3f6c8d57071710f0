"""Print the queries of a table: whole where they are short, else their beginning and a note."""

from __future__ import annotations

from collections.abc import Iterable

LONG = 160
"""Characters from which on only half as many of a query are printed."""
_CUT = " ..."


def clipped(query: str, long: int = LONG) -> str:
    """Return a query as a table prints it.

    >>> clipped("id IN ('a', 'b', 'c', 'd')", 20)
    "id IN ('a' ..."
    """
    return query if len(query) < long else f"{query[: long // 2]}{_CUT}"


def note(queries: Iterable[str], where: str, long: int = LONG) -> list[str]:
    """Return the line that says where clipped queries are whole, or no line if none is clipped.

    Args:
        queries: of a table, whole.
        where: the way to all of it, such as "-f json".
        long: as `clipped` has it.

    >>> note(["id IN ('a', 'b', 'c', 'd')"], "-f json", 20)
    ['A query that ends in ... is whole with -f json.']
    >>> note(["label = 'a'"], "-f json")
    []
    """
    is_clipped = any(len(query) >= long for query in queries)
    return [f"A query that ends in{_CUT} is whole with {where}."] if is_clipped else []
