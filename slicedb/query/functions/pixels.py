"""Functions about label maps: the share of a class, of the truth or of what a model predicts.

They read the shares that are stored beside the label maps; no picture is decoded.
"""

from __future__ import annotations

import json

from slicedb.errors import did_you_mean
from slicedb.query.bound.catalog import TableInfo
from slicedb.query.bound.relation import ModelColumn
from slicedb.query.functions.function import Call, Function, Sql
from slicedb.schema import AREAS, MASKS, PREDICTIONS
from slicedb.sql import string

_CLASSES = "slicedb:classes"
_NO_MASKS = "`slicedb attach-masks FOLDER` reads them, and so does ingest of images/ and masks/."


def _pixel_share(call: Call) -> Sql:
    """Return the share that is stored for a class; 0 where the map has none of it."""
    label = call.text(call.positional[0])
    model = call.model
    info = _masks(call) if not model else _predicted(call, model)
    known = [str(name) for name in json.loads(info.metadata.get(_CLASSES) or "[]")]
    if known and label not in known:
        hint = did_you_mean(label, known, "classes")
        raise call.error(f"No class '{label}' in the label maps.", call.positional[0], hint)
    anchor = call.anchor()
    columns = [ModelColumn(model or info.name, name) for name in ("areas", "pixels")]
    for column in columns:
        anchor.sample.extras[column] = info
    areas, pixels = (anchor.of_sample(column.shown) for column in columns)
    chosen = f'list_filter({areas}, lambda "~a": "~a".label = {string(label)})'
    return (
        f"(CASE WHEN {areas} IS NOT NULL AND {pixels} > 0 THEN "
        f"coalesce({chosen}[1].pixels, 0)::DOUBLE / {pixels} END)"
    )


def _masks(call: Call) -> TableInfo:
    catalog = call.binding.catalog
    if MASKS not in catalog.names:
        raise call.error("There are no label maps.", None, _NO_MASKS)
    return catalog.table(MASKS)


def _predicted(call: Call, model: str) -> TableInfo:
    info = call.binding.catalog.model(model)
    if info.types.get("areas") != AREAS:
        names = call.binding.catalog.models.values()
        tables = {name: call.binding.catalog.table(PREDICTIONS + name) for name in names}
        segmenters = [name for name, table in tables.items() if table.types.get("areas") == AREAS]
        hint = f"models that do: {', '.join(segmenters) or 'none'}."
        raise call.error(f"'{model}' predicts no classes of pixels.", None, hint)
    return info


FUNCTIONS = (
    Function(
        "pixel_share",
        "[model.]pixel_share('label')",
        "DOUBLE",
        "Share in [0, 1] of the pixels of the sample's label map that are of a class, or, behind "
        "the name of a model, that it predicts as the class. Pixels that are ignored do not count; "
        "NULL without a label map.",
        "pixel_share('road') > 0.3",
        _pixel_share,
        least=1,
        most=1,
        is_score=True,
        of_model=True,
    ),
)
