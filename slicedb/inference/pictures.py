"""Predict pictures that are in no database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from slicedb.inference.prediction import predict
from slicedb.models.model import Model
from slicedb.models.trying import encoded, title_of
from slicedb.progress import Watch, bar
from slicedb.show.numbers import count, number
from slicedb.show.tabular import Grid, Part, Tabular
from slicedb.tasks import TASKS

if TYPE_CHECKING:
    import torch

_SHOWN = 50
"""Pictures that are printed; the rows have all of them."""
_NONE = pa.schema([("picture", pa.string()), ("error", pa.string())])


@dataclass(frozen=True, eq=False)
class Predicted(Tabular):
    """What a model says of pictures, one row each in their order."""

    model: str
    rows: pa.Table
    """`picture` (file name, or the number from 0 as text), the columns of the model's task as
    `predict` over a database stores them (`prediction`, `confidence`, `probabilities`, `objects`,
    ...), and `error`, where a picture did not decode or an output was no number."""
    shown: tuple[str, ...]
    """The prediction of each picture in words; "" where there is none."""

    def __len__(self) -> int:
        return len(self.rows)

    def to_arrow(self) -> pa.Table:
        """Return the rows."""
        return self.rows

    def parts(self) -> Iterable[Part]:
        """Yield how many there are, and a table of the first."""
        failed = len(self.rows) - self.rows["error"].null_count
        yield f"{self.model}: {count(len(self.rows), 'picture')}, {failed:,} failed"
        some = self.rows.slice(0, _SHOWN)
        confidences: list[float | None] = [None] * len(some)
        if "confidence" in some.column_names:
            confidences = some["confidence"].to_pylist()
        columns = zip(some["picture"].to_pylist(), self.shown, confidences, some["error"])
        cells = [
            [name, said, number(confidence, 3), error.as_py() or ""]
            for name, said, confidence, error in columns
        ]
        yield Grid(["picture", "prediction", "confidence", "error"], cells, align="<<><")
        if len(self.rows) > len(some):
            yield count(len(self.rows) - len(some), "more picture", "more pictures")


def predict_pictures(
    model: Model,
    images: Iterable[object],
    *,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    threads: int | None = None,
    progress: Watch = None,
) -> Predicted:
    """Return what a model says of pictures; see `Model.predict`.

    Args:
        images: paths, encoded bytes, Pillow images or arrays; taken a batch at a time.
        progress: see `slicedb.progress.Watch`.

    Raises:
        ModelError: one is no picture at all, or the model fails.
        CancelledError: somebody has stopped it; nothing is kept.
    """
    model.check()
    total = len(images) if isinstance(images, Sized) else None
    name = model.name or type(model).__name__
    with bar(total, f"predict {name}", progress, unit="picture", keeps=False) as shown:
        batches = predict(
            model,
            _items(images),
            batch_size=batch_size,
            device=device,
            threads=threads,
            progress=shown,
        )
        with contextlib.closing(batches):
            made = list(batches)
    if not made:
        return Predicted(name, _NONE.empty_table(), ())
    rows = pa.Table.from_batches(made)
    rows = rows.rename_columns(["picture" if c == "id" else c for c in rows.column_names])
    return Predicted(name, rows, tuple(_said(model, rows)))


def _items(images: Iterable[object]) -> Iterator[tuple[str, bytes]]:
    for i, image in enumerate(images):
        yield title_of(image) or str(i), encoded(image)


def _said(model: Model, rows: pa.Table) -> Iterator[str]:
    """Yield the prediction of each row in words."""
    if "prediction" in rows.column_names and pa.types.is_string(rows["prediction"].type):
        yield from pc.fill_null(rows["prediction"], "").to_pylist()
        return
    task, about = TASKS[model.task], model.about()
    for row in rows.to_pylist():
        yield "" if row["error"] else task.unjudged(row, about).prediction
