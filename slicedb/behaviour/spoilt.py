"""Predict images that are noisy, blurred, foggy or flipped; an interrupted run resumes.

Pictures are corrupted as the network sees them, at its input size, and a decoded batch serves every
kind and severity; no corrupted picture is stored. For a model with a transform of its own, the
whole picture is corrupted before the transform.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.behaviour.corruptions import corrupt
from slicedb.errors import CheckError
from slicedb.expectations.behaviours import Change
from slicedb.inference import TensorSide, running
from slicedb.inference.prediction import reasons
from slicedb.models.contract import check_width
from slicedb.progress import Watch, bar
from slicedb.schema import PREDICTIONS, SAMPLES, SPOILT, content_of, keys_of, spoilt_schema
from slicedb.show.numbers import count
from slicedb.show.tabular import Record
from slicedb.store.work import images_of, missing, samples_of
from slicedb.tasks import TASKS
from slicedb.tasks.probabilities import score_columns, softmax

if TYPE_CHECKING:
    import torch

    from slicedb.models import Model
    from slicedb.store import Store

Device: TypeAlias = "torch.device | str | None"

PictureBatch: TypeAlias = "torch.Tensor | list[np.ndarray | None]"
"""uint8 (n, h, w, 3) at the network's input size, or whole pictures, None for a broken one."""

_WRITE = 4096
_SECONDS = 10.0


@dataclass(frozen=True)
class SpoiltReport(Record):
    """What a run over corrupted pictures did."""

    computed: int
    """Predictions made now."""
    unchanged: int
    """Predictions that were there already."""
    failed: int
    seconds: float

    def __str__(self) -> str:
        rate = self.computed / self.seconds if self.seconds else 0.0
        failed = f", {self.failed:,} failed" if self.failed else ""
        return (
            f"{count(self.computed, 'corrupted picture')} predicted in {self.seconds:.1f} s "
            f"({rate:,.0f}/s), {self.unchanged:,} unchanged{failed}."
        )


def spoil(
    store: Store,
    model_name: str,
    model: Model,
    keys: np.ndarray | None,
    changes: Sequence[Change],
    *,
    batch_size: int | None = None,
    device: Device = None,
    threads: int | None = None,
    progress: Watch = None,
) -> SpoiltReport:
    """Predict corrupted pictures where that is missing or stale; see `predictions.predict`.

    A sample's key seeds its corruption, so that order, batch size and process do not matter.
    What is done is written every few thousand rows or ten seconds.

    Raises:
        CheckError: a change is of compositions, not of pictures; the model is no classifier.
        ModelError: the model does not run.
    """
    started = time.perf_counter()
    if not TASKS[model.task].one_class:
        raise CheckError(f"'{model_name}' does {model.task}.", "name a classifier.")
    for one in changes:
        if one.is_composed:
            raise CheckError(f"'{one}' does not change a picture.", "compose templates for it.")
    samples = samples_of(store, keys).rows
    table = SPOILT + model_name
    store.create(table, spoilt_schema())
    mark = int(content_of([model.fingerprint()])[0])
    todo = _todo(store, table, samples, list(dict.fromkeys(changes)), mark)
    part = np.flatnonzero(np.any(list(todo.values()), axis=0)) if todo else np.empty(0, np.int64)
    chosen = samples.take(pa.array(part))
    left = {one: wanted[part] for one, wanted in todo.items() if wanted.any()}
    total = int(sum(wanted.sum() for wanted in left.values()))
    failed, held, last = 0, [], time.monotonic()
    with bar(total, f"corrupt {model_name}", progress) as shown:
        made = _predicted(store, model, chosen, left, batch_size, device, threads)
        try:
            with contextlib.closing(made):
                for rows in made:
                    held.append(rows.append_column("fingerprint", pa.array([mark] * len(rows))))
                    failed += len(rows) - rows["error"].null_count
                    shown.advance(len(rows))
                    if sum(map(len, held)) >= _WRITE or time.monotonic() - last > _SECONDS:
                        _write(store, table, held)
                        held, last = [], time.monotonic()
        finally:  # also on Ctrl-C: what was computed is kept
            _write(store, table, held)
    unchanged = len(samples) * len(todo) - total
    return SpoiltReport(total - failed, unchanged, failed, time.perf_counter() - started)


def spoilt(store: Store, model: str, keys: np.ndarray, change: Change | None) -> pa.Table:
    """Return a model's predictions of pictures as they are, and of the same ones changed.

    Args:
        keys: int64 (n,).
        change: a corruption with its severity; None gives `after` as `before`.

    Returns:
        id, key, label, before, after: one row per sample, in the order of `keys`; null where there
        is no prediction.
    """
    rows = store.take(SAMPLES, keys, ["id", "key", "label", "sha256"])
    before = _taken(store, PREDICTIONS + model, rows["key"].to_numpy(), ["prediction"])
    after = before
    if change is not None:
        at = keys_of(_names(rows["id"].to_pylist(), change))
        stored = _taken(store, SPOILT + model, at, ["prediction", "content"])
        content = pa.array(content_of(rows["sha256"].to_pylist()))
        fresh = pc.fill_null(pc.equal(stored["content"], content), False)
        predictions = pc.if_else(fresh, stored["prediction"], pa.scalar(None, pa.string()))
        after = pa.table({"prediction": predictions})
    names = {"id": rows["id"], "key": rows["key"], "label": rows["label"]}
    return pa.table(names | {"before": before["prediction"], "after": after["prediction"]})


