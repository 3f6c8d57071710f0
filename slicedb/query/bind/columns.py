"""Bind names: columns of relations, columns and classes of models."""

from __future__ import annotations

import pyarrow as pa

from slicedb.errors import BindError, did_you_mean
from slicedb.query.bound import boxes
from slicedb.query.bound.binding import Binding
from slicedb.query.bound.bound import Frame
from slicedb.query.bound.catalog import TableInfo
from slicedb.query.bound.relation import KEY, ModelColumn, Relation
from slicedb.query.bound.scope import Scope
from slicedb.query.language.tree import Node
from slicedb.schema import SAMPLES
from slicedb.sql import quoted, string


def bind_column(binding: Binding, ref: Node, scope: Scope) -> None:
    """Bind one reference to a column.

    Raises:
        BindError: its table, model or column does not exist.
    """
    names, first = ref.names, ref.names[0].lower()
    if any(first in s.parameters for s in scope.chain()):
        return
    mark(names[0], scope)
    if len(names) == 1:
        _bind_whole_row(binding, ref, scope)
        return
    relation = _relation_named(first, scope)
    by_path = _by_path(names, scope) if relation is None else None
    if relation is not None:
        _bind_column_of(binding, relation, ref, scope)
    elif by_path is not None:
        _bind_by_path(binding, by_path, ref)
    elif _is_struct(names, scope):
        return  # a column in sight hides a model of the same name
    elif first in binding.catalog.models:
        anchor = _told_by(binding, ref, scope)
        _bind_model_column(binding, ref, names, anchor)
    elif first == SAMPLES and (nearest := _boxes_in_sight(scope)):
        _bind_sample_column(binding, ref, nearest)
    elif not has_column(first, scope) and not _sees_others(scope):
        raise _unknown_name(binding, ref, scope)


def read(names: list[str], relation: Relation) -> None:
    """Note that columns of those names are read, of those that a relation has."""
    if relation.table is not None:
        columns = map(relation.table.column, names)
        relation.columns.update(column for column in columns if column is not None)


def mark(name: str, scope: Scope) -> None:
    """Note that a column of that name is read, in every relation in sight that has one."""
    if scope.means_alias(name):
        return
    if name.lower() == KEY:
        _mark_key(scope)
        return
    for inner in scope.chain():
        is_of_other = any(name.lower() in r.names for r in inner.relations)
        for relation in inner.relations:
            read([name], relation)
        if is_of_other:
            break  # it means that one, and no column further out


def _mark_key(scope: Scope) -> None:
    """Let the relations show `key` that the name means: the nearest, and stored before queries."""
    for inner in scope.chain():
        if any(r.names_key for r in inner.relations):
            return
        having = [r for r in inner.relations if r.may_show_key]
        stored = [r for r in having if r.table is not None]
        for relation in stored or having:
            relation.name_key()
        if having:
            return


def has_column(name: str, scope: Scope) -> bool:
    """Return whether a stored relation in sight has a column of that name."""
    return any(r.table and r.table.column(name) for s in scope.chain() for r in s.relations)


def _bind_whole_row(binding: Binding, ref: Node, scope: Scope) -> None:
    """Bind the name of a relation that stands for its rows: a struct of the columns in sight."""
    relation = _relation_named(ref.names[0].lower(), scope)
    if relation is None or relation.table is None or has_column(ref.names[0], scope):
        return
    relation.all_columns = True

    def row(frame: Frame) -> str:
        hidden = relation.unseen(frame.narrow)
        if not hidden or ref.at is None:
            return binding.written(ref)
        names = [name for name in relation.wanted(frame.narrow) if name not in hidden]
        alias = quoted(relation.alias)
        return "{" + ", ".join(f"{string(n)}: {alias}.{quoted(n)}" for n in names) + "}"

    if ref.at is not None and not any(relation.aliases):
        binding.edit(ref.start, ref.end, row)


def _is_struct(names: list[str], scope: Scope) -> bool:
    """Return whether `a.b` is the field of a column in sight."""
    column, field = names[0].lower(), names[1].lower()
    for relation in (r for s in scope.chain() for r in s.relations):
        if column in relation.names:
            return True
        real = relation.table.column(column) if relation.table else None
        kind = relation.table.types[real] if relation.table and real else None
        if kind is not None and pa.types.is_struct(kind):
            return any(inner.name.lower() == field for inner in kind)
    return False


def _sees_others(scope: Scope) -> bool:
    """Return whether relations are in sight whose columns only DuckDB knows."""
    return any(r.kind == "other" for s in scope.chain() for r in s.relations)


def _relation_named(alias: str, scope: Scope) -> Relation | None:
    in_sight = (r for s in scope.chain() for r in s.relations)
    return next((r for r in in_sight if r.alias.lower() == alias), None)


