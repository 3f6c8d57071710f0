"""Paths that are not quite where the pictures are: found, or refused with what lies there."""

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
from slicedb.errors import IngestError, SourceError


def picture(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), (len(str(path)) * 9 % 256, 99, 7)).save(path)


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return slicedb.open(tmp_path / "data.slicedb")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    picture(home / "train_images" / "000c.png", home / "train_images" / "01ab.png")
    return home


def rows(db: Database) -> dict[str, Any]:
    table = db.store.table("samples", ["id", "status", "uri"]).to_pylist()
    return {row["id"]: (row["status"], row["uri"]) for row in table}


@pytest.mark.parametrize(
    ("column", "first", "second"),
    [
        ("image", "000c.png", "01ab.png"),
        ("id_code", "000c", "01ab"),
        ("image_id", "000c", "01ab"),
        ("path", "train_images\\000c.png", ".\\train_images\\01ab.png"),
        ("path", "/kaggle/input/x/train_images/000c.png", "/kaggle/input/x/train_images/01ab.png"),
        ("path", "C:\\data\\000c.png", "C:\\data\\01ab.png"),
        ("path", "other/000c.jpg", "other/01ab.jpg"),
    ],
)
def test_pictures_are_found_by_their_names(
    db: Database, home: Path, column: str, first: str, second: str
) -> None:
    (home / "train.csv").write_text(f"{column},diagnosis\n{first},2\n{second},0\n")
    if first.endswith(".jpg"):
        for name in ("000c", "01ab"):
            (home / "train_images" / f"{name}.png").rename(home / "train_images" / f"{name}.jpg")
            picture(home / "train_images" / f"{name}.jpg")
    path_column = column if column in ("id_code", "image_id") else None
    db.ingest(home / "train.csv", path_column=path_column)
    ending = ".jpg" if first.endswith(".jpg") else ".png"
    found = sorted(rows(db).values())
    assert found == [
        ("ok", str(home / "train_images" / f"{name}{ending}")) for name in ("000c", "01ab")
    ]


def test_names_without_ending_are_guessed_from_their_column(db: Database, home: Path) -> None:
    (home / "train.csv").write_text("id_code,diagnosis\n000c,2\n01ab,0\n")
    db.ingest(home / "train.csv")
    assert {name: status for name, (status, _) in rows(db).items()} == {"000c": "ok", "01ab": "ok"}


def test_a_name_that_two_pictures_have_is_not_guessed(db: Database, home: Path) -> None:
    picture(home / "test_images" / "000c.png")
    (home / "train.csv").write_text("path\n000c.png\n01ab.png\n")
    db.ingest(home / "train.csv")
    assert {name: status for name, (status, _) in rows(db).items()} == {
        "000c.png": "unreadable",
        "01ab.png": "ok",
    }


def test_the_folder_of_images_of_a_table_may_be_named(
    db: Database, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "lists").mkdir()
    file = tmp_path / "lists" / "train.csv"
    file.write_text("path\n000c.png\n01ab\n")
    with pytest.raises(SourceError) as caught:
        db.ingest(file)
    assert "none of its 2 pictures is there" in str(caught.value)
    assert f"Looked for '{tmp_path}/lists/000c.png'" in str(caught.value)
    assert f"in '{tmp_path}/lists' lies train.csv" in str(caught.value)
    assert "images (--images)" in str(caught.value)
    assert not rows(db)
    db.ingest(file, images=home)
    assert {status for status, _ in rows(db).values()} == {"ok"}


def test_nothing_there_is_an_error_and_a_status_of_one(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "lost.csv").write_text("path\nno/such.png\n")
    with pytest.raises(SystemExit) as caught:
        raise SystemExit(main(["ingest", str(home / "lost.csv"), "--db", str(tmp_path / "d")]))
    assert caught.value.code == 1
    said = capsys.readouterr().err
    assert f"Looked for '{home}/no/such.png'; in '{home}' lies lost.csv, train_images/." in said


def test_a_list_in_several_batches_of_which_nothing_is_there(db: Database, tmp_path: Path) -> None:
    table = pa.table({"path": [f"{i}.png" for i in range(8)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=4)
    from slicedb.ingest import pipeline

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "refuse_absent", lambda source: source)
        with pytest.raises(SourceError, match=r"none of its 8 pictures.*quarantined"):
            db.ingest(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "line", [".\\images\\a.jpg", "./images/a.jpg", "images/a.jpg", "D:\\set\\images\\a.jpg"]
)
def test_lists_of_yolo_are_read_however_they_are_written(
    db: Database, tmp_path: Path, line: str
) -> None:
    picture(tmp_path / "y" / "images" / "a.jpg")
    (tmp_path / "y" / "labels").mkdir()
    (tmp_path / "y" / "labels" / "a.txt").write_text("0 .5 .5 .5 .5\n")
    (tmp_path / "y" / "train.txt").write_text(f"{line}\n")
    (tmp_path / "y" / "data.yaml").write_text("names: [cat]\ntrain: train.txt\n")
    db.ingest(tmp_path / "y")
    [row] = db.store.table("samples", ["id", "status", "objects", "split"]).to_pylist()
    assert (row["id"], row["status"], row["split"]) == ("images/a.jpg", "ok", "train")
    assert row["objects"][0]["bbox"] == [16, 12, 32, 24]


@pytest.mark.parametrize("form", ["voc", "yolo", "folder"])
def test_options_that_do_nothing_are_refused(db: Database, tmp_path: Path, form: str) -> None:
    root = tmp_path / "d"
    picture(root / "a.jpg")
    (root / "a.xml").write_text("<annotation></annotation>")
    (root / "classes.txt").write_text("cat\n")
    (root / "a.txt").write_text("0 .5 .5 .5 .5\n")
    with pytest.raises(IngestError, match=r"images \(--images\) does nothing for"):
        db.ingest(root, form=form, images=tmp_path)
    with pytest.raises(IngestError, match=r"label_column.* does nothing for"):
        db.ingest(root, form=form, label_column="x")
    if form != "folder":
        with pytest.raises(IngestError, match=r"split_folders \(--split-folders\) does nothing"):
            db.ingest(root, form=form, split_folders=True)


def test_options_of_tables_that_do_nothing_are_refused(db: Database, home: Path) -> None:
    (home / "a.csv").write_text("path\ntrain_images/000c.png\n")
    with pytest.raises(IngestError, match=r"split_folders \(--split-folders\) does nothing"):
        db.ingest(home / "a.csv", split_folders=True)
    data = (home / "train_images" / "000c.png").read_bytes()
    pq.write_table(pa.table({"image": [data]}), home / "a.parquet")
    with pytest.raises(IngestError, match=r"images \(--images\) does nothing"):
        db.ingest(home / "a.parquet", images=home)


def test_ids_are_paths_only_where_they_lead_to_pictures(db: Database, home: Path) -> None:
    (home / "train.csv").write_text("id,breed\n000c,husky\n01ab,pug\n")
    db.ingest(home / "train.csv")
    assert {name: status for name, (status, _) in rows(db).items()} == {"000c": "ok", "01ab": "ok"}
    (home / "other.csv").write_text("id,breed\nx,husky\n")
    with pytest.raises(IngestError, match="no column of paths or images"):
        db.ingest(home / "other.csv")
