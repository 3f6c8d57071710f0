"""Slices and versions at scale: overlap, coverage, breakdown, diffs with reasons, commits.

    python benchmarks/slices.py [--rows 1000000] [--slices 200]

Prints seconds of the wall and of the processor (all threads), the median of three. The overlap is
compared with the loop over pairs of sorted arrays that one would write first, on as many pairs
as it gets through in ten seconds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import slicedb
from slicedb.schema import PREDICTIONS, keys_of
from slicedb.slices.overlap import overlap
from slicedb.tasks import TASKS

LABELS = [f"class{i}" for i in range(20)]


def timed(title: str, work: Callable[[], Any], repeats: int = 3) -> Any:
    """Print and return what `work` gives, with its seconds."""
    wall, cpu = [], []
    for _ in range(repeats):
        started, used = time.perf_counter(), time.process_time()
        found = work()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    print(f"{title:58} {statistics.median(wall):8.3f} s wall {statistics.median(cpu):8.3f} s cpu")
    return found


def build(path: Path, n: int) -> slicedb.Database:
    """Write n samples, labelled and split, and a model that is right of nine in ten."""
    db = slicedb.open(path)
    random = np.random.default_rng(0)
    db.store.add_columns("samples", [pa.field("lux", pa.float64())])
    names = pa.array(LABELS)
    for start in range(0, n, 250_000):
        m = min(250_000, n - start)
        ids = [f"{i:08}.jpg" for i in range(start, start + m)]
        keys, code = keys_of(ids), random.integers(0, 20, m)
        label = names.take(pa.array(code))
        split = pa.array(["train", "val", "test"]).take(pa.array(random.integers(0, 3, m)))
        rows = {
            "id": ids,
            "key": keys,
            "label": label,
            "split": split,
            "lux": random.random(m),
            "status": ["ok"] * m,
        }
        db.store.append("samples", pa.table(rows))
        right = random.random(m) < 0.9
        said = names.take(pa.array(np.where(right, code, (code + 1) % 20)))
        table = PREDICTIONS + "v1"
        db.store.create(table, TASKS["classification"].schema(None))
        db.store.append(
            table,
            pa.table(
                {"id": ids, "key": keys, "prediction": said, "label": label, "correct": right}
            ),
        )
    return db


def pairs_by_hand(members: list[np.ndarray]) -> float:
    """Return the seconds that all pairs would take one by one."""
    done, used = 0, time.process_time()
    for i, a in enumerate(members):
        for b in members[i + 1 :]:
            len(np.intersect1d(a, b, assume_unique=True))
            done += 1
            if time.process_time() - used > 10:
                break
        else:
            continue
        break
    every = len(members) * (len(members) - 1) / 2
    return (time.process_time() - used) / done * every


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--slices", type=int, default=200)
    options = parser.parse_args()
    n = options.rows
    with tempfile.TemporaryDirectory() as folder:
        db = build(Path(folder) / "big.slicedb", n)
        keys = db.keys()
        random = np.random.default_rng(1)
        for title, share in (("5 %", 0.05), ("1 %", 0.01)):
            members = {f"s{i}": keys[random.random(n) < share] for i in range(options.slices)}
            what = f"overlap of {options.slices} slices of {title}"
            timed(what, partial(overlap, db.store, members))
            slow = pairs_by_hand(list(members.values()))
            print(f"{'  the same pair by pair, extrapolated':58} {'':16} {slow:10.1f} s cpu")
        for i in range(10):
            db.slices.add(f"q{i}", f"lux < {(i + 1) / 20} AND label <> 'class{i}'")
        db.slices.overlap()
        timed("slices.overlap(), 10 live slices", db.slices.overlap)
        timed("slices.coverage('v1'), 10 live slices", lambda: db.slices.coverage("v1"))
        timed("slices.breakdown(), 10 live slices", db.slices.breakdown)
        db.slices.add("cats", "label IN ('class1', 'class2', 'class3') AND v1.correct")
        frozen = timed("freeze 135,000 members", lambda: db.slices.freeze("cats"), 1)
        db.commit("before", tag="before")
        some = db.query("label = 'class1' LIMIT 20000")
        timed("relabel 20,000", lambda: db.relabel(some, "class9"), 1)
        db.delete("label = 'class2' LIMIT 5000")
        found = timed(
            "slice diff, frozen against now, with reasons", lambda: db.slices.diff("cats")
        )
        print(f"    of {frozen.count():,}: {found.counts}")
        timed("slice diff between commits", lambda: db.slices.diff("cats", before="before"))
        timed("diff of commits: samples and 11 slices", lambda: db.diff("before"))
        timed("query at the commit, warm", lambda: db.query("lux < 0.1", at="before").count())
        timed("states of 11 slices", db.slices.states)


if __name__ == "__main__":
    main()
