"""Show samples as pictures with truth and predictions drawn on them, and losses beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import SliceDBError
from slicedb.keys import KeyIndex
from slicedb.schema import MASKS, PREDICTIONS, SAMPLES
from slicedb.show import html
from slicedb.store import Store
from slicedb.tasks import TASKS, About, AlignedRows
from slicedb.tasks.arrays import one_array
from slicedb.tasks.detection import annotated
from slicedb.tasks.drawing import legend, picture
from slicedb.tasks.segmentation import annotated_map
from slicedb.tasks.task import Shown, ShownBox, ShownMap

SIDE = 160
"""Pixels of the longer side of a picture."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of a sample."""

    shown: Shown
    loss: float | None
    correct: bool | None
    """None where it was not judged."""

    def line(self, model: str) -> str:
        """Return it as a line of text."""
        sure = "" if self.shown.confidence is None else f" {self.shown.confidence:.2f}"
        mark = {True: " ✓", False: " ✗", None: ""}[self.correct]
        loss = "" if self.loss is None else f", loss {self.loss:.3g}"
        return f"{model}: {self.shown.prediction}{sure}{mark}{loss}"


def cards(
    store: Store,
    keys: np.ndarray,
    models: Sequence[str] = (),
    *,
    side: int = SIDE,
    beside: Mapping[str, Sequence[str]] | None = None,
    pictures: Mapping[int, bytes] | None = None,
) -> html.Html:
    """Return the HTML of samples: pictures with boxes, ids, labels and predictions.

    Args:
        store: the database.
        keys: int64 (n,), in the order to show.
        models: whose predictions are shown; the boxes of the first detector among them are drawn.
        side: pixels of the longer side of a picture.
        beside: further lines of each sample, by its id.
        pictures: encoded pictures to show in place of the samples' own, by their place.
    """
    rows = store.take(SAMPLES, keys, ["id", "label", "objects"]).to_pylist()
    said = {model: predictions_of(store, model, keys) for model in models}
    masks = _masks(store, keys)
    drawn: list[Shown] = []
    items: list[list[object]] = []
    images = dict(store.read_images(keys)) if len(keys) else {}
    for at, (row, key) in enumerate(zip(rows, keys.tolist())):
        of_sample = [(model, said[model].get(key)) for model in models]
        predicted = [p for _, p in of_sample]
        maps = _maps(masks.get(key), predicted)
        boxes = () if maps else _boxes(row["objects"], predicted)
        drawn.append(Shown("", "", boxes=boxes, maps=maps))
        lines = [str(row["id"]), *_truth(row)]
        lines += [f"{m}: none" if p is None else p.line(m) for m, p in of_sample]
        lines += (beside or {}).get(str(row["id"]), [])
        given = (pictures or {}).get(at)
        items.append([given or _picture(images.get(key), side, boxes, maps), lines[0], *lines])
    return html.Html(html.cards(items, side) + legend(drawn))


def predictions_of(store: Store, model: str, keys: np.ndarray) -> dict[int, Prediction]:
    """Return what a model says of samples, by key; those that it has no prediction of lack."""
    about = About.read(store, model)
    task, table = TASKS[about.task], PREDICTIONS + model
    stored = store.schema(table).names
    if not task.is_judged:
        return _scores_of(store, table, keys, about)
    wanted = ["key", *(c for c in (*task.reads, "loss", "correct") if c in stored)]
    listed = ", ".join(map(str, keys.tolist()))
    rows = store.table(table, wanted, where=f"key IN ({listed})" if listed else "false")
    rows = rows.filter(pc.is_valid(rows[task.reads[0]]))
    found = rows["key"].to_numpy()
    source = task.truth_of(about)
    truth = _truth_of(store, source.table, source.column, found)
    truth = task.truth(truth)
    judged = np.flatnonzero(np.asarray(pc.is_valid(truth)))
    outcomes = None
    if len(judged):
        ranks = lambda: np.arange(len(judged))  # noqa: E731
        aligned = AlignedRows(rows, judged, truth.take(pa.array(judged)), about, ranks)
        outcomes = task.outcomes(aligned)
    place = {int(row): i for i, row in enumerate(judged.tolist())}
    predictions = {}
    for at, row in enumerate(rows.to_pylist()):
        if outcomes is not None and at in place:
            shown = task.shown(outcomes, place[at])
        else:
            shown = task.unjudged(row, about)
        predictions[int(found[at])] = Prediction(shown, row.get("loss"), row.get("correct"))
    return predictions


def _scores_of(store: Store, table: str, keys: np.ndarray, about: About) -> dict[int, Prediction]:
    """Return the scores of samples, by key."""
    rows, has_row = store.find(table, keys)
    task = TASKS[about.task]
    return {
        int(key): Prediction(task.unjudged(row, about), row.get("loss"), None)
        for key, row in zip(keys[has_row], rows.to_pylist())
        if not row["error"]
    }


def _truth_of(store: Store, table: str, column: str, keys: np.ndarray) -> pa.Array:
    """Return a ground truth in the order of keys, null where there is none."""
    if not store.has(table) or column not in store.schema(table).names:
        return pa.nulls(len(keys))
    if table == SAMPLES:
        return one_array(store.take(SAMPLES, keys, [column])[column])
    rows = store.table(table, ["key", column])
    at = KeyIndex(rows["key"].to_numpy()).find(keys)
    return one_array(rows[column]).take(pa.array(at, mask=at < 0))


def _truth(row: Mapping[str, object]) -> list[str]:
    """Return the line of the truth; none where a sample has none."""
    if row["label"] is not None:
        return [f"label {row['label']}"]
    objects = row["objects"]
    return [] if objects is None else [f"truth {annotated(objects).truth}"]


def _boxes(objects: object, predictions: Sequence[Prediction | None]) -> tuple[ShownBox, ...]:
    """Return the boxes to draw: those of the first model that has some, else the annotated ones."""
    for prediction in predictions:
        if prediction is not None and prediction.shown.boxes:
            return prediction.shown.boxes
    return () if objects is None else annotated(objects).boxes


def _masks(store: Store, keys: np.ndarray) -> dict[int, object]:
    """Return the label maps of samples, by key."""
    if not store.has(MASKS):
        return {}
    rows = store.find(MASKS, keys, ["key", "mask"])[0].to_pylist()
    return {row["key"]: row["mask"] for row in rows}


def _maps(own: object, predictions: Sequence[Prediction | None]) -> tuple[ShownMap, ...]:
    """Return the label maps to draw: those of the first segmenter, else the annotated one."""
    for prediction in predictions:
        if prediction is not None and prediction.shown.maps:
            return prediction.shown.maps
    return () if own is None else annotated_map(own).maps


def _picture(
    data: bytes | None, side: int, boxes: Sequence[ShownBox], maps: Sequence[ShownMap] = ()
) -> bytes | None:
    try:
        return None if data is None else picture(data, side, boxes, maps)
    except SliceDBError:  # a broken picture keeps its place
        return None
