"""Measure time and peak memory of the verbs on databases of up to ten million samples.

    python benchmarks/large.py --dir SCRATCH [--rows 1000000 10000000] [--vectors 200000 2000000]
    python benchmarks/large.py --dir SCRATCH --rows 100000 --vectors 20000 --only "four queries"

Each database has samples with six columns of metadata, two models with ten probabilities, and
vectors of 512 float16 numbers for its first samples, all loaded by the public verbs from Parquet
files. Every verb runs in a process of its own; an edit is said four times in one, and the median of
the last three counts. Printed are processor seconds and wall seconds of the verb, and two peaks of
the process in MiB: its resident memory, and the part of it that is no mapped file. Behind each verb
stands the exponent e of processor time ~ rows ** e between the two sizes: 0 is flat, 1 linear. The
four queries are asked warm beside a DuckDB file of the same rows, in turns.

Ten million rows need 20 GB of disk. What is built stays in `--dir` and is used again; without
`--keep` the databases are deleted at the end.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

CLASSES = list("abcdefghij")
DIM = 512
SLICES = 100
PART = 250_000
"""Rows that are made at once."""
LIMIT = 4096
"""MiB that no verb may pass."""

QUERIES = {
    "label and number": ("label = 'c' AND weight < 0.1", "s.label = 'c' AND s.weight < 0.1"),
    "wrong and sure": (
        "label <> one.prediction AND one.confidence > 0.9",
        "s.label <> a.prediction AND a.confidence > 0.9",
    ),
    "one right, the other wrong": (
        "one.correct AND NOT two.correct AND split = 'test'",
        "a.prediction = s.label AND b.prediction <> s.label AND s.split = 'test'",
    ),
    "the worst 100": ("ORDER BY one.confidence DESC, id LIMIT 100", ""),
}
"""Name -> what SliceDB is asked, and the condition for DuckDB (s, a, b); "" is written below."""

LOADS = {
    "load metadata": "db.ingest(files + '/meta.parquet', verify='later', progress=False)",
    "log a model": "db.log_predictions('one', files + '/one.parquet', classes=list('abcdefghij'))",
    "log another": "db.log_predictions('two', files + '/two.parquet', classes=list('abcdefghij'))",
    "log vectors": "db.log_embeddings('default', files + '/vectors.parquet', "
    "encoder='ViT-B-32', pretrained='random')",
    "add 100 slices": "for i in range(100): db.slices.add(f'slice_{i}', "
    "f\"label = '{'abcdefghij'[i % 10]}' AND weight < {0.01 * (i + 1):.2f}\")",
    "first commit": "db.commit('built')",
}
"""What builds the database, in this order."""

VERBS = {
    "first query, nothing kept yet": 'db.query("label <> one.prediction AND weight < 0.1").ids()',
    "four queries, a new process": "for text in texts: db.query(text).ids()",
    "text search, nothing kept yet": "db.query(\"ORDER BY similarity('a plate of laddu') DESC "
    'LIMIT 100").ids()',
    "text search, a new process": "db.query(\"ORDER BY similarity('a bowl of soup') DESC "
    'LIMIT 100").ids()',
    "matches, count": "db.query(\"matches('a bowl of soup')\").count()",
    "group by": "db.sql('SELECT label, avg(one.confidence) FROM samples GROUP BY ALL')",
    "evaluate on 100 slices": "db.evaluate(['one'])",
    "evaluate, loss and calibration": "db.evaluate(['one'], metrics=['log_loss', 'ece'])",
    "compare on 100 slices": "db.compare('one', 'two')",
    "confusion": "db.confusion('one')",
    "states of 100 slices": "db.slices.states()",
    "relabel 1 %": "db.relabel('key % 100 = 7', 'j')",
    "diff": "db.diff()",
    "info": "db.info()",
}

EDITS = {
    "slice add": "db.slices.add(f'new_{number}', f\"label = 'a' AND weight < 0.0{number + 1}\")",
    "slice freeze": "db.slices.freeze(f'slice_{number}')",
    "relabel 1": "db.relabel(f\"id = '{name}'\", 'i')",
    "tag 1": "db.tag(f\"id = '{name}'\", 'late')",
    "log 1": "db.log_predictions('one', {'id': [name], 'probabilities': [[0.1] * 10]})",
    "commit": "db.tag(f\"id = '{name}'\", 'committed'); started = clock(); db.commit('again')",
}

RUN = """
import json, sys, threading, time
state = {"own": 0, "done": False}
def watch():
    while not state["done"]:
        for line in open("/proc/self/status"):
            if line.startswith("RssAnon"):
                state["own"] = max(state["own"], int(line.split()[1]))
        time.sleep(0.02)
threading.Thread(target=watch, daemon=True).start()
def clock():
    return time.process_time(), time.perf_counter()
