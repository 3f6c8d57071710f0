"""Compare SliceDB's SQL with bare DuckDB's: generated queries, and any folder of SQL files.

    python benchmarks/differential.py --generated 20000
    python benchmarks/differential.py --broken 1000
    python benchmarks/differential.py --partition 10000
    python benchmarks/differential.py --folder duckdb/test/sql --folder sqlglot/tests/fixtures

Generated queries come from `tests/query/differential.py`, derived ones included (`q[a:b]`, `&`,
`|`, `~`, `in_slice`, freeze, `take`). In a folder every `.sql` file and every sqllogictest
(`.test`) is read: what makes tables runs in bare DuckDB, `.csv.gz` files beside a `.sql` file are
its tables, and every SELECT is asked twice, with the tables it names written into it as CTEs of
their rows. Printed is how many give equal rows, how many
differ, and what SliceDB refuses although DuckDB answers, by message.
"""

from __future__ import annotations

import argparse
import collections
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "query"))

from broken import broken, problem
from differential import Maker, apart, build, difference, plain, written
from partition import Predicates
from partition import problem as disagreement
from world import build as build_world
from world import engine_of

from slicedb import Database, sql
from slicedb.errors import SliceDBError
from slicedb.query import Engine
from slicedb.query.functions.duckdb import is_forbidden

MOST_ROWS = 200
"""Rows of a table that are written into a text; texts over larger tables are left out."""
MOST_OF_FILE = 25
"""Rows that are taken of a `.csv.gz` file: a text may name twenty of them."""
SECONDS = 5.0
TOLD_EVERY = 500
"""Texts between two lines of progress on stderr."""
CHANCE = re.compile(
    r"\b(random|uuid|gen_random_uuid|uuidv\d|now|today|current_\w+|get_current_\w+|localtime\w*|"
    r"transaction_timestamp|txid_current|setseed|nextval|currval|version|pragma\w*|tablesample|"
    r"using\s+sample|approx_\w+|reservoir_quantile|age|duckdb_\w+|rowid|histogram_\w+)\b",
    re.IGNORECASE,
)
"""What answers differently each time, or speaks of the database itself."""
RULED_OUT = re.compile(
    r"\b(read_\w+|glob|parquet_\w+|sniff_csv|information_schema|pg_\w+|sqlite_master|query_table|"
    r"query|getvariable|which_secret|checkpoint|force_checkpoint|add_parquet_key|sql_auto_complete|"
    r"test_\w+|repeat_row|summary|seq_scan|index_scan|current_setting|set_config|getenv)\s*\(|"
    r"\binformation_schema\.|\bpg_catalog\.|\bsqlite_master\b|\bINTO\b|"
    r"\brecurring\.\w+\.|\(\s*SHOW\b|^\s*DESCRIBE\s*($|ALL\b|TABLES\b|SCHEMAS\b)|\bpg_\w+\b|\0|"
    r"^\s*(SHOW|EXPLAIN|CALL|PRAGMA)\b",
    re.IGNORECASE,
)
"""What SliceDB refuses by rule (`queries/README.md`, "What differs from DuckDB")."""

CALL = re.compile(r"(\w+)\s*\(")
MAKES = re.compile(r"\s*(CREATE|INSERT|UPDATE|DELETE|ALTER|DROP|BEGIN|COMMIT)", re.IGNORECASE)
"""Statements that are run; settings and the like may reach outside, or bring the process down."""


