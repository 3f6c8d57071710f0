"""Random valid queries, each answered by SliceDB and by bare DuckDB on the same data.

Bare DuckDB sees one table `samples` with the columns that a user stored, in stored order, and each
model as a STRUCT column of it, so that `m1.correct` means the same there without any rewriting.
Meanings are columns computed by NumPy. What the two answer must be equal: the names of the columns,
the rows, and their order (the text's, then stored order).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

import slicedb
from slicedb import schema, sql
from slicedb.errors import SliceDBError

N = 400
LABELS = ["cat", "dog", "bird", "it's", "Größe", "a b"]
MODELS = ("m1", "m2")
ANCHORS = (3, 17, 40)
"""Samples whose similarity is asked for."""
DIM = 16
MODEL_COLUMNS = ("prediction", "confidence", "loss", "correct", "label")


# --- the world -----------------------------------------------------------------------------------


def table_of(n: int, rng: np.random.Generator) -> pa.Table:
    """Return the users' columns of `n` samples: numbers with ties, NULLs, texts, lists."""

    def holes(values: Sequence[object], share: float = 0.2) -> list[object]:
        return [None if gone else v for v, gone in zip(values, rng.random(n) < share)]

    ids = [f"{'train' if i % 3 else 'test'}/s{i:05d}.jpg" for i in range(n)]
    return pa.table(
        {
            "id": ids,
            "label": pa.array(holes([LABELS[j] for j in rng.integers(0, 6, n)], 0.05), "string"),
            "split": pa.array(holes([("train", "test", "val")[j] for j in rng.integers(0, 3, n)])),
            "caption": pa.array(
                holes([f"a {LABELS[j]} % _ picture" for j in rng.integers(0, 6, n)])
            ),
            "tags": pa.array(
                holes([[f"t{k}" for k in range(int(j))] for j in rng.integers(0, 4, n)]),
                pa.list_(pa.string()),
            ),
            "width": pa.array(rng.integers(10, 40, n), "int64"),
            "i": pa.array(np.arange(n), "int64"),
            "k": pa.array(holes(rng.integers(-3, 4, n).tolist()), "int64"),
            "x": pa.array(holes(np.round(rng.normal(0, 2, n), 2).tolist()), "double"),
            "y": pa.array(rng.integers(-20, 20, n) / 4, "float"),
            "flag": pa.array(holes((rng.random(n) < 0.4).tolist()), "bool"),
            "name": pa.array(
                holes([f"{'ÀbC'[j % 3]}{j:02d}" for j in rng.integers(0, 60, n)]), "string"
            ),
            "l": pa.array(
                holes([rng.integers(-2, 6, int(m)).tolist() for m in rng.integers(0, 5, n)]),
                pa.list_(pa.int64()),
            ),
            "st": pa.array(
                holes([{"a": int(a), "b": f"b{a % 4}"} for a in rng.integers(0, 9, n)]),
                pa.struct([("a", pa.int64()), ("b", pa.string())]),
            ),
            "ts": pa.array(
                holes(
                    [
                        datetime(2026, 1, 1) + timedelta(hours=int(h))
                        for h in rng.integers(0, 999, n)
                    ]
                ),
                pa.timestamp("us"),
            ),
            "d": pa.array(
                holes([date(2026, 1, 1) + timedelta(days=int(h)) for h in rng.integers(0, 50, n)]),
                pa.date32(),
            ),
        }
    )


@dataclass
class World:
    """A database and the bare DuckDB beside it."""

    db: slicedb.Database
    bare: duckdb.DuckDBPyConnection
    ids: list[str]
    columns: list[str]
    """What `SELECT *` shows."""

    def expected(self, text: str) -> tuple[list[str], list[tuple[object, ...]]]:
        """Return the columns and rows of bare DuckDB."""
        result = self.bare.execute(text)
        return apart([column[0] for column in result.description or []]), result.fetchall()


