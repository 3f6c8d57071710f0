"""Functions about text, and the one that blends scores: search, fuse."""

from __future__ import annotations

import pyarrow as pa

from slicedb.errors import did_you_mean
from slicedb.query.bound.bound import Part, Search
from slicedb.query.functions.function import ANY, Call, Function, Parameter, Sql
from slicedb.schema import searchable


def _search(call: Call) -> Sql:
    words = call.text("words")
    if words.count('"') % 2:
        hint = "a phrase stands between two, as in search('\"red car\"')."
        raise call.error("A double quote is left open.", call.given("words"), hint)
    return call.scores(Search(words, _columns(call)))


def _columns(call: Call) -> tuple[str, ...]:
    """Return the text columns a call reads, by their real names."""
    samples = call.binding.catalog.samples
    asked = call.given("column")
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


def _fuse(call: Call) -> Sql:
    """Return reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009) as window functions."""
    k = 60.0
    if "k" in call.named:
        k = call.number(call.named["k"])
        if k < 0:
            raise call.error(f"k is {k:g}, it must not be negative.", call.named["k"])
    parts: list[Part] = ["(0"]
    for value in call.positional:
        span = call.sql(value)
        parts += [" + CASE WHEN (", span, "\n) IS NULL THEN 0 ELSE 1 / "]
        parts += [f"({k!r} + rank() OVER (ORDER BY (", span, "\n) DESC NULLS LAST)) END"]
    return (*parts, ")")


FUNCTIONS = (
    Function(
        "search",
        "search('words' [, column => 'name'])",
        "FLOAT",
        "How well the sample's texts fit the words: BM25, higher is better, NULL where none "
        "of the words is found. Words are stemmed and folded to ASCII, stop words are left "
        "out; words in double quotes are a phrase. Reads the caption and the columns marked "
        "with `slicedb index --text`, or one column.",
        "search('red pictures') IS NOT NULL",
        _search,
        (Parameter("words"), Parameter("column", option=True)),
    ),
    Function(
        "fuse",
        "fuse(score, score, ... [, k => 60])",
        "DOUBLE",
        "Several scores as one, whatever their scales: the sum of 1 / (k + rank) over them, "
        "each rank from the highest (reciprocal rank fusion). A NULL score adds nothing. A "
        "window function: it stands in SELECT, ORDER BY and QUALIFY.",
        "ORDER BY fuse(similarity('red'), search('a red picture')) DESC LIMIT 3",
        _fuse,
        least=1,
        most=ANY,
        named=("k",),
        is_score=True,
        ranks=True,
    ),
)
