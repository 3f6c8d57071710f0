"""Load boxes into DuckDB: flattened once per version, and matched once per threshold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.keys import KeyIndex
from slicedb.metrics.boxes import Boxes, Flat, Matches, Pairs, is_crowd, match, overlaps
from slicedb.metrics.mistaken import mistaken
from slicedb.query.bound.catalog import TableInfo
from slicedb.query.bound.relation import Matching, Relation
from slicedb.query.hot.relations import hot_match, hot_name
from slicedb.schema import OBJECT, SAMPLES, is_shown
from slicedb.sql import quoted
from slicedb.store.without_pandas import arrow_array

if TYPE_CHECKING:
    from slicedb.query.hot.tables import HotTables

_KEEP = 16
"""Matchings of one table of boxes kept loaded."""
_OUTLINE = ("segmentation", "keypoints")
"""Fields of a ground-truth box that databases of the first releases do not have."""
_LATE = ("id", "attributes", *_OUTLINE)
"""Columns that are loaded when a text names them."""


class HotBoxes:
    """The loaded tables of boxes of one database.

    Args:
        tables: the loaded tables; those of boxes are among them, by (model, versions).
    """

    def __init__(self, tables: HotTables) -> None:
        self._tables = tables
        self._numbers: dict[str, np.ndarray] = {}
        self._used: dict[tuple[str, Matching], float] = {}
        """Loaded table and matching to when a query last asked for it."""

    def ensure(self, relation: Relation) -> int:
        """Load what a relation of boxes needs and what is not loaded yet.

        Returns:
            The number of columns loaded.
        """
        names = set(relation.wanted(False)) & set(_LATE)
        if relation.boxes == "matches":
            assert relation.matching is not None
            truth, predicted = relation.sides
            loaded = sum(self._table(side) + self._late(side, names) for side in relation.sides)
            loaded += self._match(relation.matching, truth, predicted)
            if {"mistake", "about"} & set(relation.wanted(False)):
                loaded += self._mistakes(relation.matching, truth, predicted)
            return loaded
        loaded = self._table(relation) + self._late(relation, names)
        if relation.boxes == "found" and {"tp", "iou", "object"} & set(relation.wanted(False)):
            assert relation.matching is not None
            (truth,) = relation.sides
            loaded += self._table(truth) + self._match(relation.matching, truth, relation)
        for matching in dict.fromkeys(matching for matching, _ in relation.matched.values()):
            predicted = next(s for s in relation.sides if s.matching == matching)
            loaded += self._table(predicted) + self._match(matching, relation, predicted)
        return loaded

    def number(self, relation: Relation) -> pa.Array:
        """Return int64 (n,): how many boxes each sample has, null where its list is null."""
        self._table(relation)
        numbers = self._numbers[hot_name(relation)]
        return arrow_array(numbers, numbers < 0)

    # --- flattening ---------------------------------------------------------------------------

    def _table(self, relation: Relation) -> int:
        name = hot_name(relation)
        if self._tables.touch(name):
            return 0
        owner = _samples(relation)
        columns = ["key", "width", "height", "status"]
        about = self._tables.read(SAMPLES, columns, owner.version)
        index = KeyIndex(about["key"].to_numpy())
        numbers = np.full(len(index), -1, np.int64)
        width, height = (_sizes(about[side]) for side in ("width", "height"))
        visible = _visible(about["status"])
        batches = []
        for flat, at in self._flat(relation, index, numbers):
            crowd = is_crowd(flat.attributes)
            batches.append(
                pa.table(
                    {
                        "key": index.keys[at],
                        "index": flat.index,
                        "label": flat.label,
                        **{side: _nullable(flat.xywh[:, i]) for i, side in enumerate("xywh")},
                        "score": _nullable(flat.score),
                        "~at": at,
                        "~W": _nullable(width[at]),
                        "~H": _nullable(height[at]),
                        "~ok": visible[at],
                        "~crowd": np.zeros(len(at), bool) if crowd is None else crowd,
                    }
                )
            )
        whole = pa.concat_tables(batches)
        self._tables.add(name, {c: whole[c] for c in whole.column_names})
        self._tables.forget(f"{relation.model}.objects" if relation.model else "objects")
        self._numbers[name] = numbers
        self._numbers = {n: v for n, v in self._numbers.items() if self._tables.has(n)}
        return len(whole.column_names)

    def _flat(
        self, relation: Relation, index: KeyIndex, numbers: np.ndarray
    ) -> Iterator[tuple[Flat, np.ndarray]]:
        """Yield flattened boxes with the row of each one's sample; fills `numbers`.

        Boxes of samples that do not exist are left out.
        """
        start = 0
        for batch in self._batches(relation):
            lists = batch["objects"]
            if relation.boxes == "truth":
                rows = np.arange(start, start + len(lists))
            else:
                rows = index.find(batch["key"].to_numpy())
            start += len(lists)
            if (rows < 0).any():
                known = np.flatnonzero(rows >= 0)
                lists, rows = lists.take(arrow_array(known)), rows[known]
            lengths = pc.fill_null(pc.list_value_length(lists), -1)
            numbers[rows] = lengths.to_numpy(zero_copy_only=False)
            flat = Flat.of(lists)
            yield flat, rows[flat.image]
        if not start:
            empty = Flat.of(pa.array([], pa.list_(OBJECT)))
            yield empty, empty.image

    def _batches(self, relation: Relation) -> Iterator[pa.RecordBatch]:
        assert relation.table is not None
        if relation.boxes == "truth":
            return self._tables.scan(SAMPLES, ["objects"], relation.table.version)
        assert relation.matching is not None
        version = relation.matching.version
        return self._tables.scan(relation.predictions, ["key", "objects"], version)

    def _late(self, relation: Relation, names: set[str]) -> int:
        """Load ids, attributes and outlines where they are asked for."""
        table = hot_name(relation)
        new = sorted(names - self._tables.columns(table))
        fields: dict[str, pa.Array | pa.ChunkedArray] = {}
        if "id" in new:
            ids = self._tables.read(SAMPLES, ["id"], _samples(relation).version)["id"]
            at = self._tables.fetch(f'SELECT "~at" FROM hot.{quoted(table)}')["~at"]
            fields["id"] = ids.combine_chunks().take(at.combine_chunks())
        if "attributes" in new:
            keys = self._tables.read(SAMPLES, ["key"], _samples(relation).version)["key"]
            numbers = np.empty(len(keys), np.int64)
            flats = self._flat(relation, KeyIndex(keys.to_numpy()), numbers)
            fields["attributes"] = pa.chunked_array([f.attributes for f, _ in flats])
        if outlines := [name for name in new if name in _OUTLINE]:
            structs = [pc.list_flatten(batch["objects"]) for batch in self._batches(relation)]
            types = {"segmentation": pa.string(), "keypoints": pa.list_(pa.float64())}
            for name in outlines:
                parts = [_field(struct, name, types[name]) for struct in structs]
                fields[name] = pa.chunked_array(parts, types[name])
        self._tables.add(table, fields)
        return len(fields)

    # --- matching -----------------------------------------------------------------------------

    def _match(self, matching: Matching, truth: Relation, predicted: Relation) -> int:
        """Match one model's boxes with the ground truth; both sides get its columns."""
        state, both = hot_match(matching, "state"), (hot_name(truth), hot_name(predicted))
        self._used |= dict.fromkeys(((name, matching) for name in both), time.monotonic())
        if all(state in self._tables.columns(name) for name in both):
            return 0
        codes: dict[str | None, int] = {}
        mine, labels, index = self._boxes(predicted, codes)
        theirs, _, places = self._boxes(truth, codes)
        sure = _is_sure(mine, matching)
        pairs = overlaps(mine, theirs, same_label=matching.same_label, least=matching.iou)
        matched = match(_among(pairs, sure), mine, theirs, iou=matching.iou)
        seen, looked = (self._numbers[hot_name(r)] >= 0 for r in (predicted, truth))
        return self._add(
            truth, matching, _of_truth(matched, theirs, seen, mine, labels, index)
        ) + self._add(predicted, matching, _of_found(matched, looked, mine, places, sure))

    def _mistakes(self, matching: Matching, truth: Relation, predicted: Relation) -> int:
        """Sort the mistakes of one model into their kinds; both sides get a column."""
        name = hot_match(matching, "mistake")
        if all(name in self._tables.columns(hot_name(side)) for side in (truth, predicted)):
            return 0
        codes: dict[str | None, int] = {}
        mine, _, _ = self._boxes(predicted, codes)
        theirs, labels, _ = self._boxes(truth, codes)
        kinds = mistaken(mine, theirs, _is_sure(mine, matching), iou=matching.iou)
        seen, looked = (self._numbers[hot_name(r)] >= 0 for r in (predicted, truth))
        of_truth = arrow_array(kinds.truth, (kinds.truth < 0) | ~seen[theirs.image])
        of_predicted = arrow_array(kinds.predicted, (kinds.predicted < 0) | ~looked[mine.image])
        about = labels.take(arrow_array(kinds.partner, kinds.partner < 0))
        unknown = pa.nulls(len(theirs), pa.string())
        return self._add(truth, matching, {"mistake": of_truth, "about": unknown}) + self._add(
            predicted, matching, {"mistake": of_predicted, "about": about}
        )

    def trim(self, since: float) -> None:
        """Drop the matchings that were asked for longest ago, and not since a moment."""
        self._used = {k: used for k, used in self._used.items() if self._tables.has(k[0])}
        for table in {name for name, _ in self._used}:
            mine = sorted((used, m) for (n, m), used in self._used.items() if n == table)
            for used, matching in mine[:-_KEEP]:
                if used < since:
                    del self._used[table, matching]
                    start = hot_match(matching, "")
                    columns = [c for c in self._tables.columns(table) if c.startswith(start)]
                    self._tables.drop(table, columns)

    def _add(self, relation: Relation, matching: Matching, columns: dict[str, pa.Array]) -> int:
        name = hot_name(relation)
        fields = {hot_match(matching, column): values for column, values in columns.items()}
        new = {n: v for n, v in fields.items() if n not in self._tables.columns(name)}
        self._tables.add(name, new)
        return len(new)

    def _boxes(
        self, relation: Relation, codes: dict[str | None, int]
    ) -> tuple[Boxes, pa.Array, np.ndarray]:
        """Return the boxes of a table, their labels and their places in the lists."""
        columns = '"~at", "index", label, x, y, w, h, score, "~crowd"'
        rows = self._tables.fetch(f"SELECT {columns} FROM hot.{quoted(hot_name(relation))}")
        labels = rows["label"].combine_chunks()
        xywh = np.column_stack([_floats(rows[side]) for side in "xywh"])
        crowd = rows["~crowd"].to_numpy()
        boxes = Boxes(
            rows["~at"].to_numpy(),
            xywh,
            Boxes.coded(labels, codes),
            _floats(rows["score"]),
            crowd if crowd.any() else None,
        )
        return boxes, labels, rows["index"].to_numpy()


