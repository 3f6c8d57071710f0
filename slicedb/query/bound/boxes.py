"""Tables of boxes as relations: their columns, and how a name in a FROM becomes one.

    objects                   one row a ground-truth box
    <model>.objects           one row a predicted box
    <model>.matches           one row a box of either side, after matching

All three are made of the lists in `samples` and in the model's predictions, once a version.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from slicedb.query.bound.catalog import Catalog, TableInfo
from slicedb.query.bound.relation import Matching, Relation
from slicedb.schema import SAMPLES
from slicedb.sql import quoted

TRUTH = "objects"
MATCHES = "matches"
WORDS = (TRUTH, MATCHES)
"""Names of relations after a model's."""

_PLACE: dict[str, pa.DataType] = {
    "id": pa.string(),
    "key": pa.int64(),
    "index": pa.int64(),
    "label": pa.string(),
}
_BOX: dict[str, pa.DataType] = {
    **dict.fromkeys(("x", "y", "w", "h", "cx", "cy", "area", "share", "ratio"), pa.float64()),
}
_REST: dict[str, pa.DataType] = {"score": pa.float64(), "attributes": pa.string()}
_OUTLINE: dict[str, pa.DataType] = {
    "segmentation": pa.string(),
    "keypoints": pa.list_(pa.float64()),
}
_OWN: dict[str, pa.DataType] = {"tp": pa.bool_(), "iou": pa.float64(), "object": pa.int64()}

TYPES: dict[str, dict[str, pa.DataType]] = {
    "truth": {**_PLACE, **_BOX, **_REST, **_OUTLINE},
    "found": {**_PLACE, **_BOX, **_REST, **_OWN},
    "matches": {
        "id": pa.string(),
        "key": pa.int64(),
        "outcome": pa.string(),
        "mistake": pa.string(),
        "about": pa.string(),
        "label": pa.string(),
        "prediction": pa.string(),
        "iou": pa.float64(),
        "score": pa.float64(),
        "object": pa.int64(),
        "detection": pa.int64(),
        **_BOX,
        "attributes": pa.string(),
    },
}
"""Columns of each kind of relation, in the order `*` shows them."""

MATCHED = {
    "found": "BOOLEAN",
    "iou": "DOUBLE",
    "score": "DOUBLE",
    "detection": "BIGINT",
    "prediction": "VARCHAR",
}
"""What `<model>.<column>` says of a ground-truth box, and DuckDB's type of it."""

DERIVED = {
    "cx": '(s.x + s.w / 2) / s."~W"',
    "cy": '(s.y + s.h / 2) / s."~H"',
    "area": "s.w * s.h",
    "share": 's.w * s.h / (s."~W" * s."~H")',
    "ratio": "s.w / nullif(s.h, 0)",
}
"""Columns worked out from stored ones while a query runs."""


def truth(catalog: Catalog, alias: str) -> Relation:
    """Return the relation of all ground-truth boxes."""
    info = _info(TRUTH, catalog.samples.version, "truth")
    return _relation("truth", alias, info, catalog.samples)


def found(catalog: Catalog, model: str, alias: str, matching: Matching | None = None) -> Relation:
    """Return the relation of a detector's boxes."""
    table = catalog.model(model)
    name = catalog.models[model.lower()]
    info = _info(f"{name}.{TRUTH}@{table.version}", catalog.samples.version, "found")
    relation = _relation("found", alias, info, catalog.samples)
    relation.model, relation.predictions = name, table.name
    relation.matching = matching or Matching(name, table.version)
    relation.sides = (truth(catalog, "t"),)
    return relation


def matches(catalog: Catalog, model: str, alias: str, matching: Matching | None = None) -> Relation:
    """Return the relation of a detector's boxes matched with the ground truth."""
    relation = found(catalog, model, alias, matching)
    relation.boxes, relation.path = "matches", MATCHES
    relation.table = _info(f"{relation.model}.{MATCHES}", catalog.samples.version, "matches")
    relation.sides = (*relation.sides, found(catalog, model, "f", relation.matching))
    return relation


def _info(name: str, version: int, kind: str) -> TableInfo:
    types = TYPES[kind]
    return TableInfo(name, version, types, {}, {n.lower(): n for n in types})


def _relation(
    kind: Literal["truth", "found"], alias: str, info: TableInfo, samples: TableInfo
) -> Relation:
    # Not filtered, since the boxes are.
    owner = Relation("samples", SAMPLES, samples, unfiltered=True, keyed=True)
    return Relation("boxes", alias, info, boxes=kind, owner=owner, path=TRUTH)


def has_boxes(catalog: Catalog, model: str) -> bool:
    """Return whether a model with predictions is a detector."""
    return "objects" in catalog.model(model).types


def matching_of(
    catalog: Catalog, model: str, iou: float = 0.5, same: bool = True, confidence: float = 0.0
) -> Matching:
    """Return how a model's boxes are matched."""
    version = catalog.model(model).version
    return Matching(catalog.models[model.lower()], version, iou, same, confidence)


def is_word(name: str) -> bool:
    """Return whether a name after a model's is a relation of boxes."""
    return name.lower() in WORDS


def matched(relation: Relation, matching: Matching, column: str, found: Relation) -> str:
    """Return the SQL of what a matching says of each ground-truth box of a relation."""
    shown = f"{matching.model}.{column}"
    relation.matched[shown] = (matching, column)
    if all(side.matching != matching for side in relation.sides):
        relation.sides += (found,)
    return f"{quoted(relation.alias)}.{quoted(shown)}"


__all__ = [
    "DERIVED",
    "MATCHED",
    "TYPES",
    "WORDS",
    "found",
    "has_boxes",
    "is_word",
    "matched",
    "matches",
    "matching_of",
    "truth",
]
