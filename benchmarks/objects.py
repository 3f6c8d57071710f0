"""Time queries over boxes: 200,000 images with five ground-truth boxes each, two detectors.

    python benchmarks/objects.py --dir SCRATCH [--rows 200000] [--repeat 7]

The data is synthetic and seeded; the database is built once into `--dir` and used again. Compared
in one run, turn by turn: SliceDB warm; DuckDB over Parquet with the lists as they are stored
(lambdas and unnest, written by hand); DuckDB over native tables that someone has flattened and
matched beforehand, which is the least any query can take. Answers are checked against each other
before anything is timed. Seconds are of the processor, all threads together, and medians.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from slicedb.query import Engine
from slicedb.schema import OBJECT, PREDICTIONS, SAMPLES, keys_of
from slicedb.store import Store
from slicedb.tasks import TASKS

LABELS = np.array(["car", "person", "dog", "bike", "truck", "bus", "sign", "light"])
BOXES = 5
CHUNK = 50_000
SHIFT = {"a": 6.0, "b": 14.0}
"""Detector to how far its boxes lie off, in pixels."""

_NEST = "len(list_filter(s.objects, lambda o: o.label = 'car' AND {}))"
_AREA = "o.bbox[3] * o.bbox[4] >= 4000"
_INSIDE = (
    "(o.bbox[1] + o.bbox[3] / 2) / s.width <= 0.5 AND (o.bbox[2] + o.bbox[4] / 2) / s.height <= 0.5"
)
_IOU = (
    "greatest(0, least(p.x + p.w, q.x + q.w) - greatest(p.x, q.x)) * "
    "greatest(0, least(p.y + p.h, q.y + q.h) - greatest(p.y, q.y))"
)

# name -> (SliceDB, DuckDB over the lists in Parquet, DuckDB over flat native tables)
QUERIES: dict[str, tuple[str, str | None, str]] = {
    "has a large car": (
        "SELECT count(*) FROM samples WHERE has_object('car', min_area => 4000) AND lux > 0.1",
        f"SELECT count(*) FROM {{s}} s WHERE {_NEST.format(_AREA)} > 0 AND lux > 0.1",
        "SELECT count(*) FROM s WHERE lux > 0.1 AND key IN "
        "(SELECT key FROM o WHERE label = 'car' AND w * h >= 4000)",
    ),
    "more than one car in the upper left": (
        "SELECT count(*) FROM samples WHERE count_objects('car', inside => [0, 0, .5, .5]) > 1",
        f"SELECT count(*) FROM {{s}} s WHERE {_NEST.format(_INSIDE)} > 1",
        "SELECT count(*) FROM s WHERE key IN (SELECT o.key FROM o JOIN s USING (key) "
        "WHERE o.label = 'car' AND (x + w / 2) / width <= 0.5 AND (y + h / 2) / height <= 0.5 "
        "GROUP BY o.key HAVING count(*) > 1)",
    ),
    "boxes by label": (
        "SELECT label, count(*) AS n, avg(area) AS a FROM objects GROUP BY ALL ORDER BY label",
        "SELECT o.label AS label, count(*) AS n, avg(o.bbox[3] * o.bbox[4]) AS a FROM "
        "(SELECT unnest(objects) AS o FROM {s} s) GROUP BY ALL ORDER BY label",
        "SELECT label, count(*) AS n, avg(w * h) AS a FROM o GROUP BY ALL ORDER BY label",
    ),
    "found by a, missed by b, small, at night": (
        "SELECT count(*) FROM objects WHERE a.found AND NOT b.found AND share < 0.01 "
        "AND samples.weather = 'night'",
        None,
        "SELECT count(*) FROM o JOIN s USING (key) WHERE a = 1 AND b = 0 "
        "AND w * h / (width * height) < 0.01 AND weather = 'night'",
    ),
    "the same over samples": (
        "SELECT count(*) FROM samples WHERE weather = 'night' AND "
        "has_object(found_by => a, missed_by => b, max_share => 0.01)",
        None,
        "SELECT count(*) FROM s WHERE weather = 'night' AND key IN (SELECT key FROM o JOIN s "
        "USING (key) WHERE a = 1 AND b = 0 AND w * h / (width * height) <= 0.01)",
    ),
    "recall by label, both detectors": (
        "SELECT label, avg(a.found::INT) AS a, avg(b.found::INT) AS b FROM objects "
        "GROUP BY ALL ORDER BY label",
        None,
        "SELECT label, avg(a) AS a, avg(b) AS b FROM o GROUP BY ALL ORDER BY label",
    ),
    "boxes of a and b overlap": (
        "SELECT count(*) FROM samples WHERE any_iou(a, b, min_iou => 0.7)",
        None,
        "SELECT count(DISTINCT key) FROM (SELECT p.key, "
        f"{_IOU} AS i, p.w * p.h AS u, q.w * q.h AS v "
        "FROM da p JOIN db q ON p.key = q.key AND p.label = q.label) WHERE i >= 0.7 * (u + v - i)",
    ),
}


def samples(rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the images and their boxes."""
    for start in range(0, rows, CHUNK):
        rng = np.random.default_rng(start)
        n = min(CHUNK, rows - start)
        ids = [f"train/{i:08d}.jpg" for i in range(start, start + n)]
        counts = rng.integers(0, 2 * BOXES + 1, n)
        yield pa.record_batch(
            {
                "id": ids,
                "key": keys_of(ids),
                "width": np.full(n, 640),
                "height": np.full(n, 480),
                "status": np.full(n, "ok"),
                "weather": rng.choice(["sunny", "rainy", "night", "fog"], n),
                "lux": rng.random(n),
                "objects": _lists(*truth(rng, counts.sum()), None, counts),
            }
        )