def _taken(store: Store, table: str, keys: np.ndarray, columns: list[str]) -> pa.Table:
    """Return columns by key, null where there is no row or no table."""
    if not store.has(table):
        kinds = {"prediction": pa.string(), "content": pa.int64()}
        return pa.table({name: pa.nulls(len(keys), kinds[name]) for name in columns})
    at = store.positions(table, keys)
    stored = store.table(table, columns).combine_chunks()
    return stored.take(pa.array(at, mask=at < 0))


def _names(ids: Sequence[str], change: Change) -> list[str]:
    return [f"{name}\n{change.name} {change.severity}" for name in ids]


def _todo(
    store: Store, table: str, samples: pa.Table, changes: Sequence[Change], mark: int
) -> dict[Change, np.ndarray]:
    """Return bool (n,) per change: which samples have no row of this model for their picture."""
    done = store.table(table, ["key", "content", "error", "fingerprint"])
    done = done.filter(pc.equal(done["fingerprint"], mark))
    ids, todo = samples["id"].to_pylist(), {}
    for one in changes:
        keys = pa.array(keys_of(_names(ids, one)))
        at = missing(pa.table({"key": keys, "content": samples["content"]}), done)
        todo[one] = np.zeros(len(samples), bool)
        todo[one][at] = True
    return todo


def _write(store: Store, table: str, held: list[pa.Table]) -> None:
    if held:
        names = spoilt_schema().names
        store.upsert(table, pa.concat_tables([part.select(names) for part in held]))


def _predicted(
    store: Store,
    model: Model,
    rows: pa.Table,
    left: dict[Change, np.ndarray],
    batch_size: int | None,
    device: Device,
    threads: int | None,
) -> Generator[pa.Table, None, None]:
    """Yield one table per batch and change."""
    import torch

    feed = _transformed if model.transform is not None else _filled
    at = 0
    with running(model, batch_size=batch_size, device=device) as side, torch.inference_mode():
        for pictures, errors in feed(store, model, rows, side.size, threads):
            about = rows.slice(at, len(errors))
            for one, wanted in left.items():
                picked = np.flatnonzero(wanted[at : at + len(errors)])
                if len(picked):
                    yield _rows_of(model, one, about, pictures, errors, picked, side)
            at += len(errors)


def _rows_of(
    model: Model,
    one: Change,
    about: pa.Table,
    pictures: PictureBatch,
    errors: list[str | None],
    picked: np.ndarray,
    side: TensorSide,
) -> pa.Table:
    """Return the rows of one batch under one change."""
    good = np.array([i for i in picked.tolist() if errors[i] is None], np.int64)
    outputs = np.full((len(picked), len(model.classes)), np.nan, np.float32)
    why = [errors[i] for i in picked.tolist()]
    if len(good):
        pixels = _corrupted(model, pictures, good, one, about["key"].to_numpy()[good], side.device)
        logits = side(pixels).float().cpu().numpy()
        check_width(model, logits, len(good))
        where = np.flatnonzero([error is None for error in why])
        outputs[where] = model.logits_of(logits)
        why = reasons(why, np.asarray(~np.isfinite(outputs).all(axis=1)))
    rows = about.take(pa.array(picked))
    names = _names(rows["id"].to_pylist(), one)
    scores = score_columns(softmax(outputs), model.classes, logits=outputs)
    return pa.table(
        {
            "id": names,
            "key": pa.array(keys_of(names)),
            "sample": rows["key"],
            "kind": [one.name] * len(names),
            "severity": pa.array([one.severity] * len(names), pa.int64()),
            "prediction": scores["prediction"],
            "confidence": scores["confidence"],
            "content": rows["content"],
            "error": pa.array(why, pa.string()),
        }
    )


def _corrupted(
    model: Model,
    pictures: PictureBatch,
    good: np.ndarray,
    one: Change,
    keys: np.ndarray,
    device: Device,
) -> torch.Tensor:
    """Return some pictures of a batch under a change, as `TensorSide` takes them."""
    import torch
    from PIL import Image

    if model.transform is None:
        pixels = pictures[torch.from_numpy(good)].to(device)
        return corrupt(pixels, one.name, one.severity, keys=keys)
    made = [
        model.transform(
            Image.fromarray(corrupt(pictures[i][None], one.name, one.severity, keys=key[None])[0])
        )
        for i, key in zip(good.tolist(), keys)
    ]
    return torch.stack(made).to(device)


Fed: TypeAlias = Generator[tuple[PictureBatch, list[str | None]], None, None]


def _filled(store: Store, model: Model, rows: pa.Table, size: int, threads: int | None) -> Fed:
    """Yield batches of pictures at the network's input size, uint8 (n, h, w, 3)."""
    from slicedb.inference.batches import batches

    feed = batches(images_of(store, rows), model.preprocessing, None, size=size, threads=threads)
    with contextlib.closing(feed):
        for batch in feed:
            yield batch.images, batch.errors


def _transformed(store: Store, model: Model, rows: pa.Table, size: int, threads: int | None) -> Fed:
    """Yield batches of whole pictures, each uint8 (any h, any w, 3)."""
    from slicedb.errors import MediaError
    from slicedb.media import decode_rgb

    pictures: list[np.ndarray | None] = []
    errors: list[str | None] = []
    for _, data in images_of(store, rows):
        try:
            pictures.append(decode_rgb(data))
            errors.append(None)
        except MediaError as error:
            pictures.append(None)
            errors.append(error.why)
        if len(errors) == size:
            yield pictures, errors
            pictures, errors = [], []
    if errors:
        yield pictures, errors
