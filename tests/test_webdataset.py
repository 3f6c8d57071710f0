"""Tars of WebDataset: one, many, by pattern, and broken ones."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import slicedb
from slicedb.cli import main
from slicedb.errors import IngestError, SourceError
from slicedb.schema import SAMPLES
from slicedb.sources import matching


def png(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (20, 10), (shade, 90, 200)).save(out, "PNG")
    return out.getvalue()


def write(path: Path, members: dict[str, bytes | str | dict[str, Any]]) -> Path:
    """Write a tar of members in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            text = json.dumps(content) if isinstance(content, dict) else content
            data = text.encode() if isinstance(text, str) else text
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def rows(db: slicedb.Database) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in db.store.table(SAMPLES).to_pylist()}


def test_members_of_one_name_are_one_sample(tmp_path: Path) -> None:
    box = {"label": "cat", "bbox": [1, 2, 3, 4], "attributes": {"shy": True}}
    tar = write(
        tmp_path / "train-000.tar",
        {
            "./a/0001.png": png(1),
            "./a/0001.cls": "7\n",
            "./a/0001.txt": "a cat, sitting",
            "./a/0001.json": {"lux": 100, "objects": [box], "tags": ["night"], "exif": {"iso": 1}},
            "./a/0002.PNG": png(2),
            "./a/0002.depth.png": png(3),
            "./a/0002.npy": b"x",
            "./a/0003.txt": "no picture",
            "__index.json": "{}",
        },
    )
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(tar)
    found = rows(db)
    assert list(found) == ["a/0001.png", "a/0002.PNG"]
    first = found["a/0001.png"]
    names = ("label", "caption", "lux", "split", "tags", "width", "status")
    assert [first[name] for name in names] == [
        "7",
        "a cat, sitting",
        100,
        "train",
        ["night"],
        20,
        "ok",
    ]
    assert first["objects"][0]["bbox"] == [1, 2, 3, 4]
    assert first["objects"][0]["attributes"] == '{"shy": true}'
    assert [found["a/0002.PNG"][name] for name in ("label", "objects", "lux")] == [None, None, None]
    said = str(report)
    for fact in (
        "1 sample of the tars has no picture",
        "1 further picture of samples was left out",
        "What the pictures have of 'exif' was left out",
        "1 .npy in tars",
        "1 hidden or without ending in tars",
    ):
        assert fact in said
    assert db.ingest(tar).unchanged == 2
    assert db.query("").images()[0].size == (20, 10)


def test_shards_by_folder_and_by_pattern_are_one_source(tmp_path: Path) -> None:
    for i in range(3):
        names = {f"{i}{k}.png": png(10 * i + k) for k in range(2)}
        write(tmp_path / "shards" / f"val-{i:03d}.tar", names)
    expected = ["00.png", "01.png", "10.png", "11.png", "20.png", "21.png"]
    for i, source in enumerate(("shards", "shards/val-{000..002}.tar", "shards/val-*.tar")):
        db = slicedb.open(tmp_path / f"{i}.slicedb")
        assert db.ingest(tmp_path / source).added == 6
        assert sorted(db.query("split = 'val'").ids()) == expected
    with pytest.raises(SystemExit, match=r"^0$"):
        main(
            ["ingest", str(tmp_path / "shards" / "val-{000..001}.tar"), "--db", str(tmp_path / "c")]
        )
    assert slicedb.open(tmp_path / "c").query("").count() == 4
    with pytest.raises(SourceError, match=r"no file '.*val-003.tar', one of 4 that"):
        matching(str(tmp_path / "shards" / "val-{000..003}.tar"))
    with pytest.raises(SourceError, match="No file matches"):
        db.ingest(tmp_path / "shards" / "test-*.tar")


def test_tars_with_the_same_keys_are_told_apart_by_their_names(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "shards" / f"{name}.tar", {"0.png": png(ord(name))})
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(tmp_path / "shards")
    assert sorted(db.query("").ids()) == ["a/0.png", "b/0.png"]
    assert "Two tars have the same keys" in str(report)


def test_what_is_broken_is_named_with_its_place(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    whole = write(tmp_path / "whole.tar", {"0.png": png(1), "1.png": png(2) * 50}).read_bytes()
    cases: list[tuple[bytes, str]] = [
        (whole[:3000], r"'.*x\.tar' is cut off in '1\.png'"),
        (b"no tar at all" * 100, r"'.*x\.tar' is no whole tar"),
        (b"", r"'.*x\.tar' is no whole tar|No pictures in the tars"),
        (
            write(tmp_path / "j.tar", {"0.png": png(1), "0.json": "{"}).read_bytes(),
            r"x\.tar', '0\.json': Expecting property name",
        ),
        (write(tmp_path / "t.tar", {"0.txt": "a"}).read_bytes(), "No pictures in the tars"),
    ]
    for data, fact in cases:
        (tmp_path / "x.tar").write_bytes(data)
        with pytest.raises(SourceError, match=fact):
            db.ingest(tmp_path / "x.tar")
    again = {"0.png": png(1), "1.png": png(2), "./0.png": png(3)}
    with pytest.raises(IngestError, match=r"Sample '0\.png' stands twice"):
        db.ingest(write(tmp_path / "twice.tar", again))
    odd = {"0.png": png(1), "0.json": {"objects": [{"bbox": [1, 2]}]}}
    with pytest.raises(IngestError, match=r"The objects of a sample are no boxes.*\[1, 2\]"):
        db.ingest(write(tmp_path / "odd.tar", odd))
    assert db.query("").count() == 0


def test_an_export_fills_shards_by_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "images"
    for i in range(5):
        folder = source / ("train" if i < 3 else "val") / "cat.v1"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.x.png").write_bytes(png(i))
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(source)
    monkeypatch.setattr("slicedb.export.webdataset._MOST", 2)
    db.export("", tmp_path / "out", form="webdataset")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["train-000000.tar", "train-000001.tar", "val-000000.tar"]
    with tarfile.open(tmp_path / "out" / "train-000000.tar") as tar:
        assert tar.getnames()[:3] == [f"train/cat.v1/0_x.{kind}" for kind in ("png", "json", "cls")]
    db.export("split = 'val'", tmp_path / "val.tar")
    back = slicedb.open(tmp_path / "back.slicedb")
    back.ingest(tmp_path / "val.tar")
    assert sorted(back.query("split = 'val'").ids()) == ["val/cat.v1/3.x.png", "val/cat.v1/4.x.png"]
