"""Slices: the registry, files, freezing, diff."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from fakes_judge import add_samples, small_store, write
from hypothesis import given, settings
from hypothesis import strategies as st

from slicedb import metrics
from slicedb.errors import BindError, CheckError, ConflictError, SliceError, UnknownSliceError
from slicedb.expectations import Check, parse_check
from slicedb.schema import keys_of
from slicedb.slices import Slices, in_share, read_file
from slicedb.store import Store


@pytest.fixture
def database(tmp_path: Path) -> tuple[Store, Slices]:
    return small_store(tmp_path)


@pytest.fixture
def slices(database: tuple[Store, Slices]) -> Slices:
    return database[1]


# --- the registry ---------------------------------------------------------------------------------


def test_a_slice_is_added_listed_and_asked(slices: Slices) -> None:
    added = slices.add("cats", "label = 'cat'", expect=["acc >= 60%"], description="Cats.")
    assert [s.name for s in slices] == ["cats"] and "cats" in slices and len(slices) == 1
    assert added.count() == 4 and added.ids() == [f"cat/{i}.jpg" for i in range(4)]
    assert slices.get("cats").expect == ("accuracy >= 0.6",)
    assert "Cats." in str(slices.show("cats"))


def test_a_registry_opened_again_finds_what_was_added(
    database: tuple[Store, Slices], slices: Slices
) -> None:
    slices.add("cats", "label = 'cat'", holdout="25%", decide="point")
    again = Slices(Store.open(database[0].path), lambda text: None).get("cats")
    assert (again.text, again.holdout, again.decide) == ("label = 'cat'", 0.25, "point")


def test_a_taken_name_is_refused_unless_replaced(slices: Slices) -> None:
    slices.add("pets", "label = 'cat'")
    with pytest.raises(SliceError, match="already"):
        slices.add("pets", "label = 'dog'")
    assert slices.add("pets", "label <> 'bird'", replace=True).version == 2
    assert slices.get("pets").count() == 8 and slices.get("pets@1").count() == 4
    assert [s.version for s in slices.history("pets")] == [1, 2]


@pytest.mark.parametrize("name", ["", "1st", "a-b", "a b", "a.b", "é"])
def test_names_are_letters_digits_and_underscores(slices: Slices, name: str) -> None:
    with pytest.raises(SliceError, match="cannot be the name"):
        slices.add(name, "true")


def test_an_unknown_slice_comes_with_a_hint(slices: Slices) -> None:
    slices.add("night", "true")
    with pytest.raises(UnknownSliceError, match="did you mean 'night'"):
        slices.get("nigth")
    with pytest.raises(UnknownSliceError, match=r"night@1"):
        slices.get("night@7")


def test_what_does_not_bind_is_not_registered(slices: Slices) -> None:
    with pytest.raises(BindError):
        slices.add("bad", "lable = 'cat'")
    with pytest.raises(SliceError, match="groups, not samples"):
        slices.add("bad", "SELECT count(*) FROM samples")
    with pytest.raises(CheckError, match="accuracy"):
        slices.add("bad", "true", expect=["acuracy > 0.5"])
    assert len(slices) == 0


def test_slices_made_of_each_other_are_refused(slices: Slices) -> None:
    slices.add("a", "true")
    slices.add("b", "in_slice('a')")
    with pytest.raises(SliceError, match="a -> b -> a"):
        slices.add("a", "in_slice('b')", replace=True)


def test_a_dropped_slice_is_gone_but_its_versions_stay(slices: Slices) -> None:
    slices.add("cats", "label = 'cat'")
    slices.drop("cats")
    assert "cats" not in slices and slices.get("cats@1").count() == 4
    assert slices.add("cats", "label = 'dog'").version == 3


def test_a_slice_that_others_use_is_not_dropped(slices: Slices) -> None:
    slices.add("a", "true")
    slices.add("b", "in_slice('a') AND label = 'cat'")
    with pytest.raises(SliceError, match="used by b"):
        slices.drop("a")


# --- frozen ---------------------------------------------------------------------------------------


def test_a_frozen_slice_survives_ingests_relabelling_and_cleanup(
    database: tuple[Store, Slices],
) -> None:
    store, slices = database
    slices.add("cats", "label = 'cat'")
    frozen = slices.freeze("cats")
    at = frozen.tables["samples"]
    add_samples(store, ["cat/9.jpg", "dog/9.jpg"], ["cat", "dog"])
    add_samples(store, ["cat/0.jpg"], ["dog"])
    store.compact("samples")
    store.cleanup(timedelta(0))
    assert slices.get("cats").ids() == [f"cat/{i}.jpg" for i in range(4)]
    assert store.table("samples", ["id"], version=at).num_rows == 12
    assert slices.get("cats").query().count() == 4
    thawed = slices.thaw("cats")
    assert thawed.kind == "live" and thawed.count() == 4
    assert store.pins("samples") == {}


def test_show_reports_the_deleted_samples_of_a_frozen_slice(
    database: tuple[Store, Slices],
) -> None:
    store, slices = database
    slices.add("cats", "label = 'cat'")
    slices.freeze("cats")
    store.delete("samples", ["cat/1.jpg"])
    info = slices.show("cats")
    assert (info.count, info.deleted) == (3, ["cat/1.jpg"])
    assert "1 sample was deleted since: cat/1.jpg" in str(info)
    assert slices.get("cats").count() == 3


def test_diff_of_a_frozen_slice_says_why(database: tuple[Store, Slices]) -> None:
    store, slices = database
    slices.add("cats", "label = 'cat'")
    slices.freeze("cats")
    store.delete("samples", ["cat/1.jpg"])
    add_samples(store, ["cat/9.jpg", "cat/0.jpg", "dog/0.jpg"], ["cat", "dog", "cat"])
    found = slices.diff("cats")
    assert dict(found.added) == {"cat/9.jpg": "new image", "dog/0.jpg": "relabelled: dog -> cat"}
    assert dict(found.removed) == {"cat/1.jpg": "deleted", "cat/0.jpg": "relabelled: cat -> dog"}
    assert found.kept == 2 and "+2 -2, 2 kept" in str(found)


def test_diff_of_versions_and_of_two_slices(slices: Slices) -> None:
    slices.add("a", "label = 'cat'")
    with pytest.raises(SliceError, match="one version"):
        slices.diff("a")
    slices.add("a", "label <> 'bird'", replace=True)
    assert len(slices.diff("a").added) == 4
    slices.add("b", "label = 'bird'")
    assert [len(x) for x in (slices.diff("a", "b").added, slices.diff("a", "b").removed)] == [4, 8]


# --- files ----------------------------------------------------------------------------------------

HEAD = """/*
slice: cats
description: Cats, and only they.
holdout: 20%
decide: point
expect:
  - accuracy >= 60%
  - count >= 3
*/
label = 'cat';
"""


def test_a_file_with_a_head(tmp_path: Path) -> None:
    write(tmp_path / "q" / "night", any=HEAD)
    file = read_file(tmp_path / "q" / "night" / "any.sql", root=tmp_path / "q")
    assert (file.name, file.text, file.suite) == ("cats", "label = 'cat'", "night")
    assert (file.holdout, file.decide, file.first_line) == (0.2, "point", 10)
    assert [str(c) for c in file.expect] == ["accuracy >= 0.6", "count >= 3"]


def test_a_file_without_a_head_is_named_by_its_file(tmp_path: Path) -> None:
    write(tmp_path, cats="/* Copyright: somebody */\n-- cats\nlabel = 'cat'\n")
    file = read_file(tmp_path / "cats.sql")
    assert file.name == "cats" and file.text.endswith("label = 'cat'") and file.expect == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/*\nexpct:\n  - count >= 3\nslice: a\n*/\ntrue", "line 2: unknown key 'expct'.*'expect'"),
        (
            "/*\nslice: a\nexpect:\n  - count >= 3\n  - acuracy > 1%\n*/\ntrue",
            "line 5: .*'accuracy'",
        ),
        ("/*\nslice: a\nslice: b\n*/\ntrue", "line 3: 'slice' is there twice"),
        ("/*\nslice: [a\n*/\ntrue", "line 3: the head is not YAML"),
        ("/*\nslice: a b\n*/\ntrue", "line 2: 'a b' cannot be the name"),
        ("/*\nslice: a\nholdout: lots\n*/\ntrue", "line 3: holdout is 'lots'"),
        ("/*\nslice: a\ndecide: pint\n*/\ntrue", "line 3: decide is 'pint'.*'point'"),
        ("/*\nslice: a\n*/\n", "has no query"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, bad=text)
    with pytest.raises((SliceError, CheckError), match=message) as raised:
        read_file(tmp_path / "bad.sql")
    assert "bad.sql" in str(raised.value)


def test_apply_registers_and_says_what_changed(
    database: tuple[Store, Slices], tmp_path: Path
) -> None:
    slices = database[1]
    folder = write(tmp_path / "q", any=HEAD, dogs="label = 'dog'")
    dry = slices.apply(folder, dry_run=True)
    assert [(c.name, c.kind, c.added) for c in dry] == [("cats", "new", 4), ("dogs", "new", 4)]
    assert len(slices) == 0 and dry[0].slice.count() == 4
    slices.apply(folder)
    assert [c.kind for c in slices.apply(folder)] == ["unchanged", "unchanged"]
    write(folder, dogs="label <> 'cat'")
    change = slices.apply(folder)[1]
    assert (change.kind, change.added, change.removed, change.count) == ("changed", 4, 0, 8)
    assert slices.get("dogs").version == 2 and slices.get("cats").version == 1
    assert "+4 -0" in str(change)


def test_files_may_use_each_other_in_any_order(slices: Slices, tmp_path: Path) -> None:
    folder = write(tmp_path / "q", a="in_slice('b')", b="in_slice('c')", c="label = 'cat'")
    assert [c.count for c in slices.apply(folder)] == [4, 4, 4]
    write(folder, c="label <> 'cat'")
    changes = slices.apply(folder, dry_run=True)
    assert [(c.kind, c.added, c.removed) for c in changes] == [
        ("unchanged", 8, 4),
        ("unchanged", 8, 4),
        ("changed", 8, 4),
    ]


def test_files_in_a_ring_are_refused(slices: Slices, tmp_path: Path) -> None:
    folder = write(tmp_path / "q", a="in_slice('b')", b="in_slice('a')")
    with pytest.raises(SliceError, match="a -> b -> a"):
        slices.apply(folder)


def test_one_bad_file_leaves_nothing_half_written(slices: Slices, tmp_path: Path) -> None:
    folder = write(tmp_path / "q", a="true", b="/*\nslice: b\n*/\n\nlabel = 'x' AND\nlable = 'y'")
    with pytest.raises(BindError) as raised:
        slices.apply(folder)
    assert raised.value.line == 6 and "b.sql" in raised.value.message
    assert raised.value.marked.splitlines()[0].strip() == "lable = 'y'"
    assert len(slices) == 0


def test_one_name_in_two_files_is_refused(slices: Slices, tmp_path: Path) -> None:
    folder = write(tmp_path / "q", a="true")
    write(tmp_path / "q" / "sub", a="true")
    with pytest.raises(SliceError, match="in two files"):
        slices.apply(folder)


def test_folders_that_are_not_there_or_empty(slices: Slices, tmp_path: Path) -> None:
    with pytest.raises(SliceError, match="No folder or file"):
        slices.apply(tmp_path / "nothing")
    with pytest.raises(SliceError, match=r"no \.sql files"):
        slices.apply(tmp_path)


def test_apply_leaves_a_frozen_slice_frozen_while_its_file_is_the_same(
    slices: Slices, tmp_path: Path
) -> None:
    folder = write(tmp_path / "q", cats="label = 'cat'")
    slices.apply(folder)
    slices.freeze("cats")
    assert slices.apply(folder)[0].kind == "unchanged"
    assert slices.get("cats").kind == "frozen"


# --- holdout --------------------------------------------------------------------------------------


def test_the_holdout_is_a_stable_share() -> None:
    keys = keys_of([f"{i}.jpg" for i in range(20_000)])
    chosen = in_share(keys, 0.2)
    assert chosen.mean() == pytest.approx(0.2, abs=0.01)
    np.testing.assert_array_equal(in_share(keys[::2], 0.2), chosen[::2])
    assert (chosen <= in_share(keys, 0.3)).all()
    assert in_share(keys, 1.0).all() and not in_share(keys, 0.0).any()


def test_holdout_and_training_keys_part_the_slice(slices: Slices) -> None:
    s = slices.add("all", "true", holdout=0.5)
    both = np.concatenate([s.holdout_keys(), s.training_keys()])
    np.testing.assert_array_equal(np.sort(both), np.sort(s.keys()))


# --- expectations ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("accuracy >= 0.60", "accuracy >= 0.6"),
        ("acc>=85 %", "accuracy >= 0.85"),
        ("accuracy of Dessert > .5", "accuracy of Dessert > 0.5"),
        ("recall of 'Vegetable and fruit' ≥ 1", "recall of 'Vegetable and fruit' >= 1"),
        ("recall of Vegetable Fruit >= 1", "recall of 'Vegetable Fruit' >= 1"),
        ("f1 per class >= 0.5", "f1 per class >= 0.5"),
        ("log_loss <= 1.25", "log_loss <= 1.25"),
        ("top-5 >= 90%", "top_5 >= 0.9"),
        ("accuracy no worse than baseline by 0.02", "accuracy no worse than baseline by 0.02"),
        ("accuracy of cat no worse than v3 by 2%", "accuracy of cat no worse than v3 by 0.02"),
        ("accuracy  no  worse than food11/v3", "accuracy no worse than food11/v3"),
        ("count >= 30", "count >= 30"),
        ("share of test >= 5%", "share of test >= 0.05"),
    ],
)
def test_expectations_have_a_canonical_form(text: str, canonical: str) -> None:
    assert str(parse_check(text)) == canonical
    assert parse_check(canonical) == parse_check(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1: an expectation begins with a metric"),
        ("acuracy >= 0.5", "column 1: there is no metric 'acuracy'.*'accuracy'"),
        ("accuracy", "column 9: a comparison is expected"),
        ("accuracy >=", "column 12: a number is expected"),
        ("accuracy == 0.5", "column 10: '==' is no comparison"),
        ("accuracy >= 85", "between 0 and 1.*write 85% or 0.85"),
        ("accuracy >= 0.5 and", "column 17: the expectation goes on"),
        ("accuracy no worse than", "a model is missing"),
        ("accuracy no worse than baseline by -1", "negative"),
        ("count no worse than baseline", "does not depend on a model"),
        ("count of cat >= 3", "count counts the slice"),
        ("share >= 0.5", "share of test"),
        ("log_loss per class < 1", "not defined for one class"),
    ],
)
def test_an_expectation_that_does_not_parse_names_the_place(text: str, message: str) -> None:
    with pytest.raises(CheckError, match=message):
        parse_check(text)


_names = st.text("abXY_19 .-", min_size=1, max_size=9).map(str.strip).filter(bool)
_share = st.floats(0, 1).map(lambda x: round(x, 6))


@st.composite
def _checks(draw: st.DrawFn) -> Check:
    metric = draw(st.sampled_from([*metrics.names(), "top_3", "share"]))
    if metric == "count":
        return Check("count", draw(st.sampled_from([">=", "<"])), float(draw(st.integers(0, 9999))))
    if metric == "share":
        return Check("share", ">=", draw(_share), of=draw(_names))
    row = metrics.find(metric)
    able = row.per_class is not None or row.by_class
    of = draw(st.none() | _names) if able else None
    per_class = of is None and able and draw(st.booleans())
    if draw(st.booleans()):
        return Check(metric, of=of, per_class=per_class, baseline=draw(_names), margin=draw(_share))
    op = draw(st.sampled_from([">=", ">", "<=", "<"]))
    return Check(metric, op, draw(_share), of, per_class)


@settings(deadline=None)
@given(_checks())
def test_format_and_parse_are_inverse(check: Check) -> None:
    assert parse_check(str(check)) == check


def test_an_edit_keeps_what_it_does_not_name(slices: Slices) -> None:
    slices.add("cats", "label = 'cat'", expect=["count >= 1"], description="all", holdout=0.5)
    edited = slices.edit("cats", text="label = 'cat' AND split = 'test'", version=1)
    assert (edited.version, edited.expect, edited.holdout) == (2, ("count >= 1",), 0.5)
    assert slices.edit("cats", expect=[], description="some").text == edited.text
    assert slices.get("cats").expect == () and slices.get("cats").description == "some"


def test_an_edit_of_what_somebody_else_changed_is_refused(slices: Slices) -> None:
    slices.add("cats", "label = 'cat'")
    slices.edit("cats", text="label = 'dog'")
    with pytest.raises(ConflictError, match="at version 2, not at 1"):
        slices.edit("cats", text="true", version=1)
    slices.freeze("cats")
    with pytest.raises(SliceError, match="frozen"):
        slices.edit("cats", text="true")
    assert slices.get("cats").text == "label = 'dog'"


def test_what_was_dropped_or_changed_is_restored(slices: Slices) -> None:
    slices.add("cats", "label = 'cat'", expect=["count >= 1"])
    slices.edit("cats", text="true")
    assert slices.restore("cats@1").text == "label = 'cat'"
    slices.drop("cats")
    assert slices.restore("cats@3").expect == ("count >= 1",) and "cats" in slices


def test_a_frozen_slice_is_restored_with_its_members(database: tuple[Store, Slices]) -> None:
    store, slices = database
    slices.add("cats", "label = 'cat'")
    slices.freeze("cats")
    slices.drop("cats")
    add_samples(store, ["cat/77.jpg"], ["cat"])
    restored = slices.restore("cats@2")
    assert (restored.kind, restored.count()) == ("frozen", 4)
    assert slices.show("cats").state.kind == "stale"
    assert [why for _, why in slices.diff("cats").added] == ["new image"]