def _by_path(names: list[str], scope: Scope) -> Relation | None:
    """Return the relation in sight that `model.objects` or `model.matches` names."""
    wanted = [name.lower() for name in names[:2]]
    in_sight = (r for s in scope.chain() for r in s.relations if r.kind == "boxes" and r.model)
    paths = (r for r in in_sight if [r.model.lower(), r.path.lower()] == wanted)
    return next(paths, None) if len(names) > 2 else None


def _boxes_in_sight(scope: Scope) -> Relation | None:
    """Return the nearest relation of boxes, whose samples can be named too."""
    return next((r for s in scope.chain() for r in s.relations if r.kind == "boxes"), None)


def _told_by(binding: Binding, ref: Node, scope: Scope) -> Relation:
    """Return the relation that `model.column` speaks of: boxes where it tells of boxes."""
    if ref.names[1].lower() in boxes.MATCHED and boxes.has_boxes(binding.catalog, ref.names[0]):
        for inner in scope.chain():
            truth = [r for r in inner.relations if r.boxes == "truth"]
            if len(truth) == 1:
                return truth[0]
    return binding.anchor(ref, scope)


# --- a column of each kind of relation ------------------------------------------------------------


def _bind_column_of(binding: Binding, relation: Relation, ref: Node, scope: Scope) -> None:
    """Bind `alias.column`, or `alias.model.column`."""
    names = ref.names
    aliases = [alias.lower() for alias in relation.aliases]
    if names[1].lower() == KEY:
        relation.name_key()
    if relation.table is None or names[1].lower() in aliases:
        return
    if column := relation.table.column(names[1]):
        relation.columns.add(column)
    elif (
        relation.kind in ("samples", "boxes")
        and len(names) > 2
        and names[1].lower() in binding.catalog.models
    ):
        _bind_model_column(binding, ref, names[1:], relation)
    elif names[1].lower() != "rowid" or relation.kind == "samples":
        raise _no_column(binding, names[1], relation, ref)


def _bind_by_path(binding: Binding, relation: Relation, ref: Node) -> None:
    """Bind `model.objects.column` of a relation that stands in FROM."""
    assert relation.table is not None
    column = relation.table.column(ref.names[2])
    if column is None:
        raise _no_column(binding, ref.names[2], relation, ref)
    relation.columns.add(column)
    _write(binding, ref, f"{quoted(relation.alias)}.{quoted(column)}", ref.names[3:])


def _bind_sample_column(binding: Binding, ref: Node, nearest: Relation) -> None:
    """Bind `samples.column` where the FROM has boxes and no samples."""
    names = ref.names[1:]
    column = binding.catalog.samples.column(names[0])
    if column is not None:
        nearest.sample.columns.add(column)
        shown = nearest.of_sample(column, f"{SAMPLES}.{column}")
        _write(binding, ref, shown, names[1:])
    elif len(names) > 1 and names[0].lower() in binding.catalog.models:
        _bind_model_column(binding, ref, names, nearest, of_sample=True)
    else:
        raise _no_column(binding, names[0], nearest.sample, ref)


def _bind_model_column(
    binding: Binding, ref: Node, names: list[str], anchor: Relation, of_sample: bool = False
) -> None:
    """Bind `model.column.field...` as a column beside the samples, or beside their boxes.

    Args:
        binding: the text.
        ref: what is replaced.
        names: the model, its column, and fields of it.
        anchor: the relation it speaks of.
        of_sample: whether it is asked of the sample where `anchor` is of boxes.
    """
    (model, column), fields, catalog = names[:2], names[2:], binding.catalog
    tells = anchor.boxes == "truth" and column.lower() in boxes.MATCHED and not of_sample
    if tells and boxes.has_boxes(catalog, model):
        matching = boxes.matching_of(catalog, model)
        detected = boxes.found(catalog, model, "f", matching)
        shown = boxes.matched(anchor, matching, column.lower(), detected)
    else:
        info = catalog.model(model)
        real = info.column(column)
        if real is None:
            hint = did_you_mean(column, info.types, "columns")
            raise _no_such(binding, column, model, hint, ref)
        shown = _beside(binding, model, info, real, anchor)
    _write(binding, ref, shown, fields)


def _beside(
    binding: Binding, model: str, info: TableInfo, column: str, anchor: Relation, index: int = 0
) -> str:
    """Return the SQL of a model's column, which the samples then carry."""
    extra = ModelColumn(binding.catalog.models[model.lower()], column, index)
    anchor.sample.extras[extra] = info
    return anchor.of_sample(extra.shown)


def _write(binding: Binding, node: Node, shown: str, fields: list[str]) -> None:
    """Write a column, and fields of it, in place of a node."""
    text = shown + "".join(f".{quoted(name)}" for name in fields)
    binding.edit(node.start, node.end, text)


# --- classes --------------------------------------------------------------------------------------


