"""Bind calls of functions: one of ours becomes SQL, one of DuckDB's is let through or refused."""

from __future__ import annotations

from collections.abc import Iterable

from slicedb.errors import BindError, ParseError, SandboxError, SliceDBError, did_you_mean
from slicedb.query.bind.averages import AVERAGES, bind_average
from slicedb.query.bind.columns import bind_column, has_column
from slicedb.query.bind.spread import APPLYING, JOINING, bound_joined, bound_spread
from slicedb.query.bound.binding import Binding
from slicedb.query.bound.bound import Part
from slicedb.query.bound.scope import Scope
from slicedb.query.functions.duckdb import (
    BOUND,
    CHANCE,
    GUARDED,
    MULTIPLYING,
    PATTERNED,
    REDUCED,
    REDUCING,
    duckdb_functions,
    is_forbidden,
    is_wide,
)
from slicedb.query.functions.function import Call, Function
from slicedb.query.functions.registry import FUNCTIONS, function_named
from slicedb.query.language.tree import Node, nodes
from slicedb.sql import quoted

_SCHEMAS = frozenset("main system temp memory hot pg_catalog information_schema".split())
"""DuckDB's own schemas and catalogs, which a query does not name."""
_SEPARATED = frozenset(
    "string_agg group_concat listagg list_aggregate list_aggr array_aggregate array_aggr "
    "aggregate array_to_string array_to_string_comma_default list_string_agg".split()
)
"""Functions whose later arguments are a separator, or the settings of an aggregate."""
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
            raise binding.error(ParseError, message, hint, part, len(name))


def bind_call(binding: Binding, node: Node, scope: Scope) -> Iterable[Node]:
    """Bind one call; returns the nodes inside that are still to bind.

    Raises:
        BindError: there is no such function, or its arguments do not fit.
        SandboxError: a query may not call it, or not there.
    """
    function = function_named(node.name, node.schema)
    if function is None:
        _bind_duckdb(binding, node, scope)
        return node.parts
    if function.bind is None:
        message = f"{function.name}(...) stands inside similarity or nearest."
        hint = f"as in similarity({function.name}('...'))."
        raise binding.error(BindError, message, hint, node)
    call = Call(function, binding, node, scope)
    parts = _expanded(binding, function, call)
    binding.edit(node.start, call.place.end, *parts)
    return ()


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


def check_function(binding: Binding, node: Node, is_method: bool = False) -> None:
    """Refuse a function that DuckDB does not have, or that a query may not call."""
    name = node.name
    if is_forbidden(name):
        raise binding.error(SandboxError, f"The function '{name}' is not allowed.", "", node)
    if name in CHANCE:
        binding.bound.chance = name
    if (node.schema or node.catalog) and not is_method:
        hint = f"write {name}(...) alone."
        raise binding.error(SandboxError, "A function is named without a schema.", hint, node)
    if name not in duckdb_functions() and not node.is_operator:
        hint = did_you_mean(name, [*FUNCTIONS, *duckdb_functions()], "functions")
        at = node.at
        if is_method and at is not None:  # behind the names before it, and their dots
            at = binding.source.tokens[binding.source.number_at(at) + 2 * len(node.method_of)].start
        fact, length = f"No function '{name}'.", len(name.encode())
        raise binding.source.error(BindError, fact, hint, at=at, length=length)


def _bind_duckdb(binding: Binding, node: Node, scope: Scope) -> None:
    name = node.name
    is_method = _bind_method(binding, node, scope)
    check_function(binding, node, is_method)
    if name in PATTERNED:
        _check_pattern(binding, node, is_method)
    in_lambda = any(s.parameters for s in scope.chain())
    if name in MULTIPLYING and in_lambda and not _is_short(node):
        message = f"{name} cannot stand inside a lambda."
        hint = "it would multiply what one row costs; make the list outside."
        raise binding.error(SandboxError, message, hint, node)
    if name in REDUCING:
        _bound_reduced(binding, node)
    if name in APPLYING:
        bound_spread(binding, node)
    if name in JOINING:
        bound_joined(binding, node)
    if name == "reservoir_quantile":
        _check_reservoir(binding, node)
    if name in _SEPARATED:
        _check_separator(binding, node)
    if name in AVERAGES and not node.is_distinct:
        bind_average(binding, node, scope)


