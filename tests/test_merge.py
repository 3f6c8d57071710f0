"""Another database merged into ours: samples, predictions, vectors, models and slices."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from fakes_models import MeanColour, png

import slicedb
from slicedb.cli import verbs
from slicedb.database import Database
from slicedb.errors import (
    DatabaseError,
    FingerprintError,
    OptionError,
    SliceDBError,
    SliceError,
)

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def made(root: Path, pictures: dict[str, tuple[int, int, int]], name: str) -> Database:
    """Return a database of pictures `label/name.png` of one colour."""
    folder = root / f"{name}_pictures"
    for file, colour in pictures.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(png(colour))
    db = slicedb.open(root / name)
    db.ingest(folder, progress=False)
    return db


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("first")
    both = {"red/a.png": RED, "green/b.png": GREEN}
    made(root, {**both, "blue/c.png": BLUE}, "ours")
    made(root, {**both, "blue/d.png": (0, 0, 200)}, "other")
    return root


@pytest.fixture
def pair(first: Path, tmp_path: Path) -> tuple[Database, Database]:
    """Two databases with red/a and green/b in both; blue/c in ours, blue/d in the other alone."""
    for name in ("ours", "other"):
        shutil.copytree(first / name, tmp_path / name)
    return slicedb.open(tmp_path / "ours"), slicedb.open(tmp_path / "other")


def column(db: Database, name: str, order: str = "id") -> list[object]:
    values: list[object] = db.sql(f"SELECT {name} AS x FROM samples ORDER BY {order}")[
        "x"
    ].to_pylist()
    return values


def test_new_samples_come_with_their_pictures_and_known_ones_stay(
    pair: tuple[Database, Database],
) -> None:
    ours, other = pair
    report = ours.merge(other)
    assert (report.added, report.unchanged, report.differing) == (1, 2, 0)
    assert column(ours, "id") == ["blue/c.png", "blue/d.png", "green/b.png", "red/a.png"]
    assert column(ours, "label") == ["blue", "blue", "green", "red"]
    keys = ours.query("id = 'blue/d.png'").keys()
    assert [data for _, data in ours.store.read_images(keys)] == [png((0, 0, 200))]
    assert [c.message for c in ours.commits.history()] == [f"merge {other.path}"]
    again = ours.merge(other)
    assert (again.added, again.unchanged, again.commit) == (0, 3, "")
    assert len(ours.commits.history()) == 1 and other.commits.history() == []


def test_values_that_one_side_has_are_filled_in_and_tags_of_both_are_kept(
    pair: tuple[Database, Database],
) -> None:
    ours, other = pair
    ours.attach({"id": ["red/a.png"], "caption": ["a plate"], "depth": [1.5]}, partial=True)
    other.attach({"id": ["red/a.png", "blue/d.png"], "weather": ["fog", "sun"]}, partial=True)
    ours.tag("id = 'red/a.png'", "seen", "mine")
    other.tag("id = 'red/a.png'", "seen", "theirs")
    report = ours.merge(other)
    assert (report.added, report.filled, report.unchanged) == (1, 1, 1)
    assert report.columns == ("weather",)
    assert column(ours, "weather") == [None, "sun", None, "fog"]
    assert column(ours, "caption") == [None, None, None, "a plate"]
    assert column(ours, "depth") == [None, None, None, 1.5]
    assert column(ours, "tags")[-1] == ["seen", "mine", "theirs"]


def test_a_sample_with_another_label_is_refused_by_name_and_nothing_is_written(
    pair: tuple[Database, Database],
) -> None:
    ours, other = pair
    other.relabel("id = 'red/a.png'", "crimson")
    before = ours.store.versions()
    with pytest.raises(DatabaseError, match=r"1 sample differs .*'red/a.png'; in label \(1\)"):
        ours.merge(other)
    assert ours.store.versions() == before
    assert ours.merge(other, on_conflict="ours").differing == 1
    assert column(ours, "label") == ["blue", "blue", "green", "red"]
    said = str(ours.merge(other, on_conflict="theirs"))
    assert "1 difference between the two, now as in the other: 'red/a.png'" in said
    assert column(ours, "label") == ["blue", "blue", "green", "crimson"]


@pytest.mark.parametrize(
    ("side", "colour", "vector", "prediction"),
    [("ours", RED, [1.0, 0.0], "red"), ("theirs", GREEN, [0.0, 1.0], "green")],
)
def test_a_changed_picture_goes_with_its_vectors_and_predictions(
    tmp_path: Path,
    side: str,
    colour: tuple[int, int, int],
    vector: list[float],
    prediction: str,
) -> None:
    ours = made(tmp_path, {"x/a.png": RED, "x/b.png": BLUE}, "ours")
    other = made(tmp_path, {"x/a.png": GREEN, "x/b.png": BLUE}, "other")
    for db, row in ((ours, [1.0, 0.0]), (other, [0.0, 1.0])):
        db.models.add("mean", MeanColour())
        db.predict("mean", progress=False)
        ids = ["x/a.png"] if db is ours else ["x/a.png", "x/b.png"]
        db.log_embeddings("own", {"id": ids, "vector": [row, [0.6, 0.8]][: len(ids)]})
    with pytest.raises(DatabaseError, match=r"in picture \(1\)"):
        ours.merge(other)
    report = ours.merge(other, on_conflict=side)  # type: ignore[arg-type]
    keys = ours.query("id = 'x/a.png'").keys()
    assert [data for _, data in ours.store.read_images(keys)] == [png(colour)]
    rows = ours.sql("SELECT mean.prediction AS p FROM samples WHERE id = 'x/a.png'")
    assert rows["p"].to_pylist() == [prediction]
    vectors = ours.store.table("embeddings__own").sort_by("id")["vector"].to_pylist()
    assert np.allclose(vectors, [vector, [0.6, 0.8]])
    left = {"vectors or predictions of other pictures": 2} if side == "ours" else {}
    assert report.left_out == left
    assert [f.problem for f in ours.doctor()] == []


def test_predictions_of_one_model_are_merged_and_speak_of_the_labels_here(
    pair: tuple[Database, Database],
) -> None:
    ours, other = pair
    for db in pair:
        db.models.add("mean", MeanColour())
    ours.predict("mean", "label = 'red'", progress=False)
    other.predict("mean", progress=False)
    ours.relabel("id = 'green/b.png'", "red")
    report = ours.merge(other, on_conflict="ours")
    assert report.models == {"mean": 2}
    assert column(ours, "mean.prediction") == [None, "blue", "green", "red"]
    assert column(ours, "mean.correct") == [None, True, False, True]
    assert ours.predict("mean", progress=False).predicted == 1


def test_another_model_of_a_name_is_refused_and_renamed(pair: tuple[Database, Database]) -> None:
    ours, other = pair
    ours.models.add("mean", MeanColour())
    other.models.add("mean", MeanColour(3.0))
    for db in pair:
        db.predict("mean", progress=False)
    other.slices.add("sure", "mean.confidence > 0.5", expect=["accuracy no worse than mean"])
    with pytest.raises(DatabaseError, match="The model 'mean' has other weights"):
        ours.merge(other)
    report = ours.merge(other, rename={"mean": "mean2"})
    assert report.models == {"mean2": 3} and report.slices == ("sure",)
    assert column(ours, "mean2.correct") == [None, True, True, True]
    assert ours.slices.get("sure").text == "mean2.confidence > 0.5"
    assert ours.slices.get("sure").expect == ("accuracy no worse than mean2",)
    assert [m.name for m in ours.models.list()] == ["mean", "mean2"]


def test_logged_predictions_are_merged_where_they_agree(pair: tuple[Database, Database]) -> None:
    ours, other = pair
    classes = ("red", "green", "blue")
    rows = {"id": ["red/a.png"], "prediction": ["red"], "camera": ["north"]}
    ours.log_predictions("v1", pa.table(rows), classes=classes)
    rows = {"id": ["red/a.png", "blue/d.png"], "prediction": ["red", "blue"]}
    other.log_predictions("v1", pa.table(rows), classes=classes)
    assert ours.merge(other).models == {"v1": 1}
    assert column(ours, "v1.prediction") == [None, "blue", None, "red"]
    assert column(ours, "v1.camera") == [None, None, None, "north"]
    rows = {"id": ["red/a.png"], "prediction": ["green"]}
    other.log_predictions("v1", pa.table(rows), classes=classes)
    with pytest.raises(DatabaseError, match=r"other values in the predictions of v1.*'red/a.png'"):
        ours.merge(other)
    ours.merge(other, on_conflict="theirs")
    assert column(ours, "v1.prediction") == [None, "blue", None, "green"]
    other.log_predictions("v1", pa.table(rows), classes=("green", "red"), replace=True)
    with pytest.raises(DatabaseError, match="another model's in the other database: classes"):
        ours.merge(other)


def test_vectors_of_another_kind_are_refused_and_renamed(pair: tuple[Database, Database]) -> None:
    ours, other = pair
    ours.embed(progress=False)
    other.embed(on="label = 'blue'", progress=False)
    assert ours.merge(other).embeddings == {"default": 1}
    assert ours.query("similarity(sample('blue/d.png')) > 0.999").ids() == ["blue/d.png"]
    ours.log_embeddings("own", {"id": ["red/a.png"], "vector": [[1.0, 0.0]]})
    other.log_embeddings("own", {"id": ["red/a.png"], "vector": [[1.0, 0.0, 0.0]]})
    with pytest.raises(FingerprintError, match=r"'own' is of another kind .*: width differ"):
        ours.merge(other)
    assert ours.merge(other, rename=["own=own3"]).embeddings == {"own3": 1}


def test_slices_come_with_their_versions_and_frozen_members(
    pair: tuple[Database, Database],
) -> None:
    ours, other = pair
    ours.slices.add("blues", "label = 'blue'")
    other.slices.add("blues", "label = 'blue'")
    other.slices.add("warm", "label = 'red'", expect=["count >= 1"])
    other.slices.add("kept", "label <> 'red'")
    other.slices.freeze("kept")
    other.slices.add("warm", "label <> 'blue' AND in_slice('kept')", replace=True)
    report = ours.merge(other, prefix="there", rename=["kept=held"])
    assert report.slices == ("warm", "held")
    assert [s.version for s in ours.slices.history("warm")] == [1, 2]
    assert ours.slices.get("held").ids() == ["there/blue/d.png", "there/green/b.png"]
    assert ours.slices.get("warm").text == "label <> 'blue' AND in_slice('held')"
    assert ours.slices.get("warm").ids() == ["there/green/b.png"]
    assert ours.slices.get("blues").count() == 2
    assert [f.problem for f in ours.doctor()] == []
    other.slices.add("blues", "label = 'blue' LIMIT 1", replace=True)
    with pytest.raises(SliceError, match="The slice 'blues' is, or was, another one here"):
        ours.merge(other, prefix="again")


def test_with_a_prefix_all_samples_are_kept_apart(pair: tuple[Database, Database]) -> None:
    ours, other = pair
    other.models.add("mean", MeanColour())
    other.predict("mean", progress=False)
    other.relabel("id = 'red/a.png'", "crimson")
    report = ours.merge(other, prefix="there/")
    assert (report.added, report.differing) == (3, 0)
    assert column(ours, "id")[3:] == [f"there/{n}.png" for n in ("blue/d", "green/b", "red/a")]
    assert column(ours, "mean.prediction")[2:] == [None, "blue", "green", "red"]
    assert ours.query("id = 'there/red/a.png'").count() == 1


def test_what_stays_in_the_other_is_counted(pair: tuple[Database, Database]) -> None:
    ours, other = pair
    other.models.add("mean", MeanColour())
    other.commit("one")
    other.commit("two")
    other.evaluate("mean")
    report = ours.merge(other)
    assert report.left_out == {"commits": 2, "recorded runs": 1}
    assert "Left in the other: 2 commits, 1 recorded run." in str(report)


def test_computed_columns_are_computed_here(pair: tuple[Database, Database]) -> None:
    ours, other = pair
    other.columns.add("wide", "width > 5")
    ours.merge(other)
    assert column(ours, "wide") == [True] * 4
    assert [c.expression for c in ours.columns.list()] == ["width > 5"]
    other.columns.add("wide", "width > 50", replace=True)
    with pytest.raises(DatabaseError, match="'wide' is width > 5 here and width > 50"):
        ours.merge(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda db: db.attach({"id": ["red/a.png"], "score": ["x"]}, partial=True), "'score' of"),
        (lambda db: db.attach({"id": ["red/a.png"], "Score": [1.0]}, partial=True), "by case only"),
        (lambda db: db.attach({"id": ["red/a.png"], "v1": [1.0]}, partial=True), "a model's name"),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    pair: tuple[Database, Database], change: object, message: str
) -> None:
    ours, other = pair
    ours.attach({"id": ["red/a.png"], "score": [0.5]}, partial=True)
    ours.log_predictions("v1", pa.table({"id": ["red/a.png"], "prediction": ["red"]}))
    change(other)  # type: ignore[operator]
    before = ours.store.versions()
    with pytest.raises(DatabaseError, match=message):
        ours.merge(other)
    assert ours.store.versions() == before


def test_whole_numbers_become_fractions_where_the_column_has_them(
    pair: tuple[Database, Database],
) -> None:
    ours, other = pair
    ours.attach({"id": ["blue/c.png"], "score": [0.5]}, partial=True)
    other.attach({"id": ["red/a.png"], "score": [2]}, partial=True)
    ours.merge(other)
    assert column(ours, "score") == [0.5, None, None, 2.0]


def test_what_cannot_be_merged_is_refused(pair: tuple[Database, Database]) -> None:
    ours, other = pair
    with pytest.raises(DatabaseError, match="cannot be merged into itself"):
        ours.merge(ours.path)
    with pytest.raises(DatabaseError, match="no model, embedding or slice 'v3' to rename"):
        ours.merge(other, rename={"v3": "v4"})
    with pytest.raises(OptionError, match="'v3' is no OLD=NEW"):
        ours.merge(other, rename=["v3"])
    with pytest.raises(SliceDBError, match="No database"):
        ours.merge("nowhere.slicedb")
    other.commit("now")
    with pytest.raises(DatabaseError, match="cannot be changed"):
        other.at("HEAD").merge(ours)


def test_the_command_merges_and_says_what_it_did(pair: tuple[Database, Database]) -> None:
    ours, other = pair
    other.relabel("id = 'red/a.png'", "crimson")
    run = CliRunner().invoke
    refused = run(verbs, ["--db", ours.path, "merge", other.path])
    assert isinstance(refused.exception, DatabaseError)
    chosen = ["--on-conflict", "theirs", "--message", "week 2"]
    done = run(verbs, ["--db", ours.path, "merge", other.path, *chosen])
    assert done.exit_code == 0
    assert "3 samples, 1 added, 0 completed, 1 unchanged" in done.output
    assert slicedb.open(ours.path).commits.history()[0].message == "week 2"


def test_answers_of_a_calibrated_slice_come_along_beside_ours(
    pair: tuple[Database, Database],
) -> None:
    ours, other = pair
    for db, name in ((ours, "mine"), (other, "yours")):
        db.embed(progress=False)
        db.slices.add(name, "matches('a red plate')")
        db.slices.calibrate(name, truth="label = 'red'", budget=3)
    assert ours.merge(other).slices == ("yours",)
    assert (ours.slices.labelled("mine"), ours.slices.labelled("yours")) == (3, 3)
    assert ours.slices.get("yours").calibration is not None
    assert [f.problem for f in ours.doctor()] == []  # a sample has an answer for each slice


def test_columns_that_a_model_wrote_go_on_here(pair: tuple[Database, Database]) -> None:
    ours, other = pair
    for db in pair:
        db.models.add("mean", MeanColour())
    other.tag_with("mean", "hue", progress=False)
    ours.merge(other, rename={})
    assert column(ours, "hue") == [None, "blue", "green", "red"]
    assert ours.tag_with("hue", progress=False) is not None
    assert column(ours, "hue") == ["blue", "blue", "green", "red"]
    ours.attach({"id": ["red/a.png"], "tone": ["dark"]}, partial=True)
    other.tag_with("mean", "tone", on="label = 'blue'", progress=False)
    report = ours.merge(other)
    assert report.left_out == {"values written by other models": 1}
    assert column(ours, "tone") == [None, "blue", None, "dark"]
