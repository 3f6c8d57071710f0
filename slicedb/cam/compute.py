"""Compute the maps of many samples, for the verb `cam`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.cam.shares import CamJob, Explaining, input_size
from slicedb.cam.table import STATED, prepare, stale
from slicedb.errors import CheckError, ModelError, did_you_mean
from slicedb.keys import distinct
from slicedb.progress import Watch, bar
from slicedb.schema import SAMPLES, content_of
from slicedb.show.html import Html
from slicedb.show.numbers import count, verb
from slicedb.show.tabular import Figure, Part, Record
from slicedb.store.shares import Crew, Place, work_off

if TYPE_CHECKING:
    import torch

    from slicedb.models import Model
    from slicedb.models.trust import Code
    from slicedb.store import Store


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
    notes: tuple[str, ...] = ()
    """What decoded the pictures, where a GPU was asked to."""
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
        notes = "".join(f"\n  {note}" for note in self.notes)
        return f"{text}{failed}{where}{by}.{self._emptiness()}{notes}"

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
    crew: Crew | None = None,
    code: Code | None = None,
    decode: str = "cpu",
) -> CamReport:
    """Compute the maps that are missing or stale and store them; see `Database.cam`.

    With a crew, other processes load the model from `code`, as `code_of` gives it, and do it.
    Finished maps are written every thousand rows, so a run that was stopped resumes where it was.
    A table holds the maps of one method: asking for another one replaces them. Maps of `eigencam`
    and `kpcacam` do not depend on the target.
    """
    from slicedb.cam.gradcam import GradCam
    from slicedb.cam.methods import check_method
    from slicedb.cam.segmenters import PooledSegmenter, explainable

    start = time.perf_counter()
    check_method(method)
    model = explainable(model)
    if layer is None and isinstance(model, PooledSegmenter):
        layer = model.last_features()
    classes = _explained_classes(model)
    _check_target(target, model, classes)
    keys = distinct(keys)
    columns = ["id", "key", "sha256", "label", "width", "height"]
    samples = _with_wishes(store.take(SAMPLES, keys, columns), model, target, layer)
    todo = stale(store, model_name, samples.select(["key", *STATED]), method)
    if not len(todo):
        return CamReport(0, len(keys), 0, "", (0, 0), time.perf_counter() - start, method)
    size = input_size(store, model, samples["key"].to_numpy())
    explain = GradCam(model, layer=layer, method=method, input_size=size)
    grid, about = explain.layer.grid, {"layer": explain.layer.name, "method": method}
    table = prepare(store, model_name, grid, {**about, "classes": json.dumps(classes)})
    samples = samples.take(pa.array(todo))
    with bar(len(todo), f"cam {model_name}", progress) as shown:
        if crew is not None and code is not None:
            about_model = (model_name, code, model.fingerprint())
            job = CamJob(*about_model, target, method, layer, size, grid, batch_size)
            tally = work_off(store, job, samples, crew, shown)
        else:
            place = Place(None if device is None else str(device), threads, decode)
            how = (target, batch_size, place)
            tally = Explaining(store, table, model, explain, *how)(samples, shown)
    tally.decoded.record(store, table)
    return CamReport(
        computed=len(todo) - tally.failed,
        unchanged=len(keys) - len(todo),
        failed=tally.failed,
        empty=tally.empty,
        layer=explain.layer.name,
        grid=grid,
        seconds=time.perf_counter() - start,
        method=method,
        notes=tally.decoded.notes(),
    )


def _with_wishes(samples: pa.Table, model: Model, target: str, layer: str | None) -> pa.Table:
    """Return samples with what a map of each states; one that states something else is stale."""
    labels = samples["label"].to_pylist()
    asked = [f"label {label}" if target == "label" else target for label in labels]
    asked = [f"{text} at {layer}" if layer else text for text in asked]
    stated = (
        pa.array(content_of(samples["sha256"].to_pylist())),
        pa.array(np.full(len(samples), content_of([model.fingerprint()])[0])),
        pa.array(asked, pa.string()),
    )
    for name, values in zip(STATED, stated):
        samples = samples.append_column(name, values)
    return samples


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
