"""Asking an earlier commit: the same answers as from a copy made at that moment."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fakes_copies import LONG

import slicedb
from slicedb.database import Database
from slicedb.errors import (
    BindError,
    DatabaseError,
    ParseError,
    QueryError,
    SliceDBError,
    UnknownSliceError,
)

TEXTS = (
    "",
    "label = 'Dessert' ORDER BY id",
    "light = 'night' AND NOT has_tag('seen')",
    "has_tag('seen') OR in_split('test')",
    "warm.correct",
    "NOT warm.correct AND warm.confidence > 0.3 ORDER BY warm.loss DESC LIMIT 7",
    "cold.confidence > 0.1",
    "ORDER BY similarity('a bowl of soup') DESC LIMIT 9",
    "matches('dessert') AND light <> 'night'",
    "nearest('a plate of meat', 5)",
    "in_slice('night')",
    "in_slice('dark') AND NOT in_slice('night@1')",
    "in_slice('kept')",
    "status IS NOT NULL ORDER BY width, id LIMIT 11",
    "SELECT label, avg(warm.correct::INT) AS acc FROM samples GROUP BY ALL ORDER BY 1",
    "SELECT id, note FROM samples WHERE note IS NOT NULL ORDER BY id",
)


def answer(db: Database, text: str) -> Any:
    """Return everything a query says, or the kind of its error."""
    try:
        query = db.query(text)
        if not query.is_rows:
            return query.to_arrow().to_pylist()
        scores = query.scores()
        return query.ids(), None if scores is None else scores.tolist()
    except SliceDBError as error:
        return type(error).__name__


def evaluated(db: Database) -> Any:
    try:
        return db.evaluate("warm", predict=False).to_arrow().to_pylist()
    except SliceDBError as error:
        return type(error).__name__


@pytest.fixture
def db(scenes: Path) -> Database:
    found = slicedb.open(scenes / "data.slicedb", create=False)
    found.models.add("warm", f"{scenes / 'model.py'}:build")
    return found


def changes(db: Database, scenes: Path, random_: random.Random) -> Iterator[None]:
    """Change the database in one way after another, of every kind."""
    from slicedb.demo.scenes import write

    labels = sorted({r["label"] for r in db.sql("SELECT DISTINCT label FROM samples").to_pylist()})
    some = lambda n: db.query(f"ORDER BY hash(id || '{random_.random()}') LIMIT {n}")  # noqa: E731
    db.slices.add("night", "light = 'night'")
    db.predict("warm", "light = 'night'")
    yield
    db.relabel(some(20), random_.choice(labels))
    db.slices.add("dark", "in_slice('night') OR label = 'Soup'")
    db.slices.add("kept", "warm.correct")
    db.slices.freeze("kept")
    yield
    db.slices.add("night", "light = 'night' AND label <> 'Soup'", replace=True)
    db.ingest(write(scenes / "more", 15, random_.randrange(9999)), id_by="sha256", progress=False)
    db.embed(progress=False)
    yield
    db.tag(some(10), "seen")
    db.predict("warm")
    n = len(ids := db.query().ids())
    logged = {"id": ids, "prediction": labels[:1] * n, "confidence": [0.2] * n}
    db.log_predictions("cold", pa.table(logged), classes=labels)
    yield
    db.store.add_columns("samples", [pa.field("note", pa.string())])
    db.store.upsert("samples", pa.table({"id": some(4).ids(), "note": ["x"] * 4}), insert=False)
    db.slices.thaw("kept")
    db.delete(some(12))
    yield
    for name in db.store.names():
        db.store.compact(name)
    db.slices.drop("dark")
    yield


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2] if LONG else [1])
def test_at_answers_as_a_copy_made_then(db: Database, scenes: Path, seed: int) -> None:
    copies = []
    for number, _ in enumerate(changes(db, scenes, random.Random(seed))):
        commit = db.commit(f"state {number}", tag=f"s{number}")
        copy = scenes / f"copy{number}.slicedb"
        shutil.copytree(db.path, copy, ignore=shutil.ignore_patterns(".cache"))
        copies.append((commit, slicedb.open(copy, create=False)))
    db.store.cleanup(timedelta(0))
    differs = []
    for number, (commit, copy) in enumerate(copies):
        then = db.at(commit.id)
        for text in TEXTS:
            if answer(then, text) != answer(copy, text):
                differs.append((number, text))
        assert evaluated(then) == evaluated(copy)
        assert [str(s) for s in then.slices.list()] == [str(s) for s in copy.slices.list()]
        assert then.store.count("images") == copy.store.count("images")
    assert differs == []
    kinds = {type(answer(copies[0][1], text)) for text in TEXTS}
    assert kinds == {tuple, list, str}  # samples, tables, and what was not there yet


def test_what_was_made_later_is_not_there(db: Database) -> None:
    db.commit("before", tag="before")
    db.predict("warm")
    db.slices.add("right", "warm.correct")
    with pytest.raises(BindError, match="warm"):
        db.query("warm.correct", at="before")
    with pytest.raises(BindError, match="No slice 'right'"):
        db.query("in_slice('right')", at="before")
    with pytest.raises(UnknownSliceError):
        db.at("before").slices.get("right")


def test_at_the_end_of_a_text_is_the_same_as_at(db: Database) -> None:
    db.commit("before", tag="before")
    count = db.query().count()
    db.delete("light = 'night'")
    assert db.query("AT 'before'").count() == count
    assert db.query("light = 'night' ORDER BY id LIMIT 4 at 'before';").count() == 4
    assert db.sql("SELECT count(*) AS n FROM samples AT 'before'")["n"].to_pylist() == [count]
    assert repr(db.query("light = 'night'", at="before")) == "light = 'night' AT 'before'"
    assert db.query("id = 'AT ''before'''").count() == 0
    with pytest.raises(DatabaseError, match="No commit 'befor'"):
        db.query("true AT 'befor'")
    db.commit("after", tag="after")
    with pytest.raises(QueryError, match="AT 'before', and at= is 'after'"):
        db.query("true AT 'before'", at="after")


def test_a_slice_asks_the_present(db: Database) -> None:
    db.commit("before", tag="before")
    with pytest.raises(ParseError, match="AT cannot stand here") as caught:
        db.slices.add("old", "light = 'night' AT 'before'")
    assert (caught.value.token, caught.value.column) == ("AT", 17)


def test_the_past_cannot_be_changed(db: Database) -> None:
    db.slices.add("night", "light = 'night'")
    db.commit("before", tag="before")
    then = db.at("before")
    assert repr(then) == f"slicedb.open({db.path!r}).at('before')"
    for change in (
        lambda: then.slices.add("x", "true"),
        lambda: then.slices.freeze("night"),
        lambda: then.relabel("light = 'night'", "Soup"),
        lambda: then.delete("light = 'night'"),
        lambda: then.predict("warm"),
        lambda: then.commit("again"),
    ):
        with pytest.raises(DatabaseError, match="as it was at 'before', which cannot be changed"):
            change()
    assert db.commits.is_clean()


def test_pictures_and_training_data_of_then(db: Database) -> None:
    db.commit("before", tag="before")
    gone = db.query("light = 'night' ORDER BY id", at="before").ids()
    db.delete("light = 'night'")
    then = db.query("light = 'night' ORDER BY id", at="before")
    assert then.images(2)[0].size == (96, 96)
    data = then.to_torch(size=16)
    assert len(data) == len(gone) and np.asarray(data[0][0]).shape == (3, 16, 16)
    export = db.at("before").export("light = 'night'", Path(db.path).parent / "out.csv")
    assert export is not None
