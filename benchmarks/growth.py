"""How processor time and memory of the verbs grow with the number of samples.

    python benchmarks/growth.py --dir SCRATCH [--rows 100000 1000000 3000000]

Each database has two models with ten probabilities, twenty slices and twenty edits; it is built
once into `--dir` and used again. Each verb runs in a process of its own, once to fill the caches,
then measured: processor seconds of the verb, and the peak of resident memory of the process.
Edits of one sample are said four times in one process, and the median of the last three counts.
Behind each line stands the exponent e of cost ~ rows ** e between the least and the most rows:
0 is flat, 1 linear.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

CLASSES = list("abcdefghij")
SLICES = 20
CHUNK = 250_000

VERBS = {
    "first query of a process": 'db.query("label <> one.prediction AND weight < 0.1").ids()',
    "count": "db.query(\"label = 'a' AND one.confidence > 0.5\").count()",
    "to_arrow of 1 %": "db.query('key % 100 = 3').to_arrow()",
    "group by": "db.sql('SELECT label, avg(one.confidence) FROM samples GROUP BY ALL')",
    "states of 20 slices": "db.slices.states()",
    "evaluate on 20 slices": "db.evaluate(['one'])",
    "compare on 20 slices": "db.compare('one', 'two')",
    "confusion": "db.confusion('one')",
    "errors": "db.errors('one')",
    "test": "db.test(model='one')",
    "diff": "db.diff()",
    "doctor": "db.doctor()",
    "info": "db.info()",
    "history": "db.commits.history()",
    "functions": "db.engine and __import__('slicedb.query').query.functions()",
}

EDITS = {
    "tag 1": "db.tag(f\"id = '{name}'\", 'late')",
    "relabel 1": "db.relabel(f\"id = '{name}'\", 'i')",
    "log 1": "db.log_predictions('one', {'id': [name], 'probabilities': [[0.1] * 10]})",
    "delete 1": "db.delete(f\"id = '{name}'\")",
}

RUN = """
import json, sys, time
started = time.process_time()
import slicedb
db = slicedb.open(sys.argv[1])
{verb}
spent = time.process_time() - started
lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
peak = int(lines["VmHWM"].split()[0]) / 1024
print(json.dumps([spent, peak]))
"""

EDIT = """
import random, statistics, time
times = []
for number in random.sample(range(db.store.count("samples") * 9 // 10), 4):
    name = f"train/{{number:08d}}.jpg"
    started = time.process_time()
    {edit}
    times.append(time.process_time() - started)
spent = statistics.median(times[1:])
"""


def build(folder: Path, rows: int) -> None:
    """Build a database, piece by piece."""
    import slicedb
    from slicedb.schema import SAMPLES, keys_of

    rng = np.random.default_rng(0)
    db = slicedb.open(folder)
    db.store.add_columns(SAMPLES, [pa.field("weight", pa.float64())])
    for start in range(0, rows, CHUNK):
        n = min(CHUNK, rows - start)
        ids = [f"train/{i:08d}.jpg" for i in range(start, start + n)]
        label = rng.integers(0, len(CLASSES), n)
        db.store.append(
            SAMPLES,
            pa.table(
                {
                    "id": ids,
                    "key": keys_of(ids),
                    "label": np.array(CLASSES)[label],
                    "weight": rng.random(n),
                    "status": ["ok"] * n,
                }
            ),
        )
        for model in ("one", "two"):
            logits = rng.normal(size=(n, len(CLASSES))).astype(np.float32)
            logits[np.arange(n), label] += 2
            p = np.exp(logits)
            p /= p.sum(axis=1, keepdims=True)
            flat = pa.FixedSizeListArray.from_arrays(pa.array(p.ravel()), len(CLASSES))
            db.log_predictions(
                model,
                pa.table(
                    {
                        "id": ids,
                        "prediction": np.array(CLASSES)[p.argmax(axis=1)],
                        "confidence": p.max(axis=1),
                        "probabilities": flat,
                    }
                ),
                classes=CLASSES,
            )
    for i in range(SLICES):
        label = CLASSES[i % len(CLASSES)]
        text = f"label = '{label}' AND weight < {0.05 * (i + 1):.2f}"
        db.slices.add(f"slice_{i}", text, expect=["accuracy >= 0.3"])
    db.commit("built")
    for i in range(SLICES):
        if i % 2:
            db.relabel(f"id = 'train/{i:08d}.jpg'", "j")
        else:
            db.tag(f"id = 'train/{i:08d}.jpg'", "seen")


def program(title: str) -> str:
    """Return the program that measures a verb or an edit."""
    if title in VERBS:
        return RUN.format(verb=VERBS[title])
    before, after = RUN.split("{verb}\nspent = time.process_time() - started\n")
    return before + EDIT.format(edit=EDITS[title]) + after


def measured(folder: Path, verb: str) -> tuple[float, float]:
    """Return processor seconds, and MiB at the peak, of a process that calls a verb."""
    for _ in range(1 if verb in EDITS else 2):
        command = [sys.executable, "-c", program(verb), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{verb}: {done.stderr.strip().splitlines()[-1]}")
    spent, peak = json.loads(done.stdout.splitlines()[-1])
    return spent, peak


def main() -> None:
    """Build what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 3_000_000])
    titles = [*VERBS, *EDITS]
    parser.add_argument("--only", nargs="+", choices=titles, default=titles)
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    options.dir.mkdir(parents=True, exist_ok=True)
    folders = {rows: options.dir / f"growth-{rows}.slicedb" for rows in options.rows}
    for rows, folder in folders.items():
        if not folder.exists():
            scratch = folder.with_suffix(".partial")
            build(scratch, rows)
            scratch.rename(folder)
    head = "".join(f"{rows:>14,} rows" for rows in folders)
    print(f"processor seconds (peak MiB)\n{'':26}{head}  exponent")
    for title in options.only:
        cells = [measured(folder, title) for folder in folders.values()]
        shown = "".join(f"{spent:10.3f} ({peak:5.0f})" + " " for spent, peak in cells)
        growth = max(folders) / min(folders)
        exponent = math.log(cells[-1][0] / cells[0][0]) / math.log(growth) if growth > 1 else 0
        print(f"{title:26}{shown}{exponent:9.2f}", flush=True)


if __name__ == "__main__":
    main()
