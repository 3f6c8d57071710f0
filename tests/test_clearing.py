"""What was written can be cleared, dropped and renamed, also after commits, and comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fakes_models import COLOURS, MeanColour, fill, png

import slicedb
from slicedb.errors import (
    ModelError,
    SliceDBError,
    SliceError,
    UnknownModelError,
    UnknownSliceError,
)
from slicedb.store import Store


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    made = slicedb.open(tmp_path / "data.slicedb")
    labels = {name: name for name in COLOURS}
    fill(made.store, {name: png(colour) for name, colour in COLOURS.items()}, labels)
    return made


def said(label: str) -> pa.Table:
    return pa.table({"id": list(COLOURS), "prediction": [label] * 3})


def predictions(db: slicedb.Database, model: str = "m") -> list[Any]:
    return db.sql(f"SELECT {model}.prediction AS p FROM samples ORDER BY id")["p"].to_pylist()


def test_logged_predictions_are_replaced_after_any_number_of_commits(db: slicedb.Database) -> None:
    db.log_predictions("m", said("red"))
    first = db.commit("first")
    db.log_predictions("m", said("blue"), replace=True)
    db.commit("second")
    values = pa.table({"id": list(COLOURS), "probabilities": [[0.1, 0.9]] * 3})
    db.log_predictions("m", values, classes=["a", "b"], replace=True)
    assert predictions(db) == ["b"] * 3
    db.commits.reset(first.id)
    assert predictions(db) == ["red"] * 3


@pytest.mark.parametrize("commits", [False, True])
def test_a_logged_model_can_be_cleared_and_dropped(db: slicedb.Database, commits: bool) -> None:
    db.log_predictions("m", said("red"))
    assert [str(m) for m in db.models.list()] == [
        "m: 3 predictions logged from elsewhere\n  3 classes: blue, green, red"
    ]
    kept = db.commit("kept") if commits else None
    assert db.models.clear("m") == 3
    assert (db.info()["predictions"], db.models.list()) == ([], [])
    with pytest.raises(UnknownModelError):
        db.evaluate("m")
    with pytest.raises(SliceDBError):
        db.query("m.correct").ids()
    with pytest.raises(UnknownModelError):
        db.models.drop("m")
    db.log_predictions("m", said("green"))
    assert predictions(db) == ["green"] * 3
    db.models.drop("m")
    if kept is not None:
        db.commits.reset(kept.id)
        assert predictions(db) == ["red"] * 3
        assert db.info()["predictions"] == ["m"]


def test_after_a_reset_a_model_of_later_is_gone_and_may_come_again(db: slicedb.Database) -> None:
    before = db.commit("before")
    db.log_predictions("m", said("red"))
    db.slices.add("reds", "label = 'red'")
    after = db.commit("after")
    db.commits.reset(before.id)
    assert (db.info()["predictions"], db.info()["slices"], db.models.list()) == ([], [], [])
    assert "predictions__m" not in Store.open(db.path).names()
    assert db.diff(after.id, before.id).predictions[0].removed == 3
    with pytest.raises(UnknownModelError):
        db.models.show("m")
    # another kind of predictions may take the name
    db.log_predictions("m", pa.table({"id": ["red"], "value": [1.5]}), target="width")
    assert db.sql("SELECT m.value FROM samples WHERE id = 'red'").to_pydict() == {"m.value": [1.5]}
    db.commit("another")
    db.commits.reset(after.id)
    assert predictions(db) == ["red"] * 3
    assert db.info()["slices"] == ["reds"]


def test_cleanup_removes_what_no_commit_keeps_any_more(db: slicedb.Database) -> None:
    before = db.commit("before")
    db.log_predictions("m", said("red"))
    after = db.commit("after")
    db.commits.reset(before.id)
    folder = Path(db.path) / "predictions__m.lance"
    db.cleanup(0)
    assert folder.exists()
    db.commits.drop(after.id)
    db.cleanup(0)
    assert not folder.exists() and not (Path(db.path) / "predictions__m.absent").exists()
    db.log_predictions("m", said("blue"))
    assert predictions(db) == ["blue"] * 3


def test_a_registered_model_is_cleared_and_predicts_again(db: slicedb.Database) -> None:
    db.models.add("mean", MeanColour())
    db.predict("mean")
    db.commit("kept")
    assert db.models.clear("mean") == 3
    assert [m.name for m in db.models.list()] == ["mean"]
    assert db.predict("mean").predicted == 3


def test_a_model_is_renamed_with_its_predictions_and_versions(db: slicedb.Database) -> None:
    db.models.add("mean", MeanColour())
    db.predict("mean")
    db.log_predictions("logged", said("red"))
    commit = db.commit("before")
    db.models.rename("mean", "average")
    db.models.rename("logged", "other")
    assert [m.name for m in db.models.list()] == ["average", "other"]
    assert predictions(db, "average") == ["blue", "green", "red"]
    assert predictions(db, "other") == ["red"] * 3
    assert db.predict("average").predicted == 0
    assert db.models.show("average").details["renamed_from"] == ["mean"]
    assert db.at(commit.id).sql("SELECT mean.prediction FROM samples").num_rows == 3
    for name, error in (("other", ModelError), ("select", ModelError), ("label", ModelError)):
        with pytest.raises(error):
            db.models.rename("average", name)
    with pytest.raises(UnknownModelError):
        db.models.rename("mean", "again")


def test_a_slice_is_renamed_with_its_versions_and_the_slices_made_of_it(
    db: slicedb.Database,
) -> None:
    db.slices.add("reds", "label = 'red'")
    db.slices.add("reds", "label = 'red' OR label = 'blue'", replace=True)
    db.slices.freeze("reds")
    db.slices.add("user", "in_slice('reds') AND id <> 'blue'")
    renamed = db.slices.rename("reds", "warm")
    assert (renamed.name, renamed.kind, renamed.version) == ("warm", "frozen", 3)
    assert db.query("in_slice('warm') ORDER BY id").ids() == ["blue", "red"]
    assert db.query("in_slice('warm@1')").ids() == ["red"]
    assert db.slices.get("user").text == "in_slice('warm') AND id <> 'blue'"
    assert db.slices.get("user").ids() == ["red"]
    assert [s.name for s in db.slices.list()] == ["user", "warm"]
    db.delete("id = 'red'")
    db.cleanup(0)
    assert db.slices.show("warm").deleted == ["red"]  # the versions it was frozen at are kept
    db.slices.thaw("warm")
    with pytest.raises(UnknownSliceError):
        db.slices.get("reds")
    with pytest.raises(SliceError, match="There is, or was, a slice 'user'"):
        db.slices.rename("warm", "user")
    with pytest.raises(SliceError):
        db.slices.rename("warm", "not a name")
