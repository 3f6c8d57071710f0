"""The points of a map as a browser takes them: in the order of their keys, as steps of a grid."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from slicedb.cache import Cache
from slicedb.errors import ConflictError, UnknownTableError, did_you_mean
from slicedb.keys import KeyIndex, ascending
from slicedb.schema import MAPS, SAMPLES

if TYPE_CHECKING:
    from slicedb.database import Database

_STEPS = 65_535
"""Of the grid, along each axis."""
_CLOUDS = 4
_BYTES = 256 << 20
_A_POINT = 8 + 4 + 4 * 12
"""Bytes that a point takes with its place in the index of keys, at most."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """The points of one map, of samples that queries show.

    Keys are hashes, so any first part of the points is a random sample of them: a browser draws
    what has come so far.
    """

    name: str
    version: str
    """Changes with the map and with the samples."""
    keys: np.ndarray
    """int64 (n,), ascending."""
    grid: np.ndarray
    """uint16 (n, 2): steps along x and y."""
    low: tuple[float, float]
    """The coordinates of step 0."""
    step: tuple[float, float]
    """What a step is in coordinates of the map."""
    n_without: int
    """Samples that queries show and that have no point."""
    index: KeyIndex = field(repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def nbytes(self) -> int:
        """Bytes that it holds, with its index."""
        return len(self.keys) * _A_POINT

    def holds(self, keys: np.ndarray) -> np.ndarray:
        """Return bool (n,): which points are of these samples."""
        return self.index.mask(keys)

    def places(self, keys: np.ndarray) -> np.ndarray:
        """Return int64 (n,): the place of each point's sample in `keys`, -1 where it is none."""
        at = np.full(len(self.keys) + 1, -1, np.int64)
        at[self.index.find(keys)] = np.arange(len(keys))  # -1 is the place behind the last
        return at[:-1]


class Clouds:
    """The clouds of one database that were asked for last."""

    def __init__(self) -> None:
        self._kept = Cache[tuple[str, str], Cloud](
            _CLOUDS, size=lambda cloud: cloud.nbytes, most_size=_BYTES
        )
        self._reading = threading.Lock()

    def now(self, db: Database, name: str) -> Cloud:
        """Return the points as they are now.

        Raises:
            UnknownTableError: there is no such map.
        """
        version = version_of(db, name)
        with self._reading:  # a page asks for points, colours and members at once
            return self._kept.get((name, version), lambda: _read(db, name, version))

    def at(self, db: Database, name: str, version: str) -> Cloud:
        """Return the points that a browser has.

        Raises:
            ConflictError: they have changed since, and are forgotten.
        """
        kept = self._kept.find((name, version))
        if kept is not None:
            return kept
        cloud = self.now(db, name)
        if cloud.version != version:
            raise ConflictError(f"The points of '{name}' have changed.", "load the map again.")
        return cloud


def names_of(db: Database) -> list[str]:
    """Return the names of the maps, sorted."""
    return sorted(t.removeprefix(MAPS) for t in db.store.names() if t.startswith(MAPS))


def version_of(db: Database, name: str) -> str:
    """Return what changes with the points of a map.

    Raises:
        UnknownTableError: there is no such map.
    """
    names = names_of(db)
    if name not in names:
        raise UnknownTableError(f"No map '{name}'.", did_you_mean(name, names, "maps"))
    return ".".join(str(db.store.version(table)) for table in (MAPS + name, SAMPLES))


def _read(db: Database, name: str, version: str) -> Cloud:
    stored = db.store.table(MAPS + name, ["key", "x", "y"], version=int(version.split(".")[0]))
    at = np.stack([stored[axis].to_numpy() for axis in "xy"], axis=1).astype(np.float64)
    shown = db.query("").keys()
    rows = KeyIndex(shown).find(stored["key"].to_numpy())
    known = np.flatnonzero((rows >= 0) & np.isfinite(at).all(axis=1))
    keys = shown[rows[known]]
    order = ascending(keys)
    keys, at = keys[order], at[known[order]]
    low, high = (at.min(axis=0), at.max(axis=0)) if len(at) else (np.zeros(2), np.ones(2))
    step = np.where(high > low, (high - low) / _STEPS, 1.0 / _STEPS)
    return Cloud(
        name=name,
        version=version,
        keys=keys,
        grid=np.rint((at - low) / step).astype("<u2"),
        low=(float(low[0]), float(low[1])),
        step=(float(step[0]), float(step[1])),
        n_without=len(shown) - len(keys),
        index=KeyIndex(keys),
    )
