"""One way to write: what fails or is overtaken changes nothing, and nothing is lost or doubled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from fakes_judge import CLASSES, small_store
from fakes_models import MeanColour, coloured_store

import slicedb
from slicedb.database import Database
from slicedb.errors import ConflictError, DatabaseError, ModelError, SliceDBError
from slicedb.predictions import predict
from slicedb.schema import SAMPLES, keys_of
from slicedb.store import Store
from slicedb.store.door import watched
from slicedb.tasks import About

TABLE = "predictions__m"


class Full(OSError):
    """What a full disk raises."""


def once(at: int, act: Callable[[], object], moment: str = "before") -> Callable[..., None]:
    """Return a watch that acts at the n-th change, and only there."""
    seen = 0

    def watch(when: str, change: str, table: str) -> None:
        nonlocal seen
        if when != moment:
            return
        seen += 1
        if seen == at:
            act()

    return watch


@pytest.fixture
def db(tmp_path: Path) -> Database:
    store, _ = small_store(tmp_path)
    return slicedb.open(store.path, create=False)


def given(label: str, **more: object) -> pa.Table:
    ids = ["cat/0.jpg", "cat/1.jpg"]
    return pa.table({"id": ids, "prediction": [label, label], **more})


def full(*_: str) -> None:
    raise Full("No space left on device")


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("at", range(1, 5))
def test_a_replace_that_fails_leaves_one_whole_table(db: Database, at: int, moment: str) -> None:
    db.log_predictions("m", given("cat"), classes=CLASSES)
    with contextlib.suppress(Full), watched(once(at, full, moment)):
        db.log_predictions("m", given("dog", extra=[1, 2]), classes=CLASSES, replace=True)
    left = slicedb.open(db.store.path).store.table(TABLE)
    assert left["prediction"].to_pylist() in (["cat", "cat"], ["dog", "dog"])
    db.log_predictions("m", given("dog", extra=[1, 2]), classes=CLASSES, replace=True)
    assert db.store.table(TABLE)["extra"].to_pylist() == [1, 2]


def test_a_type_that_cannot_be_written_leaves_what_was_there(db: Database) -> None:
    db.log_predictions("m", given("cat"), classes=CLASSES)
    odd = pa.array([(1, 2, 3), None], pa.month_day_nano_interval())
    with pytest.raises(SliceDBError):
        db.log_predictions("m", given("dog", extra=odd), classes=CLASSES, replace=True)
    assert db.store.table(TABLE)["prediction"].to_pylist() == ["cat", "cat"]


def test_of_two_that_replace_at_once_one_is_refused(db: Database) -> None:
    db.log_predictions("m", given("cat"), classes=CLASSES)
    other = slicedb.open(db.store.path)

    def overtake() -> None:
        with watched(lambda *_: None):
            other.log_predictions("m", given("bird"), classes=CLASSES, replace=True)

    with pytest.raises(ConflictError, match="has changed"), watched(once(1, overtake)):
        db.log_predictions("m", given("dog"), classes=CLASSES, replace=True)
    assert db.store.table(TABLE)["prediction"].to_pylist() == ["bird", "bird"]


def test_of_two_that_log_a_new_name_both_are_kept_once(db: Database) -> None:
    other = slicedb.open(db.store.path)

    def overtake() -> None:
        with watched(lambda *_: None):
            other.log_predictions("m", given("bird"), classes=CLASSES)

    with watched(once(1, overtake)):
        db.log_predictions("m", given("dog"), classes=CLASSES)
    assert db.store.table(TABLE)["prediction"].to_pylist() == ["dog", "dog"]


def test_two_that_predict_at_once_double_no_row(tmp_path: Path) -> None:
    store = coloured_store(tmp_path)
    predict(store, "mean", MeanColour(), keys_of(["0_red"]))

    def overtake() -> None:
        with watched(lambda *_: None):
            predict(Store.open(store.path), "mean", MeanColour())

    with watched(once(1, overtake)):
        predict(store, "mean", MeanColour())
    assert store.count("predictions__mean") == 9


def test_a_model_that_fails_leaves_the_predictions_of_the_one_before(tmp_path: Path) -> None:
    class Broken(MeanColour):
        classes = ("red", "other")

        def predict_batch(self, images: torch.Tensor) -> torch.Tensor:
            if images.shape[0] > 1:
                raise RuntimeError("no")
            return images.mean((2, 3))[:, :2]

    store = coloured_store(tmp_path)
    predict(store, "mean", MeanColour())
    with pytest.raises(ModelError):
        predict(store, "mean", Broken())
    assert store.count("predictions__mean") == 9
    assert About.read(store, "mean").classes == ("red", "green", "blue")


def test_a_strict_replace_keeps_stable_rows_keys_and_pins(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "db")
    schema = pa.schema([("id", pa.string()), ("n", pa.int64())])
    assert store.create("t", schema, pa.table({"id": ["a"], "n": [1]})) is True
    assert store.create("t", schema) is False
    first = store.version("t")
    store.pin("t", first, "commit-x")
    wider = schema.append(pa.field("w", pa.string())).with_metadata({"of": "two"})
    store.replace("t", wider, pa.table({"id": ["b"], "n": [2]}), expected_version=first)
    assert store.table("t").to_pylist() == [{"id": "b", "n": 2, "w": None}]
    assert store.table("t", version=first).to_pylist() == [{"id": "a", "n": 1}]
    assert store.metadata("t") == {"of": "two"} and store.pins("t") == {"commit-x": first}
    with pytest.raises(ConflictError, match="version 1"):
        store.replace("t", schema, expected_version=first)
    store.restore("t", first)
    assert store.table("t").to_pylist() == [{"id": "a", "n": 1}]
    assert store.insert("t", pa.table({"id": ["a", "c"], "n": [7, 8]})) == 1
    assert store.table("t")["n"].to_pylist() == [1, 8]


def test_only_a_full_disk_speaks_of_free_space(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "db")

    def refuse(text: str) -> Callable[[], None]:
        def write() -> None:
            raise ValueError(text)

        return write

    with pytest.raises(DatabaseError, match="free space"):
        store.attempt(SAMPLES, refuse("No space left on device (os error 28)"))
    with pytest.raises(DatabaseError) as error:
        store.attempt(SAMPLES, refuse("Ambiguous merge inserts"))
    assert "free space" not in str(error.value)
