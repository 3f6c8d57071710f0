"""Time SliceDB beside what a user would pick instead, in one interleaved run.

    python benchmarks/peers.py --dir SCRATCH [--rows 1000000] [--repeat 3] [--only load,queries]
    python benchmarks/peers.py --dir SCRATCH --only ingest --data DATA
    python benchmarks/peers.py --dir SCRATCH --only apart --python-of lightly=PYTHON fiftyone=PYTHON

Every job is done by SliceDB, through its public verbs, and by each peer that can do it: LanceDB,
pylance, a DuckDB file, pandas, numpy, and Deep Lake where it is installed. The data is synthetic
and seeded. The sides take turns; printed are the medians of wall and processor seconds, and beside
each peer what SliceDB takes over it. Answers are compared before times are printed.

    load       a Parquet file of metadata without pictures
    attach     three columns, their rows in another order than the samples
    log        two models with ten probabilities for 50,000 samples; peers store, unchecked
    queries    four slice queries, warm, down to the ids
    first      the first query of a process, imports and all
    top        100 nearest of 50,000 x 512 vectors, and among some 500 of them
    evaluate   accuracy of 20 slices, and the confusion matrix; SliceDB with intervals
    ingest     50,000 JPEG files of a Parquet file with their bytes; the bare side writes with
               Lance, hashes and decodes, in as many threads
    apart      10,000 small JPEG files, two queries, predictions and an evaluation, beside FiftyOne,
               LightlyStudio and Deep Lake, each in a Python of its own; see `apart.py`
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apart
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CLASSES = list("abcdefghij")
SMALL = 50_000
DIM = 512
PICTURES = 10_000
VERSIONS = ("slicedb", "lancedb", "pylance", "duckdb", "numpy", "pandas", "pyarrow")

Side = Callable[[], object]
Job = Iterator[tuple[str, dict[str, Side]]]

QUERIES = {
    "label and number": ("label = 'c' AND weight < 0.1", "label = 'c' AND weight < 0.1"),
    "wrong and sure": (
        "label <> m0.prediction AND m0.confidence > 0.9",
        "s.label <> a.prediction AND a.confidence > 0.9",
    ),
    "one right, the other wrong": (
        "m0.correct AND NOT m1.correct AND split = 'test'",
        "a.prediction = s.label AND b.prediction <> s.label AND s.split = 'test'",
    ),
    "the worst 100": ("ORDER BY m0.confidence DESC, id LIMIT 100", ""),
}
"""Name -> what SliceDB is asked, and the condition for DuckDB (s, a, b); "" is written below."""


def sql(condition: str) -> str:
    """Return the query of DuckDB for a condition."""
    joined = "FROM samples s JOIN m0 a USING (id) JOIN m1 b USING (id)"
    if not condition:
        return f"SELECT s.id {joined} ORDER BY a.confidence DESC, s.id LIMIT 100"
    needs = "JOIN m0 a USING (id)" if "a." in condition else ""
    needs += " JOIN m1 b USING (id)" if "b." in condition else ""
    return f"SELECT s.id FROM samples s {needs} WHERE {condition}"


class Scratch:
    """The inputs, made once, and the databases that the jobs share.

    Args:
        folder: where they lie.
        rows: the number of samples.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.rows = folder, rows
        self.meta = folder / f"meta-{rows}.parquet"
        self.more = folder / f"more-{rows}.parquet"
        self.logged = [folder / f"m{i}-{rows}.parquet" for i in range(2)]
        if not all(file.exists() for file in (self.meta, self.more, *self.logged)):
            self._make(np.random.default_rng(0))

    def _make(self, rng: np.random.Generator) -> None:
        n = self.rows
        ids = pa.array([f"photos/img_{i:08d}.jpg" for i in range(n)])
        label = rng.integers(0, 10, n)
        meta = {
            "id": ids,
            "label": pa.array(CLASSES).take(pa.array(label)),
            "split": pa.array(["train", "test"]).take(pa.array(rng.integers(0, 2, n))),
            "weather": pa.array(["sunny", "rain", "fog"]).take(pa.array(rng.integers(0, 3, n))),
            "people": rng.integers(0, 9, n),
            "weight": rng.random(n),
            "night": rng.random(n) < 0.3,
        }
        pq.write_table(pa.table(meta), self.meta)
        more = pa.table({"id": ids, "x": rng.random(n), "y": rng.integers(0, 99, n), "z": label})
        pq.write_table(more.take(pa.array(rng.permutation(n))), self.more)
        for file in self.logged:
            wrong = rng.random(n) < 0.2
            said = np.where(wrong, rng.integers(0, 10, n), label)
            columns = {
                "id": ids,
                "prediction": pa.array(CLASSES).take(pa.array(said)),
                "confidence": rng.random(n),
            }
            pq.write_table(pa.table(columns), file)

    def anew(self, name: str) -> Path:
        """Return the path of a database that is not there."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
        return path

    def copy(self, source: Path, name: str) -> Path:
        """Return the path of a fresh copy of a database."""
        return Path(shutil.copytree(source, self.anew(name)))

    def slicedb(self) -> Path:
        """Return a database with the samples and the predictions of both models."""
        import slicedb

        path = self.folder / f"all-{self.rows}.slicedb"
        if not path.exists():
            db = slicedb.open(path)
            db.ingest(self.meta, verify="later")
            for i, file in enumerate(self.logged):
                db.log_predictions(f"m{i}", file, classes=CLASSES)
        return path

    def duckdb(self) -> Path:
        """Return a DuckDB file with the same rows."""
        import duckdb

        path = self.folder / f"all-{self.rows}.duckdb"
        if not path.exists():
            with duckdb.connect(str(path)) as connection:
                files = {"samples": self.meta, "m0": self.logged[0], "m1": self.logged[1]}
                for name, file in files.items():
                    connection.execute(f"CREATE TABLE {name} AS FROM '{file}'")
        return path


def load(scratch: Scratch) -> Job:
    """Load metadata without pictures."""
    import duckdb
    import lance
    import lancedb
    import pandas as pd

    import slicedb

    def ours() -> None:
        db = slicedb.open(scratch.anew("load.slicedb"))
        db.ingest(scratch.meta, verify="later", progress=False)

    def by_lancedb() -> None:
        table = pq.read_table(scratch.meta)
        lancedb.connect(scratch.anew("load.lancedb")).create_table("samples", data=table)

    def by_duckdb() -> None:
        with duckdb.connect(str(scratch.anew("load.duckdb"))) as connection:
            connection.execute(f"CREATE TABLE samples AS FROM '{scratch.meta}'")

    sides: dict[str, Side] = {
        "SliceDB": ours,
        "LanceDB": by_lancedb,
        "pylance": lambda: lance.write_dataset(
            pq.read_table(scratch.meta), scratch.anew("load.lance")
        ),
        "DuckDB": by_duckdb,
        "pandas": lambda: pd.read_parquet(scratch.meta),
    }
    if importlib.util.find_spec("deeplake") is not None:
        sides["Deep Lake"] = lambda: load_deeplake(scratch)
    yield f"load {scratch.rows:,} rows of metadata", sides


def load_deeplake(scratch: Scratch) -> None:
    """Load the metadata into Deep Lake."""
    import deeplake

    table = pq.read_table(scratch.meta)
    kinds = {pa.string(): "text", pa.int64(): "int64", pa.float64(): "float64", pa.bool_(): "bool"}
    dataset = deeplake.create(str(scratch.anew("load.deeplake")))
    for field in table.schema:
        dataset.add_column(field.name, kinds[field.type])
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    texts = {n: list(v) if v.dtype == object else v for n, v in columns.items()}
    dataset.append(texts)
    dataset.commit()


def attach(scratch: Scratch) -> Job:
    """Attach columns by id."""
    import duckdb
    import lance
    import pandas as pd

    import slicedb

    base = scratch.anew("attach-base.slicedb")
    slicedb.open(base).ingest(scratch.meta, verify="later", progress=False)
    plain = scratch.anew("attach-base.lance")
    lance.write_dataset(pq.read_table(scratch.meta), plain)
    work = {name: Path() for name in ("ours", "lance", "duckdb")}
    frame = pd.read_parquet(scratch.meta)

    def prepare() -> None:
        work["ours"] = scratch.copy(base, "attach.slicedb")
        work["lance"] = scratch.copy(plain, "attach.lance")
        work["duckdb"] = Path(shutil.copy(scratch.duckdb(), scratch.anew("attach.duckdb")))

    def by_pylance() -> None:
        lance.dataset(work["lance"]).merge(pq.read_table(scratch.more), "id")

    def by_duckdb() -> None:
        with duckdb.connect(str(work["duckdb"])) as connection:
            joined = f"FROM samples LEFT JOIN '{scratch.more}' USING (id)"
            connection.execute(f"CREATE TABLE more AS {joined}")

    yield (
        f"attach 3 columns to {scratch.rows:,}, shuffled",
        {
            "prepare": prepare,
            "SliceDB": lambda: slicedb.open(work["ours"]).attach(scratch.more),
            "pylance": lambda: lance.dataset(work["lance"]).merge(
                pq.read_table(scratch.more), "id"
            ),
            "DuckDB": by_duckdb,
            "pandas": lambda: frame.merge(pd.read_parquet(scratch.more), on="id", how="left"),
        },
    )


def log(scratch: Scratch) -> Job:
    """Store the predictions of two models."""
    import duckdb
    import lance

    import slicedb

    n = min(SMALL, scratch.rows)
    rng = np.random.default_rng(2)
    ids = pq.read_table(scratch.meta, columns=["id"])["id"].combine_chunks()[:n]
    given = []
    for _ in range(2):
        matrix = rng.random((n, 10), dtype=np.float32)
        flat = pa.array((matrix / matrix.sum(1, keepdims=True)).ravel())
        given.append(
            pa.table({"id": ids, "probabilities": pa.FixedSizeListArray.from_arrays(flat, 10)})
        )
    base = scratch.anew("log-base.slicedb")
    pq.write_table(pq.read_table(scratch.meta).slice(0, n), scratch.folder / "log.parquet")
    slicedb.open(base).ingest(scratch.folder / "log.parquet", verify="later", progress=False)
    work = [base]

    def prepare() -> None:
        work[0] = scratch.copy(base, "log.slicedb")
        for name in ("log0.lance", "log1.lance", "log.duckdb"):
            scratch.anew(name)

    def ours() -> None:
        db = slicedb.open(work[0])
        for i, table in enumerate(given):
            db.log_predictions(f"m{i}", table, classes=CLASSES)

    def by_pylance() -> None:
        for i, table in enumerate(given):
            lance.write_dataset(table, scratch.folder / f"log{i}.lance")

    def by_duckdb() -> None:
        with duckdb.connect(str(scratch.folder / "log.duckdb")) as connection:
            for i, table in enumerate(given):
                connection.register("given", table)
                connection.execute(f"CREATE TABLE m{i} AS FROM given")

    yield (
        f"log 2 models x 10 probabilities, {n:,}",
        {"prepare": prepare, "SliceDB": ours, "pylance": by_pylance, "DuckDB": by_duckdb},
    )


def queries(scratch: Scratch) -> Job:
    """Ask four slice queries, warm."""
    import duckdb

    import slicedb

    db = slicedb.open(scratch.slicedb())
    connection = duckdb.connect(str(scratch.duckdb()), read_only=True)

    def by_duckdb(condition: str) -> list[str]:
        return [row[0] for row in connection.execute(sql(condition)).fetchall()]

    for name, (text, condition) in QUERIES.items():
        ours, theirs = db.query(text).ids(), by_duckdb(condition)
        assert sorted(ours) == sorted(theirs), name
        yield (
            f"query: {name} ({len(ours):,})",
            {
                "SliceDB": lambda text=text: db.query(text).ids(),  # type: ignore[misc]
                "DuckDB": lambda condition=condition: by_duckdb(condition),  # type: ignore[misc]
            },
        )


def first(scratch: Scratch) -> Job:
    """Ask the first query of a process."""
    text, condition = QUERIES["wrong and sure"]
    ours = f"import slicedb; slicedb.open({str(scratch.slicedb())!r}).query({text!r}).ids()"
    theirs = (
        f"import duckdb; c = duckdb.connect({str(scratch.duckdb())!r}, read_only=True); "
        f"[row[0] for row in c.execute({sql(condition)!r}).fetchall()]"
    )
    yield (
        "first query of a process",
        {
            "SliceDB": lambda: subprocess.run([sys.executable, "-c", ours], check=True),
            "DuckDB": lambda: subprocess.run([sys.executable, "-c", theirs], check=True),
        },
    )


def top(scratch: Scratch) -> Job:
    """Find the nearest vectors, of all and of some."""
    import lancedb

    import slicedb

    n = min(SMALL, scratch.rows)
    vectors = np.random.default_rng(3).normal(size=(n, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = pq.read_table(scratch.meta).slice(0, n)
    pq.write_table(table, scratch.folder / "top.parquet")
    db = slicedb.open(scratch.anew("top.slicedb"))
    db.ingest(scratch.folder / "top.parquet", verify="later", progress=False)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIM)
    db.log_embeddings("mine", pa.table({"id": table["id"], "vector": lists}))
    other = lancedb.connect(scratch.anew("top.lancedb")).create_table(
        "samples", data=table.append_column("vector", lists)
    )
    ids = table["id"].to_pylist()
    few = "label = 'c' AND weight < 0.1"
    label, weight = np.array(table["label"]), table["weight"].to_numpy()
    inside = np.flatnonzero((label == "c") & (weight < 0.1))
    asked = itertools.count(1)  # each time another target, so that the text is parsed

    def ours(where: str | None, target: int | None = None) -> list[str]:
        name = ids[next(asked) if target is None else target]
        text = f"{where or ''} ORDER BY similarity(sample('{name}')) DESC LIMIT 100"
        return db.query(text).ids()

    def by_numpy(rows: np.ndarray | None, target: int = 0) -> list[str]:
        scores = (vectors if rows is None else vectors[rows]) @ vectors[target]
        k = min(100, len(scores))
        best = np.argpartition(-scores, k - 1)[:k]
        best = best[np.argsort(-scores[best])]
        return [ids[i] for i in (best if rows is None else rows[best])]

    def filtered() -> list[str]:
        return by_numpy(np.flatnonzero((label == "c") & (weight < 0.1)))

    def by_lancedb(where: str | None) -> list[str]:
        search = other.search(vectors[0]).distance_type("cosine").limit(100)
        search = search if where is None else search.where(where, prefilter=True)
        return list(search.select(["id", "_distance"]).to_arrow()["id"].to_pylist())

    for name, where, rows in (("", None, None), (f" among {len(inside)}", few, inside)):
        assert len(set(ours(where, 7)) & set(by_numpy(rows, 7))) >= 95
        sides: dict[str, Side] = {
            "SliceDB": lambda where=where: ours(where),  # type: ignore[misc]
            "numpy": filtered if where else lambda: by_numpy(None),
            "LanceDB": lambda where=where: by_lancedb(where),  # type: ignore[misc]
        }
        if where:
            sides["numpy, the rows known"] = lambda: by_numpy(inside)
        yield f"top 100 of {n:,} x {DIM}{name}", sides


def evaluate(scratch: Scratch) -> Job:
    """Evaluate a model on twenty slices, and count what it takes for what."""
    import duckdb

    import slicedb

    db = slicedb.open(scratch.slicedb())
    connection = duckdb.connect(str(scratch.duckdb()), read_only=True)
    conditions = [f"label = '{CLASSES[i % 10]}' AND weight < {(i + 1) / 20}" for i in range(20)]
    sums = ", ".join(
        f"avg((a.prediction = s.label)::INT) FILTER ({condition})" for condition in conditions
    )

    def ours() -> list[float]:
        table = db.evaluate("m0", conditions, record=False)
        db.confusion("m0")
        return list(table.to_arrow()["value"].to_pylist())

    def by_duckdb() -> list[float]:
        joined = "FROM samples s JOIN m0 a USING (id)"
        pairs = f"SELECT s.label, a.prediction, count(*) {joined} GROUP BY ALL"
        connection.execute(pairs).fetchall()
        return list(connection.execute(f"SELECT {sums} {joined}").fetchone() or ())

    assert np.allclose(sorted(ours()), sorted(by_duckdb()))
    yield (
        f"evaluate {scratch.rows:,} x 20 slices, confusion",
        {"SliceDB": ours, "DuckDB": by_duckdb},
    )


def ingest(scratch: Scratch, data: Path | None) -> Job:
    """Ingest pictures with their bytes."""
    import hashlib

    import lance
    import simplejpeg

    import slicedb

    source = (data or Path("../shared/data")) / "cifar10-train.parquet"
    if not source.exists():
        print(f"ingest: left out, there is no '{source}' (--data)")
        return
    file = scratch.folder / "pictures.parquet"
    pq.write_table(pq.read_table(source).slice(0, SMALL), file, row_group_size=4096)
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2

    def check(images: list[bytes]) -> list[str]:
        for image in images:
            simplejpeg.decode_jpeg(image)
        return [hashlib.sha256(image).hexdigest() for image in images]

    def bare() -> None:
        with ThreadPoolExecutor(threads) as pool:

            def batches() -> Iterator[pa.RecordBatch]:
                for batch in pq.ParquetFile(file).iter_batches(4096):
                    images = batch["image"].to_pylist()
                    parts = [images[i : i + 64] for i in range(0, len(images), 64)]
                    digests = [name for part in pool.map(check, parts) for name in part]
                    yield batch.append_column("sha256", pa.array(digests))

            schema = pq.read_schema(file).append(pa.field("sha256", pa.string()))
            reader = pa.RecordBatchReader.from_batches(schema, batches())
            lance.write_dataset(reader, scratch.anew("pictures.lance"))

    yield (
        f"ingest {pq.read_metadata(file).num_rows:,} JPEG with bytes",
        {
            "SliceDB": lambda: slicedb.open(scratch.anew("pictures.slicedb")).ingest(
                file, progress=False
            ),
            "bare Lance": bare,
        },
    )


def apart_job(scratch: Scratch, pythons: dict[str, str], repeat: int) -> None:
    """Print the jobs of peers that have a Python of their own, beside the same jobs of ours."""
    folder = scratch.folder / "apart"
    folder.mkdir(exist_ok=True)
    apart.draw(folder, PICTURES)
    found: dict[str, apart.Times] = {}
    sizes: dict[str, list[int]] = {}
    for peer in ("slicedb", *apart.PEERS):
        python = pythons.get(peer, sys.executable if peer == "slicedb" else "")
        if not python:
            print(f"{apart.PEERS[peer]}: left out, --python-of {peer}=PYTHON names none")
            continue
        runs = []
        try:
            for _ in range(repeat):
                for name in ("apart.slicedb", "apart.deeplake", "lightly.duckdb"):
                    scratch.anew(f"apart/{name}")
                times, sizes[peer] = apart.run(peer, python, folder)
                runs.append(times)
        except RuntimeError as error:
            print(f"{apart.PEERS.get(peer, peer)}: left out, {error}")
            continue
        found[peer] = {
            job: (
                statistics.median(r[job][0] for r in runs),
                statistics.median(r[job][1] for r in runs),
            )
            for job in runs[0]
        }
    for peer, answers in sizes.items():
        assert answers == sizes["slicedb"][: len(answers)], (peer, answers, sizes["slicedb"])
    for job in apart.JOBS:
        wall, cpu = found["slicedb"][job]
        print(f"{f'{job}, {PICTURES:,} pictures':46}{wall:9.3f}{'':10}{cpu:9.3f}", flush=True)
        for peer, times in found.items():
            if peer == "slicedb" or job not in times:
                continue
            theirs, used = times[job]
            ratios = f"{wall / theirs:10.3f}{used:9.3f}{cpu / used:10.3f}"
            print(f"    {apart.PEERS[peer]:42}{theirs:9.3f}{ratios}", flush=True)


def versions(pythons: dict[str, str]) -> str:
    """Return the versions of all that is compared."""
    here = [f"{name} {importlib.metadata.version(name)}" for name in VERSIONS]
    there = [f"{name} {apart.version(name, python)}" for name, python in pythons.items()]
    return ", ".join([*here, *there])


def measured(sides: dict[str, Side], repeat: int) -> dict[str, tuple[float, float]]:
    """Return (wall, processor) seconds of each side: medians behind a first run, in turns."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides if name != "prepare"}
    for _ in range(repeat + 1):
        if "prepare" in sides:
            sides["prepare"]()
        for name in times:
            started, used = time.perf_counter(), processor()
            sides[name]()
            times[name].append((time.perf_counter() - started, processor() - used))
    return {
        name: (statistics.median(t[0] for t in runs[1:]), statistics.median(t[1] for t in runs[1:]))
        for name, runs in times.items()
    }


