"""Time every verb on a database that has lived, beside a fresh copy of the same rows.

    python benchmarks/lived.py --dir SCRATCH [--rows 1000000] [--edits 1000]
    python benchmarks/lived.py --dir SCRATCH --growth [--edits 200]

The database is built once into `--dir`, by a process of its own and in parts, and used again: three
logged models, twenty slices, mixed edits of one sample each (tag, relabel, log, delete), half of
them on a second branch. The fresh one has the same rows, written at once. The verbs run on copies
of both, in turn; printed is the median of processor seconds over `--repeat` runs after a first one,
which loads what is imported, and the most memory that the process held during a verb on the lived
one. `--growth` does so at 100,000, 1,000,000 and 3,000,000 rows and prints for each verb the
exponent e of cost ~ rows ** e: 0 is flat, 1 linear.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import slicedb
from slicedb.schema import PREDICTIONS, SAMPLES, keys_of

CLASSES = list("abcdefghij")
MODELS = ("one", "two", "three")
SLICES = 20
SIZES = (100_000, 1_000_000, 3_000_000)
DONE = ".built"
PART = 1 << 18
"""Rows that are made and written at once."""

Verb = Callable[[slicedb.Database, int], object]


def ids_of(start: int, stop: int) -> pa.Array:
    """Return the ids of samples by their numbers."""
    numbers = pa.array(np.arange(start, stop)).cast(pa.string())
    return pc.binary_join_element_wise("s", pc.utf8_lpad(numbers, 8, "0"), "")


def named(rows: int, i: int) -> str:
    """Return a predicate of one sample, counted from the last."""
    return f"id = '{ids_of(rows - 1 - i, rows - i)[0]}'"


def predictions(ids: pa.Array, rng: np.random.Generator) -> pa.Table:
    """Return predictions of samples."""
    codes = pa.array(rng.integers(0, len(CLASSES), len(ids)))
    classes = pa.array(CLASSES).take(codes)
    return pa.table({"id": ids, "prediction": classes, "confidence": rng.random(len(ids))})


def samples(ids: pa.Array, rng: np.random.Generator) -> pa.Table:
    """Return samples without pictures."""
    n = len(ids)
    columns = {
        "id": ids,
        "key": keys_of(ids),
        "label": pa.array(CLASSES).take(pa.array(rng.integers(0, len(CLASSES), n))),
        "split": pa.array(["train", "test"]).take(pa.array(rng.integers(0, 2, n))),
        "weight": rng.random(n),
        "status": pa.repeat("ok", n),
    }
    return pa.table(columns)


def build(folder: Path, rows: int, edits: int) -> None:
    """Build the database with a history."""
    rng = np.random.default_rng(0)
    db = slicedb.open(folder)
    db.store.add_columns(SAMPLES, [pa.field("weight", pa.float64())])
    for start in range(0, rows, PART):
        db.store.append(SAMPLES, samples(ids_of(start, min(rows, start + PART)), rng))
    for model in MODELS:
        db.log_predictions(model, predictions(ids_of(0, rows), rng), classes=CLASSES)
    for i in range(SLICES):
        label = CLASSES[i % len(CLASSES)]
        db.slices.add(f"slice_{i}", f"label = '{label}' AND weight < {0.05 * (i + 1):.2f}")
    db.commit("as it was logged")
    chosen = rng.permutation(rows // 2)[:edits].tolist()
    edit(db, chosen[: edits // 2], rng)
    db.commit("half of the edits")
    db.commits.branch("side")
    edit(db, chosen[edits // 2 :], rng)
    db.commit("the other half")


def edit(db: slicedb.Database, numbers: list[int], rng: np.random.Generator) -> None:
    """Edit one sample after the other, each in another way."""
    for i, number in enumerate(numbers):
        name = ids_of(number, number + 1)
        match i % 4:
            case 0:
                db.tag(f"id = '{name[0]}'", "seen")
            case 1:
                db.relabel(f"id = '{name[0]}'", CLASSES[i % len(CLASSES)])
            case 2:
                db.log_predictions(MODELS[i % len(MODELS)], predictions(name, rng))
            case _:
                db.delete(f"id = '{name[0]}'")


def copy_rows(lived: Path, fresh: Path) -> None:
    """Write the rows of a database into a new one, each table at once."""
    old, new = slicedb.open(lived).store, slicedb.open(fresh).store
    for name in (SAMPLES, *(PREDICTIONS + model for model in MODELS), "slices"):
        if name == SAMPLES:
            new.add_columns(name, [pa.field("weight", pa.float64())])
        else:
            new.create(name, old.schema(name))
        for batch in old.scan(name, batch_size=PART):
            new.append(name, batch)


def verbs(n: int) -> dict[str, Verb]:
    """Return what is timed of n rows, by name; each call of a verb gets another number."""
    rng = np.random.default_rng(1)
    return {
        "ids of 1 %, warm": lambda db, i: db.query("key % 100 = 99").ids(),
        "count of two conditions, warm": lambda db, i: db.query("label <> one.prediction").count(),
        "take 1,000 rows by key": lambda db, i: db.store.take(
            SAMPLES, db.keys("")[n // 2 : n // 2 + 1000], ["id", "label"]
        ),
        "tag 1": lambda db, i: db.tag(named(n, i), "new"),
        "relabel 1": lambda db, i: db.relabel(named(n, i), "z"),
        "log 1": lambda db, i: db.log_predictions(
            "one", predictions(ids_of(n - 1 - i, n - i), rng)
        ),
        "ids of 1 %, after an edit": lambda db, i: db.query("key % 100 = 99").ids(),
        "states of 20 slices": lambda db, i: db.slices.states(),
        "evaluate a model on 20 slices": lambda db, i: db.evaluate(["one"]),
        "relabel 1 %": lambda db, i: db.relabel(f"key % 100 = {i}", "z"),
        "delete 1": lambda db, i: db.delete(named(n, i)),
        "delete 1 %": lambda db, i: db.delete(f"key % 100 = {i}"),
        "commit": lambda db, i: db.commit(f"after {i}"),
        "doctor": lambda db, i: db.doctor(),
        "info": lambda db, i: db.info(),
    }


def timed(verb: Verb, db: slicedb.Database, i: int) -> float:
    """Return the processor seconds of a call."""
    started = time.process_time()
    verb(db, i)
    return time.process_time() - started


def forget_peak() -> None:
    """Let the peak of this process's memory begin anew, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def peak() -> int:
    """Return the peak since then, in MiB."""
    try:
        return (
            int(Path("/proc/self/status").read_text(encoding="utf-8").split("VmHWM:")[1].split()[0])
            // 1024
        )
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def prepared(options: argparse.Namespace, names: list[str]) -> dict[str, Path]:
    """Build what is missing, in processes of their own, and return the folders."""
    folders = {
        name: options.dir / f"{name}-{options.rows}-{options.edits}.slicedb" for name in names
    }
    options.dir.mkdir(parents=True, exist_ok=True)
    for name, folder in folders.items():
        if not (folder / DONE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            size = ["--rows", str(options.rows), "--edits", str(options.edits)]
            where = ["--dir", str(options.dir), "--build", name]
            subprocess.run([sys.executable, __file__, *where, *size], check=True)
    return folders


def built(options: argparse.Namespace) -> None:
    """Build one of the two databases."""
    folder = options.dir / f"{options.build}-{options.rows}-{options.edits}.slicedb"
    if options.build == "lived":
        build(folder, options.rows, options.edits)
    else:
        copy_rows(options.dir / folder.name.replace("fresh", "lived"), folder)
    (folder / DONE).touch()
    print(f"built {options.build} of {options.rows:,} rows, at most {peak():,} MiB", flush=True)


def compare(options: argparse.Namespace, names: list[str]) -> dict[str, dict[str, float]]:
    """Run every verb on copies of some databases; return medians and the peak of each."""
    databases = {}
    for name, folder in prepared(options, names).items():
        work = options.dir / f"work-{name}.slicedb"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(folder, work)
        databases[name] = slicedb.open(work)
    results: dict[str, dict[str, float]] = {}
    number = 0
    for title, verb in verbs(options.rows).items():
        seconds: dict[str, list[float]] = {name: [] for name in databases}
        most = 0
        for _ in range(options.repeat + 1):
            number += 1
            for name, db in databases.items():
                if title == "ids of 1 %, after an edit":
                    db.tag(named(options.rows, number), "again")
                forget_peak()
                seconds[name].append(timed(verb, db, number))
                most = max(most, peak()) if name == "lived" else most
        results[title] = {name: statistics.median(seconds[name][1:]) for name in names}
        results[title]["MiB"] = most
        if options.json is None:
            show(title, results[title])
    return results


def show(title: str, row: dict[str, float]) -> None:
    """Print a row of the comparison."""
    ratio = row["lived"] / row["fresh"]
    print(
        f"{title:32}{row['lived']:9.3f}{row['fresh']:9.3f}{ratio:7.2f}{row['MiB']:8,.0f}",
        flush=True,
    )


def growth(options: argparse.Namespace) -> None:
    """Run the verbs at three sizes, each in a process of its own, and print how costs grow."""
    rows: dict[int, dict[str, dict[str, float]]] = {}
    for size in SIZES:
        file = options.dir / f"growth-{size}.json"
        command = [sys.executable, __file__, "--dir", str(options.dir), "--rows", str(size)]
        command += ["--edits", str(options.edits), "--repeat", str(options.repeat)]
        subprocess.run([*command, "--json", str(file)], check=True)
        rows[size] = json.loads(file.read_text())
    sizes = "".join(f"{size:>11,}" for size in SIZES)
    print(f"{options.edits:,} edits; processor seconds, median")
    print(f"{'':32}{sizes}{'exponent':>10}{'MiB':>8}")
    for title in rows[SIZES[0]]:
        costs = [rows[size][title]["lived"] for size in SIZES]
        exponent = math.log(costs[-1] / costs[0]) / math.log(SIZES[-1] / SIZES[0])
        shown = "".join(f"{cost:11.3f}" for cost in costs)
        print(f"{title:32}{shown}{exponent:10.2f}{rows[SIZES[-1]][title]['MiB']:8,.0f}")


def main() -> None:
    """Build what is missing, run every verb and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--edits", type=int, default=1_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--build", choices=("lived", "fresh"), help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        built(options)
    elif options.growth:
        growth(options)
    elif options.json is not None:
        options.json.write_text(json.dumps(compare(options, ["lived"])))
    else:
        print(f"{options.rows:,} rows, {options.edits:,} edits; processor seconds, median")
        print(f"{'':32}{'lived':>9}{'fresh':>9}{'ratio':>7}{'MiB':>8}")
        compare(options, ["lived", "fresh"])


if __name__ == "__main__":
    main()
