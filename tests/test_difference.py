"""What `diff` says: every column of samples, and the predictions of every model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fakes_models import COLOURS, fill, png

import slicedb
from slicedb.schema import OBJECT, SAMPLES
from slicedb.tasks.arrays import differs


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    made = slicedb.open(tmp_path / "data.slicedb")
    fill(made.store, {name: png(colour) for name, colour in COLOURS.items()})
    box = [{"label": "cat", "bbox": [1.0, 2.0, 3.0, 4.0], "score": None, "attributes": None}]
    rows = pa.table(
        {
            "id": list(COLOURS),
            "objects": pa.array([box, [], None], pa.list_(OBJECT)),
            "split": ["train", "train", None],
            "tags": pa.array([["new"], [], None], pa.list_(pa.string())),
        }
    )
    made.store.upsert(SAMPLES, rows, insert=False)
    made.attach(pa.table({"id": list(COLOURS), "lux": [1.0, float("nan"), None]}))
    made.log_predictions(
        "m", pa.table({"id": ["red", "green"], "prediction": ["a", "b"], "seconds": [0.1, 0.2]})
    )
    made.commit("before")
    return made


def box(left: float, label: str = "cat") -> list[dict[str, Any]]:
    return [{"label": label, "bbox": [left, 2.0, 3.0, 4.0], "score": None, "attributes": None}]


@pytest.mark.parametrize(
    ("column", "values", "changed"),
    [
        ("objects", [box(9.0), [], None], ["red"]),
        ("objects", [box(1.0, "dog"), [], None], ["red"]),
        ("objects", [box(1.0), None, []], ["blue", "green"]),
        ("objects", [[*box(1.0), *box(5.0)], box(1.0), None], ["green", "red"]),
        ("split", ["train", "test", "test"], ["blue", "green"]),
        ("tags", [["new", "odd"], [], []], ["blue", "red"]),
        ("caption", [None, "a pear", None], ["green"]),
        ("labels", [["x"], None, None], ["red"]),
        ("lux", [1.0, float("nan"), 0.0], ["blue"]),
        ("lux", [2.0, 3.0, None], ["green", "red"]),
    ],
)
def test_diff_names_the_samples_of_every_edited_column(
    db: slicedb.Database, column: str, values: list[Any], changed: list[str]
) -> None:
    kind = db.store.schema(SAMPLES).field(column).type
    rows = pa.table({"id": list(COLOURS), column: pa.array(values, kind)})
    db.store.upsert(SAMPLES, rows, insert=False)
    difference = db.diff()
    assert difference.edited == {column: changed}
    assert f"{len(changed)} with another {column}" in str(difference)
    rows = difference.to_arrow().to_pylist()
    assert rows == [{"change": "edited", "id": i, "column": column} for i in changed]


def test_diff_says_nothing_where_nothing_changed(db: slicedb.Database) -> None:
    db.store.upsert(SAMPLES, pa.table({"id": ["red"], "split": ["train"]}), insert=False)
    difference = db.diff()
    assert (difference.edited, difference.predictions) == ({}, ())


def test_diff_sees_a_column_that_is_new_or_gone(db: slicedb.Database) -> None:
    db.attach(pa.table({"id": ["red", "green"], "mood": ["sad", "gay"]}), partial=True)
    assert db.diff().edited == {"mood": ["green", "red"]}
    after = db.commit("with mood")
    before = db.commits.get(after.id).parent
    assert before is not None
    assert db.diff(after.id, before).edited == {"mood": ["green", "red"]}


def test_diff_sees_predictions_but_not_what_follows_from_labels(db: slicedb.Database) -> None:
    db.relabel("id = 'red'", "a")
    assert db.diff().predictions == ()
    more = {"id": ["green", "blue"], "prediction": ["c", "b"], "seconds": [0.2, 0.3]}
    db.log_predictions("m", pa.table(more))
    db.log_predictions("other", pa.table({"id": ["red"], "prediction": ["a"]}))
    moves = {m.model: (m.added, m.removed, m.changed) for m in db.diff().predictions}
    assert moves == {"m": (1, 0, 1), "other": (1, 0, 0)}
    assert "predictions of m: +1 -0, 1 changed" in str(db.diff())


def test_differs_compares_nested_values_of_any_type() -> None:
    def said(old: object, new: object, kind: pa.DataType) -> list[bool]:
        return differs(pa.array(old, kind), pa.array(new, kind)).tolist()

    pair = pa.list_(pa.float32(), 2)
    assert said([[1, 2], [1, 2], None], [[1, 2], [1, 3], [0, 0]], pair) == [False, True, True]
    deep = pa.list_(pa.list_(pa.string()))
    assert said([[["a"], []], [["b"]]], [[["a"], []], [["c"]]], deep) == [False, True]
    struct = pa.struct([("x", pa.int64()), ("y", pa.list_(pa.int64()))])
    one = {"x": 1, "y": [1]}
    assert said([one, one, None], [one, {"x": 1, "y": []}, None], struct) == [False, True, False]
    sliced = pa.array([[9], [1], [2]], pa.list_(pa.int64())).slice(1)
    assert differs(sliced, pa.array([[1], [3]], pa.list_(pa.int64()))).tolist() == [False, True]
    words = pa.array(["a", "b"]).dictionary_encode()
    assert differs(words, pa.array(["a", "c"])).tolist() == [False, True]
    assert differs(pa.array([1, 2]), pa.array([1.0, 2.5])).tolist() == [False, True]
    unlike = differs(pa.array(["x", None]), pa.array([True, None]))
    assert np.array_equal(unlike, [True, False])
