"""Pictures without a row in a table of boxes: nothing found there, or never looked at."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes_boxes import box, objects

import slicedb
from slicedb import Database
from slicedb.cli import main
from slicedb.errors import PredictionError
from slicedb.schema import OK, SAMPLES, SAMPLES_SCHEMA, keys_of

N, FOUND = 60, 35
IDS = [f"{i:02d}.jpg" for i in range(N)]
BOUNDS = ["map >= 0.9", "recall >= 0.9"]


@pytest.fixture
def db(tmp_path: Path) -> Database:
    """Sixty pictures with one box each."""
    db = slicedb.open(tmp_path / "rows.slicedb")
    db.store.create(SAMPLES, SAMPLES_SCHEMA)
    truth = objects([[box("car", 1, 1, 10, 10)]] * N)
    columns = {"id": IDS, "key": keys_of(IDS), "objects": truth, "status": [OK] * N}
    db.store.upsert(SAMPLES, pa.table(columns))
    db.slices.add("every", "status = 'ok'", expect=BOUNDS)
    return db


def csv(path: Path) -> Path:
    rows = [f"{name},car,1,1,10,10,0.9" for name in IDS[:FOUND]]
    file = path / "boxes.csv"
    file.write_text("\n".join(["id,label,x,y,w,h,score", *rows]) + "\n")
    return file


def parquet(path: Path) -> Path:
    file = path / "boxes.parquet"
    found = objects([[box("car", 1, 1, 10, 10, 0.9)]] * FOUND)
    pq.write_table(pa.table({"id": IDS[:FOUND], "objects": found}), file)
    return file


def results(path: Path) -> Path:
    file = path / "results.json"
    rows = [
        {"image_id": name, "category_id": 1, "bbox": [1, 1, 10, 10], "score": 0.9}
        for name in IDS[:FOUND]
    ]
    file.write_text(json.dumps(rows))
    return file


@pytest.mark.parametrize("make", [csv, parquet, results])
def test_pictures_without_a_row_are_counted_and_nothing_passes(
    db: Database, tmp_path: Path, make: Any
) -> None:
    report = db.log_predictions("det", make(tmp_path), classes=["car"])
    assert (report.logged, report.unseen, report.annotated) == (35, 25, 60)
    assert "25 of 60 annotated pictures have no row" in str(report)
    assert db.query("objects IS NOT NULL AND det.tp IS NULL").ids() == IDS[FOUND:]
    (warning,) = db.evaluate("det", metrics=["map"]).warnings
    assert warning.startswith("25 of 60 pictures of all have no row in the detections of det")
    run = db.test(["every"], model="det", write=False)
    assert [r.verdict for r in run.results] == ["INCONCLUSIVE", "INCONCLUSIVE"]
    assert "25 of 60 pictures have no row in the detections of det" in run.results[0].message


def test_a_slice_decided_by_the_value_alone_does_not_pass_either(
    db: Database, tmp_path: Path
) -> None:
    db.log_predictions("det", csv(tmp_path), classes=["car"])
    db.slices.add("plain", "status = 'ok'", expect=BOUNDS, decide="point")
    verdicts = [r.verdict for r in db.test(["plain"], model="det", write=False).results]
    assert verdicts == ["INCONCLUSIVE", "INCONCLUSIVE"]


def test_a_slice_of_pictures_that_have_rows_passes(db: Database, tmp_path: Path) -> None:
    db.log_predictions("det", csv(tmp_path), classes=["car"])
    db.slices.add("early", f"id < '{IDS[FOUND]}'", expect=BOUNDS)
    assert [r.verdict for r in db.test(["early"], model="det", write=False).results] == [
        "PASS",
        "PASS",
    ]


def looked(db: Database, path: Path) -> None:
    db.log_predictions("det", csv(path), classes=["car"], looked_at="status = 'ok'")


def rows_without_boxes(db: Database, path: Path) -> None:
    file = csv(path)
    file.write_text(file.read_text() + "".join(f"{name},,,,,,\n" for name in IDS[FOUND:]))
    db.log_predictions("det", file, classes=["car"])


def lists(db: Database, path: Path) -> None:
    with db.log_predictions("det", classes=["car"]) as log:  # type: ignore[union-attr]
        log.add(IDS, objects=[[box("car", 1, 1, 10, 10, 0.9)]] * FOUND + [[]] * (N - FOUND))


def images_of_coco(db: Database, path: Path) -> None:
    about = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(IDS)],
        "categories": [{"id": 7, "name": "car"}],
    }
    (path / "about.json").write_text(json.dumps({**about, "annotations": []}))
    rows = [
        {"image_id": i, "category_id": 7, "bbox": [1, 1, 10, 10], "score": 0.9}
        for i in range(FOUND)
    ]
    (path / "r.json").write_text(json.dumps(rows))
    db.log_predictions("det", path / "r.json", annotations=path / "about.json")


def whole_coco(db: Database, path: Path) -> None:
    data = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(IDS)],
        "categories": [{"id": 7, "name": "car"}],
        "annotations": [
            {"image_id": i, "category_id": 7, "bbox": [1, 1, 10, 10], "score": 0.9}
            for i in range(FOUND)
        ],
    }
    (path / "whole.json").write_text(json.dumps(data))
    db.log_predictions("det", path / "whole.json")


@pytest.mark.parametrize("log", [looked, rows_without_boxes, lists, images_of_coco, whole_coco])
def test_a_source_that_says_what_was_looked_at_is_judged_on_all_of_it(
    db: Database, tmp_path: Path, log: Any
) -> None:
    log(db, tmp_path)
    shown = db.evaluate("det", metrics=["map", "recall@0.5", "mean_iou", "matched_iou"])
    assert shown.value("all", "det", "recall@0.5") == pytest.approx(35 / 60)
    assert shown.value("all", "det", "map") == pytest.approx(0.584, abs=1e-3)
    assert shown.value("all", "det", "mean_iou") == pytest.approx(35 / 60)
    assert shown.value("all", "det", "matched_iou") == 1
    assert not shown.warnings
    verdicts = [r.verdict for r in db.test(["every"], model="det", write=False).results]
    assert verdicts == ["FAIL", "FAIL"]
    # the worst come first: a missed box is an overlap of 0
    assert db.query("ORDER BY det.iou, id LIMIT 25").ids() == IDS[FOUND:]


def test_what_was_looked_at_has_to_hold_all_boxes_and_to_be_of_boxes(
    db: Database, tmp_path: Path
) -> None:
    with pytest.raises(PredictionError, match=r"35 pictures with boxes in .* '00.jpg'"):
        db.log_predictions("det", csv(tmp_path), classes=["car"], looked_at="id > '50'")
    with pytest.raises(PredictionError, match="has no boxes, so looked_at="):
        table = pa.table({"id": IDS, "prediction": ["car"] * N})
        db.log_predictions("cls", table, looked_at="status = 'ok'")


def test_the_shell_says_it_too(db: Database, tmp_path: Path) -> None:
    file = str(csv(tmp_path))

    def run(*words: str) -> str:
        out = io.StringIO()
        ended = contextlib.suppress(SystemExit)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), ended:
            main([*words, "--db", db.path])
        return out.getvalue()

    said = run("log-predictions", "det", file, "--classes", "car")
    assert "25 of 60 annotated pictures have no row" in said
    assert "25 of 60 pictures of all have no row" in run("evaluate", "det")
    said = run("log-predictions", "det2", file, "--classes", "car", "--looked-at", "status = 'ok'")
    assert "det2: 60 predictions" in said and "no row" not in said


def test_n_counts_images_in_every_row_and_boxes_stand_beside(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "n.slicedb")
    ids = [f"{i}.jpg" for i in range(12)]
    db.store.create(SAMPLES, SAMPLES_SCHEMA)
    cars = [box("car", 20 * j, 1, 10, 10) for j in range(5)]
    truth = [[*cars, box("bus", 50, 50, 30, 30)] if i < 4 else cars for i in range(12)]
    found = [[{**one, "score": 0.9} for one in row] for row in truth]
    columns = {"id": ids, "key": keys_of(ids), "objects": objects(truth), "status": [OK] * 12}
    db.store.upsert(SAMPLES, pa.table(columns))
    db.log_predictions("det", pa.table({"id": ids, "objects": objects(found)}))
    shown = db.evaluate("det", metrics=["map", "recall", "precision"], per_class=True)
    rows = [(r["metric"], r["of"], r["n"], r["boxes"]) for r in shown.to_arrow().to_pylist()]
    assert rows == [
        (metric, of, n, boxes)
        for metric in ("map", "recall", "precision")
        for of, n, boxes in ((None, 12, 64), ("bus", 4, 4), ("car", 12, 60))
    ]
    head = str(shown).splitlines()[0].split()
    assert head[:5] == ["slice", "metric", "images", "boxes", "left"]
