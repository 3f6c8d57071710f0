"""What the binder collects: relations in a FROM, the terms of meaning, edits of the text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from slicedb.query.catalog import Catalog, TableInfo
from slicedb.query.parse import Node
from slicedb.query.text import Source

ROW = "~row"
"""Hidden column of a samples relation: the row's place in stored order."""


@dataclass(frozen=True)
class Target:
    """One thing to be similar to."""

    kind: Literal["text", "image", "sample"]
    value: str
    at: int = field(default=0, compare=False)
    source: Source | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Term:
    """One term of meaning; its values are one column of scores.

    `similarity` gives cosines, `matches` the probability of the text, `nearest` true or false.
    """

    kind: Literal["similarity", "matches", "nearest"]
    targets: tuple[Target, ...]
    embedding: str
    k: int = 0

    def __str__(self) -> str:
        shown = ", ".join(
            repr(t.value) if t.kind == "text" else f"{t.kind}({t.value!r})" for t in self.targets
        )
        return f"{self.kind}({shown}{f', {self.k}' if self.k else ''})"


@dataclass(frozen=True)
class ModelColumn:
    """A column of a model's predictions, as a column beside the samples.

    `index` picks one class of `probabilities`, from 1 as DuckDB counts.
    """

    model: str
    column: str
    index: int = 0

    @property
    def shown(self) -> str:
        """The name it has in a relation."""
        return f"{self.model}.{self.column}" + (f"[{self.index}]" if self.index else "")


@dataclass(eq=False)
class Relation:
    """One entry of a FROM."""

    kind: Literal["samples", "model", "other"]
    alias: str
    """As written, or the table's name."""
    table: TableInfo | None = None
    model: str = ""
    columns: set[str] = field(default_factory=set)
    """Real names of the columns the text names."""
    all_columns: bool = False
    star: bool = False
    """Whether `*` of the outermost SELECT shows it, so that a narrow run may do with less."""
    extras: dict[ModelColumn, TableInfo] = field(default_factory=dict)
    slots: list[str] = field(default_factory=list)
    """Columns of scores it needs."""
    row: bool = False
    """Whether it shows its hidden row number."""
    unfiltered: bool = False
    """Whether it shows quarantined samples too: the text mentions `status`."""

    @property
    def hidden(self) -> list[str]:
        """Columns it carries that `*` does not show."""
        return [ROW] * self.row + [extra.shown for extra in self.extras] + self.slots

    def wanted(self, narrow: bool) -> list[str]:
        """Return the stored columns to read, in the table's order."""
        assert self.table is not None
        whole = self.all_columns or (self.star and not narrow)
        keep = {"key"} | self.columns
        return [name for name in self.table.types if whole or name in keep]


@dataclass
class Scope:
    """The names one SELECT can see."""

    parent: Scope | None
    ctes: frozenset[str]
    node: Node
    relations: list[Relation] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)
    """Names of the lambdas around the expression being bound."""

    def chain(self) -> list[Scope]:
        """Return this scope and those around it, inside out."""
        found: list[Scope] = []
        scope: Scope | None = self
        while scope is not None:
            found.append(scope)
            scope = scope.parent
        return found


@dataclass(frozen=True)
class Frame:
    """How a bound text is written out this time."""

    schema: Literal["bare", "hot"] = "bare"
    """bare: typed and empty relations, to bind without reading; hot: the loaded tables."""
    narrow: bool = False
    """Write `*` of the outermost SELECT as key, row number and scores."""
    ordered: bool = False
    """Break ties, and order what has no order, by stored order."""
    scores: str = ""
    """Registered name of the scores."""
    pruned: Relation | None = None
    """The relation whose rows are those of the scores alone."""
    scored: bool = True
    """Whether relations carry their scores; False finds the candidates to score."""


Part: TypeAlias = "str | tuple[int, int] | Callable[[Frame], str] | SubQuery | Relation"


@dataclass(frozen=True)
class Edit:
    """Replace `[start, end)` of the SQL by parts; a pair of offsets is rendered text."""

    start: int
    end: int
    parts: tuple[Part, ...]
    when: Literal["", "narrow", "wide", "ordered"] = ""


@dataclass
class Bound:
    """A text bound to the schema."""

    source: Source
    tree: Node
    edits: list[Edit] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    top: Relation | None = None
    """The one samples relation of a plain outermost SELECT, whose rows are the result's rows."""
    unfiltered: bool = False
    """Whether the text mentions `status`, and so sees quarantined samples too."""
    narrows: bool = False
    """Whether the outermost SELECT shows `*` of `top`, so that it can be run narrow."""
    meanings: dict[int, Term] = field(default_factory=dict)
    """Place of each call of similarity, matches or nearest to its term."""
    parts: list[Bound] = field(default_factory=list)
    """The live slices inside."""

    def everywhere(self) -> list[Relation]:
        """Return the relations of this text and of the slices inside it."""
        return self.relations + [r for part in self.parts for r in part.everywhere()]


@dataclass(frozen=True)
class SubQuery:
    """A bound slice inside another text; it is written out with its own places."""

    bound: Bound


@dataclass
class Pool:
    """What a text and the slices inside it share."""

    catalog: Catalog
    terms: dict[Term, str] = field(default_factory=dict)
    """Term to the name of its column of scores."""
    frozen: dict[str, np.ndarray] = field(default_factory=dict)
    """Registered table to the keys of a frozen slice."""
    slices: dict[str, str | np.ndarray] = field(default_factory=dict)
    """Name to what it was when this was bound."""
    files: bool = False
    """Whether image('file') may read files."""
