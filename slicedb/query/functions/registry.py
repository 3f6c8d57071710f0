"""The functions SliceDB adds to DuckDB's: its own, and those of installed packages."""

from __future__ import annotations

import re
from collections.abc import Mapping

from slicedb.plugins import Registry
from slicedb.query.functions.duckdb import duckdb_functions
from slicedb.query.functions.function import Function

_NAME = re.compile(r"[a-z_][a-z0-9_]*")


def _problem(function: Function) -> str:
    """Return what keeps a function of another package out of the language."""
    if not isinstance(function, Function):
        return f"'{getattr(function, 'name', function)}' is no slicedb.query.Function."
    if not _NAME.fullmatch(function.name):
        return f"'{function.name}' is no name of a function: lower-case letters, digits and _."
    if function.name in duckdb_functions():
        return f"'{function.name}' is a function of DuckDB."
    if function.bind is None:
        return f"'{function.name}' has no `bind`."
    return ""


FUNCTIONS: Registry[Function] = Registry(
    "slicedb.functions",
    [
        f"slicedb.query.functions.{family}:FUNCTIONS"
        for family in "meanings texts members objects overlaps cams pixels maps".split()
    ],
    _problem,
)
"""Every function by its name."""


def function_named(name: str, schema: str = "") -> Function | None:
    """Return the function that a call names, or None where it is DuckDB's, or unknown.

    Installed packages are only looked at for names that DuckDB does not have.
    """
    name = name.lower()
    if name in FUNCTIONS.builtin:
        function = FUNCTIONS.builtin[name]
        return function if not schema or function.of_model else None
    if schema:
        return None
    own: Mapping[str, Function] = {} if name in duckdb_functions() else FUNCTIONS
    return own.get(name)


def functions() -> list[dict[str, str]]:
    """Return one row per function: name, signature, returns, help, example.

    >>> [row["name"] for row in functions()][:2]
    ['similarity', 'matches']
    """
    return [function.row() for function in FUNCTIONS.values()]
