"""Decisions of people are written down, listed, taken back, and applied in one commit."""

from __future__ import annotations

import contextlib
import shutil
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fakes_boxes import box, objects
from fakes_judge import add_samples

import slicedb
from slicedb import Database
from slicedb.cli import main
from slicedb.commits import batch
from slicedb.curate import verdicts
from slicedb.errors import CheckError, UnknownSampleError
from slicedb.schema import EDITS, SAMPLES, keys_of
from slicedb.store.door import watched

IDS = [*"abcdef"]


@pytest.fixture
def db(tmp_path: Path) -> Database:
    db = slicedb.open(tmp_path / "data.slicedb")
    add_samples(db.store, IDS, ["cat", "dog", "cow", "cat", "dog", "cow"])
    own = objects([[box("cat", 0, 0, 9, 9), box("dog", 20, 0, 9, 9)], *[None] * 5])
    columns = {"objects": own, "width": [64] * 6, "height": [48] * 6, "sha256": IDS}
    db.store.upsert(SAMPLES, pa.table({"id": IDS, "key": keys_of(IDS), **columns}))
    said = pa.table({"id": IDS, "prediction": ["cow"] * 6})
    db.log_predictions("named", said, classes=["cat", "cow", "dog"])
    db.commit("before")
    return db


def seen(db: Database) -> dict[str, tuple[str | None, list[str]]]:
    rows = db.store.table(SAMPLES, ["id", "label", "tags"]).to_pylist()
    return {row["id"]: (row["label"], row["tags"] or []) for row in rows}


def boxes(db: Database, sample: str = "a") -> list[str]:
    row = db.store.take(SAMPLES, keys_of([sample]), ["objects"])["objects"].to_pylist()[0]
    return [one["label"] for one in row or ()]


def correct(db: Database) -> list[str]:
    return sorted(db.query("named.correct").ids())


def states(db: Database) -> list[str]:
    return [edit.state for edit in db.edits()]


def decided(db: Database) -> None:
    """Decide something of every kind, in two reviews."""
    db.decide("a", label="cow", queue="labels", reason="looks like a cow", author="ada")
    db.decide(["b", "e"], delete=True, queue="copies", author="ada")
    db.decide("c", keep=True, queue="labels", author="ada")
    db.decide("d", tag=["night"], author="eve")
    db.decide("a", add_box="label=cow,bbox=1,2,3,4", author="ada")
    db.decide("f", skip=True, author="ada")


def test_decisions_change_nothing_until_they_are_applied_in_one_commit(db: Database) -> None:
    before, version = seen(db), db.store.version(SAMPLES)
    decided(db)
    assert seen(db) == before and db.store.version(SAMPLES) == version
    fresh = slicedb.open(db.path)
    pending = fresh.edits(state="pending")
    assert [(e.sample, e.kind, e.author, e.queue) for e in pending] == [
        ("a", "edit", "ada", "labels"),
        ("b", "delete", "ada", "copies"),
        ("e", "delete", "ada", "copies"),
        ("c", "keep", "ada", "labels"),
        ("d", "edit", "eve", None),
        ("a", "edit", "ada", None),
        ("f", "skip", "ada", None),
    ]
    assert (pending[0].before, pending[0].after) == ({"label": "cat"}, {"label": "cow"})
    assert pending[0].reason == "looks like a cow"
    report = fresh.apply_edits("reviewed")
    assert (report.edited, report.deleted, report.kept, report.skipped) == (2, 2, 1, 1)
    assert report.refused == () and set(states(db)) == {"done"}
    assert seen(db) == {
        "a": ("cow", []),
        "c": ("cow", []),
        "d": ("cat", ["night"]),
        "f": ("cow", []),
    }
    assert boxes(db) == ["cat", "dog", "cow"] and correct(db) == ["a", "c", "f"]
    assert [c.message for c in db.commits.history()] == ["reviewed", "before"]
    assert report.commit == db.commits.history()[0].id and db.commits.is_clean()
    assert {edit.commit for edit in db.edits()} == {report.commit}


def test_what_is_applied_is_taken_back_edit_by_edit_and_deleted_samples_come_back(
    db: Database,
) -> None:
    before = db.store.table(SAMPLES).sort_by("id").to_pylist()
    said = correct(db)
    decided(db)
    db.apply_edits()
    for _ in range(7):
        db.undo()
    assert db.store.table(SAMPLES).sort_by("id").to_pylist() == before
    assert correct(db) == said and states(db) == ["undone"] * 7
    assert db.store.count("predictions__named") == 6
    with pytest.raises(CheckError, match="no edit to take back"):
        db.undo()


