"""Text to tree, by DuckDB's own parser.

The tree is what `json_serialize_sql` gives: it accepts exactly the SQL that DuckDB runs, refuses
everything that is not a SELECT, and marks every node with its place in the text. The binder then
replaces places in the text, so that DuckDB runs the user's own words wherever they are plain SQL.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

from slicedb.errors import ParseError, QueryError, SandboxError
from slicedb.query.language.parameters import NO_VALUE, marks
from slicedb.query.language.text import Source, read, split_at

Node: TypeAlias = dict[str, Any]

NOWHERE = 2**64 - 1
"""DuckDB's mark of a node that is not written in the text."""

_WRITES = frozenset(
    {
        "alter",
        "analyze",
        "attach",
        "begin",
        "call",
        "checkpoint",
        "comment",
        "commit",
        "copy",
        "create",
        "deallocate",
        "delete",
        "detach",
        "drop",
        "execute",
        "explain",
        "export",
        "import",
        "insert",
        "install",
        "load",
        "merge",
        "pragma",
        "prepare",
        "reset",
        "rollback",
        "set",
        "start",
        "truncate",
        "update",
        "use",
        "vacuum",
        "abort",
        "force",
    }
)
_NO_ROWS = frozenset(
    {"describe", "desc", "show", "summarize", "table", "values", "pivot", "unpivot"}
)
_SCORES = frozenset({"similarity", "fuse", "cam_border", "cam_mass_in"})
_LISTS = frozenset({"describe", "desc", "show"})
_PIVOT = "write FROM samples PIVOT (count(*) FOR split IN ('train', 'test') GROUP BY label)."
_LIKE_ANY = "LIKE takes one pattern: join several with OR, or regexp_matches(column, 'one|other')."
_ONE_SELECT = "a query is one SELECT, or a predicate over samples; it reads and never writes."
_INFO = "`slicedb info`, db.info() and db.query('').columns list what there is."


@dataclass(frozen=True)
class Parsed:
    """A parsed text."""

    source: Source
    tree: Node
    """The query node: SELECT_NODE, SET_OPERATION_NODE, ..."""


def parse(text: str, connection: Any, context: str = "") -> Parsed:
    """Parse a predicate or a SELECT.

    Args:
        text: the user's text.
        connection: a DuckDB connection with `errors_as_json`.
        context: where the text comes from, for errors.

    Raises:
        ParseError: it is not SQL.
        SandboxError: it is more than one statement, or not a SELECT.
    """
    source = read(text, context)
    try:
        found = connection.execute("SELECT json_serialize_sql(?)", [source.sql.decode()])
        answer = json.loads(found.fetchone()[0])
    except RecursionError:
        raise source.error(ParseError, "The query is nested too deeply.") from None
    except Exception as error:  # DuckDB's own, of which there are many kinds
        raise source.error(ParseError, _first_line(error)) from error
    if answer.get("error"):
        raise _syntax_error(source, answer)
    statements = answer["statements"]
    if len(statements) != 1:
        raise _more_than_one(source)
    tree: Node = statements[0]["node"]
    if statements[0].get("named_param_map"):
        mark = next(iter(marks(source.tokens)), None)
        shown, at = (mark.text.decode(), mark.start) if mark else ("of the text", None)
        raise source.error(ParseError, f"The parameter {shown} has no value.", NO_VALUE, at=at)
    if source.is_predicate:
        _check_predicate(source, tree)
    return Parsed(source, tree)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _syntax_error(source: Source, answer: Node) -> QueryError:
    message = str(answer.get("error_message", "the text does not parse"))
    if split_at(source.text)[1] is not None:
        last = source.tokens[-2] if source.tokens[-1].text != b";" else source.tokens[-3]
        hint = "a slice asks the present; ask with at= or --at, or freeze it."
        raise source.error(ParseError, "AT cannot stand here.", hint, at=last.start)
    if any(token.text == b";" for token in source.tokens):
        return _more_than_one(source)
    first = source.tokens[_first(source)].word.decode(errors="replace") if source.tokens else ""
    start = source.tokens[_first(source)].start if source.tokens else 0
    words = [token.word for token in source.tokens]
    if first == "pivot" or (b"pivot" in words and "Only SELECT" in message):
        pivot = source.tokens[words.index(b"pivot")].start
        said = "The statement PIVOT is not allowed here."
        return source.error(SandboxError, said, _PIVOT, at=pivot)
    if first in _WRITES or first in _NO_ROWS:
        verb = first.upper()
        hint = _INFO if first in _LISTS else _ONE_SELECT
        return source.error(SandboxError, f"{verb} is not allowed here.", hint, at=start)
    if "Only SELECT" in message:
        return source.error(SandboxError, "Only SELECT is allowed here.", _ONE_SELECT, at=0)
    at = int(answer["position"]) if str(answer.get("position", "")).isdigit() else None
    if at is None:
        at = start if source.tokens else 0
    at = min(at, max(len(source.sql) - 1, 0))
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
    if tree["type"] != "SELECT_NODE":
        word = str(tree.get("setop_type", "a set operation"))
        raise source.error(
            ParseError, f"A predicate cannot hold {word}.", "begin the whole query with SELECT."
        )
    if (
        tree["group_expressions"]
        or tree["having"]
        or tree["aggregate_handling"]
        not in (
            "STANDARD_HANDLING",
            "NO_AGGREGATES_ALLOWED",
        )
    ):
        raise source.error(
            ParseError, "A predicate cannot hold GROUP BY.", "begin the whole query with SELECT."
        )
    _refuse_scores(source, tree["where_clause"])


def _refuse_scores(source: Source, where: Node | None) -> None:
    """Refuse a score as a condition: DuckDB takes a number for true, and all samples match."""
    if where is None:
        return
    if where["class"] == "CONJUNCTION" or where["type"] == "OPERATOR_NOT":
        for part in where["children"]:
            _refuse_scores(source, part)
    elif where["class"] == "FUNCTION" and where["function_name"].lower() in _SCORES:
        name = where["function_name"].lower()
        condition = "; matches(...) is a condition" if name == "similarity" else ""
        raise source.error(
            ParseError,
            f"{name}(...) is a score, not a condition.",
            f"compare it ({name}(...) > 0.3), or put ORDER BY before it{condition}.",
            at=where["query_location"],
        )
