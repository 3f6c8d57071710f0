"""Functions about boxes: each becomes a figure beside the samples, or a subquery.

A call whose arguments are written out is counted once over all boxes and joined by sample; one
whose arguments speak of the sample is a correlated subquery, which DuckDB turns into a join.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from slicedb.errors import did_you_mean
from slicedb.query.bound import boxes
from slicedb.query.bound.bound import Part
from slicedb.query.bound.relation import OWN_KEY, Count, Matching, Relation
from slicedb.query.functions.function import Call, Function, Sql
from slicedb.query.functions.registry import function_named
from slicedb.query.language.tree import Node, nodes
from slicedb.sql import quoted, string

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

_OPTIONS = (
    *_LIMITS,
    *"inside attributes found_by missed_by iou confidence model".split(),
)


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
        self.boxes.columns.add("key")
        names = [*sorted(self.boxes.columns), *self.boxes.matched]
        shown = ", ".join(f"{quoted(name)} AS {quoted('~' + name)}" for name in names)
        inner = "".join(f", {quoted(name)}" for name in self.boxes.inner)
        return [f"(SELECT {shown}{inner} FROM ", self.boxes, ') AS "~b"']


def _has_object(call: Call) -> Sql:
    return "(", *_count_objects(call), " > 0)"


def _count_objects(call: Call) -> tuple[Part, ...]:
    """Return the SQL of the number of boxes that fit."""
    anchor = call.anchor()
    asked = call.named.get("model")
    wanted = _conditions(call, detected(call, asked) if asked else ground_truth(call))
    if wanted.correlated:
        return _subquery(call, anchor, wanted)
    raw = "".join(str(_written(call, part)) for part in wanted.parts)
    sql: tuple[str | Relation, ...] = ()
    if raw:
        head = 'SELECT "~b"."~at", count(*) AS v FROM '
        wanted.boxes.inner = ["~at"]
        sql = (head, *wanted.source, f" WHERE true{raw} GROUP BY ALL")
    rules = "".join(f" {m.model} {m.iou:g}" for m, _ in wanted.boxes.matched.values())
    key = f"{wanted.boxes.versioned} {raw}{rules}"
    return (beside(anchor, key, (wanted.boxes, *wanted.known), sql),)


def beside(
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
        return call.binding.source.sql[part[0] : part[1]].decode()
    return part


def _subquery(call: Call, anchor: Relation, wanted: _Condition) -> tuple[Part, ...]:
    known = [beside(anchor, f"{r.versioned} ", (r,), ()) for r in (wanted.boxes, *wanted.known)]
    there = " AND ".join(f"{column} IS NOT NULL" for column in known)
    anchor.keyed = True
    call.binding.bound.relations.append(wanted.boxes)
    head = f"(CASE WHEN {there} THEN (SELECT count(*) FROM "
    key = f' WHERE "~b"."~key" = {quoted(anchor.alias)}."{OWN_KEY}"'
    return head, *wanted.source, key, *wanted.parts, ") END)"


# --- boxes --------------------------------------------------------------------------------------


def ground_truth(call: Call) -> Relation:
    relation = boxes.truth(call.binding.catalog, "~b")
    relation.unfiltered = True
    return relation


def detected(call: Call, asked: Node, matching: Matching | None = None) -> Relation:
    """Return the boxes of the model that an argument names."""
    relation = boxes.found(call.binding.catalog, detector(call, asked), "~b", matching)
    relation.unfiltered = True
    return relation


def detector(call: Call, asked: Node) -> str:
    """Return the detector that an argument names, as a text or as a plain name."""
    plain = asked.kind == "COLUMN_REF" and len(asked.names) == 1
    name = asked.names[0] if plain else call.text(asked)
    catalog = call.binding.catalog
    if name.lower() not in catalog.models:
        hint = did_you_mean(name, catalog.models.values(), "models")
        raise call.error(f"No model '{name}'.", asked, hint)
    if not boxes.has_boxes(catalog, name):
        raise call.error(f"The model '{name}' has no objects.", asked, "only detectors have them.")
    return name


def _conditions(call: Call, relation: Relation) -> _Condition:
    """Return what a call asks of a box."""
    wanted = _Condition(relation)
    for value in call.positional:
        _say(call, wanted, f"{wanted.column('label')} = ", value)
    for name, value in call.named.items():
        if name in _LIMITS:
            column, operator = _LIMITS[name]
            if value.kind == "CONSTANT":
                call.number(value)
            _say(call, wanted, f"{wanted.column(column)} {operator} ", value)
        elif name in _OTHERS:
            _OTHERS[name](call, wanted, value)
    return wanted


def _say(call: Call, wanted: _Condition, head: str, value: Node) -> None:
    wanted.correlated = wanted.correlated or _speaks(value)
    wanted.say(head, "(", call.sql(value), ")")


def _speaks(value: Node) -> bool:
    """Return whether an argument speaks of more than itself."""
    return any(
        part.kind in ("COLUMN_REF", "SUBQUERY", "WINDOW", "STAR")
        or (part.kind == "FUNCTION" and function_named(part.name, part.schema) is not None)
        for part in nodes(value)
    )


def _inside(call: Call, wanted: _Condition, value: Node) -> None:
    """The centre lies in [x, y, w, h], shares of the image."""
    numbers = [call.number(item) for item in _items(value)]
    if len(numbers) != 4:
        raise call.error("inside needs [x, y, w, h] as shares of the image.", value, _INSIDE)
    x, y, w, h = numbers
    wanted.say(f"{wanted.column('cx')} BETWEEN {x!r} AND {x + w!r}")
    wanted.say(f"{wanted.column('cy')} BETWEEN {y!r} AND {y + h!r}")


_INSIDE = "[0, 0, 0.5, 1] is the left half; it holds the boxes whose centre is there."


def _items(value: Node) -> list[Node]:
    """Return the entries of a list that is written out, or the value alone."""
    is_list = value.kind == "FUNCTION" and value.name == "list_value"
    return value.values if is_list else [value]


def _attributes(call: Call, wanted: _Condition, value: Node) -> None:
    """Every key has that value."""
    if value.kind != "FUNCTION" or value.name != "struct_pack":
        hint = "as in attributes => {'pose': 'Left', 'truncated': 1}."
        raise call.error("attributes needs keys and values written out.", value, hint)
    column = wanted.column("attributes")
    for name, given in value.written_arguments:
        if given.kind != "CONSTANT":
            hint = "a text, a number, true, false or NULL."
            raise call.error("The value of an attribute is written out.", given, hint)
        path = '$."' + name.replace('"', '\\"') + '"'
        stored = f"json_extract_string({column}, {string(path)})"
        if given.constant == "NULL_LITERAL":
            wanted.say(f"{stored} IS NULL")
        elif given.is_number:
            wanted.say(f"try_cast({stored} AS DOUBLE) = {given.value}")
        else:
            wanted.say(f"{stored} = {string(given.value)}")


def _found_by(call: Call, wanted: _Condition, value: Node) -> None:
    for item in _items(value):
        column, score = _match(call, wanted, item)
        wanted.say(f"({column} AND {score})" if score else column)


def _missed_by(call: Call, wanted: _Condition, value: Node) -> None:
    for item in _items(value):
        column, score = _match(call, wanted, item)
        wanted.say(f"NOT ({column} AND {score})" if score else f"NOT {column}")


def _match(call: Call, wanted: _Condition, item: Node) -> tuple[str, str]:
    """Return whether a model found a box, and whether it was confident, as SQL."""
    if wanted.boxes.boxes != "truth":
        message = "found_by and missed_by speak of the ground truth."
        raise call.error(message, item, "leave out model => .")
    overlap = 0.5
    if "iou" in call.named:
        overlap = call.number(call.named["iou"])
        check_share(call, "iou", overlap, call.named["iou"])
    name = detector(call, item)
    matching = boxes.matching_of(call.binding.catalog, name, overlap)
    known = detected(call, item, matching)
    wanted.known.append(known)
    wanted.boxes.sides += (known,)
    columns = []
    for column in ("found", "score"):
        shown = f"{matching.model}.{column}"
        wanted.boxes.matched[shown] = (matching, column)
        columns.append(f'"~b".{quoted("~" + shown)}')
    if "confidence" not in call.named:
        return columns[0], ""
    least = call.number(call.named["confidence"])
    return columns[0], f"coalesce({columns[1]} >= {least!r}, false)"


def check_share(call: Call, name: str, value: float, at: Node) -> None:
    """Refuse a number outside of (0, 1]."""
    if not 0 < value <= 1:
        raise call.error(f"{name} is {value:g}, it must be above 0 and at most 1.", at)


def _modifies(call: Call, wanted: _Condition, value: Node) -> None:
    """`iou` and `confidence` change what found_by and missed_by mean."""
    if not {"found_by", "missed_by"} & set(call.named):
        name = next(n for n, given in call.named.items() if given is value)
        hint = "it says when a model has found a box; add found_by or missed_by."
        raise call.error(f"{name} stands alone in {call.function.name}.", value, hint)


_OTHERS: dict[str, Callable[[Call, _Condition, Node], None]] = {
    "inside": _inside,
    "attributes": _attributes,
    "found_by": _found_by,
    "missed_by": _missed_by,
    "iou": _modifies,
    "confidence": _modifies,
}

FUNCTIONS = (
    Function(
        "has_object",
        "has_object(['label'] [, min_area =>] [, max_share =>] [, inside =>] [, attributes "
        "=>] [, found_by =>] [, missed_by =>] [, model => 'name'] ...)",
        "BOOLEAN",
        "Whether the sample holds such a box. Options: min_ and max_ of area (square pixels),"
        " share (of the image), ratio (width to height), width, height (pixels) and score; "
        "inside [x, y, w, h] in shares of the image; attributes {key: value}; found_by, "
        "missed_by a detector at iou (0.5) and confidence; model for its boxes in place of "
        "the ground truth. NULL where the list of boxes is NULL.",
        "has_object('car', min_area => 400)",
        _has_object,
        most=1,
        named=_OPTIONS,
    ),
    Function(
        "count_objects",
        "count_objects(['label'] [, the options of has_object])",
        "BIGINT",
        "How many such boxes the sample holds. NULL where the list of boxes is NULL.",
        "count_objects('car') > 1",
        _count_objects,
        most=1,
        named=_OPTIONS,
    ),
)
