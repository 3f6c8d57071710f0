"""One sample is edited, the edit is written down with its inverse, and taken back."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fakes_boxes import box, objects
from fakes_judge import add_samples

import slicedb
from slicedb import Database
from slicedb.cli import main
from slicedb.errors import CheckError, UnknownSampleError
from slicedb.schema import EDITS, SAMPLES, keys_of
from slicedb.store.door import watched

IDS = ["a", "b"]


@pytest.fixture
def db(tmp_path: Path) -> Database:
    db = slicedb.open(tmp_path / "data.slicedb")
    add_samples(db.store, IDS, ["cat", "dog"])
    own = objects(
        [[box("cat", 0, 0, 9, 9), box("dog", 20, 0, 9, 9), box("cow", 40, 0, 9, 9)], None]
    )
    table = pa.table(
        {"id": IDS, "key": keys_of(IDS), "objects": own, "width": [64] * 2, "height": [48] * 2}
    )
    db.store.upsert(SAMPLES, table)
    said = [[box("cat", 0, 0, 9, 9, 0.9), box("dog", 20, 0, 9, 9, 0.8)], []]
    db.log_predictions("found", pa.table({"id": IDS, "objects": objects(said)}))
    db.log_predictions(
        "named", pa.table({"id": IDS, "prediction": ["cow", "dog"]}), classes=["cat", "cow", "dog"]
    )
    return db


def boxes(db: Database, sample: str = "a") -> list[tuple[str, list[float]]] | None:
    rows = db.store.take(SAMPLES, keys_of([sample]), ["objects"])["objects"].to_pylist()[0]
    return None if rows is None else [(one["label"], one["bbox"]) for one in rows]


def one(db: Database, text: str) -> Any:
    return db.sql(f"SELECT {text} AS v FROM samples WHERE id = 'a'")["v"].to_pylist()[0]


def run(db: Database, capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit):
        main([*args, "--db", db.path])
    out = capsys.readouterr()
    return out.out + out.err


def test_boxes_are_removed_changed_and_added_and_judged_anew(db: Database) -> None:
    assert (one(db, "found.tp"), one(db, "found.fn")) == (2, 1)
    report = db.edit(
        "a",
        remove_box=[3],
        set_box={2: {"label": "wolf"}},
        add_box=[{"label": "cat", "bbox": [10, 10, 20, 20]}],
        author="ada",
    )
    assert boxes(db) == [
        ("cat", [0, 0, 9, 9]),
        ("wolf", [20, 0, 9, 9]),
        ("cat", [10, 10, 20, 20]),
    ]
    assert (one(db, "found.tp"), one(db, "found.fp"), one(db, "found.fn")) == (1, 1, 2)
    assert report.edit is not None and report.edit.author == "ada"
    assert str(db.edits("a")[0]).endswith("ada: objects 3 boxes -> 3 boxes")


def test_label_and_tags_change_and_predictions_follow(db: Database) -> None:
    assert one(db, "named.correct") is False
    db.edit("a", label="cow", tag=["seen", "night"])
    assert one(db, "named.correct") is True and one(db, "tags") == ["seen", "night"]
    db.edit("a", untag="seen", label="")
    assert (one(db, "label"), one(db, "tags"), one(db, "named.correct")) == (None, ["night"], None)
    assert db.edit("a", untag=["seen"]).edit is None
    assert len(db.edits("a")) == 2 and db.edits("b") == []


def test_undo_takes_back_the_last_edit_and_then_the_one_before(db: Database) -> None:
    db.edit("a", label="cow")
    db.edit("b", add_box=["label=cat,bbox=1,2,3,4"])
    db.edit("a", tag="x")
    assert db.undo("b").sample == "b" and boxes(db, "b") is None  # never annotated, as before
    assert db.undo().sample == "a" and one(db, "tags") is None
    assert db.undo().undone and one(db, "label") == "cat" and one(db, "named.correct") is False
    with pytest.raises(CheckError, match="no edit to take back"):
        db.undo()
    assert [edit.state for edit in db.edits()] == ["undone"] * 3


def test_an_undo_does_not_run_over_what_others_changed_since(db: Database) -> None:
    db.edit("a", label="cow", tag="x")
    db.relabel("id = 'a'", "horse")
    with pytest.raises(CheckError, match="label of 'a' was changed since that edit: horse"):
        db.undo()
    assert one(db, "label") == "horse"
    db.undo(force=True)
    assert (one(db, "label"), one(db, "tags")) == ("cat", None)


def test_outlines_that_a_moved_box_had_go_and_that_is_said(db: Database) -> None:
    given = {
        **box("cat", 0, 0, 9, 9),
        "segmentation": "[[0,0,9,0,9,9]]",
        "keypoints": [1.0, 2.0, 2.0],
    }
    kind = db.store.schema(SAMPLES).field("objects").type
    table = pa.table({"id": ["b"], "objects": pa.array([[given]], kind)})
    db.store.upsert(SAMPLES, table, insert=False)
    report = db.edit("b", set_box=[(1, "bbox=5,5,9,9")])
    assert "segmentation and keypoints of box 1 went with its place" in str(report)
    db.undo()
    rows = db.store.take(SAMPLES, keys_of(["b"]), ["objects"])["objects"].to_pylist()[0]
    assert rows[0]["segmentation"] == given["segmentation"] and rows[0]["keypoints"] == [1, 2, 2]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "Nothing is asked for"),
        ({"remove_box": [4]}, "no box 4: the sample's boxes are 1 to 3"),
        ({"remove_box": [0]}, "no box 0: the sample's boxes are 1 to 3"),
        ({"remove_box": [1], "set_box": {1: "label=x"}}, "both changed and removed"),
        ({"add_box": ["label=cat"]}, "A new box has no bbox"),
        ({"add_box": ["bbox=1,2,3,4"]}, "A new box has no label"),
        ({"add_box": ["label=cat,bbox=1,2,3"]}, "is not x, y, width, height"),
        ({"add_box": ["label=cat,bbox=1,2,0,4"]}, "with positive sides"),
        ({"add_box": ["label=cat,bbox=1,2,x,4"]}, "not made of numbers"),
        ({"add_box": ["label=cat,bbox=90,2,5,4"]}, "outside of the picture, which has 64 x 48"),
        ({"set_box": {1: "colour=red"}}, "no 'colour' to set"),
        ({"set_box": {1: "red"}}, "'red' is no box"),
        ({"set_box": {1: {"label": ""}}}, "The label of a box is ''"),
        ({"tag": ["x"], "untag": ["x"]}, "both given and taken away"),
        ({"tag": [" "]}, "an empty tag"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    db: Database, asked: dict[str, Any], message: str
) -> None:
    before = db.store.version(SAMPLES)
    with pytest.raises(CheckError, match=message):
        db.edit("a", **asked)
    assert db.store.version(SAMPLES) == before and db.edits() == []


def test_a_box_of_a_sample_without_boxes_is_answered_with_the_way_to_add_one(db: Database) -> None:
    db.edit("a", remove_box=[1, 2, 3])
    with pytest.raises(CheckError, match=r"no box 1: the sample has no boxes.*--add-box"):
        db.edit("a", set_box={1: "label=cat"})


def test_an_unknown_sample_is_answered_with_the_nearest(db: Database) -> None:
    with pytest.raises(UnknownSampleError, match=r"no sample 'aa'.*'a'"):
        db.edit("aa", label="x")


def test_the_shell_edits_shows_and_takes_back(
    db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = run(
        db,
        capsys,
        "edit",
        "a",
        "--remove-box",
        "3",
        "--set-box",
        "2",
        "label=wolf",
        "--add-box",
        "label=cat,bbox=10,10,20,20",
        "--label",
        "X",
        "--tag",
        "new",
        "--untag",
        "old",
    )
    assert "label cat -> X" in shown and "objects 3 boxes -> 3 boxes" in shown
    history = run(db, capsys, "edit", "a", "--history")
    assert "box 3: label=cat,bbox=10,10,20,20" in history and "label cat -> X" in history
    assert "Taken back: a:" in run(db, capsys, "undo")
    assert boxes(db) == [("cat", [0, 0, 9, 9]), ("dog", [20, 0, 9, 9]), ("cow", [40, 0, 9, 9])]
    assert "no edit to take back" in run(db, capsys, "undo")


class Killed(BaseException):
    """Reaches the caller as a kill does."""


def cut(db: Database, change: int, act: Any) -> bool:
    """Run something that is killed after the n-th change; return whether it was."""
    seen = 0

    def watch(when: str, what: str, table: str) -> None:
        nonlocal seen
        seen += when == "after"
        if when == "after" and seen == change:
            raise Killed

    with contextlib.suppress(Killed), watched(watch):
        act(db)
        return False
    return True


def test_an_edit_that_adds_is_made_once_wherever_it_was_cut_off(
    db: Database, tmp_path: Path
) -> None:
    def act(of: Database) -> None:
        of.edit("a", remove_box=[1], add_box=["label=cat,bbox=1,1,5,5"])

    clean = slicedb.open(shutil.copytree(db.path, tmp_path / "clean"), create=False)
    act(clean)
    # The last change says that all is done: what is asked for after it is asked for anew.
    for change in range(1, 20):
        copy = slicedb.open(shutil.copytree(db.path, tmp_path / str(change)), create=False)
        was_cut = cut(copy, change, act)
        again = slicedb.open(copy.path, create=False)
        if again.edits() and again.edits()[-1].state == "done":
            break
        assert was_cut
        act(again)
        assert boxes(again) == boxes(clean)
        assert one(again, "found.fn") == one(clean, "found.fn")
        assert [edit.state for edit in again.edits()] == ["done"]
    assert change > 2
    db.edit("a", label="first")
    for change in range(1, 20):
        copy = slicedb.open(shutil.copytree(db.path, tmp_path / f"u{change}"), create=False)
        copy.edit("a", label="second")
        cut(copy, change, lambda of: of.undo())
        again = slicedb.open(copy.path, create=False)
        if again.edits()[-1].state == "undone":
            break
        again.undo()
        assert (one(again, "label"), again.edits()[0].state) == ("first", "done")
    assert change > 1


def test_what_was_cut_off_and_changed_by_others_is_not_carried_out(db: Database) -> None:
    cut(db, 2, lambda of: of.edit("a", label="cow"))
    if db.edits() and db.edits()[0].state == "begun" and one(db, "label") == "cat":
        db.relabel("id = 'a'", "horse")
        db.edit("a", tag="x")
        assert (one(db, "label"), db.edits()[0].state) == ("horse", "lost")
    assert db.store.has(EDITS)
