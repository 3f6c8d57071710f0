"""Compute the maps of one share of the samples, in this process or in any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.cam.maps import border
from slicedb.cam.table import STATED
from slicedb.errors import MediaError, ModelError
from slicedb.progress import Bar
from slicedb.schema import CAMS, Row
from slicedb.store.shares import Place, Tally

if TYPE_CHECKING:
    from slicedb.cam.gradcam import GradCam
    from slicedb.inference.decoding import Decoding
    from slicedb.models import Model
    from slicedb.models.trust import Code
    from slicedb.store import Store

_WRITE = 1024
"""Rows between two writes: what an interrupted run loses at most."""


@dataclass(frozen=True)
class CamJob:
    """Whose maps are computed and how, in names."""

    model: str
    code: Code
    """What the registered model is loaded from."""
    fingerprint: str
    target: str
    method: str
    layer: str | None
    input_size: tuple[int, int] | None
    grid: tuple[int, int]
    size: int
    """Images per batch."""

    @property
    def table(self) -> str:
        """The table of the maps."""
        return CAMS + self.model

    @property
    def row_bytes(self) -> int:
        """Bytes of a map."""
        return 4 * self.grid[0] * self.grid[1]

    def open(self, store: Store, place: Place) -> Explaining:
        """Load the registered model.

        Raises:
            ModelError: it is not the model that was meant.
        """
        from slicedb.cam.gradcam import GradCam
        from slicedb.cam.segmenters import explainable
        from slicedb.models.elsewhere import meant
        from slicedb.models.registry import Models

        model = explainable(meant(Models(store), self.model, self.code, self.fingerprint))
        explain = GradCam(model, layer=self.layer, method=self.method, input_size=self.input_size)
        if explain.layer.grid != self.grid:
            raise ModelError(
                f"The maps of '{self.model}' have {explain.layer.grid} cells here, and "
                f"{self.grid} where they were asked for.",
                "give all machines the same versions of packages.",
            )
        return Explaining(store, self.table, model, explain, self.target, self.size, place)


class Explaining:
    """Computes and writes the maps of some samples.

    Args:
        store: the database.
        table: the table of the maps.
        model: what is explained.
        explain: makes the maps.
        target: what they explain.
        batch_size: images per batch.
        place: the device, by default where the model is, the threads, and which chip decodes.
    """

    def __init__(
        self,
        store: Store,
        table: str,
        model: Model,
        explain: GradCam,
        target: str,
        batch_size: int,
        place: Place,
    ) -> None:
        self._store, self._table = store, table
        self._model, self._explain, self._target = model, explain, target
        self._batch_size, self._place = batch_size, place

    def __call__(self, rows: pa.Table, shown: Bar) -> Tally:
        """Explain samples: id, key, label, width, height, content, fingerprint and asked, (n,)."""
        from slicedb.inference.decoding import Decoding
        from slicedb.inference.runner import pick_device

        store, table = self._store, self._table
        failed = empty = 0
        examples: list[str] = []
        held: list[Row] = []
        stated = rows.select(list(STATED)).to_pylist()
        decoding = Decoding(self._place.decode)
        args = (self._target, self._batch_size, self._place.threads, decoding)
        with self._model.session(pick_device(self._place.device, self._model)):
            made = explained_rows(store, self._explain, self._model, rows, *args)
            try:
                for row, facts in zip(made, stated):
                    held.append(row | facts)
                    failed += row["error"] is not None
                    empty += row["error"] is None and row["border"] is None
                    if row["error"] is not None:
                        examples.append(f"{row['id']}: {row['error']}")
                    if len(held) >= _WRITE:
                        store.upsert(table, pa.Table.from_pylist(held, store.schema(table)))
                        held = []
                    shown.advance()
            finally:  # also when somebody stops it: what was computed is kept
                if held:
                    store.upsert(table, pa.Table.from_pylist(held, store.schema(table)))
        return Tally(failed, 0, empty, tuple(examples[:3]), decoding.decoded)


def input_size(store: Store, model: Model, keys: np.ndarray) -> tuple[int, int] | None:
    """Return height and width of what a model's own transform makes of the first good picture."""
    from slicedb import media

    if model.transform is None:
        return None
    for _, data in store.read_images(keys):
        try:
            made = model.transform(media.decode(data))
        except MediaError:
            continue
        return int(made.shape[-2]), int(made.shape[-1])
    return None


def explained_rows(
    store: Store,
    explain: GradCam,
    model: Model,
    samples: pa.Table,
    target: str,
    batch_size: int,
    threads: int | None,
    decoding: Decoding,
) -> Iterator[Row]:
    """Yield one row per sample, in order."""
    from slicedb.inference.batches import batches
    from slicedb.inference.device import device_of
    from slicedb.inference.ongpu import fitted_on_gpu

    on = device_of(explain.device)
    ids, keys, labels = (samples[c].to_pylist() for c in ("id", "key", "label"))
    shown = _shown(model, samples)
    images = (data for _, data in store.read_images(np.array(keys, np.int64)))
    feed = batches(
        zip(ids, images),
        model.preprocessing,
        model.transform,
        size=batch_size,
        threads=threads,
        ahead=on.ahead,
        pin=on.is_gpu,
        decoder=fitted_on_gpu(decoding, on.device, model),
    )
    pick = _Picker(target, list(model.classes))
    at = 0
    for batch in feed:
        n = len(batch.ids)
        errors = [
            error or pick.why_not(label) for error, label in zip(batch.errors, labels[at : at + n])
        ]
        good = [i for i, error in enumerate(errors) if error is None]
        cams = None
        if good:
            pixels = on.send(batch.images)
            if not pixels.is_floating_point():
                pixels = model.preprocessing.normalise(pixels)
            if len(good) < n:
                pixels = pixels[good]
            cams = explain(pixels, pick([labels[at + i] for i in good]))
            borders = border(cams.maps)
        where = {i: k for k, i in enumerate(good)}
        for i in range(n):
            k = where.get(i)
            row = {
                "id": ids[at + i],
                "key": keys[at + i],
                "error": errors[i],
                "shown": shown[at + i],
            }
            if k is not None and cams is not None:
                row["target"] = model.classes[int(cams.targets[k])] if model.classes else None
                row["map"] = cams.maps[k].reshape(-1).tolist()
                row["border"] = None if np.isnan(borders[k]) else float(borders[k])
            yield row
        at += n


class _Picker:
    """Chooses the class that each image is explained for."""

    def __init__(self, target: str, classes: list[str]) -> None:
        self.target = target
        self.index = {name: i for i, name in enumerate(classes)}

    def __call__(self, labels: list[str | None]) -> list[int] | None:
        if self.target == "prediction":
            return None
        named = labels if self.target == "label" else [self.target] * len(labels)
        return [self.index[name] for name in named if name is not None]

    def why_not(self, label: str | None) -> str | None:
        """Return why a sample has no target, None when it has one."""
        if self.target != "label" or label in self.index:
            return None
        return f"label {label!r} is no class of the model"


def _shown(model: Model, samples: pa.Table) -> list[list[float] | None]:
    """Return the part of each picture that the network sees, in pixels."""
    box: Callable[[int, int], tuple[float, ...]] | None = getattr(model.preprocessing, "box", None)
    if model.transform is not None or box is None:
        return [None] * len(samples)
    sizes = zip(samples["width"].to_pylist(), samples["height"].to_pylist())
    return [None if not w or not h else [float(e) for e in box(w, h)] for w, h in sizes]
