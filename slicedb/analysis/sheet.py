"""Everything that a database has about one sample, on one sheet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from slicedb import sql
from slicedb.editing import Edit, edits_of
from slicedb.errors import MediaError, SliceDBError, UnknownSampleError, did_you_mean
from slicedb.query.cards import Prediction, predictions_of
from slicedb.schema import MASKS, PREDICTIONS, SAMPLES, Row, keys_of
from slicedb.show import numbers
from slicedb.show.html import cards
from slicedb.show.tabular import Figure, Grid, Part, Tabular
from slicedb.store import Store
from slicedb.tasks import Shown, drawing
from slicedb.tasks.detection import annotated
from slicedb.tasks.segmentation import annotated_map

if TYPE_CHECKING:
    from slicedb.query import Query
    from slicedb.show.html import Html

_SIDE = 320
_ANY_STATUS = "(status IS NULL) IS NOT NULL"
"""Lets a query see a broken picture too."""
_SUGGESTED = 20_000
"""Ids that a misspelt one is compared with."""
_UNSHOWN = frozenset({"id", "key", "objects"})


class Named(Protocol):
    """What a sheet asks of a slice."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class Neighbour:
    """A sample near by."""

    id: str
    label: str | None
    distance: float
    """1 - cosine similarity, from 0 to 2."""


@dataclass(frozen=True)
class Sheet(Tabular):
    """One sample: what is stored, what models say, where it belongs, and what was done to it."""

    id: str
    row: Row
    """The columns of samples that are not NULL."""
    truth: Shown
    """The annotated boxes and the label map; empty where there are none."""
    predictions: Mapping[str, Prediction | None]
    """By model; None where it has no prediction of this sample."""
    slices: tuple[str, ...]
    """The slices that it is in now."""
    neighbours: tuple[Neighbour, ...]
    """The nearest first."""
    edits: tuple[Edit, ...]
    """The first one first."""
    notes: tuple[str, ...]
    """What could not be told, and why."""
    image: bytes = field(default=b"", repr=False)
    """The encoded picture as it is stored; empty where it cannot be read."""

    def to_arrow(self) -> pa.Table:
        """Return one row per fact, as text: what kind of fact, its name, and its value."""
        names = ("kind", "name", "value")
        schema = pa.schema([(name, pa.string()) for name in names])
        return pa.Table.from_pylist([dict(zip(names, row)) for row in self._facts()], schema)

    def _facts(self) -> Iterable[tuple[str, str, str]]:
        for name, value in self._columns():
            yield "column", name, value
        for model, prediction in self.predictions.items():
            line = "none" if prediction is None else prediction.line(model)
            yield "prediction", model, line.removeprefix(f"{model}: ")
        for whose, label, score, place in self._boxes():
            yield "box", whose, " ".join(filter(None, (label, score, place)))
        for name in self.slices:
            yield "slice", name, f"in_slice({sql.string(name)})"
        for near in self.neighbours:
            yield "neighbour", near.id, numbers.number(near.distance)
        for edit in self.edits:
            yield "edit", str(edit.number), str(edit)
        for note in self.notes:
            yield "note", "", note

    def parts(self) -> Iterable[Part]:
        """Yield the pictures, and a table for each kind of fact."""
        yield self.id
        yield Figure(self._drawn)
        yield Grid(["column", "value"], self._columns(), "<<")
        if self.predictions:
            yield ""
            rows = [_row(model, said) for model, said in self.predictions.items()]
            yield Grid(["model", "prediction", "confidence", "correct", "loss"], rows, "<<><>")
        boxes = list(self._boxes())
        if boxes:
            yield ""
            yield Grid(["boxes of", "label", "score", "x, y, width, height"], boxes, "<<><", 50)
        yield ""
        yield f"slices: {', '.join(self.slices) or 'none'}"
        if self.neighbours:
            yield ""
            near = [(n.id, n.label or "", numbers.number(n.distance)) for n in self.neighbours]
            yield Grid(["nearest", "label", "distance"], near, "<<>")
        if self.edits:
            yield ""
            yield from (str(edit) for edit in self.edits)
        yield from self.notes

    def _columns(self) -> list[tuple[str, str]]:
        shown = [(n, numbers.value(v)) for n, v in self.row.items() if n not in _UNSHOWN]
        masks = [("label map", self.truth.truth)] if self.truth.maps else []
        return shown + masks

    def _boxes(self) -> Iterable[tuple[str, str, str, str]]:
        models = [(m, p.shown.boxes) for m, p in self.predictions.items() if p is not None]
        for whose, boxes in (("truth", self.truth.boxes), *models):
            for box in boxes:
                # Boxes of a model are drawn together with those of the truth.
                if whose == "truth" or box.score is not None:
                    score = "" if box.score is None else f"{box.score:.2f}"
                    place = ", ".join(f"{number:.4g}" for number in box.xywh)
                    yield whose, box.label, score, place

    def _drawn(self) -> Html:
        own = [(self.id, "as annotated", self.truth)]
        own += [(self.id, p.line(m), p.shown) for m, p in self.predictions.items() if p is not None]
        seen = [own[0], *(one for one in own[1:] if one[2].boxes or one[2].maps)]
        return cards(((self._picture(shown), name, line) for name, line, shown in seen), _SIDE)

    def _picture(self, shown: Shown) -> bytes | None:
        try:
            return drawing.picture(self.image, _SIDE, shown.boxes, shown.maps)
        except MediaError:  # a broken picture keeps its place
            return None


