"""Every error of SliceDB, in one tree.

    SliceDBError                      catch this one for everything SliceDB raises on purpose
    ├── DatabaseError                 the directory, its format, its versions
    │   ├── DatabaseNotFoundError     (also FileNotFoundError)
    │   ├── FormatError               written by a newer SliceDB
    │   ├── UnknownTableError         (also KeyError)
    │   ├── UnknownSampleError        (also KeyError)
    │   ├── ConflictError             another writer got there first, retries used up
    │   └── UnreachableError          (also SourceError) a bucket is gone: no answer, no way in
    ├── IngestError                   (also ValueError)
    │   ├── SourceError               missing folder, empty folder, unreadable file
    │   └── TooManyBrokenError        the share of broken images passed --max-broken
    ├── MediaError                    one image that cannot be decoded; `.reason` is its status
    ├── QueryError                    (also ValueError) carries line, column, text and token
    │   ├── ParseError                the text is not SQL
    │   ├── BindError                 an unknown column, table, model, slice or function
    │   ├── SandboxError              the text tries to write, or to reach files or the network
    │   ├── QueryTimeoutError         the time given to the query is used up
    │   ├── QueryMemoryError          the memory given to the query is used up
    │   ├── QueryResultError          the result is larger than a result may be
    │   ├── QueryCancelledError       (also CancelledError) somebody has cancelled the query
    │   └── QueryBusyError            too many queries of one client wait already
    ├── SliceError                    (also ValueError) a slice or its file is not right
    │   └── UnknownSliceError         (also KeyError)
    ├── ModelError                    (also ValueError) a model cannot be loaded or run
    │   ├── UnknownModelError         (also KeyError)
    │   └── ClassesError              class list and weights or data do not agree
    ├── EmbeddingError                (also ValueError)
    │   ├── UnknownEmbeddingError     (also KeyError)
    │   └── FingerprintError          vectors of two different encoders would be mixed
    ├── PredictionError               (also ValueError) predictions made elsewhere do not fit
    ├── CancelledError                somebody has stopped long work; what was finished is kept
    ├── UnknownJobError               (also KeyError) the page has no such job
    ├── OptionError                   (also TypeError) a verb has no option of that name
    ├── PluginError                   (also ValueError) an installed plug-in does not fit
    └── CheckError                    (also ValueError) an expectation does not parse or apply

A message is two sentences: the fact with the value, then the hint with the way out.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from slicedb.progress import Progress

_WIDEST = 400
"""Characters of a line that an error shows."""


class SliceDBError(Exception):
    """Base of every error SliceDB raises on purpose.

    Args:
        message: the fact, with the value and the place.
        hint: the way out; printed after "Hint:".
    """

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message} Hint: {self.hint}" if self.hint else self.message


class DatabaseError(SliceDBError):
    """The database directory, its format or its versions are at fault."""


class DatabaseNotFoundError(DatabaseError, FileNotFoundError):
    """There is no database at the path."""


class FormatError(DatabaseError):
    """The database was written in a format this SliceDB does not know."""


class UnknownTableError(DatabaseError, KeyError):
    """No table of that name."""


class UnknownSampleError(DatabaseError, KeyError):
    """No sample with that id."""


class ConflictError(DatabaseError):
    """Another writer changed the table and the retries are used up."""


class CancelledError(SliceDBError):
    """Somebody has stopped long work; `.progress` is how far its last stage had come."""

    progress: Progress | None = None


class UnknownJobError(SliceDBError, KeyError):
    """The page has no such job, or no such kind."""


class OptionError(SliceDBError, TypeError):
    """A method has no argument of that name."""


class PluginError(SliceDBError, ValueError):
    """A plug-in of an installed package cannot be loaded, or does not fulfil its protocol."""


class IngestError(SliceDBError, ValueError):
    """The source cannot be ingested."""


class SourceError(IngestError):
    """The folder or file to ingest is missing, empty or unreadable."""


class UnreachableError(DatabaseError, SourceError):
    """A bucket does not answer, or does not let us in any more: its database, or a source."""

    is_silent = False
    """Whether nobody answers at all, not even with an error."""


class TooManyBrokenError(IngestError):
    """More images are broken than the caller allows; `.report` is the `IngestReport`."""

    report: object = None


class MediaError(SliceDBError, ValueError):
    """One image cannot be decoded.

    Args:
        reason: the status its sample gets, for example "truncated".
        message: what the decoder said.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)

    @property
    def why(self) -> str:
        """The reason with what the decoder said."""
        return f"{self.reason}: {self.message}" if self.message else self.reason


