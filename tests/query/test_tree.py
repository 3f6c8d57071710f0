"""DuckDB's tree: typed fields, one walk, and one clear error where it is another one."""

from __future__ import annotations

import json

import duckdb
import pytest

from slicedb.errors import QueryError
from slicedb.query.language.parse import parse
from slicedb.query.language.tree import Node, nodes, read_tree


def tree(text: str) -> Node:
    return parse(text, duckdb.connect()).tree


def test_fields_have_names_and_places() -> None:
    select = tree("SELECT a.b AS c, count(DISTINCT x) FROM t WHERE y > -2.5 ORDER BY 1 LIMIT 3")
    first, second = select.select_list
    assert (first.kind, first.names, first.alias) == ("COLUMN_REF", ["a", "b"], "c")
    assert (first.start, first.end) == (7, 10)
    assert (second.name, second.is_distinct, second.values[0].names) == ("count", True, ["x"])
    assert select.where is not None and select.where.right.value == "-2.5"
    assert select.where.right.is_number and not select.where.left.is_number
    assert select.order is not None and select.order.orders[0].expression.value == "1"
    assert select.limit is not None and select.limit.limit_rows == Node(
        json.loads(
            '{"class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": ""}',
        )
        | {"literal": Node({"kind": "INTEGER", "text": "3"})}
    )


def test_nodes_are_equal_when_they_say_the_same_elsewhere() -> None:
    one, other = tree("SELECT a + 1 FROM t"), tree("SELECT    a+1 FROM t")
    assert one == other and one.select_list[0].at != other.select_list[0].at
    assert one != tree("SELECT a + 2 FROM t")


def test_a_walk_goes_outside_in_and_left_to_right() -> None:
    select = tree("SELECT f(a, g(b)), (SELECT h(c)) FROM t")
    calls = [n.name for n in nodes(select) if n.kind == "FUNCTION"]
    assert calls == ["f", "g", "h"]
    outer = nodes(select.select_list, lambda n: n.kind != "SUBQUERY")
    assert [n.name for n in outer if n.kind == "FUNCTION"] == ["f", "g"]


def test_a_cte_and_a_star_and_a_table_have_their_fields() -> None:
    select = tree("WITH w AS (SELECT 1) SELECT s.* EXCLUDE (a) FROM m.matches AS s")
    assert [name for name, _ in select.ctes] == ["w"]
    star = select.select_list[0]
    assert (star.relation_name, star.is_columns, star.is_plain_star) == ("s", False, False)
    assert (select.from_table.path, select.from_table.alias) == (["m", "matches"], "s")


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        ('{"class": "COLUMN_REF", "query_location": 1}', "names"),
        ('{"class": "COLUMN_REF", "column_names": "a"}', "names"),
        ('{"class": "COLUMN_REF", "column_names": [1]}', "names"),
        ('{"class": "FUNCTION", "arguments": [{"name": "", "value": {}}]}', "values"),
        ('{"class": "COLUMN_REF"}', "start"),
        ('{"type": "SELECT_NODE", "where_clause": 3}', "where"),
    ],
)
def test_another_tree_is_one_clear_error(answer: str, field: str) -> None:
    with pytest.raises(QueryError, match=r"DuckDB [\d.]+ describes .* in a way .*pip install"):
        getattr(read_tree(answer), field)
