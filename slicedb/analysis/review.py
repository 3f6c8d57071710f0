"""What the error analyses of all tasks share: findings, confused pairs, the share of each slice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Protocol, TypeVar

import pyarrow as pa

from slicedb.analysis.shares import SliceShare
from slicedb.judge.agreement import Agreement
from slicedb.judge.truth import OtherTruth
from slicedb.metrics.outcomes import Ints
from slicedb.schema import schema_of
from slicedb.show.html import Html
from slicedb.show.tabular import Figure, Grid, Part, Tabular


class Finding(Protocol):
    """The samples with one kind of mistake."""

    @property
    def name(self) -> str: ...
    @property
    def n(self) -> int: ...
    @property
    def share(self) -> float: ...
    @property
    def query(self) -> str: ...
    @property
    def keys(self) -> Ints: ...


@dataclass(frozen=True)
class ReviewSet:
    """A review set."""

    name: str
    """Also its tag."""
    description: str
    query: str
    """The text that finds it again."""
    n: int
    share: float
    """Of all samples judged."""
    keys: Ints = field(repr=False, compare=False)
    """int64 (n,): its samples, the largest loss first."""


@dataclass(frozen=True)
class Confused:
    """One class taken for another."""

    truth: str
    prediction: str
    n: int
    share: float
    """Of all errors."""
    rate: float
    """Of what has the true class."""
    query: str
    """The samples, or those that hold such a box or pixel."""

    @property
    def title(self) -> str:
        """Both classes, as a table names the pair."""
        return f"{self.truth} as {self.prediction}"


@dataclass(frozen=True)
class ConfusedPair(Confused):
    """One class taken for another: samples of a classifier, or boxes at the right place."""

    low: float
    """Wilson bound of the rate."""
    high: float
    """Wilson bound of the rate."""


F = TypeVar("F", bound=Finding)
P = TypeVar("P", bound=Confused)

_SUMMARY = schema_of("kind string, name string, n int64, share float64, query string")


class Review(Tabular, Generic[F, P]):
    """The error analysis of one model; a subclass is the dataclass that holds it."""

    model: str
    findings: tuple[F, ...]
    pairs: tuple[P, ...]
    shares: tuple[SliceShare, ...]
    truth: OtherTruth | None
    agreements: tuple[Agreement, ...]
    pictures: Callable[[], Html] | None

    KIND: ClassVar[str] = "set"
    """What `to_arrow` calls a finding."""
    TRUTH: ClassVar[str] = "label"
    """What another truth stands in place of."""

    @property
    def tags(self) -> dict[str, Ints]:
        """The findings as tags: tag to keys."""
        return {finding.name: finding.keys for finding in self.findings}

    def finding(self, name: str) -> F:
        """Return a finding by its name.

        Raises:
            KeyError: there is none of that name.
        """
        return {finding.name: finding for finding in self.findings}[name]

    def to_arrow(self) -> pa.Table:
        """Return every finding, pair and share in one table: kind, name, n, share, query."""
        rows = [(self.KIND, f.name, f.n, f.share, f.query) for f in self.findings]
        rows += [("pair", p.title, p.n, p.share, p.query) for p in self.pairs]
        rows += [("slice", s.slice, s.n_errors, s.share_of_errors, s.query) for s in self.shares]
        return pa.Table.from_pylist([dict(zip(_SUMMARY.names, row)) for row in rows], _SUMMARY)

    def about_truth(self) -> Iterator[str]:
        """Yield what the model was judged against, where it is not the ground truth."""
        if self.truth is not None:
            yield f"judged against {self.truth}, not the {self.TRUTH}"
        yield from map(str, self.agreements)

    def shown(self, grids: Iterable[Grid], notes: Iterable[str] = ()) -> Iterator[Part]:
        """Yield the tables that have rows, notes on them, and the largest losses as pictures."""
        for grid in grids:
            if grid.rows:
                yield ""
                yield grid
        yield from notes
        if self.pictures is not None:
            yield Figure(self.pictures)
