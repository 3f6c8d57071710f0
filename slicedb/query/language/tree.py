"""DuckDB's syntax tree, with a type for every field that SliceDB reads.

The tree is the JSON of `json_serialize_sql`, which is part of no promise of DuckDB's. This file is
the only one that knows the names in it: everywhere else a field is an attribute, and one that is
missing, or of another type, gives an error that names the version of DuckDB.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar, cast

from slicedb.errors import QueryError

_NOWHERE = 2**64 - 1
"""DuckDB's location of a node that the text does not contain, such as the implied `*` of FROM."""

TESTED = "2.0.1"
"""The version of DuckDB that the tests ran with."""

_LONG, _OFTEN = 1_000_000, 4_096
"""Characters of an answer that takes time to read, and nodes between two looks at the time."""

T = TypeVar("T")


class _Field(Generic[T]):
    """An attribute of `Node` that reads one field, and checks that it is what the code expects."""

    __slots__ = ("fits", "key")

    def __init__(self, key: str, fits: Callable[[object], bool]) -> None:
        self.key = key
        self.fits = fits

    def __get__(self, node: Node, owner: object = None) -> T:
        value = node.fields.get(self.key, _MISSING)
        if not self.fits(value):
            raise _unknown_shape(node, self.key)
        return cast(T, value)


_MISSING = object()


def _text(key: str) -> _Field[str]:
    return _Field(key, lambda value: isinstance(value, str))


def _flag(key: str) -> _Field[bool]:
    return _Field(key, lambda value: isinstance(value, bool))


def _list(key: str) -> _Field[list[object]]:
    return _Field(key, lambda value: isinstance(value, list))


def _words(key: str) -> _Field[list[str]]:
    return _Field(key, lambda value: isinstance(value, list) and all(map(_is_text, value)))


def _node(key: str) -> _Field[Node]:
    return _Field(key, _is_node)


def _optional(key: str) -> _Field[Node | None]:
    return _Field(key, lambda value: value is None or isinstance(value, Node))


def _nodes(key: str) -> _Field[list[Node]]:
    return _Field(key, lambda value: isinstance(value, list) and all(map(_is_node, value)))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_node(value: object) -> bool:
    return isinstance(value, Node)


