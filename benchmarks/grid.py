"""Time what a page of pictures asks for at 1,000,000 rows: a page of the grid, facets, histograms.

    python benchmarks/grid.py --dir SCRATCH [--rows 1000000]

The rows are those of `query.py`. Beside SliceDB stand its own `q[a:b]`, and plain DuckDB over
native tables of the same rows: the same page by ORDER BY, LIMIT and OFFSET, and the same counts as
one GROUP BY per column. Medians of processor time and of wall time, taken in turns, in one run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from query import build, engine_of

FACETS = ("label", "split", "weather", "camera", "a.prediction", "a.correct")
NUMBERS = ("lux", "a.loss")
PAGE = 120


def main() -> None:
    """Build what is missing, and print the table."""
    import duckdb

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    engine = engine_of(build(options.dir, options.rows, vectors=False))
    duck = duckdb.connect()
    for name in ("samples", "a"):
        file = options.dir / f"{name}-{options.rows}.parquet"
        ok = " WHERE status = 'ok'" if name == "samples" else ""
        duck.execute(f"CREATE TABLE {name} AS FROM '{file}'{ok}")
    every = engine.query("")
    ordered = engine.query("weather <> 'fog' ORDER BY a.loss DESC")
    some = engine.query("weather = 'night' AND a.loss > 0.2")
    rng = np.random.default_rng(0)

    last = ordered.count() - PAGE

    def place() -> int:
        return int(rng.integers(0, last))

    def duck_page() -> object:
        return duck.sql(
            "SELECT s.id, s.label, s.width, s.height FROM samples s LEFT JOIN a USING (key) "
            f"WHERE s.weather <> 'fog' ORDER BY a.loss DESC LIMIT {PAGE} OFFSET {place()}"
        ).to_arrow_table()

    def duck_facets() -> object:
        duck.execute(
            "CREATE OR REPLACE TEMP TABLE base AS SELECT coalesce(s.weather = 'night' AND "
            "a.loss > 0.2, false) AS inside, s.label, s.split, s.weather, s.camera, a.prediction, "
            "a.correct, s.lux, a.loss FROM samples s LEFT JOIN a USING (key)"
        )
        counts = "count(*), count(*) FILTER (inside)"
        for column in (name.rpartition(".")[2] for name in FACETS):
            duck.execute(f"SELECT {column}, {counts} FROM base GROUP BY 1").fetchall()
        for column in (name.rpartition(".")[2] for name in NUMBERS):
            low, high = duck.execute(f"SELECT min({column}), max({column}) FROM base").fetchall()[0]
            slot = f"floor(({column} - {low}) / {(high - low) / 20})"
            duck.execute(f"SELECT {slot}, {counts} FROM base GROUP BY 1").fetchall()
        return None

    def our_facets() -> object:
        some.facets(FACETS)
        return [some.histogram(column) for column in NUMBERS]

    columns = ["id", "label", "width", "height"]
    everywhere = options.rows // 2
    calls: dict[str, dict[str, Callable[[], object]]] = {
        f"{PAGE} rows at a random place, filtered and ordered": {
            "slicedb page": lambda: ordered.page(at := place(), at + PAGE, columns),
            "slicedb q[a:b]": lambda: ordered[(at := place()) : at + PAGE].to_arrow(columns),
            "duckdb": duck_page,
        },
        f"{PAGE} rows from the middle of all": {
            "slicedb page": lambda: every.page(everywhere, everywhere + PAGE, columns),
            "duckdb": lambda: duck.sql(
                f"SELECT id, label, width, height FROM samples LIMIT {PAGE} OFFSET {everywhere}"
            ).to_arrow_table(),
        },
        "six facets and two histograms": {"slicedb": our_facets, "duckdb": duck_facets},
    }
    print(f"{options.rows:,} rows; medians of {options.repeat}: processor ms, wall ms, to duckdb")
    for what, each in calls.items():
        print(what)
        _print(each, options.repeat)


def _print(calls: dict[str, Callable[[], object]], repeat: int) -> None:
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeat):
        for name, call in calls.items():
            began = time.process_time(), time.perf_counter()
            call()
            ended = time.process_time(), time.perf_counter()
            spent[name].append((1000 * (ended[0] - began[0]), 1000 * (ended[1] - began[1])))
    medians = {n: [statistics.median(column) for column in zip(*s)] for n, s in spent.items()}
    for name, (processor, wall) in medians.items():
        ratio = processor / medians["duckdb"][0]
        print(f"  {name:20}{processor:9.1f}{wall:9.1f}{ratio:8.2f}")


if __name__ == "__main__":
    main()
