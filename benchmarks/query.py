"""Time the four slice queries over 1,000,000 rows, and exact similarity over 1,000,000 x 512.

    python benchmarks/query.py --dir SCRATCH [--rows 1000000] [--only sql|cold|vectors]
    python benchmarks/query.py --dir SCRATCH --only rows5m
    python benchmarks/query.py --dir SCRATCH --only search|index

The data is synthetic and seeded; the database is built once, through `Store.append`, into
`--dir` and used again. Compared in one run, medians: SliceDB warm; DuckDB over Parquet files of
the same rows; DuckDB over native tables of the same rows, joined on the integer key. SliceDB's
answers are checked against DuckDB's before anything is timed.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from slicedb.query import Engine
from slicedb.schema import (
    EMBEDDINGS,
    PREDICTIONS,
    SAMPLES,
    embeddings_schema,
    keys_of,
)
from slicedb.store import Store
from slicedb.tasks import TASKS

CLASSES = [f"class_{i}" for i in range(11)]
MODELS = ("a", "b")
DIM = 512
CHUNK = 50_000

# name -> (SliceDB, DuckDB); {s}, {a}, {b} are the three relations
QUERIES: dict[str, tuple[str, str]] = {
    "label <> prediction and confidence > 0.9": (
        "label <> a.prediction AND a.confidence > 0.9",
        "SELECT s.key FROM {s} s JOIN {a} a USING (key) "
        "WHERE s.label <> a.prediction AND a.confidence > 0.9",
    ),
    "top 100 by loss": (
        "ORDER BY a.loss DESC LIMIT 100",
        "SELECT s.key FROM {s} s JOIN {a} a USING (key) ORDER BY a.loss DESC LIMIT 100",
    ),
    "group by label over both models": (
        "SELECT label, count(*) AS n, avg(a.loss) AS a, avg(b.loss) AS b "
        "FROM samples GROUP BY ALL ORDER BY label",
        "SELECT s.label, count(*) AS n, avg(a.loss) AS a, avg(b.loss) AS b FROM {s} s "
        "LEFT JOIN {a} a USING (key) LEFT JOIN {b} b USING (key) GROUP BY ALL ORDER BY s.label",
    ),
    "a right, b wrong, within metadata": (
        "weather = 'night' AND lux < 0.5 AND a.correct AND NOT b.correct",
        "SELECT s.key FROM {s} s JOIN {a} a USING (key) JOIN {b} b USING (key) "
        "WHERE s.weather = 'night' AND s.lux < 0.5 AND a.correct AND NOT b.correct",
    ),
}


class FixedEncoder:
    """Gives each text a seeded unit vector."""

    logit_scale = 100.0
    background = ["a photo", "an object"]

    def encode_prompt(self, text: str, templates: Any = None) -> np.ndarray:
        vector = np.random.default_rng(len(text)).standard_normal(DIM).astype(np.float32)
        return vector / np.linalg.norm(vector)


def samples(rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the metadata."""
    rng = np.random.default_rng(0)
    for start in range(0, rows, CHUNK):
        n = min(CHUNK, rows - start)
        ids = [f"train/{i:08d}.jpg" for i in range(start, start + n)]
        yield pa.record_batch(
            {
                "id": ids,
                "key": keys_of(ids),
                "uri": [f"file:///data/{i}" for i in ids],
                "width": rng.integers(200, 4000, n),
                "height": rng.integers(200, 4000, n),
                "bytes": rng.integers(10_000, 900_000, n),
                "label": rng.choice(CLASSES, n),
                "split": rng.choice(["train", "validation", "test"], n, p=[0.8, 0.1, 0.1]),
                "status": np.where(rng.random(n) < 0.001, "truncated", "ok"),
                "weather": rng.choice(["sunny", "rainy", "night", "fog"], n),
                "lux": rng.random(n),
                "camera": rng.integers(0, 500, n),
            }
        )


def predictions(labels: np.ndarray, ids: np.ndarray, seed: int) -> Iterator[pa.RecordBatch]:
    """Yield a model's predictions, about 85 % right."""
    rng = np.random.default_rng(seed)
    schema = TASKS["classification"].schema(None)
    for start in range(0, len(ids), CHUNK):
        truth = labels[start : start + CHUNK]
        n = len(truth)
        found = np.where(rng.random(n) < 0.85, truth, rng.choice(CLASSES, n))
        sure = rng.beta(5, 1.5, n).astype(np.float32)
        chunk = ids[start : start + CHUNK]
        columns: dict[str, Any] = {
            "id": chunk,
            "key": keys_of(chunk),
            "prediction": found,
            "confidence": sure,
            "loss": rng.exponential(0.5, n).astype(np.float32),
            "correct": found == truth,
            "margin": sure * 0.9,
            "entropy": 1 - sure,
        }
        arrays = [pa.array(columns.get(f.name, [None] * n), f.type) for f in schema]
        yield pa.record_batch(arrays, schema=schema)