started = clock()
import slicedb
db = slicedb.open(sys.argv[1])
files, rows, texts = sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
{body}
spent = [b - a for a, b in zip(started, clock())] if spent is None else spent
lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
state["done"] = True
print(json.dumps([*spent, int(lines["VmHWM"].split()[0]) / 1024, state["own"] / 1024]))
"""

EDIT = """
import statistics
times = []
for number in range(4):
    name = "s%08d" % ((rows // 2 + 7919 * number) % rows)
    started = clock()
    {edit}
    times.append([b - a for a, b in zip(started, clock())])
spent = [statistics.median(column) for column in zip(*times[1:])]
"""


@dataclass(frozen=True)
class Cost:
    """What a verb took."""

    cpu: float
    """Processor seconds."""
    wall: float
    """Seconds."""
    peak: float
    """MiB of resident memory, mapped files counted."""
    own: float
    """MiB of memory that is no file's, sampled every 20 milliseconds."""


def numbered(start: int, n: int) -> pa.Array:
    """Return the ids of n samples."""
    texts = pa.array(np.arange(start, start + n)).cast(pa.string())
    return pc.binary_join_element_wise("s", pc.utf8_lpad(texts, 8, "0"), "")


def classes_of(codes: np.ndarray) -> pa.Array:
    """Return the class of each code."""
    return pa.array(CLASSES).take(pa.array(codes))


def labels_of(start: int, n: int) -> np.ndarray:
    """Return the number of the label of each sample, the same at each call."""
    return np.random.default_rng([start, 1]).integers(0, len(CLASSES), n)


def metadata(start: int, n: int) -> pa.Table:
    """Return n rows of metadata."""
    rng = np.random.default_rng([start, 2])
    columns = {
        "id": numbered(start, n),
        "label": classes_of(labels_of(start, n)),
        "split": pa.array(["train", "test"]).take(pa.array(rng.integers(0, 2, n))),
        "weather": pa.array(["sunny", "rain", "fog"]).take(pa.array(rng.integers(0, 3, n))),
        "people": rng.integers(0, 9, n),
        "weight": rng.random(n),
        "night": rng.random(n) < 0.3,
    }
    return pa.table(columns)


def predicted(start: int, n: int, seed: int) -> pa.Table:
    """Return the probabilities that a model gives n samples."""
    rng = np.random.default_rng([start, seed])
    logits = rng.standard_normal((n, len(CLASSES)), dtype=np.float32)
    logits[np.arange(n), labels_of(start, n)] += 2
    chances = np.exp(logits)
    chances /= chances.sum(axis=1, keepdims=True)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(chances.ravel()), len(CLASSES))
    return pa.table({"id": numbered(start, n), "probabilities": lists})


def vectors(start: int, n: int) -> pa.Table:
    """Return n vectors of random directions."""
    rng = np.random.default_rng([start, 5])
    values = rng.standard_normal((n, DIM), dtype=np.float32).astype(np.float16)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), DIM)
    return pa.table({"id": numbered(start, n), "vector": lists})


def parts(total: int) -> Iterator[tuple[int, int]]:
    """Yield the first row and the number of rows of each part."""
    for start in range(0, total, PART):
        yield start, min(PART, total - start)


def make_files(folder: Path, rows: int, n_vectors: int) -> None:
    """Write what is loaded, once."""
    made = {
        "meta": (rows, metadata),
        "one": (rows, lambda start, n: predicted(start, n, 3)),
        "two": (rows, lambda start, n: predicted(start, n, 4)),
        "vectors": (n_vectors, vectors),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, (total, make) in made.items():
        path = folder / f"{name}.parquet"
        if path.exists():
            continue
        tables = (make(start, n) for start, n in parts(total))
        first = next(tables)
        plain = {"use_dictionary": ["label", "split", "weather"], "write_statistics": False}
        with pq.ParquetWriter(path.with_suffix(".partial"), first.schema, **plain) as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)
        path.with_suffix(".partial").rename(path)


def body(verb: str) -> str:
    """Return the lines of a process that runs a verb, or says an edit four times."""
    if verb in EDITS:
        return EDIT.format(edit=EDITS[verb])
    return f"{(LOADS | VERBS)[verb]}\nspent = None"


