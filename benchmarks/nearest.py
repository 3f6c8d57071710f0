"""Time the best 100 by a text inside a filter of some 500 of 50,000 x 512 rows, beside NumPy.

    python benchmarks/nearest.py --dir SCRATCH

NumPy has the columns and the vectors in memory: it compares the columns, gathers the rows,
multiplies and sorts. SliceDB is given a text each time that nobody asked before, parses, plans,
filters and lists ids. Medians in milliseconds, taken in turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from query import DIM, FixedEncoder, build, engine_of

ROWS = 50_000


def main() -> None:
    """Build what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--repeat", type=int, default=31)
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    store = build(options.dir, ROWS, vectors=True)
    engine, encoder = engine_of(store), FixedEncoder()
    table = store.table("samples", ["camera", "label", "status"])
    camera = table["camera"].to_numpy()
    label, status = (np.array(table[name].to_pylist()) for name in ("label", "status"))
    matrix = engine.session.vectors.matrix("default")
    vectors = np.asarray(matrix.vectors, dtype=np.float32)
    condition = "camera < 5 AND label <> 'class_1'"
    number = 0

    def ours(filtered: str = condition) -> object:
        nonlocal number
        number += 1
        text = f"{filtered} ORDER BY similarity('{'x' * number}') DESC LIMIT 100"
        return engine.query(text).ids()

    def another() -> object:
        return ours(f"{condition} AND width < {10**6 + number}")

    def bare() -> object:
        target = encoder.encode_prompt("x" * number)
        rows = np.flatnonzero((camera < 5) & (label != "class_1") & (status == "ok"))
        scores = vectors[rows] @ target  # (m, d) @ (d,) -> (m,)
        return rows[np.argsort(-scores, kind="stable")[:100]]

    calls: dict[str, Callable[[], object]] = {
        "numpy": bare,
        "slicedb, a new text": ours,
        "slicedb, a new text and filter": another,
    }
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(options.repeat):
        for name, call in calls.items():
            started = time.process_time()
            call()
            spent[name].append(1000 * (time.process_time() - started))
    print(f"{engine.query(condition).count()} of {ROWS:,} x {DIM} rows; processor ms, medians")
    theirs = statistics.median(spent["numpy"])
    for name, each in spent.items():
        print(f"{name:32}{statistics.median(each):8.2f}{statistics.median(each) / theirs:8.1f}")


if __name__ == "__main__":
    main()
