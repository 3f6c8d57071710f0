"""Bind queries and expressions: walk the tree with the scopes of SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from slicedb.errors import SandboxError
from slicedb.query.bind.calls import bind_call, check_function
from slicedb.query.bind.columns import bind_class, bind_column, has_column, read
from slicedb.query.bind.sizes import check_frame, check_joined, check_queries, check_select
from slicedb.query.bind.stars import bind_star, shown_by
from slicedb.query.bind.tables import bind_table, bind_table_function, other
from slicedb.query.bound.binding import Binding
from slicedb.query.bound.relation import KEY, Relation, Stars
from slicedb.query.bound.scope import Output, Scope
from slicedb.query.functions.duckdb import duckdb_functions
from slicedb.query.functions.registry import function_named
from slicedb.query.language.parse import INFO
from slicedb.query.language.tree import Node, nodes
from slicedb.sql import quoted


def bind_names(binding: Binding) -> None:
    """Bind every name and every call of a text.

    Raises:
        BindError: a name does not exist, or stands where it cannot.
        SandboxError: the text reaches for files or internals.
    """
    tree = binding.bound.tree
    _bind_query(binding, tree, None, {}, outermost=True)


def visit(binding: Binding, node: Node, scope: Scope) -> None:
    """Bind an expression, and whatever stands inside.

    What is left to bind waits in a list, since `a || b || ...` nests as deep as it is long.
    """
    waiting = [node]
    while waiting:
        node = waiting.pop()
        binding.step()
        if node.is_query:
            check_queries(binding, node, next(binding.queries))
            _bind_query(binding, node, scope, scope.ctes)
        elif node.kind == "CONSTANT":
            continue
        elif handler := _HANDLERS.get(node.kind):
            waiting += [*handler(binding, node, scope)][::-1]
        else:
            waiting += [*node.parts][::-1]


# --- queries --------------------------------------------------------------------------------------


def _bind_query(
    binding: Binding,
    node: Node,
    parent: Scope | None,
    ctes: dict[str, Output],
    outermost: bool = False,
    opened: int | None = None,
) -> Output:
    """Bind a query; returns what is known of its columns."""
    ctes = dict(ctes)
    for name, inner in node.ctes:
        is_recursive = inner.type == "RECURSIVE_CTE_NODE"
        own = {name.lower(): Output()} if is_recursive else {}
        ctes[name.lower()] = _bind_query(binding, inner, parent, ctes | own)
    scope = Scope(parent, ctes, node, outermost, opened)
    if node.type == "SELECT_NODE":
        return _bind_select(binding, node, scope)
    outputs = []
    for part in node.parts_but_ctes:
        if part.is_query:
            outputs.append(_bind_query(binding, part, scope, ctes, outermost))
        else:
            ordering = [o.expression for o in part.orders] if part is node.order else [*part.parts]
            binding.visit_all([o for o in ordering if not _is_of_first(binding, o)], scope)
    first = next(iter(outputs), Output())
    sides = [Relation("other", "", names=side.names, stars=side.stars) for side in outputs]
    return Output(first.names, Stars(sides, is_union=True))


def _is_of_first(binding: Binding, ordering: Node) -> bool:
    """Return whether an ORDER BY of a UNION names a column of its first SELECT, as in `t.x`."""
    is_dotted = ordering.kind == "COLUMN_REF" and len(ordering.names) > 1
    return is_dotted and ordering.names[0].lower() not in binding.catalog.models


def _bind_select(binding: Binding, node: Node, scope: Scope) -> Output:
    if node.sample is not None:
        binding.bound.chance = "USING SAMPLE"
    conditions = _bind_from(binding, node.from_table, scope)
    check_select(binding, node, len(scope.relations))
    is_top = scope.outermost and node is binding.bound.tree
    _find_samples(binding, node, scope, is_top)
    for expression in node.select_list:
        _bind_selected(binding, expression, scope, is_top)
    binding.visit_all(conditions, scope)
    if node.having is not None:
        scope.clause = "having"
        visit(binding, node.having, scope)
        scope.clause = ""
    done = {*map(id, (node.from_table, node.having, *node.select_list, *node.modifiers))}
    binding.visit_all([p for p in node.parts_but_ctes if id(p) not in done], scope)
    for modifier in node.modifiers:
        ordering = [o.expression for o in modifier.orders] if modifier is node.order else None
        parts = [*modifier.parts] if ordering is None else ordering
        binding.visit_all([p for p in parts if not _is_of_select_list(p, node)], scope)
    return _output(binding, node, scope)


def _is_of_select_list(ordering: Node, select: Node) -> bool:
    """Return whether an entry of ORDER BY speaks of the select list: an alias, `*` or ALL."""
    if ordering.kind == "POSITIONAL_REFERENCE":
        return True
    if ordering.kind == "STAR":
        return not ordering.is_columns or ordering.at is None
    if ordering.kind != "COLUMN_REF" or len(ordering.names) > 1:
        return False
    return any(e.alias.lower() == ordering.names[0].lower() for e in select.select_list)


def _output(binding: Binding, node: Node, scope: Scope) -> Output:
    """Return what is known of the columns of a SELECT."""
    names: set[str] = set()
    for expression in node.select_list:
        if expression.kind == "STAR":
            for relation in shown_by(expression, scope):
                names |= relation.table.lower.keys() - {KEY} if relation.table else relation.names
            names |= {*expression.given_names}
        elif expression.alias:
            names.add(expression.alias.lower())
        elif expression.kind == "COLUMN_REF":
            names.add(expression.names[-1].lower())
    return Output(frozenset(names), scope.stars)


def _find_samples(binding: Binding, node: Node, scope: Scope, top: bool) -> None:
    """Note the samples relation whose stored order decides where the text leaves ties.

    The outermost SELECT over samples alone is `bound.top`: its rows are the rows of the result,
    one by one. Of inner SELECTs, and of joins, the order matters where the text speaks of it.
    """
    samples = [r for r in scope.relations if r.kind == "samples"]
    if len(samples) != 1 or not _has_rows_of_from(node):
        return
    if top and node.from_table.type == "BASE_TABLE":
        binding.bound.top = samples[0]
    elif node.limit or node.order:
        binding.bound.ranked.append((node, samples[0]))
    else:
        return
    samples[0].row = True


def _has_rows_of_from(node: Node) -> bool:
    """Return whether each row of a SELECT is a row of its FROM: of samples, or of a join."""
    tables = [*nodes(node.from_table, lambda ref: ref.type == "JOIN")]
    return (
        node.from_table.type in ("BASE_TABLE", "JOIN")
        and not any(ref.type == "BASE_TABLE" and ref.column_aliases for ref in tables)
        and not any(ref.is_sampled for ref in tables)
        and not (node.groups or node.group_sets or node.having or node.sample)
        and node.aggregate_handling != "FORCE_AGGREGATES"
        and not any("DISTINCT" in m.type for m in node.modifiers)
        and not any(map(_changes_rows, [*node.select_list, *node.modifiers]))
    )


def _changes_rows(tree: Node) -> bool:
    """Return whether an expression makes one row of many, or many of one; subqueries do not."""
    return any(
        node.kind == "FUNCTION"
        and (node.name in ("unnest", "unlist") or duckdb_functions().get(node.name))
        for node in nodes(tree, lambda n: n.kind != "SUBQUERY")
    )


# --- FROM -----------------------------------------------------------------------------------------


def _bind_from(binding: Binding, ref: Node, scope: Scope) -> list[Node]:
    """Bind an entry of a FROM; returns the expressions to bind when all entries are known."""
    if ref.is_sampled:
        binding.bound.chance = "TABLESAMPLE"
    if ref.type == "BASE_TABLE":
        bind_table(binding, ref, scope)
    elif ref.type == "TABLE_FUNCTION":
        bind_table_function(binding, ref, scope)
    elif ref.type == "JOIN":
        before = len(scope.relations)
        later = _bind_from(binding, ref.left, scope) + _bind_from(binding, ref.right, scope)
        if ref.ref_type == "NATURAL":
            _read_whole(scope)
        for relation in scope.relations[before:]:
            read([name for name in ref.using_columns if name.lower() != KEY], relation)
            if KEY in map(str.lower, ref.using_columns):
                relation.name_key()
        return later + [p for p in ref.parts if p is not ref.left and p is not ref.right]
    elif ref.type == "PIVOT":
        later = _bind_from(binding, ref.source, scope)
        _read_whole(scope)
        return later + [part for part in ref.parts if part is not ref.source]
    elif ref.type == "SUBQUERY":
        opened = _opening(binding, ref)
        output = _bind_query(binding, ref.subquery, scope, scope.ctes, opened=opened)
        scope.relations.append(other(ref, output))
    elif ref.type == "SHOW_REF" and ref.described is not None:
        _bind_query(binding, ref.described, scope, scope.ctes)
        scope.relations.append(Relation("other", ref.alias))
    elif ref.type in ("EMPTY", "EXPRESSION_LIST", "COLUMN_DATA", "DELIM_GET"):
        if ref.type == "EXPRESSION_LIST":
            scope.relations.append(Relation("other", ref.alias))
        return [*ref.parts]
    else:
        raise _not_allowed(binding, ref)
    return []


def _not_allowed(binding: Binding, ref: Node) -> SandboxError:
    """Return the error of an entry of a FROM that a query cannot have."""
    if ref.type != "SHOW_REF":
        word = ref.type.replace("_", " ").title()
        return binding.error(SandboxError, f"{word} is not allowed in a query.", "", ref)
    words = (b"show", b"describe", b"desc", b"summarize")
    at = next((token.start for token in binding.source.tokens if token.word in words), None)
    fact = "A list of tables is not allowed in a query."
    return binding.source.error(SandboxError, fact, INFO, at=at)


def _opening(binding: Binding, ref: Node) -> int | None:
    """Return where a query in a FROM has its bracket; None of one that DuckDB itself puts there."""
    if ref.at is None:  # around the query of array(SELECT ...)
        return None
    after = binding.source.tokens[binding.source.number_at(ref.at) :]
    return next(token.start for token in after if token.text == b"(")


def _read_whole(scope: Scope) -> None:
    """Note that every column is read: NATURAL, PIVOT and `#2` go by the columns that there are."""
    for relation in scope.relations:
        relation.all_columns = True


# --- expressions ----------------------------------------------------------------------------------


def _bind_selected(binding: Binding, node: Node, scope: Scope, top: bool) -> None:
    """Bind one entry of a select list; what is rewritten keeps the name that users know."""
    if node.kind == "STAR":
        scope.stars.relations += shown_by(node, scope)
    if node.kind == "STAR" and not node.is_columns:
        binding.visit_all(_bind_star(binding, node, scope, top), scope)
        return
    edits = binding.bound.edits
    before = len(edits)
    scope.naming = node.alias.lower()
    visit(binding, node, scope)
    scope.naming = ""
    if len(edits) == before or node.alias:
        return
    if node.kind == "COLUMN_REF":
        shown = ".".join(node.names[-2:]) if top else node.names[-1]
        binding.edit(edits[-1].end, edits[-1].end, f" AS {quoted(shown)}")
    elif node.kind == "FUNCTION" and function_named(node.name, node.schema) is not None:
        end = binding.source.call_at(node.start).end
        text = " ".join(binding.source.sql[node.start : end].decode().split())
        shown = text.replace('"using"', "using")
        binding.edit(end, end, f" AS {quoted(shown)}")


# Each of these returns the nodes inside that are still to bind, in the same scope.


def _bind_star(binding: Binding, star: Node, scope: Scope, top: bool = False) -> Iterable[Node]:
    bind_star(binding, star, scope, top)
    if star.is_columns and star.expr is not None and star.expr.at is None:
        # COLUMNS(lambda c: ...) is a filter of a star that the text does not contain.
        return [part for value in star.expr.values for part in value.parts]
    return star.parts


def _bind_reference(binding: Binding, node: Node, scope: Scope) -> Iterable[Node]:
    bind_column(binding, node, scope)
    return ()


def _bind_conjunction(binding: Binding, node: Node, scope: Scope) -> Iterable[Node]:
    check_joined(binding, node)
    return node.parts


def _bind_operator(binding: Binding, node: Node, scope: Scope) -> Iterable[Node]:
    """Bind an operator, which `model.probabilities['class']` may be."""
    is_class = node.type == "ARRAY_EXTRACT" and bind_class(binding, node, scope)
    return () if is_class else node.parts


def _bind_position(binding: Binding, node: Node, scope: Scope) -> Iterable[Node]:
    """Bind `#2`, the second column of a FROM: all of its columns have to stand there."""
    _read_whole(scope)
    return ()


def _bind_window(binding: Binding, node: Node, scope: Scope) -> Iterable[Node]:
    check_function(binding, node)
    check_frame(binding, node)
    return node.parts


def _bind_lambda(binding: Binding, node: Node, scope: Scope) -> Iterable[Node]:
    names = [ref.names[0] for ref in nodes(node.lhs) if ref.kind == "COLUMN_REF"]
    is_arrow = node.syntax != "LAMBDA_KEYWORD"
    if is_arrow and any(has_column(name, scope) for name in names):
        visit(binding, node.lhs, scope)  # `a -> 'path'` is JSON when a is a column
    before = len(scope.parameters)
    scope.parameters += [name.lower() for name in names]
    if node.expr is not None:
        visit(binding, node.expr, scope)
    del scope.parameters[before:]
    return ()


_HANDLERS: dict[str, Callable[[Binding, Node, Scope], Iterable[Node]]] = {
    "COLUMN_REF": _bind_reference,
    "CONJUNCTION": _bind_conjunction,
    "FUNCTION": bind_call,
    "LAMBDA": _bind_lambda,
    "STAR": _bind_star,
    "OPERATOR": _bind_operator,
    "POSITIONAL_REFERENCE": _bind_position,
    "WINDOW": _bind_window,
}
"""Class of an expression to what binds it; the others are bound part by part."""
