"""The samples that speak against an expectation, as a query."""

from __future__ import annotations

from slicedb import schema, sql
from slicedb.errors import CheckError
from slicedb.expectations import parse_check
from slicedb.store import Store


def worst(store: Store, scope: str, check: str, model: str, baseline: str | None = None) -> str:
    """Return the query of the samples that speak against an expectation, the worst first.

    Those are the samples of the slice that the model gets wrong, the largest loss first; against a
    baseline those that the baseline got right. Of an expectation about sizes it is the slice.

    Args:
        store: the database, for the columns that predictions have.
        scope: the predicate of the slice.
        check: the expectation, as it is recorded.
        model: that it was judged on.
        baseline: that it was compared with.
    """
    try:
        wanted = parse_check(check)
    except CheckError:  # recorded by a version or with a plug-in that is not here
        return scope
    if wanted.metric in ("count", "share"):
        return scope
    columns = _columns(store, model)
    parts = [scope]
    if wanted.of is not None and "prediction" in columns:
        of = sql.string(wanted.of)
        parts.append(_of_class(wanted.metric, of, f"{sql.name(model)}.prediction"))
    if "correct" in columns:
        if baseline is not None and "correct" in _columns(store, baseline):
            parts.append(f"{sql.name(baseline)}.correct")
        parts.append(f"NOT {sql.name(model)}.correct")
    where = sql.conjunction(*parts)
    return f"{where} ORDER BY {sql.name(model)}.loss DESC" if "loss" in columns else where


def _of_class(metric: str, of: str, predicted: str) -> str:
    """Return which samples a metric of one class looks at."""
    if metric.startswith("precision"):
        return f"{predicted} = {of}"
    if metric.startswith(("recall", "accuracy")):
        return f"label = {of}"
    return f"label = {of} OR {predicted} = {of}"


def _columns(store: Store, model: str) -> list[str]:
    table = schema.PREDICTIONS + model
    return list(store.schema(table).names) if store.has(table) else []
