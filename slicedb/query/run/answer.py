"""Ask DuckDB, and translate its errors into ours, with their place in the user's text."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from slicedb.errors import (
    BindError,
    ParseError,
    QueryError,
    QueryTimeoutError,
    did_you_mean,
)
from slicedb.query.bound.bound import Bound
from slicedb.query.functions.duckdb import refused
from slicedb.query.hot.write import Written
from slicedb.query.language.broken import BrokenSessionError, is_broken
from slicedb.query.language.text import Source
from slicedb.query.run.clock import Clock, out_of_memory

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_KINDS: dict[str, type[QueryError]] = {
    "Binder": BindError,
    "Catalog": BindError,
    "Parser": ParseError,
    "Syntax": ParseError,
}
_NOT_IN = re.compile(r'(?:Values list|Table) "(.*)" does not have a column named "(.*)"$')
_WAYS_OUT = {
    "cannot contain window functions": "they, and fuse, rank the rows that WHERE leaves: use them "
    "in ORDER BY or QUALIFY.",
    "cannot contain aggregates": "compare with a subquery, as in loss > (SELECT avg(loss) FROM "
    "v3), or use HAVING after GROUP BY.",
    "(BOOLEAN)'": "a BOOLEAN is counted as a number: write avg(x::INT).",
    'from expression "objects"': "it is a list of boxes: has_object('car'), FROM objects, or "
    "[o.label for o in objects].",
}
"""Part of a message of DuckDB's, to the way out."""


_QUOTED = re.compile(r"""\"([^"]+)\"|'([^']+)'""")
"""What a message names."""
_CLAUSE = re.compile(r"\b[A-Z]{4,}\b")
_FIELD = re.compile(r"Cannot extract field '(.+?)' from expression \"(.*\bprobabilities)\" because")
"""What DuckDB says of `v3.probabilities.cat`: field, and expression."""


def arrow(
    cursor: DuckDBPyConnection,
    written: Written,
    bound: Bound,
    clock: Clock,
    select: str | None = None,
) -> pa.Table:
    """Return the result of `written`, or of `SELECT <select> FROM (written)`."""
    head, tail = ("", "") if select is None else (f"SELECT {select} FROM (\n", "\n)")
    with _located(cursor, written, bound, clock, head):
        return clock.admit(cursor.sql(head + written.sql + tail).to_arrow_table())


def columns(
    cursor: DuckDBPyConnection, written: Written, bound: Bound, clock: Clock
) -> list[tuple[str, str]]:
    """Return the name and the DuckDB type of each column of a result; no row is read."""
    head = "DESCRIBE SELECT * FROM (\n"
    with _located(cursor, written, bound, clock, head):
        # execute() says where an error is, sql() of the same text does not.
        rows = cursor.execute(head + written.sql + "\n)").fetchall()
    return [(str(row[0]), str(row[1])) for row in rows]


@contextlib.contextmanager
def _located(
    cursor: DuckDBPyConnection, written: Written, bound: Bound, clock: Clock, head: str
) -> Iterator[None]:
    """Interrupt DuckDB when the run has to end, and translate its errors."""
    import duckdb

    try:
        with clock.asking(cursor):
            yield
    except (duckdb.Error, pa.ArrowException, MemoryError) as error:
        if clock.is_interrupted:
            raise KeyboardInterrupt from error
        if clock.over is not None:
            raise clock.over from error
        if is_broken(error):
            raise BrokenSessionError(str(error)) from error
        memory = clock.bounds.memory
        raise _translated(error, len(head.encode()), written, bound, memory) from error
    except RuntimeError as error:
        # DuckDB's own answer to an interrupt: of our thread, or of Ctrl-C.
        if "interrupt" in str(error).lower():
            if clock.over is not None:
                raise clock.over from error
            raise KeyboardInterrupt from error
        raise


