"""DuckDB's own functions: which there are, which a query may not call, and which are bounded.

`repeat('x', 2000000000)` is one value, made in one call that neither the clock nor the memory limit
of DuckDB reaches. Macros of the same names stand before such functions and refuse what would be
larger than `BOUND`; the argument is bounded too, since DuckDB works constants out on their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from slicedb import sql

if TYPE_CHECKING:
    import duckdb


_CALLED = re.compile(r"(\w+)\(")


@cache
def duckdb_functions() -> dict[str, bool]:
    """Return the names of DuckDB's functions, with whether they aggregate."""
    import duckdb

    connection = duckdb.connect(":memory:")
    rows = connection.execute(
        "SELECT function_name, bool_or(function_type = 'aggregate'), "
        "string_agg(macro_definition, ' ') FROM duckdb_functions() "
        "WHERE function_type IN ('scalar', 'aggregate', 'macro', 'window') GROUP BY 1"
    ).fetchall()
    connection.close()
    aggregates = {name for name, is_aggregate, _ in rows if is_aggregate}
    known = {
        # A macro aggregates when it calls an aggregate: geomean(x) is exp(avg(ln(x))).
        str(name).lower(): name in aggregates
        or bool(aggregates.intersection(_CALLED.findall(definition or "")))
        for name, _, definition in rows
    }
    return known | dict.fromkeys(("unnest", "unlist", "row_number", "coalesce", "grouping"), False)


_SMALL = re.compile(
    r"BOOLEAN|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL|DATE|INTERVAL|UUID|"
    r"TIME.*(?<!\])"
)
"""Types whose values have a size that no argument changes."""