def _bound_reduced(binding: Binding, node: Node) -> None:
    """Bound what each step of a list_reduce makes, from which the next one may make twice that."""
    for step in node.values:
        if step.kind != "LAMBDA" or step.at is None:
            continue
        # The place of the body would be that of its operator.
        tokens = binding.source.tokens_in(step.start, step.end)
        begin = next(token for token in tokens if token.text in (b":", b"->"))
        head = f"{begin.text.decode()} {quoted(REDUCED)}("
        binding.edit(begin.start, begin.end, head, only_bounds=True)
        binding.edit(step.end, step.end, "\n)", only_bounds=True)


def _check_reservoir(binding: Binding, node: Node) -> None:
    """Refuse a sample that is too large: DuckDB makes room for all of it at once."""
    for size in node.values[2:]:
        if size.constant != "INTEGER" or int(size.value) > BOUND:
            hint = f"write its size out, up to {BOUND:,}; quantile_cont is exact."
            message = "The sample of reservoir_quantile may be too large."
            raise binding.error(SandboxError, message, hint, size)


def _check_separator(binding: Binding, node: Node) -> None:
    """Refuse a separator that is made: it stands between all values of a group."""
    made = [n for v in node.values[1:] for n in nodes(v) if n.kind == "FUNCTION"]
    if any(n.name in GUARDED for n in made):
        message = f"The separator of {node.name} may be too long."
        raise binding.error(SandboxError, message, "write it out.", node)


def _is_short(node: Node) -> bool:
    """Return whether a call has a size that is written out and has at most three digits."""
    if node.name in ("lpad", "rpad"):
        sizes = node.values[1:2]
    elif node.name in ("range", "generate_series"):
        sizes = node.values
    else:
        return False
    return bool(sizes) and all(s.constant == "INTEGER" and len(s.value) <= 3 for s in sizes)


def _bind_method(binding: Binding, node: Node, scope: Scope) -> bool:
    """Bind the column in `column.function()`; returns whether there is one.

    A column that is rewritten becomes the function's first argument: before a dot, it would be
    taken for a schema.
    """
    names = node.method_of
    if not names or names[0].lower() in _SCHEMAS or node.at is None:
        return False
    first = names[0].lower()
    if first == "alias":  # DuckDB's way to name a column of the select list
        return True
    in_sight = [r for s in scope.chain() for r in s.relations]
    known = (
        has_column(first, scope)
        or first in binding.catalog.models
        or any(
            r.alias.lower() == first or (r.kind == "other" and len(names) == 1) for r in in_sight
        )
        or any(first in s.parameters for s in scope.chain())
    )
    if not known:
        return len(names) == 1 and any(e.alias.lower() == first for e in scope.select_list)
    tokens = binding.source.tokens
    number = binding.source.number_at(node.start)
    last = tokens[number + 2 * len(names) - 2]  # names and the dots between them
    function = tokens[number + 2 * len(names)]
    column = Node(
        {
            "class": "COLUMN_REF",
            "type": "COLUMN_REF",
            "alias": "",
            "column_names": names,
            "query_location": node.start,
            "query_location_length": last.end - node.start,
        }
    )
    before = len(binding.bound.edits)
    bind_column(binding, column, scope)
    if len(binding.bound.edits) == before:
        return True
    place = binding.source.call_at(function.start)
    comma = ", " if place.arguments else ""
    text = function.text.decode()
    binding.edit(node.start, place.inside, f"{text}(", (node.start, last.end), comma)
    return True


def _check_pattern(binding: Binding, node: Node, is_method: bool) -> None:
    """Refuse patterns that make much out of little; those of columns cannot be read."""
    pattern = node.values[0] if node.values and not is_method else None
    if pattern is not None and pattern.constant == "NULL_LITERAL":
        return
    if pattern is None or pattern.constant != "STRING" or is_wide(pattern.value):
        message = f"The pattern of {node.name} may be too wide."
        hint = "write it out, with widths up to 999."
        raise binding.error(SandboxError, message, hint, node)
