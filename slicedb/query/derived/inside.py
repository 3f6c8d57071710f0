"""Write one SELECT that tells of every sample whether a query has it, beside other columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from slicedb.errors import BindError, ParseError, QueryError
from slicedb.query.derived import texts
from slicedb.query.run.plan import Plan
from slicedb.schema import IS_SHOWN

if TYPE_CHECKING:
    from slicedb.query.query import Query

_NAME = re.compile(r'\w+(\.\w+)?|"[^"]+"')


def enclosed(column: str) -> str:
    """Return an expression as one that others can stand beside.

    >>> enclosed("v3.loss"), enclosed("lux + 1")
    ('v3.loss', '(lux + 1)')
    """
    if _NAME.fullmatch(column):
        return column
    return f"({column}\n)" if "--" in column else f"({column})"


def kind_of(query: Query, column: str) -> tuple[str, bool]:
    """Return the type of an expression over samples, and whether it reads status.

    Raises:
        QueryError: it is not one value for each sample, such as `label, split` or `count(*)`.
    """
    if not column.strip():
        raise QueryError("No column is named.", "name one, such as label.", text=query.text)
    # Beside the key an aggregate is refused, and a comma outside parentheses shows as a column.
    try:
        plan = query.beside(f"SELECT key, {enclosed(column)} AS f FROM samples").plan()
    except QueryError as error:
        if isinstance(error, BindError):
            raise BindError(error.message, error.hint) from error  # its place is in our text
        if not isinstance(error, ParseError):
            raise
        raise QueryError(f"'{column}' is not one column: {error.message}", error.hint) from error
    if [name for name, _ in plan.columns] != ["key", "f"]:
        raise QueryError(f"'{column}' is not one column.", "name columns one by one.")
    return dict(plan.columns)["f"], plan.bound.unfiltered


def listing(plan: Plan, columns: Sequence[str], names_status: bool, *, alone: bool = False) -> str:
    """Return a SELECT of `inside` and of f0, f1, ... over all samples that the query may see.

    Those are the samples that are shown, or all of them where the query itself names status.

    Args:
        plan: the query.
        columns: expressions over samples, such as `label` or `v3.prediction`.
        names_status: whether one of these reads status, which shows broken pictures to the whole
            text.
        alone: list the samples of the query alone.

    Raises:
        QueryError: a column reads status, and the query has rows that this would change.
    """
    where, predicate = " WHERE true", texts.predicate(plan)
    if names_status and not plan.bound.unfiltered:
        if not _is_condition(plan):
            raise QueryError(
                "Counting status would change which samples this query has.",
                "let the query read it, as in WHERE status = 'ok'.",
                text=plan.text,
            )
        where = f" WHERE {IS_SHOWN}"
    if alone:
        return f"SELECT true AS inside{named(columns)} FROM samples{where} AND {predicate}"
    return f"SELECT coalesce({predicate}, false) AS inside{named(columns)} FROM samples{where}"


def named(columns: Sequence[str]) -> str:
    """Return expressions as f0, f1, ..., each behind a comma."""
    return "".join(f", {enclosed(column)} AS f{i}" for i, column in enumerate(columns))


def _is_condition(plan: Plan) -> bool:
    """Return whether each sample decides by itself whether it is in a query."""
    is_limited = plan.is_ordered or bool(plan.bound.tree.qualify)
    return plan.bound.source.is_predicate and not is_limited


def check_steady(plan: Plan, verb: str) -> None:
    """Refuse a query whose samples differ each time it is asked.

    Raises:
        QueryError: it has chance in it, such as `random()`.
    """
    if plan.bound.has_chance:
        raise QueryError(
            f"{verb}() of a query with {plan.bound.chance} counts other samples each time.",
            "draw with hash(id), or with take(n, seed).",
            text=plan.text,
        )