@cache
def _small_functions() -> frozenset[str]:
    """Return the scalar functions that only ever give numbers, truths and times."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            "SELECT function_name, list(DISTINCT return_type) FROM duckdb_functions() "
            "WHERE function_type = 'scalar' GROUP BY 1"
        ).fetchall()
    return frozenset(name for name, types in rows if all(map(_SMALL.fullmatch, types)))


def is_small(name: str) -> bool:
    """Return whether DuckDB's function of that name gives a value of a fixed size.

    >>> is_small("list_contains"), is_small("len"), is_small("upper"), is_small("list_sort")
    (True, True, False, False)
    """
    return name in _small_functions() or name in ("len", "array_length", "list_sum", "list_avg")


FORBIDDEN = frozenset(
    """
    getenv getvariable current_setting set_config nextval currval write_log sleep_ms pg_sleep
    parse_duckdb_log_message current_query query query_table getconfig read_text read_blob
    glob current_connection_id current_query_id current_transaction_id txid_current
    in_search_path current_schemas current_database current_catalog setseed setval stats
    json_serialize_plan combine finalize to_aggregate_state variant_bytes_to_variant
    variant_to_parquet_variant index_key get_block_size obj_description shobj_description
    col_description map_to_pg_oid map_type_id_to_pg_oid
    """.split()
)
"""DuckDB functions that tell of, or change, things outside the data, or read raw bytes."""

CHANCE = frozenset({"random", "uuid", "uuidv4", "uuidv7", "gen_random_uuid"})
"""DuckDB functions that answer otherwise each time."""

_SERVER = re.compile(r"pg_(?!typeof|size_pretty).*|inet_.*|has_\w+_privilege")
"""Functions that speak of servers and catalogues."""


def is_forbidden(name: str) -> bool:
    """Return whether a query may not call DuckDB's function of that name, in lower case.

    >>> is_forbidden("getenv"), is_forbidden("pg_get_viewdef"), is_forbidden("lower")
    (True, True, False)
    """
    return name in FORBIDDEN or _SERVER.fullmatch(name) is not None


TABLE_FUNCTIONS = frozenset(
    "range generate_series unnest json_each json_tree repeat repeat_row icu_calendar_names".split()
)
"""The table functions a query may call; every other one reads files or internals."""

BOUND = 1_000_000
"""Characters or elements one call may make, where the memory of a query allows it."""
_SHARE = 10_000
"""Part of the memory of a query that one call may make: a piece of work has 2,048 of them."""

_TYPES = ("TIMESTAMP", "TIMESTAMPTZ")


def _refusal(sentence: str) -> str:
    """Return an expression of no type that fails with a sentence.

    `error()` would do, were it not volatile: DuckDB then refuses the column's alias further on in
    the SELECT, and TRY around it.
    """
    return f'CAST({sql.string(sentence)}::TINYINT AS "NULL")'


_SENTENCE = re.compile(
    r"Could not convert string '([\w ]+ would (?:take or )?make more than [^']*)'"
)


def refused(message: str) -> str:
    """Return the sentence of a bounded function in an error message of DuckDB's, else "".

    >>> refused("Could not convert string 'lpad would make more than 5 characters' to INT8")
    'lpad would make more than 5 characters'
    """
    found = _SENTENCE.search(message)
    return found[1] if found else ""


def _guard(name: str, parameters: str, size: str, arguments: str, bounded: str) -> str:
    """Return one overload: an error where `size` is too much, else the function itself."""
    small = f"CASE WHEN {size} > @BOUND THEN NULL ELSE {bounded} END"
    fails = _refusal(f"{name} would take or make more than @SHOWN characters or elements")
    call = f"system.main.{name}({arguments.format(small)})"
    return f"({parameters}) AS CASE WHEN {size} > @BOUND THEN {fails} ELSE {call} END"


def _series(name: str) -> tuple[str, ...]:
    numbers = (
        _guard(name, "a BIGINT", "a", "{}", "a"),
        _guard(name, "a BIGINT, b BIGINT", "b::HUGEINT - a::HUGEINT", "a, {}", "b"),
        _guard(
            name,
            "a BIGINT, b BIGINT, c BIGINT",
            "(b::HUGEINT - a::HUGEINT)::DOUBLE / nullif(c, 0)",
            "a, {}, c",
            "b",
        ),
    )
    times = (
        _guard(
            name, f"a {t}, b {t}, c INTERVAL", "epoch(b - a) / nullif(epoch(c), 0)", "a, {}, c", "b"
        )
        for t in _TYPES
    )
    return (*numbers, *times)


_REPLACED = (
    "len(a) + (len(a) - len(system.main.replace(a, b, ''))) // greatest(len(b), 1)::HUGEINT "
    "* len(c)"
)
"""Exactly what `replace` makes; a regular expression can match at every place."""
_PRODUCT = "len(a)::HUGEINT * len(b)"


def _products(divisor: int, *names: str) -> dict[str, tuple[str, ...]]:
    """Return functions that take time with the product of two lengths."""
    size = f"{_PRODUCT} // {divisor}"
    return {name: (_guard(name, "a, b", size, "a, {}", "b"),) for name in names}


GUARDED: dict[str, tuple[str, ...]] = (
    {
        "repeat": (
            _guard("repeat", "a, b", "len(a)::HUGEINT * b", "a, {}", "b"),
            _guard("repeat", "a BLOB, b", "octet_length(a)::HUGEINT * b", "a, {}", "b"),
        ),
        "lpad": (_guard("lpad", "a, b, c", "b", "a, {}, c", "b"),),
        "rpad": (_guard("rpad", "a, b, c", "b", "a, {}, c", "b"),),
        "bitstring": (_guard("bitstring", "a, b", "b", "a, {}", "b"),),
        "range": _series("range"),
        "generate_series": _series("generate_series"),
        "replace": (_guard("replace", "a, b, c", _REPLACED, "a, b, {}", "c"),),
        "regexp_replace": tuple(
            _guard(
                "regexp_replace", f"a, b, c{d}", "len(a)::HUGEINT * len(c)", f"a, b, {{}}{d}", "c"
            )
            for d in ("", ", d")
        ),
    }
    | {
        name: (
            _guard(name, "a, b", "b", "a, {}", "b"),
            _guard(name, "a, b, c", "b", "a, {}, c", "b"),
        )
        for name in ("list_resize", "array_resize")
    }
    | {
        name: (_guard(name, "a, b", "len(a) + len(b)", "a, {}", "b"),)
        for name in ("list_intersect", "array_intersect")
    }
    | _products(10, "levenshtein", "editdist3", "damerau_levenshtein")
    | {
        name: (*_products(1, name)[name], _guard(name, "a, b, c", _PRODUCT, "a, {}, c", "b"))
        for name in ("jaro_similarity", "jaro_winkler_similarity")
    }
)
"""Function to its bounded overloads."""

MULTIPLYING = frozenset(GUARDED) - {"replace", "regexp_replace"}
"""Those that make much out of a number, and so cannot stand inside a lambda."""
MULTIPLYING -= {"levenshtein", "editdist3", "damerau_levenshtein"}
MULTIPLYING -= {"jaro_similarity", "jaro_winkler_similarity", "list_intersect", "array_intersect"}

REDUCING = frozenset({"list_reduce", "array_reduce", "reduce"})
"""Functions whose lambda is given what it made before, which it may double each time."""
REDUCED = "~reduced"
"""The macro around such a lambda: an error where it has made too much."""
_REDUCED = (
    "(x) AS CASE WHEN len(x::VARCHAR) > @BOUND THEN "
    f"{_refusal('list_reduce would make more than @SHOWN characters')} ELSE x END"
)

SPREAD = "~spread"
"""The macro around what is made of copies: an error where the estimate is too much."""
_SPREAD = (
    "(n, made) AS CASE WHEN n > @BOUND THEN "
    f"{_refusal('A list or text of copies would make more than @SHOWN characters')} "
    "ELSE made END"
)

PATTERNED = frozenset({"format", "printf"})
"""Functions whose first argument may ask for any width."""
_WIDE = re.compile(r"[0-9]{4,}|\*|\{[^{}]*\{")


def install(connection: duckdb.DuckDBPyConnection, memory: int = 0) -> None:
    """Put the bounded functions before DuckDB's own.

    Args:
        connection: where they are made.
        memory: bytes that a query may take; 0 where it is not known.
    """
    bound = min(BOUND, memory // _SHARE) if memory else BOUND
    own = {REDUCED: (_REDUCED,), SPREAD: (_SPREAD,)}
    for name, overloads in {**GUARDED, **own}.items():
        body = ", ".join(overloads).replace("@BOUND", str(bound)).replace("@SHOWN", f"{bound:,}")
        connection.execute(f'CREATE MACRO "{name}" {body}')


def any_matches(pattern: str, names: Sequence[str]) -> bool:
    """Return whether a regular expression of DuckDB's matches one of some names.

    >>> any_matches("[[:alpha:]]b", ["~row", "ab"]), any_matches("x", [])
    (True, False)
    """
    import duckdb

    if not names:
        return False
    with duckdb.connect(":memory:") as connection:
        sql = "SELECT bool_or(regexp_matches(name, ?)) FROM unnest(?) AS t(name)"
        try:
            row = connection.execute(sql, [pattern, list(names)]).fetchone()
        except duckdb.Error:  # no regular expression: DuckDB says so where the text runs
            return False
    return bool(row and row[0])


def is_wide(pattern: str) -> bool:
    """Return whether a pattern of `format` or `printf` may ask for a width past 999.

    >>> is_wide("{:05.2f} of {}"), is_wide("%2000000000d"), is_wide("{:{}d}")
    (False, True, True)
    """
    return _WIDE.search(pattern) is not None