def build(folder: Path, rows: int, vectors: bool) -> Store:
    """Build the database and its Parquet twin once."""
    store = Store.open(folder / f"bench-{rows}.slicedb")
    if not store.count(SAMPLES):
        extra = {"weather": pa.string(), "lux": pa.float64(), "camera": pa.int64()}
        store.add_columns(SAMPLES, [pa.field(name, kind) for name, kind in extra.items()])
        store.append(SAMPLES, samples(rows))
        pq.write_table(pa.Table.from_batches(samples(rows)), folder / f"samples-{rows}.parquet")
        table = store.table(SAMPLES, ["id", "label"])
        ids, labels = (np.array(table[c].to_pylist()) for c in ("id", "label"))
        for seed, model in enumerate(MODELS, 1):
            store.create(PREDICTIONS + model, TASKS["classification"].schema(None))
            store.append(PREDICTIONS + model, predictions(labels, ids, seed))
            twin = pa.Table.from_batches(predictions(labels, ids, seed))
            pq.write_table(twin, folder / f"{model}-{rows}.parquet")
    name = EMBEDDINGS + "default"
    if vectors and not store.has(name):
        store.create(name, embeddings_schema(DIM))
        for start in range(0, rows, CHUNK):
            store.append(name, _vectors(store, start, min(CHUNK, rows - start)))
    return store


def _vectors(store: Store, start: int, n: int) -> pa.RecordBatch:
    rng = np.random.default_rng(start)
    block = rng.standard_normal((n, DIM), dtype=np.float32)
    block /= np.linalg.norm(block, axis=1, keepdims=True)
    ids = [f"train/{i:08d}.jpg" for i in range(start, start + n)]
    values = pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), DIM)
    columns = [pa.array(ids), pa.array(keys_of(ids)), pa.array(np.ones(n, np.int64)), values]
    return pa.record_batch(columns, schema=embeddings_schema(DIM))


def median(run: Callable[[], Any], repeats: int) -> float:
    """Return the median milliseconds of a call, after one that warms up."""
    run()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def engine_of(store: Store) -> Engine:
    """Return an engine with the fixed encoder."""
    encoder: Any = FixedEncoder()
    return Engine(store, slice_named=lambda name: name, encoder=lambda _: encoder)


def relations(folder: Path, rows: int, ok: bool = True) -> dict[str, str]:
    """Return the Parquet relations, with the filter on status that every query has."""
    where = " WHERE status = 'ok'" if ok else ""
    files = {"s": "samples", "a": "a", "b": "b"}
    paths = {k: f"'{folder}/{name}-{rows}.parquet'" for k, name in files.items()}
    return {"s": f"(SELECT * FROM {paths['s']}{where})", "a": paths["a"], "b": paths["b"]}


def sql_benchmark(folder: Path, rows: int, repeats: int) -> None:
    """Print the four queries: SliceDB, Parquet, native."""
    import duckdb

    store = build(folder, rows, vectors=False)
    engine = engine_of(store)
    duck = duckdb.connect()
    parquet = relations(folder, rows)
    for name in ("samples", "a", "b"):
        duck.execute(f"CREATE TABLE {name} AS FROM '{folder}/{name}-{rows}.parquet'")
    native = {"s": "(SELECT * FROM samples WHERE status = 'ok')", "a": "a", "b": "b"}
    print(f"\n{rows:,} rows, medians of {repeats}, ms")
    print(
        f"{'query':<42} {'slicedb':>8} {'parquet':>8} {'native':>8} {'/parquet':>9} {'/native':>8}"
    )
    for name, (ours, theirs) in QUERIES.items():
        query = engine.query(ours)
        _check(query, duck, theirs.format(**parquet))
        run = (lambda query=query: _asked(query)) if query.is_rows else query.to_arrow

        def duckdb_run(relation: dict[str, str], text: str = theirs) -> Any:
            return duck.sql(text.format(**relation)).to_arrow_table()

        ms = median(run, repeats)
        from_parquet = median(lambda: duckdb_run(parquet), repeats)
        from_native = median(lambda: duckdb_run(native), repeats)
        print(
            f"{name:<42} {ms:8.1f} {from_parquet:8.1f} {from_native:8.1f} "
            f"{ms / from_parquet:9.2f} {ms / from_native:8.2f}"
        )


