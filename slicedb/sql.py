"""Write names and values as SQL: the only place that quotes.

`name` is for texts that people read and copy, `quoted` for SQL that only DuckDB reads.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

RESERVED = frozenset(
    """
    all analyse analyze and any array as asc asymmetric both case cast check collate column
    constraint create default deferrable desc describe distinct do else end except false fetch for
    foreign from group having in initially intersect into lambda lateral leading limit not null
    offset on only or order pivot pivot_longer pivot_wider placing primary qualify references
    returning select show some summarize symmetric table then to trailing true union unique unpivot
    using variadic when where window with
    """.split()
)
"""Words that DuckDB reads as part of its grammar (`duckdb_keywords()`, category 'reserved')."""

_GRAMMAR = frozenset(
    """
    anti asof at authorization between bigint binary bit boolean by char character coalesce
    collation columns concurrently cross dec decimal exists extract float freeze full generated
    glob grouping grouping_id ilike inner inout int integer interval is isnull join left like map
    national natural nchar none notnull nullif numeric out outer overlaps overlay position
    positional precision real right row semi setof similar smallint struct substring tablesample
    time timestamp treat trim try_cast tuple unpack values varchar verbose xmlattributes xmlconcat
    xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
    """.split()
)
"""Words that are names in some places only, such as `at` and `left`; quoted to be safe."""


def quoted(name: str) -> str:
    """Return a name as a quoted identifier, whatever it contains.

    >>> print(quoted('a "b" c'))
    "a ""b"" c"
    """
    return '"' + name.replace('"', '""') + '"'


def name(word: str) -> str:
    """Return a name as SQL takes it: bare where that is possible, quoted elsewhere.

    >>> name("food_v2"), name("run7-epoch3"), name("order")
    ('food_v2', '"run7-epoch3"', '"order"')
    """
    plain = _PLAIN.match(word) and word.lower() not in RESERVED | _GRAMMAR
    return word if plain else quoted(word)


def names(words: Iterable[str]) -> str:
    """Return quoted names with commas.

    >>> names(["id", "key"])
    '"id", "key"'
    """
    return ", ".join(map(quoted, words))


def string(text: str) -> str:
    """Return a text as an SQL string.

    >>> string("Chef's salad")
    "'Chef''s salad'"
    """
    return "'" + text.replace("'", "''") + "'"


def literal(value: Any, *, doubles: bool = False) -> str:
    """Return a value as an SQL expression of the same type.

    A negative number comes in parentheses: after a minus it would begin a comment. A float is
    written as people write it, which DuckDB reads as a DECIMAL where it has no exponent.

    Args:
        value: None, bool, int, float, Decimal, str, bytes, date, datetime, time, timedelta, an
            array or NumPy scalar, or a list, tuple, set or dictionary (with text keys: a struct)
            of these.
        doubles: write each float as the DOUBLE that it is, as in `0.5e0`.

    Raises:
        ValueError: it is of another type.

    >>> literal("Chef's salad"), literal(-0.25), literal([True, None, 2])
    ("'Chef''s salad'", '(-0.25)', '[true, NULL, 2]')
    """
    if value is None:
        return "NULL"
    inner = partial(literal, doubles=doubles)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return string(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f"CAST('{value!r}' AS DOUBLE)"
    if isinstance(value, (int, float)):
        # A subclass such as an IntEnum has a repr of its own.
        plain = int.__repr__(value) if isinstance(value, int) else float.__repr__(value)
        plain += "e0" if doubles and "." in plain and "e" not in plain else ""
        return f"({plain})" if plain.startswith("-") else plain
    if isinstance(value, Decimal) and value.is_finite():
        return f"({value:f})" if value.is_signed() else f"{value:f}"
    if isinstance(value, datetime):
        zone = "TZ" if value.tzinfo is not None else ""
        return f"TIMESTAMP{zone} {string(value.isoformat())}"
    if isinstance(value, date):
        return f"DATE {string(value.isoformat())}"
    if isinstance(value, time):
        return f"TIME {string(value.isoformat())}"
    if isinstance(value, timedelta):
        micros = (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
        return f"to_microseconds({literal(micros)})"
    if isinstance(value, (bytes, bytearray)):
        return "from_hex(" + string(value.hex()) + ")"
    if isinstance(value, (list, tuple, set, frozenset)):
        return f"[{', '.join(map(inner, value))}]"
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return "{" + ", ".join(f"{string(k)}: {inner(v)}" for k, v in value.items()) + "}"
    if hasattr(value, "tolist"):
        return inner(value.tolist())
    raise ValueError(f"{value!r} is no SQL value")


def equals(column: str, value: Any) -> str:
    """Return the predicate that a column has a value, NULL included.

    >>> equals("weather", None), equals("order", 3)
    ('weather IS NULL', '"order" = 3')
    """
    return f"{name(column)} IS NULL" if value is None else f"{name(column)} = {literal(value)}"


def is_in(column: str, values: Iterable[Any]) -> str:
    """Return the predicate that a column has one of some values; `false` when there are none.

    >>> is_in("label", ["cat", "dog"]), is_in("id", ["a"]), is_in("id", [])
    ("label IN ('cat', 'dog')", "id = 'a'", 'false')
    """
    listed = list(values)
    if len(listed) == 1:
        return equals(column, listed[0])
    known = [literal(v) for v in listed if v is not None]
    within = f"{name(column)} IN ({', '.join(known)})" if known else "false"
    return f"({within} OR {name(column)} IS NULL)" if len(known) < len(listed) else within


def conjunction(*parts: str) -> str:
    """Join predicates with AND; empty ones are left out, those with an OR get parentheses.

    >>> conjunction("in_slice('a')", "", "x = 1 OR y = 2")
    "in_slice('a') AND (x = 1 OR y = 2)"
    """
    given = [part.strip() for part in parts if part.strip()]
    if len(given) == 1:
        return given[0]
    return " AND ".join(f"({p})" if re.search(r"\bor\b", p, re.IGNORECASE) else p for p in given)


def twin_of(name: str, names: Iterable[str]) -> str | None:
    """Return the name among others that queries read as the same one: it differs by case only.

    >>> twin_of("V3", ["v2", "v3"]), twin_of("v3", ["v2", "v3"])
    ('v3', None)
    """
    return next((n for n in names if n != name and n.casefold() == name.casefold()), None)