def main() -> None:
    """Read the options and print the comparisons."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--generated", type=int, default=0, help="number of generated texts")
    parser.add_argument("--broken", type=int, default=0, help="number of broken texts")
    parser.add_argument("--partition", type=int, default=0, help="number of random predicates")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", action="append", default=[], help="a folder of SQL files")
    parser.add_argument("--match", default="", help="only files whose path matches this")
    parser.add_argument("--show", type=int, default=3, help="examples of each kind of difference")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        world = build(Path(scratch))
        world.db.engine.timeout = 2 * SECONDS
        if options.generated:
            tally = Tally(options.show)
            for seed in range(options.seed, options.seed + options.generated):
                text = written(Maker(seed).any(), world.ids)
                try:
                    why = difference(world, text, derived=seed % 4 == 0, seed=seed)
                except Exception as error:  # a bare exception is a finding too
                    why = f"raised {type(error).__name__}: {error}"
                tally.add(text.ours, why, f"seed {seed}")
            tally.print("generated")
        if options.broken:
            _compare_broken(engine_of(build_world(Path(scratch) / "broken.slicedb")), options)
        if options.partition:
            _compare_ways(Path(scratch) / "partition.slicedb", options)
        for folder in options.folder:
            tally = Tally(options.show)
            files = [f for f in sorted(Path(folder).rglob("*")) if f.suffix in (".sql", ".test")]
            for file in files:
                if re.search(options.match, str(file)):
                    _compare_file(world.db, file, tally)
            tally.print(folder)


def _compare_broken(engine: Engine, options: argparse.Namespace) -> None:
    tally = Tally(options.show)
    for seed in range(options.seed, options.seed + options.broken):
        case = broken(seed)
        if case is None:
            tally.leave_out("still parses")
        else:
            tally.add(case.text, problem(engine, case), f"{case.how}, seed {seed}")
    tally.print("broken texts, of which the place is exact in those that are equal")


def _compare_ways(path: Path, options: argparse.Namespace) -> None:
    """Ask random predicates over every function in all ways, and see whether they agree."""
    store = build_world(path)
    engine, fresh = engine_of(store), engine_of(store)
    tally = Tally(options.show)
    for seed in range(options.seed, options.seed + options.partition):
        predicate = Predicates(seed).predicate()
        try:
            why = disagreement(engine, fresh, predicate)
        except Exception as error:  # a bare exception is a finding too
            why = f"raised {type(error).__name__}: {error}"
        tally.add(predicate, why, f"seed {seed}")
    tally.print("predicates, each asked in nine ways")


class Tally:
    """Counts of what came of the texts, with examples."""

    def __init__(self, show: int) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self.kinds: collections.Counter[str] = collections.Counter()
        self.examples: dict[str, list[str]] = collections.defaultdict(list)
        self.show = show
        self.start = time.perf_counter()

    def add(self, text: str, problem: str, place: str) -> None:
        """Count one text; `problem` is "" where the answers are equal."""
        fate = (
            "equal" if not problem else "refused" if problem.startswith("refused") else "different"
        )
        self.counts[fate] += 1
        if problem:
            kind = re.sub(r"'[^']*'|\"[^\"]*\"|\d+", "…", problem)[:90]
            self.kinds[kind] += 1
            if len(self.examples[kind]) < self.show:
                shown = " ".join(text.split())[-400:]
                self.examples[kind].append(f"{place}: {shown}\n      {problem[:400]}")
        if sum(self.counts.values()) % TOLD_EVERY == 0:
            print(f"  so far {dict(self.counts)}", file=sys.stderr, flush=True)

    def leave_out(self, reason: str) -> None:
        """Count a text that is not compared."""
        self.counts[f"left out: {reason}"] += 1

    def print(self, title: str) -> None:
        """Print the counts, then the kinds of differences with examples."""
        print(
            f"\n{title}: {sum(self.counts.values()):,} texts "
            f"in {time.perf_counter() - self.start:.0f} s"
        )
        for name, n in sorted(self.counts.items()):
            print(f"  {n:7,}  {name}")
        for kind, n in self.kinds.most_common():
            print(f"\n  {n} × {kind}")
            for example in self.examples[kind]:
                print(f"    {example}")


def _compare_file(db: Database, file: Path, tally: Tally) -> None:
    bare = duckdb.connect()
    bare.execute("SET threads = 2; SET memory_limit = '2GB'")
    for data in file.parent.glob("*.csv.gz") if file.suffix == ".sql" else ():
        name, rows = sql.quoted(data.name.removesuffix(".csv.gz")), f"LIMIT {MOST_OF_FILE}"
        bare.execute(f"CREATE TABLE {name} AS FROM read_csv({sql.string(str(data))}) {rows}")
    bare.execute("SET enable_external_access = false")
    for kind, text in _statements(file):
        if kind == "make":
            if MAKES.match(text):
                _bounded(bare, text)
            continue
        if (
            CHANCE.search(text)
            or RULED_OUT.search(text)
            or any(map(_is_ruled_out, CALL.findall(text)))
        ):
            tally.leave_out("chance, or refused by rule")
            continue
        if _uses_own(bare, text):
            tally.leave_out("uses macros, types or schemas of its file")
            continue
        whole = _with_tables(bare, text)
        if whole is None or "\0" in whole:
            tally.leave_out("needs what a CTE cannot give")
            continue
        rows = _bounded(bare, whole)
        if rows is None:
            tally.leave_out("DuckDB refuses it, or takes too long")
            continue
        tally.add(whole, _difference(db, whole, rows), str(file))
    bare.close()


def _is_ruled_out(name: str) -> bool:
    return is_forbidden(name.lower())


def _uses_own(bare: duckdb.DuckDBPyConnection, text: str) -> bool:
    """Return whether a text names a macro, a type or a schema that its file has made."""
    own = _bounded(
        bare,
        "SELECT function_name FROM duckdb_functions() WHERE NOT internal "
        "UNION SELECT type_name FROM duckdb_types() WHERE NOT internal "
        "UNION SELECT schema_name FROM duckdb_schemas() WHERE NOT internal",
    )
    names = {str(name).lower() for (name,) in _rows(own)} - {"main"}
    words = set(re.findall(r"\w+", text.lower()))
    return bool(names & words) or bool(re.search(r"\b(main|memory|temp|system)\.", text, re.I))


def _statements(file: Path) -> Iterator[tuple[str, str]]:
    """Yield ("make", text) for what changes tables and ("ask", text) for SELECTs."""
    text = file.read_text(encoding="utf-8", errors="replace")
    if file.suffix == ".sql":
        body = re.sub(r"^--.*$|^# .*$", "", text, flags=re.MULTILINE)
        pieces = body.splitlines() if file.name == "identity.sql" else body.split(";")
        for piece in pieces:
            yield _kind(piece), piece.strip()
        return
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        while lines and re.match(r"(skipif|onlyif|mode|require|load|tags)\b", lines[0]):
            lines.pop(0)
        if not lines or not re.match(r"(statement|query)\b", lines[0]):
            continue
        body = "\n".join(lines[1:]).split("\n----")[0].strip()
        if "statement error" not in lines[0] and "${" not in body:
            yield _kind(body), body.rstrip("; \n")


def _kind(text: str) -> str:
    return (
        "ask"
        if re.match(
            r"[\s(]*(SELECT|WITH|FROM|VALUES|TABLE|SUMMARIZE|DESCRIBE|PIVOT|UNPIVOT)\b",
            text,
            re.IGNORECASE,
        )
        else "make"
    )


def _bounded(bare: duckdb.DuckDBPyConnection, text: str) -> pa.Table | None:
    """Run a text for a bounded time; None where it fails."""
    timer = threading.Timer(SECONDS, bare.interrupt)
    timer.start()
    try:
        result = bare.execute(text)
        if result is None or result.description is None:
            return pa.table({})
        return result.to_arrow_table()
    except (duckdb.Error, RuntimeError, pa.ArrowException):
        return None
    finally:
        timer.cancel()


def _with_tables(bare: duckdb.DuckDBPyConnection, text: str) -> str | None:
    """Return the text with the tables it names as CTEs of their rows."""
    try:
        names = sorted(bare.get_table_names(text))
        views = bare.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    except (duckdb.Error, RuntimeError):
        return None
    names += [v for (v,) in views if re.search(rf"\b{re.escape(v)}\b", text, re.IGNORECASE)]
    ctes = []
    for name in dict.fromkeys(names):
        cte = _cte(bare, name)
        if cte is None:
            return None
        ctes.append(cte)
    if not ctes:
        return text
    head = ",\n".join(ctes)
    if own := re.match(r"\s*WITH\s+(RECURSIVE\b)?", text, re.IGNORECASE):
        return f"WITH {'RECURSIVE ' if own[1] else ''}{head},\n{text[own.end() :]}"
    return f"WITH {head}\n{text}"


def _cte(bare: duckdb.DuckDBPyConnection, name: str) -> str | None:
    if "." in name:
        return None
    described = _bounded(bare, f"DESCRIBE {sql.quoted(name)}")
    if described is None:
        return None
    columns = [(str(row[0]), str(row[1])) for row in _rows(described)]
    texts = ", ".join(f"CAST({sql.quoted(c)} AS VARCHAR)" for c, _ in columns)
    rows = _bounded(bare, f"SELECT {texts} FROM {sql.quoted(name)}")
    if rows is None or len(rows) > MOST_ROWS:
        return None
    casts = ", ".join(f"CAST({sql.quoted(c)} AS {kind}) AS {sql.quoted(c)}" for c, kind in columns)
    head = ", ".join(sql.quoted(c) for c, _ in columns)
    if not len(rows):
        nulls = ", ".join("NULL" for _ in columns)
        empty = f"(VALUES ({nulls})) AS v({head}) WHERE false"
        return f"{sql.quoted(name)} AS (SELECT {casts} FROM {empty})"
    values = ", ".join(
        "(" + ", ".join(sql.literal(value) for value in row) + ")" for row in _rows(rows)
    )
    return f"{sql.quoted(name)} AS (SELECT {casts} FROM (VALUES {values}) AS v({head}))"


def _difference(db: Database, text: str, want: pa.Table) -> str:
    try:
        table = db.sql(text)
    except SliceDBError as error:
        return f"refused: {error}"
    except Exception as error:  # a bare exception is a finding too
        return f"raised {type(error).__name__}: {error}"
    names = apart(want.column_names)
    if [_heading(n) for n in table.column_names] != [_heading(n) for n in names]:
        return f"columns {table.column_names}, not {names}"
    if len(table) != len(want):
        return f"{len(table)} rows, not {len(want)}"
    try:
        one, other = _rows(table), _rows(want)
    except (ValueError, OverflowError, NotImplementedError, TypeError, ImportError):
        one, other = _texts(table), _texts(want)  # dates that Python does not have
    got, right = (sorted((tuple(map(plain, r)) for r in rows), key=repr) for rows in (one, other))
    pairs = [(a, b) for a, b in zip(got, right) if repr(a) != repr(b)]
    return f"row {pairs[0][0]}, not {pairs[0][1]}"[:300] if pairs else ""


def _rows(table: pa.Table | None) -> list[tuple[object, ...]]:
    columns = [] if table is None else [column.to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True))


def _texts(table: pa.Table) -> list[tuple[object, ...]]:
    """Return the rows with values that Python does not have as the numbers, or texts, of Arrow."""
    columns: list[list[object]] = []
    for column in table.columns:
        try:
            columns.append(column.to_pylist())
        except (ValueError, OverflowError, NotImplementedError, TypeError, ImportError):
            if pa.types.is_date32(column.type):
                columns.append(column.cast(pa.int32()).to_pylist())
            elif pa.types.is_timestamp(column.type):
                columns.append(column.cast(pa.int64()).to_pylist())
            else:
                columns.append([column.slice(n, 1).to_string() for n in range(len(column))])
    return list(zip(*columns, strict=True))


def _heading(name: str) -> str:
    """Return the name of a column without the number of a second one of that name.

    Columns without an alias that hold a query are named in another way, and are all "(".
    """
    return "(" if name.startswith("(") else re.sub(r"(_\d+)+$", "", name)


if __name__ == "__main__":
    main()
