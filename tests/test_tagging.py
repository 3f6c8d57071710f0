"""Models, phrases and callables write columns of samples; what people correct stays theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes_detector import WORLD, detector, picture
from fakes_models import COLOURS, MeanColour, png

import slicedb
from slicedb import Database
from slicedb.cli import main
from slicedb.errors import CheckError, ModelError, UnknownEmbeddingError

PHOTOS = Path(slicedb.__file__).parents[2] / "shared" / "data" / "photos"


@pytest.fixture
def db(tmp_path: Path) -> Database:
    """Three pictures of one colour each, embedded with the bundled CLIP when that is asked for."""
    for name, colour in COLOURS.items():
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / f"{name}.png").write_bytes(png(colour))
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(tmp_path / "photos", progress=False)
    return db


def values(db: Database, name: str) -> dict[str, Any]:
    table = db.sql(f"SELECT id, {name} AS v FROM samples ORDER BY id")
    return dict(
        zip([i.removesuffix(".png") for i in table["id"].to_pylist()], table["v"].to_pylist())
    )


def colours(images: list[Any]) -> list[str]:
    """Say which channel of a picture is bright."""
    seen.extend(images)
    names = ["red", "green", "blue", "black"]
    return [f"a {names[[*image.getpixel((0, 0)), 255].index(255)]} wall" for image in images]


seen: list[Any] = []
"""Pictures that `colours` was given: it changes with every call, and says nothing of the code."""


def photos_seen() -> int:
    return sum(image.size == (12, 10) for image in seen)


def run(db: Database, capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit):
        main([*args, "--db", db.path])
    out = capsys.readouterr()
    return out.out + out.err


def test_a_detector_counts_and_new_pictures_alone_go_through_it(tmp_path: Path) -> None:
    for name, (drawn, _, size) in WORLD.items():
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / f"{name}.png").write_bytes(picture(drawn, size))
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(tmp_path / "photos", progress=False)
    model = detector()
    db.models.add("blobs", model)
    first = db.tag_with("blobs", "num_red", count="red")
    assert (first.computed, first.changed) == (7, 7)
    assert {n: v for n, v in values(db, "num_red").items() if v} == {
        "both": 1,
        "missed": 1,
        "unknown": 1,
    }
    assert db.sql("SELECT typeof(num_red) FROM samples LIMIT 1")[0].to_pylist() == ["BIGINT"]
    again = db.tag_with("blobs", "num_red", count="red")
    assert (again.computed, again.changed, again.unchanged) == (0, 0, 7)
    (tmp_path / "photos" / "new.png").write_bytes(
        picture([("red", 1, 1, 5, 5), ("red", 20, 9, 5, 5)])
    )
    report = db.sync(tmp_path / "photos", then="tag:num_red", progress=False)
    assert values(db, "num_red")["new"] == 2
    assert "tag: num_red: 1 written, 7 unchanged" in report.steps[0]
    assert db.tag_with("blobs", "sure_red", count="red", cut=1.0).changed == 8
    with pytest.raises(CheckError, match=r"no class 'rad'.*'red'"):
        db.tag_with("blobs", count="rad")
    with pytest.raises(CheckError, match=r"does detection: .* is not said.*--count LABEL"):
        db.tag_with("blobs")
    with pytest.raises(CheckError, match="has no share of a class"):
        db.tag_with("blobs", share="red")


def test_a_classifier_writes_label_and_score(db: Database) -> None:
    db.models.add("v1", MeanColour())
    report = db.tag_with("v1", "hue")
    assert report.columns == ("hue", "hue_score") and report.values == {
        "blue": 1,
        "green": 1,
        "red": 1,
    }
    assert values(db, "hue") == {"red": "red", "green": "green", "blue": "blue"}
    assert values(db, "round(hue_score, 4)")["red"] == 0.9999
    assert db.tag_with("v1", "doubtful", cut=0.99999).values == {"unsure": 3}
    info = db.info()
    assert info["written"] == [
        "doubtful, doubtful_score by model v1, 3 samples",
        "hue, hue_score by model v1, 3 samples",
    ]
    assert "written by a model: hue, hue_score by model v1" in str(info)


def test_another_model_or_cut_computes_all_values_again(db: Database) -> None:
    db.models.add("v1", MeanColour())
    db.tag_with("v1", "hue")
    db.models.add("v1", MeanColour(5.0), replace=True)
    report = db.tag_with("hue")
    assert report.computed == 3 and report.changed == 3  # the scores are others
    assert db.tag_with("v1", "hue", cut=1.0).values == {"unsure": 3}


def test_a_value_that_a_person_corrected_is_kept_and_counted(db: Database) -> None:
    db.models.add("v1", MeanColour())
    db.tag_with("v1", "hue")
    db.attach({"id": ["red.png", "blue.png"], "hue": ["crimson", None]}, partial=True)
    report = db.tag_with("hue")
    assert (report.by_hand, report.by_hand_ids, report.changed) == (2, ("blue.png", "red.png"), 0)
    assert "2 values given or corrected by a person kept: blue.png, red.png" in str(report)
    assert values(db, "hue") == {"red": "crimson", "green": "green", "blue": None}
    db.attach(
        {"id": ["green.png"], "hue": ["green"]}, partial=True
    )  # the same: nobody corrected it
    db.models.add("v1", MeanColour(20.0), replace=True)
    again = db.tag_with("hue")
    assert (again.by_hand, again.changed) == (2, 1)  # the score of the third is another
    report = db.tag_with("hue", overwrite=True)
    assert (report.by_hand, report.changed) == (2, 2)
    assert "2 values given or corrected by a person overwritten" in str(report)
    assert values(db, "hue") == {"red": "red", "green": "green", "blue": "blue"}
    assert db.tag_with("hue").by_hand == 0


def test_phrases_are_chosen_by_clip_with_score_and_margin(
    db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = run(db, capsys, "tag-with", "wall=a red wall,a green wall,a blue wall")
    assert "wall (and wall_score, wall_margin): 3 written" in shown
    rows = db.sql("SELECT wall_score s, wall_margin m, wall w FROM samples").to_pylist()
    encoder = db.encoder()
    for row in rows:
        assert 1 / 3 < row["s"] <= 1 and 0 <= row["m"] <= row["s"]
        assert (row["w"] == "unsure") == (row["s"] < 0.5)
    likeliest = db.tag_with({"wall": ["a red wall", "a green wall", "a blue wall"]}, cut=0.0)
    vectors = {t: encoder.encode_prompt(t) for t in ("a red wall", "a green wall", "a blue wall")}
    stored = db.store.table("embeddings__default", ["id", "vector"]).to_pylist()
    best = {
        row["id"].removesuffix(".png"): max(
            vectors, key=lambda t: float(vectors[t] @ row["vector"])
        )
        for row in stored
    }
    assert values(db, "wall") == best and sum(likeliest.values.values()) == 3
    assert db.query("wall LIKE 'a % wall' AND wall_score > 0").count() == 3
    assert "Hint" in run(db, capsys, "tag-with", "wall=one")
    for wrong in ("w=a,a", "w=a,unsure", "w="):
        with pytest.raises(CheckError):
            db.tag_with(wrong)
    with pytest.raises(UnknownEmbeddingError):
        db.tag_with("w=a,b", using="nope")
    db.columns.drop("wall")
    assert not {"wall", "wall_score", "wall_margin"} & set(db.query().columns)


def test_a_callable_writes_captions_that_are_searched_at_once(db: Database) -> None:
    seen.clear()
    report = db.tag_with(colours)
    assert (report.column, report.changed, photos_seen()) == ("caption", 3, 3)
    assert db.query("search('green')").ids() == ["green.png"]
    assert db.tag_with(colours).computed == 0 and photos_seen() == 3
    db.tag_with(colours, "note")
    assert db.query("search('blue wall') AND note = 'a blue wall'").ids() == ["blue.png"]
    assert values(db, "note") == {c: f"a {c} wall" for c in COLOURS}
    (Path(db.path).parent / "photos" / "more.png").write_bytes(png((255, 0, 0)))
    db.ingest(Path(db.path).parent / "photos", progress=False)
    assert (db.tag_with(colours).computed, photos_seen()) == (1, 7)
    with pytest.raises(ModelError, match="object of a Python process"):
        db.tag_with("note")


def test_a_function_of_a_file_is_run_again_by_the_name_of_its_column(
    db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sizes.py"
    file.write_text("def width(images):\n    return [image.width for image in images]\n")
    assert "wide: 3 written" in run(db, capsys, "tag-with", f"{file}:width", "--as", "wide")
    assert values(db, "wide") == dict.fromkeys(COLOURS, 12)
    file.write_text("def width(images):\n    return [2 * image.width for image in images]\n")
    assert db.tag_with("wide").changed == 3
    assert values(db, "wide")["red"] == 24


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda images: "one text", r"returned str for a list of 3 pictures"),
        (lambda images: ["x"], r"returned 1 value for 3 pictures"),
        (lambda images: [1, "a", True], r"several types: bool, int64, string"),
        (lambda images: [{"x": 1}] * 3, r"gave a dict"),
        (lambda images: 1 / 0, r"failed on 3 pictures: ZeroDivisionError"),
    ],
)
def test_a_callable_that_gives_no_value_per_picture_is_refused(
    db: Database, function: Any, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        db.tag_with(function, "x")
    assert "x" not in db.query().columns


def test_values_of_every_plain_kind_and_none_are_kept(db: Database) -> None:
    db.tag_with(lambda images: [[{"generated_text": "NA"}] for _ in images], "words")
    db.tag_with(lambda images: [None if i else 0.5 for i, _ in enumerate(images)], "half")
    db.tag_with(lambda images: [True for _ in images], "yes")
    assert values(db, "words") == dict.fromkeys(COLOURS, "NA")
    assert sorted(values(db, "half").values(), key=str) == [0.5, None, None]
    assert values(db, "yes") == dict.fromkeys(COLOURS, True)


@pytest.mark.parametrize(
    ("what", "options", "message"),
    [
        ("nothing", {}, "'nothing' is no model, no column"),
        ("v1", {"name": "label"}, "SliceDB's own"),
        ("v1", {"name": "select"}, "cannot be the name"),
        ("v1", {"name": "v1"}, "There is a model 'v1'"),
        ("v1", {"name": "doubled"}, "computed column"),
        ("v1", {"name": "hue_score"}, "belongs to the column 'hue'"),
        ("v1", {"count": "red"}, "has no count of a class"),
        ("hue", {"cut": 0.5}, "written as before"),
        ("a=b,c", {"count": "red"}, "says nothing of phrases"),
        ("a=b,c", {"cut": 3}, "The cut is 3"),
        ("v1", {"name": "words"}, "is int64, and the model gives string"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(
    db: Database, what: str, options: dict[str, Any], message: str
) -> None:
    db.models.add("v1", MeanColour())
    db.tag_with("v1", "hue")
    db.columns.add("doubled", "2 * width")
    db.attach({"id": [f"{c}.png" for c in COLOURS], "words": [1, 2, 3]})
    before = db.sql("SELECT * FROM samples ORDER BY id")
    with pytest.raises(CheckError, match=message):
        db.tag_with(what, **options)
    assert db.sql("SELECT * FROM samples ORDER BY id").equals(before)


def test_a_column_that_a_user_brought_is_filled_where_it_is_empty(db: Database) -> None:
    db.models.add("v1", MeanColour())
    db.attach({"id": ["red.png"], "hue": ["rose"]}, partial=True)
    report = db.tag_with("v1", "hue")
    assert (report.changed, report.by_hand) == (2, 1)
    assert values(db, "hue") == {"red": "rose", "green": "green", "blue": "blue"}


def test_a_commit_brings_back_what_was_written(db: Database) -> None:
    db.models.add("v1", MeanColour())
    db.tag_with("v1", "hue")
    db.commit("tagged", tag="tagged")
    db.columns.drop("hue")
    db.commits.reset("tagged")
    assert values(db, "hue")["red"] == "red"
    assert db.tag_with("hue").unchanged == 3


def test_a_sync_tags_what_it_can_and_names_what_only_another_process_can(db: Database) -> None:
    db.models.add("v1", MeanColour())
    db.tag_with("v1", "hue")
    db.tag_with(lambda images: [image.width for image in images], "wide")
    (Path(db.path).parent / "photos" / "more.png").write_bytes(png((255, 0, 0)))
    report = db.sync(Path(db.path).parent / "photos", then="tag", progress=False)
    assert "hue (and hue_score): 1 written" in report.steps[0]
    assert "wide is left as it is" in report.steps[0]
    assert values(db, "hue")["more"] == "red" and values(db, "wide")["more"] is None


@pytest.mark.realdata
@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the real photos are not beside this checkout")
def test_real_photos_are_tagged_in_two_commands(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(PHOTOS, progress=False)
    report = db.tag_with("kind=a photo of an airplane,a photo of a dog,a photo of a car", cut=0.0)
    assert sum(report.values.values()) == report.changed == db.query().count()
