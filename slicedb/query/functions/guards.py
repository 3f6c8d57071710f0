"""Functions that make much out of little, bounded.

`repeat('x', 2000000000)` is one value, made in one call that neither the clock nor the memory limit
of DuckDB reaches. Macros of the same names stand before such functions and refuse what would be
larger than `BOUND`; the argument is bounded too, since DuckDB works constants out on their own.
"""

from __future__ import annotations

import re
from typing import Any

BOUND = 1_000_000
"""Characters or elements one call may make."""

_TYPES = ("TIMESTAMP", "TIMESTAMPTZ")


def _guard(name: str, parameters: str, size: str, arguments: str, bounded: str) -> str:
    """Return one overload: an error where `size` is too much, else the function itself."""
    small = f"CASE WHEN {size} > {BOUND} THEN NULL ELSE {bounded} END"
    said = f"error('{name} would take or make more than {BOUND:,} characters or elements')"
    call = f"system.main.{name}({arguments.format(small)})"
    return f"({parameters}) AS CASE WHEN {size} > {BOUND} THEN {said} ELSE {call} END"


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


GUARDED: dict[str, tuple[str, ...]] = (
    {
        "repeat": (_guard("repeat", "a, b", "len(a)::HUGEINT * b", "a, {}", "b"),),
        "lpad": (_guard("lpad", "a, b, c", "b", "a, {}, c", "b"),),
        "rpad": (_guard("rpad", "a, b, c", "b", "a, {}, c", "b"),),
        "bitstring": (_guard("bitstring", "a, b", "b", "a, {}", "b"),),
        "range": _series("range"),
        "generate_series": _series("generate_series"),
    }
    | {
        name: (
            _guard(name, "a, b", "b", "a, {}", "b"),
            _guard(name, "a, b, c", "b", "a, {}, c", "b"),
        )
        for name in ("list_resize", "array_resize")
    }
    | {
        # time with the product of the lengths
        name: (_guard(name, "a, b", "len(a)::HUGEINT * len(b) // 100", "a, {}", "b"),)
        for name in ("levenshtein", "editdist3", "damerau_levenshtein")
    }
)
"""Function to its bounded overloads."""

PATTERNED = frozenset({"format", "printf"})
"""Functions whose first argument may ask for any width."""
_WIDE = re.compile(r"[0-9]{4,}|\*|\{[^{}]*\{")


def install(connection: Any) -> None:
    """Put the bounded functions before DuckDB's own."""
    for name, overloads in GUARDED.items():
        connection.execute(f"CREATE MACRO {name} {', '.join(overloads)}")


def is_wide(pattern: str) -> bool:
    """Return whether a pattern of `format` or `printf` may ask for a width past 999.

    >>> is_wide("{:05.2f} of {}"), is_wide("%2000000000d"), is_wide("{:{}d}")
    (False, True, True)
    """
    return _WIDE.search(pattern) is not None