def build(folder: Path, n: int = N, seed: int = 0) -> World:
    """Write the world to a database, two of its samples quarantined, and to bare DuckDB."""
    rng = np.random.default_rng(seed)
    table = table_of(n, rng)
    ids = table["id"].to_pylist()
    db = slicedb.open(folder / "world.slicedb")
    own = [f for f in table.schema if f.name not in schema.SAMPLES_SCHEMA.names]
    db.store.add_columns(schema.SAMPLES, own)
    keys = schema.keys_of(ids)
    db.store.append(
        schema.SAMPLES,
        table.append_column("key", pa.array(keys)).append_column("status", pa.array(["ok"] * n)),
    )
    broken = table.slice(0, 2).set_column(0, "id", pa.array(["broken/1", "broken/2"]))
    broken = broken.append_column("key", pa.array(schema.keys_of(["broken/1", "broken/2"])))
    db.store.append(schema.SAMPLES, broken.append_column("status", pa.array(["truncated"] * 2)))
    for model in MODELS:
        _log(db, model, ids, rng)
    vectors = _embed(db, ids, rng)
    shown = db.query("").to_arrow()
    visible = shown.column_names
    bare = duckdb.connect()
    bare.register("~shown", shown)
    similar = {f"sim{a}": pa.array(vectors @ vectors[a], "double") for a in ANCHORS}
    scores = pa.table({"id": ids, **similar})
    bare.register("~scores", scores)
    structs = []
    for model in MODELS:
        rows = db.store.table(schema.PREDICTIONS + model, ["id", *MODEL_COLUMNS])
        bare.register(f"~{model}", rows)
        fields = ", ".join(f"{c} := p_{model}.{c}" for c in MODEL_COLUMNS)
        structs.append(
            f"CASE WHEN p_{model}.id IS NOT NULL THEN struct_pack({fields}) END AS {model}"
        )
    joins = " ".join(f'LEFT JOIN "~{m}" p_{m} ON p_{m}.id = s.id' for m in MODELS)
    stars = ", ".join(f"s.{sql.quoted(c)}" for c in visible)
    sims = ", ".join(f"z.{c}" for c in similar)
    bare.execute(f'CREATE TABLE plain AS SELECT {stars} FROM "~shown" s ORDER BY i')
    bare.execute(
        f"CREATE TABLE samples AS SELECT {stars}, {', '.join(structs)}, {sims} "
        f'FROM "~shown" s {joins} JOIN "~scores" z ON z.id = s.id ORDER BY s.i'
    )
    return World(db, bare, ids, visible)


def _log(db: slicedb.Database, model: str, ids: list[str], rng: np.random.Generator) -> None:
    """Log predictions of three quarters of the samples; confidence has ties."""
    chosen = np.flatnonzero(rng.random(len(ids)) < 0.75)
    confidence = rng.integers(8, 20, len(chosen)) / 20
    predictions = [LABELS[j] for j in rng.integers(0, 6, len(chosen))]
    table = pa.table(
        {
            "id": [ids[j] for j in chosen],
            "prediction": predictions,
            "confidence": pa.array(confidence, "float"),
        }
    )
    db.log_predictions(model, table)


def _embed(db: slicedb.Database, ids: list[str], rng: np.random.Generator) -> np.ndarray:
    """Store vectors whose products are exact in half precision; return them."""
    vectors = (rng.integers(0, 2, (len(ids), DIM)) * 2 - 1).astype(np.float32) / 4
    name = schema.EMBEDDINGS + "default"
    db.store.create(name, schema.embeddings_schema(DIM))
    table = pa.table(
        {
            "id": ids,
            "key": schema.keys_of(ids),
            "content": np.zeros(len(ids), np.int64),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIM),
        },
        schema=schema.embeddings_schema(DIM),
    )
    db.store.append(name, table)
    return np.asarray(vectors)


# --- texts ---------------------------------------------------------------------------------------


@dataclass
class Text:
    """A query as a user writes it, and the same for bare DuckDB."""

    ours: str
    bare: str
    ordered: bool = True
    """Whether the order of the rows counts."""
    is_rows: bool = False
    """Whether it is a population, so that it has ids."""
    derive: list[str] = field(default_factory=list)


