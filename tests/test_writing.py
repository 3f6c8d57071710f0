"""One way to write: what fails or is overtaken changes nothing, and nothing is lost or doubled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pytest
import torch
from fakes_judge import CLASSES, small_store
from fakes_models import MeanColour, coloured_store
from fakes_server import server

import slicedb
from slicedb.database import Database
from slicedb.doctor import examine
from slicedb.edits import delete
from slicedb.errors import ConflictError, DatabaseError, ModelError, SliceDBError, SliceError
from slicedb.predictions import predict
from slicedb.predictions.stale import stale_truths
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


def test_samples_that_are_deleted_while_a_model_runs_are_left_out_and_counted(
    tmp_path: Path,
) -> None:
    store = coloured_store(tmp_path)

    class Deletes(MeanColour):
        def predict_batch(self, images: torch.Tensor) -> torch.Tensor:
            if len(images) > 1:  # not the black picture that a model is tried with
                delete(Store.open(store.path), ["0_red", "4_green"])
            return super().predict_batch(images)

    report = predict(store, "mean", Deletes())
    assert (report.predicted, report.failed, report.gone) == (7, 0, 2)
    assert "2 samples were deleted meanwhile and left out" in str(report)
    assert examine(store) == []


def test_a_table_that_another_creates_before_a_replace_is_told(db: Database) -> None:
    other = slicedb.open(db.store.path)

    def overtake() -> None:
        with watched(lambda *_: None):
            other.log_predictions("m", given("bird"), classes=CLASSES)

    told = pytest.raises(ConflictError, match="has created table 'predictions of m'")
    with told, watched(once(1, overtake)):
        db.log_predictions("m", given("dog"), classes=CLASSES, replace=True)
    assert db.store.table(TABLE)["prediction"].to_pylist() == ["bird", "bird"]


def test_two_that_add_a_model_get_two_versions_or_one_is_refused(db: Database) -> None:
    other = slicedb.open(db.store.path)
    db.models.add("m", MeanColour(1.0))

    def overtake() -> None:
        with watched(lambda *_: None):
            other.models.add("m", MeanColour(2.0), replace=True)

    with watched(once(1, overtake)):
        added = db.models.add("m", MeanColour(3.0), replace=True)
    assert added.version == db.models.show("m").version == 3
    assert [old["version"] for old in added.details["earlier"]] == [1, 2]

    def first() -> None:
        with watched(lambda *_: None):
            other.models.add("n", MeanColour(2.0))

    with pytest.raises(ModelError, match="already"), watched(once(1, first)):
        db.models.add("n", MeanColour(3.0))
    assert db.models.show("n").fingerprint == MeanColour(2.0).fingerprint()


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


def test_rows_that_another_adds_meanwhile_are_in_no_version_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(tmp_path / "db")
    store.create("t", pa.schema([("id", pa.string()), ("n", pa.int64())]))
    rows, seen = pa.table({"id": ["a", "b"], "n": [1, 2]}), store.version("t")
    write = lance.fragment.write_fragments

    def overtaken(*args: object, **options: object) -> object:
        monkeypatch.setattr(lance.fragment, "write_fragments", write)
        Store.open(store.path).append("t", rows)
        return write(*args, **options)

    monkeypatch.setattr(lance.fragment, "write_fragments", overtaken)
    with pytest.raises(ConflictError, match="has changed"):
        store.append("t", rows, expected_version=seen)
    last = store.version("t")
    held = [store.table("t", version=v)["id"].to_pylist() for v in range(seen, last + 1)]
    assert held == [[], ["a", "b"]]


def test_a_strict_append_fits_a_table_whose_columns_and_fragments_changed(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "db")
    first = pa.table({"id": ["a"], "gone": [1], "n": [1]})
    store.create("t", first.schema, first)
    store.dataset("t").drop_columns(["gone"])
    store.add_columns("t", [pa.field("late", pa.string())])
    store.append("t", pa.table({"id": ["b"], "n": [2]}))
    store.dataset("t").create_scalar_index("id", "BTREE")
    store.delete("t", ["b"])
    more = pa.table({"id": ["c", "d"], "n": [3, 4], "late": ["x", None]})
    version = store.append("t", more, expected_version=store.version("t"))
    assert version == store.version("t")
    store.append("t", pa.table({"id": ["e"], "n": [5]}))
    store.upsert("t", pa.table({"id": ["c", "f"], "n": [33, 6], "late": ["y", "z"]}))
    store.compact("t")
    rows = sorted(store.table("t").to_pylist(), key=lambda row: row["id"])
    assert [row["n"] for row in rows] == [1, 33, 4, 5, 6]
    assert [row["late"] for row in rows] == [None, "y", None, None, "z"]
    assert [store.table("t", where=f"id = '{i}'")["n"].to_pylist() for i in "cb"] == [[33], []]


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


# --- four processes from a barrier ---------------------------------------------------------------


def together(path: str, verb: Callable[..., None], rounds: int = 3) -> None:
    """Let four processes start a verb at the same moment, several times."""
    context = server()
    barrier = context.Barrier(4)
    processes = [
        context.Process(target=_at_the_barrier, args=(path, verb, barrier, n, rounds))
        for n in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4


def _at_the_barrier(
    path: str, verb: Callable[..., None], barrier: Barrier, number: int, rounds: int
) -> None:
    db = slicedb.open(path)
    for at in range(rounds):
        barrier.wait(120)
        verb(db, number, at)


def tags(db: Database, number: int, at: int) -> None:
    db.tag("label = 'cat'", f"t{number}{at}")


def redefines(db: Database, number: int, at: int) -> None:
    db.slices.add("s", f"key > {number} AND key > {at}", replace=True)


def freezes(db: Database, number: int, at: int) -> None:
    db.slices.freeze("s")


def commits(db: Database, number: int, at: int) -> None:
    with contextlib.suppress(DatabaseError):  # of four with one tag, three are refused
        db.commit(f"{number}", tag=f"t{at}")


@pytest.mark.slow
def test_four_processes_that_change_the_same_rows_lose_nothing(db: Database) -> None:
    path = db.store.path
    db.slices.add("s", "label = 'cat'")
    together(path, tags)
    row = db.store.take(SAMPLES, keys_of(["cat/0.jpg"]), ["tags"])["tags"][0].as_py()
    assert sorted(row) == sorted(f"t{number}{at}" for number in range(4) for at in range(3))
    together(path, redefines)
    assert [s.version for s in db.slices.history("s")] == list(range(1, 14))
    together(path, freezes)
    assert [s.version for s in db.slices.history("s")] == list(range(1, 26))
    assert [f for f in examine(db.store) if "pins" in f.problem] == []
    slices = [tag for tag in db.store.pins(SAMPLES) if tag.startswith("slice-")]
    assert len(slices) == 1 and slices[0].startswith("slice-s-25-")
    together(path, commits)
    assert sorted(t for c in db.commits.history() for t in c.tags) == ["t0", "t1", "t2"]
    assert len(db.commits.history()) == 3
    assert [f for f in examine(db.store) if "pins" in f.problem] == []
    kept = [tag for tag in db.store.pins(SAMPLES) if tag.startswith("commit-")]
    assert len({tag.split("-")[1] for tag in kept}) == 3


def test_a_slice_that_another_adds_meanwhile_is_refused(db: Database) -> None:
    other = slicedb.open(db.store.path)
    db.slices.add("first", "true")

    def overtake() -> None:
        with watched(lambda *_: None):
            other.slices.add("s", "label = 'dog'")

    refused = pytest.raises(SliceError, match="There is a slice 's' already")
    with refused, watched(once(1, overtake)):
        db.slices.add("s", "label = 'cat'")
    assert db.slices.get("s").text == "label = 'dog'"


# --- truths --------------------------------------------------------------------------------------


def correct(db: Database) -> list[bool]:
    rows = db.store.table(TABLE, ["id", "correct"]).to_pylist()
    return [row["correct"] for row in sorted(rows, key=lambda row: str(row["id"]))]


def stale(db: Database) -> list[tuple[str, int]]:
    return [(f.table, f.n) for f in stale_truths(db.store)]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_relabel_that_failed_half_way_can_be_run_again(
    db: Database, at: int, moment: str
) -> None:
    db.log_predictions("m", given("cat"), classes=CLASSES)
    with contextlib.suppress(Full), watched(once(at, full, moment)):
        db.relabel("id = 'cat/0.jpg'", "dog")
    db.relabel("id = 'cat/0.jpg'", "dog")
    assert correct(db) == [False, True] and stale(db) == []


def test_the_doctor_finds_and_mends_stale_truths(db: Database) -> None:
    db.log_predictions("m", given("cat"), classes=CLASSES)
    change = pa.table({"id": ["cat/0.jpg"], "label": ["dog"]})
    db.store.upsert(SAMPLES, change, insert=False)
    assert stale(db) == [(TABLE, 1)] and correct(db) == [True, True]
    assert [(f.problem, f.mended) for f in db.doctor(mend=True)][-1:] == [("stale truths", True)]
    assert stale(db) == [] and correct(db) == [False, True]


@pytest.mark.parametrize("verb", ["log", "replace"])
def test_a_relabel_while_predictions_are_logged_leaves_no_stale_row(
    db: Database, verb: str
) -> None:
    other = slicedb.open(db.store.path)
    if verb == "replace":
        db.log_predictions("m", given("bird"), classes=CLASSES)

    def overtake() -> None:
        with watched(lambda *_: None):
            other.relabel("id = 'cat/0.jpg'", "dog")

    with watched(once(1, overtake)), contextlib.suppress(ConflictError):
        db.log_predictions("m", given("cat"), classes=CLASSES, replace=verb == "replace")
    assert stale(db) == []
    db.log_predictions("m", given("cat"), classes=CLASSES, replace=verb == "replace")
    assert correct(db) == [False, True] and stale(db) == []


def test_two_relabels_at_once_leave_no_stale_row(db: Database) -> None:
    db.log_predictions("m", given("cat"), classes=CLASSES)
    other = slicedb.open(db.store.path)

    def overtake() -> None:
        with watched(lambda *_: None):
            other.relabel("id = 'cat/0.jpg'", "cat")

    with watched(once(2, overtake)):  # the truth is read, what follows from it is not yet written
        db.relabel("id = 'cat/0.jpg'", "dog")
    assert correct(db) == [True, True] and stale(db) == []


def test_samples_that_change_while_a_model_is_judged_are_read_again(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.log_predictions("m", given("cat"), classes=CLASSES)
    other, table, changed = slicedb.open(db.store.path), Store.table, []

    def overtaken(store: Store, name: str, *args: Any, **options: Any) -> pa.Table:
        rows = table(store, name, *args, **options)
        if name == SAMPLES and store is db.store and not changed:
            changed.append(other.delete("id = 'cat/0.jpg'"))
        return rows

    monkeypatch.setattr(Store, "table", overtaken)
    found = db.evaluate("m")
    assert changed == [1] and found.to_arrow()["n"][0].as_py() == 1
