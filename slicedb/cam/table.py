"""The table of a model's maps: `cams__<model>`, one row per sample."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import UnknownTableError, did_you_mean
from slicedb.keys import KeyIndex
from slicedb.schema import CAMS, schema_of

if TYPE_CHECKING:
    from slicedb.store import Store

STATED = ("content", "fingerprint", "asked")
"""The columns that say what a row was computed from."""


def cams_schema(cells: int) -> pa.Schema:
    """Return the schema of a table of maps.

    `target` is the class the map explains, null for a model that predicts a number; `map` has the
    rows of the grid one after the other, its largest value 1; `border` is the fraction of it in
    the border of the picture; `shown` is the part of the picture it covers: left, top, right,
    bottom in pixels, null where only the model's own transform knows; `content`, `fingerprint`
    and `asked` say what a row was computed from.
    """
    return schema_of(
        """
        id! string, key! int64, target string, map cells, border float32, shown box, content int64
        fingerprint int64, asked string, error string
        """,
        cells=pa.list_(pa.float32(), cells),
        box=pa.list_(pa.float64(), 4),
    )


def read(store: Store, model_name: str, keys: np.ndarray) -> pa.Table:
    """Return the stored rows of samples, in the order of `keys`.

    Raises:
        UnknownTableError: nothing was computed for this model.
    """
    table = CAMS + model_name
    if not store.has(table):
        raise no_maps(store, model_name)
    return store.take(table, keys)


def no_maps(store: Store, model_name: str) -> UnknownTableError:
    """Return the error of a model without maps."""
    made = [t.removeprefix(CAMS) for t in store.names() if t.startswith(CAMS)]
    hint = did_you_mean(model_name, made) if made else "run `slicedb cam MODEL` first."
    return UnknownTableError(f"No maps of model '{model_name}'.", hint)


def maps_of(table: pa.Table, grid: tuple[int, int]) -> np.ndarray:
    """Return the maps of rows as float32 (n, rows, columns); zeros where there is none."""
    column = table["map"].combine_chunks()
    out = np.zeros((len(column), grid[0] * grid[1]), np.float32)
    valid = np.asarray(column.is_valid())
    out[valid] = column.drop_null().flatten().to_numpy().reshape(-1, out.shape[1])
    return out.reshape(-1, *grid)


def grid_of(store: Store, model_name: str) -> tuple[int, int]:
    """Return rows and columns of the stored maps of a model."""
    high, wide = json.loads(store.metadata(CAMS + model_name)["slicedb:grid"])
    return high, wide


def method_of(store: Store, model_name: str) -> str:
    """Return the method that the stored maps of a model were made by."""
    return store.metadata(CAMS + model_name).get("slicedb:method", "gradcam")


def stale(store: Store, model_name: str, wanted: pa.Table, method: str) -> np.ndarray:
    """Return int64: the rows of samples whose map is missing, or was computed from other data.

    Args:
        wanted: key, and what each map is to be computed from: content, fingerprint, asked.
        method: the maps of another method are not looked at.
    """
    name = CAMS + model_name
    if not store.has(name) or method_of(store, model_name) != method:
        return np.arange(len(wanted))
    have = store.table(name, ["key", *STATED])
    rows = KeyIndex(have["key"].to_numpy()).find(wanted["key"].to_numpy())
    stored = have.take(pa.array(rows, mask=rows < 0))
    fresh = np.ones(len(wanted), bool)
    for column in STATED:
        fresh &= np.asarray(pc.fill_null(pc.equal(stored[column], wanted[column]), False))
    return np.flatnonzero(~fresh)


def prepare(store: Store, model_name: str, grid: tuple[int, int], about: Mapping[str, str]) -> str:
    """Create the table, anew when its maps have another shape or are by another method.

    Args:
        grid: rows and columns of the maps.
        about: what else is stored about the table: layer, method, classes.
    """
    name = CAMS + model_name
    text = json.dumps(list(grid))
    metadata = {"grid": text, **about}
    schema = cams_schema(grid[0] * grid[1]).with_metadata(
        {f"slicedb:{key}": text for key, text in metadata.items()}
    )
    if not store.create(name, schema):
        version = store.version(name)
        others = store.metadata(name, version).get("slicedb:grid") != text
        if others or method_of(store, model_name) != about["method"]:
            store.replace(name, schema, expected_version=version)
    return name