def truth(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (n,) and boxes (n, 4)."""
    xy = rng.random((n, 2)) * [500, 340]
    return LABELS[rng.integers(0, len(LABELS), n)], np.hstack([xy, 8 + rng.exponential(60, (n, 2))])


def _lists(
    labels: np.ndarray, boxes: np.ndarray, scores: np.ndarray | None, counts: np.ndarray
) -> pa.Array:
    """Return a column of lists of objects."""
    bbox = pa.ListArray.from_arrays(np.arange(0, 4 * len(boxes) + 1, 4, np.int32), boxes.ravel())
    nulls = pa.nulls(len(labels), pa.string())
    given = pa.nulls(len(labels), pa.float64()) if scores is None else pa.array(scores)
    fields = [pa.array(labels, pa.string()), bbox, given, nulls]
    items = pa.StructArray.from_arrays(fields, fields=list(OBJECT))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, items)


def detections(batch: pa.RecordBatch, name: str, start: int) -> pa.RecordBatch:
    """Return what a detector says: three quarters of the boxes, moved, and some of its own."""
    rng = np.random.default_rng(start + ord(name))
    lists = batch["objects"]
    counts = np.asarray(lists.value_lengths())
    items = lists.flatten()
    labels = np.asarray(items.field("label").to_pylist(), dtype=object)
    boxes = np.asarray(items.field("bbox").flatten()).reshape(-1, 4)
    boxes = boxes + rng.normal(0, SHIFT[name], boxes.shape)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 1)
    own = rng.random(len(labels)) < 0.25
    other, places = truth(rng, int(own.sum()))
    labels[own], boxes[own] = other, places
    columns: dict[str, Any] = {
        "id": batch["id"],
        "key": batch["key"],
        "objects": _lists(labels, boxes, rng.random(len(labels)), counts),
    }
    schema = TASKS["detection"].schema(None)
    arrays = [columns.get(f.name, pa.nulls(len(batch), f.type)) for f in schema]
    return pa.record_batch([a.cast(f.type) for a, f in zip(arrays, schema)], schema=schema)


def build(folder: Path, rows: int) -> Store:
    """Build the database and its Parquet twin once."""
    store = Store.open(folder / f"boxes-{rows}.slicedb")
    if not store.count(SAMPLES):
        extra = {"weather": pa.string(), "lux": pa.float64()}
        store.add_columns(SAMPLES, [pa.field(name, kind) for name, kind in extra.items()])
        store.append(SAMPLES, samples(rows))
        pq.write_table(pa.Table.from_batches(samples(rows)), folder / f"boxes-{rows}.parquet")
        for name in SHIFT:
            store.create(PREDICTIONS + name, TASKS["detection"].schema(None))
            for number, batch in enumerate(samples(rows)):
                store.append(PREDICTIONS + name, detections(batch, name, number * CHUNK))
    return store


def baseline(store: Store, engine: Engine, threads: int) -> Any:
    """Return DuckDB with flat native tables, matched beforehand."""
    import duckdb

    duck = duckdb.connect(config={"threads": threads})
    told = engine.sql(
        "SELECT key, label, x, y, w, h, a.found::INT AS a, b.found::INT AS b FROM objects"
    )
    tables = {"o": told}
    for name in SHIFT:
        tables[f"d{name}"] = engine.sql(f"SELECT key, label, x, y, w, h FROM {name}.objects")
    tables["s"] = store.table(SAMPLES, ["key", "width", "height", "weather", "lux"])
    for name, table in tables.items():
        duck.register("~t", table)
        duck.execute(f'CREATE TABLE {name} AS FROM "~t"')
        duck.unregister("~t")
    return duck


def turns(runs: list[Callable[[], Any]], repeat: int) -> list[float]:
    """Return the median processor milliseconds of each run, taken turn by turn."""
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(repeat + 1):
        for run, found in zip(runs, times):
            started = time.process_time()
            run()
            if turn:
                found.append(1000 * (time.process_time() - started))
    return [statistics.median(found) for found in times]


def loading(engine: Engine) -> None:
    """Print what the first queries of a process take."""
    for what, text in (
        ("flatten the ground truth", "SELECT count(*) FROM objects WHERE label = 'car'"),
        ("flatten and match detector a", "SELECT count(*) FROM objects WHERE a.found"),
        ("flatten and match detector b", "SELECT count(*) FROM objects WHERE b.found"),
    ):
        started = time.process_time()
        engine.sql(text)
        print(f"{what:<42} {1000 * (time.process_time() - started):>8.0f}")


def main() -> None:
    """Build, check, time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    store = build(options.dir, options.rows)
    engine = Engine(store, slice_named=lambda name: name, encoder=lambda _: None)  # type: ignore[arg-type,return-value]
    boxes = store.table(SAMPLES, ["objects"])["objects"]
    print(f"{options.rows:,} images, {pa.compute.list_flatten(boxes).length():,} boxes; CPU ms")
    loading(engine)
    duck = baseline(store, engine, options.threads)
    parquet = f"'{options.dir}/boxes-{options.rows}.parquet'"
    print(
        f"{'query':<42} {'slicedb':>8} {'parquet':>8} {'native':>8} {'/parquet':>9} {'/native':>8}"
    )
    for name, (ours, lists, flat) in QUERIES.items():
        wanted = _rows(duck.sql(flat).fetchall())
        assert _rows(tuple(r.values()) for r in engine.sql(ours).to_pylist()) == wanted, name
        runs: list[Callable[[], Any]] = [
            lambda ours=ours: engine.sql(ours),
            lambda flat=flat: duck.sql(flat).to_arrow_table(),
        ]
        if lists is not None:
            text = lists.format(s=parquet)
            assert _rows(duck.sql(text).fetchall()) == wanted, name
            runs.append(lambda text=text: duck.sql(text).to_arrow_table())
        mine, native, *rest = turns(runs, options.repeat)
        stored = f"{rest[0]:>8.1f}" if rest else f"{'-':>8}"
        share = f"{mine / rest[0]:>8.2f}" if rest else f"{'-':>8}"
        print(f"{name:<42} {mine:>8.1f} {stored} {native:>8.1f} {share} {mine / native:>8.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GiB")


def _rows(rows: Any) -> list[Any]:
    return [[round(v, 6) if isinstance(v, float) else v for v in row] for row in rows]


if __name__ == "__main__":
    main()
