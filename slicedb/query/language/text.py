"""The text of a query: what the user wrote, what DuckDB parses, and the way back between them."""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple, TypeAlias, TypeVar

from slicedb.errors import ParseError, QueryError, place_after

PREDICATE = b"SELECT * FROM samples WHERE "
UNFILTERED = b"SELECT * FROM samples "

_STATEMENTS = frozenset(b"select with from table describe desc summarize pivot unpivot".split())
_BEFORE_NAMES = frozenset(b"table describe desc summarize".split())
"""Words that stand before the name of a table, in place of SELECT and FROM."""
_BEFORE_QUERIES = frozenset(
    b") union all distinct except intersect name describe desc summarize".split()
)
_LISTS = frozenset(b"all tables schemas databases variables".split())
"""Words behind DESCRIBE that ask for a list, and name no table."""
_TRAILERS = {b"order", b"limit", b"offset", b"qualify"}
_KEYWORDS = (b"using", b"column")
"""Names of options that SQL keeps for itself; before `=>` they get quotes."""
_NAMED = re.compile(rb"\w+\s*(?:=>|:=)")
_WORD = re.compile(rb"[A-Za-z_0-9$\x80-\xff]+")
_AT = re.compile(r"\bat\s*'", re.IGNORECASE)
_OPENING, _CLOSING = frozenset({b"(", b"[", b"{"}), frozenset({b")", b"]", b"}"})
_DEEPEST = 300
"""Brackets in brackets; DuckDB's parser takes time with the square of it."""
Span: TypeAlias = tuple[int, int]
"""A place in the SQL, from and to, in bytes."""

_Error = TypeVar("_Error", bound=QueryError)


class Token(NamedTuple):
    """One token of the SQL: byte offsets and DuckDB's kind (keyword, identifier, operator...)."""

    start: int
    end: int
    kind: str
    text: bytes
    depth: int = 0
    """Number of brackets around it; an opening and a closing bracket stand outside themselves."""

    @property
    def word(self) -> bytes:
        """The token in lower case."""
        return self.text.lower()


class CallPlace(NamedTuple):
    """Where a call stands in the SQL."""

    inside: int
    """Offset behind its opening bracket."""
    end: int
    """Offset behind its closing bracket."""
    arguments: tuple[Span, ...]
    """Place of the value of each argument."""


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

    @cached_property
    def starts(self) -> list[int]:
        """Offset of each token."""
        return [token.start for token in self.tokens]

    def token_at(self, offset: int) -> Token | None:
        """Return the token that starts at, or covers, an offset."""
        at = bisect.bisect_right(self.starts, offset) - 1
        return self.tokens[at] if at >= 0 and offset < self.tokens[at].end else None

    def number_at(self, offset: int) -> int:
        """Return the number of the token that starts at an offset, or of the next one."""
        return bisect.bisect_left(self.starts, offset)

    def tokens_in(self, start: int, end: int) -> tuple[Token, ...]:
        """Return the tokens that start in `[start, end)`."""
        return self.tokens[self.number_at(start) : self.number_at(end)]

    def outermost(self) -> list[Token]:
        """Return the tokens outside all brackets; an outer bracket itself is one of them."""
        return [token for token in self.tokens if not token.depth]

    def call_at(self, start: int) -> CallPlace:
        """Return where the parts of a call stand that begins at an offset."""
        first = self.number_at(start)
        opened = next(n for n in range(first, len(self.tokens)) if self.tokens[n].text == b"(")
        inside = self.tokens[opened].depth + 1
        spans: list[Span] = []
        begin = opened + 1
        for number in range(begin, len(self.tokens)):
            token = self.tokens[number]
            is_last = token.depth < inside
            if is_last or (token.depth == inside and token.text == b","):
                if begin + 2 < number and self.tokens[begin + 1].text in (b"=>", b":="):
                    begin += 2
                if begin < number:
                    spans.append((self.tokens[begin].start, self.tokens[number - 1].end))
                begin = number + 1
            if is_last:
                return CallPlace(self.tokens[opened].end, token.end, tuple(spans))
        raise AssertionError("DuckDB parsed a call that does not end")

    @property
    def may_be_whole(self) -> bool:
        """Whether a predicate begins as a SELECT in brackets, which may be a whole query."""
        written = (token.word for token in self.tokens if token.start >= self.shifts[0][0])
        first = next(written, b"")
        while first == b"(":
            first = next(written, b"")
        return self.is_predicate and (first in _STATEMENTS or first == b"values")

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
        line, column = place_after(raw[:start].decode(errors="replace"))
        shown = raw[start:end].decode(errors="replace")
        return kind(message, hint, text=self.text, line=line, column=column, token=shown)


def read(text: str, context: str = "", is_whole: bool = False) -> Source:
    """Read a text: find its tokens, complete a predicate, take off a last semicolon.

    Args:
        text: what the user wrote.
        context: where it comes from, for errors.
        is_whole: whether a text in brackets is a whole query, as in `(SELECT 1) UNION SELECT 2`.

    Raises:
        ParseError: the text holds characters that no query can hold, or is a comment alone.
    """
    body = _encoded(text)
    tokens = tokenize(body)
    _refuse_comment_or_depth(text, body, tokens)
    if tokens and tokens[-1].text == b";":
        body = body[: tokens[-1].start] + b" " + body[tokens[-1].end :]
        tokens = tokens[:-1]
    prefix = b"" if is_whole else _prefix(tokens)
    sql, written, shifts = _completed(body, tokens, prefix)
    return Source(text, sql, bool(prefix), tuple(written), tuple(shifts), context)


