"""The text of a query: what the user wrote, what DuckDB parses, and the way back between them."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from typing import Any, TypeVar

from slicedb.errors import ParseError, QueryError

PREDICATE = b"SELECT * FROM samples WHERE "
UNFILTERED = b"SELECT * FROM samples "

_STATEMENTS = {b"select", b"with", b"from"}
_TRAILERS = {b"order", b"limit", b"offset", b"qualify"}
_KEYWORDS = (b"using", b"column")
"""Names of options that SQL keeps for itself; before `=>` they get quotes."""
_NAMED = re.compile(rb"\w+\s*(?:=>|:=)")
_WORD = re.compile(rb"[A-Za-z_0-9$\x80-\xff]+")
_AT = re.compile(r"\bat\s*'", re.IGNORECASE)
_DEEPEST = 300
"""Brackets in brackets; DuckDB's parser takes time with the square of it."""
_Error = TypeVar("_Error", bound=QueryError)


@dataclass(frozen=True)
class Token:
    """One token of the SQL: byte offsets and DuckDB's kind (keyword, identifier, operator...)."""

    start: int
    end: int
    kind: str
    text: bytes

    @property
    def word(self) -> bytes:
        """The token in lower case."""
        return self.text.lower()


@dataclass(frozen=True)
class Source:
    """A query text as the user wrote it and as DuckDB parses it.

    Offsets are bytes, as DuckDB counts them.
    """

    text: str
    """What the user wrote."""
    sql: bytes
    """What is parsed: a predicate gets its SELECT, `using =>` and `column =>` their quotes."""
    is_predicate: bool
    """Whether the text is a predicate over samples and not a whole SELECT."""
    tokens: tuple[Token, ...]
    """The tokens of `sql`, without comments."""
    shifts: tuple[tuple[int, int], ...]
    """(offset in sql, offset in the text) at each place where the distance changes."""
    context: str = ""
    """Where the text comes from when the user did not type it, for example a slice's name."""

    def origin(self, offset: int) -> int:
        """Return the byte offset in the user's text of an offset in `sql`."""
        at = bisect.bisect_right([s for s, _ in self.shifts], offset) - 1
        if at < 0:
            return 0
        start, origin = self.shifts[at]
        end = self.shifts[at + 1][1] if at + 1 < len(self.shifts) else len(self.text.encode())
        return min(origin + offset - start, end)

    def token_at(self, offset: int) -> Token | None:
        """Return the token that starts at, or covers, an offset."""
        at = bisect.bisect_right([t.start for t in self.tokens], offset) - 1
        return self.tokens[at] if at >= 0 and offset < self.tokens[at].end else None

    def number_at(self, offset: int) -> int:
        """Return the number of the token that starts at an offset."""
        return bisect.bisect_left([t.start for t in self.tokens], offset)

    def error(
        self,
        kind: type[_Error],
        message: str,
        hint: str = "",
        *,
        at: int | None = None,
        length: int = 0,
    ) -> _Error:
        """Return an error that points into the user's text.

        Args:
            kind: class of the error.
            message: the fact.
            hint: the way out.
            at: byte offset in `sql`; None names no place.
            length: bytes of the token; 0 takes the token found there.
        """
        if self.context:
            message = f"{self.context}: {message}"
        if at is None:
            return kind(message, hint, text=self.text)
        if not length:
            token = self.token_at(at)
            length = token.end - at if token else 1
        raw = self.text.encode()
        start = self.origin(at)
        end = max(start, self.origin(at + length))
        before = raw[:start].decode(errors="replace")
        column = len(before) - (before.rfind("\n") + 1) + 1
        shown = raw[start:end].decode(errors="replace")
        line = before.count("\n") + 1
        return kind(message, hint, text=self.text, line=line, column=column, token=shown)


def read(text: str, context: str = "") -> Source:
    """Read a text: find its tokens, complete a predicate, take off a last semicolon.

    Raises:
        ParseError: the text holds characters that no query can hold.
    """
    try:
        body = text.encode()
    except UnicodeEncodeError as error:
        raise ParseError("The text is not valid Unicode.", text="") from error
    if b"\0" in body:
        raise ParseError("The text holds a NUL character.", text=text.replace("\0", " "))
    tokens = tokenize(body)
    if _depth(tokens) > _DEEPEST:
        raise ParseError(f"The query nests brackets more than {_DEEPEST} deep.", text=text)
    if tokens and tokens[-1].text == b";":
        body = body[: tokens[-1].start] + b" " + body[tokens[-1].end :]
        tokens = tokens[:-1]
    prefix = _prefix(tokens)
    pieces, shifts, done = [prefix], [(len(prefix), 0)], 0
    for token in tokens:
        if token.word in _KEYWORDS and _NAMED.match(body, token.start):
            pieces += [body[done : token.start], b'"', body[token.start : token.end], b'"']
            done = token.end
            length = sum(map(len, pieces))
            shifts += [(length - 1 - len(token.text), token.start), (length, done)]
    sql = b"".join([*pieces, body[done:]])
    return Source(text, sql, bool(prefix), tuple(tokenize(sql)), tuple(shifts), context)


def split_at(text: str) -> tuple[str, str | None]:
    """Return a text without its last words `AT 'commit'`, and the commit.

    >>> split_at("label = 'cat' LIMIT 3 AT 'clean'")
    ("label = 'cat' LIMIT 3 ", 'clean')
    >>> split_at("note = 'at night'")
    ("note = 'at night'", None)
    """
    if not _AT.search(text) or "\0" in text:
        return text, None
    try:
        body = text.encode()
    except UnicodeEncodeError:
        return text, None
    tokens = [token for token in tokenize(body) if token.text != b";"]
    if len(tokens) < 2 or tokens[-2].word != b"at" or not tokens[-1].text.startswith(b"'"):
        return text, None
    name = tokens[-1].text[1:-1].replace(b"''", b"'").decode()
    return body[: tokens[-2].start].decode(), name


def _depth(tokens: list[Token]) -> int:
    depth = deepest = 0
    for token in tokens:
        depth += (token.text in (b"(", b"[", b"{")) - (token.text in (b")", b"]", b"}"))
        deepest = max(deepest, depth)
    return deepest


def _prefix(tokens: list[Token]) -> bytes:
    if not tokens or tokens[0].word in _TRAILERS:
        return UNFILTERED
    return b"" if tokens[0].word in _STATEMENTS else PREDICATE


def tokenize(sql: bytes) -> list[Token]:
    """Return DuckDB's tokens; it gives their starts, the ends follow from the text."""
    import duckdb

    found: list[tuple[int, Any]] = duckdb.tokenize(sql.decode())
    tokens = []
    for number, (start, kind) in enumerate(found):
        stop = found[number + 1][0] if number + 1 < len(found) else len(sql)
        name = str(kind).rsplit(".", 1)[-1]
        if name == "comment" or start >= len(sql):
            continue
        raw = sql[start:stop].rstrip()
        word = _WORD.match(raw)
        if name in ("keyword", "identifier") and word and not raw.startswith(b'"'):
            raw = word.group()
        tokens.append(Token(start, start + len(raw), name, raw))
    return tokens
