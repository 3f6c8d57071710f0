"""The predicates of a split: by the names in a column, or drawn by a hash of the ids."""

from __future__ import annotations

from collections.abc import Sequence

from slicedb import sql
from slicedb.errors import CheckError

NAMES = (("train", "training"), ("val", "valid", "validation", "dev"))
"""What splits are called: those that are trained on, and those that are validated on."""

_PARTS = 1_000_000


def named(column: str, names: Sequence[str]) -> str:
    """Return the samples whose column holds one of the names, whatever their case.

    >>> named("part", ("train",))
    "lower(part::VARCHAR) IN ('train')"
    """
    return f"lower({sql.name(column)}::VARCHAR) IN ({', '.join(map(sql.string, names))})"


def drawn(share: float, seed: int, group: str = "") -> str:
    """Return a share of the samples, or of the groups of a column; adding data moves none.

    >>> drawn(0.2, 7)
    "md5_number_lower(id || ' 7') % 1000000 < 200000"

    Raises:
        CheckError: the share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise CheckError(
            f"A split takes a fraction between 0 and 1, not {share:g}.", "0.2 is one sample in 5."
        )
    unit = f"coalesce({sql.name(group)}::VARCHAR, id)" if group else "id"
    return f"md5_number_lower({unit} || ' {seed}') % {_PARTS} < {round(share * _PARTS)}"
