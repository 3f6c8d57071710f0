"""One picture after the other: keep, relabel, delete, undo, and one commit at the end."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fakes_models import fill, png
from PIL import Image

import slicedb
from slicedb import Database
from slicedb.cli import main
from slicedb.commits import Commits
from slicedb.errors import CheckError, ModelError, UnknownModelError
from slicedb.show.terminal import drawn

IDS = ["a.png", "b.png", "c.png", "d.png", "e.png"]
SURE = [0.6, 0.9, 0.7, 0.8, 0.95]


@pytest.fixture
def db(tmp_path: Path) -> Database:
    """All but e.png are labelled cat and predicted dog; b is the surest mistake, then d, c, a."""
    db = slicedb.open(tmp_path / "data.slicedb")
    labels = dict.fromkeys(IDS, "cat") | {"e.png": "dog"}
    fill(db.store, {name: png((40 * i, 0, 0)) for i, name in enumerate(IDS)}, labels)
    rows = pa.table({"id": IDS, "probabilities": [[1 - s, s] for s in SURE]})
    db.log_predictions("m", rows, classes=["cat", "dog"])
    return db


def labels(db: Database) -> dict[str, str]:
    rows = db.sql("SELECT id, label FROM samples").to_pylist()
    return {row["id"]: row["label"] for row in rows}


def test_mistakes_come_by_their_loss_and_change_nothing_until_saved(db: Database) -> None:
    before = len(db.commits.history())
    cleaner = db.clean(model="m")
    assert "of 'm': 4 samples to look at, 0 decisions to carry out with save()" in repr(cleaner)
    shown = []
    for case in cleaner:
        shown.append((case.id, case.label, case.prediction, case.number, case.of))
        if case.id == "b.png":
            case.relabel("dog")
        elif case.id == "d.png":
            case.delete()
        elif case.id == "c.png":
            case.keep()
    assert shown == [
        ("b.png", "cat", "dog", 1, 4),
        ("d.png", "cat", "dog", 2, 4),
        ("c.png", "cat", "dog", 3, 4),
        ("a.png", "cat", "dog", 4, 4),
    ]
    assert set(labels(db)) == set(IDS) and labels(db)["b.png"] == "cat"
    report = cleaner.save("wrong labels")
    assert (report.kept, report.relabelled, report.deleted) == (1, 1, 1)
    assert labels(db) == {"a.png": "cat", "b.png": "dog", "c.png": "cat", "e.png": "dog"}
    assert len(db.commits.history()) == before + 1
    assert db.commits.history()[0].message == "wrong labels"
    assert db.query("m.correct").count() == 2  # derived again
    assert [case.id for case in db.clean(model="m")] == ["a.png"]  # skipped; c is kept
    assert [case.id for case in db.clean(model="m", again=True)] == ["c.png", "a.png"]
    assert cleaner.save().commit == ""


def test_undo_shows_the_last_sample_again_also_of_an_earlier_session(db: Database) -> None:
    cleaner = db.clean("ORDER BY id")
    cases = iter(cleaner)
    next(cases).delete()
    next(cases).relabel("dog")
    assert cleaner.undo() == "b.png" and next(cases).id == "b.png"
    assert cleaner.undo() == "a.png" and next(cases).id == "a.png"
    assert cleaner.undo() is None and cleaner.pending == {}
    iter(cleaner)
    again = db.clean("ORDER BY id")
    first = next(iter(again))
    first.keep()
    later = db.clean("ORDER BY id")
    cases = iter(later)
    assert next(cases).id == "b.png"
    assert later.undo() == "a.png"
    assert [next(cases).id, next(cases).id] == ["a.png", "b.png"]


def test_an_interrupted_session_goes_on_and_another_one_is_apart(db: Database) -> None:
    cases = iter(db.clean("ORDER BY id"))
    next(cases).delete()
    next(cases).relabel("dog")
    resumed = db.clean("ORDER BY id")
    assert resumed.pending == {"a.png": ("delete", None), "b.png": ("relabel", "dog")}
    assert next(iter(resumed)).id == "c.png"
    assert db.clean("ORDER BY id", session="other").pending == {}
    assert db.clean("ORDER BY id").discard() == 2
    assert db.clean("ORDER BY id").save().commit == ""
    assert len(labels(db)) == 5


@pytest.mark.parametrize("cut", ["_finish", "_commits"])
def test_a_save_that_was_cut_off_is_finished(
    db: Database, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    db.commit("before")
    cases = iter(db.clean("ORDER BY id"))
    next(cases).delete()
    next(cases).relabel("dog")
    cleaner = db.clean("ORDER BY id")
    with monkeypatch.context() as broken:
        of = (cleaner, cut) if cut == "_finish" else (Commits, "commit")
        broken.setattr(*of, lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            cleaner.save()
    again = slicedb.open(db.path)
    assert labels(again)["b.png"] == "dog" and "a.png" not in labels(again)
    report = again.clean("ORDER BY id").save()
    assert (report.relabelled, report.deleted) == (1, 1) and report.commit
    assert again.commits.is_clean() and len(again.commits.history()) == 2
    assert again.clean("ORDER BY id").save().commit == ""
    again.commits.checkout(report.commit)  # and no decision comes back with it
    assert again.clean("ORDER BY id").pending == {} and labels(again)["b.png"] == "dog"


def test_what_cannot_be_cleaned_is_refused(db: Database) -> None:
    with pytest.raises(UnknownModelError):
        db.clean(model="n")
    with pytest.raises(ModelError):
        db.clean(session="a b")
    with pytest.raises(CheckError, match="No label"):
        next(iter(db.clean())).relabel("")


def answer(db: Database, text: str, *words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    try:
        assert not main(["clean", *words, "--db", db.path])
    except SystemExit as end:
        assert not end.code


def test_the_terminal_asks_and_commits_once(
    db: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "what\nr\nd\nu\nk\nr bird\nq\n"
    answer(db, lines, "--model", "m", "-m", "by hand", monkeypatch=monkeypatch)
    out, remarks = capsys.readouterr()
    assert "[1/4] b.png: label cat, predicted dog, confidence 0.900" in out
    assert "'what' is no answer" in remarks and "undone: d.png" in remarks
    assert "1 kept, 2 relabelled, 0 deleted; commit " in out
    assert labels(db) == {
        "a.png": "cat",
        "b.png": "dog",
        "c.png": "bird",
        "d.png": "cat",
        "e.png": "dog",
    }
    assert db.commits.history()[0].message == "by hand"


def test_the_end_of_the_input_keeps_decisions_for_the_next_call(
    db: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(db, "d\n", "--model", "m", monkeypatch=monkeypatch)
    assert "1 decision is kept and changes nothing yet" in capsys.readouterr().err
    assert len(labels(db)) == 5
    answer(db, "", "--apply", monkeypatch=monkeypatch)
    assert "0 kept, 0 relabelled, 1 deleted" in capsys.readouterr().out
    assert "b.png" not in labels(slicedb.open(db.path))


@pytest.mark.slow
def test_ctrl_c_loses_nothing(db: Database) -> None:
    import signal
    import time

    code = "import sys; from slicedb.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "clean", "--model", "m", "--db", db.path]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("d\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("[2/4]"):
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, remarks = process.communicate(timeout=60)
    assert "1 decision is kept" in remarks
    assert slicedb.open(db.path).clean().pending == {"b.png": ("delete", None)}


def test_half_blocks_have_the_colours_of_the_picture() -> None:
    picture = Image.fromarray(np.array([[[255, 0, 0]], [[0, 0, 255]]], np.uint8))
    assert drawn(picture, "blocks") == "\033[38;2;255;0;0m\033[48;2;0;0;255m▀\033[0m\n"
    assert drawn(picture, "none") == ""
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    kitty = drawn(Image.fromarray(noise), "kitty")
    assert kitty.startswith("\033_Ga=T,f=100,c=48,m=1;") and kitty.rstrip().endswith("\033\\")
    assert "\033_Gm=0;" in kitty
    assert drawn(picture, "iterm").startswith("\033]1337;File=inline=1;width=48:")
