"""Formats of others through panlabel, where it is installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

import slicedb
from slicedb.cli import main
from slicedb.errors import IngestError, SourceError
from slicedb.ingest import panlabel


@pytest.fixture
def labelme(tmp_path: Path) -> Path:
    pytest.importorskip("panlabel", reason="needs panlabel")
    folder = tmp_path / "labelme"
    folder.mkdir()
    Image.new("RGB", (20, 10)).save(folder / "1.png")
    shape = {"label": "cat", "points": [[1, 2], [9, 8]], "shape_type": "rectangle", "flags": {}}
    about = {"version": "5.0", "flags": {}, "shapes": [shape], "imagePath": "1.png"}
    size = {"imageData": None, "imageHeight": 10, "imageWidth": 20}
    (folder / "1.json").write_text(json.dumps(about | size))
    return folder


@pytest.mark.parametrize("form", ["panlabel", "panlabel:labelme"])
def test_labelme_is_read(labelme: Path, tmp_path: Path, form: str) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["ingest", str(labelme), "--as", form, "--db", str(tmp_path / "data.slicedb")])
    db = slicedb.open(tmp_path / "data.slicedb")
    shown = db.query("SELECT id, label, x, y, w, h FROM objects").to_arrow().to_pylist()
    assert shown == [{"id": "1.png", "label": "cat", "x": 1, "y": 2, "w": 8, "h": 6}]


def test_what_it_cannot_read_is_said(
    labelme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    with pytest.raises(
        SourceError, match=r"panlabel cannot read '.*labelme' as kitti: Invalid KITTI"
    ):
        db.ingest(labelme, form="panlabel:kitti")
    with pytest.raises(IngestError, match=r"No format 'coco:kitti'"):
        db.ingest(labelme, form="coco:kitti")
    monkeypatch.setattr(panlabel, "NAME", "panlabel-that-is-not-there")
    with pytest.raises(IngestError, match=r"panlabel is not installed.*pip install panlabel"):
        panlabel._program()
