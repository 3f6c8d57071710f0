"""Check names of models, which stand in queries as they are: `<model>.loss`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from slicedb import schema, sql
from slicedb.errors import ModelError
from slicedb.show.numbers import count

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LOOSE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_LONGEST = 100

RESERVED = sql.RESERVED | frozenset(
    """
    anti asof between cross current_date current_time current_timestamp exists filter first full
    glob grant inner is isnull join last left like localtime localtimestamp natural notnull outer
    over partition positional right row rows semi session_user set similar tablesample try_cast
    update user within
    """.split()
)
"""Words DuckDB or the parser reserves, lower case."""

TABLES = frozenset(
    "samples images slices tests runs models commits information_schema main temp system "
    "pg_catalog".split()
)


def check_name(name: str, *, columns: Iterable[str] = (), loose: bool = False) -> None:
    """Refuse a model's name that a query could not use, or would take for something else.

    Args:
        columns: columns of `samples`, which a model may not be called like.
        loose: allow "-" too, as in "run7-epoch3"; such a name stands in quotes in SQL.

    Raises:
        ModelError: with what is wrong.

    >>> check_name("food11_v3")
    >>> check_name("order")
    Traceback (most recent call last):
    slicedb.errors.ModelError: 'order' is a word of SQL. Hint: try 'order_1'.
    """
    lower = name.lower()
    taken = {column.lower() for column in (*schema.SAMPLES_SCHEMA.names, *columns)}
    if not (_LOOSE if loose else _NAME).match(name):
        proposal = re.sub(r"\W+", "_", name).strip("_") or "model"
        proposal = proposal if not proposal[0].isdigit() else f"m_{proposal}"
        raise ModelError(
            f"{name!r} cannot stand in a query as a model's name.",
            f"use letters, digits and '_': for example {proposal!r}.",
        )
    if len(name) > _LONGEST:
        raise ModelError(f"A name of {count(len(name), 'character')}.", f"use at most {_LONGEST}.")
    if lower in RESERVED:
        raise ModelError(f"{name!r} is a word of SQL.", f"try '{name}_1'.")
    if lower in TABLES:
        raise ModelError(f"{name!r} is the name of a table.", f"try '{name}_1'.")
    if lower in taken:
        raise ModelError(
            f"{name!r} is a column of samples, and '{name}.loss' would be read as a part of it.",
            f"try '{name}_1'.",
        )


def refuse_twin(name: str, known: Collection[str]) -> None:
    """Refuse a name that a query would take for that of another model.

    Raises:
        ModelError: one of the known names differs by case only.
    """
    if name not in known and (twin := sql.twin_of(name, known)) is not None:
        raise ModelError(
            f"'{name}' differs from '{twin}', which is there, by case only: queries read both as "
            "one name.",
            f"use '{twin}', or take another name.",
        )