class Node:
    """One node of the tree: an expression, a query, an entry of FROM, or a part of one of these.

    Two nodes are equal when they say the same, wherever they stand.
    """

    __slots__ = ("at", "fields", "kind", "length")

    def __init__(self, fields: dict[str, object]) -> None:
        self.fields = fields
        self.kind = str(fields.get("class", ""))
        """The class of an expression, such as COLUMN_REF; "" of everything else."""
        at = fields.pop("query_location", _NOWHERE)
        length = fields.pop("query_location_length", 0)
        if not isinstance(at, int) or not isinstance(length, int):
            raise _unknown_shape(self, "query_location")
        self.at: int | None = None if at == _NOWHERE else at
        """Offset in the text, in bytes; None where the text does not contain the node."""
        self.length = length
        """Length of its place, in bytes."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.fields == other.fields

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"Node({self.kind or self.fields.get('type', '')}, {self.fields})"

    @property
    def start(self) -> int:
        """Offset in the text of a node that the text contains."""
        if self.at is None:
            raise _unknown_shape(self, "query_location")
        return self.at

    @property
    def end(self) -> int:
        """Offset behind the node."""
        return self.start + self.length

    @property
    def parts(self) -> Iterator[Node]:
        """The nodes directly inside, from left to right."""
        for value in self.fields.values():
            if isinstance(value, Node):
                yield value
            elif isinstance(value, list):
                yield from (item for item in value if isinstance(item, Node))

    # --- every node ---------------------------------------------------------------------------

    type = _text("type")
    alias = _text("alias")

    # --- expressions --------------------------------------------------------------------------

    names = _words("column_names")
    """COLUMN_REF: its parts between dots."""
    written_name = _text("function_name")
    """FUNCTION, WINDOW: the name as written."""
    schema = _text("schema")
    """FUNCTION: what stands before the name and a dot."""
    catalog = _text("catalog")

    @property
    def method_of(self) -> list[str]:
        """FUNCTION: the names before its own, such as the column in `name.upper()`."""
        return self.path[:-1]

    is_distinct = _flag("distinct")
    filter = _optional("filter")
    order_bys = _optional("order_bys")
    children = _nodes("children")
    """CONJUNCTION, OPERATOR: the operands."""
    left = _node("left")
    """COMPARISON, JOIN."""
    right = _node("right")
    input = _node("input")
    """BETWEEN."""
    lower = _node("lower")
    upper = _node("upper")
    start_expr = _optional("start_expr")
    """WINDOW: how far its frame reaches back."""
    end_expr = _optional("end_expr")
    lhs = _node("lhs")
    """LAMBDA: its parameters."""
    expr = _optional("expr")
    """LAMBDA: its body. STAR: what COLUMNS(...) selects by."""
    syntax = _text("syntax_type")

    @property
    def is_operator(self) -> bool:
        """Whether it is a function that is written as an operator, such as `+`."""
        return bool(self.fields.get("is_operator"))

    @property
    def name(self) -> str:
        """FUNCTION, WINDOW: the name in lower case."""
        return self.written_name.lower()

    @property
    def arguments(self) -> list[tuple[str, Node]]:
        """FUNCTION: (name in lower case, "" of a positional one, value) of each argument."""
        return [(item.argument_name.lower(), item.expression) for item in self._arguments]

    @property
    def written_arguments(self) -> list[tuple[str, Node]]:
        """FUNCTION: (name as written, value) of each argument."""
        return [(item.argument_name, item.expression) for item in self._arguments]

    @property
    def values(self) -> list[Node]:
        """FUNCTION: the values of its arguments."""
        return [item.expression for item in self._arguments]

    argument_name = _text("name")
    expression = _node("expression")
    """An argument, or an entry of ORDER BY: its value."""
    _arguments = _nodes("arguments")
    _literal = _node("literal")
    _literal_kind = _text("kind")
    _literal_text = _text("text")

    @property
    def constant(self) -> str:
        """CONSTANT: STRING, INTEGER, NUMERIC, BOOLEAN, NULL_LITERAL; "" of everything else."""
        return self._literal._literal_kind if self.kind == "CONSTANT" else ""

    @property
    def value(self) -> str:
        """CONSTANT: its value as text."""
        return self._literal._literal_text

    @property
    def is_number(self) -> bool:
        """Whether it is a number that is written out."""
        return self.constant in ("INTEGER", "NUMERIC")

    # --- stars --------------------------------------------------------------------------------

    relation_name = _text("relation_name")
    """STAR: `t` of `t.*`."""
    is_columns = _flag("columns")
    """STAR: whether it is COLUMNS(...)."""
    replace_list = _nodes("replace_list")
    _exclude_list = _list("exclude_list")
    _qualified_exclude_list = _nodes("qualified_exclude_list")
    _rename_list = _nodes("rename_list")

    def star_names(self, name: str) -> bool:
        """STAR: return whether its EXCLUDE, REPLACE or RENAME speaks of a column."""
        words = [word for word in self._exclude_list if isinstance(word, str)]
        words += [column.column for column in self._qualified_exclude_list]
        words += [entry.renamed.column for entry in self._rename_list]
        words += [entry.key for entry in self.replace_list]
        return name in map(str.lower, words)

    @property
    def given_names(self) -> list[str]:
        """STAR: the names that its REPLACE and RENAME give to columns, in lower case."""
        names = [entry.key for entry in self.replace_list]
        return [name.lower() for name in [*names, *(e.new_name for e in self._rename_list)]]

    renamed = _node("key")
    """An entry of RENAME: the column, by its name and its table's."""
    column = _text("column")
    new_name = _text("value")

    @property
    def is_plain_star(self) -> bool:
        """STAR: whether it shows every column as it is."""
        changes = (self._exclude_list, self.replace_list, self._rename_list)
        return not any(changes) and not self._qualified_exclude_list

    # --- queries ------------------------------------------------------------------------------

    @property
    def is_query(self) -> bool:
        """Whether it is a SELECT, a set operation, or another query."""
        return str(self.fields.get("type", "")).endswith("_NODE")

    @property
    def is_select(self) -> bool:
        """Whether it is a SELECT."""
        return self.fields.get("type") == "SELECT_NODE"

    @property
    def ctes(self) -> list[tuple[str, Node]]:
        """Name and query of each CTE, in the order they are written."""
        if "cte_map" not in self.fields:
            return []
        return [(entry.key, entry.cte.query_node) for entry in self._cte_map.map]

    @property
    def parts_but_ctes(self) -> list[Node]:
        """The nodes directly inside a query, without its CTEs."""
        return [part for part in self.parts if part is not self.fields.get("cte_map")]

    _cte_map = _node("cte_map")
    map = _nodes("map")
    key = _text("key")
    cte = _node("value")
    query_node = _node("query_node")
    modifiers = _nodes("modifiers")
    """ORDER BY, LIMIT and DISTINCT of a query."""
    select_list = _nodes("select_list")
    from_table = _node("from_table")
    where = _optional("where_clause")
    groups = _nodes("group_expressions")
    group_sets = _list("group_sets")
    """SELECT: the sets of its GROUP BY; one that is empty for `GROUP BY ()`."""
    having = _optional("having")
    qualify = _optional("qualify")
    aggregate_handling = _text("aggregate_handling")
    set_operation = _text("setop_type")
    sample = _optional("sample")
    """SELECT, an entry of FROM: its USING SAMPLE or TABLESAMPLE."""

    @property
    def order(self) -> Node | None:
        """The ORDER BY of a query."""
        return next((m for m in self.modifiers if m.type == "ORDER_MODIFIER"), None)

    @property
    def limit(self) -> Node | None:
        """The LIMIT or OFFSET of a query, of rows or of a share of them."""
        return next((m for m in self.modifiers if "LIMIT" in m.type), None)

    orders = _nodes("orders")
    null_order = _text("null_order")
    limit_type = _text("limit_type")
    limit_rows = _optional("limit")
    offset = _optional("offset")

    # --- entries of FROM ----------------------------------------------------------------------

    column_aliases = _words("column_name_alias")
    at_clause = _optional("at_clause")
    ref_type = _text("ref_type")

    @property
    def is_table(self) -> bool:
        """Whether it is a name in a FROM."""
        return self.fields.get("type") == "BASE_TABLE"

    @property
    def is_sampled(self) -> bool:
        """Whether an entry of FROM has a TABLESAMPLE."""
        return bool(self.fields.get("sample"))

    @property
    def is_join(self) -> bool:
        """Whether it joins two entries of FROM."""
        return self.fields.get("type") == "JOIN" and not self.kind

    using_columns = _words("using_columns")
    source = _node("source")
    """PIVOT: what is turned."""
    described = _optional("query")
    """SHOW_REF: the query that DESCRIBE and SUMMARIZE speak of."""
    function = _node("function")
    """TABLE_FUNCTION: the call."""
    _subquery = _node("subquery")
    _qualified_name = _node("qualified_name")
    _path = _words("path")

    @property
    def path(self) -> list[str]:
        """BASE_TABLE, FUNCTION: its name's parts between dots."""
        return self._qualified_name._path

    @property
    def subquery(self) -> Node:
        """SUBQUERY: the query."""
        return self._subquery.query

    # --- the answer to a text -----------------------------------------------------------------

    statements = _nodes("statements")
    query = _node("node")
    """A statement: its query."""
    named_parameters = _list("named_param_map")

    @property
    def is_error(self) -> bool:
        """Whether DuckDB could not parse the text."""
        return bool(self.fields.get("error"))

    @property
    def error_message(self) -> str:
        """What is wrong with the text."""
        return str(self.fields.get("error_message", "the text does not parse"))

    @property
    def error_at(self) -> int | None:
        """Where it is wrong, in bytes; None where DuckDB does not say."""
        position = str(self.fields.get("position", ""))
        return int(position) if position.isdigit() else None


