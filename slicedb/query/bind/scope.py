"""What the binder collects: relations in a FROM, the terms of meaning, edits of the text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from slicedb.errors import SliceError
from slicedb.query.bind.catalog import Catalog, TableInfo, quote
from slicedb.query.language.parse import Node
from slicedb.query.language.text import Source
from slicedb.vectors import Calibrated, Term

ROW = "~row"
"""Hidden column of a samples relation: the row's place in stored order."""


CalibrationNamed: TypeAlias = Callable[[str], Calibrated]
"""Gives the calibration of a slice; raises SliceError where there is none."""


@dataclass(frozen=True)
class Search:
    """One term of full text; its values are BM25, null where no word is found."""

    words: str
    columns: tuple[str, ...]

    kind: ClassVar = "search"

    @property
    def embedding(self) -> str:
        """What it is computed on, for the plan that `explain` shows."""
        return ", ".join(self.columns)

    def __str__(self) -> str:
        return f"search({self.words!r})"


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


@dataclass(frozen=True, order=True)
class Matching:
    """How a detector's boxes are matched with the ground truth."""

    model: str
    version: int
    """Of its predictions."""
    iou: float = 0.5
    """The smallest overlap of a match."""
    same_label: bool = True
    """Whether a match needs the same label."""


@dataclass(eq=False)
class Count:
    """A figure of each sample's boxes, as a column beside the samples.

    It is null where one of the lists it is made of is, and 0 where `sql` has no row.
    """

    slot: str
    """Name of the column."""
    boxes: tuple[Relation, ...]
    """The tables of boxes whose lists have to be there."""
    sql: tuple[str | Relation, ...] = ()
    """SELECT of `~at` (row of the sample) and `v`; empty: the number of boxes of the first."""
    kind: str = "BIGINT"
    """DuckDB type of the column."""


@dataclass(eq=False)
class Relation:
    """One entry of a FROM."""

    kind: Literal["samples", "model", "boxes", "other"]
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
    counts: dict[str, Count] = field(default_factory=dict)
    """What is counted to the column it is counted in; for samples."""
    boxes: Literal["", "truth", "found", "matches"] = ""
    """Which boxes the rows are; for boxes."""
    path: str = ""
    """Its name, without the model's; for boxes."""
    predictions: str = ""
    """Name of the table that the boxes of a model are stored in."""
    matching: Matching | None = None
    """How a model's own columns `tp`, `iou`, ... are matched; for boxes."""
    matched: dict[str, tuple[Matching, str]] = field(default_factory=dict)
    """Shown name to what a matching says of a ground-truth box."""
    inner: list[str] = field(default_factory=list)
    """Stored columns of boxes that only our own SQL reads."""
    owner: Relation | None = None
    """The samples that the boxes are in."""
    borrowed: dict[str, str] = field(default_factory=dict)
    """Shown name to the name of a column of `owner`."""
    sides: tuple[Relation, ...] = ()
    """Ground truth and predicted boxes that `matches` puts together."""

    @property
    def hidden(self) -> list[str]:
        """Columns it carries that `*` does not show."""
        own = [ROW] * self.row + [extra.shown for extra in self.extras] + self.slots
        own += [count.slot for count in self.counts.values()]
        return own + self.inner + list(self.matched) + list(self.borrowed)

    @property
    def sample(self) -> Relation:
        """The relation that carries what is known of the sample: itself, or the boxes' owner."""
        return self.owner or self

    def of_sample(self, column: str, shown: str = "") -> str:
        """Return the SQL of a column that `sample` carries, as it is called here."""
        shown = shown or column
        if self.owner is None:
            return f"{quote(self.alias)}.{quote(column)}"
        self.borrowed[shown] = column
        return f"{quote(self.alias)}.{quote(shown)}"

    def family(self) -> list[Relation]:
        """Return this relation and the ones it is written with."""
        found = [self]
        for count in self.counts.values():
            found += [r for box in count.boxes for r in box.family()]
            found += [r for part in count.sql if isinstance(part, Relation) for r in part.family()]
        if self.owner is not None and self.borrowed:
            found += self.owner.family()
        return found

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
    chance: str = ""
    """What makes the answer another one each time, such as `random`."""
    narrows: bool = False
    """Whether the outermost SELECT shows `*` of `top`, so that it can be run narrow."""
    meanings: dict[int, Term | Search] = field(default_factory=dict)
    """Place of each call of similarity, matches, nearest or search to its term."""
    least: dict[int, float] = field(default_factory=dict)
    """Place of each call that is true where its term is at least a number, to that number."""
    parts: list[Bound] = field(default_factory=list)
    """The live slices inside."""

    def everywhere(self) -> list[Relation]:
        """Return the relations of this text and of the slices inside it."""
        mine = dict.fromkeys(r for relation in self.relations for r in relation.family())
        return list(mine) + [r for part in self.parts for r in part.everywhere()]


@dataclass(frozen=True)
class SubQuery:
    """A bound slice inside another text; it is written out with its own places."""

    bound: Bound


@dataclass
class Pool:
    """What a text and the slices inside it share."""

    catalog: Catalog
    terms: dict[Term | Search, str] = field(default_factory=dict)
    """Term to the name of its column of scores."""
    frozen: dict[str, np.ndarray] = field(default_factory=dict)
    """Registered table to the keys of a frozen slice."""
    slices: dict[str, str | np.ndarray] = field(default_factory=dict)
    """Name to what it was when this was bound."""
    files: bool = False
    """Whether image('file') may read files."""
    calibrations: dict[str, Calibrated] = field(default_factory=dict)
    """Slice to the calibration it had when this was bound."""
    calibration_named: CalibrationNamed | None = None
    """Gives the calibration of a slice."""

    def calibration(self, name: str) -> Calibrated:
        """Return the calibration of a slice, and note that the text depends on it.

        Raises:
            SliceError: there is none.
        """
        if self.calibration_named is None:
            raise SliceError(f"No slice '{name}' is known here.")
        self.calibrations[name] = self.calibration_named(name)
        return self.calibrations[name]
