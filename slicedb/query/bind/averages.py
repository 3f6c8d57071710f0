"""Bind `avg(v3.correct)`: DuckDB averages no BOOLEAN, so it is written as one of 0 and 1."""

from __future__ import annotations

import pyarrow as pa

from slicedb.query.bound.binding import Binding
from slicedb.query.bound.boxes import MATCHED
from slicedb.query.bound.scope import Scope
from slicedb.query.functions.registry import function_named
from slicedb.query.language.tree import Node

AVERAGES = frozenset({"avg", "mean"})

_CONDITIONS = frozenset({"COMPARISON", "CONJUNCTION", "BETWEEN"})
_OPERATORS = frozenset(
    {"OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "COMPARE_IN", "COMPARE_NOT_IN"}
)


def bind_average(binding: Binding, node: Node, scope: Scope) -> None:
    """Write the argument of an average as 0 and 1 where it is known to be true or false."""
    if len(node.values) != 1 or not _is_boolean(binding, node.values[0], scope):
        return
    place = binding.source.call_at(node.start)
    end = place.arguments[0][1]
    binding.edit(place.inside - 1, place.inside, "((")
    binding.edit(end, end, ")::INT")


def _is_boolean(binding: Binding, node: Node, scope: Scope) -> bool:
    if node.kind == "FUNCTION":
        function = function_named(node.name, node.schema)
        return function is not None and function.returns == "BOOLEAN"
    if node.kind == "COLUMN_REF":
        return _is_boolean_column(binding, node.names, scope)
    return node.kind in _CONDITIONS or (node.kind == "OPERATOR" and node.type in _OPERATORS)


def _is_boolean_column(binding: Binding, names: list[str], scope: Scope) -> bool:
    column = names[-1].lower()
    in_sight = [relation for inner in scope.chain() for relation in inner.relations]
    tables = [r.table for r in in_sight if r.table is not None]
    if len(names) > 1:
        owner = names[-2].lower()
        tables = [r.table for r in in_sight if r.table is not None and r.alias.lower() == owner]
        if not tables and owner in binding.catalog.models:
            if MATCHED.get(column) == "BOOLEAN" and any(r.kind == "boxes" for r in in_sight):
                return True
            tables = [binding.catalog.model(owner)]
    types = [table.types[real] for table in tables if (real := table.column(column))]
    return bool(types) and all(map(pa.types.is_boolean, types))
