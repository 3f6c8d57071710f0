"""Write `first_format.tar.xz`: a small database by the SliceDB of commit d45174f, and its answers.

Run it with that commit on the path, once; `tests/test_first_format.py` opens the result:

    git worktree add /tmp/first d45174f
    PYTHONPATH=/tmp/first python tests/data/first_format.py
"""

from __future__ import annotations

import io
import json
import math
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

import slicedb

HERE = Path(__file__).parent
CLASSES = ("blue", "green", "red")
N = 18

PREDICATES = (
    "",
    "label = 'red'",
    "weather = 'rain' AND people > 2",
    "list_contains(tags, 'checked')",
    "night.correct AND NOT day.correct",
    "day.loss > 0.5 ORDER BY day.loss DESC",
    "in_slice('rainy') OR in_slice('kept')",
    "in_slice('squares')",
    "count_objects('car') > 1",
    "boxes.fn > 0",
    "people IS NULL",
    "search('bicycle') IS NOT NULL",
    "similarity('a red square') > -1 ORDER BY similarity('a red square') DESC LIMIT 5",
    "matches('a flower') OR similarity('a red square') > 0.05",
    "nearest(sample('05.png'), 4)",
)
SELECTS = (
    "SELECT label, count(*) AS n, avg(day.loss) AS loss FROM samples GROUP BY ALL ORDER BY label",
    "SELECT weather, sum(people) AS people FROM samples GROUP BY ALL ORDER BY weather",
    "SELECT id, width, height, format, bytes, sha256, phash, status, row_stamp FROM samples"
    " ORDER BY id",
    "SELECT id, day.confidence, day.margin, day.entropy, night.prediction FROM samples ORDER BY id",
    "SELECT id, boxes.tp, boxes.fp, boxes.fn, boxes.iou FROM samples ORDER BY id",
    "SELECT id, label, x, y, w, h FROM objects ORDER BY id, x",
)


def write(root: Path) -> slicedb.Database:
    """Make the pictures and the database below a folder, and give it a history."""
    rng = np.random.default_rng(7)
    db = slicedb.open(root / "old.slicedb")
    db.ingest(_pictures(root, rng))
    db.embed()
    ids = [f"{i:02d}.png" for i in range(N)]
    for name in ("day", "night"):
        logits = rng.normal(size=(N, 3)) + 2 * np.eye(3)[np.arange(N) % 3]
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        table = pa.table({"id": ids, "probabilities": p.tolist()})
        db.log_predictions(name, table, classes=CLASSES)
    db.log_predictions("boxes", pa.table({"id": ids, "objects": [_found(i) for i in range(N)]}))
    db.slices.add("rainy", "weather = 'rain'", expect=["accuracy >= 0.3", "count >= 3"])
    db.slices.add("kept", "people < 2")
    db.slices.freeze("kept")
    db.slices.add("squares", "matches('a red square')")
    db.slices.calibrate("squares", truth="label = 'red'", budget=N)
    db.commit("first", tag="clean")
    db.tag("people > 3", "checked")
    db.relabel("id = '03.png'", "green")
    db.delete("id = '17.png'")
    db.commit("edited")
    db.test(["rainy"], model="day", baseline="night")
    db.tag("id = '00.png'", "late")
    return db


def _pictures(root: Path, rng: np.random.Generator) -> Path:
    rows = []
    for i in range(N):
        pixels = np.full((16 + i % 5, 20, 3), 40, np.uint8) + rng.integers(0, 9, 3, np.uint8)
        pixels[4:12, 3 : 9 + i % 8, 2 - i % 3] = 220
        Image.fromarray(pixels).save(root / f"{i:02d}.png")
        objects = [
            {"label": "car", "bbox": [1.0 + j, 2.0, 5.0, 4.0 + j], "attributes": {"j": j}}
            for j in range(i % 3)
        ]
        rows.append(
            {
                "path": f"{i:02d}.png",
                "label": CLASSES[i % 3],
                "split": ("train", "val", "test")[i % 3 if i < 12 else 2],
                "weather": ("rain", "sun", "fog")[i % 4 % 3],
                "people": None if i % 7 == 6 else i % 6,
                "caption": f"a {('car', 'bicycle')[i % 2]} number {i}",
                "objects": json.dumps(objects) if i % 4 else None,
            }
        )
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(rows), root / "table.parquet")
    return root / "table.parquet"


def _found(i: int) -> list[dict[str, Any]]:
    return [
        {"label": "car", "bbox": [1.5, 2.0, 5.0, 4.0], "score": 0.9 - i / 40},
        {"label": "car", "bbox": [2.0, 2.0, 5.0, 5.0], "score": 0.6},
    ][: 1 + i % 2]


def answers(db: slicedb.Database) -> dict[str, Any]:
    """Return what a database says, as plain JSON with six digits; it is not changed."""
    models = ["day", "night", "boxes"]
    said: dict[str, Any] = {
        "queries": {text: db.query(text).ids() for text in PREDICATES},
        "tables": {text: db.sql(text).to_pylist() for text in SELECTS},
        "scores": db.query("similarity('a red square') > -1").to_arrow().num_rows,
        "evaluate": db.evaluate(models, record=False).to_arrow().to_pylist(),
        "confusion": db.confusion("day").to_arrow().to_pylist(),
        "slices": {s.name: [s.kind, s.version, s.text, s.ids()] for s in db.slices},
        "calibration": str(db.slices.get("squares").calibration),
        "history": [[c.message, c.branch, list(c.tags), c.tables] for c in db.commits.history()],
        "clean": {text: db.query(text, at="clean").ids() for text in PREDICATES},
        "runs": db.runs.list().drop_columns(["software"]).to_pylist(),
        "trends": db.runs.trends().to_arrow().to_pylist(),
        "doctor": [str(finding) for finding in db.doctor()],
        "images": {key: len(data) for key, data in db.store.read_images(db.keys())},
    }
    change = db.diff("clean")
    said["diff"] = [change.added, change.removed, change.relabelled, list(map(str, change.slices))]
    test = db.test(["rainy"], model="day", baseline="night", write=False)
    said["test"] = [[r.check, r.verdict, r.value, r.low, r.high, r.n] for r in test.results]
    return dict(json.loads(json.dumps(_rounded(said), default=str)))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.6g}")
    return value


def main() -> None:
    """Write the zip beside this file."""
    root = Path(tempfile.mkdtemp())
    write(root)
    shutil.rmtree(root / "old.slicedb" / ".cache", ignore_errors=True)
    files = sorted(file for file in (root / "old.slicedb").rglob("*") if file.is_file())
    contents = {str(file.relative_to(root)): file.read_bytes() for file in files}
    said = json.dumps(answers(slicedb.open(root / "old.slicedb")), ensure_ascii=False, indent=0)
    contents["answers.json"] = said.encode()
    with tarfile.open(HERE / "first_format.tar.xz", "w:xz", preset=9) as archive:
        for name, data in contents.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    shutil.rmtree(root)
    print((HERE / "first_format.tar.xz").stat().st_size, "bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
