"""A bound text: its relations, terms of meaning, and the edits that make it plain SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from slicedb.errors import SliceError
from slicedb.query.bound.catalog import Catalog
from slicedb.query.bound.relation import Relation
from slicedb.query.language.text import Source
from slicedb.query.language.tree import Node
from slicedb.vectors import Calibrated, Lasso, Term
from slicedb.vectors.pictures import Pictures

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


Score: TypeAlias = Term | Search | Lasso
"""What becomes a column of scores beside the samples."""


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
    named: bool = False
    """Whether a narrow run shows the ids of the samples as well."""
    keyed: bool = True
    """Whether a narrow run shows the keys of the samples; to read them for one sample in a hundred
    takes as long as to compare a column."""


Part: TypeAlias = "str | tuple[int, int] | Callable[[Frame], str] | SubQuery | Relation"


@dataclass(frozen=True)
class Edit:
    """Replace `[start, end)` of the SQL by parts; a pair of offsets is rendered text."""

    start: int
    end: int
    parts: tuple[Part, ...]
    when: Literal["", "narrow", "wide", "ordered"] = ""
    only_bounds: bool = False
    """Whether the value stays what DuckDB makes of the text, unless it grows too large."""


@dataclass
class Bound:
    """A text bound to the schema."""

    source: Source
    tree: Node
    edits: list[Edit] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    top: Relation | None = None
    """The one samples relation of a plain outermost SELECT, whose rows are the result's rows."""
    ranked: list[tuple[Node, Relation]] = field(default_factory=list)
    """Each other SELECT whose ties go by the stored order of a samples relation."""
    unfiltered: bool = False
    """Whether the text mentions `status`, and so sees quarantined samples too."""
    chance: str = ""
    """What makes the answer another one each time, such as `random`."""
    narrows: bool = False
    """Whether the outermost SELECT shows `*` of `top`, so that it can be run narrow."""
    meanings: dict[int, Score] = field(default_factory=dict)
    """Place of each call of similarity, matches, nearest, search or in_map to its term."""
    least: dict[int, float] = field(default_factory=dict)
    """Place of each call that is true where its term is at least a number, to that number."""
    parts: list[Bound] = field(default_factory=list)
    """The live slices inside."""

    def everywhere(self) -> list[Relation]:
        """Return the relations of this text and of the slices inside it."""
        mine = dict.fromkeys(r for relation in self.relations for r in relation.family())
        return list(mine) + [r for part in self.parts for r in part.everywhere()]

    @property
    def has_chance(self) -> bool:
        """Whether this text, or a slice inside it, answers differently each time."""
        return bool(self.chance) or any(part.has_chance for part in self.parts)


@dataclass(frozen=True)
class SubQuery:
    """A bound slice inside another text; it is written out with its own places."""

    bound: Bound


@dataclass
class Pool:
    """What a text and the slices inside it share."""

    catalog: Catalog
    terms: dict[Score, str] = field(default_factory=dict)
    """Term to the name of its column of scores."""
    frozen: dict[str, np.ndarray] = field(default_factory=dict)
    """Registered table to the keys of a frozen slice."""
    slices: dict[str, str | np.ndarray] = field(default_factory=dict)
    """Name to what it was when this was bound."""
    files: bool = False
    """Whether image('file') may read files."""
    pictures: Pictures = field(default_factory=Pictures)
    """Those that callers handed in."""
    handed: set[str] = field(default_factory=set)
    """Names of those that the text speaks of."""
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