def place_after(before: str) -> tuple[int, int]:
    """Return line and column, from 1, of the character that follows the part `before` of a text.

    >>> place_after(""), place_after("SELECT *\\nFROM ")
    ((1, 1), (2, 6))
    """
    return before.count("\n") + 1, len(before) - before.rfind("\n")


class QueryError(SliceDBError, ValueError):
    """A query text cannot be run.

    Args:
        message: the fact.
        hint: the way out.
        text: the whole query text.
        line: line of the token, from 1; 0 where there is no place to name.
        column: column of the token, from 1.
        token: the text of the token.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        text: str = "",
        line: int = 0,
        column: int = 0,
        token: str = "",
    ) -> None:
        self.text = text
        self.line = line
        self.column = column
        self.token = token
        self.include: tuple[str, int, int] | None = None
        """Where the error is in a slice: the text that includes it, and from where to where."""
        super().__init__(message, hint)

    @property
    def asked(self) -> str:
        """The text that was asked; `text` is that of a slice inside it, where that is at fault."""
        return self.text if self.include is None else self.include[0]

    @property
    def start(self) -> int | None:
        """Characters of `asked` before the token, or before what includes the slice; else None."""
        if self.include is not None:
            return self.include[1]
        if not self.line:
            return None
        before = self.text.split("\n")[: self.line - 1]
        return sum(len(line) + 1 for line in before) + self.column - 1

    @property
    def end(self) -> int | None:
        """Characters of `asked` up to the end of the token; None where there is no place."""
        if self.include is not None:
            return self.include[2]
        start = self.start
        return None if start is None else min(start + len(self.token), len(self.text))

    def within(self, place: str, *, text: str | None = None, line: int | None = None) -> Self:
        """Return the error as one of a place, such as a file, with the text and line there."""
        moved = type(self)(f"{place}: {self.message}", self.hint)
        moved.text = self.text if text is None else text
        moved.line = self.line if line is None else line
        moved.column, moved.token, moved.include = self.column, self.token, self.include
        return moved

    @property
    def marked(self) -> str:
        """The line of the text with the token underlined, or an empty string."""
        lines = self.text.split("\n")
        if not 1 <= self.line <= len(lines):
            return ""
        width = max(1, len(self.token.split("\n")[0]))
        shown, at = lines[self.line - 1], self.column - 1
        if len(shown) > _WIDEST:  # of a line of a megabyte, what stands around the token
            begin = max(at - _WIDEST // 2, 0)
            mark = "…" * (begin > 0)
            shown = mark + shown[begin : begin + _WIDEST]
            at, width = at - begin + len(mark), min(width, _WIDEST // 2)
        return f"  {shown}\n  {' ' * at}{'^' * width}"

    def __str__(self) -> str:
        if not self.line:
            return super().__str__()
        place = f"{self.message} (line {self.line}, column {self.column})"
        hint = f" Hint: {self.hint}" if self.hint else ""
        return f"{place}{hint}\n{self.marked}"


class ParseError(QueryError):
    """The text is not SQL."""


class BindError(QueryError):
    """The text names something that is not there."""


class SandboxError(QueryError):
    """The text tries to write, or to reach files or the network."""


class QueryTimeoutError(QueryError):
    """The query used up its time."""


class QueryMemoryError(QueryError):
    """The query used up its memory."""


class QueryResultError(QueryError):
    """The result is larger than a result may be."""


class QueryCancelledError(QueryError, CancelledError):
    """Somebody has cancelled the query."""


class QueryBusyError(QueryError):
    """Too many queries of one client wait already."""


class SliceError(SliceDBError, ValueError):
    """A slice, or the file it is written in, is not right."""


class UnknownSliceError(SliceError, KeyError):
    """No slice of that name."""


class ModelError(SliceDBError, ValueError):
    """A model cannot be loaded or run."""


class UnknownModelError(ModelError, KeyError):
    """No model of that name."""


class ClassesError(ModelError):
    """The class list does not agree with the weights or the data."""


class EmbeddingError(SliceDBError, ValueError):
    """Embeddings cannot be made or read."""


class UnknownEmbeddingError(EmbeddingError, KeyError):
    """No embedding of that name."""


class FingerprintError(EmbeddingError):
    """Vectors of two different encoders would be mixed."""


class PredictionError(SliceDBError, ValueError):
    """Predictions made elsewhere do not fit the dataset."""


class CheckError(SliceDBError, ValueError):
    """An expectation does not parse, or does not apply to this data."""


def did_you_mean(name: str, choices: Iterable[str], what: str = "") -> str:
    """Return the hint for an unknown name: the nearest choices, else the first few.

    Args:
        name: what the user wrote.
        choices: what exists.
        what: the plural noun of the choices, for the empty and the listing case.

    >>> did_you_mean("lable", ["label", "split"])
    "did you mean 'label'?"
    >>> did_you_mean("x", ["label", "split"], "columns")
    'columns: label, split.'
    >>> did_you_mean("x", [], "models")
    'there are no models yet.'
    """
    names = list(dict.fromkeys(choices))
    what = what or "choices"
    if not names:
        return f"there are no {what} yet."
    lower: dict[str, str] = {}
    for choice in names:
        lower.setdefault(choice.lower(), choice)
    near = difflib.get_close_matches(name.lower(), list(lower), n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(repr(lower[n]) for n in near)}?"
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"{what}: {shown}."


T = TypeVar("T")


def suggesting(cls: type[T]) -> type[T]:
    """Let the public methods of a class answer an unknown argument with the nearest one there is.

    Signatures stay as they are written: `inspect`, editors and type checkers see the methods
    themselves.

    >>> @suggesting
    ... class Handle:
    ...     def evaluate(self, *, metrics=None): ...
    >>> Handle().evaluate(metric="f1")
    Traceback (most recent call last):
    slicedb.errors.OptionError: evaluate() has no option 'metric'. Hint: did you mean 'metrics'?
    """
    for name, method in list(vars(cls).items()):
        if inspect.isfunction(method) and not name.startswith("_"):
            setattr(cls, name, _suggesting(method))
    return cls


_DEPENDENCIES = frozenset({"pyarrow", "lance", "lancedb", "duckdb", "_duckdb", "yaml"})
"""Packages whose own errors never reach a user as they are; each verb should say it better."""


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return (str(error).splitlines() or [""])[0]


def _suggesting(method: Callable[..., T]) -> Callable[..., T]:
    parameters = inspect.signature(method).parameters.values()
    names = [p.name for p in parameters if p.name != "self"]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)  # and answers for them itself

    @functools.wraps(method)
    def checked(*args: object, **options: object) -> T:
        for name in () if takes_any else options.keys() - names:
            hint = did_you_mean(name, names, "options")
            raise OptionError(f"{method.__name__}() has no option '{name}'.", hint)
        try:
            return method(*args, **options)
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in _DEPENDENCIES:
                raise
            raise SliceDBError(
                f"{method.__name__}() failed: {type(error).__name__}: {first_line(error)}",
                "nothing was expected to fail there: please report it with what you gave it.",
            ) from error

    return checked
