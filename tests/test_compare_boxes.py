"""Two detectors compared box by box, and the images that a drop of recall takes."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fakes_boxes import box, objects
from test_detection_suite import boxes_store

import slicedb
from slicedb import Database
from slicedb.cli import main
from slicedb.errors import CheckError, SliceError
from slicedb.metrics.boxes import iou_matrix
from slicedb.schema import OK, SAMPLES, SAMPLES_SCHEMA, keys_of

SURE = 0.5


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Database, list[Any], dict[str, Any]]:
    store, _, truth, said = boxes_store(tmp_path_factory.mktemp("compare"))
    db = Database(store)
    db.slices.add("night", "split = 'night'")
    return db, truth, said


def found_by(found: list[Any], truth: list[Any]) -> list[bool | None]:
    """Return which boxes of one image are found, by COCO's rule; None for a crowd."""
    used: set[int] = set()
    crowd = [t["attributes"] is not None for t in truth]
    for one in sorted((b for b in found if b["score"] >= SURE), key=lambda b: -b["score"]):
        sides = np.array([t["bbox"] for t in truth], float).reshape(-1, 4)
        share = iou_matrix(np.array([one["bbox"]]), sides, np.array(crowd, bool))[0]
        same = [t["label"] == one["label"] for t in truth]
        free = [
            (not crowd[i], share[i], i)
            for i in range(len(truth))
            if same[i] and share[i] >= 0.5 and (crowd[i] or i not in used)
        ]
        if free:
            used.add(max(free)[2])
    return [None if crowd[i] else i in used for i in range(len(truth))]


def test_wins_losses_and_recall_are_those_of_a_loop(world: Any) -> None:
    db, truth, said = world
    comparison = db.compare("worse", "good")
    for name, rows in (("all", range(59)), ("night", range(0, 59, 3))):
        pairs = [
            (a, b)
            for i in rows
            for a, b in zip(
                found_by(said["worse"][i], truth[i]), found_by(said["good"][i], truth[i])
            )
            if a is not None
        ]
        row = comparison.row(name)
        wanted = [sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)]
        assert [row["wins"], row["losses"]] == wanted and row["boxes"] == len(pairs)
        recall = [np.mean([bool(side) for side in pair]) for pair in zip(*pairs)]
        assert [row["recall_a"], row["recall_b"]] == pytest.approx(recall)
        assert row["difference"] == pytest.approx(recall[0] - recall[1])
        assert row["low"] < row["difference"] < row["high"] < 0 and row["p"] < 0.01
    assert comparison.row("all")["left_out"] == 1


def test_the_queries_find_the_boxes_that_flipped(world: Any) -> None:
    db, _, _ = world
    comparison = db.compare("worse", "good")
    for name in ("all", "night"):
        row = comparison.row(name)
        scope = "" if name == "all" else " AND in_slice('night')"
        where = row["lost"].split("SELECT id FROM objects WHERE ", 1)[1].removesuffix(")")
        n = db.sql(f"SELECT count(*) AS n FROM objects WHERE {where}{scope}")["n"][0].as_py()
        assert n == row["losses"]
        ids = db.query(comparison.query(name, "lost")).ids()
        assert 0 < len(ids) <= n
        assert db.query(comparison.query(name, "won")).count() == 0
    text = str(comparison)
    assert "recall of boxes" in text and "extra A" in text and "lost in night" in text
    assert comparison.to_pandas()["boxes"].tolist()[0] == comparison.row("all")["boxes"]


def test_groups_of_images_widen_the_interval(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "groups.slicedb")
    ids = [f"{i:02d}.jpg" for i in range(40)]
    db.store.create(SAMPLES, SAMPLES_SCHEMA)
    one = [box("car", 1, 1, 10, 10)]
    columns = {"id": ids, "key": keys_of(ids), "objects": objects([one] * 40), "status": [OK] * 40}
    db.store.upsert(SAMPLES, pa.table(columns))
    db.attach(pa.table({"id": ids, "video": [i // 10 for i in range(40)]}))
    sure = [{**one[0], "score": 0.9}]
    for name, has in (("a", lambda i: i >= 10), ("b", lambda i: True)):
        found = objects([sure if has(i) else [] for i in range(40)])
        db.log_predictions(name, pa.table({"id": ids, "objects": found}), classes=["car"])
    plain, grouped = (db.compare("a", "b", group=g).row("all") for g in (None, "video"))
    assert plain["difference"] == grouped["difference"] == -0.25
    assert grouped["high"] - grouped["low"] > 1.5 * (plain["high"] - plain["low"])
    assert plain["p"] < 0.01 < 0.5 < grouped["p"]


def test_power_says_what_simulated_drops_need(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    db = slicedb.open(tmp_path / "power.slicedb")
    n, boxes = 400, 5
    ids = [f"{i:03d}.jpg" for i in range(n)]
    row = [box("car", 20 * j, 0, 10, 10) for j in range(boxes)]
    db.store.create(SAMPLES, SAMPLES_SCHEMA)
    columns = {"id": ids, "key": keys_of(ids), "objects": objects([row] * n), "status": [OK] * n}
    db.store.upsert(SAMPLES, pa.table(columns))
    hits = {}
    easy = rng.beta(4, 1, n)[:, None]  # boxes of one image are found or missed together
    for name in ("a", "b"):
        hits[name] = rng.random((n, boxes)) < easy
        found = [
            [{**one, "score": 0.9} for one, is_hit in zip(row, of) if is_hit] for of in hits[name]
        ]
        db.log_predictions(name, pa.table({"id": ids, "objects": objects(found)}), classes=["car"])
    power = db.power("a", "b", drop=0.05).to_arrow().to_pylist()[0]
    d = (hits["a"].astype(int) - hits["b"]).sum(axis=1) / boxes
    z = 1.6448536 + 0.8416212
    assert power["needed"] == int(np.ceil((z / 0.05) ** 2 * max(d.var(ddof=1), 0.05 / boxes)))
    assert power["enough"] and power["finds"] == pytest.approx(z * d.std(ddof=1) / np.sqrt(n))
    shown = []
    for _ in range(2000):  # a drop of 0.05 beside the same noise, seen on as many images
        drawn = rng.choice(d, power["needed"]) - d.mean() - 0.05
        error = drawn.std(ddof=1) / np.sqrt(len(drawn))
        shown.append(drawn.mean() + 1.6448536 * error < 0)
    assert np.mean(shown) == pytest.approx(0.8, abs=0.04)


def test_a_detector_and_a_classifier_are_not_compared(world: Any) -> None:
    db, _, _ = world
    table = pa.table({"id": ["000.jpg"], "prediction": ["car"]})
    db.log_predictions("cls", table, classes=["car"])
    with pytest.raises(CheckError):
        db.compare("good", "cls")
    with pytest.raises(CheckError, match=r"drop is 2\."):
        db.power("good", "worse", drop=2)


def test_a_misspelt_correction_is_told_of_detectors_too(world: Any) -> None:
    db, _, _ = world
    with pytest.raises(SliceError, match=r"'hollm'.*'holm'"):
        db.compare("good", "worse", correction="hollm")


def test_the_shell_compares_detectors_and_registers_what_was_lost(world: Any) -> None:
    db, _, _ = world
    out, end = io.StringIO(), contextlib.suppress(SystemExit)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), end:
        main(["compare", "worse", "good", "--on", "night", "--name", "lost", "--db", db.path])
    assert "lost_night: " in out.getvalue()
    fresh = slicedb.open(db.path)
    assert fresh.slices.get("lost_night").count() > 0
