"""Find the CSV columns that a few values keep from being numbers or dates."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from slicedb.show.numbers import count

_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_SHARE = 0.5
"""A column of which fewer values are of a kind was meant as text."""


def notes(table: pa.Table, names: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence for each text column most of whose values are numbers or dates.

    Args:
        table: what was read, types inferred.
        names: the columns whose type was free.
    """
    sentences = (_note(name, table[name]) for name in names if pa.types.is_string(table[name].type))
    return tuple(note for note in sentences if note is not None)


def _note(name: str, column: pa.ChunkedArray) -> str | None:
    day = pc.strptime(pc.utf8_slice_codeunits(column, 0, 10), "%Y-%m-%d", "s", error_is_null=True)
    kinds = {
        "number": ("DOUBLE", pc.match_substring_regex(column, _NUMBER)),
        "date": ("TIMESTAMP", pc.if_else(pc.is_valid(column), pc.is_valid(day), None)),
    }
    for kind, (sql, fits) in kinds.items():
        known, good = len(fits) - fits.null_count, pc.sum(fits).as_py() or 0
        if known and _SHARE * known <= good < known:
            at = pc.index(fits, False).as_py()
            verb = "is" if known - good == 1 else "are"
            return (
                f"Column '{name}' is text, since {known - good:,} of {count(known, 'value')} "
                f"{verb} no "
                f"{kind}, first '{column[at].as_py()}' in row {at + 1:,}; correct it before the "
                f"first ingest, or ask with TRY_CAST({name} AS {sql})."
            )
    return None
