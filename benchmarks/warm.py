"""Time the first query of a process, and those after it, beside DuckDB with a database file.

    python benchmarks/warm.py --dir SCRATCH [--rows 1000000] [--runs 5]

The rows and the four queries are those of `benchmarks/query.py`. Three tables are printed, all in
processor seconds or milliseconds of both sides taken in turns:

first   whole processes, imports counted: open the database, ask one query, list the ids.
again   the same query asked again in one process.
edited  the first query of a process after one sample was relabelled, beside the one before.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from query import QUERIES, build

THEIRS = {name: sql.replace("SELECT s.key", "SELECT s.id") for name, (_, sql) in QUERIES.items()}
NATIVE = {"s": "(SELECT * FROM samples WHERE status = 'ok')", "a": "a", "b": "b"}

OURS = """
import slicedb, sys
query = slicedb.open(sys.argv[1]).query(sys.argv[2])
rows = query.ids() if query.is_rows else query.to_arrow()
"""
DUCKDB = """
import duckdb, sys
rows = duckdb.connect(sys.argv[1], read_only=True).sql(sys.argv[2]).fetchall()
"""


def make_file(folder: Path, rows: int) -> Path:
    """Make a DuckDB file of the same rows, once."""
    import duckdb

    path = folder / f"native-{rows}.duckdb"
    if not path.exists():
        with duckdb.connect(str(path)) as connection:
            for name in ("samples", "a", "b"):
                connection.execute(f"CREATE TABLE {name} AS FROM '{folder}/{name}-{rows}.parquet'")
    return path


def process_seconds(code: str, *arguments: str) -> float:
    """Return the processor seconds of a whole process."""
    before = os.times()
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    after = os.times()
    return (
        after.children_user
        + after.children_system
        - (before.children_user + before.children_system)
    )


def spent(call: Callable[[], object]) -> float:
    """Return the processor milliseconds of a call."""
    started = time.process_time()
    call()
    return 1000 * (time.process_time() - started)


def show(title: str, unit: str, rows: dict[str, tuple[list[float], list[float]]]) -> None:
    """Print medians of both sides and their ratio."""
    print(f"\n{title:<42}{'slicedb':>10}{'duckdb':>10}{'ratio':>7}  ({unit})")
    for name, (ours, theirs) in rows.items():
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"{name:<42}{a:10.3g}{b:10.3g}{a / b:7.2f}", flush=True)


def first(database: Path, file: Path, runs: int) -> None:
    """Print the first query of a process."""
    rows: dict[str, tuple[list[float], list[float]]] = {}
    for name, (ours, _) in QUERIES.items():
        process_seconds(OURS, str(database), ours)  # what it loads is kept for the next process
        pairs = [
            (
                process_seconds(OURS, str(database), ours),
                process_seconds(DUCKDB, str(file), THEIRS[name].format(**NATIVE)),
            )
            for _ in range(runs)
        ]
        rows[name] = [a for a, _ in pairs], [b for _, b in pairs]
    show("first query of a process", "processor s", rows)


def again(database: Path, file: Path, runs: int) -> None:
    """Print the same query asked again."""
    import duckdb

    import slicedb

    db, connection = slicedb.open(database), duckdb.connect(str(file), read_only=True)
    rows: dict[str, tuple[list[float], list[float]]] = {}
    for name, (text, _) in QUERIES.items():
        query, sql = db.query(text), THEIRS[name].format(**NATIVE)
        ours = query.ids if query.is_rows else query.to_arrow

        def theirs(sql: str = sql) -> object:
            return [row[0] for row in connection.sql(sql).fetchall()]

        ours(), theirs()
        pairs = [(spent(ours), spent(theirs)) for _ in range(3 * runs)]
        rows[name] = [a for a, _ in pairs], [b for _, b in pairs]
    show("asked again", "processor ms", rows)


def edited(database: Path, runs: int) -> None:
    """Print the first query of a process after an edit, beside the one before the edit."""
    import slicedb

    work = database.with_name("edited.slicedb")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(database, work)
    rows: dict[str, tuple[list[float], list[float]]] = {}
    for number, (name, (text, _)) in enumerate(QUERIES.items()):
        before = [process_seconds(OURS, str(work), text) for _ in range(runs)]
        db = slicedb.open(work)
        db.relabel(f"id = 'train/{number:08d}.jpg'", "class_x")
        del db
        after = [process_seconds(OURS, str(work), text)]
        rows[name] = after, before
    print("\nbelow, in place of duckdb: the same query before the edit", end="")
    show("first query after an edit of one sample", "processor s", rows)
    shutil.rmtree(work)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=["first", "again", "edited"])
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    options.dir.mkdir(parents=True, exist_ok=True)
    database = Path(build(options.dir, options.rows, vectors=False).path)
    file = make_file(options.dir, options.rows)
    print(f"{options.rows:,} rows, medians of {options.runs}")
    if options.only in (None, "first"):
        first(database, file, options.runs)
    if options.only in (None, "again"):
        again(database, file, options.runs)
    if options.only in (None, "edited"):
        edited(database, options.runs)


if __name__ == "__main__":
    main()
