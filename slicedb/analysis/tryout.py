"""Try a model on one picture: what it says, what it looked at, and the nearest samples."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from slicedb import sql
from slicedb.cam import explained
from slicedb.cam.overlays import jpeg
from slicedb.errors import CheckError, ModelError, SliceDBError, did_you_mean
from slicedb.inference import predict
from slicedb.media import decode
from slicedb.models.trying import encoded, probabilities
from slicedb.schema import EMBEDDINGS, schema_of
from slicedb.show.html import cards
from slicedb.show.numbers import count, number
from slicedb.show.tabular import Figure, Grid, Part, Tabular
from slicedb.tasks import TASKS, Shown, drawing

if TYPE_CHECKING:
    from PIL import Image

    from slicedb.models import Model
    from slicedb.store import Store

Ask = Callable[[str, Mapping[str, object]], pa.Table]
"""Answers a SELECT with parameters."""
_SHOWN, _BOXES = 10, 30
"""Classes and boxes that are printed; the rows have all of them."""
_BOX = schema_of("label string, score float64, x float64, y float64, width float64, height float64")
_SIDE = 320


@dataclass(frozen=True, eq=False)
class Tryout(Tabular):
    """What a model says of one picture."""

    model: str
    classes: dict[str, float]
    """The probability of each class, the likeliest first; of a classifier."""
    neighbours: pa.Table
    """The nearest samples: id, label, distance (1 - cosine similarity), the nearest first."""
    overlay: Image.Image | None = field(default=None, repr=False)
    """The picture with what the model looked at, from blue to red; None where nobody asked."""
    about: str = ""
    """What the map explains, and at which layer."""
    notes: tuple[str, ...] = ()
    """Why something is missing."""
    found: Shown | None = None
    """What a model finds that is no classifier: boxes, classes of pixels, or a number."""
    drawn: bytes = field(default=b"", repr=False)
    """The picture as JPEG with what was found drawn on it."""

    @property
    def prediction(self) -> str:
        """The likeliest class, or what was found in words."""
        return next(iter(self.classes)) if self.found is None else self.found.prediction

    @property
    def confidence(self) -> float:
        """The probability of the likeliest class; NaN of a model that is no classifier."""
        return float("nan") if self.found is not None else self.classes[self.prediction]

    def to_arrow(self) -> pa.Table:
        """Return the rows class and probability, or label, score, x, y, width, height of boxes."""
        if self.found is not None:
            return pa.Table.from_pylist(
                [dict(zip(_BOX.names, [b.label, b.score, *b.xywh])) for b in self.found.boxes],
                schema=_BOX,
            )
        return pa.table(
            {
                "class": pa.array(list(self.classes), pa.string()),
                "probability": pa.array(list(self.classes.values()), pa.float64()),
            }
        )

    def parts(self) -> Iterable[Part]:
        """Yield the prediction, the likeliest classes, the nearest samples, and the map."""
        yield from self._said() if self.found is None else self._listed(self.found)
        if len(self.neighbours):
            rows = [
                [r["id"], r["label"] or "", f"{r['distance']:.4f}"]
                for r in self.neighbours.to_pylist()
            ]
            yield ""
            yield Grid(["nearest sample", "label", "distance"], rows, align="<<>")
        if self.about:
            yield self.about
        yield from self.notes
        if (drawn := self.overlay) is not None:
            yield Figure(lambda: cards([(jpeg(drawn), self.prediction, self.about)], _SIDE))
        if self.drawn:
            yield Figure(lambda: cards([(self.drawn, self.prediction)], _SIDE))

    def _said(self) -> Iterable[Part]:
        yield f"{self.model}: {self.prediction}, confidence {self.confidence:.3f}"
        shown = list(self.classes.items())[:_SHOWN]
        yield Grid(["class", "probability"], [[name, f"{p:.4f}"] for name, p in shown])
        if len(self.classes) > len(shown):
            yield f"{count(len(self.classes) - len(shown), 'more class', 'more classes')}"

    def _listed(self, found: Shown) -> Iterable[Part]:
        yield f"{self.model}: {found.prediction or 'nothing found'}"
        if found.boxes:
            rows = [
                [b.label, number(b.score), *(f"{side:.1f}" for side in b.xywh)]
                for b in found.boxes[:_BOXES]
            ]
            yield Grid(_BOX.names, rows, align="<>>>>>")
        if len(found.boxes) > _BOXES:
            yield count(len(found.boxes) - _BOXES, "more box", "more boxes")


def try_out(
    store: Store,
    model: Model,
    image: object,
    ask: Ask,
    *,
    neighbours: int | None = None,
    embedding: str = "default",
    cam: str | None = None,
    target: str = "prediction",
    method: str = "gradcam",
    layer: str | None = None,
    save: str | None = None,
) -> Tryout:
    """Run a model on one picture; see `Database.try_out`.

    Args:
        store: the database, for its embeddings.
        model: one that is loaded.
        image: a path, encoded bytes, or a Pillow image.
        ask: answers a SELECT with parameters.
        cam: a file to save the map to; "" makes it for the result alone.
        save: a file to save the picture to, with what was found drawn on it.
    """
    data = encoded(image)
    picture = decode(data).convert("RGB")
    is_classifier = model.task in ("classification", "multilabel")
    if save is not None and is_classifier:
        raise ModelError(
            f"{model} does {model.task}: nothing is drawn.", "--cam saves what it looked at."
        )
    said = probabilities(model, data) if is_classifier or cam is not None else {}
    found = None if is_classifier else _found(model, data)
    nearest, notes = _nearest(store, data, ask, neighbours, embedding)
    if found is not None:
        drawn = drawing.picture(data, max(picture.size), found.boxes, found.maps)
        if save:
            notes.append(f"saved as {save}")
            _save(decode(drawn), Path(save))
        return Tryout(model.name, {}, nearest, notes=tuple(notes), found=found, drawn=drawn)
    laid, about = None, ""
    if cam is not None:
        laid, about = _map(model, data, target, method, layer)
    if cam and laid is not None:
        _save(laid, Path(cam))
        about += f", saved as {cam}"
    return Tryout(model.name, said, nearest, laid, about, tuple(notes))


def _found(model: Model, data: bytes) -> Shown:
    """Return what a model finds in a picture, of what counts.

    Raises:
        ModelError: its output is not finite.
    """
    with contextlib.closing(predict(model, [("the picture", data)])) as batches:
        row = next(batches).to_pylist()[0]
    if row["error"]:
        raise ModelError(f"{model} says nothing of the picture: {row['error']}.")
    return TASKS[model.task].unjudged(row, model.about())


def _nearest(
    store: Store, data: bytes, ask: Ask, n: int | None, embedding: str
) -> tuple[pa.Table, list[str]]:
    """Return the nearest samples, and why there are none where nobody insists on them."""
    if n == 0:
        return _NEAREST.empty_table(), []
    try:
        return _neighbours(store, data, ask, n or 5, embedding), []
    except SliceDBError as error:
        if n is not None:
            raise
        return _NEAREST.empty_table(), [f"no nearest samples: {error}"]


_NEAREST = pa.schema([("id", pa.string()), ("label", pa.string()), ("distance", pa.float64())])


def _neighbours(store: Store, data: bytes, ask: Ask, n: int, embedding: str) -> pa.Table:
    known = [t.removeprefix(EMBEDDINGS) for t in store.names() if t.startswith(EMBEDDINGS)]
    if embedding not in known:
        raise CheckError(
            f"There is no embedding '{embedding}'.",
            did_you_mean(embedding, known, "embeddings")
            if known
            else "`slicedb embed` embeds the samples.",
        )
    score = f"similarity(image($picture), using => {sql.string(embedding)})"
    rows = ask(
        f"SELECT id, label, 1 - {score} AS distance FROM samples "
        f"WHERE {score} IS NOT NULL ORDER BY {score} DESC LIMIT {n}",
        {"picture": data},
    )
    return rows.cast(_NEAREST)


def _map(
    model: Model, data: bytes, target: str, method: str, layer: str | None
) -> tuple[Image.Image, str]:
    """Return the picture with its map, and what that explains."""
    one = next(explained(model, [data], target=target, method=method, layer=layer))
    if one.map is None or one.overlay is None:
        raise ModelError(f"{model} says nothing of the picture: {one.error}.")
    if not one.map.any():
        raise ModelError(
            f"The map is empty: nothing in layer '{one.layer}' speaks for '{one.target}'.",
            "--layer (layer=) names another one, --target (target=) another class.",
        )
    at = f" at layer '{one.layer}'" if one.layer else ""
    return one.overlay, f"{method} of '{one.target}'{at}"


def _save(picture: Image.Image, path: Path) -> None:
    try:
        picture.save(path)
    except (OSError, ValueError) as error:
        raise CheckError(
            f"The map cannot be saved as '{path}': {error}.", "name a file such as map.png."
        ) from error


__all__ = ["Tryout", "try_out"]
