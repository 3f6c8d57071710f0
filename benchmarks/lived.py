"""Time every verb on a database that has lived, beside a fresh copy of the same rows.

    python benchmarks/lived.py --dir SCRATCH [--rows 1000000] [--edits 1000]

The database is built once into `--dir` and used again: three logged models, twenty slices, mixed
edits of one sample each (tag, relabel, log, delete), half of them on a second branch. The fresh
one has the same rows, written at once. The verbs run on copies of both, in turn; printed is the
median of processor seconds over `--repeat` runs after a first one, which loads what is imported.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

import slicedb
from slicedb.schema import PREDICTIONS, SAMPLES, keys_of

CLASSES = list("abcdefghij")
MODELS = ("one", "two", "three")
SLICES = 20

Verb = Callable[[slicedb.Database, int], object]


def named(ids: list[str], i: int) -> str:
    """Return a predicate of one sample."""
    return f"id = '{ids[-1 - i]}'"


def predictions(ids: list[str], rng: np.random.Generator) -> pa.Table:
    """Return predictions of samples."""
    classes = np.array(CLASSES)[rng.integers(0, len(CLASSES), len(ids))]
    return pa.table({"id": ids, "prediction": classes, "confidence": rng.random(len(ids))})


def build(folder: Path, rows: int, edits: int) -> None:
    """Build the database with a history."""
    rng = np.random.default_rng(0)
    db = slicedb.open(folder)
    ids = [f"s{i:08d}" for i in range(rows)]
    db.store.add_columns(SAMPLES, [pa.field("weight", pa.float64())])
    columns = {
        "id": ids,
        "key": keys_of(ids),
        "label": np.array(CLASSES)[rng.integers(0, len(CLASSES), rows)],
        "split": np.array(["train", "test"])[rng.integers(0, 2, rows)],
        "weight": rng.random(rows),
        "status": ["ok"] * rows,
    }
    db.store.append(SAMPLES, pa.table(columns))
    for model in MODELS:
        db.log_predictions(model, predictions(ids, rng), classes=CLASSES)
    for i in range(SLICES):
        label = CLASSES[i % len(CLASSES)]
        db.slices.add(f"slice_{i}", f"label = '{label}' AND weight < {0.05 * (i + 1):.2f}")
    db.commit("as it was logged")
    chosen = rng.permutation(rows // 2)[:edits]
    edit(db, [ids[i] for i in chosen[: edits // 2]], rng)
    db.commit("half of the edits")
    db.commits.branch("side")
    edit(db, [ids[i] for i in chosen[edits // 2 :]], rng)
    db.commit("the other half")


def edit(db: slicedb.Database, ids: list[str], rng: np.random.Generator) -> None:
    """Edit one sample after the other, each in another way."""
    for i, name in enumerate(ids):
        match i % 4:
            case 0:
                db.tag(f"id = '{name}'", "seen")
            case 1:
                db.relabel(f"id = '{name}'", CLASSES[i % len(CLASSES)])
            case 2:
                db.log_predictions(MODELS[i % len(MODELS)], predictions([name], rng))
            case _:
                db.delete(f"id = '{name}'")


def copy_rows(lived: Path, fresh: Path) -> None:
    """Write the rows of a database into a new one, each table at once."""
    old, new = slicedb.open(lived).store, slicedb.open(fresh).store
    for name in (SAMPLES, *(PREDICTIONS + model for model in MODELS), "slices"):
        if name == SAMPLES:
            new.add_columns(name, [pa.field("weight", pa.float64())])
        else:
            new.create(name, old.schema(name))
        new.append(name, old.table(name))


def verbs(ids: list[str]) -> dict[str, Verb]:
    """Return what is timed, by name; each call of a verb gets another number."""
    rng = np.random.default_rng(1)
    n = len(ids)
    return {
        "ids of 1 %, warm": lambda db, i: db.query("key % 100 = 99").ids(),
        "count of two conditions, warm": lambda db, i: db.query("label <> one.prediction").count(),
        "take 1,000 rows by key": lambda db, i: db.store.take(
            SAMPLES, keys_of(ids[n // 2 : n // 2 + 1000]), ["id", "label"]
        ),
        "tag 1": lambda db, i: db.tag(named(ids, i), "new"),
        "relabel 1": lambda db, i: db.relabel(named(ids, i), "z"),
        "log 1": lambda db, i: db.log_predictions("one", predictions([ids[-1 - i]], rng)),
        "ids of 1 %, after an edit": lambda db, i: db.query("key % 100 = 99").ids(),
        "states of 20 slices": lambda db, i: db.slices.states(),
        "evaluate a model on 20 slices": lambda db, i: db.evaluate(["one"]),
        "relabel 1 %": lambda db, i: db.relabel(f"key % 100 = {i}", "z"),
        "delete 1": lambda db, i: db.delete(named(ids, i)),
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


def main() -> None:
    """Build what is missing, run every verb and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--edits", type=int, default=1_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    folders = {
        name: options.dir / f"{name}-{options.rows}-{options.edits}.slicedb"
        for name in ("lived", "fresh")
    }
    if not folders["fresh"].exists():
        options.dir.mkdir(parents=True, exist_ok=True)
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)
        build(folders["lived"], options.rows, options.edits)
        copy_rows(folders["lived"], folders["fresh"])
    databases = {}
    for name, folder in folders.items():
        work = options.dir / f"work-{name}.slicedb"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(folder, work)
        databases[name] = slicedb.open(work)
    ids = sorted(databases["fresh"].store.table(SAMPLES, ["id"])["id"].to_pylist())
    print(f"{options.rows:,} rows, {options.edits:,} edits; processor seconds, median")
    print(f"{'':32}{'lived':>9}{'fresh':>9}{'ratio':>7}")
    number = 0
    for title, verb in verbs(ids).items():
        seconds: dict[str, list[float]] = {name: [] for name in databases}
        for _ in range(options.repeat + 1):
            number += 1
            for name, db in databases.items():
                if title == "ids of 1 %, after an edit":
                    db.tag(named(ids, number), "again")
                seconds[name].append(timed(verb, db, number))
        lived, fresh = (statistics.median(seconds[name][1:]) for name in ("lived", "fresh"))
        print(f"{title:32}{lived:9.3f}{fresh:9.3f}{lived / fresh:7.2f}", flush=True)


if __name__ == "__main__":
    main()
