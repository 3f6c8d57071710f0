"""Functions about stored Grad-CAM maps: plain SQL over the column of maps.

A map is a list of rows x columns shares that covers `shown`, [left, top, right, bottom] in pixels
of the picture. Boxes become fractions of its cells, and a cell is cut by area.
"""

from __future__ import annotations

import json

import numpy as np

from slicedb.errors import did_you_mean
from slicedb.query.bound.bound import Part
from slicedb.query.bound.catalog import TableInfo
from slicedb.query.bound.relation import ModelColumn
from slicedb.query.functions.function import Call, Function, Sql
from slicedb.query.language.tree import Node
from slicedb.schema import CAMS
from slicedb.show.numbers import count

BORDER = 1 / 7
"""Width of the border, as a share of each side: the outer ring of a 7 x 7 map."""

_NO_MAPS = "`slicedb cam MODEL` makes them."
_BOX = "give x, y, width and height in pixels, or the label of annotated boxes."

_BOXES = (
    'list_transform([list_transform({boxes}, lambda "~o": [{edges}])], lambda "~g": {figure})[1]'
)
"""The edges of each box in cells, worked out once, then a figure of them."""
_EDGES = (
    '("~o"[1] - {s}[1]) / ({s}[3] - {s}[1]) * {wide}, '
    '("~o"[2] - {s}[2]) / ({s}[4] - {s}[2]) * {high}, '
    '("~o"[1] + "~o"[3] - {s}[1]) / ({s}[3] - {s}[1]) * {wide}, '
    '("~o"[2] + "~o"[4] - {s}[2]) / ({s}[4] - {s}[2]) * {high}'
)
_OVERLAP = (
    'greatest(0, least("~e"[3], {c} % {wide} + 1) - greatest("~e"[1], {c} % {wide})) * '
    'greatest(0, least("~e"[4], {c} // {wide} + 1) - greatest("~e"[2], {c} // {wide}))'
)
"""How much of cell `{c}` the box `"~e"` covers."""
_KNOWN = 'list_filter("~g", lambda "~e": "~e"[1] + "~e"[2] + "~e"[3] + "~e"[4] IS NOT NULL)'


def _cam_border(call: Call) -> Sql:
    """Return one inner product per sample."""
    info, grid = _maps(call, call.positional[0] if call.positional else None)
    width = BORDER
    if "width" in call.named:
        width = call.number(call.named["width"])
        if not 0 < width < 0.5:
            hint = "a share of each side, such as 0.1."
            raise call.error(f"The width {width:g} is not in (0, 0.5).", call.named["width"], hint)
    cells, size = _column(call, info, "map"), grid[0] * grid[1]
    weights = 1 - np.outer(*(_covered(width, 1 - width, n) for n in grid)).ravel()
    inside = f"array_inner_product({cells}, {_array(weights)})"
    total = f"array_inner_product({cells}, {_array(np.ones(size))})"
    return f"(least({inside}, {total}) / nullif({total}, 0))"


def _cam_mass_in(call: Call) -> Sql:
    covered = _OVERLAP.replace("{c}", '"~c"')
    figure = (
        'CASE WHEN len("~k") > 0 THEN list_sum(list_transform(range({size}), lambda "~c": '
        f'{{m}}["~c" + 1] * least(1, list_sum(list_transform("~k", lambda "~e": {covered})))))'
        " / nullif(list_sum({m}), 0) END"
    )
    return "(", *_of_boxes(call, figure), ")::FLOAT"


def _cam_points_at(call: Call) -> Sql:
    """Return whether the strongest cell, the first of equals, overlaps a box."""
    cell = "(list_position({m}, list_max({m})) - 1)"
    overlaps = _OVERLAP.replace("{c}", cell) + " > 0"
    figure = (
        'CASE WHEN len("~k") > 0 AND list_max({m}) IS NOT NULL THEN list_max({m}) > 0 AND '
        f'len(list_filter("~k", lambda "~e": {overlaps})) > 0 END'
    )
    return "(", *_of_boxes(call, figure), ")"


def _of_boxes(call: Call, figure: str) -> list[Part]:
    """Return the SQL of a figure of the map `{m}` and the known boxes `"~k"`, in cells."""
    if len(call.positional) not in (0, 1, 4):
        raise call.error(
            f"{call.function.name} is given {count(len(call.positional), 'argument')}.", None, _BOX
        )
    info, (high, wide) = _maps(call)
    shown, cells = _shown(call, info), f"({_column(call, info, 'map')}::FLOAT[])"
    figure = figure.format(m=cells, wide=wide, high=high, size=high * wide)
    figure = f'list_transform([{_KNOWN}], lambda "~k": {figure})[1]'
    edges = _EDGES.format(s=shown, wide=float(wide), high=float(high))
    head, tail = _BOXES.format(boxes="\0", edges=edges, figure=figure).split("\0")
    return [head, *_boxes(call), tail]


