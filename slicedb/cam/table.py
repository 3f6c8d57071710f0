"""Maps of many samples, kept in a table so that queries can ask for them."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from slicedb.cam.maps import border
from slicedb.errors import CheckError, UnknownTableError, did_you_mean
from slicedb.models.model import need_classifier
from slicedb.progress import Bar
from slicedb.schema import CAMS, SAMPLES, content_of

if TYPE_CHECKING:
    from slicedb.cam.gradcam import GradCam
    from slicedb.store import Store


_WRITE = 1024
"""Rows between two writes: what an interrupted run loses at most."""


@dataclass(frozen=True)
class CamReport:
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
    pictures: Callable[[], str] | None = field(default=None, repr=False, compare=False)
    """Gives the HTML of the first overlays, for a notebook."""

    def _repr_html_(self) -> str:
        shown = self.pictures() if self.pictures is not None else ""
        return f"<p>{html.escape(str(self))}</p>{shown}"

    def __str__(self) -> str:
        rate = self.computed / self.seconds if self.seconds else 0.0
        text = (
            f"{self.computed:,} maps in {self.seconds:.1f} s ({rate:,.0f}/s), "
            f"{self.unchanged:,} unchanged"
        )
        failed = f", {self.failed:,} failed" if self.failed else ""
        where = f"; {self.grid[0]} x {self.grid[1]} at layer '{self.layer}'" if self.layer else ""
        return f"{text}{failed}{where}."


def cams_schema(cells: int) -> pa.Schema:
    """Return the schema of a table of maps.

    `target` is the class the map explains; `map` has the rows of the grid one after the other,
    its largest value 1; `border` is the share of it in the border of the picture; `shown` is the
    part of the picture it covers: left, top, right, bottom in pixels, null where only the model's
    own transform knows; `content`, `fingerprint` and `asked` say what a row was computed from.
    """
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("key", pa.int64(), nullable=False),
            pa.field("target", pa.string()),
            pa.field("map", pa.list_(pa.float32(), cells)),
            pa.field("border", pa.float32()),
            pa.field("shown", pa.list_(pa.float64(), 4)),
            pa.field("content", pa.int64()),
            pa.field("fingerprint", pa.int64()),
            pa.field("asked", pa.string()),
            pa.field("error", pa.string()),
        ]
    )


def cam(
    store: Store,
    model_name: str,
    model: Any,
    keys: np.ndarray,
    *,
    target: str = "prediction",
    layer: str | None = None,
    batch_size: int = 32,
    threads: int | None = None,
    progress: Bar | None = None,
) -> CamReport:
    """Compute the maps that are missing or stale and keep them in `cams__<model>`.

    What is done is written every thousand rows, so that a run that was stopped goes on where it
    was.

    Args:
        store: the database.
        model_name: names the table.
        model: a SliceDB model.
        keys: int64 (n,), the samples.
        target: "prediction" explains what the model says, "label" the ground truth, and the name
            of a class that class.
        layer: name of the layer, in place of the one found.
        batch_size: images a batch.
        threads: decoding threads; None takes the cores.
        progress: counts the images.

    Raises:
        ModelError: the model is no classifier, or has no convolution and no attention layer.
        CheckError: `target` is no class of the model.
    """
    from slicedb.cam.gradcam import GradCam

    start = time.perf_counter()
    need_classifier(model, "grad-cam")
    classes = list(model.classes)
    if target not in ("prediction", "label", *classes):
        raise CheckError(
            f"No target '{target}'.", did_you_mean(target, ["prediction", "label", *classes])
        )
    keys = np.unique(np.asarray(keys, np.int64))
    columns = ["id", "key", "sha256", "label", "width", "height"]
    samples = store.take(SAMPLES, keys, columns)
    fingerprint = int(content_of([model.fingerprint()])[0])
    labels = samples["label"].to_pylist()
    asked = [f"label {label}" if target == "label" else target for label in labels]
    asked = [f"{text} at {layer}" if layer else text for text in asked]
    todo = _missing(store, model_name, samples, fingerprint, asked)
    if not len(todo):
        done = (0, len(keys), 0, "", (0, 0), time.perf_counter() - start)
        return CamReport(*done)
    explain = GradCam(model, layer=layer)
    table = _prepare(store, model_name, explain, classes)
    failed = 0
    rows: list[dict[str, Any]] = []
    part = samples.take(pa.array(todo))
    stale = [asked[i] for i in todo.tolist()]
    fixed = {"fingerprint": fingerprint}
    with model.session(explain.device):
        for row in _rows(store, explain, model, part, target, batch_size, threads):
            rows.append({**row, **fixed, "asked": stale[row.pop("at")]})
            failed += row["error"] is not None
            if progress is not None:
                progress.advance(1)
            if len(rows) >= _WRITE:
                store.upsert(table, pa.Table.from_pylist(rows, store.schema(table)))
                rows = []
        if rows:
            store.upsert(table, pa.Table.from_pylist(rows, store.schema(table)))
    return CamReport(
        computed=len(todo) - failed,
        unchanged=len(keys) - len(todo),
        failed=failed,
        layer=explain.layer.name,
        grid=explain.layer.grid,
        seconds=time.perf_counter() - start,
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


def _missing(
    store: Store, model_name: str, samples: pa.Table, fingerprint: int, asked: list[str]
) -> np.ndarray:
    """Return the positions in `samples` of rows that are not there or are stale."""
    name = CAMS + model_name
    if not store.has(name):
        return np.arange(len(samples))
    have = store.table(name, ["key", "content", "fingerprint", "asked"])
    known = dict(
        zip(
            have["key"].to_pylist(),
            zip(*(have[c].to_pylist() for c in ("content", "fingerprint", "asked"))),
        )
    )
    content = content_of(samples["sha256"].to_pylist()).tolist()
    wanted = zip(samples["key"].to_pylist(), content, asked)
    stale = [known.get(key) != (mark, fingerprint, text) for key, mark, text in wanted]
    return np.flatnonzero(stale)


def _prepare(store: Store, model_name: str, explain: GradCam, classes: list[str]) -> str:
    """Create the table, anew when the maps of the model have another shape now."""
    name = CAMS + model_name
    grid = json.dumps(list(explain.layer.grid))
    if store.has(name) and store.metadata(name).get("slicedb:grid") != grid:
        store.drop(name)
    if not store.has(name):
        metadata = {
            "slicedb:grid": grid,
            "slicedb:layer": explain.layer.name,
            "slicedb:classes": json.dumps(classes),
        }
        cells = explain.layer.grid[0] * explain.layer.grid[1]
        store.create(name, cams_schema(cells).with_metadata(metadata))
    return name


def _rows(
    store: Store,
    explain: GradCam,
    model: Any,
    samples: pa.Table,
    target: str,
    batch_size: int,
    threads: int | None,
) -> Iterator[dict[str, Any]]:
    """Yield one row a sample, in order; `at` is its position."""
    from slicedb.inference.batches import batches

    ids, keys, labels = (samples[c].to_pylist() for c in ("id", "key", "label"))
    content = content_of(samples["sha256"].to_pylist()).tolist()
    shown = _shown(model, samples)
    images = (data for _, data in store.read_images(np.array(keys, np.int64)))
    feed = batches(
        zip(ids, images), model.preprocessing, model.transform, size=batch_size, threads=threads
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
            pixels = batch.images[good]
            if not pixels.is_floating_point():
                pixels = model.preprocessing.normalise(pixels.to(explain.device))
            cams = explain(pixels, pick([labels[at + i] for i in good]))
            borders = border(cams.maps)
        where = {i: k for k, i in enumerate(good)}
        for i in range(n):
            k = where.get(i)
            row = {"at": at + i, "id": ids[at + i], "key": keys[at + i], "error": errors[i]}
            row |= {"content": content[at + i], "shown": shown[at + i]}
            if k is not None and cams is not None:
                row["target"] = model.classes[int(cams.targets[k])]
                row["map"] = cams.maps[k].reshape(-1).tolist()
                row["border"] = None if np.isnan(borders[k]) else float(borders[k])
            yield row
        at += n


class _Picker:
    """Which class each image is explained for."""

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


def _shown(model: Any, samples: pa.Table) -> list[list[float] | None]:
    """Return the part of each picture that the network sees, pixels."""
    box: Callable[[int, int], tuple[float, ...]] | None = getattr(model.preprocessing, "box", None)
    if model.transform is not None or box is None:
        return [None] * len(samples)
    sizes = zip(samples["width"].to_pylist(), samples["height"].to_pylist())
    return [None if not w or not h else [float(e) for e in box(w, h)] for w, h in sizes]