def measured(folder: Path, verb: str, rows: int) -> Cost:
    """Return what a verb takes in a process of its own."""
    texts = json.dumps([text for text, _ in QUERIES.values()])
    program = RUN.replace("{body}", body(verb))
    command = [sys.executable, "-c", program, str(folder / "db.slicedb"), str(folder)]
    done = subprocess.run([*command, str(rows), texts], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{verb}: {done.stderr.strip().splitlines()[-1:]}")
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def native(folder: Path) -> Path:
    """Return a DuckDB file of the same rows."""
    import duckdb

    path = folder / "native.duckdb"
    if not path.exists():
        with duckdb.connect(str(path)) as connection:
            connection.execute("SET memory_limit = '4GB'")
            connection.execute(f"CREATE TABLE s AS FROM '{folder}/meta.parquet'")
            said = "list_position(probabilities, list_max(probabilities))"
            for name, source in (("a", "one"), ("b", "two")):
                connection.execute(
                    f"CREATE TABLE {name} AS SELECT id, "
                    f"substr('{''.join(CLASSES)}', {said}, 1) AS prediction, "
                    f"list_max(probabilities) AS confidence FROM '{folder}/{source}.parquet'"
                )
    return path


def sql_of(condition: str) -> str:
    """Return the query of DuckDB for a condition."""
    joined = "FROM s JOIN a USING (id)"
    if not condition:
        return f"SELECT s.id {joined} ORDER BY a.confidence DESC, s.id LIMIT 100"
    needs = "JOIN a USING (id)" if "a." in condition else ""
    needs += " JOIN b USING (id)" if "b." in condition else ""
    return f"SELECT s.id FROM s {needs} WHERE {condition}"


WARM = """
import duckdb, json, statistics, sys, time
import slicedb
db = slicedb.open(sys.argv[1])
connection = duckdb.connect(sys.argv[2], read_only=True)
out = {}
for name, (text, sql) in json.loads(sys.argv[3]).items():
    query = db.query(text)
    theirs = lambda: [row[0] for row in connection.execute(sql).fetchall()]
    first, second = query.ids(), theirs()
    assert sorted(first) == sorted(second), (name, len(first), len(second))
    times = ([], [])
    for _ in range(5):
        for column, call in zip(times, (lambda: db.query(text).ids(), theirs)):
            started = time.process_time()
            call()
            column.append(time.process_time() - started)
    out[name] = [len(first), *map(statistics.median, times)]
print(json.dumps(out))
"""


def warm(folder: Path, rows: int) -> None:
    """Print the four queries asked again, beside DuckDB over a file of the same rows.

    A process before has asked them, and has written what it loaded into the cache as it ended.
    """
    measured(folder, "four queries, a new process", rows)
    asked = {name: (text, sql_of(condition)) for name, (text, condition) in QUERIES.items()}
    command = [sys.executable, "-c", WARM, str(folder / "db.slicedb"), str(native(folder))]
    done = subprocess.run(
        [*command, json.dumps(asked)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"four queries, warm: {done.stderr.strip().splitlines()[-1:]}")
    print(f"four queries, warm, {rows:,} rows: processor ms, SliceDB / DuckDB over a file")
    for name, (n, ours, theirs) in json.loads(done.stdout.splitlines()[-1]).items():
        print(f"  {name:32}{n:>10,} ids{1000 * ours:9.1f} /{1000 * theirs:9.1f}", end="")
        print(f"{ours / theirs:8.2f}", flush=True)


def show(verb: str, costs: list[Cost], sizes: list[int]) -> None:
    """Print a line of the table."""
    cells = "".join(f"{c.cpu:9.2f}{c.wall:8.1f}{c.peak:7.0f}{c.own:7.0f} |" for c in costs)
    exponent = ""
    if len(costs) > 1 and costs[0].cpu > 0:
        grown = math.log(costs[-1].cpu / costs[0].cpu) / math.log(sizes[-1] / sizes[0])
        exponent = f"{grown:7.2f}"
    mark = f"  beyond {LIMIT} MiB" if max(c.peak for c in costs) > LIMIT else ""
    print(f"{verb:31}{cells}{exponent}{mark}", flush=True)


def main() -> None:
    """Load, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--vectors", type=int, nargs="+", default=[200_000, 2_000_000])
    parser.add_argument("--keep", action="store_true", help="do not delete the databases")
    titles = [*LOADS, "four queries", *VERBS, *EDITS]  # edits come last: the file has none of them
    parser.add_argument("--only", nargs="+", choices=titles, default=titles)
    options = parser.parse_args()
    if len(options.rows) != len(options.vectors):
        parser.error("give as many numbers for --vectors as for --rows")
    folders = [options.dir / f"large-{rows}" for rows in options.rows]
    for folder, rows, n in zip(folders, options.rows, options.vectors):
        make_files(folder, rows, n)
    built = {f: (f / "db.slicedb").exists() for f in folders}
    head = "".join(f"{rows:>24,} rows   |" for rows in options.rows)
    print(f"{'':31}{head}\n{'':31}{'    CPU s    wall   peak    own |' * len(folders)}  exponent")
    for verb in titles:
        if verb == "four queries":
            if verb in options.only:
                for folder, rows in zip(folders, options.rows):
                    warm(folder, rows)
            continue
        if verb in LOADS:
            costs = [measured(f, verb, n) for f, n in zip(folders, options.rows) if not built[f]]
        elif verb in options.only:
            costs = [measured(f, verb, n) for f, n in zip(folders, options.rows)]
        else:
            continue
        if costs:
            show(verb, costs, options.rows)
    if not options.keep:
        for folder in folders:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