def _asked(query: Any) -> Any:
    """Return the keys of a query, asked of the loaded columns and not of those kept."""
    query.session.members.clear()
    return query.keys()


def _check(query: Any, duck: Any, text: str) -> None:
    """Fail when SliceDB and DuckDB over Parquet do not agree."""
    expected = duck.sql(text).to_arrow_table()
    if query.is_rows:
        assert set(query.keys().tolist()) == set(expected["key"].to_pylist()), query.text
        return
    found = query.to_arrow()
    for name in expected.column_names:
        left, right = found[name].to_pylist(), expected[name].to_pylist()
        assert left == right or np.allclose(left, right), (query.text, name)


def cold_benchmark(folder: Path, rows: int) -> None:
    """Print each query in a process of its own: SliceDB, and DuckDB loading native tables."""
    print(f"\n{rows:,} rows, first query of a process, ms (imports left out)")
    print(f"{'query':<42} {'slicedb':>8} {'native':>8} {'ratio':>9}")
    for number, name in enumerate(QUERIES):
        times = []
        for kind in ("slicedb", "native"):
            command = [sys.executable, __file__, "--dir", str(folder), "--rows", str(rows)]
            done = subprocess.run(
                [*command, "--cold", f"{kind}:{number}"], capture_output=True, text=True, check=True
            )
            times.append(float(done.stdout.split()[-1]))
        print(f"{name:<42} {times[0]:8.0f} {times[1]:8.0f} {times[0] / times[1]:9.2f}")


def cold_run(folder: Path, rows: int, what: str) -> None:
    """Run one query once and print its milliseconds."""
    import duckdb

    kind, number = what.split(":")
    ours, theirs = list(QUERIES.values())[int(number)]
    store = Store.open(folder / f"bench-{rows}.slicedb")
    store.version(SAMPLES)  # opens Lance
    duck = duckdb.connect()
    started = time.perf_counter()
    if kind == "slicedb":
        query = engine_of(store).query(ours)
        _ = query.keys() if query.is_rows else query.to_arrow()
    else:
        for name in ("samples", "a", "b"):
            duck.execute(f"CREATE TABLE {name} AS FROM '{folder}/{name}-{rows}.parquet'")
        native = {"s": "(SELECT * FROM samples WHERE status = 'ok')", "a": "a", "b": "b"}
        duck.sql(theirs.format(**native)).to_arrow_table()
    print(1000 * (time.perf_counter() - started))


MODELS_PART = "(a.correct OR NOT b.correct) AND lux < 0.9"  # leaves 79 % of the rows
FEW_PART = "a.correct AND NOT b.correct AND lux < 0.5"  # leaves 6 %
MEANINGS = "similarity('{0}') > 0 AND similarity('{1}') > 0.02 AND NOT similarity('{2}') > 0.05"

# name -> (text, targets, what of it is plain SQL)
MEANT: dict[str, tuple[str, int, str]] = {
    "top 100": ("ORDER BY similarity('{0}') DESC LIMIT 100", 1, ""),
    "top 100 in 2 %": ("camera < 10 ORDER BY similarity('{0}') DESC LIMIT 100", 1, ""),
    "similarity > 0.15": ("similarity('{0}') > 0.15", 1, ""),
    "three meanings": (MEANINGS, 3, ""),
    "three meanings, two models": (f"{MEANINGS} AND {MODELS_PART}", 3, MODELS_PART),
    "three meanings, two models, few": (f"{MEANINGS} AND {FEW_PART}", 3, FEW_PART),
    "matches": ("matches('{0}')", 1, ""),
}