def _of_truth(
    matched: Matches,
    truth: Boxes,
    seen: np.ndarray,
    predicted: Boxes,
    labels: pa.Array,
    index: np.ndarray,
) -> dict[str, pa.Array]:
    """Return the outcome of each ground-truth box; NULL where the model has no predictions."""
    by = matched.predicted
    state = np.where(by >= 0, 1, 0)
    if truth.crowd is not None:
        state = np.where(truth.crowd, 2, state)
        by = np.where(truth.crowd, -1, by)
    at = arrow_array(by, by < 0)
    unseen = ~seen[truth.image]
    scores = np.full(len(predicted), np.nan) if predicted.score is None else predicted.score
    return {
        "state": arrow_array(state.astype(np.int8), unseen),
        "found": arrow_array(state == 1, unseen | (state == 2)),
        "iou": arrow_array(matched.iou).take(at),
        "score": _nullable(scores).take(at),
        "detection": pa.array(index, pa.int64()).take(at),
        "prediction": labels.take(at),
    }


def _is_sure(predicted: Boxes, matching: Matching) -> np.ndarray:
    """Return bool (n,): which boxes take part; one without a score is sure."""
    if predicted.score is None or not matching.confidence:
        return np.ones(len(predicted), bool)
    return np.asarray(~(predicted.score < matching.confidence))


