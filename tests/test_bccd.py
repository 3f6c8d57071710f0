"""Blood cells: real photos with Pascal VOC boxes and a detector from a file, by command line."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
from fakes_boxes import coco
from fakes_cells import NAMES

import slicedb
from slicedb.cli import main
from slicedb.schema import SAMPLES

pytestmark = [pytest.mark.realdata, pytest.mark.slow]

SUITE = """/*
slice: white_cells
expect:
  - ap50 of WBC >= 0.85
  - recall at iou 0.5 of WBC >= 0.9
  - ap50 of RBC >= 0.8
  - map of WBC no worse than blunt by 0.01
  - count >= 30
*/
split = 'val' AND len(objects) > 0
"""


def run(db: Path, *words: str, status: int = 0) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            code = main([*words, "--db", str(db)]) or 0
        except SystemExit as done:
            code = int(done.code or 0)
    assert code == status, out.getvalue()
    return out.getvalue()


def test_a_detector_from_ingest_to_verdict(shared_data: Path, tmp_path: Path) -> None:
    path, here = tmp_path / "cells.slicedb", Path(__file__).parent / "fakes_cells.py"
    run(path, "ingest", str(shared_data / "bccd" / "BCCD"))
    run(path, "model", "add", "cells", f"{here}:build")
    run(path, "model", "add", "blunt", f"{here}:build_blunt")
    said = run(path, "predict", "cells", "--on", "split = 'val'")
    assert "cells: 87 predicted" in said
    assert "87 unchanged" in run(path, "predict", "cells", "--on", "split = 'val'")
    shown = run(
        path,
        "evaluate",
        "cells",
        "--on",
        "split = 'val'",
        "--metric",
        "map",
        "--metric",
        "ap50",
        "--per-class",
        "-f",
        "csv",
    )
    db = slicedb.open(path)
    ids = sorted(db.query("split = 'val'").ids())
    held = _objects(db, SAMPLES, ids), _objects(db, "predictions__cells", ids)
    judge = coco(held[1], held[0], NAMES).stats_as_dict
    values = {
        (line.split(",")[2], line.split(",")[3].strip('"')): float(line.split(",")[4])
        for line in shown.splitlines()[1:]
    }
    assert values["map", ""] == pytest.approx(judge["AP_all"], abs=1e-9)
    assert values["ap50", ""] == pytest.approx(judge["AP_50"], abs=1e-9)
    assert values["ap50", "WBC"] > 0.9
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "white.sql").write_text(SUITE)
    told = run(path, "test", str(tmp_path / "queries"), "--model", "cells", status=1)
    verdicts = {r.check: r.verdict for r in db.test(tmp_path / "queries", model="cells").results}
    assert verdicts == {
        "ap50 of WBC >= 0.85": "PASS",
        "recall@0.5 of WBC >= 0.9": "PASS",
        "ap50 of RBC >= 0.8": "FAIL",
        "map of WBC no worse than blunt by 0.01": "PASS",
        "count >= 30": "PASS",
    }
    assert "FAIL" in told
    wrong = db.query("split = 'val' AND cells.fn > 0 AND NOT cells.correct AND cells.loss > 0.5")
    assert 0 < wrong.count() < 88
    assert "WBC" in run(path, "confusion", "cells", "--on", "split = 'val'")


def _objects(db: Any, table: str, ids: list[str]) -> list[Any]:
    from slicedb.schema import keys_of

    rows: list[Any] = db.store.take(table, keys_of(ids), ["objects"])["objects"].to_pylist()
    return [[{**one, "attributes": None} for one in row] for row in rows]