def test_a_sample_whose_versions_were_cleaned_up_is_not_brought_back(db: Database) -> None:
    add_samples(db.store, ["new"], ["cat"])
    db.decide("new", delete=True)
    db.apply_edits()
    db.tag("id = 'a'", "x")
    db.cleanup(0)
    with pytest.raises(CheckError, match=r"'new' cannot be brought back.*cleaned up"):
        db.undo()
    assert db.edits()[0].state == "done"


def test_pending_decisions_are_taken_back_in_any_order_that_is_sound(db: Database) -> None:
    db.decide("a", label="cow")
    db.decide("a", tag="x")
    db.decide("a", label="horse")
    db.decide("a", remove_box=[1])
    db.decide("a", set_box={1: "label=wolf"})  # which was the second
    with pytest.raises(CheckError, match=r"counts on this one \(number 5\)"):
        db.undo("a", number=4)
    db.undo("a", number=1)
    db.undo("a", number=2)
    assert states(db) == ["discarded", "discarded", "pending", "pending", "pending"]
    with pytest.raises(CheckError, match=r"no edit 2 of 'a' to take back; it is discarded"):
        db.undo("a", number=2)
    with pytest.raises(CheckError, match="edit 2 of which sample"):
        db.undo(number=2)
    db.apply_edits()
    assert seen(db)["a"] == ("horse", []) and boxes(db) == ["wolf"]


def test_undo_takes_the_last_of_an_author_or_of_a_review(db: Database) -> None:
    decided(db)
    assert db.undo(author="eve").sample == "d"
    assert db.undo(queue="copies").sample == "e"
    assert db.undo().sample == "f"
    assert db.discard_edits(queue="labels") == 2
    assert [e.sample for e in db.edits(state="pending")] == ["b", "a"]
    assert db.discard_edits(author="eve") == 0 and db.discard_edits() == 2
    assert str(db.apply_edits()) == "Nothing was applied; nothing to commit"
    assert len(db.commits.history()) == 1


def test_a_later_decision_of_the_same_author_replaces_an_earlier_one(db: Database) -> None:
    db.decide("a", delete=True, author="ada")
    db.decide("a", keep=True, author="ada")
    db.decide("b", label="cow", author="ada")
    db.decide("b", keep=True, author="ada")
    db.undo(author="ada")  # the label counts again
    db.decide("c", delete=True, author="ada")
    db.decide("c", label="horse", author="ada")
    assert db.decide("d", delete=True, author="ada").edits
    assert db.decide("d", delete=True, author="ada").unchanged == ("d",)
    report = db.apply_edits()
    assert report.discarded == 2
    assert {s: v[0] for s, v in seen(db).items()} == {
        "a": "cat",
        "b": "cow",
        "c": "horse",
        "e": "dog",
        "f": "cow",
    }


def test_keeping_alone_makes_no_commit(db: Database) -> None:
    db.decide(["a", "b"], keep=True)
    report = db.apply_edits("looked through")
    assert (report.kept, report.commit) == (2, "") and len(db.commits.history()) == 1
    assert batch.begun(db.store) is None


def test_a_decision_on_a_sample_that_has_changed_since_is_refused_and_the_rest_applied(
    db: Database,
) -> None:
    db.decide("a", label="horse", author="ada")
    db.decide("a", tag="kept", author="ada")
    db.decide("b", delete=True, author="ada")
    db.decide("c", label="horse", author="ada")
    db.decide("d", label="horse", author="ada")
    db.decide("e", remove_box=[], add_box="label=x,bbox=1,1,2,2", author="ada")
    db.decide("f", label="horse", author="ada")
    db.relabel("id = 'a'", "goat")
    db.tag("id = 'b'", "precious")
    db.delete("id = 'c'")
    db.store.upsert(SAMPLES, pa.table({"id": ["d"], "sha256": ["other"]}), insert=False)
    db.edit("e", add_box="label=y,bbox=1,1,2,2", author="eve")
    db.relabel("id = 'f'", "horse")  # as was decided
    report = db.apply_edits()
    assert [(edit.sample, edit.note) for edit in report.refused] == [
        ("a", "label was changed since: cat -> goat"),
        ("b", "tags was changed since: none -> precious"),
        ("c", "the sample is no longer there"),
        ("d", "the picture is another one since"),
        ("e", "the boxes were changed since"),
    ]
    assert seen(db)["a"] == ("goat", ["kept"]) and seen(db)["d"][0] == "cat"
    assert boxes(db, "e") == ["y"] and seen(db)["f"][0] == "horse"
    assert [e.sample for e in db.edits(state="refused")] == ["a", "b", "c", "d", "e"]
    assert "5 decisions were refused" in str(report) and "a: label was changed" in str(report)


