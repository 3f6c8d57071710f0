"""Texts that are plain DuckDB: they mean what DuckDB means, beside it on the same rows."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest

from slicedb.errors import QueryError
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
SELECT * FROM samples ORDER BY 2 DESC NULLS LAST, 1 LIMIT 3
SELECT id, label FROM samples ORDER BY ALL LIMIT 3
SELECT * EXCLUDE (ingested_at) FROM samples ORDER BY ALL LIMIT 3
SELECT count(*) AS n FROM (SELECT DISTINCT * EXCLUDE (id) FROM (SELECT id, label FROM samples))
SELECT label, split FROM samples GROUP BY ALL ORDER BY ALL
SELECT * FROM (SELECT * FROM samples UNION SELECT * FROM samples) ORDER BY id LIMIT 2
SELECT hash(t) = hash(u) AS same FROM samples t JOIN samples u USING (id)
SELECT id, label.upper() FROM samples WHERE label.upper() = 'RED' ORDER BY id
SELECT samples.label.replace('r', 'b').upper() AS l FROM samples ORDER BY id LIMIT 2
SELECT id FROM samples WHERE [i.upper() FOR i IN tags].contains('NIGHT') ORDER BY id
SELECT COLUMNS(lambda c: c LIKE 'l%') FROM samples ORDER BY id LIMIT 2
SELECT COLUMNS(c -> c LIKE 'l%') FROM samples ORDER BY id LIMIT 2
SELECT COLUMNS('la|lu') FROM samples ORDER BY id LIMIT 2
SELECT COLUMNS(*) FROM (SELECT id, label FROM samples) ORDER BY id LIMIT 2
SELECT b.id FROM b: samples ORDER BY b.id LIMIT 2
FROM b: samples SELECT b.id ORDER BY ALL LIMIT 2
SELECT a.id FROM a: samples JOIN b: samples ON a.id = b.id ORDER BY 1 LIMIT 2
SELECT geomean(lux + 1) AS g FROM samples
SELECT json_group_array(id) AS g FROM (SELECT id FROM samples ORDER BY id)
SELECT count(*) AS n FROM samples GROUP BY ()
SELECT (*) FROM (SELECT id FROM samples) ORDER BY id LIMIT 1
(SELECT id FROM samples WHERE label = 'red') ORDER BY id
(SELECT id FROM samples WHERE label = 'red') UNION (SELECT id FROM samples) ORDER BY id
((FROM samples SELECT id)) ORDER BY id LIMIT 2
SELECT id, status FROM (SELECT id, 'x' AS status FROM samples) ORDER BY id LIMIT 20
SELECT count(*) AS n FROM samples WHERE len(list_filter(['a'], lambda status: status = 'a')) = 1
WITH t AS (SELECT 'ok' AS status) SELECT samples.id FROM samples, t WHERE t.status = 'ok' ORDER BY 1
SELECT id, unnest(tags) AS tag FROM samples ORDER BY id, tag
SELECT DISTINCT * FROM (SELECT label FROM samples) ORDER BY ALL
SELECT * EXCLUDE (label) REPLACE (upper(id) AS id) FROM samples ORDER BY id LIMIT 1
SELECT * RENAME (id AS name) FROM samples ORDER BY name LIMIT 1
SELECT x.* FROM (SELECT * FROM samples) AS x ORDER BY x.id LIMIT 1
FROM (FROM samples) ORDER BY id LIMIT 1
SELECT max(i) AS m FROM (SELECT row_number() OVER (ORDER BY id) AS i, * FROM samples)
"""


@pytest.mark.parametrize("text", TEXTS.strip().splitlines())
def test_a_text_means_what_it_means_to_duckdb(
    engine: Engine, bare: duckdb.DuckDBPyConnection, text: str
) -> None:
    wanted = rows(bare.sql(text).to_arrow_table())
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
    ],
)
def test_a_predicate_of_such_a_form(engine: Engine, text: str, expected: list[str]) -> None:
    assert engine.query(text).ids() == expected


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
    ],
)
def test_a_schema_is_no_column(engine: Engine, text: str, token: str) -> None:
    with pytest.raises(QueryError) as error:
        engine.query(text)
    assert error.value.token == token
