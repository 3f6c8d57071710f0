"""Show a batch as training code gets it: pictures after every transform, labels, boxes, ids."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from slicedb.show import html, numbers
from slicedb.show.tabular import Grid, Part, Tabular
from slicedb.tasks.drawing import legend, picture
from slicedb.tasks.task import Shown, ShownBox
from slicedb.training.batch import Batch

SIDE = 160
"""Pixels of the longer side of a picture."""


@dataclass(frozen=True)
class ShownBatch(Tabular):
    """The first items of a batch; a notebook shows their pictures."""

    pixels: str
    """Type, shape and range of the pictures."""
    ids: Sequence[str]
    values: dict[str, list[str]]
    """Of each column, as text."""
    pictures: Sequence[bytes] = field(repr=False)
    """As JPEG, boxes drawn."""
    boxes: Sequence[tuple[ShownBox, ...]] = field(repr=False)

    def to_arrow(self) -> pa.Table:
        """Return one row per item: its id, and what stands beside the picture."""
        return pa.table({"id": pa.array(self.ids, pa.string()), **self.values})

    def parts(self) -> Iterable[Part]:
        """Yield what the pictures are, the rows, and the pictures."""
        yield self.pixels
        rows = list(zip(self.ids, *self.values.values()))
        yield Grid(["id", *self.values], rows, drawn=self._cards)

    def _cards(self) -> html.Html:
        lines = zip(*([f"{name} {v}" for v in column] for name, column in self.values.items()))
        beside = list(lines) or [()] * len(self.ids)
        items = [[p, i, i, *line] for p, i, line in zip(self.pictures, self.ids, beside)]
        drawn = [Shown("", "", boxes=boxes) for boxes in self.boxes]
        return html.Html(html.cards(items, SIDE) + legend(drawn))


def shown(
    batch: Batch, columns: Sequence[str], names: Sequence[str], box_names: Sequence[str], n: int
) -> ShownBatch:
    """Return the first n items of a batch for people.

    Args:
        batch: images, a value per column, ids.
        columns: the names of its values.
        names: of the classes.
        box_names: of the classes of boxes.
        n: how many at most.
    """
    images, *columns_, ids = batch
    images, ids = [image.detach().cpu() for image in images[:n]], list(ids[:n])
    boxes: list[tuple[ShownBox, ...]] = [()] * len(ids)
    values: dict[str, list[str]] = {}
    for name, column in zip(columns, columns_):
        if name == "objects":
            boxes = [_boxes(target, box_names) for target in column[:n]]
            values[name] = [numbers.count(len(of_image), "box", "boxes") for of_image in boxes]
        else:
            values[name] = [_value(value, names) for value in column[:n]]
    drawn = [picture(_png(image), SIDE, of_image) for image, of_image in zip(images, boxes)]
    return ShownBatch(_about(images), ids, values, drawn, boxes)


def _about(images: Sequence[torch.Tensor]) -> str:
    shapes = dict.fromkeys(str(tuple(image.shape)) for image in images)
    low = min(float(image.min()) for image in images)
    high = max(float(image.max()) for image in images)
    kind = str(images[0].dtype).removeprefix("torch.")
    note = "" if 0 <= low <= high <= 255 else "; each is stretched to its own range here"
    return f"{kind} {', '.join(shapes)}, from {low:.3g} to {high:.3g}{note}"


def _png(image: torch.Tensor) -> bytes:
    """Return a picture (3, h, w) or (1, h, w) of any type and range as PNG."""
    pixels = image.float().numpy()
    if image.is_floating_point():
        low, high = float(pixels.min()), float(pixels.max())
        if low < 0 or high > 1:  # normalised
            pixels = (pixels - low) / max(high - low, 1e-9)
        pixels = pixels * 255
    array = np.moveaxis(pixels.clip(0, 255).round().astype(np.uint8), 0, -1)
    file = io.BytesIO()
    Image.fromarray(array.repeat(3, axis=-1) if array.shape[-1] == 1 else array).save(file, "PNG")
    return file.getvalue()


def _boxes(target: dict[str, torch.Tensor], names: Sequence[str]) -> tuple[ShownBox, ...]:
    found = []
    for (left, top, right, bottom), label in zip(
        target["boxes"].tolist(), target["labels"].tolist()
    ):
        found.append(ShownBox((left, top, right - left, bottom - top), names[label - 1]))
    return tuple(found)


def _value(value: Any, names: Sequence[str]) -> str:
    """Return a class by its name, a mixture by its shares, anything else as it is."""
    if not isinstance(value, torch.Tensor):
        return numbers.value(value)
    if value.ndim == 1 and len(value) == len(names):
        shares = [(float(share), name) for share, name in zip(value, names) if share > 0]
        if all(share == 1 for share, _ in shares):
            return ", ".join(name for _, name in shares)
        return ", ".join(f"{name} {share:.2g}" for share, name in sorted(shares, reverse=True))
    if value.ndim == 0 and not value.is_floating_point() and 0 <= int(value) < len(names):
        return names[int(value)]
    return numbers.value(value.tolist())
