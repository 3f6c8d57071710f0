"""Every verb that shows figures of a slice which gates or is held out counts as a look at it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fakes_judge import CLASSES, add_predictions, add_samples

import slicedb
from slicedb.database import Database
from slicedb.errors import SliceDBError
from slicedb.runs import recorded

N = 60
LABELS = [CLASSES[i % 3] for i in range(N)]


@pytest.fixture
def db(tmp_path: Path) -> Database:
    database = slicedb.open(tmp_path / "looks.slicedb")
    ids = [f"s{i}" for i in range(N)]
    add_samples(database.store, ids, LABELS)
    for model, every in {"new": 5, "old": 4}.items():
        add_predictions(
            database.store, model, ids, [CLASSES[(i + (i % every == 0)) % 3] for i in range(N)]
        )
    database.slices.add("held", "label <> 'dog'", holdout="40%")
    database.slices.add("gates", "label = 'dog'", expect=["accuracy >= 0.5"])
    database.slices.add("open", "label = 'cat'")
    return database


def looks(db: Database, name: str = "held") -> str:
    return db.slices.show(name).looks


VERBS: dict[str, tuple[Callable[[Database], object], str]] = {
    "confusion": (lambda db: db.confusion("new", "held"), "1 look (new 1)"),
    "a slice": (lambda db: db.confusion("new", db.slices.get("held")), "1 look (new 1)"),
    "errors": (lambda db: db.errors("new", "held", slices=[]), "1 look (new 1)"),
    "shares of errors": (lambda db: db.errors("new"), "1 look (new 1)"),
    "calibration": (lambda db: db.calibration("new", "held"), "1 look (new 1)"),
    "cost": (lambda db: db.cost("new", slices=["held"]), "1 look (new 1)"),
    "compare": (lambda db: db.compare("new", "old", "held"), "1 look (new 1, old 1)"),
    "power": (lambda db: db.power("new", "old", "held"), "1 look (new 1, old 1)"),
    "coverage": (lambda db: db.slices.coverage("new", ["held"]), "1 look (new 1)"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_shows_figures_of_a_slice_is_one_look(db: Database, verb: str) -> None:
    act, told = VERBS[verb]
    act(db)
    assert looks(db) == told
    act(db)
    db.confusion("new", "held")
    assert looks(db) == told
    assert db.runs.list("look").num_rows == 1


def test_what_names_no_guarded_slice_is_no_look(db: Database) -> None:
    for on in (None, "open", "label <> 'dog'", db.keys("held")):
        db.confusion("new", on)
    with pytest.raises(SliceDBError):
        db.confusion("nobody", "held")
    db.query("in_slice('held') AND new.correct").count()
    assert not db.runs.list().num_rows and looks(db) == "0 looks"


def test_a_look_counts_again_once_labels_predictions_or_the_definition_change(
    db: Database,
) -> None:
    db.confusion("new", "held")
    db.confusion("old", "held")
    assert looks(db) == "2 looks (new 1, old 1)"
    add_predictions(db.store, "new", ["s0"], ["bird"])
    db.compare("new", "old", "held")
    assert looks(db) == "3 looks (new 2, old 1)"
    db.relabel("id = 's1'", "dog")
    db.confusion("old", "held")
    assert looks(db) == "4 looks (new 2, old 2)"
    db.slices.add("held", "label <> 'cat'", holdout="40%", replace=True)
    assert looks(db) == "0 looks"
    db.confusion("old", "held")
    assert looks(db) == "1 look (old 1)"


def test_what_evaluate_or_test_has_counted_is_not_counted_again(db: Database) -> None:
    db.evaluate("new", ["held", "gates"])
    db.confusion("new", "held")
    assert looks(db) == "1 look (new 1)"
    db.test(model="old")
    db.errors("old", "gates", slices=[])
    assert looks(db, "gates") == "2 looks (new 1, old 1)"
    db.evaluate("new", "held")  # each evaluation is a look of its own
    assert looks(db) == "2 looks (new 2)"


def test_a_look_against_another_truth_is_one_of_its_own(db: Database) -> None:
    db.confusion("new", "held")
    db.confusion("new", "held", truth="old")
    db.confusion("new", "held", truth="old")
    assert looks(db) == "2 looks (new 2)"


def test_many_looks_by_other_verbs_are_warned_of(
    db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(10):
        db.evaluate("new", "held")
    capsys.readouterr()
    db.confusion("new", "held")
    assert capsys.readouterr().err == ""
    db.confusion("old", "held")
    warned = capsys.readouterr().err
    assert "held-out slice 'held' was judged 11 times. By luck alone the best of 2" in warned
    assert "(n = 40)" in warned


def test_who_may_not_write_leaves_no_look(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded(False):
        db.confusion("new", "held")
        db.evaluate("new", "held")
    commit = db.commit("now")
    db.at(commit.id).confusion("new", "held")
    monkeypatch.setattr(os, "access", lambda *_: False)
    db.confusion("new", "held")
    assert not db.runs.list().num_rows
    assert np.array_equal(db.at(commit.id).keys("held"), db.keys("held"))
