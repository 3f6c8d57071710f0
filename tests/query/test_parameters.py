"""Values for a text's parameters, samples drawn and counted out, and texts of chance."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import numpy as np
import pytest

from slicedb.errors import ParseError, QueryError
from slicedb.query import Engine, fill
from slicedb.query.language.parameters import sql_value


@pytest.mark.parametrize(
    ("text", "params", "expected"),
    [
        ("label = $label", {"label": "red"}, ["a1", "a2", "a3"]),
        ("label = ? AND NOT id IN ?", ["red", ["a1", "a3"]], ["a2"]),
        ("label = $1 OR id = $2", ("red", "b1"), ["a1", "a2", "a3", "b1"]),
        ("m1.loss > $least", {"least": np.float32(1)}, ["a3", "b2", "c2"]),
        ("label = 'red' AND '$least' <> '?' -- $least ?", {}, ["a1", "a2", "a3"]),
    ],
)
def test_values_go_where_the_marks_stand(
    engine: Engine, text: str, params: object, expected: list[str]
) -> None:
    assert engine.query(fill(text, params)).ids() == expected  # type: ignore[arg-type]


def test_a_value_is_never_read_as_sql(engine: Engine) -> None:
    evil = "red' OR true --"
    assert engine.query(fill("label = ?", [evil])).ids() == []
    assert engine.query(fill("? = $2", [evil, evil])).count() == 10


def test_values_of_every_kind_come_back_as_they_were(engine: Engine) -> None:
    values = [True, None, -3, 0.1, 1e300, "it's\nü", date(2026, 2, 3), datetime(2026, 2, 3, 4, 5)]
    for value in values:
        table = engine.query(f"SELECT {sql_value(value)} AS v").to_arrow()
        got = table["v"][0].as_py()
        assert float(got) == value if isinstance(value, float) else got == value
    zoned = datetime(2026, 2, 3, 4, 5, tzinfo=UTC)
    asked = engine.query(f"SELECT epoch({sql_value(zoned)}) AS v").to_arrow()
    assert asked["v"][0].as_py() == zoned.timestamp()


OPERATORS = """+ - * / // % ** ^ = <> < > <= >= == != || & | << >> IS·DISTINCT·FROM""".split()


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("value", [-5, 5])
@pytest.mark.parametrize("space", ["", " "])
def test_a_value_after_an_operator_is_what_duckdb_binds(
    engine: Engine, operator: str, value: int, space: str
) -> None:
    if value < 0 and operator in ("<<", ">>"):
        pytest.skip("DuckDB refuses to shift by a negative number")
    word = operator.replace("·", " ")
    text = f"i {word}{' ' if word.isupper() else space}$x"
    if operator == "||":
        text = f"i::VARCHAR {word}{space}$x"
    wanted = duckdb.execute(f"SELECT {text} FROM (SELECT 3 AS i)", {"x": value}).fetchall()
    filled = fill(f"SELECT {text} AS v FROM (SELECT 3 AS i)", {"x": value})
    got = engine.query(filled).to_arrow()["v"].to_pylist()
    assert got == [wanted[0][0]]


def test_a_negative_value_keeps_the_rest_of_its_line(engine: Engine) -> None:
    text = fill("m1.loss -$x > 5.5 AND label = 'red'", {"x": -5})
    assert text == "m1.loss - (-5) > 5.5 AND label = 'red'"
    assert engine.query(text).ids() == ["a3"]
    assert fill("-$x - ?", {"x": 1, "1": -2.0}) == "- 1 - (-2.0e0)"


