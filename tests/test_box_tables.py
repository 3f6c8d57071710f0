"""Tables with a row per box become pictures with their boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import slicedb
from slicedb.database import Database
from slicedb.errors import IngestError


@pytest.fixture
def db(tmp_path: Path) -> Database:
    for name in "abc":
        path = tmp_path / "train" / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 48), (ord(name), 9, 9)).save(path)
    return slicedb.open(tmp_path / "data.slicedb")


def boxes(db: Database) -> dict[str, Any]:
    rows = db.store.table("samples", ["id", "objects"]).to_pylist()
    return {r["id"]: [(o["label"], o["bbox"]) for o in r["objects"]] for r in sorted(rows, key=str)}


def ingest(db: Database, tmp_path: Path, text: str, **options: Any) -> str:
    (tmp_path / "t.csv").write_text(text)
    return str(db.ingest(tmp_path / "t.csv", **options))


def test_wheat(db: Database, tmp_path: Path) -> None:
    said = ingest(
        db,
        tmp_path,
        'image_id,width,height,bbox,source\na,64,48,"[1.0, 2.0, 3.0, 4.0]",x\n'
        'b,64,48,"[5, 6, 7, 8]",y\na,64,48,"[9.5, 10, 11, 12]",x\nc,64,48,,z\n',
    )
    assert boxes(db) == {
        "a": [(None, [1, 2, 3, 4]), (None, [9.5, 10, 11, 12])],
        "b": [(None, [5, 6, 7, 8])],
        "c": [],
    }
    sources = db.store.table("samples", ["id", "source_"]).to_pylist()
    assert {row["id"]: row["source_"] for row in sources} == {"a": "x", "b": "y", "c": "z"}
    assert "3 boxes of 3 pictures, a row each: they are in `objects`." in said
    assert "No column names the boxes, so their label is NULL." in said


def test_open_images(db: Database, tmp_path: Path) -> None:
    said = ingest(
        db,
        tmp_path,
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded\n"
        "a,xclick,/m/01,1,0.25,0.5,0.25,0.75,0\na,xclick,/m/02,1,0,1,0,1,1\n"
        "b,xclick,/m/01,1,0.5,0.75,0.5,1,0\n",
        path_column="ImageID",
    )
    assert boxes(db) == {
        "a": [("/m/01", [16, 12, 16, 24]), ("/m/02", [0, 0, 64, 48])],
        "b": [("/m/01", [32, 24, 16, 24])],
    }
    rows = db.store.table("samples", ["id", "objects"]).to_pylist()
    [first] = [json.loads(r["objects"][0]["attributes"]) for r in rows if r["id"] == "a"]
    assert first == {"IsOccluded": 0}
    assert "in fractions of their pictures." in said


@pytest.mark.parametrize(
    ("head", "one", "two"),
    [
        ("xmin,ymin,xmax,ymax", "1,2,4,6", "5,6,12,14"),
        ("x1,y1,x2,y2", "1,2,4,6", "5,6,12,14"),
        ("x,y,w,h", "1,2,3,4", "5,6,7,8"),
        ("x,y,width,height", "1,2,3,4", "5,6,7,8"),
    ],
)
@pytest.mark.parametrize("label", ["label", "class", "name"])
def test_corners_and_sides(
    db: Database, tmp_path: Path, head: str, one: str, two: str, label: str
) -> None:
    text = f"path,id,{label},{head}\ntrain/a.jpg,1,cat,{one}\ntrain/a.jpg,2,dog,{two}\n"
    ingest(db, tmp_path, text)
    assert boxes(db) == {"train/a.jpg": [("cat", [1, 2, 3, 4]), ("dog", [5, 6, 7, 8])]}


def test_pictures_that_come_once_stay_rows(db: Database, tmp_path: Path) -> None:
    ingest(db, tmp_path, "path,label,x,y,w,h\ntrain/a.jpg,cat,1,2,3,4\ntrain/b.jpg,dog,1,2,3,4\n")
    rows = db.store.table("samples", ["label", "objects", "w"]).to_pylist()
    assert {(row["label"], row["objects"], row["w"]) for row in rows} == {
        ("cat", None, 3),
        ("dog", None, 3),
    }


def test_what_is_no_box_is_refused_and_doubles_say_how_boxes_look(
    db: Database, tmp_path: Path
) -> None:
    with pytest.raises(IngestError, match="for a box in row 2"):
        ingest(db, tmp_path, 'path,bbox\ntrain/a.jpg,"[1,2,3,4]"\ntrain/a.jpg,"[1,2,3]"\n')
    with pytest.raises(IngestError, match="A CSV with a row per box has a column bbox"):
        ingest(db, tmp_path, "path,light\ntrain/a.jpg,1\ntrain/a.jpg,2\n")


@pytest.mark.parametrize("form", ["list", "text", "corners", "shares"])
def test_parquet_may_have_a_row_per_box_too(db: Database, tmp_path: Path, form: str) -> None:
    sides = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [0.0, 0.0, 32.0, 24.0]]
    columns: dict[str, Any] = {
        "image_id": pa.array(["a", "b", "a"]).dictionary_encode(),
        "label": pa.array(["cat", "dog", "bird"]).dictionary_encode(),
        "weather": ["sunny", "foggy", "sunny"],
        "occluded": [1, 0, 0],
    }
    if form in ("list", "text"):
        columns["bbox"] = sides if form == "list" else [json.dumps(one) for one in sides]
    else:
        scale = (64, 48) if form == "shares" else (1, 1)
        corners = [(x, y, x + w, y + h) for x, y, w, h in sides]
        for k, name in enumerate(("XMin", "YMin", "XMax", "YMax")):
            columns[name] = [one[k] / scale[k % 2] for one in corners]
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    report = db.ingest(tmp_path / "t.parquet")
    assert boxes(db) == {"a": [("cat", sides[0]), ("bird", sides[2])], "b": [("dog", sides[1])]}
    assert db.query("weather = 'sunny'").ids() == ["a"]
    assert db.query("has_object('cat', attributes => {'occluded': 1})").ids() == ["a"]
    assert "3 boxes of 2 pictures, a row each" in str(report)
