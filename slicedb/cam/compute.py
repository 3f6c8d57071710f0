"""Compute the maps of many samples, for the verb `cam`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from slicedb.cam.maps import border
from slicedb.cam.table import prepare, stale
from slicedb.errors import CheckError, MediaError, ModelError, did_you_mean
from slicedb.keys import distinct
from slicedb.progress import Watch, bar
from slicedb.schema import SAMPLES, content_of
from slicedb.show.html import Html
from slicedb.show.numbers import count, verb
from slicedb.show.tabular import Figure, Part, Record

if TYPE_CHECKING:
    import torch

    from slicedb.cam.gradcam import GradCam
    from slicedb.models import Model
    from slicedb.store import Store


_WRITE = 1024
"""Rows between two writes: what an interrupted run loses at most."""


@dataclass(frozen=True)
class CamReport(Record):
    """What a run of `cam` did."""

    computed: int
    """Rows that are new or were stale."""
    unchanged: int
    """Rows that were there already."""
    failed: int
    """Images that did not decode."""
    layer: str
    """The layer that was looked at; "" when there was nothing to do."""
    grid: tuple[int, int]
    """Rows and columns of the maps."""
    seconds: float
    method: str = "gradcam"
    empty: int = 0
    """Of the computed ones: maps that are zero everywhere; no part of the layer speaks for the
    class. Where all of them are, the layer is rarely the right one."""
    pictures: Callable[[], Html] | None = field(default=None, repr=False, compare=False)
    """Gives the HTML of the first overlays, for a notebook."""

    def parts(self) -> Iterable[Part]:
        """Yield what was done, and the first overlays."""
        yield str(self)
        if self.pictures is not None:
            yield Figure(self.pictures)

    def __str__(self) -> str:
        rate = self.computed / self.seconds if self.seconds else 0.0
        text = (
            f"{count(self.computed, 'map')} in {self.seconds:.1f} s ({rate:,.0f}/s), "
            f"{self.unchanged:,} unchanged"
        )
        failed = f", {self.failed:,} failed" if self.failed else ""
        where = f"; {self.grid[0]} x {self.grid[1]} at layer '{self.layer}'" if self.layer else ""
        by = f" by {self.method}" if self.method != "gradcam" else ""
        return f"{text}{failed}{where}{by}.{self._emptiness()}"

    def _emptiness(self) -> str:
        if not self.empty:
            return ""
        which = "All" if self.empty == self.computed > 1 else f"{self.empty:,}"
        are = verb(self.empty, "is", "are")
        return (
            f"\n  {which} of the {count(self.computed, 'map')} {are} empty: nothing in layer "
            f"'{self.layer}' speaks for the class. --layer (layer=) names another one."
        )


def cam(
    store: Store,
    model_name: str,
    model: Model,
    keys: np.ndarray,
    *,
    target: str = "prediction",
    method: str = "gradcam",
    layer: str | None = None,
    batch_size: int = 32,
    device: torch.device | str | None = None,
    threads: int | None = None,
    progress: Watch = None,
) -> CamReport:
    """Compute the maps that are missing or stale and store them; see `Database.cam`.

    Finished maps are written every thousand rows, so a run that was stopped resumes where it was.
    A table holds the maps of one method: asking for another one replaces them. Maps of `eigencam`
    and `kpcacam` do not depend on the target.
    """
    from slicedb.cam.gradcam import GradCam
    from slicedb.cam.methods import check_method
    from slicedb.cam.segmenters import PooledSegmenter, explainable
    from slicedb.inference.runner import pick_device

    start = time.perf_counter()
    check_method(method)
    model = explainable(model)
    if layer is None and isinstance(model, PooledSegmenter):
        layer = model.last_features()
    classes = _explained_classes(model)
    _check_target(target, model, classes)
    keys = distinct(keys)
    columns = ["id", "key", "sha256", "label", "width", "height"]
    samples = store.take(SAMPLES, keys, columns)
    labels = samples["label"].to_pylist()
    asked = [f"label {label}" if target == "label" else target for label in labels]
    asked = [f"{text} at {layer}" if layer else text for text in asked]
    wanted = pa.table(
        {
            "key": samples["key"],
            "content": pa.array(content_of(samples["sha256"].to_pylist())),
            "fingerprint": np.full(len(samples), content_of([model.fingerprint()])[0]),
            "asked": pa.array(asked, pa.string()),
        }
    )
    todo = stale(store, model_name, wanted, method)
    if not len(todo):
        return CamReport(0, len(keys), 0, "", (0, 0), time.perf_counter() - start, method)
    size = _input_size(store, model, samples["key"].to_numpy())
    chosen = pick_device(device, model)
    explain = GradCam(model, layer=layer, method=method, input_size=size)
    grid, about = explain.layer.grid, {"layer": explain.layer.name, "method": method}
    table = prepare(store, model_name, grid, {**about, "classes": json.dumps(classes)})
    failed = empty = 0
    rows: list[dict[str, Any]] = []
    stated = wanted.drop_columns(["key"]).take(pa.array(todo)).to_pylist()
    shown = bar(len(todo), f"cam {model_name}", progress)
    with model.session(chosen), shown:
        made = _rows(
            store, explain, model, samples.take(pa.array(todo)), target, batch_size, threads
        )
        try:
            for row, facts in zip(made, stated):
                rows.append(row | facts)
                failed += row["error"] is not None
                empty += row["error"] is None and row["border"] is None
                if len(rows) >= _WRITE:
                    store.upsert(table, pa.Table.from_pylist(rows, store.schema(table)))
                    rows = []
                shown.advance()
        finally:  # also when somebody stops it: what was computed is kept
            if rows:
                store.upsert(table, pa.Table.from_pylist(rows, store.schema(table)))
    return CamReport(
        computed=len(todo) - failed,
        unchanged=len(keys) - len(todo),
        failed=failed,
        empty=empty,
        layer=explain.layer.name,
        grid=grid,
        seconds=time.perf_counter() - start,
        method=method,
    )


def _input_size(store: Store, model: Model, keys: np.ndarray) -> tuple[int, int] | None:
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


def _explained_classes(model: Model) -> list[str]:
    """Return the classes that maps can explain; none for a model that predicts a number.

    Raises:
        ModelError: the model gives no score per picture.
    """
    if model.takes_list:
        raise ModelError(
            f"{model} does {model.task}.",
            "grad-cam explains one score per picture: a class of a classifier or a segmenter, or "
            "the number that a regression predicts.",
        )
    return list(model.classes)


def _check_target(target: str, model: Model, classes: Sequence[str]) -> None:
    choices = ["prediction", *(["label", *classes] if classes else [])]
    if target not in choices:
        raise CheckError(f"No target '{target}' of {model}.", did_you_mean(target, choices))


def _rows(
    store: Store,
    explain: GradCam,
    model: Model,
    samples: pa.Table,
    target: str,
    batch_size: int,
    threads: int | None,
) -> Iterator[dict[str, Any]]:
    """Yield one row per sample, in order."""
    from slicedb.inference.batches import batches
    from slicedb.inference.device import device_of

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
