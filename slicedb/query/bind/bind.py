"""Bind a parsed text to the schema, in steps.

Binding notes edits of the text: a samples relation becomes a subquery over the loaded columns, a
model's column a column beside the sample, a function of SliceDB plain SQL. Everything else stays as
the user wrote it.
"""

from __future__ import annotations

from collections.abc import Callable

from slicedb.errors import ParseError
from slicedb.query.bind.calls import refuse_scores
from slicedb.query.bind.headings import name_columns
from slicedb.query.bind.order import add_order
from slicedb.query.bind.queries import bind_names, visit
from slicedb.query.bound.binding import Binding, SliceNamed
from slicedb.query.bound.bound import Bound, Pool
from slicedb.query.language.parse import Parsed


def bind(
    parsed: Parsed,
    pool: Pool,
    slice_named: SliceNamed,
    check: Callable[[], None] = lambda: None,
    heading: Callable[[str], str] = str,
) -> Bound:
    """Return the bound text.

    Args:
        parsed: the text.
        pool: what it shares with the slices inside it.
        slice_named: binds the live slice of a name, or registers a frozen one.
        check: raises when the time or the memory is used up.
        heading: gives the name that DuckDB gives to the column of an expression.

    Raises:
        BindError: a name does not exist, or stands where it cannot.
        SandboxError: the text reaches for files or internals.
    """
    binding = Binding(Bound(parsed.source, parsed.tree), pool, slice_named, visit, check, heading)
    try:
        for step in STEPS:
            step(binding)
            check()
    except RecursionError:
        raise parsed.source.error(ParseError, "The query is nested too deeply.") from None
    return binding.bound


def see_quarantined(binding: Binding) -> None:
    """Let every relation show quarantined samples too where the text speaks of `status`."""
    bound = binding.bound
    samples = (r.sample for r in bound.relations if r.kind in ("samples", "boxes"))
    bound.unfiltered = any("status" in relation.columns for relation in samples)
    for relation in bound.relations:
        relation.unfiltered = relation.unfiltered or bound.unfiltered


STEPS: tuple[Callable[[Binding], None], ...] = (
    refuse_scores,
    bind_names,
    see_quarantined,
    name_columns,
    add_order,
)
"""What binding does, in order."""
