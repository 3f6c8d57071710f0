"""Bind calls of functions: one of ours becomes SQL, one of DuckDB's is let through or refused."""

from __future__ import annotations

from slicedb.errors import BindError, ParseError, SandboxError, SliceDBError, did_you_mean
from slicedb.query.bind.averages import AVERAGES, bind_average
from slicedb.query.bound.binding import Binding
from slicedb.query.bound.bound import Part
from slicedb.query.bound.scope import Scope
from slicedb.query.functions.duckdb import (
    CHANCE,
    GUARDED,
    PATTERNED,
    duckdb_functions,
    is_forbidden,
    is_wide,
)
from slicedb.query.functions.function import Call, Function
from slicedb.query.functions.registry import FUNCTIONS, function_named
from slicedb.query.language.tree import Node, nodes

_PLUGIN = "it comes from an installed package, whose author can mend it."


def refuse_scores(binding: Binding) -> None:
    """Refuse a score as a condition: DuckDB takes a number for true, and all samples match."""
    tree = binding.bound.tree
    if not binding.source.is_predicate or tree.where is None:
        return
    for part in nodes(tree.where, lambda n: n.kind == "CONJUNCTION" or n.type == "OPERATOR_NOT"):
        function = function_named(part.name, part.schema) if part.kind == "FUNCTION" else None
        if function is not None and function.is_score:
            name = function.name
            condition = "; matches(...) is a condition" if name == "similarity" else ""
            hint = f"compare it ({name}(...) > 0.3), or put ORDER BY before it{condition}."
            message = f"{name}(...) is a score, not a condition."
            raise binding.error(ParseError, message, hint, part)


def bind_call(binding: Binding, node: Node, scope: Scope) -> None:
    """Bind one call.

    Raises:
        BindError: there is no such function, or its arguments do not fit.
        SandboxError: a query may not call it, or not there.
    """
    function = function_named(node.name, node.schema)
    if function is None:
        _bind_duckdb(binding, node, scope)
        return
    if function.bind is None:
        message = f"{function.name}(...) stands inside similarity or nearest."
        hint = f"as in similarity({function.name}('...'))."
        raise binding.error(BindError, message, hint, node)
    call = Call(function, binding, node, scope)
    parts = _expanded(binding, function, call)
    binding.edit(node.start, call.place.end, *parts)


def _expanded(binding: Binding, function: Function, call: Call) -> tuple[Part, ...]:
    """Return what a call becomes; an error in the code of another package points at the call."""
    assert function.bind is not None
    if function.name in FUNCTIONS.builtin:
        sql = function.bind(call)
        return (sql,) if isinstance(sql, str) else sql
    try:
        sql = function.bind(call)
    except SliceDBError:
        raise
    except Exception as error:  # a plug-in may raise anything
        message = f"The function '{function.name}' failed: {error!r}."
        raise binding.error(BindError, message, _PLUGIN, call.node) from error
    parts = (sql,) if isinstance(sql, str) else sql
    # In brackets, so that an operator beside the call cannot reach into it.
    return "(", *parts, "\n)"


def check_function(binding: Binding, node: Node) -> None:
    """Refuse a function that DuckDB does not have, or that a query may not call."""
    name = node.name
    if is_forbidden(name):
        raise binding.error(SandboxError, f"The function '{name}' is not allowed.", "", node)
    if name in CHANCE:
        binding.bound.chance = name
    if node.schema or node.catalog:
        hint = f"write {name}(...) alone."
        raise binding.error(SandboxError, "A function is named without a schema.", hint, node)
    if name not in duckdb_functions() and not node.fields.get("is_operator"):
        hint = did_you_mean(name, [*FUNCTIONS, *duckdb_functions()], "functions")
        raise binding.error(BindError, f"No function '{name}'.", hint, node, len(name.encode()))


def _bind_duckdb(binding: Binding, node: Node, scope: Scope) -> None:
    name = node.name
    check_function(binding, node)
    if name in PATTERNED:
        _check_pattern(binding, node)
    if name in GUARDED and any(s.parameters for s in scope.chain()):
        message = f"{name} cannot stand inside a lambda."
        hint = "it would multiply what one row costs; make the list outside."
        raise binding.error(SandboxError, message, hint, node)
    binding.visit_all([*node.parts], scope)
    if name in AVERAGES and not node.is_distinct:
        bind_average(binding, node, scope)


def _check_pattern(binding: Binding, node: Node) -> None:
    """Refuse patterns that make much out of little; those of columns cannot be read."""
    pattern = node.values[0] if node.values else None
    if pattern is None or pattern.constant != "STRING" or is_wide(pattern.value):
        message = f"The pattern of {node.name} may be too wide."
        hint = "write it out, with widths up to 999."
        raise binding.error(SandboxError, message, hint, node)
