"""Parse a text with DuckDB's own parser.

`json_serialize_sql` accepts exactly the SQL that DuckDB runs, refuses everything that is not a
SELECT, and gives the place of every node in the text. The binder then replaces places in the text,
so that DuckDB runs the user's own words wherever they are plain SQL.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slicedb.errors import ParseError, QueryError, SandboxError
from slicedb.query.language.broken import BrokenSessionError, is_broken
from slicedb.query.language.parameters import NO_VALUE, marks
from slicedb.query.language.text import Source, read, split_at
from slicedb.query.language.tree import Node, read_tree

if TYPE_CHECKING:
    import duckdb

    from slicedb.query.run.clock import Clock

_WRITES = frozenset(
    """
    abort alter analyze attach begin call checkpoint comment commit copy create deallocate delete
    detach drop execute explain export force import insert install load merge pragma prepare reset
    rollback set start truncate update use vacuum
    """.split()
)
_PIVOT = "name the values: PIVOT samples ON split IN ('train', 'test') USING count(*)."
_LIKE_ANY = "LIKE takes one pattern: join several with OR, or regexp_matches(column, 'one|other')."
_ONE_SELECT = "a query is one SELECT, or a predicate over samples; it reads and never writes."
INFO = "`slicedb info`, db.info() and db.query('').columns list what there is."


@dataclass(frozen=True)
class Parsed:
    """A parsed text."""

    source: Source
    tree: Node
    """The query: a SELECT, a set operation, ..."""


def parse(
    text: str,
    connection: duckdb.DuckDBPyConnection,
    context: str = "",
    clock: Clock | None = None,
) -> Parsed:
    """Parse a predicate or a SELECT.

    Args:
        text: the user's text.
        connection: a DuckDB connection with `errors_as_json`.
        context: where the text comes from, for errors.
        clock: bounds the work; None is no bound.

    Raises:
        ParseError: it is not SQL.
        SandboxError: it is more than one statement, or not a SELECT.
    """
    source = read(text, context)
    if clock is not None:
        clock.check()
    answer = _ask(source, connection, clock)
    if source.may_be_whole:
        whole = read(text, context, is_whole=True)
        if not (of_whole := _ask(whole, connection, clock)).is_error:
            source, answer = whole, of_whole
    if answer.is_error:
        raise _syntax_error(source, answer)
    if len(answer.statements) != 1:
        raise _more_than_one(source)
    statement = answer.statements[0]
    if statement.named_parameters:
        mark = next(iter(marks(source.tokens)), None)
        shown, at = (mark.text.decode(), mark.start) if mark else ("of the text", None)
        length = len(mark.text) if mark else 0
        fact = f"The parameter {shown} has no value."
        raise source.error(ParseError, fact, NO_VALUE, at=at, length=length)
    if source.is_predicate:
        _check_predicate(source, statement.query)
    return Parsed(source, statement.query)


def heading(text: str, connection: duckdb.DuckDBPyConnection) -> str:
    """Return the name that DuckDB gives to the column of an expression without an alias."""
    ask = "SELECT try(json_deserialize_sql(json_serialize_sql(?)))"
    row = connection.execute(ask, [f"SELECT {text}"]).fetchone()
    return " ".join(text.split()) if row is None or row[0] is None else str(row[0])[7:]


def _ask(source: Source, connection: duckdb.DuckDBPyConnection, clock: Clock | None = None) -> Node:
    """Return DuckDB's answer: its statements, or what is wrong with the text."""
    text = source.sql.decode()
    try:
        with contextlib.nullcontext() if clock is None else clock.asking(connection):
            row = connection.execute("SELECT json_serialize_sql(?)", [text]).fetchone()
        assert row is not None
        tree = read_tree(row[0], clock.check if clock is not None else None)
        if clock is not None:
            clock.check()
        return tree
    except RecursionError:
        raise source.error(ParseError, "The query is nested too deeply.") from None
    except QueryError:
        raise
    except Exception as error:  # DuckDB's own, of which there are many kinds
        if clock is not None and clock.over is not None:
            raise clock.over from error
        if is_broken(error):
            raise BrokenSessionError(str(error)) from error
        raise source.error(ParseError, _first_line(error)) from error


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _syntax_error(source: Source, answer: Node) -> QueryError:
    message = answer.error_message
    if split_at(source.text)[1] is not None:
        last = source.tokens[-2] if source.tokens[-1].text != b";" else source.tokens[-3]
        hint = "a slice asks the present; ask with at= or --at, or freeze it."
        return source.error(ParseError, "AT cannot stand here.", hint, at=last.start)
    if any(token.text == b";" for token in source.tokens):
        return _more_than_one(source)
    first = source.tokens[_first(source)].word.decode(errors="replace") if source.tokens else ""
    start = source.tokens[_first(source)].start if source.tokens else 0
    words = [token.word for token in source.tokens]
    if b"pivot" in words and "Only SELECT" in message:
        at = source.tokens[words.index(b"pivot")].start
        fact = "PIVOT needs the values that become columns."
        return source.error(SandboxError, fact, _PIVOT, at=at)
    if first in _WRITES or first == "show":
        hint = INFO if first == "show" else _ONE_SELECT
        return source.error(SandboxError, f"{first.upper()} is not allowed here.", hint, at=start)
    if "Only SELECT" in message:
        return source.error(SandboxError, "Only SELECT is allowed here.", _ONE_SELECT, at=0)
    at = min(start if answer.error_at is None else answer.error_at, max(len(source.sql) - 1, 0))
    if 'near "any"' in message.lower() and b"like" in [w.removeprefix(b"i") for w in words]:
        hint = _LIKE_ANY
    elif source.is_predicate:
        hint = "this text is read as a predicate over samples; a whole query begins with SELECT."
    else:
        hint = "the language is DuckDB's SQL."
    return source.error(ParseError, f"{message[:1].upper()}{message[1:]}.", hint, at=at)


def _first(source: Source) -> int:
    """Return the number of the first token that the user wrote."""
    written = source.shifts[0][0]
    for number, token in enumerate(source.tokens):
        if token.start >= written:
            return number
    return 0


def _more_than_one(source: Source) -> SandboxError:
    at = next((token.start for token in source.tokens if token.text == b";"), None)
    message = "There is more than one statement."
    return source.error(SandboxError, message, _ONE_SELECT, at=at, length=1)


def _check_predicate(source: Source, tree: Node) -> None:
    whole = "begin the whole query with SELECT."
    words = {token.word: token.start for token in reversed(source.outermost())}
    if tree.type != "SELECT_NODE":
        word = tree.set_operation if tree.type == "SET_OPERATION_NODE" else "a set operation"
        at = words.get(word.lower().encode())
        raise source.error(ParseError, f"A predicate cannot hold {word}.", whole, at=at)
    usual = ("STANDARD_HANDLING", "NO_AGGREGATES_ALLOWED")
    if tree.groups or tree.having or tree.aggregate_handling not in usual:
        at = words.get(b"group", words.get(b"having"))
        raise source.error(ParseError, "A predicate cannot hold GROUP BY.", whole, at=at)