class Maker:
    """Writes random queries; every choice comes from one seeded generator."""

    def __init__(self, seed: int, models: bool = True) -> None:
        self.random = random.Random(seed)
        self.models = models

    def one(self, *choices: object) -> str:
        choice = self.random.choice(choices)
        return choice() if callable(choice) else str(choice)

    # expressions; those of meanings are written for SliceDB, and `bare` translates them

    def number(self, depth: int = 2) -> str:
        simple: list[object] = ["i", "k", "x", "y", "width", "st.a", "0", "1", "-1", "2.5", "-3"]
        simple += ["samples.i", '"k"', "len(tags)", "len(l)", "l[1]"]
        if self.models:
            simple += ["m1.confidence", "m2.confidence", "m1.loss", self.similarity]
        if depth <= 0:
            return self.one(*simple)
        n = lambda: self.number(depth - 1)  # noqa: E731
        return self.one(
            *simple,
            lambda: f"{n()} {self.one('+', '-', '*')} {n()}",
            lambda: f"({n()} {self.one('+', '-', '*')} {n()})",
            lambda: f"- {n()}",
            lambda: f"abs({n()})",
            lambda: f"coalesce({n()}, {n()})",
            lambda: f"CASE WHEN {self.truth(depth - 1)} THEN {n()} ELSE {n()} END",
            lambda: f"round({n()})",
            lambda: f"greatest({n()}, {n()})",
            lambda: f"length({self.string(depth - 1)})",
            lambda: "list_sum(list_transform(l, lambda v: v + k))",
            lambda: (
                "(SELECT max(k) FROM samples AS o "
                f"WHERE o.width = {self.one('samples.width', '12')})"
            ),
        )

    def string(self, depth: int = 1) -> str:
        simple: list[object] = ["label", "split", "name", "caption", "st.b", "tags[1]", "id"]
        simple += [lambda: sql.string(self.random.choice(LABELS)), "'train'", "''", "'%'"]
        if self.models:
            simple += ["m1.prediction", "m2.prediction"]
        if depth <= 0:
            return self.one(*simple)
        s = lambda: self.string(depth - 1)  # noqa: E731
        return self.one(
            *simple,
            lambda: f"lower({s()})",
            lambda: f"{s()} || {s()}",
            lambda: f"substr({s()}, 1, {self.random.randint(0, 4)})",
            lambda: f"coalesce({s()}, 'none')",
            lambda: f"CASE {s()} WHEN {s()} THEN {s()} END",
            lambda: f"CAST({self.number(depth - 1)} AS VARCHAR)",
            lambda: f"replace({s()}, 'a', '--')",
        )

    def truth(self, depth: int = 2) -> str:
        simple: list[object] = [
            "flag",
            "label = 'cat'",
            "label <> 'dog'",
            "split = 'test'",
            lambda: f"label IN ({', '.join(sql.string(x) for x in self.random.sample(LABELS, 2))})",
            lambda: f"i % {self.random.randint(2, 9)} = {self.random.randint(0, 2)}",
            "x IS NULL",
            "k IS NOT NULL",
            "list_contains(tags, 't1')",
            "list_contains(l, k)",
            "ts > TIMESTAMP '2026-01-15 12:00:00'",
            "d BETWEEN DATE '2026-01-10' AND DATE '2026-02-01'",
            "month(ts) = 1",
            "len(list_filter(l, lambda v: v > 1)) > 0",
            "caption LIKE '%cat%'",
            "name ILIKE 'à%'",
            "x > (SELECT avg(o.x) FROM samples AS o)",
            "EXISTS (SELECT 1 FROM samples AS o WHERE o.k = samples.i)",
            "i IN (SELECT o.width FROM samples AS o WHERE o.flag)",
        ]
        if self.models:
            simple += [
                "m1.correct",
                "m2.correct",
                "m1.correct AND NOT m2.correct",
                "m1.prediction <> m2.prediction",
                "m1.confidence > 0.6",
                "m2.loss > 1",
                "m1.prediction = label",
                lambda: f"{self.similarity()} {self.one('>', '<', '>=', '<=')} {self.cut()}",
            ]
        if depth <= 0:
            return self.one(*simple)
        t = lambda: self.truth(depth - 1)  # noqa: E731
        return self.one(
            *simple,
            lambda: f"{t()} AND {t()}",
            lambda: f"({t()} OR {t()})",
            lambda: f"{t()} OR {t()}",
            lambda: f"NOT ({t()})",
            lambda: f"NOT {self.one('flag', 'm1.correct' if self.models else 'flag')}",
            lambda: (
                f"{self.number(depth - 1)} {self.one('<', '<=', '=', '<>', '>')} "
                f"{self.number(depth - 1)}"
            ),
            lambda: (
                f"{self.string(depth - 1)} {self.one('=', '<>', '<', 'LIKE')} "
                f"{self.string(depth - 1)}"
            ),
            lambda: f"({t()}) IS {self.one('TRUE', 'NOT TRUE', 'NULL', 'NOT NULL')}",
            lambda: f"{self.number(depth - 1)} BETWEEN {self.number(0)} AND {self.number(0)}",
            lambda: f"CASE WHEN {t()} THEN {t()} ELSE {t()} END",
            lambda: f"coalesce({t()}, false)",
        )

    def similarity(self) -> str:
        return f"similarity(sample('{{{self.random.choice(ANCHORS)}}}'))"

    def cut(self) -> str:
        return str(self.random.randint(-4, 4) / 8 + 1 / 16)

    def order(self) -> str:
        keys = [
            self.one(
                "k", "x", "y", "label", "name", "width % 5", lambda: self.number(1), "flag", "i"
            )
            + self.one("", " DESC", " ASC", " NULLS FIRST", " DESC NULLS LAST")
            for _ in range(self.random.randint(1, 2))
        ]
        return ", ".join(keys)

    def tail(self) -> tuple[str, str, str]:
        """Return (ORDER BY for SliceDB, the same for bare DuckDB, LIMIT)."""
        order = f"ORDER BY {self.order()}" if self.random.random() < 0.6 else ""
        bare = f"{order}, i" if order else "ORDER BY i"
        limit = f"LIMIT {self.random.randint(0, 60)}" if self.random.random() < 0.5 else ""
        if limit and self.random.random() < 0.4:
            limit += f" OFFSET {self.random.randint(0, 20)}"
        return order, bare, limit

    # queries

    def predicate(self) -> Text:
        where = self.truth(3) if self.random.random() < 0.95 else ""
        order, bare, limit = self.tail()
        ours = " ".join(part for part in (where, order, limit) if part)
        whole = f"SELECT id FROM samples WHERE {where or 'true'} {bare} {limit}"
        return Text(ours, whole, is_rows=True)

    def select(self) -> Text:
        order, bare, limit = self.tail()
        items = [f"{self.number(2)} AS n1", f"{self.string(1)} AS s1", f"({self.truth(1)}) AS t1"]
        shown = ", ".join(["id", *self.random.sample(items, self.random.randint(0, 3))])
        where = f"WHERE {self.truth(2)}" if self.random.random() < 0.8 else ""
        ours = f"SELECT {shown} FROM samples {where} {order} {limit}"
        # A column may be named like an alias of the list: order by the table's own stored order.
        whole = f"SELECT {shown} FROM samples {where} {bare} {limit}"
        return Text(ours, whole, is_rows=True)

    def group(self) -> Text:
        by = self.one("label", "split", "k", "label, split", "width % 3", "name")
        figures = ["count(*) AS n", "sum(width) AS w", "min(name) AS lo", "count(DISTINCT k) AS dk"]
        figures += [f"count(*) FILTER (WHERE {self.truth(1)}) AS f", "max(x) AS mx"]
        chosen = ", ".join(self.random.sample(figures, 3))
        where = f"WHERE {self.truth(2)}" if self.random.random() < 0.7 else ""
        having = self.one("", "", "HAVING count(*) > 5")
        grouping = self.one(f"GROUP BY {by}", "GROUP BY ALL")
        text = f"SELECT {by}, {chosen} FROM {{t}} {where} {grouping} {having}"
        return _both(text, ordered=False)

    def star(self) -> Text:
        """A star without models: nothing hidden may show in it, be counted by it, or order it."""
        text = self.one(
            "SELECT * FROM {t} ORDER BY 1 LIMIT 5",
            "SELECT * FROM {t} ORDER BY ALL LIMIT 5",
            "SELECT * FROM {t} WHERE k = 1 ORDER BY #1 LIMIT 7",
            "SELECT count(*) AS n FROM (SELECT DISTINCT * EXCLUDE (id, i) FROM {t}) q",
            "SELECT * EXCLUDE (id, i, x, y, name, ts, d, l, tags, st, caption), count(*) AS n "
            "FROM {t} GROUP BY ALL",
            "SELECT * FROM {t} WHERE i < 5 UNION ALL SELECT * FROM {t} WHERE i > 395",
            "SELECT * FROM {t} WHERE i < 50 EXCEPT SELECT * FROM {t} WHERE i > 10",
            "SELECT count(*) AS n FROM "
            "(SELECT * FROM {t} INTERSECT SELECT * FROM {t} WHERE k = 1) q",
            "WITH c AS (SELECT 1 AS key, 2 AS v) SELECT * FROM c",
            "WITH c AS (SELECT label AS key, count(*) AS v FROM {t} GROUP BY ALL) SELECT * FROM c",
            "SELECT * FROM (SELECT i AS key, k FROM {t} WHERE i < 9) q",
            "SELECT length(to_json(t)::VARCHAR) AS n FROM {t} AS t WHERE i < 20",
            "SELECT * REPLACE (k + 1 AS k) FROM {t} WHERE i < 4",
            "SELECT COLUMNS('^[ikxy]$') FROM {t} WHERE i < 9",
            "FROM {t} WHERE i = 3",
            "FROM {t} SELECT i, k WHERE i < 3",
            "SELECT a.*, b.k AS bk FROM {t} AS a JOIN {t} AS b ON b.i = a.k WHERE a.i < 50",
            "SELECT a.i, b.* FROM {t} AS a JOIN {t} AS b USING (k) WHERE a.i < 4 AND b.i < 40",
            "SELECT id, unnest(l) AS u FROM {t} WHERE i < 30",
            "SELECT * FROM {t} AS t WHERE t.i < 3 ORDER BY t.k",
        )
        shape = ["SELECT * FROM", "FROM {t} WHERE"]
        ordered = "ORDER BY" in text or any(
            text.startswith(s) and "UNION" not in text for s in shape
        )
        return _both(text.replace("{t}", "{p}"), ordered=ordered and "EXCEPT" not in text)

    def join(self) -> Text:
        text = self.one(
            "SELECT a.id, b.i AS bi FROM {t} AS a LEFT JOIN {t} AS b ON b.i = a.i + 1 AND b.k = 1",
            "WITH w AS (SELECT i, {n} AS v FROM {t} WHERE {c}) "
            "SELECT count(*) AS n, sum(v) AS s FROM w",
            "WITH w AS (SELECT * FROM {t} WHERE {c}) "
            "SELECT label, count(*) AS n FROM w GROUP BY ALL",
            "SELECT id, row_number() OVER (PARTITION BY label ORDER BY i) AS r FROM {t} WHERE {c}",
            "SELECT id, i - lag(i) OVER (ORDER BY i) AS gap FROM {t} WHERE {c}",
            "SELECT id, k FROM {t} QUALIFY row_number() OVER (PARTITION BY k ORDER BY i DESC) = 1",
            "SELECT id FROM {t} WHERE {c} UNION SELECT id FROM {t} WHERE flag",
            "SELECT id FROM {t} WHERE {c} EXCEPT SELECT id FROM {t} WHERE flag",
            "SELECT label, list(i ORDER BY i) AS li FROM {t} WHERE i < 40 GROUP BY label",
            "SELECT count(*) AS n, avg(CAST(m1.correct AS INT)) AS a FROM {t} WHERE {c}",
            "SELECT label, split, count(*) AS n FROM {t} "
            "GROUP BY GROUPING SETS ((label), (split), ())",
            "SELECT q.label, q.n FROM (SELECT label, count(*) AS n FROM {t} "
            "GROUP BY label) AS q WHERE q.n > 3",
            "SELECT o.label FROM {t} AS o WHERE o.i = "
            "(SELECT max(p.i) FROM {t} AS p WHERE p.label = o.label)",
        )
        if not self.models:
            text = text.replace("m1.correct", "flag")
        text = text.replace("{n}", self.number(1)).replace("{c}", self.truth(2))
        # A star over the wide table would show the models' structs, which ours does not.
        return _both(text, ordered=False)

    def any(self) -> Text:
        """Return a query of any kind."""
        kinds: list[Callable[[], Text]] = [self.predicate] * 4 + [self.select] * 3
        return self.random.choice([*kinds, self.group, self.star, self.join])()