def processor() -> float:
    """Return the processor seconds of this process and of those it has waited for."""
    import resource

    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def main() -> None:
    """Run the jobs and print a line for each side of each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--data", type=Path)
    jobs = {
        "load": load,
        "attach": attach,
        "log": log,
        "queries": queries,
        "first": first,
        "top": top,
        "evaluate": evaluate,
    }
    parser.add_argument("--only", default=",".join([*jobs, "ingest", "apart"]))
    parser.add_argument(
        "--python-of", nargs="+", default=[], metavar="PEER=PYTHON", help=", ".join(apart.PEERS)
    )
    options = parser.parse_args()
    pythons = dict(text.split("=", 1) for text in options.python_of)
    if unknown := pythons.keys() - apart.PEERS.keys():
        parser.error(f"no job knows {', '.join(sorted(unknown))}: {', '.join(apart.PEERS)}")
    print(versions(pythons))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    scratch = Scratch(options.dir, options.rows)
    print(f"{'':46}{'wall s':>9}{'SliceDB /':>10}{'CPU s':>9}{'SliceDB /':>10}")
    for name in options.only.split(","):
        if name == "apart":
            apart_job(scratch, pythons, options.repeat)
            continue
        job = ingest(scratch, options.data) if name == "ingest" else jobs[name](scratch)
        for title, sides in job:
            times = measured(sides, options.repeat)
            wall, cpu = times.pop("SliceDB")
            print(f"{title:46}{wall:9.3f}{'':10}{cpu:9.3f}", flush=True)
            for side, (theirs, used) in times.items():
                ratios = f"{wall / theirs:10.2f}{used:9.3f}{cpu / used:10.2f}"
                print(f"    {side:42}{theirs:9.3f}{ratios}", flush=True)


if __name__ == "__main__":
    main()
