"""The cookbook's queries over `video` and `frame`, on two short videos with known answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pages import Case, cases
from PIL import Image

import slicedb
from slicedb.database import Database
from slicedb.schema import OBJECT

PREDICTIONS = {"a": "c d c c c".split(), "b": "c c c d c d".split()}
"""What m1 says of each frame; every label is c (a car)."""

CARS = {"a": [10, 10, None, 12, 12], "b": [10, None, 10, 60, 62, 62]}
"""Where d1 finds a car, its left edge in a picture of 100 pixels; None: it finds none."""


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Database:
    root = tmp_path_factory.mktemp("videos")
    rows = [(f"{v}{i + 1}", v, i + 1) for v in "ab" for i in range(len(CARS[v]))]
    (root / "frames").mkdir()
    lines = ["path,id,label,video,frame"]
    for name, video, frame in reversed(rows):  # stored in another order than they were taken
        Image.new("RGB", (100, 20), (frame, 20, 30)).save(root / "frames" / f"{name}.png")
        lines.append(f"frames/{name}.png,{name},c,{video},{frame}")
    (root / "frames.csv").write_text("\n".join(lines) + "\n")
    db = slicedb.open(root / "d.slicedb")
    db.ingest(root / "frames.csv")
    said = {f"{v}{i + 1}": p for v, of in PREDICTIONS.items() for i, p in enumerate(of)}
    predicted = pa.table({"id": [*said], "prediction": [*said.values()]})
    db.log_predictions("m1", predicted, classes=["c", "d"])
    found = {f"{v}{i + 1}": x for v, of in CARS.items() for i, x in enumerate(of)}
    boxes = [[] if x is None else [_car(x, 0.9)] for x in found.values()]
    boxes[0].append(_car(90, 0.2))
    objects = pa.array(boxes, pa.list_(OBJECT))
    db.log_predictions("d1", pa.table({"id": [*found], "objects": objects}), classes=["car"])
    return db


def _car(x: float, score: float) -> dict[str, Any]:
    return {"label": "car", "bbox": [x, 5.0, 8.0, 8.0], "score": score, "attributes": None}


@pytest.mark.parametrize(
    "case", [c for c in cases() if c.file == "sequences"], ids=lambda case: case.title
)
def test_a_recipe_finds_what_it_says(videos: Database, case: Case) -> None:
    if "rows" in case.wants:
        rows = [list(row.values()) for row in videos.sql(case.text).to_pylist()]
        assert rows == json.loads(case.wants["rows"])
    else:
        assert videos.query(case.text).ids() == case.wants["ids"].split(", ")
        videos.slices.add("found", case.text, replace=True)
        assert videos.slices.get("found").count() == len(case.wants["ids"].split(", "))


def test_evaluate_and_test_suggest_the_column_of_the_videos(videos: Database) -> None:
    hint = (
        "11 samples lie in 2 groups by 'video', and samples of one group are alike, so that the "
        "intervals are too narrow; group='video' (--group video, or group in suite.toml) counts "
        "whole groups"
    )
    assert videos.evaluate("m1").warnings == (hint,)
    assert videos.evaluate("m1", group="video").warnings == ()
    videos.slices.add("all", "true", expect=["accuracy >= 0.1"], replace=True)
    assert hint in videos.test(["all"], model="m1").warnings
    assert hint not in videos.test(["all"], model="m1", group="video").warnings
    videos.slices.add("all", "true", expect=["accuracy >= 0.1"], group="video", replace=True)
    assert hint not in videos.test(["all"], model="m1").warnings


def test_a_column_that_names_each_sample_is_no_group(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    lines = ["path,label,video"]
    for i in range(6):
        Image.new("RGB", (8, 8), (i, 20, 30)).save(tmp_path / "frames" / f"{i}.png")
        lines.append(f"frames/{i}.png,c,v{i}")
    (tmp_path / "frames.csv").write_text("\n".join(lines) + "\n")
    db = slicedb.open(tmp_path / "d.slicedb")
    db.ingest(tmp_path / "frames.csv")
    ids = db.query().ids()
    db.log_predictions("m1", pa.table({"id": ids, "prediction": ["c"] * 6}))
    assert db.evaluate("m1").warnings == ()
