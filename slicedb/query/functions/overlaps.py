"""Functions about overlaps of two lists of boxes: any_iou, best_iou."""

from __future__ import annotations

from slicedb.query.bound.relation import Relation
from slicedb.query.functions.function import Call, Function, Sql
from slicedb.query.functions.objects import beside, check_share, detected, ground_truth
from slicedb.query.language.tree import Node
from slicedb.sql import string

_IOU = (
    "greatest(0, least(a.x + a.w, b.x + b.w) - greatest(a.x, b.x)) * "
    "greatest(0, least(a.y + a.h, b.y + b.h) - greatest(a.y, b.y))"
)
_OF_BOTH = "least(1, i / nullif(p + q - i, 0))"


def _any_iou(call: Call) -> Sql:
    least = 0.5
    if "min_iou" in call.named:
        least = call.number(call.named["min_iou"])
        check_share(call, "min_iou", least, call.named["min_iou"])
    return f"({_best_iou(call)} >= {least!r})"


def _best_iou(call: Call) -> str:
    """Return the column of the largest overlap of two lists of boxes, 0 where none touch."""
    anchor = call.anchor()
    sides = [_side(call, value) for value in call.positional]
    if len(sides) == 1:
        sides.append(ground_truth(call))
    on = 'a."~at" = b."~at"'
    if call.flag("same_label", True):
        on += " AND a.label = b.label"
    if sides[0].versioned == sides[1].versioned:
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
    key = f"iou {one.versioned} {other.versioned} {on} {where}"
    return beside(anchor, key, (one, other), sql, "DOUBLE")


def _side(call: Call, value: Node) -> Relation:
    name = value.names[-1] if value.kind == "COLUMN_REF" and len(value.names) == 1 else ""
    text = value.value if value.kind == "CONSTANT" else name
    return ground_truth(call) if text.lower() == "objects" else detected(call, value)


FUNCTIONS = (
    Function(
        "any_iou",
        "any_iou(model [, other] [, min_iou => 0.5] [, label =>] [, same_label => true] [, "
        "min_score =>])",
        "BOOLEAN",
        "Whether a box of the model and a box of the other one (default: `objects`, the "
        "ground truth) overlap by at least min_iou. A model with itself: two of its boxes. "
        "NULL where a list of boxes is NULL.",
        "NOT any_iou(d1, d2)",
        _any_iou,
        least=1,
        most=2,
        named=("min_iou", "label", "same_label", "min_score"),
    ),
    Function(
        "best_iou",
        "best_iou(model [, other] [, label =>] [, same_label => true] [, min_score =>])",
        "DOUBLE",
        "The largest overlap in [0, 1] of a box of the model with one of the other (default: "
        "the ground truth). NULL where a list of boxes is NULL.",
        "best_iou(d1) < 0.7",
        _best_iou,
        least=1,
        most=2,
        named=("label", "same_label", "min_score"),
    ),
)
