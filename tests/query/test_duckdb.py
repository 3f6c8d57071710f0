"""Texts that are plain DuckDB: they mean what DuckDB means, beside it on the same rows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from slicedb.errors import ParseError, QueryError
from slicedb.query import Engine


@pytest.fixture(scope="module")
def bare(engine: Engine) -> Iterator[duckdb.DuckDBPyConnection]:
    """Return DuckDB over the samples as users see them, with a column per model's column."""
    connection = duckdb.connect(config={"lambda_syntax": "ENABLE_SINGLE_ARROW"})
    connection.register("samples", engine.query("").to_arrow())
    connection.register("m1", engine.sql("FROM m1"))
    yield connection
    connection.close()


def rows(table: pa.Table) -> tuple[list[str], list[tuple[object, ...]]]:
    return table.column_names, list(zip(*(column.to_pylist() for column in table.columns)))


TEXTS = """
SELECT * FROM samples ORDER BY 1 DESC LIMIT 3
SELECT * FROM samples ORDER BY 2 DESC NULLS LAST, 1 LIMIT 3
SELECT * FROM samples ORDER BY #1 LIMIT 3
SELECT label, * FROM samples ORDER BY 2 LIMIT 3
SELECT t.* FROM samples t WHERE lux > 1 ORDER BY 9 DESC NULLS LAST, 1 LIMIT 4
FROM samples ORDER BY 10 NULLS FIRST, lux, 1 DESC LIMIT 4
FROM samples ORDER BY 1 LIMIT 3
SELECT id, label FROM samples ORDER BY ALL LIMIT 3
SELECT * EXCLUDE (ingested_at) FROM samples ORDER BY ALL LIMIT 3
SELECT * FROM samples ORDER BY * LIMIT 3
SELECT count(*) AS n FROM (SELECT DISTINCT * EXCLUDE (id) FROM (SELECT id, label FROM samples))
SELECT label, split FROM samples GROUP BY ALL ORDER BY ALL
SELECT * FROM (SELECT * FROM samples UNION SELECT * FROM samples) ORDER BY id LIMIT 2
SELECT * FROM samples EXCEPT SELECT * FROM samples
SELECT x, y FROM samples AS t(x, y) ORDER BY x LIMIT 3
SELECT t.x FROM samples t(x) ORDER BY 1 LIMIT 2
SELECT to_json(t)::VARCHAR AS j FROM samples t ORDER BY id LIMIT 2
SELECT hash(t) = hash(u) AS same FROM samples t JOIN samples u USING (id)
SELECT t FROM samples t ORDER BY id LIMIT 1
WITH t AS (SELECT 1 AS key, 2 AS v) SELECT * FROM t
WITH t AS (SELECT 1 AS key, 2 AS v) SELECT * FROM t ORDER BY 1
SELECT * FROM json_each('{"a": 1}') ORDER BY key
SELECT 1 AS "~x", 2 AS y
SELECT * FROM samples JOIN (SELECT 'a1' AS id, 7 AS key) USING (id)
SELECT s.*, t.* FROM samples s JOIN (SELECT 'a1' AS id, 7 AS key) t ON s.id = t.id
SELECT id, label.upper() FROM samples WHERE label.upper() = 'RED' ORDER BY id
SELECT samples.label.replace('r', 'b').upper() AS l FROM samples ORDER BY id LIMIT 2
SELECT id FROM samples WHERE [i.upper() FOR i IN tags].contains('NIGHT') ORDER BY id
SELECT COLUMNS(lambda c: c LIKE 'l%') FROM samples ORDER BY id LIMIT 2
SELECT COLUMNS(c -> c LIKE 'l%') FROM samples ORDER BY id LIMIT 2
SELECT COLUMNS('la|lu') FROM samples ORDER BY id LIMIT 2
SELECT list_reduce([1, 2], lambda a, b: a + b)
SELECT list_reduce([1, 2], lambda a,  b: a*b)::BIGINT + 1, (1), [2].list_reduce(lambda a, b: b)
SELECT * FROM (SELECT list_reduce([1, 2], lambda a, b: a + b))
SELECT * FROM (SELECT upper(list_reduce(['a', 'b'], lambda a, b: a || b)), 1)
SELECT min(COLUMNS(* EXCLUDE (objects, ingested_at))) FROM samples
SELECT COLUMNS(*) FROM (SELECT id, label FROM samples) ORDER BY id LIMIT 2
SELECT b.id FROM b: samples ORDER BY b.id LIMIT 2
FROM b: samples SELECT b.id ORDER BY ALL LIMIT 2
SELECT a.id FROM a: samples JOIN b: samples ON a.id = b.id ORDER BY 1 LIMIT 2
SELECT geomean(lux + 1) AS g FROM samples
SELECT json_group_array(id) AS g FROM (SELECT id FROM samples ORDER BY id)
SELECT min(COLUMNS('id|label')) FROM samples
SELECT * LIKE 'l%' FROM samples ORDER BY id LIMIT 2
SELECT s.* EXCLUDE (label, tags) FROM samples s ORDER BY 1 DESC LIMIT 2
SELECT (*) FROM samples ORDER BY id LIMIT 1
SELECT id FROM samples ORDER BY COLUMNS('label|id') LIMIT 3
SELECT * FROM samples JOIN m1 USING (id) ORDER BY 1 LIMIT 2
SELECT * FROM samples NATURAL JOIN m1 ORDER BY 1 LIMIT 2
SELECT count(*) AS n FROM (SELECT label FROM samples GROUP BY ALL)
SELECT count(DISTINCT samples) AS n FROM samples
SELECT unnest(samples) FROM samples ORDER BY id LIMIT 1
SELECT * FROM (SELECT id, label FROM samples) AS t(a) ORDER BY a LIMIT 1
SELECT row_number() OVER () AS n, * FROM (SELECT id FROM samples ORDER BY id) ORDER BY 1 LIMIT 2
SELECT e.key, s.id FROM samples s, json_each('{"a": 1}') e ORDER BY s.id LIMIT 2
SELECT key, samples.id FROM samples, json_each('{"a": 1}') ORDER BY samples.id LIMIT 2
SELECT t.id FROM (samples JOIN m1 USING (id)) AS t ORDER BY 1 LIMIT 2
SELECT * FROM ((samples JOIN m1 USING (id)) JOIN m1 AS n USING (id)) AS t ORDER BY id LIMIT 1
SELECT m1.a FROM (SELECT {'a': 1} AS m1)
SELECT t.m1.a FROM (SELECT {'a': 1} AS m1) t
SELECT x FROM (SELECT label AS m1, id AS x FROM samples) WHERE m1 = 'red' ORDER BY x
WITH m1 AS (SELECT 'a1' AS id, 5 AS loss) SELECT m1.loss FROM m1
WITH samples AS (SELECT 1 AS id, 2 AS key) SELECT * FROM samples
SELECT * FROM (VALUES (1, 2)) AS t(key, b)
SELECT * FROM (FROM samples PIVOT (count(*) FOR split IN ('test') GROUP BY label)) ORDER BY label
SELECT * FROM samples ASOF JOIN m1 ON samples.id >= m1.id ORDER BY samples.id LIMIT 1
SELECT s.id FROM samples s, LATERAL (SELECT s.label AS l) t WHERE l = 'red' ORDER BY ALL
SELECT * FROM (SELECT id FROM samples UNION ALL BY NAME SELECT id, label FROM samples) ORDER BY ALL
SELECT DISTINCT ON (label) label, id FROM samples ORDER BY label, id
SELECT label, split, count(*) n FROM samples GROUP BY ROLLUP (label, split) ORDER BY ALL
SELECT struct_extract(samples, 'id') AS i FROM samples ORDER BY 1 LIMIT 1
SELECT count(*) AS n FROM samples, samples AS t
SELECT [lpad(t, 9, '-') FOR t IN tags] AS l FROM samples WHERE tags IS NOT NULL ORDER BY id
SELECT #1 FROM samples ORDER BY id LIMIT 2
SELECT #2 AS x, id FROM samples WHERE #1 = 'a1'
SELECT id, label FROM samples ORDER BY #2 NULLS FIRST, #1 LIMIT 3
SELECT count(*) AS n FROM samples GROUP BY ()
SELECT (*) FROM (SELECT id FROM samples) ORDER BY id LIMIT 1
(SELECT id FROM samples WHERE label = 'red') ORDER BY id
(SELECT id FROM samples WHERE label = 'red') UNION (SELECT id FROM samples) ORDER BY id
((FROM samples SELECT id)) ORDER BY id LIMIT 2
SELECT id, status FROM (SELECT id, 'x' AS status FROM samples) ORDER BY id LIMIT 20
SELECT count(*) AS n FROM samples WHERE len(list_filter(['a'], lambda status: status = 'a')) = 1
SELECT id, 1 AS status FROM samples ORDER BY status, id
WITH t AS (SELECT 'ok' AS status) SELECT samples.id FROM samples, t WHERE t.status = 'ok' ORDER BY 1
SELECT id FROM samples WHERE (SELECT status FROM (SELECT 'ok' AS status)) = 'ok' ORDER BY id
SELECT id, unnest(tags) AS tag FROM samples ORDER BY id, tag
SELECT DISTINCT * FROM (SELECT label FROM samples) ORDER BY ALL
SELECT * EXCLUDE (label) REPLACE (upper(id) AS id) FROM samples ORDER BY id LIMIT 1
SELECT * RENAME (id AS name) FROM samples ORDER BY name LIMIT 1
SELECT x.* FROM (SELECT * FROM samples) AS x ORDER BY x.id LIMIT 1
FROM (FROM samples) ORDER BY id LIMIT 1
VALUES (1, 'a'), (2, 'b')
TABLE samples ORDER BY 1 DESC LIMIT 3
WITH t AS (TABLE m1) SELECT count(*) AS n FROM t
DESCRIBE SELECT id, label AS name, 2 * width AS double FROM samples
DESC SELECT 1 AS one
SELECT column_name FROM (DESCRIBE m1)
SUMMARIZE SELECT lux, label FROM samples
SELECT column_name, max FROM (SUMMARIZE m1) ORDER BY ALL
PIVOT (SELECT label, split FROM samples) ON split IN ('train', 'test') USING count(*) ORDER BY ALL
SELECT * FROM (PIVOT samples ON split IN ('test') USING count(*) GROUP BY label) ORDER BY label
UNPIVOT (SELECT id, lux, width::DOUBLE AS w FROM samples) ON lux, w INTO NAME n VALUE v ORDER BY ALL
SELECT array(SELECT id FROM samples ORDER BY id DESC) AS a
SELECT * FROM (FROM samples, (SELECT 1 AS one)) ORDER BY id LIMIT 1
WITH t AS (SELECT 1 AS x, 2 AS y) SELECT * EXCLUDE t.x FROM t
SELECT * EXCLUDE samples.label FROM samples ORDER BY id LIMIT 1
WITH t AS (SELECT 1 AS x) SELECT t.x FROM t UNION ALL BY NAME SELECT x FROM t ORDER BY t.x
SELECT label AS l, alias.l.upper() AS u FROM samples ORDER BY id LIMIT 2
WITH RECURSIVE t(k) USING KEY (k) AS (SELECT 1 UNION ALL FROM recurring.t WHERE false) FROM t
SELECT repeat('ab'::BLOB, 2) AS b, repeat('x', 2) AS c, repeat([1], 2) AS d, printf(NULL) AS p
(VALUES (1, 3), (2, 4))
SELECT unlist([id]) AS i FROM samples ORDER BY i LIMIT 2
SELECT 'test' || id AS added, added.substr(5) AS rest FROM samples ORDER BY id LIMIT 2
SELECT id AS "table", label AS desc FROM samples ORDER BY 1 DESC LIMIT 2
SELECT 2 > ANY(SELECT * FROM range(3) t(i))
SELECT max(i) AS m FROM (SELECT row_number() OVER (ORDER BY id) AS i, * FROM samples)
SELECT label AS key, count(*) AS n FROM samples GROUP BY key ORDER BY key
SELECT width AS key FROM samples WHERE key > 40 ORDER BY id
SELECT width AS key, key + 1 AS n FROM samples ORDER BY key LIMIT 2
SELECT id, row_number() OVER (ORDER BY id) AS key FROM samples QUALIFY key < 4 ORDER BY id
SELECT label, count(*) AS status FROM samples GROUP BY label HAVING status > 1 ORDER BY ALL
SELECT * RENAME (label AS key) FROM samples WHERE key = 'red' ORDER BY id
SELECT *, width AS key FROM samples ORDER BY key DESC LIMIT 3
SELECT *, 1 AS "~row" FROM samples ORDER BY id LIMIT 3
SELECT s.key, s.width FROM samples s(key) WHERE key > 'b' ORDER BY key
SELECT * FROM (FROM samples) s JOIN (SELECT 1 AS key, 'a1' AS i) ON s.id = i WHERE key = 1
SELECT count(*) FROM (SELECT DISTINCT * EXCLUDE id FROM samples), (SELECT 1 AS key) WHERE key = 1
SELECT count(*) FROM (FROM samples UNION FROM samples), (SELECT 1 AS key) WHERE key = 1
SELECT id, key FROM samples, LATERAL (SELECT samples.width * 2 AS key) WHERE key > 100 ORDER BY id
SELECT key FROM (SELECT * FROM (SELECT id AS key, * FROM samples)) ORDER BY key LIMIT 2
SELECT id FROM samples s WHERE EXISTS (SELECT 1 FROM (SELECT 'a1' AS key) WHERE key = s.id)
SELECT list_transform(range(4), lambda x: list_sum(range(3)) + x) AS l
FROM icu_calendar_names() ORDER BY ALL
SELECT COLUMNS('(id|label)') AS 'the_\1' FROM samples ORDER BY ALL LIMIT 2
SELECT st.* FROM (SELECT {'a': id, 'b': 2} AS st FROM samples) ORDER BY 1 LIMIT 2
SELECT captured.* FROM (SELECT *, {'at': captured_at} AS captured FROM samples) ORDER BY id LIMIT 2
"""


