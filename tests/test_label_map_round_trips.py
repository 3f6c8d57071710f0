"""Label maps through COCO's run-length codes and through PNG files, pixel for pixel."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import slicedb
from slicedb.errors import SourceError
from slicedb.media.labelmap import codes_in
from slicedb.schema import MASKS

CLASSES = ("road", "sky", "ocean", "car", "tree")


def scenes(folder: Path, n: int) -> dict[str, np.ndarray]:
    """Write pictures and label maps, gray and with a palette, some with ignored pixels."""
    rng = np.random.default_rng(11)
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    codes = {}
    for i in range(n):
        high, wide = int(rng.integers(6, 24)), int(rng.integers(6, 24))
        values = rng.integers(0, len(CLASSES), (high, wide)).astype(np.uint8)
        values[: high // 2] = i % len(CLASSES)
        if i % 3 == 0:
            values[rng.random((high, wide)) < 0.2] = 255
        picture = Image.new("RGB", (wide, high), (i % 255, 90, 200))
        picture.save(folder / "images" / f"{i:03d}.png")
        mask = Image.fromarray(values)
        if i % 2:
            mask = mask.convert("P")
            mask.putpalette([c for k in range(256) for c in (k, 255 - k, k // 2)])
            mask.putdata(values.ravel().tolist())
        mask.save(folder / "masks" / f"{i:03d}.png")
        codes[f"{i:03d}"] = values
    return codes


def held(db: slicedb.Database) -> dict[str, np.ndarray]:
    rows = db.store.table(MASKS, ["id", "mask"]).to_pylist()
    return {Path(row["id"]).stem.split("_")[-1]: codes_in(row["mask"]["png"]) for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["coco", "masks"])
def test_250_label_maps_come_back_bit_for_bit(tmp_path: Path, form: str) -> None:
    codes = scenes(tmp_path / "set", 250)
    db = slicedb.open(tmp_path / "start.slicedb")
    db.ingest(tmp_path / "set", mask_classes=CLASSES)
    assert db.export("", tmp_path / "out", form=form).notes == ()
    back = slicedb.open(tmp_path / "end.slicedb")
    if form == "coco":
        report = back.ingest(tmp_path / "out")
        assert "attach-masks" in " ".join(report.notes)
        back.attach_masks(tmp_path / "out" / "stuff_all.json")
    else:
        back.ingest(tmp_path / "out", mask_classes=tmp_path / "out" / "classes.txt")
    found = held(back)
    assert found.keys() == codes.keys()
    assert all(np.array_equal(found[name], codes[name]) for name in codes)
    assert json.loads(back.store.metadata(MASKS)["slicedb:classes"]) == list(CLASSES)
    shares = "avg(pixel_share('sky')) AS share"
    values = [db_.query(f"SELECT {shares} FROM samples").to_arrow() for db_ in (db, back)]
    assert values[0] == values[1]


def test_pycocotools_reads_the_codes(tmp_path: Path) -> None:
    mask = pytest.importorskip("faster_coco_eval.core.mask", reason="needs faster-coco-eval")
    codes = scenes(tmp_path / "set", 4)
    db = slicedb.open(tmp_path / "start.slicedb")
    db.ingest(tmp_path / "set", mask_classes=CLASSES)
    db.export("", tmp_path / "out", form="coco")
    stuff = json.loads((tmp_path / "out" / "stuff_all.json").read_text())
    names = {row["id"]: Path(row["file_name"]).stem.split("_")[-1] for row in stuff["images"]}
    for row in stuff["annotations"]:
        code = {**row["segmentation"], "counts": row["segmentation"]["counts"].encode()}
        number = row["category_id"] - 1
        assert np.array_equal(mask.decode(code), codes[names[row["image_id"]]] == number)
        assert row["area"] == int(mask.area(code))
        assert mask.toBbox(code).tolist() == row["bbox"]


def test_label_maps_that_have_no_place_are_counted(tmp_path: Path) -> None:
    scenes(tmp_path / "set", 3)
    db = slicedb.open(tmp_path / "start.slicedb")
    db.ingest(tmp_path / "set", mask_classes=CLASSES)
    note = "3 label maps left out: yolo has no place for them. coco and masks keep them."
    assert note in db.export("", tmp_path / "yolo", form="yolo").notes
    alone = db.export("", tmp_path / "out.json").notes
    assert alone == (
        "3 label maps left out: name a folder, which gets stuff_all.json beside the annotations.",
    )


def _coco(**more: object) -> dict[str, object]:
    code = {"size": [10, 10], "counts": [0, 100]}
    row = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": code}
    return {
        "images": [{"id": 1, "file_name": "000.png"}],
        "annotations": [row | more, *([row] if more.get("twice") else [])],
        "categories": [{"id": 1, "name": "road"}],
    }


@pytest.mark.parametrize(
    ("coco", "fact"),
    [
        (_coco(twice=True), r"image '000.png': 100 pixels have two classes"),
        (_coco(segmentation=[[1, 1, 2, 2, 3, 3]]), r"annotations\[0\] has no run-length code"),
        (_coco(category_id=7), r"annotations\[0\] names no category of the file"),
        (_coco(segmentation={"size": [3, 3], "counts": [1]}), "the runs of a mask do not fill"),
        ({"images": []}, "has no list of annotations"),
    ],
)
def test_what_is_no_label_map_is_named_with_its_place(
    tmp_path: Path, coco: dict[str, object], fact: str
) -> None:
    (tmp_path / "images").mkdir()
    out = io.BytesIO()
    Image.new("RGB", (10, 10)).save(out, "PNG")
    (tmp_path / "images" / "000.png").write_bytes(out.getvalue())
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(tmp_path / "images")
    (tmp_path / "stuff.json").write_text(json.dumps(coco))
    with pytest.raises(SourceError, match=fact):
        db.attach_masks(tmp_path / "stuff.json")
