"""The texts of queries that are made from queries: ranges, sets, and other columns.

A derived query is a text again, so that it can be shown, stored as a slice and asked anywhere.
It gives the samples that the query itself gives, in the same order: see `Runner`.
"""

from __future__ import annotations

from collections.abc import Sequence

from slicedb.query.bind.order import limit_start
from slicedb.query.language.text import tokenize
from slicedb.query.run.plan import Plan

_BEFORE = 4
"""Tokens that stand before a predicate without WHERE: SELECT, *, FROM, samples."""


def whole(plan: Plan) -> str:
    """Return the text as a whole SELECT."""
    source = plan.bound.source
    return source.sql.decode() if source.is_predicate else _bare(plan.text)


def listing(plan: Plan, columns: Sequence[str]) -> str:
    """Return a predicate as a SELECT of some columns in place of all."""
    star, text = "SELECT * ", whole(plan)
    assert text.startswith(star)
    return f"SELECT {', '.join(columns)} {text.removeprefix(star)}"


def is_condition(plan: Plan) -> bool:
    """Return whether each sample decides by itself whether it is in the query, ordered or not."""
    source, tree = plan.bound.source, plan.bound.tree
    # What is read in ORDER BY alone decides who is seen, where it is status.
    is_free = not tree.order or not plan.bound.unfiltered
    return source.is_predicate and is_free and not tree.limit and not tree.qualify


def predicate(plan: Plan) -> str:
    """Return the text as a predicate: itself in parentheses, or membership in its rows."""
    if is_condition(plan):
        text = _unordered(plan).rstrip()
        return f"({_closed(text)})" if text.strip() else "(true)"
    column = "key" if plan.bound.narrows else "id"
    return f"(samples.{column} IN (SELECT {column} FROM (\n{whole(plan)}\n)))"


def condition(plan: Plan) -> str:
    """Return the text as a predicate that may stand beside AND: in brackets where it needs them."""
    source, tree = plan.bound.source, plan.bound.tree
    words = [token.word for token in source.outermost()[_BEFORE:]]
    if not source.is_predicate or plan.is_ordered or tree.qualify or not words or b"or" in words:
        return predicate(plan)
    return _closed(_bare(plan.text).strip())


def narrowed(plan: Plan, condition: str) -> str:
    """Return the samples of a query that a condition holds for, in the order of the query.

    It reads as a person would write it: the condition stands before ORDER BY, and what stands
    before it gets brackets only where it needs them.

    Args:
        plan: the query.
        condition: over samples; one with OR has brackets.
    """
    source, tree = plan.bound.source, plan.bound.tree
    words = [token.word for token in source.outermost()[_BEFORE:]]
    if not source.is_predicate or tree.limit or tree.qualify:
        return f"{predicate(plan)} AND {condition}"
    text, order = _bare(plan.text), ""
    if tree.order:
        # Behind brackets stands no second ORDER BY, since the one there is ends the text.
        start = next(t.start for t in source.outermost() if t.word == b"order")
        raw, at = text.encode(), source.origin(start)
        text, order = raw[:at].decode(), f" {raw[at:].decode().rstrip()}"
        words = words[: words.index(b"order")]
    words = [word for word in words if word != b"where"]
    if not words:
        return condition + order
    text = _closed(text.rstrip())
    text = f"({text})" if b"or" in words else text
    return f"{text} AND {condition}{order}"


def ordered(plan: Plan, order: str) -> str:
    """Return the samples of a query in another order.

    Args:
        plan: the query.
        order: what stands behind ORDER BY.
    """
    source, tree = plan.bound.source, plan.bound.tree
    if not source.is_predicate or tree.limit or tree.qualify:
        return f"{predicate(plan)} ORDER BY {order}"
    text = _closed(_unordered(plan).rstrip())
    return f"{text} ORDER BY {order}".lstrip()


def _unordered(plan: Plan) -> str:
    """Return a predicate without its ORDER BY."""
    source, text = plan.bound.source, _bare(plan.text)
    if not plan.bound.tree.order:
        return text
    start = next(t.start for t in source.outermost() if t.word == b"order")
    return text.encode()[: source.origin(start)].decode()


def part(plan: Plan, size: int | None, start: int) -> str:
    """Return some samples of a query, by their places in its order.

    Args:
        plan: the query.
        size: how many; None is all from `start` on.
        start: the place of the first.
    """
    if plan.bound.top is None and plan.is_rows:
        return _by_sample(plan, _tail(size, start))
    if plan.bound.tree.limit is None:
        return f"{_bare(plan.text)}\n{_tail(size, start)}"
    if plan.bound.top is not None and plan.limit is not None:
        # The part of a part is written as one LIMIT: nested ones would lose the order of ties.
        most, offset = plan.limit
        rest = None if most is None else max(most - start, 0)
        size = rest if size is None else size if rest is None else min(size, rest)
        return f"{_before_limit(plan)}{_tail(size, start + offset)}"
    return f"SELECT * FROM (\n{whole(plan)}\n) {_tail(size, start)}"


def _by_sample(plan: Plan, tail: str) -> str:
    """Return the first row of each sample of a result that may repeat them, as `ids` does."""
    name = next(name for name, _ in plan.columns if name.lower() == "id")
    place = "place of row"
    numbered = f'SELECT *, row_number() OVER () AS "{place}" FROM (\n{whole(plan)}\n)'
    return (
        f'SELECT * EXCLUDE ("{place}") FROM ({numbered}) WHERE {name} IN (SELECT id FROM samples) '
        f'QUALIFY row_number() OVER (PARTITION BY {name} ORDER BY "{place}") = 1 '
        f'ORDER BY "{place}" {tail}'
    )


def _tail(size: int | None, start: int) -> str:
    if size is None:
        return f"OFFSET {start}"
    return f"LIMIT {size} OFFSET {start}" if start else f"LIMIT {size}"


def _before_limit(plan: Plan) -> str:
    """Return the text up to the LIMIT or OFFSET of the outermost SELECT."""
    source = plan.bound.source
    start = limit_start(source, plan.bound.tree)
    assert start is not None  # the numbers are known, so their place is
    return source.text.encode()[: source.origin(start)].decode()


def _closed(text: str) -> str:
    """Return a text that others can follow: the line after a comment begins behind it."""
    return f"{text}\n" if "--" in text.rpartition("\n")[2] else text


def _bare(text: str) -> str:
    """Return the text without a last semicolon; a comment behind it stays."""
    raw = text.encode()
    tokens = tokenize(raw)
    if not tokens or tokens[-1].text != b";":
        return text
    return (raw[: tokens[-1].start] + b" " + raw[tokens[-1].end :]).decode()