@pytest.mark.parametrize("text", TEXTS.strip().splitlines())
def test_a_text_means_what_it_means_to_duckdb(
    engine: Engine, bare: duckdb.DuckDBPyConnection, text: str
) -> None:
    # Columns of one name get numbers in a subquery, as they do in a result of SliceDB.
    wanted = rows(bare.sql(f"SELECT * FROM ({text}\n)").to_arrow_table())
    got = rows(engine.query(text).to_arrow())
    assert got == wanted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(label = 'red') AND split = 'test'", ["a2", "a3"]),
        ("(SELECT max(loss) FROM m1) = m1.loss", ["a3"]),
        ("(SELECT count(*) FROM samples) > 3 AND label = 'red'", ["a1", "a2", "a3"]),
        ("label = 'red'; -- done", ["a1", "a2", "a3"]),
        ("m1.prediction.upper() = 'RED'", ["a1", "a2", "c2"]),
        ("m1.prediction.replace('r', 'R').length() = 3 AND label = 'blue'", ["c2"]),
        ("m1.correct ORDER BY 1 LIMIT 2", ["a1", "a2"]),
        ("m1.correct ORDER BY ALL DESC LIMIT 2", ["c3", "c1"]),
        ("m1.correct ORDER BY ALL DESC NULLS LAST LIMIT 2 OFFSET 1", ["c1", "b3"]),
    ],
)
def test_a_predicate_of_such_a_form(engine: Engine, text: str, expected: list[str]) -> None:
    assert engine.query(text).ids() == expected


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM samples JOIN m1 USING (@) ORDER BY samples.id",
        "SELECT * FROM (SELECT * FROM samples) AS s JOIN m1 USING (@) ORDER BY s.id",
        "SELECT s.* FROM (FROM samples) AS s JOIN m1 ON s.@ = m1.@ ORDER BY s.id",
        "WITH s AS (SELECT * FROM samples) SELECT s.* FROM s JOIN m1 USING (@) ORDER BY s.id",
        "SELECT * FROM (SELECT * FROM samples UNION SELECT * FROM samples) ORDER BY @ LIMIT 0",
    ],
)
def test_the_key_is_there_for_a_text_that_names_it(engine: Engine, text: str) -> None:
    by_key, by_id = (engine.query(text.replace("@", name)) for name in ("key", "id"))
    names = [name for name in by_id.columns if name not in ("id", "id_1")]
    assert "key" not in by_key.columns
    assert [n for n in by_key.columns if n not in ("id", "id_1")] == names
    assert by_key.to_arrow(["label"]) == by_id.to_arrow(["label"])


