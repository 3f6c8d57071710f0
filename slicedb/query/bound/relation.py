"""Relations in a FROM: samples, models, boxes, and the columns each has to show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from slicedb.query.bound.catalog import TableInfo
from slicedb.sql import quoted

ROW = "~row"
"""Hidden column of a samples relation: the row's place in stored order."""

KEY = "key"
"""The stored column that joins tables: shown only where a text names it."""

OWN_KEY = "~key"
"""Hidden column with the same value, for SQL that we write ourselves."""

OWN_ID = "~id"
"""Hidden column of samples with their ids, where a narrow run is to list them."""


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
    confidence: float = 0.0
    """The smallest score of a box that takes part."""


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
    keyed: bool = False
    """Whether it carries `OWN_KEY`."""
    stars: Stars | None = None
    """Of others: what the `*` of the query behind it show."""
    aliases: tuple[str, ...] = ()
    """New names of its first columns, as in `samples AS s(a, b)`."""
    names: frozenset[str] = frozenset()
    """Columns that others are known to have, in lower case."""
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
        own = [ROW] * self.row + [OWN_KEY] * self.keyed
        own += [extra.shown for extra in self.extras] + self.slots
        own += [count.slot for count in self.counts.values()]
        return own + self.inner + list(self.matched) + list(self.borrowed)

    @property
    def versioned(self) -> str:
        """Name and version of the table behind it."""
        assert self.table is not None
        return f"{self.table.name}@{self.table.version}"

    @property
    def sample(self) -> Relation:
        """The relation that carries what is known of the sample: itself, or the boxes' owner."""
        return self.owner or self

    def of_sample(self, column: str, shown: str = "") -> str:
        """Return the SQL of a column that `sample` carries, as it is called here."""
        shown = shown or column
        if self.owner is None:
            return f"{quoted(self.alias)}.{quoted(column)}"
        self.borrowed[shown] = column
        return f"{quoted(self.alias)}.{quoted(shown)}"

    def family(self) -> list[Relation]:
        """Return this relation and the ones it is written with."""
        family = [self]
        for count in self.counts.values():
            family += [r for box in count.boxes for r in box.family()]
            family += [r for part in count.sql if isinstance(part, Relation) for r in part.family()]
        if self.owner is not None and self.borrowed:
            family += self.owner.family()
        return family

    def wanted(self, narrow: bool) -> list[str]:
        """Return the stored columns to read, in the table's order but for `key`."""
        assert self.table is not None
        whole = self.all_columns or (self.star and not narrow)
        names = [n for n in self.table.types if n != KEY and (whole or n in self.columns)]
        names += [KEY] * self.has_key(narrow)
        return names or [next(iter(self.table.types))] * (not self.hidden)  # rows alone count

    def has_key(self, narrow: bool) -> bool:
        """Return whether it shows `key`, which then stands behind the other columns."""
        if self.table is None:
            return self.stars is not None and self.stars.show_key and not self.names_key
        return KEY in self.columns or (self.star and narrow)

    @property
    def names_key(self) -> bool:
        """Whether the text itself calls a column of it `key`, which is then that column."""
        return KEY in self.names or KEY in map(str.lower, self.aliases)

    @property
    def may_show_key(self) -> bool:
        """Whether it has the `key` of samples, seen or not."""
        if self.table is not None:
            return self.table.column(KEY) is not None
        return self.stars is not None and self.stars.may_show_key

    def name_key(self) -> None:
        """Show `key`, since the text names it."""
        if self.names_key or not self.may_show_key:
            return
        self.columns.add(KEY)
        if self.stars is not None:
            self.stars.name_key()

    def unseen(self, narrow: bool) -> list[str]:
        """Return the columns that are as if they were not there, but for a text that names them."""
        return [KEY] * self.has_key(narrow) + self.hidden


@dataclass(eq=False)
class Stars:
    """What the `*` of a query show; `key` comes through them where a name outside means it."""

    relations: list[Relation] = field(default_factory=list)
    is_union: bool = False
    """Whether the relations are the sides of a set operation, which show `key` all or none."""
    show_key: bool = False

    @property
    def may_show_key(self) -> bool:
        """Whether `key` can come through."""
        test = all if self.is_union else any
        return bool(self.relations) and test(r.may_show_key for r in self.relations)

    def name_key(self) -> None:
        """Let `key` through."""
        if not self.show_key:
            self.show_key = True
            for relation in self.relations:
                relation.name_key()
