"""Values for a text's parameters, samples drawn and counted out, and texts of chance."""

from __future__ import annotations

from datetime import UTC, date, datetime

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
        ("label = ?", [float("nan")], r"parameter \$1 is nan, which is no SQL value"),
        ("label = $a", {"a": {"x": 1}}, r"parameter \$a is \{'x': 1\}, which is no SQL value"),
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
