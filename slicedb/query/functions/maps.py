"""Functions about maps, which `project` makes of embeddings: in_map, map_x, map_y."""

from __future__ import annotations

import math

from slicedb.errors import did_you_mean
from slicedb.query.bound.catalog import TableInfo
from slicedb.query.bound.relation import ModelColumn
from slicedb.query.functions.function import Call, Function, Sql
from slicedb.query.language.tree import Node
from slicedb.schema import MAPS
from slicedb.show.numbers import count
from slicedb.vectors import Lasso

_NO_MAPS = "`slicedb map` makes one."
_CORNERS = "write the corners out: [[0, 0], [1, 0], [0, 1]], at least three; or give a parameter."
_SIGNS = {"-": -1.0, "+": 1.0}


def _in_map(call: Call) -> Sql:
    info = _map(call)
    corners = _corners(call, call.positional[1])
    return call.holds(Lasso(info.name.removeprefix(MAPS), corners), 1)


def _map_x(call: Call) -> Sql:
    return _coordinate(call, "x")


def _map_y(call: Call) -> Sql:
    return _coordinate(call, "y")


def _coordinate(call: Call, axis: str) -> str:
    info, anchor = _map(call), call.anchor()
    extra = ModelColumn(info.name, axis)
    anchor.sample.extras[extra] = info
    return anchor.of_sample(extra.shown)


def _map(call: Call) -> TableInfo:
    """Return the table of the map that a call names, and note that the query reads it."""
    maps = call.binding.catalog.maps
    if not maps:
        raise call.error(f"{call.function.name} needs a map, there is none.", None, _NO_MAPS)
    if not call.positional:
        return call.binding.catalog.table(MAPS + _only(call, maps))
    name = call.text(call.positional[0])
    if name.lower() not in maps:
        hint = did_you_mean(name, maps.values(), "maps")
        raise call.error(f"No map '{name}'.", call.positional[0], hint)
    return call.binding.catalog.table(MAPS + maps[name.lower()])


def _only(call: Call, maps: dict[str, str]) -> str:
    """Return the one map there is."""
    if len(maps) > 1:
        named = f"{call.function.name}('{sorted(maps.values())[0]}')"
        raise call.error("There are several maps.", None, f"name one: {named}.")
    return next(iter(maps.values()))


def _corners(call: Call, polygon: Node) -> tuple[tuple[float, float], ...]:
    """Return the corners of a polygon that is written out."""
    if not _is_list(polygon):
        message = "The polygon of in_map is no list of corners."
        raise call.error(message, polygon, _CORNERS)
    corners = []
    for corner in polygon.values:
        if not _is_list(corner) or len(corner.values) != 2:
            raise call.error(
                "A corner of in_map is no pair [x, y].", _near(corner, polygon), _CORNERS
            )
        x, y = (_number(call, value) for value in corner.values)
        corners.append((x, y))
    if len(set(corners)) < 3:
        have = count(len(set(corners)), "corner")
        raise call.error(f"A polygon of {have} encloses nothing.", polygon, _CORNERS)
    return tuple(corners)


def _is_list(node: Node) -> bool:
    return node.kind == "FUNCTION" and node.name in ("list_value", "list_pack")


def _near(node: Node, otherwise: Node) -> Node:
    """Return the node to point at: a list of nothing has no place of its own."""
    return otherwise if node.at is None else node


def _number(call: Call, node: Node) -> float:
    """Return a coordinate, which may have a sign."""
    if node.kind == "FUNCTION" and node.name in _SIGNS and len(node.values) == 1:
        return _SIGNS[node.name] * _number(call, node.values[0])
    value = float(node.value) if node.is_number else math.nan
    if not math.isfinite(value):
        raise call.error("A coordinate of in_map is no finite number written out.", node, _CORNERS)
    return value


_NAMED = "The map may be left out where there is one. NULL without a point."
FUNCTIONS = (
    Function(
        "in_map",
        "in_map('map', [[x, y], [x, y], [x, y], ...])",
        "BOOLEAN",
        "Whether the sample's point on a map lies in a polygon: a lasso as a condition. The last "
        "corner is joined with the first; where the outline crosses itself, the even-odd rule "
        "decides. NULL without a point.",
        "in_map('pca', [[-1, -1], [1, -1], [0, 1]])",
        _in_map,
        least=2,
        most=2,
    ),
    Function(
        "map_x",
        "map_x(['map'])",
        "FLOAT",
        f"The first coordinate of the sample's point on a map. {_NAMED}",
        "map_x('pca') > 0.1",
        _map_x,
        most=1,
        is_score=True,
    ),
    Function(
        "map_y",
        "map_y(['map'])",
        "FLOAT",
        f"The second coordinate of the sample's point on a map. {_NAMED}",
        "map_y('pca') > 0.1",
        _map_y,
        most=1,
        is_score=True,
    ),
)