def read_tree(answer: str, check: Callable[[], None] | None = None) -> Node:
    """Return the tree of what `json_serialize_sql` answers.

    Args:
        answer: JSON.
        check: raises when the time is used up; asked now and then where the answer is long.

    Raises:
        RecursionError: it is nested too deeply.
    """
    read: Callable[[dict[str, object]], Node] = Node
    if check is not None and len(answer) > _LONG:
        made, look = itertools.count(), check

        def read(fields: dict[str, object]) -> Node:
            if next(made) % _OFTEN == 0:
                look()
            return Node(fields)

    tree = json.loads(answer, object_hook=read)
    assert isinstance(tree, Node)
    return tree


def nodes(
    tree: Node | Iterable[Node], into: Callable[[Node], bool] | None = None
) -> Iterator[Node]:
    """Yield the nodes of a tree: outside before inside, left before right.

    Args:
        tree: a node, or several.
        into: whether to go into a node; all of them by default.
    """
    waiting = [tree] if isinstance(tree, Node) else [*tree][::-1]
    while waiting:
        node = waiting.pop()
        yield node
        if node.kind != "CONSTANT" and (into is None or into(node)):
            waiting += [*node.parts][::-1]


def _unknown_shape(node: Node, key: str) -> QueryError:
    """Return the error of a DuckDB whose tree is another one."""
    import duckdb

    shown = node.fields.get("class") or node.fields.get("type") or "a part of the query"
    return QueryError(
        f"DuckDB {duckdb.__version__} describes a query in a way that this SliceDB does not know: "
        f"{shown} without '{key}'.",
        f"install the version it was tested with, `pip install duckdb=={TESTED}`, or a newer "
        "SliceDB.",
    )