def _both(text: str, ordered: bool) -> Text:
    ours = text.replace("{t}", "samples").replace("{p}", "samples")
    bare = text.replace("{t}", "samples").replace("{p}", "plain AS samples")
    for name in ("a", "b", "o", "p", "t"):  # an alias of the text's own
        bare = bare.replace(f"AS samples AS {name}", f"AS {name}")
    return Text(ours, bare, ordered=ordered)


def written(text: Text, ids: Sequence[str]) -> Text:
    """Fill in the samples that meanings name, and their columns for bare DuckDB."""
    ours, bare = text.ours, text.bare
    for anchor in ANCHORS:
        ours = ours.replace(
            f"similarity(sample('{{{anchor}}}'))", f"similarity(sample('{ids[anchor]}'))"
        )
        bare = bare.replace(f"similarity(sample('{{{anchor}}}'))", f"sim{anchor}")
    return Text(ours, bare, text.ordered, text.is_rows)


# --- comparison ----------------------------------------------------------------------------------


def difference(world: World, text: Text, derived: bool = True, seed: int = 0) -> str:
    """Return how the two answers differ, "" if they do not; "refused: …" where ours raises.

    Texts that bare DuckDB refuses must be refused by SliceDB, whatever it says.
    """
    try:
        names, rows = world.expected(text.bare)
    except duckdb.Error as error:
        try:
            world.db.query(text.ours).to_arrow()
        except SliceDBError:
            return ""
        return f"DuckDB refuses it ({str(error)[:80]}), SliceDB answers"
    try:
        if text.is_rows and names == ["id"]:
            ids = [str(row[0]) for row in rows]
            return _of_samples(world, text.ours, ids, derived, seed)
        table = world.db.query(text.ours).to_arrow()
    except SliceDBError as error:
        return f"refused: {error}"
    if table.column_names != names:
        return f"columns {table.column_names}, not {names}"
    got = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    got = [tuple(map(plain, row)) for row in got]
    want = [tuple(map(plain, row)) for row in rows]
    if not text.ordered:
        got, want = sorted(got, key=repr), sorted(want, key=repr)
    if got == want:
        return ""
    first = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    one, other = got[first : first + 1], want[first : first + 1]
    return f"{len(got)} rows, not {len(want)}; row {first}: {one}, not {other}"