def vector_benchmark(folder: Path, rows: int, repeats: int) -> None:
    """Print exact similarity against one bare matrix product on the same array, plus bare SQL.

    Each time is of texts that nobody asked before, so that no score is cached; `again` asks them
    a second time. The bare SQL is DuckDB's over native tables of the same rows.
    """
    import duckdb
    import torch

    store = build(folder, rows, vectors=True)
    engine = engine_of(store)
    started = time.perf_counter()
    matrix = engine.session.vectors.matrix("default")
    print(
        f"\nmatrix built or mapped in {time.perf_counter() - started:.1f} s: float16 "
        f"{matrix.vectors.shape}, memory-mapped"
    )
    duck = duckdb.connect()
    for name in ("samples", "a", "b"):
        duck.execute(f"CREATE TABLE {name} AS FROM '{folder}/{name}-{rows}.parquet'")
    joined = "samples s JOIN a USING (key) JOIN b USING (key) WHERE status = 'ok'"
    array = torch.from_numpy(matrix.vectors)
    head = ("slicedb", "bare", "again", "ratio", "of CPU")
    print(f"{'query':<34} {''.join(f'{word:>9}' for word in head)}  (ms, medians in turns)")
    for number, (name, (text, terms, plain)) in enumerate(MEANT.items()):
        asked = _fresh(engine, text, terms, repeats + 1, 1 + 100 * number)
        halves = torch.randn(terms, DIM).half()

        def bare(halves: Any = halves, plain: str = plain) -> Any:
            _ = halves @ array.T  # (t, d) @ (d, n) -> (t, n), one pass over the array
            return (
                duck.sql(f"SELECT key FROM {joined} AND {plain}").to_arrow_table() if plain else 0
            )

        ours, theirs, again = _turns(asked, bare)
        print(
            f"{name:<34} {ours[0]:9.1f}{theirs[0]:9.1f}{again[0]:9.1f}"
            f"{ours[0] / theirs[0]:9.2f}{ours[1] / theirs[1]:9.2f}"
        )
    target = FixedEncoder().encode_prompt("x")
    exact = np.argsort(-(matrix.vectors.astype(np.float32) @ target), kind="stable")[:100]
    found = engine.query("status <> '' ORDER BY similarity('x') DESC LIMIT 100").keys()
    same = len(set(matrix.keys[exact].tolist()) & set(found.tolist()))
    print(f"top 100 shared with a float32 product: {same}")


def _fresh(engine: Engine, text: str, terms: int, n: int, first: int) -> list[Any]:
    """Return a query n times, bound, each of other targets; the encoder tells texts by length."""
    words = ["x" * length for length in range(first, first + n * terms)]
    return [engine.query(text.format(*words[i::n])) for i in range(n)]


def _turns(asked: list[Any], bare: Callable[[], Any]) -> list[tuple[float, float]]:
    """Return median ms by the wall and of processor time: asked first, the bare work, again."""
    asked[0].keys()
    bare()
    spent: list[list[tuple[float, float]]] = [[], [], []]
    for query in asked[1:]:
        again = lambda query=query: _asked(query)  # noqa: E731
        for call, kept in zip((again, bare, again), spent):
            started, before = time.perf_counter(), time.process_time()
            call()
            wall, cpu = time.perf_counter() - started, time.process_time() - before
            kept.append((1000 * wall, 1000 * cpu))
    return [
        (statistics.median([w for w, _ in each]), statistics.median([c for _, c in each]))
        for each in spent
    ]


FILTERS = {
    "every row": "true",
    "label = 'class_3'": "label = 'class_3'",
    "a word, a number and a set": "weather = 'night' AND lux < 0.5 AND split IN ('test', 'train')",
    "a rare camera": "camera = 17 AND width > 2000",
    "a pattern": "weather LIKE '%a%' OR label LIKE '%_1%'",
}


def rows_benchmark(folder: Path, rows: int, repeats: int) -> None:
    """Print filter and count over many rows, against bare DuckDB on the same Arrow data."""
    import duckdb

    store = Store.open(folder / f"rows-{rows}.slicedb")
    if not store.count(SAMPLES):
        extra = {"weather": pa.string(), "lux": pa.float64(), "camera": pa.int64()}
        store.add_columns(SAMPLES, [pa.field(name, kind) for name, kind in extra.items()])
        chunk: list[pa.RecordBatch] = []
        for batch in samples(rows):
            chunk.append(batch)
            if len(chunk) == 20:
                store.append(SAMPLES, chunk)
                chunk = []
        if chunk:
            store.append(SAMPLES, chunk)
    columns = ["key", "label", "split", "status", "weather", "lux", "camera", "width"]
    arrow = store.table(SAMPLES, columns)
    duck = duckdb.connect()
    duck.register("samples", arrow)
    engine = engine_of(store)
    print(f"\n{rows:,} rows, filter and count, medians of {repeats} taken in turns, ms")
    print(f"{'filter':<42} {'slicedb':>8} {'duckdb':>8} {'ratio':>6}")
    for name, text in FILTERS.items():
        query = engine.query(text)
        bare = f"SELECT count(*) FROM samples WHERE status = 'ok' AND ({text})"
        expected = duck.sql(bare).fetchall()[0][0]
        assert query.count() == expected, name
        ours, theirs = in_turns(query.count, lambda t=bare: duck.sql(t).fetchall(), repeats)
        print(f"{name:<42} {ours:8.1f} {theirs:8.1f} {ours / theirs:6.2f}")