def test_a_text_may_show_the_key_or_leave_it_out(engine: Engine) -> None:
    shown = engine.query("SELECT key, * FROM samples")
    assert shown.columns[:2] == ["key", "id"] and shown.columns.count("key") == 1
    assert "key" not in engine.query("SELECT * EXCLUDE (key) FROM samples").columns
    renamed = engine.query("SELECT * RENAME (key AS k) FROM samples")
    assert renamed.columns[-1] == "k"
    inner = "SELECT max(key) AS k FROM (SELECT DISTINCT * FROM samples)"
    assert (
        engine.sql(inner)["k"].to_pylist()
        == engine.sql("SELECT max(key) AS k FROM samples")["k"].to_pylist()
    )


@pytest.mark.parametrize("n", [100, 250, 400])
@pytest.mark.parametrize(
    "text",
    [
        "id{repeat: || 'x'} <> 'a' AND matches('red')",
        "1{repeat: + 1} > 0",
        "{repeat:NOT }true",
        "id{repeat:.upper()} <> ''",
    ],
)
def test_a_long_chain_is_answered_or_refused(engine: Engine, text: str, n: int) -> None:
    head, rest = text.split("{repeat:")
    part, tail = rest.split("}", 1)
    try:
        assert engine.query(head + part * n + tail).count() > 0
    except ParseError as error:
        assert n > 300 and "nested too deeply" in error.message


