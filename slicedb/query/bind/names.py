"""Bind names: columns of relations, columns and classes of models, anchors of functions."""

from __future__ import annotations

from typing import TypeVar

from slicedb.errors import BindError, QueryError, did_you_mean
from slicedb.query.bound.bound import Bound, Edit, Pool
from slicedb.query.bound.boxes import MATCHED, has_boxes, matched, matching_of
from slicedb.query.bound.boxes import found as boxes_of
from slicedb.query.bound.relation import ModelColumn, Relation
from slicedb.query.bound.scope import Scope
from slicedb.query.language.parse import NOWHERE, Node, Parsed
from slicedb.schema import SAMPLES
from slicedb.sql import quoted

_Error = TypeVar("_Error", bound=QueryError)


class Names:
    """What names in a text mean; the binder adds the walk.

    Args:
        parsed: the text.
        pool: what it shares with the slices inside it.
    """

    def __init__(self, parsed: Parsed, pool: Pool) -> None:
        self.source = parsed.source
        self.pool = pool
        self.catalog = pool.catalog
        self.bound = Bound(parsed.source, parsed.tree)

    def error(
        self, kind: type[_Error], message: str, hint: str, node: Node, length: int = 0
    ) -> _Error:
        """Return an error that points at a node."""
        at = node.get("query_location", NOWHERE)
        if at == NOWHERE:
            return self.source.error(kind, message, hint)
        size = length or node.get("query_location_length", 0)
        if node.get("type") == "BASE_TABLE":
            size = 0  # it would take in the alias
        return self.source.error(kind, message, hint, at=at, length=size)

    def mark(self, names: list[str], scope: Scope) -> None:
        """Note the columns of those names in every relation of a scope."""
        for name in names:
            for relation in scope.relations:
                if relation.table and (column := relation.table.column(name)):
                    relation.columns.add(column)

    def relations_with(self, name: str, scope: Scope) -> bool:
        """Return whether a stored relation in sight has a column of that name."""
        return any(r.table and r.table.column(name) for s in scope.chain() for r in s.relations)

    def column(self, ref: Node, scope: Scope) -> None:
        """Bind one reference to a column.

        Raises:
            BindError: its table, model or column is not there.
        """
        names: list[str] = ref["column_names"]
        first = names[0].lower()
        if any(first in s.parameters for s in scope.chain()):
            return
        for inner in scope.chain():
            self.mark(names[:1], inner)
        if len(names) == 1:
            self._whole_row(first, scope)
            return
        named = next(
            (r for s in scope.chain() for r in s.relations if r.alias.lower() == first), None
        )
        if named is None and len(names) > 2 and (path := self._by_path(names, scope)):
            self._of_path(path, ref)
        elif named is not None:
            self._column_of(named, ref, scope)
        elif first in self.catalog.models:
            anchor = self._spoken_of(ref, names, scope)
            self._model_column(ref, names[0], names[1], anchor, names[2:])
        elif first == SAMPLES and (boxes := self._boxes_in_sight(scope)):
            self._sample_column(ref, names[1:], boxes)
        elif not self.relations_with(first, scope) and not self._opaque(scope):
            self._unknown_name(ref, scope)

    def _by_path(self, names: list[str], scope: Scope) -> Relation | None:
        """Return the relation in sight that `model.objects` or `model.matches` names."""
        wanted = [names[0].lower(), names[1].lower()]
        return next(
            (
                r
                for s in scope.chain()
                for r in s.relations
                if r.kind == "boxes" and r.model and [r.model.lower(), r.path.lower()] == wanted
            ),
            None,
        )

    def _of_path(self, relation: Relation, ref: Node) -> None:
        """Bind `model.objects.column` of a relation that stands in FROM."""
        names: list[str] = ref["column_names"]
        assert relation.table is not None
        column = relation.table.column(names[2])
        if column is None:
            self._no_column(names[2], relation, ref)
            return
        relation.columns.add(column)
        self._edit_column(ref, f"{quoted(relation.alias)}.{quoted(column)}", names[3:])

    def _edit_column(self, ref: Node, text: str, fields: list[str], end: int = 0) -> None:
        text += "".join(f".{quoted(name)}" for name in fields)
        start = ref["query_location"]
        self.bound.edits.append(Edit(start, end or start + ref["query_location_length"], (text,)))

    def _boxes_in_sight(self, scope: Scope) -> Relation | None:
        """Return the nearest relation of boxes, whose samples can be named too."""
        found = (r for s in scope.chain() for r in s.relations if r.kind == "boxes")
        return next(found, None)

    def _sample_column(self, ref: Node, names: list[str], boxes: Relation) -> None:
        """Bind `samples.column` where the FROM has boxes and no samples."""
        column = self.catalog.samples.column(names[0])
        if column is not None:
            boxes.sample.columns.add(column)
            self._edit_column(ref, boxes.of_sample(column, f"{SAMPLES}.{column}"), names[1:])
        elif len(names) > 1 and names[0].lower() in self.catalog.models:
            self._model_column(ref, names[0], names[1], boxes, names[2:], of_sample=True)
        else:
            self._no_column(names[0], boxes.sample, ref)

    def _spoken_of(self, ref: Node, names: list[str], scope: Scope) -> Relation:
        """Return the relation that `model.column` speaks of: boxes where it tells of boxes."""
        if names[1].lower() in MATCHED and has_boxes(self.catalog, names[0]):
            for inner in scope.chain():
                found = [r for r in inner.relations if r.boxes == "truth"]
                if len(found) == 1:
                    return found[0]
        return self.anchor(ref, scope)

    def _whole_row(self, name: str, scope: Scope) -> None:
        for inner in scope.chain():
            for relation in inner.relations:
                if relation.alias.lower() == name and relation.table:
                    relation.all_columns = relation.all_columns or not relation.table.column(name)

    def _opaque(self, scope: Scope) -> bool:
        return any(r.kind == "other" for s in scope.chain() for r in s.relations)

    def _column_of(self, relation: Relation, ref: Node, scope: Scope) -> None:
        names: list[str] = ref["column_names"]
        if relation.table is None:
            return
        if column := relation.table.column(names[1]):
            relation.columns.add(column)
        elif (
            relation.kind in ("samples", "boxes")
            and len(names) > 2
            and (names[1].lower() in self.catalog.models)
        ):
            self._model_column(ref, names[1], names[2], relation, names[3:])
        elif names[1].lower() != "rowid" or relation.kind == "samples":
            self._no_column(names[1], relation, ref)

    def _no_column(self, name: str, relation: Relation, ref: Node) -> None:
        assert relation.table is not None
        owner = relation.path or relation.model or SAMPLES
        if relation.path and relation.model:
            owner = f"{relation.model}.{relation.path}"
        hint = did_you_mean(name, relation.table.types, "columns")
        at = self._last_token(ref, name)
        raise self.source.error(BindError, f"No column '{name}' in {owner}.", hint, at=at)

    def _last_token(self, ref: Node, name: str) -> int:
        start = int(ref["query_location"])
        end = start + int(ref["query_location_length"])
        wanted = {name.lower().encode(), quoted(name).lower().encode()}
        inside = [t for t in self.source.tokens if start <= t.start < end and t.word in wanted]
        return inside[-1].start if inside else start

    def _unknown_name(self, ref: Node, scope: Scope) -> None:
        name = ref["column_names"][0]
        aliases = [r.alias for s in scope.chain() for r in s.relations]
        choices = [*self.catalog.models.values(), *aliases]
        columns = [c for s in scope.chain() for r in s.relations if r.table for c in r.table.types]
        hint = did_you_mean(name, choices + columns)
        if not hint.startswith("did"):
            hint = did_you_mean(name, choices, "models and tables")
        if not self.catalog.models:
            hint = "there are no predictions yet; `slicedb predict MODEL` makes them."
        raise self.error(BindError, f"No model or table '{name}'.", hint, ref)

    def anchor(self, node: Node, scope: Scope) -> Relation:
        """Return the samples relation that a model or a function speaks of."""
        for inner in scope.chain():
            found = [r for r in inner.relations if r.kind == "samples"]
            if len(found) > 1:
                raise self.error(
                    BindError,
                    f"'{self._text(node)}' could speak of {len(found)} samples relations.",
                    "name one, as in a.model.column, or join the model's table yourself.",
                    node,
                )
            boxes = [r for r in inner.relations if r.kind == "boxes"]
            if not found and len(boxes) > 1:
                message = f"'{self._text(node)}' could speak of {len(boxes)} relations of boxes."
                raise self.error(BindError, message, "JOIN samples USING (key).", node)
            if found or boxes:
                return (found or boxes)[0]
        raise self.error(
            BindError,
            f"'{self._text(node)}' needs the samples table, which is not in this FROM.",
            "write FROM samples, or JOIN samples USING (key).",
            node,
        )

    def _text(self, node: Node) -> str:
        start = node["query_location"]
        end = start + node["query_location_length"]
        return self.source.sql[start:end].decode(errors="replace")

    def _model_column(
        self,
        ref: Node,
        model: str,
        column: str,
        anchor: Relation,
        fields: list[str],
        index: int = 0,
        end: int = 0,
        of_sample: bool = False,
    ) -> None:
        info = self.catalog.model(model)
        if (
            anchor.boxes == "truth"
            and column.lower() in MATCHED
            and not of_sample
            and has_boxes(self.catalog, model)
        ):
            matching = matching_of(self.catalog, model)
            found = boxes_of(self.catalog, model, "f", matching)
            self._edit_column(ref, matched(anchor, matching, column.lower(), found), fields, end)
            return
        real = info.column(column)
        if real is None:
            hint = did_you_mean(column, info.types, "columns")
            at = self._last_token(ref, column)
            raise self.source.error(BindError, f"No column '{column}' in {model}.", hint, at=at)
        extra = ModelColumn(self.catalog.models[model.lower()], real, index)
        anchor.sample.extras[extra] = info
        self._edit_column(ref, anchor.of_sample(extra.shown), fields, end)

    def class_of(self, node: Node, scope: Scope) -> bool:
        """Bind `model.probabilities['class']`; returns whether it was that."""
        owner, key = node["children"]
        if owner["class"] != "COLUMN_REF" or owner["column_names"][-1].lower() != "probabilities":
            return False
        if key["class"] != "CONSTANT" or key["literal"]["kind"] != "STRING":
            return False
        names = owner["column_names"]
        if len(names) < 2:
            return False
        named = next(
            (r for s in scope.chain() for r in s.relations if r.alias.lower() == names[0].lower()),
            None,
        )
        if named is not None and named.kind == "model" and named.table is not None:
            index = self._class_index(named.model, named.table.classes, key)
            named.columns.add("probabilities")
            start = key["query_location"]
            self.bound.edits.append(
                Edit(start, start + key["query_location_length"], (str(index),))
            )
            return True
        if names[-2].lower() not in self.catalog.models:
            return False
        has_samples = named is not None and named.kind in ("samples", "boxes")
        anchor = named if named and has_samples else self.anchor(node, scope)
        info = self.catalog.model(names[-2])
        index = self._class_index(names[-2], info.classes, key)
        end = node["query_location"] + node["query_location_length"]
        self._model_column(owner, names[-2], "probabilities", anchor, [], index, end)
        return True

    def _class_index(self, model: str, classes: list[str], key: Node) -> int:
        name = key["literal"]["text"]
        if name in classes:
            return classes.index(name) + 1
        hint = did_you_mean(name, classes, "classes")
        if not classes:
            hint = "its predictions were stored without a class list."
        raise self.error(BindError, f"No class '{name}' in {model}.", hint, key)
