"""Bind the words about text, and the one that blends scores: search, fuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from slicedb.errors import did_you_mean
from slicedb.query.bound.bound import Part, Search
from slicedb.schema import searchable

if TYPE_CHECKING:
    from slicedb.query.functions.calls import Call


def search(call: Call) -> None:
    """Note a term of full text, and write its column of scores."""
    words = call.text(call.positional[0])
    if words.count('"') % 2:
        hint = "a phrase stands between two, as in search('\"red car\"')."
        raise call.error("A double quote is left open.", call.positional[0], hint)
    call.replace(call.scores(Search(words, _columns(call))))


def _columns(call: Call) -> tuple[str, ...]:
    """Return the text columns a call reads, by their real names."""
    samples = call.binder.catalog.samples
    asked = call.named.get("column")
    if asked is None:
        return tuple(name for name in searchable(samples.metadata) if name in samples.types)
    name = call.text(asked)
    real = samples.column(name)
    texts = [column for column, kind in samples.types.items() if pa.types.is_string(kind)]
    if real is None:
        raise call.error(f"No column '{name}'.", asked, did_you_mean(name, texts, "text columns"))
    if real not in texts:
        hint = f"text columns: {', '.join(texts)}."
        raise call.error(f"The column '{real}' holds no text.", asked, hint)
    return (real,)


def fuse(call: Call) -> None:
    """Write reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009) as window functions."""
    k = 60.0
    if "k" in call.named:
        k = call.number(call.named["k"])
        if k < 0:
            raise call.error(f"k is {k:g}, it must not be negative.", call.named["k"])
    parts: list[Part] = ["(0"]
    for value in call.positional:
        span = call.span(value)
        parts += [" + CASE WHEN (", span, "\n) IS NULL THEN 0 ELSE 1 / "]
        parts += [f"({k!r} + rank() OVER (ORDER BY (", span, "\n) DESC NULLS LAST)) END"]
    call.replace(*parts, ")")