def _translated(
    error: Exception, offset: int, written: Written, bound: Bound, memory: int
) -> QueryError:
    """Return DuckDB's error as ours.

    Args:
        error: DuckDB's; with `errors_as_json` its text is JSON.
        offset: bytes that stand before `written` in the SQL that was run.
        written: the SQL, which knows the way back to the user's text.
        bound: what it was written from.
        memory: bytes that the run may take.
    """
    text = str(error)
    about: dict[str, object] = {}
    with contextlib.suppress(ValueError):
        about = json.loads(text[text.index("{") :])
    message = str(about.get("exception_message") or text).strip().split("\n")[0].rstrip(".!")
    message = re.sub(r'column "~\w+"', "This value", message)  # a column of ours has no name
    kind = str(about.get("exception_type") or type(error).__name__)
    position = str(about.get("position", ""))
    place = written.locate(int(position) - offset) if position.isdigit() else None
    source, at = place if place is not None else (bound.source, None)
    hint = ""
    if sentence := refused(message):  # DuckDB's place is one in the body of a macro
        message, at = sentence, _only_place(source, sentence.split()[0])
    if about.get("error_subtype") == "COLUMN_NOT_FOUND":
        name = str(about.get("name", ""))
        message = f"No column '{name}'"
        at = _only_place(source, name) if at is None else at
        hint = _column_hint(name, str(about.get("candidates", "")), bound)
    elif column := _NOT_IN.match(message):
        message, hint = f"No column '{column[2]}' in {column[1]}", _not_in(column[2], bound)
    elif "Out of Memory" in kind or kind in ("OutOfMemoryException", "MemoryError"):
        return out_of_memory(memory, message)
    elif "Interrupt" in kind:
        return QueryTimeoutError("The query was interrupted.")
    if found := _FIELD.match(message):
        message = f"'{found[2]}' has no field '{found[1]}'"
        hint = f"{found[2]}['{found[1]}'] is the probability of that class."
    hint = hint or next((way for part, way in _WAYS_OUT.items() if part in message), "")
    if at is None:
        at = _named_place(source, message)
    located = source.error(_KINDS.get(kind, QueryError), f"{message}.", hint, at=at)
    return located if source is bound.source else _included(located, source, bound)


def _included(error: QueryError, source: Source, bound: Bound) -> QueryError:
    """Return the error of a row in a slice, with the place of what includes the slice."""
    name = source.context.removeprefix("In slice ")
    at = _only_place(bound.source, name)
    if at is not None:
        here = bound.source.error(QueryError, "", at=at)
        error.include = here.text, here.start or 0, here.end or 0
    return error


def _named_place(source: Source, message: str) -> int | None:
    """Return where in a text something stands that a message names, if only once.

    DuckDB gives no place for the value of a row, nor for columns that EXCLUDE and REPLACE name.
    """
    for double, single in _QUOTED.findall(message):
        for name in (double or single, f"'{double or single}'"):
            if name and (at := _only_place(source, name)) is not None:
                return at
    *_, pattern = message.rpartition(": ")  # of a regular expression
    words = [f"'{pattern}'", *_CLAUSE.findall(message)]
    places = [at for word in words if (at := _only_place(source, word)) is not None]
    if places or "subquery" not in message:
        return places[0] if places else None
    inner = [token.start for token in source.tokens if token.depth and token.word == b"select"]
    return inner[0] if len(inner) == 1 else None


def _only_place(source: Source, name: str) -> int | None:
    """Return where a name stands in a text, if only once; DuckDB gives no place inside a PIVOT."""
    word = name.lower().encode()
    places = [token.start for token in source.tokens if token.word.strip(b'"') == word]
    return places[0] if len(places) == 1 else None


def _not_in(name: str, bound: Bound) -> str:
    """Return the way out where a CTE or a subquery has no such column."""
    if any(r.kind == "samples" for r in bound.everywhere()):
        hint = f"if '{name}' is a model, name its columns where FROM samples stands, or JOIN {name}"
        return f"{hint} USING (key)."
    return "name a column that its SELECT lists."


def _column_hint(name: str, candidates: str, bound: Bound) -> str:
    tables = [r.table for r in bound.everywhere() if r.table is not None]
    if any(name == table.name for table in tables):
        return "name a column of it."
    names = [column for table in tables for column in table.types]
    owners = [r.owner.table for r in bound.everywhere() if r.owner and r.owner.table]
    if any(table.column(name) for table in owners):
        return f"write samples.{name} for the sample's column."
    choices = [*names, *(c.strip() for c in candidates.split(",") if c.strip() and "~" not in c)]
    quoted = f'"{name}"' in bound.source.text
    hint = did_you_mean(name, choices, "columns")
    return f"{hint} Text goes in single quotes, double quotes name a column." if quoted else hint
