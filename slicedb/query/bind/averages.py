"""`avg(v3.correct)`: DuckDB has no average of BOOLEAN, so one is written as that of 0 and 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from slicedb.query.bound.bound import Edit
from slicedb.query.bound.boxes import MATCHED
from slicedb.query.bound.scope import Scope
from slicedb.query.functions import calls
from slicedb.query.functions.words import BY_NAME
from slicedb.query.language.parse import Node

if TYPE_CHECKING:
    from slicedb.query.bind.bind import Binder

NAMES = frozenset({"avg", "mean"})

_CONDITIONS = frozenset({"COMPARISON", "CONJUNCTION", "BETWEEN"})
_OPERATORS = frozenset(
    {"OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "COMPARE_IN", "COMPARE_NOT_IN"}
)


def of_truth(binder: Binder, node: Node, scope: Scope) -> None:
    """Write the argument of an average as 0 and 1 where it is known to be true or false."""
    arguments = [argument["expression"] for argument in node["arguments"]]
    if len(arguments) != 1 or not _is_truth(binder, arguments[0], scope):
        return
    tokens = binder.source.tokens
    start = int(node["query_location"])
    _, spans = calls.spans(tokens, start)
    opened = next(token for token in tokens if token.start >= start and token.text == b"(")
    binder.bound.edits.append(Edit(opened.start, opened.end, ("((",)))
    binder.bound.edits.append(Edit(spans[0][1], spans[0][1], (")::INT",)))


def _is_truth(binder: Binder, node: Node, scope: Scope) -> bool:
    kind = node["class"]
    if kind == "FUNCTION":
        word = BY_NAME.get(str(node["function_name"]).lower())
        return word is not None and word.returns == "BOOLEAN"
    if kind == "COLUMN_REF":
        return _is_truth_column(binder, node["column_names"], scope)
    return kind in _CONDITIONS or (kind == "OPERATOR" and node["type"] in _OPERATORS)


def _is_truth_column(binder: Binder, names: list[str], scope: Scope) -> bool:
    column = names[-1].lower()
    in_sight = [relation for inner in scope.chain() for relation in inner.relations]
    tables = [r.table for r in in_sight if r.table is not None]
    if len(names) > 1:
        owner = names[-2].lower()
        tables = [r.table for r in in_sight if r.table is not None and r.alias.lower() == owner]
        if not tables and owner in binder.catalog.models:
            if MATCHED.get(column) == "BOOLEAN" and any(r.kind == "boxes" for r in in_sight):
                return True
            tables = [binder.catalog.model(owner)]
    kinds = [table.types[real] for table in tables if (real := table.column(column))]
    return bool(kinds) and all(pa.types.is_boolean(found) for found in kinds)
