"""What is wrong with a query text, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from slicedb.errors import QueryError, SliceDBError, place_after
from slicedb.show.tabular import Part, Tabular


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where."""

    message: str
    hint: str
    kind: str
    """The class of the error, such as `BindError`."""
    start: int
    """Characters of the text before the token that is to blame; 0 where there is none."""
    end: int
    """Characters up to its end; the whole text where no token is to blame."""
    line: int
    """Of the token, from 1."""
    column: int
    """Of the token, from 1."""
    token: str
    """The text from `start` to `end`, empty where no token is to blame."""
    marked: str
    """Its line with the token underlined; of a slice that is at fault, the line there."""


@dataclass(frozen=True)
class Problems(Tabular):
    """What is wrong with a text; nothing where it may be asked."""

    text: str
    problems: tuple[Problem, ...]

    def __bool__(self) -> bool:
        return bool(self.problems)

    def __len__(self) -> int:
        return len(self.problems)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.problems)

    def to_arrow(self) -> pa.Table:
        """Return one row per problem."""
        texts, numbers = pa.string(), pa.int64()
        kinds = {"message": texts, "hint": texts, "kind": texts, "start": numbers, "end": numbers}
        kinds |= {"line": numbers, "column": numbers, "token": texts}
        rows = [{name: getattr(problem, name) for name in kinds} for problem in self.problems]
        return pa.Table.from_pylist(rows, pa.schema(list(kinds.items())))

    def parts(self) -> Iterable[Part]:
        """Yield each problem with its place and its hint, or that there is none."""
        if not self.problems:
            yield "nothing is wrong"
        for problem in self.problems:
            place = f" (line {problem.line}, column {problem.column})" if problem.token else ""
            hint = f" Hint: {problem.hint}" if problem.hint else ""
            yield f"{problem.message}{place}{hint}"
            if problem.marked:
                yield problem.marked


def problems(text: str, ask: Callable[[], object]) -> Problems:
    """Return what is wrong with a text.

    Args:
        text: what the user wrote.
        ask: binds it, and raises what is wrong.
    """
    try:
        ask()
    except QueryError as error:
        start, end = _place(error, text)
        line, column = place_after(text[:start])
        token = "" if error.start is None else text[start:end]
        found = Problem(
            error.message,
            error.hint,
            type(error).__name__,
            start,
            end,
            line,
            column,
            token,
            error.marked,
        )
        return Problems(text, (found,))
    except SliceDBError as error:  # a commit that is not there, an encoder that is not installed
        kind = type(error).__name__
        found = Problem(error.message, error.hint, kind, 0, len(text), 1, 1, "", "")
        return Problems(text, (found,))
    return Problems(text, ())


def _place(error: QueryError, text: str) -> tuple[int, int]:
    """Return the part of a text that is to blame, the whole text where that is not known."""
    start, end = error.start, error.end
    if start is None or end is None or start > len(text):
        return 0, len(text)
    if start >= min(end, len(text)):  # behind the last token: something is missing there
        return max(start - 1, 0), max(start, min(1, len(text)))
    return start, min(end, len(text))
