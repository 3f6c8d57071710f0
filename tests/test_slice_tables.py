"""Overlap, coverage and breakdown of slices, and the looks at those that are held out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from fakes_judge import CLASSES, add_predictions, add_samples, small_store
from hypothesis import given, settings
from hypothesis import strategies as st

import slicedb
from slicedb.database import Database
from slicedb.errors import ModelError, UnknownModelError
from slicedb.metrics import Membership
from slicedb.runs.looks import optimism
from slicedb.slices.overlap import shared


@pytest.fixture
def db(tmp_path: Path) -> Database:
    """Twelve samples in split test; model m says cat of all, n is right but for one."""
    store, _ = small_store(tmp_path)
    made = slicedb.open(store.path, create=False)
    ids = [f"{label}/{i}.jpg" for label in CLASSES for i in range(4)]
    add_predictions(store, "m", ids, ["cat"] * 12)
    add_predictions(store, "n", ids, ["cat", *(i.split("/")[0] for i in ids[1:])])
    made.store.upsert(
        "predictions__m",
        made.sql("SELECT id, label = 'cat' AS correct FROM samples"),
        insert=False,
    )
    made.slices.add("pets", "label <> 'bird'")
    made.slices.add("cats", "label = 'cat'")
    made.slices.add("first", "id LIKE '%/0.jpg'")
    return made


# --- overlap -------------------------------------------------------------------------------------


def test_overlap_is_shared_jaccard_and_containment(db: Database) -> None:
    found = db.slices.overlap()
    assert found.names == ("cats", "first", "pets") and found.sizes.tolist() == [4, 3, 8]
    assert found.shared.tolist() == [[4, 1, 4], [1, 3, 2], [4, 2, 8]]
    assert found.jaccard[0].tolist() == [1.0, 1 / 6, 0.5]
    assert found.containment[0].tolist() == [1.0, 0.25, 1.0]
    assert found.containment[2].tolist() == [0.5, 0.25, 1.0]
    top = found.pairs().to_pylist()[0]
    assert top == {
        "a": "cats",
        "b": "pets",
        "shared": 4,
        "jaccard": 0.5,
        "a_in_b": 1.0,
        "b_in_a": 0.5,
    }
    assert found.pairs(least=0.3).num_rows == 1
    assert re.search(r"^cats +pets +0\.500 +4 +100% +50%$", str(found), re.MULTILINE)
    assert found.to_pandas().loc["cats", "pets"] == 0.5


def test_overlap_of_empty_and_of_deleted(db: Database) -> None:
    db.slices.add("none", "false")
    db.slices.freeze("cats")
    db.delete("id = 'cat/0.jpg'")
    found = db.slices.overlap(["none", "cats"])
    assert found.sizes.tolist() == [0, 3]
    assert np.isnan(found.jaccard[0, 0]) and found.jaccard[0, 1] == 0
    assert str(db.slices.overlap(["none"])) == "1 slice, no two share a sample"


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 70_000), st.lists(st.floats(0, 1), min_size=1, max_size=6), st.integers(0, 9))
def test_shared_rows_are_those_of_set_intersections(
    n: int, densities: list[float], seed: int
) -> None:
    random = np.random.default_rng(seed)
    rows = [np.flatnonzero(random.random(n) < d**3) for d in densities]
    expected = [[len(np.intersect1d(a, b)) for b in rows] for a in rows]
    assert shared(Membership(rows, n)).tolist() == expected


# --- coverage ------------------------------------------------------------------------------------


def test_coverage_counts_the_errors_in_no_slice(db: Database) -> None:
    found = db.slices.coverage("m")
    assert (found.judged, found.errors, found.uncovered) == (12, 8, 3)
    assert found.share == 0.625
    assert found.table.to_pylist() == [
        {
            "slice": "pets",
            "n": 8,
            "errors": 4,
            "error_rate": 0.5,
            "share": 0.5,
            "only": 3,
            "lift": 0.75,
        },
        {
            "slice": "first",
            "n": 3,
            "errors": 2,
            "error_rate": 2 / 3,
            "share": 0.25,
            "only": 1,
            "lift": 1.0,
        },
        {
            "slice": "cats",
            "n": 4,
            "errors": 0,
            "error_rate": 0.0,
            "share": 0.0,
            "only": 0,
            "lift": 0.0,
        },
    ]
    assert sorted(db.query(found.query).ids()) == [f"bird/{i}.jpg" for i in (1, 2, 3)]
    assert "8 errors on 12 samples, 3 (37.5%) in no slice" in str(found)
    with pytest.raises(UnknownModelError, match="did you mean 'm'"):
        db.slices.coverage("mm")


def test_coverage_is_not_for_what_is_not_right_or_wrong(db: Database) -> None:
    import pyarrow as pa

    db.store.create("predictions__boxes", pa.schema([pa.field("id", pa.string(), nullable=False)]))
    with pytest.raises(ModelError, match="for classifiers"):
        db.slices.coverage("boxes")


# --- breakdown -----------------------------------------------------------------------------------


def test_breakdown_counts_each_split_and_the_holdout(db: Database) -> None:
    add_samples(db.store, ["cat/8.jpg", "dog/8.jpg"], ["cat", "dog"], split="train")
    db.slices.add("held", "label = 'cat'", holdout="50%")
    found = db.slices.breakdown()
    assert found.splits == ("train", "test")
    rows = {r.pop("slice"): r for r in found.to_arrow().to_pylist()}
    held = len(db.slices.get("held").holdout_keys())
    assert rows == {
        "cats": {"count": 5, "held_out": None, "train": 1, "test": 4},
        "first": {"count": 3, "held_out": None, "train": 0, "test": 3},
        "held": {"count": 5, "held_out": held, "train": 1, "test": 4},
        "pets": {"count": 10, "held_out": None, "train": 2, "test": 8},
    }
    assert "4 (80%)" in str(found)


# --- looks ---------------------------------------------------------------------------------------


def test_looks_at_a_held_out_slice_are_counted_and_warned_of(db: Database) -> None:
    db.slices.add("held", "label <> 'bird'", holdout="50%", expect=["accuracy >= 0.1"])
    for _ in range(9):
        assert db.evaluate("m", ["held"]).warnings == ()
    report = db.test(["held"], model="n", baseline="m")
    assert report.warnings == ()
    assert db.slices.show("held").looks == "10 looks (m 10, n 1)"
    (warning,) = db.evaluate(["m"], ["held"]).warnings
    assert warning.startswith("held-out slice 'held' was judged 11 times.")
    assert "the best of 2 equally good models" in warning and "Hint: choose between" in warning
    again = db.test(["held"], model="n")
    assert "judged 12 times" in again.warnings[0]
    for text in (str(again), again.to_markdown(), again.to_json(), again.to_html()):
        assert "judged 12 times" in text
    assert db.test(["held"], model="n", looks=0).warnings == ()
    assert "13 looks (m 11, n 3)" in str(db.slices.show("held"))


def test_a_new_definition_starts_to_count_anew(db: Database) -> None:
    db.slices.add("held", "label <> 'bird'", holdout="50%")
    db.evaluate("m", ["held"])
    db.slices.add("held", "label <> 'dog'", holdout="50%", replace=True)
    assert db.slices.show("held").looks == "0 looks"
    assert db.evaluate("m", ["held@2", "cats", "label = 'dog'"]).value("held@2", "m") == 0.5
    assert db.slices.show("held").looks == "1 look (m 1)"


def test_only_held_out_slices_are_written_down(db: Database) -> None:
    db.evaluate("m")
    assert not db.store.has("runs")
    assert db.slices.show("cats").looks == ""


def test_the_best_of_many_looks_better_than_it_is() -> None:
    random = np.random.default_rng(0)
    n, k = 400, 20
    best = (random.binomial(n, 0.5, (20_000, k)) / n).max(axis=1).mean() - 0.5
    assert best <= optimism(k, n) <= 1.5 * best
