"""Labels of tables: what is missing, whole numbers with decimals, several in one row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import slicedb
from slicedb.cli import main
from slicedb.database import Database
from slicedb.errors import IngestError
from slicedb.ingest.labels import MISSING


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return slicedb.open(tmp_path / "data.slicedb")


def table(root: Path, columns: dict[str, list[Any]], form: str = "csv") -> Path:
    """Write a table whose first column names pictures, one a row."""
    n = len(next(iter(columns.values())))
    for i in range(n):
        Image.new("RGB", (8, 8), (i, 99, 7)).save(root / f"{i}.png")
    named = {"path": [f"{i}.png" for i in range(n)], **columns}
    file = root / f"t.{form}"
    if form == "parquet":
        pq.write_table(pa.table(named), file)
    else:
        quoted = [
            [f'"{v}"' if isinstance(v, str) else str(v) for v in row]
            for row in zip(*named.values())
        ]
        file.write_text("\n".join(",".join(row) for row in [list(named), *quoted]) + "\n")
    return file


def column(db: Database, name: str) -> list[Any]:
    rows = db.store.table("samples", ["id", name]).to_pylist()
    return [row[name] for row in sorted(rows, key=lambda row: int(row["id"].split(".")[0]))]


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("word", MISSING)
def test_a_label_that_means_none_is_missing(tmp_path: Path, form: str, word: str) -> None:
    source = slicedb.ingest.open_source(
        table(tmp_path, {"label": ["cat", word, "dog"]}, form), slicedb.ingest.Options()
    )
    assert [v for batch in source.batches for v in batch["label"].to_pylist()] == [
        "cat",
        None,
        "dog",
    ]
    said = [note for note in source.notes if "label IS NULL" in note]
    assert len(said) == (0 if (form, word) == ("csv", "") else 1)


def test_the_note_says_which_words_and_how_many(db: Database, tmp_path: Path) -> None:
    report = db.ingest(table(tmp_path, {"label": ["nan", "cat", "None", "NA", "nan", ""]}))
    assert column(db, "label") == [None, "cat", None, None, None, None]
    assert (
        "4 labels mean that there is none ('nan', 'None', 'NA') and are NULL. "
        "To see them: label IS NULL"
    ) in report.notes
    assert db.query("label IS NULL").count() == 5


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([1.0, 0.0, None], ["1", "0", None]),
        (["1.0", "2", "nan"], ["1", "2", None]),
        (["1.00", "-2.0", "10"], ["1", "-2", "10"]),
        (["1.5", "1.0", "2.0"], ["1.5", "1.0", "2.0"]),
        (["v1.0", "1.0", "2.0"], ["v1.0", "1.0", "2.0"]),
        ([True, False, True], ["true", "false", "true"]),
        (["007", "1", "2"], ["007", "1", "2"]),
    ],
)
def test_whole_numbers_are_classes_without_decimals(
    db: Database, tmp_path: Path, form: str, given: list[Any], expected: list[Any]
) -> None:
    if form == "csv":
        given = ["" if v is None else str(v).lower() if isinstance(v, bool) else v for v in given]
    db.ingest(table(tmp_path, {"label": given}, form))
    assert column(db, "label") == expected


@pytest.mark.parametrize(
    ("values", "separator", "expected"),
    [
        (
            ["Cardiomegaly|Emphysema", "No Finding", "nan"],
            None,
            [["Cardiomegaly", "Emphysema"], ["No Finding"], None],
        ),
        (["a;b, c", "d, e", ""], None, [["a", "b, c"], ["d, e"], None]),
        (["haze primary", "clear", "clear"], " ", [["haze", "primary"], ["clear"], ["clear"]]),
        (["['a', 'b']", "[]", '["c"]'.replace('"', "'")], None, [["a", "b"], [], ["c"]]),
        (["a|a|b", "|a|", "b"], None, [["a", "b"], ["a"], ["b"]]),
        (["a/b", "c", "d"], "/", [["a", "b"], ["c"], ["d"]]),
    ],
)
def test_several_labels_in_one_column(
    db: Database, tmp_path: Path, values: list[str], separator: str | None, expected: list[Any]
) -> None:
    file = table(tmp_path, {"Finding Labels": values})
    db.ingest(file, labels_column="Finding Labels", labels_separator=separator)
    assert column(db, "labels") == expected


def test_columns_of_marks_are_labels(db: Database, tmp_path: Path) -> None:
    marks = {"rain": [1, 0, 0], "fog": [1, 1, 0], "light": [0.5, 0.25, 1]}
    report = db.ingest(table(tmp_path, marks), labels_column=["rain", "fog"])
    assert column(db, "labels") == [["rain", "fog"], ["fog"], []]
    assert column(db, "label") == [None] * 3
    assert column(db, "light") == [0.5, 0.25, 1.0]
    assert report.notes == ()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_one_mark_a_row_is_the_label(db: Database, tmp_path: Path, form: str) -> None:
    marks = {"MEL": [1.0, 0.0, 0.0], "NV": [0.0, 1.0, 0.0], "BCC": [0.0, 0.0, 1.0]}
    report = db.ingest(table(tmp_path, marks, form), labels_column="MEL,NV,BCC")
    assert column(db, "label") == ["MEL", "NV", "BCC"]
    assert "Each row has one label of 3 columns: it is in `label`." in report.notes


def test_marks_that_are_neither_are_told(db: Database, tmp_path: Path) -> None:
    file = table(tmp_path, {"a": [1, -1, 0], "b": [1, "", 0]})
    report = db.ingest(file, labels_column=["a", "b"])
    assert column(db, "labels") == [["a", "b"], [], []]
    assert "2 values of columns of labels are neither 0 nor 1: taken for 0." in report.notes


def test_names_that_are_not_there_and_columns_of_words_are_refused(
    db: Database, tmp_path: Path
) -> None:
    file = table(tmp_path, {"a": [1, 0, 0], "word": ["x", "y", "z"]})
    with pytest.raises(IngestError, match="No column 'c'"):
        db.ingest(file, labels_column=["a", "c"])
    with pytest.raises(IngestError, match="Column 'word' is string, where"):
        db.ingest(file, labels_column=["a", "word"])
    with pytest.raises(IngestError, match=r"labels_column \(--labels-column\) does nothing"):
        db.ingest(tmp_path, form="yolo", labels_column="a")


def test_the_command_line_takes_them(tmp_path: Path) -> None:
    file = table(tmp_path, {"a": [1, 0], "b": [1, 1]})
    place = str(tmp_path / "data.slicedb")
    with pytest.raises(SystemExit) as caught:
        main(["ingest", str(file), "--labels-column", "a", "--labels-column", "b", "--db", place])
    assert caught.value.code == 0
    assert column(slicedb.open(place), "labels") == [["a", "b"], ["b"]]
