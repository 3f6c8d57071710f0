"""Bind the entries of a FROM: samples, models, tables of boxes, table functions."""

from __future__ import annotations

from slicedb.errors import BindError, SandboxError, did_you_mean
from slicedb.query.bound import boxes
from slicedb.query.bound.binding import Binding
from slicedb.query.bound.relation import Matching, Relation
from slicedb.query.bound.scope import Output, Scope
from slicedb.query.functions.duckdb import TABLE_FUNCTIONS
from slicedb.query.language.tree import Node
from slicedb.schema import SAMPLES
from slicedb.sql import quoted

_JSON = frozenset("key value type atom id parent fullkey path".split())
"""Columns of json_each and json_tree."""
_INSTEAD = dict.fromkeys(
    ("histogram", "histogram_values"),
    "it reads a table by name; the aggregate does without: SELECT histogram(lux) FROM samples.",
)
"""Table functions that are refused, to the way out."""
_FILE_SIGNS = ("/", "\\", ".", ":", "*")


def bind_table(binding: Binding, ref: Node, scope: Scope) -> None:
    """Bind a name in a FROM.

    Raises:
        BindError: there is no such table.
        SandboxError: it names a file.
    """
    path = ref.path
    if ref.at_clause is not None:
        raise binding.error(BindError, "AT is not part of a query.", "ask with at=.", ref)
    is_recurring = len(path) == 2 and path[0].lower() == "recurring"
    if (len(path) == 1 or is_recurring) and path[-1].lower() in scope.ctes:
        output = scope.ctes[path[-1].lower()]
        scope.relations.append(other(ref, output, path[-1]))
        return
    relation = _relation(binding, path, ref)
    if relation is None:
        raise _no_table(binding, path, ref, scope)
    first = _after_alias(binding, ref)
    last = first + 2 * len(path) - 2  # names and the dots between them
    _place(binding, relation, ref, scope, ref.start, binding.source.tokens[last].end)


def bind_table_function(binding: Binding, ref: Node, scope: Scope) -> None:
    """Bind a call in a FROM: one of DuckDB's that reads nothing, or `model.matches(...)`.

    Raises:
        SandboxError: it is another one.
        BindError: the options of a matching do not fit.
    """
    call = ref.function
    if call.schema.lower() in binding.catalog.models and boxes.is_word(call.name):
        matching = boxes.matching_of(binding.catalog, call.schema, *_rule(binding, ref))
        relation = _boxes(binding, call.schema, call.name, ref.alias or call.name, ref, matching)
        _place(binding, relation, ref, scope, ref.start, binding.source.call_at(ref.start).end)
        return
    if call.name not in TABLE_FUNCTIONS:
        message = f"The table function '{call.name}' is not allowed in a query."
        raise binding.error(SandboxError, message, _INSTEAD.get(call.name, ""), ref)
    binding.visit_all(call.values, scope)
    names = _JSON if call.name.startswith("json_") else frozenset()
    scope.relations.append(other(ref, Output(names), call.name))


def other(ref: Node, output: Output, name: str = "") -> Relation:
    """Return a relation that is none of ours: a CTE, a subquery, a table function."""
    names = output.names | {alias.lower() for alias in ref.column_aliases}
    return Relation("other", ref.alias or name, names=names, stars=output.stars)


def _relation(binding: Binding, path: list[str], ref: Node) -> Relation | None:
    """Return the relation that a path of names speaks of."""
    catalog, name = binding.catalog, path[-1]
    alias = ref.alias or name
    if len(path) == 1:
        if name.lower() == SAMPLES:
            return Relation("samples", alias, catalog.samples)
        if name.lower() == boxes.TRUTH:
            return boxes.truth(catalog, alias)
        if name.lower() in catalog.models:
            return Relation("model", alias, catalog.model(name), catalog.models[name.lower()])
    if len(path) == 2 and boxes.is_word(name) and path[0].lower() in catalog.models:
        return _boxes(binding, path[0], name, alias, ref)
    return None


