"""Bind the words about boxes: each becomes a figure beside the samples, or a subquery.

A call whose arguments are written out is counted once over all boxes and joined by sample; one
whose arguments speak of the sample is a correlated subquery, which DuckDB turns into a join.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slicedb.errors import BindError, did_you_mean
from slicedb.query.bound import boxes
from slicedb.query.bound.bound import Part
from slicedb.query.bound.relation import Count, Matching, Relation
from slicedb.query.functions.words import BY_NAME
from slicedb.query.hot.relations import hot_name
from slicedb.query.language.parse import Node
from slicedb.sql import quoted, string

if TYPE_CHECKING:
    from slicedb.query.bind.bind import Binder
    from slicedb.query.functions.calls import Call

_LIMITS = {
    "min_area": ("area", ">="),
    "max_area": ("area", "<="),
    "min_share": ("share", ">="),
    "max_share": ("share", "<="),
    "min_ratio": ("ratio", ">="),
    "max_ratio": ("ratio", "<="),
    "min_width": ("w", ">="),
    "max_width": ("w", "<="),
    "min_height": ("h", ">="),
    "max_height": ("h", "<="),
    "min_score": ("score", ">="),
    "max_score": ("score", "<="),
}
"""Option to the column of a box it bounds, and how."""

_IOU = (
    "greatest(0, least(a.x + a.w, b.x + b.w) - greatest(a.x, b.x)) * "
    "greatest(0, least(a.y + a.h, b.y + b.h) - greatest(a.y, b.y))"
)
_OF_BOTH = "least(1, i / nullif(p + q - i, 0))"


@dataclass
class _Condition:
    """Conditions on a box `b`, written out and as parts of the text."""

    boxes: Relation
    parts: list[Part] = field(default_factory=list)
    """What follows WHERE true."""
    correlated: bool = False
    """Whether an argument speaks of the sample."""
    known: list[Relation] = field(default_factory=list)
    """Boxes of models whose lists have to be there too."""

    def say(self, *parts: Part) -> None:
        self.parts += [" AND ", *parts]

    def column(self, name: str) -> str:
        """Return a column of the box, which is then read.

        It goes by a name that no argument can mean: `label` in an argument is the sample's.
        """
        self.boxes.columns.add(name)
        return f'"~b".{quoted("~" + name)}'

    @property
    def source(self) -> list[str | Relation]:
        """The boxes, their columns renamed, as a source of rows."""
        names = [*sorted({"key", *self.boxes.columns}), *self.boxes.matched]
        shown = ", ".join(f"{quoted(name)} AS {quoted('~' + name)}" for name in names)
        inner = "".join(f", {quoted(name)}" for name in self.boxes.inner)
        return [f"(SELECT {shown}{inner} FROM ", self.boxes, ') AS "~b"']


def has_object(call: Call) -> None:
    """Bind `has_object(...)`."""
    call.replace("(", *_count(call), " > 0)")


def count_objects(call: Call) -> None:
    """Bind `count_objects(...)`."""
    call.replace(*_count(call))


def _count(call: Call) -> list[Part]:
    """Return the SQL of the number of boxes that fit."""
    anchor = call.anchor()
    asked = call.named.get("model")
    found = _conditions(call, _boxes(call, asked) if asked else _truth(call))
    if found.correlated:
        return _subquery(call, anchor, found)
    raw = "".join(str(_written(call, part)) for part in found.parts)
    sql: tuple[str | Relation, ...] = ()
    if raw:
        head = 'SELECT "~b"."~at", count(*) AS v FROM '
        found.boxes.inner = ["~at"]
        sql = (head, *found.source, f" WHERE true{raw} GROUP BY ALL")
    rules = "".join(f" {m.model} {m.iou:g}" for m, _ in found.boxes.matched.values())
    key = f"{hot_name(found.boxes)} {raw}{rules}"
    return [_beside(anchor, key, (found.boxes, *found.known), sql)]


def _beside(
    anchor: Relation,
    key: str,
    known: tuple[Relation, ...],
    sql: tuple[str | Relation, ...],
    kind: str = "BIGINT",
) -> str:
    """Return the column beside the samples in which something is counted; once for each text."""
    counts = anchor.sample.counts
    if key not in counts:
        counts[key] = Count(f"~c{len(counts)}", known, sql, kind)
    return anchor.of_sample(counts[key].slot)


def _written(call: Call, part: Part) -> Part:
    if isinstance(part, tuple):
        return call.binder.source.sql[part[0] : part[1]].decode()
    return part


def _subquery(call: Call, anchor: Relation, found: _Condition) -> list[Part]:
    known = [_beside(anchor, f"{hot_name(r)} ", (r,), ()) for r in (found.boxes, *found.known)]
    there = " AND ".join(f"{column} IS NOT NULL" for column in known)
    anchor.columns.add("key")
    call.binder.bound.relations.append(found.boxes)
    head = f"(CASE WHEN {there} THEN (SELECT count(*) FROM "
    key = f' WHERE "~b"."~key" = {quoted(anchor.alias)}."key"'
    return [head, *found.source, key, *found.parts, ") END)"]


# --- boxes --------------------------------------------------------------------------------------


def _truth(call: Call) -> Relation:
    relation = boxes.truth(call.binder.catalog, "~b")
    relation.unfiltered = True
    return relation


def _boxes(call: Call, asked: Node, matching: Matching | None = None) -> Relation:
    """Return the boxes of the model that an argument names."""
    relation = boxes.found(call.binder.catalog, detector(call, asked), "~b", matching)
    relation.unfiltered = True
    return relation


def detector(call: Call, asked: Node) -> str:
    """Return the detector that an argument names, as a text or as a plain name."""
    if asked["class"] == "COLUMN_REF" and len(asked["column_names"]) == 1:
        name = str(asked["column_names"][0])
    else:
        name = call.text(asked)
    catalog = call.binder.catalog
    if name.lower() not in catalog.models:
        hint = did_you_mean(name, catalog.models.values(), "models")
        raise call.error(f"No model '{name}'.", asked, hint)
    if not boxes.has_boxes(catalog, name):
        raise call.error(f"The model '{name}' has no objects.", asked, "only detectors have them.")
    return name


def _conditions(call: Call, relation: Relation) -> _Condition:
    """Return what a call asks of a box."""
    found = _Condition(relation)
    for value in call.positional:
        _say(call, found, f"{found.column('label')} = ", value)
    for name, value in call.named.items():
        if name in _LIMITS:
            column, operator = _LIMITS[name]
            if value["class"] == "CONSTANT":
                call.number(value)
            _say(call, found, f"{found.column(column)} {operator} ", value)
        elif name in _OTHERS:
            _OTHERS[name](call, found, value)
    return found


def _say(call: Call, found: _Condition, head: str, value: Node) -> None:
    found.correlated = found.correlated or _speaks(value)
    found.say(head, "(", call.span(value), ")")


def _speaks(value: Any) -> bool:
    """Return whether an argument speaks of more than itself."""
    if isinstance(value, list):
        return any(map(_speaks, value))
    if not isinstance(value, dict):
        return False
    if value.get("class") in ("COLUMN_REF", "SUBQUERY", "WINDOW", "STAR"):
        return True
    if value.get("class") == "FUNCTION" and value["function_name"].lower() in BY_NAME:
        return True
    return any(map(_speaks, value.values()))


def _inside(call: Call, found: _Condition, value: Node) -> None:
    """The centre lies in [x, y, w, h], shares of the image."""
    numbers = [call.number(item) for item in _items(value)]
    if len(numbers) != 4:
        raise call.error("inside needs [x, y, w, h] as shares of the image.", value, _INSIDE)
    x, y, w, h = numbers
    found.say(f"{found.column('cx')} BETWEEN {x!r} AND {x + w!r}")
    found.say(f"{found.column('cy')} BETWEEN {y!r} AND {y + h!r}")


_INSIDE = "[0, 0, 0.5, 1] is the left half; it holds the boxes whose centre is there."


def _items(value: Node) -> list[Node]:
    """Return the entries of a list that is written out, or the value alone."""
    if value["class"] == "FUNCTION" and value["function_name"] == "list_value":
        return [argument["expression"] for argument in value["arguments"]]
    return [value]


def _attributes(call: Call, found: _Condition, value: Node) -> None:
    """Every key has that value."""
    if value["class"] != "FUNCTION" or value["function_name"] != "struct_pack":
        hint = "as in attributes => {'pose': 'Left', 'truncated': 1}."
        raise call.error("attributes needs keys and values written out.", value, hint)
    column = found.column("attributes")
    for argument in value["arguments"]:
        given = argument["expression"]
        if given["class"] != "CONSTANT":
            hint = "a text, a number, true, false or NULL."
            raise call.error("The value of an attribute is written out.", given, hint)
        path = '$."' + str(argument["name"]).replace('"', '\\"') + '"'
        said = f"json_extract_string({column}, {string(path)})"
        constant = given["literal"]
        if constant["kind"] == "NULL_LITERAL":
            found.say(f"{said} IS NULL")
        elif constant["kind"] in ("INTEGER", "NUMERIC"):
            found.say(f"try_cast({said} AS DOUBLE) = {constant['text']}")
        else:
            found.say(f"{said} = {string(str(constant['text']))}")


def _found_by(call: Call, found: _Condition, value: Node) -> None:
    for item in _items(value):
        column, score = _match(call, found, item)
        found.say(f"({column} AND {score})" if score else column)


def _missed_by(call: Call, found: _Condition, value: Node) -> None:
    for item in _items(value):
        column, score = _match(call, found, item)
        found.say(f"NOT ({column} AND {score})" if score else f"NOT {column}")


def _match(call: Call, found: _Condition, item: Node) -> tuple[str, str]:
    """Return whether a model found a box, and whether it was confident, as SQL."""
    if found.boxes.boxes != "truth":
        message = "found_by and missed_by speak of the ground truth."
        raise call.error(message, item, "leave out model => .")
    overlap = 0.5
    if "iou" in call.named:
        overlap = call.number(call.named["iou"])
        check_share(call, "iou", overlap, call.named["iou"])
    name = detector(call, item)
    matching = boxes.matching_of(call.binder.catalog, name, overlap)
    known = _boxes(call, item, matching)
    found.known.append(known)
    found.boxes.sides += (known,)
    columns = []
    for column in ("found", "score"):
        shown = f"{matching.model}.{column}"
        found.boxes.matched[shown] = (matching, column)
        columns.append(f'"~b".{quoted("~" + shown)}')
    if "confidence" not in call.named:
        return columns[0], ""
    least = call.number(call.named["confidence"])
    return columns[0], f"coalesce({columns[1]} >= {least!r}, false)"


def check_share(call: Call, name: str, value: float, at: Node) -> None:
    """Refuse a number outside of (0, 1]."""
    if not 0 < value <= 1:
        raise call.error(f"{name} is {value:g}, it must be above 0 and at most 1.", at)


def _modifies(call: Call, found: _Condition, value: Node) -> None:
    """`iou` and `confidence` change what found_by and missed_by mean."""
    if not {"found_by", "missed_by"} & set(call.named):
        name = next(n for n, given in call.named.items() if given is value)
        hint = "it says when a model has found a box; add found_by or missed_by."
        raise call.error(f"{name} stands alone in {call.word.name}.", value, hint)


_OTHERS: dict[str, Callable[[Call, _Condition, Node], None]] = {
    "inside": _inside,
    "attributes": _attributes,
    "found_by": _found_by,
    "missed_by": _missed_by,
    "iou": _modifies,
    "confidence": _modifies,
}

# --- overlaps -----------------------------------------------------------------------------------


def any_iou(call: Call) -> None:
    """Bind `any_iou(a [, b] ...)`."""
    least = 0.5
    if "min_iou" in call.named:
        least = call.number(call.named["min_iou"])
        check_share(call, "min_iou", least, call.named["min_iou"])
    call.replace(f"({_overlap(call)} >= {least!r})")


def best_iou(call: Call) -> None:
    """Bind `best_iou(a [, b] ...)`."""
    call.replace(_overlap(call))


def _overlap(call: Call) -> str:
    """Return the column of the largest overlap of two lists of boxes, 0 where none touch."""
    anchor = call.anchor()
    sides = [_side(call, value) for value in call.positional]
    if len(sides) == 1:
        sides.append(_truth(call))
    on = 'a."~at" = b."~at"'
    if call.flag("same_label", True):
        on += " AND a.label = b.label"
    if hot_name(sides[0]) == hot_name(sides[1]):
        on += ' AND a."index" < b."index"'
    where = "true"
    if "label" in call.named:
        text = string(call.text(call.named["label"]))
        where += f" AND a.label = {text} AND b.label = {text}"
    if "min_score" in call.named:
        least = call.number(call.named["min_score"])
        where += (
            f" AND coalesce(a.score >= {least!r}, true) AND coalesce(b.score >= {least!r}, true)"
        )
    for side in sides:
        side.columns |= {"index", "label", "x", "y", "w", "h", "score"}
        side.inner = ["~at"]
    one, other = sides
    pairs = f'SELECT a."~at", {_IOU} AS i, a.w * a.h AS p, b.w * b.h AS q FROM '
    sql = (
        f'SELECT "~at", max({_OF_BOTH}) AS v FROM ({pairs}',
        one,
        " AS a JOIN ",
        other,
        f" AS b ON {on} WHERE {where}) WHERE i > 0 GROUP BY ALL",
    )
    key = f"iou {hot_name(one)} {hot_name(other)} {on} {where}"
    return _beside(anchor, key, (one, other), sql, "DOUBLE")


def _side(call: Call, value: Node) -> Relation:
    names = value["column_names"] if value["class"] == "COLUMN_REF" else []
    text = value["literal"]["text"] if value["class"] == "CONSTANT" else ""
    is_truth = [n.lower() for n in names] == ["objects"] or str(text).lower() == "objects"
    return _truth(call) if is_truth else _boxes(call, value)


# --- relations ----------------------------------------------------------------------------------

_RULE = {"iou": ("INTEGER", "NUMERIC"), "same_label": ("BOOLEAN",)}
"""Options of `model.matches(...)` to the kinds of constants they take."""


def rule(binder: Binder, ref: Node) -> tuple[float, bool]:
    """Return the smallest overlap, and whether labels have to agree, of a call in a FROM.

    Raises:
        BindError: an argument is not `iou => number` or `same_label => true|false`.
    """
    given: dict[str, str] = {}
    function = ref["function"]
    name = f"{function['schema']}.{function['function_name']}"
    usual = f"{name}(iou => 0.5, same_label => true) is the default."
    for argument in function["arguments"]:
        option, value = str(argument["name"]).lower(), argument["expression"]
        if option not in _RULE:
            near = did_you_mean(option, _RULE)
            message = f"{name} has no option '{option}'." if option else f"{name} takes options."
            hint = near if near.startswith("did") else usual
            raise binder.error(BindError, message, hint, value)
        kind = value["literal"]["kind"] if value["class"] == "CONSTANT" else ""
        if kind not in _RULE[option]:
            needs = "true or false" if option == "same_label" else "a number written out"
            raise binder.error(BindError, f"{option} of {name} is {needs}.", usual, value)
        given[option] = str(value["literal"]["text"])
    overlap = float(given.get("iou", 0.5))
    if not 0 < overlap <= 1:
        message = f"iou is {overlap:g}, it must be above 0 and at most 1."
        raise binder.error(BindError, message, usual, ref)
    return overlap, given.get("same_label", "true").lower() == "true"


BINDERS: dict[str, Callable[[Call], None]] = {
    "has_object": has_object,
    "count_objects": count_objects,
    "any_iou": any_iou,
    "best_iou": best_iou,
}

__all__ = ["BINDERS", "check_share", "detector"]