def test_of_two_authors_who_differ_the_first_is_applied_and_tags_of_both_are(db: Database) -> None:
    db.decide("a", label="cow", tag="x", author="ada")
    db.decide("a", label="horse", author="eve")
    db.decide("a", tag="y", author="eve")
    db.decide("b", label="cow", author="eve")
    db.decide("b", label="cow", author="ada")
    db.decide("c", delete=True, author="eve")
    db.decide("c", label="pig", author="ada")
    report = db.apply_edits()
    assert seen(db)["a"] == ("cow", ["x", "y"]) and seen(db)["b"][0] == "cow"
    assert [(e.author, e.note) for e in report.refused] == [
        ("eve", "label was changed since: cat -> cow"),
        ("ada", "another decision deletes the sample"),
    ]


def test_the_decisions_of_one_author_are_applied_and_the_others_wait(db: Database) -> None:
    decided(db)
    report = db.apply_edits(author="eve")
    assert (report.edited, report.deleted) == (1, 0)
    assert [e.author for e in db.edits(state="pending")] == ["ada"] * 6
    assert db.apply_edits(queue="copies").deleted == 2 and len(db.edits(state="pending")) == 4


def test_decisions_on_likely_label_errors_are_counted_as_answers(db: Database) -> None:
    db.decide("a", label="cow", queue="labels:named")
    db.decide("b", keep=True, queue="labels:named")
    db.decide("c", skip=True, queue="labels:named")
    db.decide("d", tag="odd", queue="labels:named")
    db.decide("e", delete=True, queue="other")
    counted = verdicts.count(db.store, "named", block=50, stop=0.1)
    assert (counted.n, counted.wrong) == (2, 1)
    db.apply_edits()
    db.decide("a", keep=True, queue="labels:named")  # another opinion, which came later
    assert [row[:3] for row in verdicts.said(db.store, "named")] == [
        ("b", "wrong label", "no"),
        ("c", "wrong label", "skipped"),
        ("a", "wrong label", "no"),
    ]


def test_what_cannot_be_decided_is_refused_and_nothing_written(db: Database) -> None:
    for given, message in (
        ({}, "Nothing is decided"),
        ({"keep": True, "delete": True}, "keep and delete are asked for at once"),
        ({"delete": True, "label": "x"}, "delete and an edit are asked for at once"),
        ({"remove_box": [3]}, "no box 3"),
        ({"add_box": "label=x,bbox=90,90,2,2"}, "outside of the picture"),
    ):
        with pytest.raises(CheckError, match=message):
            db.decide("a", **given)
    with pytest.raises(UnknownSampleError, match="no sample 'zz'"):
        db.decide(["a", "zz"], keep=True)
    with pytest.raises(CheckError, match=r"never 'pendign'.*'pending'"):
        db.edits(state="pendign")  # type: ignore[arg-type]
    assert db.edits() == [] and db.decide("a", label="cat").unchanged == ("a",)


def test_several_labels_are_decided_applied_and_taken_back(db: Database) -> None:
    db.log_predictions(
        "tagger", {"id": ["a"], "labels": [["cat", "dog"]]}, classes=["cat", "dog"], multilabel=True
    )

    def labels() -> list[str] | None:
        return db.query("id = 'a'").to_arrow()["labels"].to_pylist()[0]

    assert db.edit("a", labels=["cat"]).edit.after == {"labels": ["cat"]}
    db.decide("a", labels=["dog", "cat", "dog"], author="ada")
    db.decide("b", labels="", author="ada")  # it was looked at, and has none
    assert labels() == ["cat"]
    report = db.apply_edits()
    assert (report.edited, report.refused) == (2, ()) and labels() == ["dog", "cat"]
    assert db.query("labels IS NOT NULL AND len(labels) = 0").ids() == ["b"]
    assert db.query("tagger.correct").ids() == ["a"]
    db.decide("a", labels=[], author="eve")
    db.edit("a", labels=["cow"])
    (refused,) = db.apply_edits().refused
    assert refused.note == "labels was changed since: dog, cat -> cow"
    for _ in range(4):
        db.undo()
    assert labels() is None and db.query("labels IS NOT NULL").count() == 0
    with pytest.raises(CheckError, match="holds an empty label"):
        db.edit("a", labels=["cat", ""])


