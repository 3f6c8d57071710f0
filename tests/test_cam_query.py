"""Maps as columns: the words over them equal the numbers in NumPy, and find a planted shortcut."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from fakes_models import fill
from PIL import Image
from torch import nn

import slicedb
from slicedb.cam import border, cams_schema, mass_in, points_at
from slicedb.models import TorchClassifier
from slicedb.schema import CAMS, SAMPLES, keys_of

SIDE = 32
MARK = 5


def test_words_equal_the_numbers_in_numpy(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n, grid = 200, (5, 7)
    maps = rng.random((n, *grid)).astype(np.float32) ** 4
    size = rng.integers(20, 300, (n, 2))
    shown = np.c_[rng.random((n, 2)) * 0.3 * size, size * (0.7 + 0.3 * rng.random((n, 2)))]
    boxes = np.c_[rng.random((n, 2)) * size * 0.8, rng.random((n, 2)) * size * 0.6]
    db = slicedb.open(tmp_path / "d.slicedb")
    ids = [f"{i:03}" for i in range(n)]
    keys = {"id": ids, "key": keys_of(ids)}
    objects = [[{"label": "thing", "bbox": box.tolist()}] for box in boxes]
    facts = {"width": size[:, 0], "height": size[:, 1], "status": ["ok"] * n}
    schema = db.store.schema(SAMPLES)
    objects_column = pa.array(objects, schema.field("objects").type)
    db.store.upsert(SAMPLES, pa.table(keys | facts | {"objects": objects_column}))
    schema = cams_schema(maps[0].size).with_metadata({"slicedb:grid": json.dumps(grid)})
    rows = pa.table(keys | {"map": list(maps.reshape(n, -1)), "shown": shown.tolist()})
    fields = [
        rows[f.name].cast(f.type) if f.name in rows.column_names else pa.nulls(n, f.type)
        for f in schema
    ]
    db.store.create(CAMS + "m", schema)
    db.store.append(CAMS + "m", pa.Table.from_arrays(fields, schema=schema))

    found = db.sql(
        "SELECT cam_mass_in('thing') AS mass, cam_points_at('thing') AS hit, "
        "cam_border(width => 0.23) AS ring, cam_mass_in(3, 4, width - 9, height / 2) AS part "
        "FROM samples ORDER BY id"
    )
    np.testing.assert_allclose(found["mass"], mass_in(maps, boxes, shown), atol=2e-6)
    np.testing.assert_array_equal(found["hit"], points_at(maps, boxes, shown))
    np.testing.assert_allclose(found["ring"], border(maps, 0.23), atol=2e-6)
    part = np.c_[np.full((n, 2), (3, 4)), size[:, 0] - 9, size[:, 1] / 2]
    np.testing.assert_allclose(found["part"], mass_in(maps, part, shown), atol=2e-6)


def dish(label: int, mark: bool, rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """A disk (class 1) or a square (class 0) in noise; a mark in a corner gives the class away."""
    image = rng.integers(90, 160, (SIDE, SIDE, 3), dtype=np.uint8)
    ys, xs = np.mgrid[:SIDE, :SIDE]
    x, y = rng.integers(13, 19, 2)
    shape = (xs - x) ** 2 + (ys - y) ** 2 < 36 if label else (abs(xs - x) < 6) & (abs(ys - y) < 6)
    image[shape] = rng.integers(100, 150, 3)
    left, top = (rng.integers(0, 2, 2) * (SIDE - MARK)).tolist()
    if mark:
        image[top : top + MARK, left : left + MARK] = (250, 250, 0) if label else (0, 0, 250)
    return image, [left, top, MARK, MARK]


@pytest.fixture(scope="module")
def cheater() -> TorchClassifier:
    """A small network trained where the mark decides the class."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 5, 2, 2),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, 2, 1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 2),
    )
    model = TorchClassifier(net, classes=["square", "disk"], input_size=SIDE, name="cheater")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 256)
    images = np.stack([dish(int(label), True, rng)[0] for label in labels])
    x = model.preprocessing.normalise(torch.from_numpy(images))
    y = torch.from_numpy(labels)
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small steps wait for a second thread on a busy machine
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    torch.set_num_threads(threads)
    net.eval()
    return model


def test_a_planted_shortcut_is_named_as_a_slice(cheater: TorchClassifier, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    db = slicedb.open(tmp_path / "d.slicedb")
    pictures, names, boxes = {}, {}, {}
    for i in range(120):
        label, marked = i % 2, i < 100
        image, box = dish(label, marked, rng)
        out = io.BytesIO()
        Image.fromarray(image).save(out, "PNG")
        pictures[f"{i:03}"], names[f"{i:03}"] = out.getvalue(), cheater.classes[label]
        boxes[f"{i:03}"] = [{"label": "mark", "bbox": [float(v) for v in box]}] if marked else []
    fill(db.store, pictures, names)
    kind = db.store.schema(SAMPLES).field("objects").type
    facts = {
        "id": list(boxes),
        "key": keys_of(boxes),
        "width": [SIDE] * 120,
        "height": [SIDE] * 120,
    }
    db.store.upsert(SAMPLES, pa.table(facts | {"objects": pa.array(boxes.values(), kind)}))
    db.models.add("cheater", cheater)
    db.predict("cheater")
    db.cam("cheater")

    found = db.slices.add(
        "right_for_the_wrong_reason", "cheater.correct AND cam_border(cheater, width => 0.2) > 0.6"
    )
    ids = set(found.ids())
    marked = set(list(pictures)[:100])
    assert len(ids & marked) >= 95
    hits = db.sql("SELECT avg(cam_points_at('mark')::INT) AS rate FROM samples")
    assert hits["rate"][0].as_py() >= 0.95
    mass = db.sql(
        "SELECT median(cam_mass_in('mark')) AS mark, median(cam_mass_in(8, 8, 16, 16)) AS middle "
        "FROM samples WHERE has_object('mark')"
    )
    assert mass["mark"][0].as_py() > 3 * mass["middle"][0].as_py()