@pytest.mark.parametrize(
    ("text", "value", "wanted"),
    [
        ("typeof($x)", 0.5, "DOUBLE"),
        ("typeof($x)", [0.5, -1.5], "DOUBLE[]"),
        ("typeof($x)", -3, "INTEGER"),
        ("typeof($x)", np.array([1.5]), "DOUBLE[]"),
        ("typeof($x)", Decimal("-1.50"), "DECIMAL(3,2)"),
        ("$x[1]", [-7, 8], -7),
        ("[1, 2, 3][$x]", -1, 3),
        ("3 IN $x", [-3, 3], True),
        ("$x::VARCHAR", -5, "-5"),
        ("$x::VARCHAR", date(2026, 2, 3), "2026-02-03"),
        ("DATE '2026-02-05' -$x", date(2026, 2, 3), 2),
        ("CASE WHEN true THEN$x END", "a -- b", "a -- b"),
        ("'it''s' ||$x|| '!'", "'--\"", "it's'--\"!"),
        ("$x.size", {"size": -2}, -2),
        ("isnan($x)", float("nan"), True),
        ("NOT$x", True, False),
        ("$x IS NULL", None, True),
    ],
)
def test_a_value_has_the_type_it_had_in_python(
    engine: Engine, text: str, value: object, wanted: object
) -> None:
    marked = text.replace("$x", "?") if "THEN$x" in text or "NOT$x" in text else text
    params = [value] if marked != text else {"x": value}
    assert engine.query(fill(f"SELECT {marked} AS v", params)).to_arrow()["v"].to_pylist() == [
        wanted
    ]


@pytest.mark.parametrize("text", ["3=?AND true", "3 IN?", "?=3AND true", "(?)=3", "[?][1]=3"])
def test_a_value_joins_no_character_beside_it(engine: Engine, text: str) -> None:
    value = [[3]] if text == "3 IN?" else [3]
    assert engine.query(fill(f"SELECT {text} AS v", value)).to_arrow()["v"].to_pylist() == [True]


def test_a_mark_without_a_value_is_named_at_its_place() -> None:
    with pytest.raises(
        ParseError, match=r"parameter \$lable has no value.*did you mean 'label'"
    ) as e:
        fill("split = 'test'\nAND label = $lable", {"label": 1})
    assert (e.value.line, e.value.column, e.value.token) == (2, 13, "$lable")
    with pytest.raises(ParseError, match=r"parameter \? has no value"):
        fill("label = ? AND split = ?", ["red"])


@pytest.mark.parametrize(
    ("text", "params", "message"),
    [
        ("label = $a", {"a": "red", "b": 1}, r"No parameter \$b in the text.*\$a"),
        ("label = 'red'", [1], r"No parameter \$1 in the text.*the text has none"),
        ("label = ?", [1j], r"parameter \$1 is 1j, which is no SQL value"),
        ("label = $a", {"a": {1: "x"}}, r"parameter \$a is \{1: 'x'\}, which is no SQL value"),
        ("label = ?", "red", r"params is 'red'.*a dictionary by name"),
    ],
)
def test_values_that_fit_nowhere_are_refused(text: str, params: object, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        fill(text, params)  # type: ignore[arg-type]


def test_places_and_ranges_of_a_query(engine: Engine) -> None:
    query = engine.query("label IS NOT NULL ORDER BY id DESC")
    ids = query.ids()
    assert [query[0], query[3], query[-1]] == [ids[0], ids[3], ids[-1]]
    assert query[2:5].ids() == ids[2:5] and query[7:].ids() == ids[7:]
    assert query[:4].ids() == ids[:4] and query[4:4].ids() == []
    assert engine.query("ORDER BY id LIMIT 4")[1:3].ids() == engine.query("ORDER BY id").ids()[1:3]
    with pytest.raises(IndexError, match="There is no sample 99: the query gives 9"):
        query[99]
    for wrong in (slice(None, None, 2), slice(-3, None), slice(0, -1)):
        with pytest.raises(QueryError, match="A query has no range"):
            query[wrong]


def test_a_draw_is_the_same_for_a_seed_and_another_for_another(engine: Engine) -> None:
    query = engine.query("label IS NOT NULL")
    drawn = query.take(4)
    assert len(set(drawn.ids())) == 4 and set(drawn.ids()) <= set(query.ids())
    assert engine.query(drawn.text).ids() == drawn.ids() == query.take(4).ids()
    assert len({tuple(query.take(4, seed).ids()) for seed in range(8)}) > 4
    assert query.take(50).count() == 9
    with pytest.raises(QueryError, match=r"take\(-1\) is negative"):
        query.take(-1)