def test_rows_made_of_one_sample_are_one_sample(engine: Engine) -> None:
    query = engine.query("SELECT id, unnest(tags) AS tag FROM samples")
    assert query.to_arrow().num_rows == 4
    assert query.count() == len(query.ids()) == len(query.keys()) == 3


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("SELECT main.repeat('x', 3) FROM samples", "main.repeat('x', 3)"),
        ("SELECT system.main.lower('x')", "system.main.lower('x')"),
        ("SELECT id.getenv() FROM samples", "id.getenv()"),
        ("SELECT caption.format(1) FROM samples", "caption.format(1)"),
        ("SELECT lists.lower('x') FROM samples", "lists.lower('x')"),
        ("SELECT [lpad(t, 1000, 'x') FOR t IN tags] FROM samples", "lpad(t, 1000, 'x')"),
        ("SELECT [rpad(t, width, 'x') FOR t IN tags] FROM samples", "rpad(t, width, 'x')"),
    ],
)
def test_a_schema_is_no_column(engine: Engine, text: str, token: str) -> None:
    with pytest.raises(QueryError) as error:
        engine.query(text)
    assert error.value.token == token


@pytest.mark.parametrize(
    "text", ["SELECT * FROM samples ORDER BY 1 DESC", "FROM samples ORDER BY 1"]
)
def test_an_order_by_place_reads_its_column_alone(engine: Engine, text: str) -> None:
    query = engine.query(text)
    assert query.plan().bound.narrows
    assert query.ids() == sorted(query.ids(), reverse="DESC" in text)
    assert query[1:3].ids() == query.ids()[1:3]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SELECT * FROM (SELECT m1.loss + 1 FROM samples)", ["(m1.loss + 1)"]),
        ("WITH t AS (SELECT m1.loss * 2 FROM samples) FROM t", ["(m1.loss * 2)"]),
        (
            "SELECT * FROM (SELECT (SELECT count(*) FROM samples), m1.loss - 1, 2 FROM samples)",
            ["(SELECT count_star() FROM samples)", "(m1.loss - 1)", "2"],
        ),
        ("SELECT m1.loss + 1 FROM samples UNION ALL SELECT 2", ["(m1.loss + 1)"]),
        ("SELECT DISTINCT ON (label) m1.loss  + 1, 2 FROM samples", ["m1.loss + 1", "2"]),
        (
            "SELECT m1.prediction IS DISTINCT FROM label FROM samples",
            ["m1.prediction IS DISTINCT FROM label"],
        ),
        ("FROM (FROM samples SELECT m1.loss - 1, 3 AS k)", ["(m1.loss - 1)", "k"]),
        ("SELECT * FROM (SELECT similarity('a') * 2 FROM samples)", ["(\"similarity\"('a') * 2)"]),
    ],
)
def test_columns_without_a_name_have_their_text_for_one(
    engine: Engine, text: str, names: list[str]
) -> None:
    assert engine.sql(text).column_names == names


ZONED = """
import datetime, sys, pyarrow as pa, slicedb
from slicedb.schema import SAMPLES, keys_of
db = slicedb.open(sys.argv[1])
db.store.add_columns(SAMPLES, [pa.field("taken", pa.timestamp("us", tz="UTC"))])
noon = datetime.datetime(2024, 7, 1, 12, tzinfo=datetime.UTC)
rows = {"id": ["a"], "key": keys_of(["a"]), "status": ["ok"], "taken": [noon]}
db.store.append(SAMPLES, pa.table(rows))
when = "'2024-07-01 12:00:00'"
texts = (f"taken = TIMESTAMP {when}", f"taken >= {when} AND taken <= {when}", "hour(taken) = 12")
print([db.query(text).count() for text in texts])
"""


def test_a_query_means_the_same_in_every_time_zone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ZONED, str(tmp_path / "d.slicedb")]
    zone = {**os.environ, "TZ": "America/St_Johns"}
    done = subprocess.run(command, capture_output=True, text=True, env=zone)
    assert done.stdout.strip() == "[1, 1, 1]", done.stderr
