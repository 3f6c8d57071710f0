"""A slice written for other tools, and read back."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slicedb.errors import SliceDBError
from slicedb.export import export
from slicedb.schema import IMAGES_SCHEMA, SAMPLES_SCHEMA, keys_of
from slicedb.store import Store

IDS = ["x/1.jpg", "y/1.jpg", "z"]
BOX = {"label": "RBC", "bbox": [1.0, 2.0, 3.0, 4.0], "score": None, "attributes": '{"iscrowd": 1}'}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store.open(tmp_path / "data.slicedb")
    rows = {
        "id": IDS,
        "key": keys_of(IDS),
        "label": ["a/b", "a/b", None],
        "split": ["test", "test", None],
        "format": ["JPEG", "JPEG", "PNG"],
        "objects": pa.array([[BOX], [], None], SAMPLES_SCHEMA.field("objects").type),
        "tags": [["t"], None, None],
    }
    made.append("samples", pa.table(rows))
    made.create("images", IMAGES_SCHEMA)
    data = [b"one", b"two", b"three"]
    made.append("images", pa.table({"id": IDS, "key": keys_of(IDS), "image": data}))
    return made


def test_folder_keeps_bytes_order_and_distinct_names(store: Store, tmp_path: Path) -> None:
    report = export(store, keys_of(IDS), tmp_path / "out")
    assert str(report) == f"3 samples written to {tmp_path / 'out'} (folder)"
    with (tmp_path / "out" / "metadata.csv").open() as file:
        rows = list(csv.DictReader(file))
    paths = ["test/a-b/1.jpg", "test/a-b/1-2.jpg", "z.png"]
    assert [row["path"] for row in rows] == paths
    assert [row["id"] for row in rows] == IDS
    assert rows[0]["tags"] == '["t"]'
    assert [(tmp_path / "out" / p).read_bytes() for p in paths] == [b"one", b"two", b"three"]


def test_parquet_carries_the_images_and_csv_the_metadata(store: Store, tmp_path: Path) -> None:
    keys = keys_of(IDS[:2][::-1])
    export(store, keys, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["id"].to_pylist() == ["y/1.jpg", "x/1.jpg"]
    assert table["image"].to_pylist() == [b"two", b"one"]
    export(store, keys, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().count("\n") == 3


def test_coco_has_boxes_categories_and_crowd(store: Store, tmp_path: Path) -> None:
    export(store, keys_of(IDS), tmp_path / "out.json")
    coco = json.loads((tmp_path / "out.json").read_text())
    assert coco["categories"] == [{"id": 1, "name": "RBC"}]
    assert [image["file_name"] for image in coco["images"]] == IDS
    assert coco["annotations"] == [
        {"iscrowd": 1, "id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12}
    ]


def test_an_empty_slice_gives_a_file_with_a_head(store: Store, tmp_path: Path) -> None:
    none = np.empty(0, dtype=np.int64)
    assert export(store, none, tmp_path / "out.csv").n == 0
    assert (tmp_path / "out.csv").read_text().startswith('"id"')


def test_nothing_is_overwritten_and_formats_are_named(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(SliceDBError, match="exists already"):
        export(store, keys_of(IDS), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "mine"
    with pytest.raises(SliceDBError, match=r"No export format 'parqet'.*did you mean 'parquet'"):
        export(store, keys_of(IDS), tmp_path / "o", form="parqet")


def test_an_ending_of_another_format_makes_no_folder(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SliceDBError, match=r"'\.xlsx' \(out\.xlsx\).*end the name in \.csv"):
        export(store, keys_of(IDS), tmp_path / "out.xlsx")
    assert export(store, keys_of(IDS), tmp_path / "v1.2").form == "folder"


def _half(store: Store, keys: object, path: Path) -> int:
    """Write something, and be cut off."""
    if path.suffix:
        path.write_text("half", encoding="utf-8")
    else:
        path.mkdir()
        (path / "half").write_text("half")
    raise KeyboardInterrupt


@pytest.mark.parametrize("dest", ["out", "out.csv", "out.parquet", "out.json", "there"])
def test_an_export_that_is_cut_off_leaves_nothing_and_is_run_again(
    dest: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("slicedb.export._writer", lambda form: _half)
        export(store, keys_of(IDS), tmp_path / dest)
    assert sorted(tmp_path.rglob("*")) == before
    with monkeypatch.context() as patch:  # killed: nothing is taken away
        patch.setattr("slicedb.export.whole._remove", lambda part: None)
        patch.setattr("slicedb.export._writer", lambda form: _half)
        with pytest.raises(KeyboardInterrupt):
            export(store, keys_of(IDS), tmp_path / dest)
    assert len(sorted(tmp_path.rglob(".part-*"))) == 1
    assert export(store, keys_of(IDS), tmp_path / dest).n == 3
    assert not sorted(tmp_path.rglob(".part-*")) and not sorted(tmp_path.rglob("half"))