def bind_class(binding: Binding, node: Node, scope: Scope) -> bool:
    """Bind `model.probabilities['class']`; returns whether nothing is left to bind.

    In place of a class there may be what names one, such as `label` or the prediction of another
    model: then the owner and the key are still to bind, each by itself.
    """
    owner, key = node.children
    if owner.kind != "COLUMN_REF" or owner.names[-1].lower() != "probabilities":
        return False
    if key.constant and key.constant != "STRING":
        return False  # a number, as DuckDB counts
    first = owner.names[0].lower()
    in_sight = _relation_named(first, scope) if len(owner.names) > 1 else _of_model(scope)
    if in_sight is not None and in_sight.kind == "model" and in_sight.table is not None:
        if not key.constant:
            return _bind_class_named(binding, node, in_sight.model, in_sight.table)
        index = _class_index(binding, in_sight.model, in_sight.table, key)
        in_sight.columns.add("probabilities")
        binding.edit(key.start, key.end, str(index))
        return True
    model = owner.names[-2] if len(owner.names) > 1 else ""
    if model.lower() not in binding.catalog.models:
        return False
    info = binding.catalog.model(model)
    column = info.column("probabilities")
    if column is None:
        hint = did_you_mean("probabilities", info.types, "columns")
        raise _no_such(binding, owner.names[-1], model, hint, owner)
    if not key.constant:
        return _bind_class_named(binding, node, model, info)
    if in_sight is None or in_sight.kind not in ("samples", "boxes"):
        in_sight = binding.anchor(node, scope)
    index = _class_index(binding, model, info, key)
    # The place of `a['b']` begins at its bracket; what is replaced begins at the model's name.
    shown = _beside(binding, model, info, column, in_sight, index)
    binding.edit(owner.start, node.end, shown)
    return True


def _of_model(scope: Scope) -> Relation | None:
    """Return the one relation in the nearest FROM, where that is a model's predictions."""
    return scope.relations[0] if len(scope.relations) == 1 else None


_WHOLE = "('TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT', 'UTINYINT', 'USMALLINT', "
_WHOLE += "'UINTEGER', 'UBIGINT')"
"""Types of a key that counts classes from 1; of any other type it is the name of one."""


def _bind_class_named(binding: Binding, node: Node, model: str, info: TableInfo) -> bool:
    """Write the key of `model.probabilities[key]` as the number of the class that it names.

    The type of the key is known to DuckDB only, which folds the choice to one of its branches. A
    name that is no class of the model gives NULL, as a number beyond the last does.
    """
    _, key = node.children
    if not info.classes:
        hint = "its predictions were stored without a class list."
        said = binding.written(key)
        raise binding.error(BindError, f"No class '{said}' in {model}.", hint, key)
    classes, inside = ", ".join(map(string, info.classes)), (node.start + 1, node.end - 1)
    named = f"list_position([{classes}], TRY_CAST(("
    number = ") AS VARCHAR)) ELSE TRY_CAST(("
    binding.edit(
        *(node.start, node.end),
        *("[CASE WHEN typeof((", inside, f")) NOT IN {_WHOLE} THEN {named}"),
        *(inside, number, inside, ") AS BIGINT) END]"),
    )
    return False


def _class_index(binding: Binding, model: str, info: TableInfo, key: Node) -> int:
    """Return the number of a class, from 1."""
    if key.value in info.classes:
        return info.classes.index(key.value) + 1
    hint = did_you_mean(key.value, info.classes, "classes")
    if not info.classes:
        hint = "its predictions were stored without a class list."
    raise binding.error(BindError, f"No class '{key.value}' in {model}.", hint, key)


# --- errors ---------------------------------------------------------------------------------------


def _no_column(binding: Binding, name: str, relation: Relation, ref: Node) -> BindError:
    assert relation.table is not None
    owner = relation.path or relation.model or SAMPLES
    if relation.path and relation.model:
        owner = f"{relation.model}.{relation.path}"
    hint = did_you_mean(name, relation.table.types, "columns")
    return _no_such(binding, name, owner, hint, ref)


def _no_such(binding: Binding, name: str, owner: str, hint: str, ref: Node) -> BindError:
    """Return the error of a column that is missing, at the last part of that name."""
    wanted = {name.lower().encode(), quoted(name).lower().encode()}
    parts = [t for t in binding.source.tokens_in(ref.start, ref.end) if t.word in wanted]
    at = parts[-1].start if parts else ref.start
    return binding.source.error(BindError, f"No column '{name}' in {owner}.", hint, at=at)


def _unknown_name(binding: Binding, ref: Node, scope: Scope) -> BindError:
    name, models = ref.names[0], binding.catalog.models
    aliases = [r.alias for s in scope.chain() for r in s.relations]
    choices = [*models.values(), *aliases]
    columns = [c for s in scope.chain() for r in s.relations if r.table for c in r.table.types]
    hint = did_you_mean(name, choices + columns)
    if not hint.startswith("did"):
        hint = did_you_mean(name, choices, "models and tables")
    if not models:
        hint = "there are no predictions yet; `slicedb predict MODEL` makes them."
    return binding.error(BindError, f"No model or table '{name}'.", hint, ref)
