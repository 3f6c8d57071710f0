"""Refuse texts that DuckDB would plan for minutes: no interrupt reaches it before a query runs.

What it plans takes time with the square or the cube of the number of conditions that are joined, of
subqueries, of tables in a FROM and of stars in a list. Each bound is a second or two of planning.
"""

from __future__ import annotations

from slicedb.errors import ParseError
from slicedb.query.bound.binding import Binding
from slicedb.query.language.tree import Node

_MOST_JOINED = {"CONJUNCTION_AND": 1_500, "CONJUNCTION_OR": 10_000}
_MOST_QUERIES = 128
_MOST_TABLES = 128
_MOST_STARS = 200
_WIDEST_MODE = 10_000
_LIST = "write id IN ('a', 'b', ...) or NOT IN; the list may be a parameter: id IN $ids."


def check_joined(binding: Binding, node: Node) -> None:
    """Refuse an AND or OR of too many conditions."""
    most = _MOST_JOINED[node.type]
    if len(node.children) > most:
        word = node.type.removeprefix("CONJUNCTION_")
        _refuse(binding, node, f"{word} joins {len(node.children):,} conditions", most, _LIST)


def check_queries(binding: Binding, node: Node, number: int) -> None:
    """Refuse one subquery in an expression too many."""
    if number > _MOST_QUERIES:
        hint = "join a table once, and ask it there."
        _refuse(binding, node, f"The expressions hold {number:,} subqueries", _MOST_QUERIES, hint)


def check_frame(binding: Binding, node: Node) -> None:
    """Refuse `mode` over a wide frame of rows, which it counts anew for every row."""
    if node.name != "mode":
        return
    for value in (node.start_expr, node.end_expr):
        if value is not None and value.constant == "INTEGER" and int(value.value) > _WIDEST_MODE:
            fact = f"The frame of mode reaches {int(value.value):,} rows far"
            _refuse(binding, node, fact, _WIDEST_MODE, "GROUP BY gives the mode of a group.")


def check_select(binding: Binding, node: Node, tables: int) -> None:
    """Refuse a SELECT of too many tables or stars."""
    stars = sum(entry.kind == "STAR" for entry in node.select_list)
    if tables > _MOST_TABLES:
        hint = "UNION ALL takes more of them."
        _refuse(binding, node, f"A FROM joins {tables:,} tables", _MOST_TABLES, hint)
    if stars > _MOST_STARS:
        hint = "name the columns."
        _refuse(binding, node, f"A SELECT lists {stars:,} stars", _MOST_STARS, hint)


def _refuse(binding: Binding, node: Node, fact: str, most: int, hint: str) -> None:
    message = f"{fact}, and may have {most:,}."
    raise binding.source.error(ParseError, message, hint, at=node.at)