def in_turns(a: Callable[[], Any], b: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Return the median milliseconds of two calls made in turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for call, kept in zip((a, b), times):
            started = time.perf_counter()
            call()
            kept.append(1000 * (time.perf_counter() - started))
    return statistics.median(times[0]), statistics.median(times[1])


def search_benchmark(folder: Path, rows: int, repeats: int) -> None:
    """Print full text over captions: building, after a relabel, asking."""
    rng = np.random.default_rng(0)
    store = Store.open(folder / f"captions-{rows}.slicedb")
    if not store.count(SAMPLES):
        words = np.array([f"word{i}" for i in range(20_000)])
        share = 1 / np.arange(1, len(words) + 1)
        for start in range(0, rows, CHUNK):
            n = min(CHUNK, rows - start)
            ids = [f"train/{i:08d}.jpg" for i in range(start, start + n)]
            picked = words[rng.choice(len(words), (n, 12), p=share / share.sum())]
            captions = [" ".join(row) for row in picked]
            fields = {"id": ids, "key": keys_of(ids), "caption": captions, "status": ["ok"] * n}
            store.append(SAMPLES, pa.table(fields | {"label": ["a"] * n}))
    engine = engine_of(store)
    print(f"\n{rows:,} captions of 12 words, s (CPU s)")

    def timed(name: str, call: Callable[[], Any]) -> None:
        started, spent = time.perf_counter(), time.process_time()
        found = call()
        wall, cpu = time.perf_counter() - started, time.process_time() - spent
        print(f"{name:<52} {wall:8.3f} ({cpu:.3f})  {found}")

    timed("build the index", engine.session.search.ensure)
    timed("first search: a rare word", engine.query("search('word900') > 0").count)
    timed("a rare word", engine.query("search('word901') > 0").count)
    timed("two common words", engine.query("search('word7 word9') > 0").count)
    timed("the same again", engine.query("search('word7 word9') > 0").count)
    timed("a phrase", engine.query("search('\"word1 word2\"') > 0").count)
    best = "ORDER BY search('word8') DESC LIMIT 20"
    timed("the best 20 of a common word", lambda: len(engine.query(best).keys()))
    change = pa.table({"id": ["train/00000005.jpg"], "label": ["b"]})
    store.upsert(SAMPLES, change, insert=False)
    timed("first search after a relabel", engine.query("search('word900') > 0").count)


def index_benchmark(folder: Path, rows: int, repeats: int) -> None:
    """Print the approximate index: what building takes, its recall, and the query."""
    store = build(folder, rows, vectors=True)
    engine = engine_of(store)
    text = "ORDER BY similarity('x') DESC LIMIT 100"
    engine.query(text).keys()
    started = time.perf_counter()
    print(f"\n{engine.session.approximate.build('default')}")
    print(f"built and measured in {time.perf_counter() - started:.1f} s")
    exact, near = engine.query(text), engine.query(text, approximate=True)
    ours, scan = in_turns(near.keys, exact.keys, repeats)
    print(f"{text}: {ours:.1f} ms by the index, {scan:.1f} ms exact")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--dir", type=Path, required=True, help="where the data is built")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--only", choices=["sql", "cold", "vectors", "rows5m", "search", "index"])
    parser.add_argument("--cold", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    if options.cold:
        cold_run(options.dir, options.rows, options.cold)
        return
    if options.only in (None, "sql"):
        sql_benchmark(options.dir, options.rows, options.repeats)
    if options.only in (None, "cold"):
        cold_benchmark(options.dir, options.rows)
    if options.only == "rows5m":
        rows_benchmark(options.dir, 5_000_000, options.repeats)
    if options.only == "search":
        search_benchmark(options.dir, options.rows, options.repeats)
    if options.only == "index":
        index_benchmark(options.dir, options.rows, options.repeats)
    if options.only in (None, "vectors"):
        vector_benchmark(options.dir, options.rows, options.repeats)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.1f} GiB")


if __name__ == "__main__":
    main()
