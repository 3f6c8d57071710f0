"""Tree to bound text: which tables, columns, models, slices and meanings a query names.

The binder walks DuckDB's tree with the scopes of SQL and notes edits of the text: a samples
relation becomes a subquery over the loaded columns, a model's column a column beside the sample,
a function of ours a column of scores. Everything else stays as the user wrote it.
"""

from __future__ import annotations

from typing import Any

from slicedb.errors import BindError, SandboxError, did_you_mean
from slicedb.query.bind import averages
from slicedb.query.bind.stars import Stars
from slicedb.query.bound import boxes
from slicedb.query.bound.bound import Bound, Edit, Part, Pool
from slicedb.query.bound.relation import Matching, Relation
from slicedb.query.bound.scope import Scope
from slicedb.query.functions import calls, guards, objects
from slicedb.query.functions.words import BY_NAME, CHANCE, TABLE_FUNCTIONS, TARGETS, is_forbidden
from slicedb.query.language.parse import Node, Parsed
from slicedb.schema import SAMPLES
from slicedb.sql import quoted

_FILE_SIGNS = ("/", "\\", ".", ":", "*")


class Binder(Stars):
    """Binds one text.

    Args:
        parsed: the text.
        pool: what it shares with the slices inside it.
        known: names of DuckDB's functions to whether they aggregate.
        slice_of: binds the live slice of a name, or registers a frozen one.
    """

    def __init__(
        self,
        parsed: Parsed,
        pool: Pool,
        known: dict[str, bool],
        slice_of: calls.SliceOf,
    ) -> None:
        super().__init__(parsed, pool)
        self.slice_of = slice_of
        self.known = known
        self.bound.unfiltered = any(
            name.lower() == "status" for ref in _column_refs(parsed.tree) for name in ref
        )

    def bind(self) -> Bound:
        """Return the bound text.

        Raises:
            BindError: a name is not there, or stands where it cannot.
            SandboxError: the text reaches for files or internals.
        """
        self._query(self.bound.tree, None, frozenset(), top=True)
        return self.bound

    # --- queries and FROM ---------------------------------------------------------------------

    def _query(
        self, node: Node, parent: Scope | None, ctes: frozenset[str], top: bool = False
    ) -> None:
        for entry in node.get("cte_map", {}).get("map", []):
            inner = entry["value"]["query_node"]
            recursive = inner["type"] == "RECURSIVE_CTE_NODE"
            own = {entry["key"].lower()} if recursive else set()
            self._query(inner, parent, ctes | own)
            ctes |= {entry["key"].lower()}
        scope = Scope(parent, ctes, node)
        if node["type"] == "SELECT_NODE":
            if node.get("sample"):
                self.bound.chance = "USING SAMPLE"
            conditions: list[Any] = []
            self._from(node["from_table"], scope, conditions)
            if top:
                self._find_top(node, scope)
            for expression in node["select_list"]:
                self._selected(expression, scope, top)
            rest = {k: v for k, v in node.items() if k not in _DONE}
            self.walk([conditions, rest], scope)
            return
        for name, value in node.items():
            if name not in ("cte_map", "type"):
                self.walk(value, scope)

    def _from(self, ref: Any, scope: Scope, conditions: list[Any]) -> None:
        kind = ref.get("type") if isinstance(ref, dict) else None
        if kind and ref.get("sample"):
            self.bound.chance = "TABLESAMPLE"
        if kind == "BASE_TABLE":
            self._base(ref, scope)
        elif kind in ("JOIN", "PIVOT"):
            for side in ("left", "right", "source"):
                if side in ref:
                    self._from(ref[side], scope, conditions)
            if kind == "PIVOT" or ref.get("ref_type") == "NATURAL":
                for relation in scope.relations:
                    relation.all_columns = True
            self.mark(ref.get("using_columns") or [], scope)
            conditions.append(
                {k: v for k, v in ref.items() if k not in ("left", "right", "source")}
            )
        elif kind == "SUBQUERY":
            self._query(ref["subquery"]["node"], scope, scope.ctes)
            scope.relations.append(Relation("other", ref["alias"]))
        elif kind == "TABLE_FUNCTION":
            self._table_function(ref, scope)
        elif kind in ("EMPTY", "EXPRESSION_LIST", "COLUMN_DATA", "DELIM_GET", None):
            conditions.append(ref)
            if kind == "EXPRESSION_LIST":
                scope.relations.append(Relation("other", ref["alias"]))
        else:
            message = f"{str(kind).replace('_', ' ').title()} is not allowed in a query."
            raise self.error(SandboxError, message, "", ref)

    def _base(self, ref: Node, scope: Scope) -> None:
        path = list(ref["qualified_name"]["path"])
        name = path[-1]
        alias = ref["alias"] or name
        if ref.get("at_clause"):
            raise self.error(BindError, "AT is not part of a query.", "ask with at=.", ref)
        if len(path) == 1 and name.lower() in scope.ctes:
            scope.relations.append(Relation("other", alias))
            return
        if len(path) == 1 and name.lower() == SAMPLES:
            relation = Relation("samples", alias, self.catalog.samples)
        elif len(path) == 1 and name.lower() == boxes.TRUTH:
            relation = boxes.truth(self.catalog, alias)
        elif len(path) == 2 and boxes.is_word(name) and path[0].lower() in self.catalog.models:
            relation = self._boxes(path[0], name, alias, ref)
        elif len(path) == 1 and name.lower() in self.catalog.models:
            model = self.catalog.models[name.lower()]
            relation = Relation("model", alias, self.catalog.model(name), model)
        else:
            raise self._no_table(path, ref, scope)
        relation.all_columns = bool(ref["column_name_alias"])
        relation.unfiltered = self.bound.unfiltered
        scope.relations.append(relation)
        self.bound.relations.append(relation)
        number = self.source.number_at(ref["query_location"])
        first, last = (self.source.tokens[n] for n in (number, number + 2 * len(path) - 2))
        named: tuple[Part, ...] = () if ref["alias"] else (f" AS {quoted(alias)}",)
        self.bound.edits.append(Edit(first.start, last.end, (relation, *named)))

    def _boxes(
        self, model: str, name: str, alias: str, node: Node, matching: Matching | None = None
    ) -> Relation:
        """Return a relation of a detector's boxes."""
        if not boxes.has_boxes(self.catalog, model):
            message = f"The model '{model}' has no {name.lower()}."
            raise self.error(BindError, message, "only detectors have them.", node)
        make = boxes.matches if name.lower() == boxes.MATCHES else boxes.found
        return make(self.catalog, model, alias, matching)

    def _no_table(self, path: list[str], ref: Node, scope: Scope) -> BindError | SandboxError:
        name = ".".join(path)
        if any(sign in path[0] for sign in _FILE_SIGNS):
            message = f"A query cannot read the file '{name}'."
            return self.error(SandboxError, message, "`slicedb ingest` brings data in.", ref)
        choices = [SAMPLES, boxes.TRUTH, *self.catalog.models.values(), *scope.ctes]
        if path[0].lower() in self.catalog.models:
            choices = [f"{path[0]}.{word}" for word in boxes.WORDS]
        return self.error(
            BindError, f"No table '{name}'.", did_you_mean(name, choices, "tables"), ref
        )

    def _table_function(self, ref: Node, scope: Scope) -> None:
        function = ref["function"]
        name = str(function["function_name"]).lower()
        if function["schema"].lower() in self.catalog.models and boxes.is_word(name):
            self._matched(ref, scope)
            return
        if name not in TABLE_FUNCTIONS:
            message = f"The table function '{name}' is not allowed in a query."
            raise self.error(SandboxError, message, "", ref)
        for argument in function["arguments"]:
            self.walk(argument["expression"], scope)
        scope.relations.append(Relation("other", ref["alias"] or name))

    def _matched(self, ref: Node, scope: Scope) -> None:
        """Bind `model.matches(iou => 0.75)` or `model.objects(...)` in a FROM."""
        function = ref["function"]
        model, name = function["schema"], function["function_name"].lower()
        overlap, same = objects.rule(self, ref)
        alias = ref["alias"] or name
        matching = boxes.matching_of(self.catalog, model, overlap, same)
        relation = self._boxes(model, name, alias, ref, matching)
        relation.all_columns = bool(ref["column_name_alias"])
        relation.unfiltered = self.bound.unfiltered
        scope.relations.append(relation)
        self.bound.relations.append(relation)
        start = int(ref["query_location"])
        end = calls.end_of(self.source.tokens, start)
        named: tuple[Part, ...] = () if ref["alias"] else (f" AS {quoted(alias)}",)
        self.bound.edits.append(Edit(start, end, (relation, *named)))

    def _find_top(self, node: Node, scope: Scope) -> None:
        """Note the samples relation whose rows are, one by one, the rows of the result."""
        plain = (
            node["from_table"]["type"] == "BASE_TABLE"
            and len(scope.relations) == 1
            and scope.relations[0].kind == "samples"
            and not node["from_table"].get("sample")
            and not node["from_table"]["column_name_alias"]
            and not (node["group_expressions"] or node["having"] or node.get("sample"))
            and node["aggregate_handling"] != "FORCE_AGGREGATES"
            and not any("DISTINCT" in m["type"] for m in node["modifiers"])
            and not any(self._aggregates(e) for e in [node["select_list"], node["modifiers"]])
        )
        if plain:
            self.bound.top = scope.relations[0]
            self.bound.top.row = True

    def _aggregates(self, value: Any) -> bool:
        if isinstance(value, list):
            return any(map(self._aggregates, value))
        if not isinstance(value, dict) or value.get("class") == "SUBQUERY":
            return False
        if value.get("class") == "FUNCTION" and self.known.get(value["function_name"].lower()):
            return True
        return any(map(self._aggregates, value.values()))

    # --- expressions --------------------------------------------------------------------------

    def _selected(self, expression: Node, scope: Scope, top: bool) -> None:
        """Bind one entry of a select list; a model's column keeps a name users know."""
        if expression["class"] == "STAR" and not expression["columns"]:
            self._starred(expression, scope, top)
            return
        before = len(self.bound.edits)
        self.walk(expression, scope)
        edited = self.bound.edits[before:]
        if expression["class"] == "COLUMN_REF" and edited and not expression["alias"]:
            names = expression["column_names"]
            shown = f"{names[-2]}.{names[-1]}" if top else names[-1]
            self.bound.edits.append(Edit(edited[-1].end, edited[-1].end, (f" AS {quoted(shown)}",)))
        elif expression["class"] == "FUNCTION" and edited and not expression["alias"]:
            self._named_as_written(expression)

    def _named_as_written(self, call: Node) -> None:
        """Let a call of ours keep its own text as the name of its column."""
        if str(call["function_name"]).lower() in BY_NAME and not call["schema"]:
            start = int(call["query_location"])
            end = calls.end_of(self.source.tokens, start)
            text = " ".join(self.source.sql[start:end].decode().split())
            shown = quoted(text.replace('"using"', "using"))
            self.bound.edits.append(Edit(end, end, (f" AS {shown}",)))

    def walk(self, value: Any, scope: Scope) -> None:
        if isinstance(value, list):
            for item in value:
                self.walk(item, scope)
            return
        if not isinstance(value, dict):
            return
        kind = value.get("class")
        if str(value.get("type", "")).endswith("_NODE"):
            self._query(value, scope, scope.ctes)
        elif kind == "COLUMN_REF":
            self.column(value, scope)
        elif kind == "FUNCTION":
            self._function(value, scope)
        elif kind == "LAMBDA":
            self._lambda(value, scope)
        elif kind == "STAR":
            self._starred(value, scope, top=False)
        elif (
            kind == "OPERATOR" and value["type"] == "ARRAY_EXTRACT" and self.class_of(value, scope)
        ):
            return
        else:
            if kind == "WINDOW":
                self._check_function(value)
            for name, item in value.items():
                if name != "class":
                    self.walk(item, scope)

    def _starred(self, star: Node, scope: Scope, top: bool) -> None:
        self.star(star, scope, top)
        self.walk([star.get("expr"), star.get("replace_list")], scope)

    def _lambda(self, value: Node, scope: Scope) -> None:
        names = [name for ref in _column_refs(value["lhs"]) for name in ref[:1]]
        if value.get("syntax_type") != "LAMBDA_KEYWORD" and any(
            self.relations_with(n, scope) for n in names
        ):
            self.walk(value["lhs"], scope)  # `a -> 'path'` is JSON when a is a column
        before = len(scope.parameters)
        scope.parameters += [name.lower() for name in names]
        self.walk(value["expr"], scope)
        del scope.parameters[before:]

    # --- functions ----------------------------------------------------------------------------

    def _check_function(self, node: Node) -> None:
        name = str(node["function_name"]).lower()
        if is_forbidden(name):
            raise self.error(SandboxError, f"The function '{name}' is not allowed.", "", node)
        if name in CHANCE:
            self.bound.chance = name
        if node.get("schema") or node.get("catalog"):
            hint = f"write {name}(...) alone."
            raise self.error(SandboxError, "A function is named without a schema.", hint, node)
        if name not in self.known and not node.get("is_operator"):
            choices = [*BY_NAME, *self.known]
            hint = did_you_mean(name, choices, "functions")
            raise self.error(BindError, f"No function '{name}'.", hint, node, len(name.encode()))

    def _check_pattern(self, name: str, node: Node) -> None:
        """Refuse patterns that make much out of little; those of columns cannot be read."""
        first = node["arguments"][0]["expression"] if node["arguments"] else {}
        literal = first.get("literal", {}) if first.get("class") == "CONSTANT" else {}
        if literal.get("kind") != "STRING" or guards.is_wide(str(literal["text"])):
            hint = "write it out, with widths up to 999."
            raise self.error(SandboxError, f"The pattern of {name} may be too wide.", hint, node)

    def _function(self, node: Node, scope: Scope) -> None:
        name = str(node["function_name"]).lower()
        if name in BY_NAME and not node["schema"]:
            if name in TARGETS:
                message = f"{name}(...) stands inside similarity or nearest."
                raise self.error(BindError, message, f"as in similarity({name}('...')).", node)
            calls.bind(self, node, scope)
            return
        self._check_function(node)
        if name in guards.PATTERNED:
            self._check_pattern(name, node)
        if name in guards.GUARDED and any(s.parameters for s in scope.chain()):
            message = f"{name} cannot stand inside a lambda."
            hint = "it would multiply what one row costs; make the list outside."
            raise self.error(SandboxError, message, hint, node)
        for item in (node["arguments"], node.get("filter"), node.get("order_bys")):
            self.walk(item, scope)
        if name in averages.NAMES and not node["distinct"] and not node["schema"]:
            averages.of_truth(self, node, scope)


_DONE = frozenset({"type", "cte_map", "from_table", "select_list"})


def _column_refs(value: Any) -> list[list[str]]:
    if isinstance(value, list):
        return [ref for item in value for ref in _column_refs(item)]
    if not isinstance(value, dict):
        return []
    if value.get("class") == "COLUMN_REF":
        return [value["column_names"]]
    return [ref for item in value.values() for ref in _column_refs(item)]