def _encoded(text: str) -> bytes:
    """Return a text as UTF-8, which cannot be said of every string of Python, and holds no NUL."""
    try:
        body = text.encode()
    except UnicodeEncodeError as error:
        raise ParseError("The text is not valid Unicode.", text="") from error
    if b"\0" in body:
        line, column = place_after(text[: text.index("\0")])
        shown = text.replace("\0", " ")
        raise ParseError(
            "The text holds a NUL character.", text=shown, line=line, column=column, token=" "
        )
    return body


def _refuse_comment_or_depth(text: str, body: bytes, tokens: Sequence[Token]) -> None:
    """Raise for a text that is a comment alone, or that would keep the parser busy for long."""
    if not tokens and body.strip():
        raise ParseError(
            "The text is a comment and nothing else.",
            "-- begins a comment, so write - -3 for two signs; the empty text is every sample.",
            text=text,
            line=1,
            column=1,
            token=text.partition("\n")[0],
        )
    deep = next((token for token in tokens if token.depth > _DEEPEST), None)
    if deep is not None:
        line, column = place_after(body[: deep.start].decode())
        raise ParseError(
            f"The query nests brackets more than {_DEEPEST} deep.",
            text=text,
            line=line,
            column=column,
            token=deep.text.decode(errors="replace"),
        )


def _completed(
    body: bytes, tokens: Sequence[Token], prefix: bytes
) -> tuple[bytes, list[Token], list[Span]]:
    """Write what DuckDB parses: the prefix, quotes around options, FROM for TABLE and its like.

    Returns:
        The SQL, its tokens, and where the distance to the text changes (see `Source.shifts`).
    """
    pieces, shifts, done, moved = [prefix], [(len(prefix), 0)], 0, len(prefix)
    written = [*_prefix_tokens(prefix)]
    for number, token in enumerate(tokens):
        start, end, kind, raw, depth = token
        word = raw.lower()
        if word in _KEYWORDS and _NAMED.match(body, start):
            name = Token(start + moved, end + moved + 2, "identifier", b'"' + raw + b'"', depth)
            pieces += [body[done:start], name.text]
            shifts += [(name.start + 1, start), (name.end, end)]
            written.append(name)
            done, moved = end, moved + 2
        elif word in _BEFORE_NAMES and _has_name(tokens, number):
            # `TABLE x` and `DESCRIBE x` give x no place in DuckDB's tree, `FROM x` does.
            kept = b"" if word == b"table" else raw + b" "
            place = start + moved + len(kept)
            written += [Token(start + moved, end + moved, kind, raw, depth)] * bool(kept)
            written.append(Token(place, place + 4, "keyword", b"FROM", depth))
            pieces += [body[done:start], kept, b"FROM"]
            shifts.append((place + 4, end))
            done, moved = end, place + 4 - end
        else:
            written.append(_token(start + moved, end + moved, kind, raw, depth))
    return b"".join([*pieces, body[done:]]), written, shifts


def _has_name(tokens: Sequence[Token], number: int) -> bool:
    """Return whether a word such as TABLE begins a query and has the name of a table behind it."""
    after = tokens[number + 1].word if number + 1 < len(tokens) else b"("
    before = tokens[number - 1].word if number else b"("
    is_query = after == b"(" or after in _STATEMENTS or after == b"values"
    is_query = is_query or (after in _LISTS and tokens[number].word != b"table")
    is_begin = before == b"(" or (tokens[number].word == b"table" and before in _BEFORE_QUERIES)
    return is_begin and not is_query


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


def _prefix(tokens: list[Token]) -> bytes:
    if not tokens or tokens[0].word in _TRAILERS:
        return UNFILTERED
    is_values = [token.word for token in tokens[:2]] == [b"values", b"("]
    return b"" if is_values or tokens[0].word in _STATEMENTS else PREDICATE


def tokenize(sql: bytes) -> list[Token]:
    """Return DuckDB's tokens without comments; it gives their starts, the ends follow."""
    import duckdb

    starts: list[tuple[int, object]] = duckdb.tokenize(sql.decode())
    kinds = {kind: str(kind).rsplit(".", 1)[-1] for kind in {kind for _, kind in starts}}
    tokens, depth = [], 0
    for (start, kind), (stop, _) in zip(starts, [*starts[1:], (len(sql), None)]):
        name = kinds[kind]
        if name == "comment" or start >= len(sql):
            continue
        raw = sql[start:stop].rstrip()
        if name in ("keyword", "identifier") and (word := _WORD.match(raw)):
            raw = word.group()
        depth -= raw in _CLOSING
        tokens.append(_token(start, start + len(raw), name, raw, depth))
        depth += raw in _OPENING
    return tokens


def _token(start: int, end: int, kind: str, text: bytes, depth: int) -> Token:
    """Return a token in half the time that its constructor takes; long texts have many."""
    return tuple.__new__(Token, (start, end, kind, text, depth))


@cache
def _prefix_tokens(prefix: bytes) -> list[Token]:
    return tokenize(prefix)
