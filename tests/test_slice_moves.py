"""What moves in slices, and why: versions, commits, reasons, states, algebra, holdouts by group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fakes_judge import add_predictions, add_samples, small_store, write
from hypothesis import given, settings
from hypothesis import strategies as st

import slicedb
from slicedb.database import Database
from slicedb.errors import BindError, SliceError, UnknownSliceError
from slicedb.schema import EMBEDDINGS, embeddings_schema, keys_of


@pytest.fixture
def db(tmp_path: Path) -> Database:
    """Twelve samples, birds, cats and dogs, with the real query engine."""
    store, _ = small_store(tmp_path)
    return slicedb.open(store.path, create=False)


def embed(db: Database, vectors: dict[str, tuple[float, float]]) -> None:
    name = EMBEDDINGS + "default"
    db.store.create(name, embeddings_schema(2))
    flat = pa.array(np.array(list(vectors.values()), np.float32).ravel())
    ids = list(vectors)
    columns = {
        "id": ids,
        "key": keys_of(ids),
        "content": [1] * len(ids),
        "vector": pa.FixedSizeListArray.from_arrays(flat, 2),
    }
    db.store.upsert(name, pa.table(columns))


# --- versions ------------------------------------------------------------------------------------


def test_versions_are_shown_and_asked_by_their_number(db: Database) -> None:
    db.slices.add("pets", "label = 'cat'")
    db.slices.add("pets", "label <> 'bird'", replace=True)
    db.slices.freeze("pets")
    assert db.slices.show("pets", 1).count == 4 and db.slices.show("pets@2").count == 8
    assert [v.kind for v in db.slices.show("pets").versions] == ["live", "live", "frozen"]
    shown = str(db.slices.show("pets", version=1))
    assert "* pets@1" in shown and "  pets@3" in shown and "label <> 'bird'" in shown
    assert db.query("in_slice('pets') AND NOT in_slice('pets@1')").count() == 4
    with pytest.raises(UnknownSliceError, match=r"pets@9"):
        db.slices.show("pets", 9)


# --- reasons -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_reason_is_told_apart(db: Database) -> None:
    db.store.add_columns("samples", [pa.field("light", pa.string())])
    ids = db.query().ids()
    db.store.upsert("samples", pa.table({"id": ids, "light": ["night"] * 12}), insert=False)
    add_predictions(db.store, "m", ids, ["cat"] * 12)
    embed(db, dict.fromkeys(ids, (1.0, 0.0)))
    db.slices.add(
        "s",
        "light = 'night' AND label <> 'dog' AND m.prediction = 'cat' "
        "AND similarity(sample('bird/3.jpg')) > 0.5",
    )
    assert db.slices.freeze("s").count() == 8
    db.delete("id = 'bird/0.jpg'")
    db.relabel("id = 'cat/0.jpg'", "dog")
    db.relabel("id = 'dog/0.jpg'", "cat")
    one = pa.table({"id": ["cat/1.jpg"], "light": ["day"]})
    db.store.upsert("samples", one, insert=False)
    add_predictions(db.store, "m", ["cat/2.jpg"], ["dog"])
    embed(db, {"cat/3.jpg": (0.0, 1.0)})
    add_samples(db.store, ["cat/9.jpg"], ["cat"])
    db.store.upsert("samples", pa.table({"id": ["cat/9.jpg"], "light": ["night"]}), insert=False)
    add_predictions(db.store, "m", ["cat/9.jpg"], ["cat"])
    embed(db, {"cat/9.jpg": (1.0, 0.0)})
    broken = pa.table({"id": ["bird/1.jpg"], "status": ["truncated"]})
    db.store.upsert("samples", broken, insert=False)
    found = db.slices.diff("s")
    assert dict(found.added) == {
        "cat/9.jpg": "new image",
        "dog/0.jpg": "relabelled: dog -> cat",
    }
    assert dict(found.removed) == {
        "bird/0.jpg": "deleted",
        "bird/1.jpg": "status changed: status: ok -> truncated",
        "cat/0.jpg": "relabelled: cat -> dog",
        "cat/1.jpg": "column changed: light: night -> day",
        "cat/2.jpg": "prediction changed: m.prediction: cat -> dog",
        "cat/3.jpg": "embedding changed: default",
    }
    assert found.kept == 2
    assert found.counts == {
        "new image": (1, 0),
        "deleted": (0, 1),
        "status changed": (0, 1),
        "relabelled": (1, 1),
        "column changed": (0, 1),
        "embedding changed": (0, 1),
        "prediction changed": (0, 1),
    }
    assert "+2 -6, 2 kept" in str(found) and "  relabelled: +1 -1" in str(found)
    assert found.to_arrow().num_rows == 8


def test_a_sample_pushed_out_of_a_ranking_did_not_change_itself(db: Database) -> None:
    db.slices.add("first", "label = 'cat' ORDER BY id LIMIT 2")
    db.slices.freeze("first")
    add_samples(db.store, ["cat/.jpg"], ["cat"])
    found = db.slices.diff("first")
    assert found.added == [("cat/.jpg", "new image")]
    assert found.removed == [("cat/1.jpg", "other samples changed")]


def test_between_commits_data_and_definition_are_told_apart(db: Database) -> None:
    db.slices.add("pets", "label = 'cat'")
    db.commit("before", tag="before")
    db.relabel("id = 'cat/0.jpg'", "bird")
    db.relabel("id = 'bird/0.jpg'", "cat")
    db.slices.add("pets", "label IN ('cat', 'dog') AND id <> 'cat/1.jpg'", replace=True)
    found = db.slices.diff("pets", before="before", after="now")
    assert (found.old, found.new) == ("pets at before", "pets")
    assert dict(found.removed) == {
        "cat/0.jpg": "relabelled: cat -> bird",
        "cat/1.jpg": "definition changed",
    }
    assert dict(found.added) == {
        "bird/0.jpg": "relabelled: bird -> cat",
        **{f"dog/{i}.jpg": "definition changed" for i in range(4)},
    }
    later = db.slices.add("later", "label = 'bird'")
    assert dict(db.slices.diff("later", before="before").added) == {
        "cat/0.jpg": "relabelled: cat -> bird"
    }
    assert later.count() == 4


def test_a_change_of_a_slice_inside_is_a_change_of_definition(db: Database) -> None:
    db.slices.add("inner", "label = 'cat'")
    db.slices.add("outer", "in_slice('inner') AND id < 'd'")
    db.commit("before", tag="before")
    db.slices.add("inner", "label <> 'cat'", replace=True)
    found = db.slices.diff("outer", before="before")
    assert {why for _, why in found.added + found.removed} == {"definition changed: inner"}
    assert (len(found.added), len(found.removed)) == (4, 4)


def test_two_slices_differ_by_definition(db: Database) -> None:
    db.slices.add("a", "label = 'cat'")
    db.slices.add("b", "label = 'cat' OR id = 'dog/0.jpg'")
    assert db.slices.diff("a", "b").added == [("dog/0.jpg", "definition differs")]


# --- states --------------------------------------------------------------------------------------


def test_a_slice_of_a_model_that_a_commit_alone_keeps_is_broken(db: Database) -> None:
    ids = db.query().ids()
    add_predictions(db.store, "m", ids, ["cat"] * 12)
    db.slices.add("of_model", "m.prediction = 'cat'")
    frozen = db.slices.freeze("of_model")
    assert sorted(frozen.tables) == ["predictions__m", "samples"]
    db.commit("with m", tag="with_m")
    db.store.restore("predictions__m", None)  # what `model drop` does to a table that is kept
    ((_, state, count),) = db.slices.states()
    assert (state.kind, count) == ("broken", 12) and "No model or table 'm'" in state.note
    assert db.query("m.prediction = 'cat'", at="with_m").count() == 12


def test_stale_and_broken_slices_are_marked(db: Database) -> None:
    add_predictions(db.store, "m", db.query().ids(), ["cat"] * 12)
    db.slices.add("kept", "label = 'cat'")
    db.slices.freeze("kept")
    db.slices.add("of_model", "m.prediction = 'cat'")
    db.slices.add("inside", "in_slice('of_model')")
    assert [str(state) for _, state, _ in db.slices.states()] == ["live", "frozen", "live"]
    db.relabel("id = 'cat/0.jpg'", "dog")
    db.store.drop("predictions__m")
    states = {s.name: (state.kind, count) for s, state, count in db.slices.states()}
    assert states == {
        "inside": ("broken", None),
        "kept": ("stale", 4),
        "of_model": ("broken", None),
    }
    assert "stale: its query now finds +0 -1" in str(db.slices.show("kept"))
    shown = str(db.slices.show("of_model"))
    assert "unknown samples" in shown and "broken: " in shown and "'m" in shown
    with pytest.raises(BindError, match="In slice 'of_model'"):
        db.slices.get("of_model").keys()


# --- algebra -------------------------------------------------------------------------------------

_names = st.sampled_from(["a", "b", "c"])
_trees = st.recursive(
    _names,
    lambda t: st.tuples(st.sampled_from("&|-"), t, t) | st.tuples(st.just("~"), t),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Database:
    store, _ = small_store(tmp_path_factory.mktemp("trio"))
    made = slicedb.open(store.path, create=False)
    made.slices.add("a", "label <> 'bird'")
    made.slices.add("b", "id LIKE '%/1.jpg' OR label = 'cat' ORDER BY id LIMIT 5")
    made.slices.add("c", "label IN ('bird', 'dog')")
    made.slices.freeze("c")
    return made


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(_trees)
def test_algebra_of_slices_is_that_of_sets(trio: Database, tree: object) -> None:
    every = set(trio.query().ids())

    def both(node: object) -> tuple[object, set[str]]:
        if isinstance(node, str):
            return trio.slices.get(node), set(trio.slices.get(node).ids())
        assert isinstance(node, tuple)
        op, *parts = node
        (x, sx), *more = [both(part) for part in parts]
        if op == "~":
            return ~x, every - sx  # type: ignore[operator]
        (y, sy) = more[0]
        if op == "&":
            return x & y, sx & sy  # type: ignore[operator]
        return (x | y, sx | sy) if op == "|" else (x - y, sx - sy)  # type: ignore[operator]

    asked, expected = both(tree)
    assert set(asked.ids()) == expected  # type: ignore[attr-defined]


def test_an_expression_of_slices_is_a_slice_that_follows_them(db: Database) -> None:
    a = db.slices.add("a", "label <> 'bird'")
    b = db.slices.add("b", "label = 'cat'")
    c = db.slices.add("c", a & ~b)
    assert c.count() == 4 and set(db.slices.get("c").ids()) == {f"dog/{i}.jpg" for i in range(4)}
    db.slices.add("b", "label = 'dog'", replace=True)
    assert {i.split("/")[0] for i in db.slices.get("c").ids()} == {"cat"}
    assert (db.query("label = 'dog'") & a).count() == (a & "label = 'dog'").count() == 4
    assert (db.slices.get("b@1") & a).count() == 4  # the version before, by its number
    with pytest.raises(SliceError, match="used by c"):
        db.slices.drop("a")


def test_a_bare_name_of_a_slice_is_told_how_to_be_asked(db: Database) -> None:
    db.slices.add("cats", "label = 'cat'")
    with pytest.raises(BindError, match=r"in_slice\('cats'\) is the slice"):
        db.slices.add("x", "cats AND label = 'cat'")


# --- holdout -------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from([0.1, 0.2, 0.5]))
def test_a_group_stays_together_and_new_data_moves_none(
    tmp_path_factory: pytest.TempPathFactory, seed: int, share: float
) -> None:
    made = slicedb.open(tmp_path_factory.mktemp("groups") / "g.slicedb")
    made.store.add_columns("samples", [pa.field("patient", pa.int64())])

    def add(start: int, stop: int) -> None:
        random = np.random.default_rng([seed, start])
        ids = [f"{i}" for i in range(start, stop)]
        of = pa.array(random.integers(0, 40, len(ids)), mask=random.random(len(ids)) < 0.1)
        columns = {"id": ids, "key": keys_of(ids), "patient": of, "status": ["ok"] * len(ids)}
        made.store.append("samples", pa.table(columns))

    add(0, 150)
    s = made.slices.add("all", "true", holdout=share, group="patient")
    before = set(s.holdout_keys().tolist())
    add(150, 300)
    held, trained = s.holdout_keys(), s.training_keys()
    assert set(held.tolist()) & set(keys_of(str(i) for i in range(150)).tolist()) == before
    assert len(held) + len(trained) == 300
    of = dict(zip(*(made.store.table("samples")[c].to_pylist() for c in ("key", "patient"))))
    groups = {of[k] for k in held.tolist()} & {of[k] for k in trained.tolist()}
    assert groups <= {None}


def test_a_group_is_a_plain_column(db: Database, tmp_path: Path) -> None:
    with pytest.raises(SliceError, match=r"No column 'lable'.*'label'"):
        db.slices.add("x", "true", holdout="20%", group="lable")
    with pytest.raises(SliceError, match="holds lists"):
        db.slices.add("x", "true", holdout="20%", group="tags")
    head = "/*\nslice: x\nholdout: 50%\ngroup: label\n*/\ntrue"
    db.apply(write(tmp_path / "q", x=head))
    s = db.slices.get("x")
    assert s.group == "label" and "50% of the groups of label are held out" in str(
        db.slices.show("x")
    )
    labels = set(db.store.take("samples", s.holdout_keys(), ["label"])["label"].to_pylist())
    assert not labels & set(
        db.store.take("samples", s.training_keys(), ["label"])["label"].to_pylist()
    )