def _boxes(
    binding: Binding,
    model: str,
    name: str,
    alias: str,
    ref: Node,
    matching: Matching | None = None,
) -> Relation:
    """Return a relation of a detector's boxes."""
    if not boxes.has_boxes(binding.catalog, model):
        message = f"The model '{model}' has no {name.lower()}."
        raise binding.error(BindError, message, "only detectors have them.", ref)
    make = boxes.matches if name.lower() == boxes.MATCHES else boxes.found
    return make(binding.catalog, model, alias, matching)


def _after_alias(binding: Binding, ref: Node) -> int:
    """Return the number of the token that names a relation, behind the alias of `b: samples`."""
    first, tokens = binding.source.number_at(ref.start), binding.source.tokens
    has_alias = first + 1 < len(tokens) and tokens[first + 1].text == b":"
    return first + 2 if has_alias else first


def _place(
    binding: Binding, relation: Relation, ref: Node, scope: Scope, start: int, end: int
) -> None:
    """Write a relation in place of its name, and let the SELECT see it."""
    relation.all_columns = bool(ref.column_aliases)
    relation.aliases = tuple(ref.column_aliases)
    scope.relations.append(relation)
    binding.bound.relations.append(relation)
    first = binding.source.number_at(ref.start)
    is_behind = ref.alias and first == _after_alias(binding, ref)
    alias = "" if is_behind else f" AS {quoted(relation.alias)}"
    binding.edit(start, end, relation, alias)


def _no_table(
    binding: Binding, path: list[str], ref: Node, scope: Scope
) -> BindError | SandboxError:
    name, models = ".".join(path), binding.catalog.models
    if any(sign in path[0] for sign in _FILE_SIGNS):
        message = f"A query cannot read the file '{name}'."
        return binding.error(SandboxError, message, "`slicedb ingest` brings data in.", ref)
    choices = [SAMPLES, boxes.TRUTH, *models.values(), *scope.ctes]
    if path[0].lower() in models:
        choices = [f"{path[0]}.{word}" for word in boxes.WORDS]
    hint = did_you_mean(name, choices, "tables")
    return binding.error(BindError, f"No table '{name}'.", hint, ref)


_NUMBER = ("INTEGER", "NUMERIC")
_RULE = {"iou": _NUMBER, "same_label": ("BOOLEAN",), "confidence": _NUMBER}
"""Options of `model.matches(...)` to the kinds of constants they take."""


def _rule(binding: Binding, ref: Node) -> tuple[float, bool, float]:
    """Return the smallest overlap, whether labels have to agree, and the smallest score."""
    given: dict[str, str] = {}
    call = ref.function
    name = f"{call.schema}.{call.written_name}"
    usual = f"{name}(iou => 0.5, same_label => true, confidence => 0) is the default."
    for option, value in call.arguments:
        if option not in _RULE:
            near = did_you_mean(option, _RULE)
            message = f"{name} has no option '{option}'." if option else f"{name} takes options."
            hint = near if near.startswith("did") else usual
            raise binding.error(BindError, message, hint, value)
        if value.constant not in _RULE[option]:
            needs = "true or false" if option == "same_label" else "a number written out"
            raise binding.error(BindError, f"{option} of {name} is {needs}.", usual, value)
        given[option] = value.value
    overlap = float(given.get("iou", 0.5))
    if not 0 < overlap <= 1:
        message = f"iou is {overlap:g}, it must be above 0 and at most 1."
        raise binding.error(BindError, message, usual, ref)
    confidence = float(given.get("confidence", 0))
    if not 0 <= confidence <= 1:
        message = f"confidence is {confidence:g}, it must be in [0, 1]."
        raise binding.error(BindError, message, usual, ref)
    return overlap, given.get("same_label", "true").lower() == "true", confidence