def _among(pairs: Pairs, sure: np.ndarray) -> Pairs:
    kept = sure[pairs.predicted]
    if kept.all():
        return pairs
    return Pairs(pairs.predicted[kept], pairs.truth[kept], pairs.iou[kept], pairs.group[kept])


def _of_found(
    matched: Matches, looked: np.ndarray, predicted: Boxes, places: np.ndarray, sure: np.ndarray
) -> dict[str, pa.Array]:
    """Return the outcome of each predicted box; NULL where the image was never annotated.

    It is NULL, too, where the box is below the confidence of the matching.
    """
    state = np.where(matched.ignored, 2, np.where(matched.truth >= 0, 1, 0)).astype(np.int8)
    unlabelled = ~looked[predicted.image] | ~sure
    partner = arrow_array(matched.truth, matched.truth < 0)
    return {
        "state": arrow_array(state, unlabelled),
        "tp": arrow_array(state == 1, unlabelled | matched.ignored),
        "iou": _nullable(matched.iou),
        "object": pa.array(places, pa.int64()).take(partner),
    }


def _field(struct: pa.Array, name: str, kind: pa.DataType) -> pa.Array:
    """Return a field of boxes; nulls where they do not have it."""
    if struct.type.get_field_index(name) < 0:
        return pa.nulls(len(struct), kind)
    return pc.struct_field(struct, name)


def _samples(relation: Relation) -> TableInfo:
    assert relation.owner is not None and relation.owner.table is not None
    return relation.owner.table


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.fill_null(column, float("nan")).to_numpy(), dtype=np.float64)


def _nullable(values: np.ndarray) -> pa.Array:
    return arrow_array(np.asarray(values, np.float64), np.isnan(values))


def _sizes(column: pa.ChunkedArray) -> np.ndarray:
    """Return float64 (n,): pixels, NaN where unknown or none."""
    sizes = _floats(column.cast(pa.float64()))
    return np.where(sizes > 0, sizes, np.nan)


def _visible(status: pa.ChunkedArray) -> np.ndarray:
    shown = is_shown(status)
    return np.asarray(shown.to_numpy(), dtype=bool)