def test_edits_of_the_first_releases_are_read_and_go_on(db: Database) -> None:
    db.edit("a", label="cow")
    db.store.drop_columns(EDITS, ["queue", "reason", "sha256", "commit", "note", "tables"])
    old = slicedb.open(db.path)
    assert old.edits(queue="labels") == [] and [e.queue for e in old.edits()] == [None]
    old.decide("b", label="cow", queue="labels")
    assert old.apply_edits().edited == 1 and old.undo("a").undone
    assert [p.problem for p in old.doctor()] == ["lost images"]  # it never had any


class Killed(BaseException):
    """Reaches the caller as a kill does."""


def cut(db: Database, change: int, act: Any) -> bool:
    """Run something that is killed after the n-th change; return whether it was."""
    left = change

    def watch(when: str, what: str, table: str) -> None:
        nonlocal left
        left -= when == "after"
        if when == "after" and left == 0:
            raise Killed

    with contextlib.suppress(Killed), watched(watch):
        act(db)
        return False
    return True


@pytest.mark.slow
def test_wherever_it_is_killed_all_or_nothing_is_applied_when_it_is_opened_next(
    db: Database, tmp_path: Path
) -> None:
    decided(db)
    db.decide("d", label="horse", author="eve")
    db.relabel("id = 'd'", "goat")  # one of them is refused
    clean = slicedb.open(shutil.copytree(db.path, tmp_path / "clean"))
    before = seen(db)
    clean.apply_edits("reviewed")
    for change in range(1, 60):
        copy = slicedb.open(shutil.copytree(db.path, tmp_path / str(change)))
        was_cut = cut(copy, change, lambda of: of.apply_edits("reviewed"))
        again = slicedb.open(copy.path, create=False)
        assert batch.begun(again.store) is None
        done = [e for e in again.edits() if e.state != "pending"]
        assert (seen(again), boxes(again)) in (
            (seen(clean), boxes(clean)),
            (before, ["cat", "dog"]),
        ), change
        assert len(done) in (0, 8) and len(again.commits.history()) == 1 + bool(done)
        if done:
            assert states(again) == states(clean) and correct(again) == correct(clean)
            assert again.commits.is_clean()
        again.apply_edits("reviewed")
        assert seen(again) == seen(clean) and boxes(again) == boxes(clean)
        assert len(again.commits.history()) == 2
        shutil.rmtree(copy.path)
        if not was_cut:
            break
    assert change > 8


@pytest.mark.slow
def test_several_who_decide_and_apply_at_once_lose_nothing(db: Database) -> None:
    errors: list[BaseException] = []

    def work(n: int) -> None:
        own = slicedb.open(db.path)
        try:
            for at in range(4):
                own.decide("a", tag=f"t{n}.{at}", author=f"p{n}")
                own.decide("b", keep=True, author=f"p{n}")
                if at % 2:
                    own.apply_edits(f"{n}.{at}")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db.apply_edits("rest")
    assert errors == []
    assert set(seen(db)["a"][1]) == {f"t{n}.{at}" for n in range(3) for at in range(4)}
    assert {e.state for e in db.edits()} <= {"done", "discarded"} and len(db.edits()) == 24
    assert batch.begun(db.store) is None


def run(db: Database, capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit):
        main([*args, "--db", db.path])
    out = capsys.readouterr()
    return out.out + out.err


def test_the_shell_decides_lists_applies_and_discards(
    db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "No edits" in run(db, capsys, "edits")
    said = run(db, capsys, "decide", "a", "b", "--label", "cow", "--queue", "q", "--author", "ada")
    assert said.startswith("Decided: 2 to change")
    assert "1 to delete" in run(db, capsys, "decide", "c", "--delete", "--reason", "blurred")
    listed = run(db, capsys, "edits", "--pending")
    assert "a 1: " in listed and "ada: label cat -> cow (pending)" in listed
    assert "delete (pending); blurred" in listed and "3 edits, 3 of them pending" in listed
    assert '"queue": "q"' in run(db, capsys, "edits", "--author", "ada", "--format", "jsonl")
    assert "Taken back: c" in run(db, capsys, "undo")
    said = run(db, capsys, "apply-edits", "-m", "mended", "--queue", "q")
    assert said.startswith("2 changed; commit ")
    assert "0 decisions discarded" in run(db, capsys, "discard-edits")
    assert db.commits.history()[0].message == "mended"
