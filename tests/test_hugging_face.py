"""What Hugging Face writes: Parquet with features, folders of shards, folders with metadata."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from PIL import Image

import slicedb
from slicedb.database import Database
from slicedb.errors import IngestError, SourceError

CAT = {"names": ["cat", "dog"], "_type": "ClassLabel"}
IMAGE = {"_type": "Image"}
INT = {"dtype": "int64", "_type": "Value"}


def jpeg(shade: int, size: tuple[int, int] = (64, 48)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (shade, 99, 7)).save(out, "JPEG")
    return out.getvalue()


def pictures(n: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"bytes": jpeg(start + i * 9), "path": f"{start + i}.jpg"} for i in range(n)]


def write(path: Path, columns: dict[str, Any], features: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(pa.table(columns).replace_schema_metadata(about), path)
    return path


def rows(db: Database, *columns: str) -> dict[str, Any]:
    table = db.store.table("samples", ["id", *columns]).to_pylist()
    kept = {row.pop("id"): row for row in table}
    return kept if len(columns) > 1 else {name: row[columns[0]] for name, row in kept.items()}


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return slicedb.open(tmp_path / "data.slicedb")


def test_two_columns_of_classes_have_their_names(db: Database, tmp_path: Path) -> None:
    columns = {"img": pictures(3), "fine_label": [0, 1, -1], "coarse_label": [1, 0, None]}
    features = {"img": IMAGE, "fine_label": CAT, "coarse_label": {**CAT, "names": ["pet", "wild"]}}
    report = db.ingest(write(tmp_path / "a.parquet", columns, features))
    assert rows(db, "fine_label", "coarse_label", "label") == {
        "0.jpg": {"fine_label": "cat", "coarse_label": "wild", "label": None},
        "1.jpg": {"fine_label": "dog", "coarse_label": "pet", "label": None},
        "2.jpg": {"fine_label": None, "coarse_label": None, "label": None},
    }
    assert "label_column='fine_label' (--label-column) takes one." in str(report)
    other = slicedb.open(tmp_path / "other.slicedb")
    other.ingest(tmp_path / "a.parquet", label_column="fine_label")
    assert rows(other, "label") == {"0.jpg": "cat", "1.jpg": "dog", "2.jpg": None}


def test_the_only_column_of_classes_is_the_label(db: Database, tmp_path: Path) -> None:
    columns = {"image": pictures(2), "animal": [0, 1]}
    features = {
        "image": IMAGE,
        "animal": {"names": {"0": "cat", "1": "dog"}, "_type": "ClassLabel"},
    }
    report = db.ingest(write(tmp_path / "a.parquet", columns, features))
    assert rows(db, "label") == {"0.jpg": "cat", "1.jpg": "dog"}
    assert "Column 'animal' holds class names and is taken for the label." in report.notes


@pytest.mark.parametrize(
    "feature",
    [
        {"feature": CAT, "_type": "Sequence"},
        {"feature": CAT, "length": -1, "_type": "List"},
        {"feature": CAT, "_type": "LargeList"},
        [CAT],
    ],
)
@pytest.mark.parametrize("name", ["labels", "label", "categories"])
@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.large_list(pa.int8())])
def test_lists_of_classes_have_their_names(
    db: Database, tmp_path: Path, feature: Any, name: str, kind: pa.DataType
) -> None:
    given = pa.array([[0, 1], [], None, [1]], kind)
    write(tmp_path / "a.parquet", {"image": pictures(4), name: given}, {name: feature})
    db.ingest(tmp_path / "a.parquet")
    expected = {"0.jpg": ["cat", "dog"], "1.jpg": [], "2.jpg": None, "3.jpg": ["dog"]}
    assert rows(db, "labels") == expected


OBJECTS = {
    "id": [[7, 8], []],
    "area": [[12, 1200], []],
    "bbox": [[[1, 2, 3, 4], [10, 10, 30, 40]], []],
    "category": [[1, 0], []],
}
FORMS = {
    "Sequence": {"feature": {"bbox": {"feature": INT, "_type": "Sequence"}, "category": CAT}},
    "List": {"feature": {"bbox": {"feature": INT, "_type": "List"}, "category": CAT}},
    "plain": {"bbox": [[INT]], "category": [CAT]},
    "inner": {
        "bbox": {"feature": {"feature": INT, "_type": "Sequence"}, "_type": "Sequence"},
        "category": {"feature": CAT, "_type": "Sequence"},
    },
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["objects", "annotations"])
def test_objects_as_a_structure_of_lists(
    db: Database, tmp_path: Path, form: str, name: str
) -> None:
    feature = FORMS[form] if form in ("plain", "inner") else {**FORMS[form], "_type": form}
    values = [{key: lists[i] for key, lists in OBJECTS.items()} for i in range(2)]
    columns = {"image": pictures(3), "width": [64] * 3, name: [*values, None]}
    db.ingest(write(tmp_path / "a.parquet", columns, {"image": IMAGE, name: feature}))
    found = rows(db, "objects")
    assert (found["1.jpg"], found["2.jpg"]) == ([], None)
    first, second = found["0.jpg"]
    assert (first["label"], first["bbox"]) == ("dog", [1, 2, 3, 4])
    assert (second["label"], second["bbox"]) == ("cat", [10, 10, 30, 40])
    assert json.loads(first["attributes"]) == {"id": 7, "area": 12}


def test_objects_as_a_list_of_structures(db: Database, tmp_path: Path) -> None:
    inside = {"bbox": [INT], "category": CAT, "score": {"dtype": "float64", "_type": "Value"}}
    values = [[{"bbox": [1, 2, 3, 4], "category": 1, "score": 0.5}], None]
    columns = {"image": pictures(2), "objects": values}
    db.ingest(write(tmp_path / "a.parquet", columns, {"objects": [inside]}))
    [box] = rows(db, "objects")["0.jpg"]
    assert (box["label"], box["bbox"], box["score"]) == ("dog", [1, 2, 3, 4], 0.5)


def test_outlines_and_key_points_of_objects_are_kept(db: Database, tmp_path: Path) -> None:
    one = {
        "bbox": [[1.0, 2, 3, 4]],
        "category": ["cat"],
        "segmentation": [[[1.0, 2, 3, 4, 5, 6]]],
        "keypoints": [[[1.0, 2, 2], [0, 0, 0]]],
        "is_crowd": [True],
    }
    db.ingest(write(tmp_path / "a.parquet", {"image": pictures(1), "objects": [one]}, {}))
    [box] = rows(db, "objects")["0.jpg"]
    assert json.loads(box["segmentation"]) == [[1, 2, 3, 4, 5, 6]]
    assert box["keypoints"] == [1, 2, 2, 0, 0, 0]
    assert json.loads(box["attributes"]) == {"iscrowd": 1}


def test_lists_of_different_lengths_are_refused(db: Database, tmp_path: Path) -> None:
    one = {"bbox": [[1, 2, 3, 4]], "category": ["cat", "dog"]}
    write(tmp_path / "a.parquet", {"image": pictures(1), "objects": [one]}, {})
    with pytest.raises(IngestError, match="different lengths: 1 bbox, 2 category"):
        db.ingest(tmp_path / "a.parquet")


def test_of_several_columns_of_pictures_one_is_taken_and_the_others_are_named(
    db: Database, tmp_path: Path
) -> None:
    columns = {"depth": pictures(1, 50), "image": pictures(1), "views": [pictures(2)]}
    features = {"depth": IMAGE, "image": IMAGE, "views": [IMAGE]}
    report = db.ingest(write(tmp_path / "a.parquet", columns, features))
    assert list(rows(db, "label")) == ["0.jpg"]
    assert "image_column='depth' (--image-column) takes these instead." in str(report)
    assert "Column 'views' was left out: it holds bytes." in report.notes
    other = slicedb.open(tmp_path / "other.slicedb")
    other.ingest(tmp_path / "a.parquet", image_column="depth")
    assert list(rows(other, "label")) == ["50.jpg"]


# --- folders --------------------------------------------------------------------------------------


def folder(root: Path, *names: str) -> Path:
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(jpeg(i * 9))
    return root


def metadata(file: Path, lines: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    elif file.suffix == ".csv":
        pa.csv.write_csv(pa.Table.from_pylist(lines), file)
    else:
        pq.write_table(pa.Table.from_pylist(lines), file)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_metadata_files_of_image_folders_are_read(
    db: Database, tmp_path: Path, ending: str
) -> None:
    root = folder(tmp_path / "d", "train/1.jpg", "train/2.jpg", "test/3.jpg", "test/deep/4.jpg")
    lines = [
        {"file_name": "1.jpg", "label": "cat", "light": 0.5, "text": "one"},
        {"file_name": "2.jpg", "label": "dog", "light": None, "text": "two"},
    ]
    metadata(root / "train" / f"metadata.{ending}", lines)
    there = [{"file_name": "deep/4.jpg", "label": "cat", "light": 1.5, "text": "four"}]
    metadata(root / "test" / f"metadata.{ending}", there)
    report = db.ingest(root)
    assert rows(db, "split", "label", "light", "text") == {
        "train/1.jpg": {"split": "train", "label": "cat", "light": 0.5, "text": "one"},
        "train/2.jpg": {"split": "train", "label": "dog", "light": None, "text": "two"},
        "test/3.jpg": {"split": "test", "label": None, "light": None, "text": None},
        "test/deep/4.jpg": {"split": "test", "label": "cat", "light": 1.5, "text": "four"},
    }
    assert report.skipped == {}
    assert any("1 image has no row in the metadata files" in note for note in report.notes)


def test_metadata_with_objects_and_rows_without_images(db: Database, tmp_path: Path) -> None:
    root = folder(tmp_path / "d", "1.jpg")
    boxes = {"bbox": [[1, 2, 3, 4]], "categories": [5]}
    lines = [{"file_name": "1.jpg", "objects": boxes}, {"file_name": "x.jpg", "objects": boxes}]
    metadata(root / "metadata.jsonl", lines)
    report = db.ingest(root)
    [box] = rows(db, "objects")["1.jpg"]
    assert (box["label"], box["bbox"]) == ("5", [1, 2, 3, 4])
    assert any("1 row of the metadata files names no image" in note for note in report.notes)


def test_metadata_that_changes_is_written_again(db: Database, tmp_path: Path) -> None:
    root = folder(tmp_path / "d", "cat/1.jpg", "dog/2.jpg")
    metadata(root / "metadata.csv", [{"file_name": "cat/1.jpg", "light": "day"}])
    db.ingest(root)
    assert rows(db, "label") == {"cat/1.jpg": "cat", "dog/2.jpg": "dog"}
    metadata(root / "metadata.csv", [{"file_name": "cat/1.jpg", "light": "night"}])
    assert db.ingest(root).changed == 1
    assert rows(db, "light") == {"cat/1.jpg": "night", "dog/2.jpg": None}


def test_two_rows_of_one_image_are_refused(db: Database, tmp_path: Path) -> None:
    root = folder(tmp_path / "d", "1.jpg")
    metadata(root / "metadata.csv", [{"file_name": "1.jpg"}, {"file_name": "./1.jpg"}])
    with pytest.raises(IngestError, match="stands twice"):
        db.ingest(root)


def test_a_folder_of_shards_is_one_source(db: Database, tmp_path: Path) -> None:
    root = tmp_path / "d"
    features = {"image": IMAGE, "label": CAT}
    for i in range(2):
        columns = {"image": pictures(2, i * 2), "label": [0, 1]}
        write(root / "data" / f"train-0000{i}-of-00002.parquet", columns, features)
    more = {"image": pictures(1), "label": [1], "hard": [True]}
    write(root / "data" / "test-00000-of-00001-0f1e.parquet", more, features)
    (root / "README.md").write_text("A data set.")
    report = db.ingest(root)
    assert rows(db, "split", "label", "hard") == {
        "test/0.jpg": {"split": "test", "label": "dog", "hard": True},
        "train/0.jpg": {"split": "train", "label": "cat", "hard": None},
        "train/1.jpg": {"split": "train", "label": "dog", "hard": None},
        "train/2.jpg": {"split": "train", "label": "cat", "hard": None},
        "train/3.jpg": {"split": "train", "label": "dog", "hard": None},
    }
    assert report.skipped == {".md": 1}
    assert db.ingest(root).unchanged == 5


def test_shards_below_folders_of_splits_and_without_paths(db: Database, tmp_path: Path) -> None:
    for split, n in (("train", 2), ("validation", 1)):
        columns = {"image": [jpeg(i) for i in range(n)], "label": ["cat"] * n}
        write(tmp_path / "d" / "default" / split / "0000.parquet", columns, {})
    db.ingest(tmp_path / "d")
    assert rows(db, "split") == {
        "train/0000/00000000": "train",
        "train/0000/00000001": "train",
        "validation/0000/00000000": "validation",
    }


def test_shards_that_name_samples_alike_are_refused(db: Database, tmp_path: Path) -> None:
    for i in range(2):
        write(tmp_path / "d" / f"train-0000{i}-of-00002.parquet", {"image": pictures(1)}, {})
    with pytest.raises(IngestError, match="name samples alike"):
        db.ingest(tmp_path / "d")


def test_a_null_that_stands_first_in_a_list_stays_there(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "1.png")
    lists = {"bbox": [[1, 2, 3, 4], [5, 5, 2, 2]], "category": [None, "cat"]}
    lines = [{"file_name": "1.png", "objects": lists, "day": "2024-05-06"}]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(tmp_path)
    assert db.query("FROM objects ORDER BY x").to_arrow()["label"].to_pylist() == [None, "cat"]
    assert db.query("day > '2024-01-01'").ids() == ["1.png"]


def test_a_line_that_is_broken_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "1.png")
    for text, fact in (
        ('{"file_name": "1.png"}\n{"file_name": ', r"metadata.jsonl', line 2: Expecting value"),
        ("[3]", "line 1 is no object"),
        ('{"file_name": "1.png", "a": 1}\n{"file_name": "2.png", "a": "x"}', "Column 'a' of"),
    ):
        (tmp_path / "metadata.jsonl").write_text(text)
        with pytest.raises(SourceError, match=fact):
            slicedb.open(tmp_path / "data.slicedb").ingest(tmp_path)