def _boxes(call: Call) -> list[Part]:
    """Return the SQL of a list of boxes [x, y, w, h] in pixels."""
    if len(call.positional) == 4:
        parts: list[Part] = ["[["]
        for number, value in enumerate(call.positional):
            parts += [", " * (number > 0), "(", call.sql(value), ")::DOUBLE"]
        return [*parts, "]]"]
    objects = call.column("objects")
    if not call.positional:
        return [f'list_transform({objects}, lambda "~b": "~b".bbox)']
    label = call.sql(call.positional[0])
    head = f'list_transform(list_filter({objects}, lambda "~b": "~b".label = ('
    return [head, label, ')), lambda "~b": "~b".bbox)']


def _shown(call: Call, info: TableInfo) -> str:
    """Return the SQL of the part a map covers; where that is not known, the whole picture."""
    whole = f"[0, 0, {call.column('width')}, {call.column('height')}]::DOUBLE[]"
    return f"coalesce({_column(call, info, 'shown')}::DOUBLE[], {whole})"


def _column(call: Call, info: TableInfo, name: str) -> str:
    """Return a column of the maps, as it is called beside the samples."""
    anchor = call.anchor()
    extra = ModelColumn(info.name, name)
    anchor.sample.extras[extra] = info
    return anchor.of_sample(extra.shown)


def _maps(call: Call, positional: Node | None = None) -> tuple[TableInfo, tuple[int, int]]:
    """Return the table of maps a call reads, and rows and columns of a map."""
    asked = positional if positional is not None else call.named.get("model")
    catalog = call.binding.catalog
    names = [n.removeprefix(CAMS) for n in catalog.names if n.startswith(CAMS)]
    known = {name.lower(): name for name in names}
    if not known:
        raise call.error(f"{call.function.name} needs maps, there are none.", None, _NO_MAPS)
    if asked is not None:
        plain = asked.kind == "COLUMN_REF" and len(asked.names) == 1
        name = asked.names[0] if plain else call.text(asked)
        if name.lower() not in known:
            hint = did_you_mean(name, names, "models with maps")
            raise call.error(f"No maps of model '{name}'.", asked, hint)
    elif len(known) > 1:
        raise call.error(
            "Several models have maps.", None, f"name one with model => '{sorted(names)[0]}'."
        )
    else:
        name = names[0]
    info = catalog.table(CAMS + known[name.lower()])
    high, wide = json.loads(info.metadata["slicedb:grid"])
    return info, (int(high), int(wide))


def _covered(start: float, stop: float, cells: int) -> np.ndarray:
    """Return (cells,): how much of each cell lies between two shares of a side."""
    edges = np.arange(cells + 1) / cells
    length = np.minimum(stop, edges[1:]) - np.maximum(start, edges[:-1])
    covered: np.ndarray = np.clip(length * cells, 0, 1)
    return covered


def _array(values: np.ndarray) -> str:
    return f"[{', '.join(f'{v:.9g}' for v in values.tolist())}]::FLOAT[{len(values)}]"


FUNCTIONS = (
    Function(
        "cam_border",
        "cam_border([model] [, width => share of each side])",
        "FLOAT",
        "Share in [0, 1] of what the model looked at (its stored grad-cam map) that lies in "
        "the border of what it saw; the width is 1/7 where none is given. NULL without a map.",
        "cam_border(m1, width => 0.25) > 0.5",
        _cam_border,
        most=1,
        named=("width", "model"),
        is_score=True,
    ),
    Function(
        "cam_mass_in",
        "cam_mass_in(x, y, w, h | ['label'] [, model => 'name'])",
        "FLOAT",
        "Share in [0, 1] of the map that lies in a box, in pixels of the picture, or in the "
        "sample's annotated boxes (of a label). NULL without a map or a box.",
        "cam_mass_in('car') < 0.2",
        _cam_mass_in,
        most=4,
        named=("model",),
        is_score=True,
    ),
    Function(
        "cam_points_at",
        "cam_points_at(x, y, w, h | ['label'] [, model => 'name'])",
        "BOOLEAN",
        "Whether the strongest cell of the map overlaps the box, or an annotated one (of a "
        "label): the pointing game. NULL without a map or a box.",
        "NOT cam_points_at('car')",
        _cam_points_at,
        most=4,
        named=("model",),
    ),
)
