"""Attach metadata to samples by their ids: what is written, and what is refused by name."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

import slicedb
from slicedb.cli import main
from slicedb.errors import ConflictError, IngestError, SourceError
from slicedb.ingest.objects import BOXES
from slicedb.schema import SAMPLES, keys_of

IDS = ["a/1.jpg", "a/2.jpg", "a/3.jpg", "b/1.jpg"]


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    """Return a database of four samples without pictures, the last one quarantined."""
    made = slicedb.open(tmp_path / "data.slicedb")
    status = ["ok", "ok", "ok", "truncated"]
    labels = ["cat", "cat", "dog", "dog"]
    rows = {"id": IDS, "key": keys_of(IDS), "label": labels, "status": status}
    made.store.append(SAMPLES, pa.table(rows))
    return made


def column(db: slicedb.Database, name: str) -> dict[str, object]:
    """Return id -> value of a column."""
    table = db.store.table(SAMPLES, ["id", name])
    return dict(zip(table["id"].to_pylist(), table[name].to_pylist()))


def test_new_columns_are_matched_by_id_whatever_their_order(db: slicedb.Database) -> None:
    order = [IDS[2], IDS[3], IDS[0], IDS[1]]
    report = db.attach(pa.table({"id": order, "weather": list("wxyz"), "n": [3, 4, 1, None]}))
    assert report.added == ("weather", "n") and report.rows == 4 and report.without == 0
    assert column(db, "weather") == dict(zip(order, "wxyz"))
    assert column(db, "n") == dict(zip(order, [3, 4, 1, None]))
    assert db.query("n >= 3").ids() == [IDS[2]]
    again = db.attach(pa.table({"id": order, "weather": list("wxyz"), "n": [3, 4, 1, None]}))
    assert again.added == again.changed == ()
    assert "Nothing is new" in str(again)


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "arrow", "pandas", "dict"])
def test_every_kind_of_table_is_read(db: slicedb.Database, tmp_path: Path, kind: str) -> None:
    frame = pd.DataFrame({"name": [i[2:] for i in IDS[:3]], "light": ["day", "night", "day"]})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    file = tmp_path / f"meta.{kind}"
    source: object = file
    if kind in ("csv", "tsv"):
        frame.to_csv(file, index=False, sep="\t" if kind == "tsv" else ",")
    elif kind == "parquet":
        pq.write_table(table, file)
    elif kind == "arrow":
        pyarrow.feather.write_feather(table, str(file), compression="uncompressed")
    else:
        source = frame if kind == "pandas" else frame.to_dict("list")
    assert db.attach(source, on="name", prefix="a/").added == ("light",)  # type: ignore[arg-type]
    assert db.query("light = 'day'").ids() == [IDS[0], IDS[2]]


def test_of_an_existing_column_only_what_differs_is_written(db: slicedb.Database) -> None:
    table = pa.table({"id": IDS, "prediction": ["cat"] * 4, "confidence": [0.9] * 4})
    db.log_predictions("m", table, classes=["cat", "dog"])
    assert db.query("m.correct").ids() == IDS[:2]
    labels = ["cat", "dog", "cat", "dog"]
    report = db.attach({"id": IDS, "label": labels, "light": ["day"] * 4})  # type: ignore[arg-type]
    assert report.changed == ("label",) and report.added == ("light",)
    assert sorted(report.changed_ids) == IDS[1:3]
    assert column(db, "label") == dict(zip(IDS, labels))
    assert column(db, "light") == dict.fromkeys(IDS, "day")
    assert db.query("m.correct").ids() == [IDS[0], IDS[2]]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"id": [*IDS, "c", "d", "e", "f"], "x": range(8)}, "4 of 8 ids .* 'c', 'd', 'e', ..."),
        ({"id": [*IDS, IDS[1]], "x": range(5)}, "1 id comes more than once .*: 'a/2.jpg'"),
        ({"id": IDS[1:], "x": range(3)}, "1 of 4 samples has no row in the table: 'a/1.jpg'"),
        ({"id": [IDS[0], None, IDS[2]], "x": range(3)}, "1 row .* no id, the first is row 2"),
        (
            {"id": IDS, "x": range(4), "Width": range(4), "status": range(4)},
            "itself: Width, status",
        ),
        ({"id": IDS, "a.b": range(4)}, "'a.b' is kept as 'a_b'"),
        ({"id": IDS, "thumb": [b"x"] * 4}, "columns of bytes: thumb"),
        ({"id": [[name] for name in IDS], "x": range(4)}, "ids of the table are list<"),
        ({"id": [*[i.encode() for i in IDS[:3]], b"\xff"], "x": range(4)}, "ids of the table are"),
        ({"id": IDS, "label": range(4), "split": [[1]] * 4}, "'split' is list"),
        ({"id": IDS}, "no column beside 'id'"),
        ({"name": IDS}, "no column 'id'"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    db: slicedb.Database, table: dict[str, object], message: str
) -> None:
    before = db.store.versions()
    with pytest.raises(IngestError, match=message):
        db.attach(pa.table({name: pa.array(list(v)) for name, v in table.items()}))  # type: ignore[call-overload]
    assert db.store.versions() == before


def test_sources_that_cannot_be_read_are_named(db: slicedb.Database, tmp_path: Path) -> None:
    for name, text in (("broken.parquet", "no"), ("broken.arrow", "no"), ("notes.txt", "no")):
        (tmp_path / name).write_text(text)
        with pytest.raises(SourceError, match=name):
            db.attach(tmp_path / name)
    with pytest.raises(SourceError, match="No file"):
        db.attach(tmp_path / "nowhere.csv")
    with pytest.raises(SourceError, match="no rows"):
        db.attach(pa.table({"id": pa.array([], pa.string()), "x": pa.array([], pa.int64())}))


def test_a_partial_table_and_some_of_its_columns(db: slicedb.Database) -> None:
    table = pa.table({"id": [IDS[2]], "light": ["day"], "label": ["cow"], "width": [3]})
    report = db.attach(table, columns=["light", "label"], partial=True)
    assert report.without == 2 and "2 samples are not in the table" in str(report)
    assert column(db, "light") == {**dict.fromkeys(IDS), IDS[2]: "day"}
    assert column(db, "label")[IDS[2]] == "cow" and column(db, "label")[IDS[0]] == "cat"


def test_columns_are_not_laid_beside_rows_that_another_writer_moved(db: slicedb.Database) -> None:
    version = db.store.version(SAMPLES)
    db.tag(f"id = '{IDS[0]}'", "moved")
    with pytest.raises(ConflictError):
        db.store.add_values(SAMPLES, pa.table({"x": [1, 2, 3, 4]}), version)


def test_attach_on_an_edited_database_and_from_the_shell(
    db: slicedb.Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db.tag(f"id = '{IDS[0]}'", "moved")
    db.delete(f"id = '{IDS[1]}'")
    left = [IDS[0], IDS[2], IDS[3]]
    (tmp_path / "meta.csv").write_text("file,rain\n" + "".join(f"{i},{i[0]}\n" for i in left))
    with pytest.raises(SystemExit) as done:
        main(["attach", str(tmp_path / "meta.csv"), "--on", "file", "--db", db.path])
    assert done.value.code == 0 and "New columns: rain" in capsys.readouterr().out
    assert column(db, "rain") == {i: i[0] for i in left}
    with pytest.raises(SystemExit) as done:
        main(["attach", str(tmp_path / "meta.csv"), "--db", db.path])
    assert done.value.code == 1 and "No column 'id'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([2, 1, 0], pa.uint8()),
        pa.array(["2", "1", "0"], pa.large_string()),
        pa.array(["2", "1", "0"], pa.string_view()),
        pa.array(["2", "1", "0"]).dictionary_encode(),
        pa.array([2, 1, 0]).dictionary_encode(),
        pa.array([b"2", b"1", b"0"]),
        pa.array([2.0, 1.0, 0.0]),
    ],
    ids=lambda ids: str(ids.type),
)
def test_ids_of_any_type_are_taken_as_text(tmp_path: Path, ids: pa.Array) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    names = ["0", "1", "2"]
    db.store.append(SAMPLES, pa.table({"id": names, "key": keys_of(names), "status": ["ok"] * 3}))
    db.attach(pa.table({"id": ids, "n": [12, 11, 10]}))
    assert column(db, "n") == {"0": 10, "1": 11, "2": 12}


BOX = {"label": "cat", "bbox": [1.0, 2.0, 3.0, 4.0]}


@pytest.mark.parametrize("column", ["objects", "second"])
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ([1.0, 2.0, 3.0], r"\[1.0, 2.0, 3.0\] for its bbox, not \[x, y, w, h\]"),
        ([1.0, 2.0, -3.0, 4.0], "width or height is negative"),
        ([1.0, float("nan"), 3.0, 4.0], "not all finite"),
        (None, "None for its bbox"),
    ],
)
def test_boxes_that_are_none_are_refused_with_their_sample(
    db: slicedb.Database, column: str, wrong: list[float] | None, why: str
) -> None:
    rows = [[BOX], None, [BOX, {"label": "dog", "bbox": wrong}]]
    before = db.store.versions()
    for boxes in (pa.array(rows), pa.array(rows).cast(BOXES)):
        with pytest.raises(IngestError, match=rf"^Sample '{IDS[2]}': Column '{column}' .*{why}"):
            db.attach({"id": IDS[:3], column: boxes}, partial=True)
    assert db.store.versions() == before


def test_boxes_under_any_name_and_as_json_are_boxes(db: slicedb.Database, tmp_path: Path) -> None:
    text = json.dumps([{"category": "cat", "box": [1, 2, 3, 4]}])
    file = tmp_path / "boxes.csv"
    with file.open("w", newline="") as out:
        rows = [["id", "theirs", "note"], [IDS[0], text, "[x"], [IDS[1], "[]", ""]]
        csv.writer(out).writerows(rows)
    report = db.attach(file, partial=True)
    assert (report.added, report.boxes) == (("theirs", "note"), ("theirs",))
    assert db.store.schema("samples").field("theirs").type == BOXES
    rows = db.sql("SELECT theirs AS x FROM samples ORDER BY id")["x"].to_pylist()
    assert [None if r is None else [(b["label"], b["bbox"]) for b in r] for r in rows[:3]] == [
        [("cat", [1.0, 2.0, 3.0, 4.0])],
        [],
        None,
    ]
    named = db.attach({"id": [IDS[2]], "categories": [["a", "b"]]}, partial=True)
    assert named.added == ("categories",)  # and is not taken for `labels`
