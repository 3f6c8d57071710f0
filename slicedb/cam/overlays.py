"""Draw what a model looked at: stored maps over the images of their samples."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from PIL import Image

from slicedb import media
from slicedb.cam.maps import overlay
from slicedb.cam.table import grid_of, maps_of, no_maps
from slicedb.errors import CheckError, MediaError, UnknownSampleError, did_you_mean, suggesting
from slicedb.query.cards import cards
from slicedb.schema import CAMS, PREDICTIONS, keys_of
from slicedb.show import html
from slicedb.show.numbers import count

if TYPE_CHECKING:
    from slicedb.store import Store

SHOWN = 12
"""Overlays a notebook shows."""

_SIDE = 160


def overlays(
    store: Store,
    model: str,
    keys: np.ndarray,
    *,
    side: int | None = None,
    strength: float = 0.5,
    remote: bool = True,
) -> list[Image.Image | None]:
    """Return the pictures of samples with the model's stored maps laid over them.

    Args:
        keys: int64 (n,).
        side: pixels of the longer side at most; None keeps the size of the picture.
        strength: of the colours, in [0, 1].
        remote: also fetch pictures from a bucket or a web server; otherwise they lack.

    Returns:
        One RGB picture per key, in order; None where there is no map or no picture.

    Raises:
        UnknownTableError: nothing was computed for this model.
    """
    table = CAMS + model
    if not store.has(table):
        raise no_maps(store, model)
    keys = np.asarray(keys, np.int64)
    made: list[Image.Image | None] = [None] * len(keys)
    at = np.flatnonzero(store.positions(table, keys) >= 0)
    rows = store.take(table, keys[at], ["map", "shown"])
    maps = maps_of(rows, grid_of(store, model))
    has_map, shown = np.asarray(rows["map"].combine_chunks().is_valid()), rows["shown"].to_pylist()
    for k, (_, data) in enumerate(store.read_images(keys[at], remote=remote)):
        if has_map[k]:
            made[int(at[k])] = _laid(data, maps[k], shown[k], side, strength)
    return made


def overlay_of(
    store: Store, model: str, key: int, *, side: int | None = None, strength: float = 0.5
) -> Image.Image | None:
    """Return one sample's picture with the model's stored map laid over it, or None.

    Arguments as for `overlays`.
    """
    return overlays(store, model, np.array([key], np.int64), side=side, strength=strength)[0]


def jpeg(picture: Image.Image | None) -> bytes | None:
    """Return a picture as a JPEG, None where there is none."""
    if picture is None:
        return None
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()


def gallery(store: Store, model: str, keys: np.ndarray, *, side: int = _SIDE) -> html.Html:
    """Return HTML with the overlays of the first samples, their labels and predictions."""
    keys = np.asarray(keys, np.int64)[:SHOWN]
    if not len(keys) or not store.has(CAMS + model):
        return html.Html("")
    pictures = {i: jpeg(p) for i, p in enumerate(overlays(store, model, keys, side=side))}
    drawn = {i: picture for i, picture in pictures.items() if picture is not None}
    models = [model] if store.has(PREDICTIONS + model) else []
    return cards(store, keys, models, side=side, pictures=drawn)


@suggesting
class StoredCams:
    """The maps a database holds: `db.cams`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def models(self) -> list[str]:
        """Return the models with stored maps, sorted."""
        return [n.removeprefix(CAMS) for n in self._store.names() if n.startswith(CAMS)]

    def overlay(
        self,
        sample: str,
        model: str | None = None,
        *,
        side: int | None = None,
        remote: bool = True,
    ) -> Image.Image:
        """Return a sample's picture with what the model looked at, from blue to red.

        Args:
            sample: its id.
            model: whose map; may be left out when one model has maps.
            side: pixels of the longer side at most; None keeps the size of the picture.
            remote: also fetch the picture from a bucket or a web server.

        Raises:
            UnknownTableError: the model has no maps.
            UnknownSampleError: no map of that sample, or its picture does not decode.
        """
        key = keys_of([sample])
        picture = overlays(self._store, self._one(model), key, side=side, remote=remote)[0]
        if picture is None:
            raise UnknownSampleError(
                f"No map of '{sample}'.", f"`slicedb cam {self._one(model)}` makes what is missing."
            )
        return picture

    def overlays(
        self, samples: Sequence[str], model: str | None = None, *, side: int | None = None
    ) -> list[Image.Image | None]:
        """Return one picture per sample, None where there is no map; see `overlay`."""
        return overlays(self._store, self._one(model), keys_of(samples), side=side)

    def table(self, model: str | None = None) -> pa.Table:
        """Return every stored row of a model: id, target, map, border, shown, error."""
        name = self._one(model)
        if not self._store.has(CAMS + name):
            raise no_maps(self._store, name)
        return self._store.table(CAMS + name)

    def _one(self, model: str | None) -> str:
        if model is not None:
            return model
        models = self.models()
        if len(models) != 1:
            fact = (
                f"{count(len(models), 'model has', 'models have')} maps."
                if models
                else "No model has maps."
            )
            hint = (
                did_you_mean("", models, "models") if models else "run `slicedb cam MODEL` first."
            )
            raise CheckError(fact, hint)
        return models[0]


def _laid(
    data: bytes, heat: np.ndarray, shown: list[float] | None, side: int | None, strength: float
) -> Image.Image | None:
    try:
        picture = media.decode(data)
    except MediaError:
        return None
    scale = 1.0 if side is None else min(1.0, side / max(picture.size))
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size)
    box = None if shown is None else [edge * scale for edge in shown]
    return overlay(picture, heat, shown=box, strength=strength)