def _row(model: str, said: Prediction | None) -> tuple[object, ...]:
    if said is None:
        return model, "none", "", "", ""
    right = {True: "yes", False: "no", None: ""}[said.correct]
    sure = "" if said.shown.confidence is None else f"{said.shown.confidence:.3f}"
    return model, said.shown.prediction, sure, right, numbers.number(said.loss)


def sheet(
    store: Store,
    id: str,
    ask: Callable[[str], Query],
    slices: Iterable[Named],
    neighbours: int,
    embedding: str | None,
    *,
    remote: bool = True,
) -> Sheet:
    """Gather what a database has about one sample.

    Args:
        store: the database.
        id: the sample.
        ask: parses and binds a query.
        slices: those to look for the sample in.
        neighbours: how many nearest samples, 0 for none.
        embedding: whose vectors tell the nearest; None where there is no embedding.
        remote: also fetch its picture from a bucket or a web server.

    Raises:
        UnknownSampleError: there is no such sample.
    """
    key = keys_of([id])
    rows, has_row = store.find(SAMPLES, key)
    if not has_row.all():
        some = store.table(SAMPLES, ["id"])["id"][:_SUGGESTED].to_pylist()
        raise UnknownSampleError(f"There is no sample '{id}'.", did_you_mean(id, some, "samples"))
    row = {name: value for name, value in rows.to_pylist()[0].items() if value is not None}
    notes: list[str] = []
    models = [n.removeprefix(PREDICTIONS) for n in store.names() if n.startswith(PREDICTIONS)]
    said: dict[str, Prediction | None] = {}
    for model in sorted(models):
        try:
            said[model] = predictions_of(store, model, key).get(int(key[0]))
        except SliceDBError as error:
            notes.append(f"model {model}: {error}")
    inside = _inside(int(key[0]), ask, slices, notes)
    nearest = _nearest(id, ask, neighbours, embedding, notes)
    image = next((data for _, data in store.read_images(key, remote=remote)), b"")
    if not image:
        notes.append("the picture cannot be read")
    truth = _truth(store, key, row)
    edits = tuple(edits_of(store, id))
    return Sheet(id, row, truth, said, inside, nearest, edits, tuple(notes), image)


def _truth(store: Store, key: np.ndarray, row: Row) -> Shown:
    """Return the annotated boxes and the label map."""
    boxes = () if row.get("objects") is None else annotated(row["objects"]).boxes
    masks = store.find(MASKS, key, ["mask"])[0].to_pylist() if store.has(MASKS) else []
    if not masks or masks[0]["mask"] is None:
        return Shown("", "", boxes=boxes)
    shown = annotated_map(masks[0]["mask"])
    return Shown(shown.truth, "", boxes=boxes, maps=shown.maps)


def _inside(
    key: int, ask: Callable[[str], Query], slices: Iterable[Named], notes: list[str]
) -> tuple[str, ...]:
    """Return the slices that a sample is in; one that cannot be asked is a note."""
    names = []
    for each in slices:
        text = f"in_slice({sql.string(each.name)}) AND key = {key} AND {_ANY_STATUS}"
        try:
            if ask(text).count():
                names.append(each.name)
        except (SliceDBError, ImportError) as error:
            notes.append(f"slice {each.name}: {error}")
    return tuple(names)


def _nearest(
    id: str, ask: Callable[[str], Query], n: int, embedding: str | None, notes: list[str]
) -> tuple[Neighbour, ...]:
    """Return the nearest samples; why there are none is a note."""
    if not n:
        return ()
    if embedding is None:
        notes.append("no neighbours: there is no embedding; `slicedb embed` makes one")
        return ()
    term = f"similarity(sample({sql.string(id)}), using => {sql.string(embedding)})"
    try:
        near = ask(f"id <> {sql.string(id)} AND {term} > -2 ORDER BY {term} DESC LIMIT {n}")
        rows: Sequence[Row] = near.to_arrow(["id", "label"]).to_pylist()
        scores = near.scores()
    except SliceDBError as error:
        notes.append(f"no neighbours: {error.message}")  # whoever asks wrote no query
        return ()
    assert scores is not None  # it is ordered by a term of meaning
    pairs = zip(rows, scores.tolist())
    return tuple(Neighbour(row["id"], row["label"], max(0.0, 1.0 - score)) for row, score in pairs)
