"""Time binding a text against bare DuckDB's parsing and preparing of the same text.

    python benchmarks/bind.py

Bare DuckDB parses each text to its tree and prepares it over a table of the same columns; SliceDB
does everything up to a plan. Both take turns in one run, and the medians are printed with their
ratio. The bars are 2 ms for a text under 500 characters, 4 times bare DuckDB for 100 kB, and 1.5
times for a list of 20,000 ids.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "query"))

from differential import build

from slicedb.cache import Cache
from slicedb.query import Engine

SHORT = {
    "predicate": "label = 'cat' AND i > 3",
    "order": "i > 3 ORDER BY i DESC LIMIT 20",
    "groups": "SELECT label, count(*) AS n, avg(i) AS a FROM samples GROUP BY ALL ORDER BY n DESC",
    "join": "WITH a AS (SELECT id, label, i FROM samples WHERE i > 3) SELECT a.label, count(*) "
    "FROM a JOIN samples s USING (id) WHERE s.split = 'train' GROUP BY a.label "
    "HAVING count(*) > 2 ORDER BY 1",
}
LONG = {
    "5,000 columns": f"SELECT {', '.join(f'i + {n} AS c{n}' for n in range(5000))} FROM samples",
    "one CASE": f"SELECT CASE {' '.join(f'WHEN i = {n} THEN {n}.5' for n in range(4000))} END "
    "AS c FROM samples",
    "5,000 ids": f"id IN {tuple(f'train/s{n:05}.jpg' for n in range(5000))}",
    "20,000 ids": f"id IN {tuple(f'train/s{n:05}.jpg' for n in range(20000))}",
}


def main() -> None:
    """Print the time of each text."""
    with tempfile.TemporaryDirectory() as scratch:
        engine = build(Path(scratch)).db.engine
        bare = duckdb.connect()
        bare.register("stored", engine.query("").to_arrow())
        bare.execute("CREATE TABLE samples AS FROM stored")
        for name, text in (SHORT | LONG).items():
            _compare(name, text, engine, bare, 41 if name in SHORT else 5)


def _compare(
    name: str, text: str, engine: Engine, bare: duckdb.DuckDBPyConnection, rounds: int
) -> None:
    whole = text if text.startswith(("SELECT", "WITH")) else _whole(text)

    def ours() -> None:
        engine.planner._plans = Cache(1)
        engine.query(text)

    def parse_and_prepare() -> None:
        bare.execute("SELECT json_serialize_sql(?)", [whole]).fetchone()
        bare.execute(f"PREPARE p AS {whole}")

    ours()
    times = [(_seconds(ours), _seconds(parse_and_prepare)) for _ in range(rounds)]
    mine, theirs = (1000 * statistics.median(column) for column in zip(*times, strict=True))
    print(
        f"{name:14} {len(text):8,} characters  SliceDB {mine:8.2f} ms  "
        f"DuckDB {theirs:8.2f} ms  {mine / theirs:5.2f} times"
    )


def _whole(text: str) -> str:
    return f"SELECT * FROM samples WHERE {text}"


def _seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
