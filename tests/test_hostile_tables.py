"""Files and tables that are nearly right: each is read, or refused with an error of ours."""

from __future__ import annotations

import contextlib
import decimal
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from fakes_fuzz import SEEDS, faults
from fakes_judge import CLASSES, small_store
from fakes_models import MeanColour

import slicedb
from slicedb.database import Database
from slicedb.errors import IngestError, OptionError, PredictionError, SliceDBError

IDS = ["cat/0.jpg", "cat/1.jpg"]
HUGE = pa.array([decimal.Decimal(10) ** 60] * 2, pa.decimal256(70, 0))
NAN = float("nan")


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return slicedb.open(small_store(tmp_path)[0].path)


def box(**parts: object) -> list[object]:
    return [[{"label": "cat", "bbox": [1.0, 2.0, 3.0, 4.0], "score": 0.5, **parts}], []]


def named(*names: str) -> pa.Table:
    columns = [IDS, *([["cat", "dog"]] * (len(names) - 1))]
    return pa.Table.from_arrays([pa.array(c) for c in columns], names=list(names))


REFUSED: dict[str, tuple[object, str]] = {
    "numbers for probabilities": ({"probabilities": [0.1, 0.2]}, "is double"),
    "structs for probabilities": ({"probabilities": [{"a": 1.0}, {"a": 2.0}]}, "struct<a: double>"),
    "maps for probabilities": (
        {"probabilities": pa.array([[("a", 1.0)]] * 2, pa.map_(pa.string(), pa.float64()))},
        "map<string, double>",
    ),
    "texts in probabilities": ({"probabilities": [["a", "b", "c"]] * 2}, "list<item: string>"),
    "deep brackets": ({"probabilities": ["[" * 5000] * 2}, "no list of numbers"),
    "NaN": ({"probabilities": [[NAN] * 3] * 2}, "is nan"),
    "structs for predictions": ({"prediction": [{"a": 1}] * 2}, "no class"),
    "bytes for predictions": ({"prediction": [b"cat", b"\xff"]}, "no class"),
    "decimal256 for predictions": ({"prediction": HUGE}, "no class"),
    "decimal256 for confidence": ({"prediction": ["cat"] * 2, "confidence": HUGE}, "is inf"),
    "numbers for objects": ({"objects": [1, 2]}, "they are int64"),
    "texts for objects": ({"objects": ["a", "b"]}, "they are string"),
    "formulas in a box": ({"objects": box(bbox=["=1+1", "1e400", "x", "y"])}, "cannot be read"),
    "an infinite box": ({"objects": box(bbox=[1e400, 1, 1, 1])}, "not four finite numbers"),
    "two numbers for a box": ({"objects": box(bbox=[1.0, 2.0])}, "not four finite numbers"),
    "a text for a box": (
        {"label": ["cat"] * 2, "score": [0.1] * 2, "bbox": ["=1+1"] * 2},
        "no box",
    ),
    "two columns prediction": (named("id", "prediction", "prediction"), "2 columns 'prediction'"),
    "two columns id": (named("id", "id", "prediction"), "2 columns 'id'"),
    "Correct": ({"prediction": ["cat"] * 2, "Correct": [True] * 2}, "by its case only"),
    "PREDICTION": (named("id", "prediction", "PREDICTION"), "by its case only"),
    "a name of 100,000 letters": (named("id", "prediction", "x" * 100_000), "100,000 characters"),
    "an empty name": (named("id", "prediction", ""), "0 characters"),
    "objects": ({"prediction": [object(), object()]}, "cannot be read"),
    "nothing": ({"prediction": None}, "cannot be read"),
    "numbers for ids": (pa.table({"id": [1, 2], "prediction": ["cat"] * 2}), "ids are text"),
    "structs for ids": (
        pa.table({"id": [{"a": 1}] * 2, "prediction": ["cat"] * 2}),
        "ids are text",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_predictions_that_do_not_fit_are_refused_and_nothing_is_written(
    kind: str, db: Database
) -> None:
    data, words = REFUSED[kind]
    given = {"id": IDS, **data} if isinstance(data, dict) else data
    with pytest.raises(SliceDBError, match=words) as error:
        db.log_predictions("m", given, classes=CLASSES)
    assert "report it" not in str(error.value)
    assert not db.store.has("predictions__m")


UNFIT = {
    "decimal256": HUGE,
    "decimal256 in a list": pa.array([[1], []], pa.list_(pa.decimal256(70, 0))),
    "an interval": pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
    "a structure without fields": pa.array([{}, {}], pa.struct([])),
    "fields that differ by case": pa.array([{"x": 1, "X": 2}] * 2),
    "a list of width 0": pa.array([[], []], pa.list_(pa.int64(), 0)),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_column_that_no_query_could_read_stops_nothing(kind: str, db: Database) -> None:
    table = pa.table({"id": IDS, "prediction": ["cat", "dog"], "own": UNFIT[kind]})
    with pytest.raises(SliceDBError, match="Column 'own' of the table"):
        db.log_predictions("m", table, classes=CLASSES)
    with contextlib.suppress(SliceDBError):  # some become text, as the report says
        db.attach(table.select(["id", "own"]), partial=True)
    assert db.query("label = 'cat'").count() == 4


def test_an_unreadable_column_of_another_program_leaves_the_others_readable(db: Database) -> None:
    import lance

    db.log_predictions("m", {"id": IDS, "prediction": ["cat", "dog"]}, classes=CLASSES)
    held = lance.dataset(f"{db.path}/predictions__m.lance")
    held.add_columns(pa.schema([pa.field("far", pa.decimal256(70, 0))]))
    assert db.query("m.prediction = 'dog'").ids() == ["cat/1.jpg"]


def test_own_columns_of_odd_types_are_kept_and_asked(db: Database) -> None:
    own = {"none": pa.nulls(2), "often": pa.array(["a", "b"]).dictionary_encode()}
    table = pa.table({"id": IDS, "prediction": ["cat", "dog"], **own})
    db.log_predictions("m", table, classes=CLASSES)
    assert db.query("m.often = 'b'").ids() == ["cat/1.jpg"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("deep.json", "[" * 100_000, "cannot be read"),
        ("null.json", "null", "holds a NoneType"),
        ("long.json", "1" * 5000, "cannot be read"),
        (
            "odd.json",
            '[{"image_id": {}, "category_id": [1], "bbox": [1, 2, 3, 4]}]',
            "numbers or texts",
        ),
        ("two.csv", "id,prediction,prediction\ncat/0.jpg,cat,dog\n", "2 columns 'prediction'"),
        ("name.csv", "id,predicti\udcffon\ncat/0.jpg,cat\n", "is damaged"),
        ("array.npy", "\x93NUMPY", "neither CSV nor Parquet"),
        ("pickled.npz", "PK\x03\x04", "neither CSV nor Parquet"),
    ],
)
def test_files_of_predictions_that_are_broken_are_refused(
    name: str, text: str, words: str, db: Database, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SliceDBError, match=words):
        db.log_predictions("m", file, classes=CLASSES)


def test_a_table_of_boxes_without_rows_is_refused_unless_pictures_were_looked_at(
    db: Database, tmp_path: Path
) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text("id,label,score,x,y,w,h\n")
    with pytest.raises(PredictionError, match="There are no rows in"):
        db.log_predictions("m", file, classes=CLASSES)
    assert db.log_predictions("m", file, classes=CLASSES, looked_at="label = 'cat'").logged == 4


def test_a_table_of_pictures_with_one_name_twice_is_refused(db: Database, tmp_path: Path) -> None:
    file = tmp_path / "pictures.csv"
    file.write_text("id,id,file,label\na,a,a.png,cat\n")
    with pytest.raises(IngestError, match="has two columns 'id'"):
        db.ingest(file)


@pytest.mark.parametrize("on", [["cat/0.jpg"], {"cat/0.jpg": 1}, 3, b"label"])
def test_what_names_no_samples_is_refused(on: object, db: Database) -> None:
    with pytest.raises(OptionError, match="names no samples"):
        db.relabel(on, "dog")  # type: ignore[arg-type]


def test_a_name_that_differs_by_case_only_is_refused(db: Database) -> None:
    given = {"id": IDS, "prediction": ["cat", "dog"]}
    db.log_predictions("q", given, classes=CLASSES)
    db.log_embeddings("own", {"id": IDS, "vector": [[1.0, 2.0]] * 2})
    words = "differs from '(q|own)', which is there, by case only"
    for act in (
        lambda: db.log_predictions("Q", given, classes=CLASSES),
        lambda: db.log_embeddings("OWN", {"id": IDS, "vector": [[1.0, 2.0]] * 2}),
        lambda: db.embed(name="Own", progress=False),
        lambda: db.models.rename("q", "Q"),
        lambda: db.models.add("Q", MeanColour()),
    ):
        with pytest.raises(SliceDBError, match=words):
            act()
    assert db.query("q.prediction = 'cat'").ids() == ["cat/0.jpg"]
    db.models.drop("q")
    db.log_predictions("Q", given, classes=CLASSES)
    assert [m.name for m in db.models.list()] == ["Q"]


@pytest.mark.parametrize(
    "add",
    [
        lambda db, name: db.log_predictions(name, {"id": IDS, "prediction": ["cat"] * 2}),
        lambda db, name: db.log_embeddings(name, {"id": IDS, "vector": [[1.0, 2.0]] * 2}),
        lambda db, name: db.slices.add(name, "true"),
        lambda db, name: db.commit("m", tag=name),
        lambda db, name: db.commit("m") and db.commits.branch(name),
    ],
    ids=["model", "embedding", "slice", "tag", "branch"],
)
@pytest.mark.parametrize("name", ["x" * 100_000, "a\x00b", "a\nb", "", "\x1b[31m", "a\u202eb"])
def test_names_that_cannot_be_are_refused(
    add: Callable[[Database, str], object], name: str, db: Database
) -> None:
    with pytest.raises(SliceDBError):
        add(db, name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", SEEDS)
def test_mutated_files_raise_only_our_errors(kind: str, db: Database, tmp_path: Path) -> None:
    assert list(faults(db, tmp_path / "files", kind, 15, seed=1)) == []
