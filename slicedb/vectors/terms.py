"""What a query says about meaning: targets, and the terms made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from slicedb.errors import BindError, QueryError
from slicedb.sql import string

_Error = TypeVar("_Error", bound=QueryError)


class Text(Protocol):
    """A query text, whose errors point at a place in it."""

    def error(
        self,
        kind: type[_Error],
        message: str,
        hint: str = "",
        *,
        at: int | None = None,
        length: int = 0,
    ) -> _Error: ...


@dataclass(frozen=True)
class Target:
    """One thing to be similar to."""

    kind: Literal["text", "image", "sample"]
    value: str
    """The text, the path of an image file, or a sample's id."""
    weight: float = 1.0
    """How much it counts; negative: to be unlike it."""
    at: int = field(default=0, compare=False)
    """Where it is written in `source`, in bytes."""
    source: Text | None = field(default=None, compare=False)

    def __str__(self) -> str:
        shown = string(self.value)
        if self.kind != "text":
            shown = f"{self.kind}({shown})"
        if self.weight == 1:
            return shown
        if self.weight == -1:
            return f"without({shown})"
        return f"weighted({shown}, {self.weight:g})"

    def error(self, message: str, hint: str = "") -> QueryError:
        """Return an error that points at the target in the query's text."""
        if self.source is None:
            return BindError(message, hint)
        return self.source.error(BindError, message, hint, at=self.at)


@dataclass(frozen=True)
class Calibrated:
    """What labels taught about a text: a direction to add, and a cut."""

    shown: str
    """The targets it was made for, as `Term.shown` gives them."""
    embedding: str
    fingerprint: str
    """Of the encoder and the phrases it holds for; see `slicedb.vectors.contrast`."""
    cut: float
    """The least score of a match, as float32 holds it."""
    slope: float = 1.0
    """How much the log-odds of the text count."""
    direction: bytes = b""
    """float32 (d,): added as a product with the sample's unit vector; empty adds nothing."""


@dataclass(frozen=True)
class Term:
    """One term of meaning; its values are one column of scores.

    `similarity` gives cosines, `matches` the probability of the text, `nearest` true or false,
    `calibrated` log-odds as labels corrected them.
    """

    kind: Literal["similarity", "matches", "nearest", "calibrated"]
    targets: tuple[Target, ...]
    embedding: str
    k: int = 0
    """Number of samples, for `nearest`."""
    calibrated: Calibrated | None = None

    @property
    def shown(self) -> str:
        """The targets, as a query writes them."""
        return ", ".join(map(str, self.targets))

    def __str__(self) -> str:
        return f"{self.kind}({self.shown}{f', {self.k}' if self.k else ''})"