def apart(names: list[str]) -> list[str]:
    """Return the names of columns as a table has them: the second `a` is `a_1`."""
    apart: list[str] = []
    taken: Counter[str] = Counter()
    for name in names:
        n = taken[name.lower()]
        taken[name.lower()] += 1
        apart.append(f"{name}_{n}" if n else name)
    return apart


def plain(value: object) -> object:
    """Return a value that compares: floats to seven digits, NaN as a word, lists as tuples."""
    if isinstance(value, float):
        return "nan" if value != value else float(f"{value:.7g}")
    if isinstance(value, Decimal) and value == int(value):
        return int(value)
    if isinstance(value, (list, tuple)):
        return tuple(map(plain, value))
    if isinstance(value, dict):
        if list(value) == [f"element{i}" for i in range(1, len(value) + 1)]:
            return tuple(map(plain, value.values()))  # a STRUCT without names
        return tuple((k, plain(v)) for k, v in value.items())
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.timestamp()  # DuckDB calls the zone UTC or Etc/UTC
    if isinstance(value, pa.Scalar):
        return plain(value.as_py())
    return value


def _of_samples(world: World, text: str, ids: list[str], derived: bool, seed: int) -> str:
    """Compare a population: its ids, and everything that is derived from it."""
    query = world.db.query(text)
    if (got := query.ids()) != ids:
        first = next(
            (i for i, (a, b) in enumerate(zip(got, ids)) if a != b), min(len(got), len(ids))
        )
        one, other = got[first : first + 2], ids[first : first + 2]
        return f"ids(): {len(got)}, not {len(ids)}; place {first}: {one}, not {other}"
    if query.count() != len(ids):
        return f"count(): {query.count()}, not {len(ids)}"
    if not derived:
        return ""
    chance = random.Random(seed)
    a, b = sorted(chance.sample(range(len(ids) + 5), 2))
    every = [i for i in world.ids if i not in set(ids)]
    flagged = set(world.expected("SELECT id FROM plain WHERE flag")[1])
    flags = {row[0] for row in flagged}
    db = world.db
    frozen = db.slices.add("generated", query, replace=True)
    db.slices.freeze("generated")
    checks: list[tuple[str, Sequence[str], Sequence[str]]] = [
        (f"q[{a}:{b}]", query[a:b].ids(), ids[a:b]),
        ("q.limit(3)", query.limit(3).ids(), ids[:3]),
        ("~q", (~query).ids(), every),
        ("q & 'flag'", sorted((query & "flag").ids()), sorted(i for i in ids if i in flags)),
        ("q | 'flag'", sorted((query | "flag").ids()), sorted({*ids, *flags})),
        ("q - 'flag'", sorted((query - "flag").ids()), sorted(i for i in ids if i not in flags)),
        ("frozen", db.slices.get("generated").ids(), ids),
        ("in_slice", sorted(db.query("in_slice('generated')").ids()), sorted(ids)),
        ("take", query.take(5).ids(), query.take(5).ids()),
        ("take of members", [i for i in query.take(5).ids() if i not in set(ids)], []),
        ("take's number", [str(len(query.take(5).ids()))], [str(min(5, len(ids)))]),
    ]
    db.slices.drop("generated")
    del frozen
    for name, got, want in checks:
        if list(got) != list(want):
            return f"{name}: {list(got)[:4]}, not {list(want)[:4]} ({len(got)}, not {len(want)})"
    return ""
