"""Say what a model wrote into a column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slicedb.show import numbers
from slicedb.show.tabular import Record
from slicedb.store.work import failures

_SHOWN = 3
_VALUES = 8


@dataclass(frozen=True)
class TagReport(Record):
    """What `tag_with` did."""

    column: str
    columns: tuple[str, ...]
    """The column itself, and those beside it."""
    computed: int
    """Samples that went through the model now, failed ones left out; 0 where its stored
    predictions or vectors were enough."""
    changed: int
    """Samples with another value now."""
    unchanged: int
    by_hand: int
    """Samples whose value was given or corrected by a person. They keep it, unless `overwrite`."""
    by_hand_ids: tuple[str, ...] = field(default=(), repr=False)
    overwritten: bool = False
    """Whether values of people were overwritten, as asked for."""
    empty: int = 0
    """Samples of which the model says nothing."""
    failed: int = 0
    """Samples whose picture did not decode; tried again next time."""
    quarantined: int = 0
    """Samples whose status is not ok; nothing is written of them."""
    values: Mapping[str, int] = field(default_factory=dict)
    """Of a label: how many samples have each value, the most frequent first."""
    examples: tuple[str, ...] = ()
    """The first failures: id and reason."""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        beside = f" (and {', '.join(self.columns[1:])})" if self.columns[1:] else ""
        text = f"{self.column}{beside}: {self.changed:,} written, {self.unchanged:,} unchanged"
        if self.quarantined:
            text += f", {self.quarantined:,} quarantined left out"
        lines = [f"{text} ({self.seconds:.1f} s)"]
        if self.values:
            listed = [f"{value} {n:,}" for value, n in [*self.values.items()][:_VALUES]]
            more = ["..."] if len(self.values) > _VALUES else []
            lines.append(", ".join([*listed, *more]))
        if self.by_hand:
            lines.append(self._by_hand())
        if self.empty:
            lines.append(
                f"{numbers.count(self.empty, 'sample')} without a value (`{self.column} IS NULL`)."
            )
        lines += self.notes
        return "\n  ".join(lines) + failures(self.failed, self.examples)

    def _by_hand(self) -> str:
        shown = ", ".join(self.by_hand_ids[:_SHOWN])
        more = ", ..." if self.by_hand > _SHOWN else ""
        values = numbers.count(self.by_hand, "value")
        if self.overwritten:
            return f"{values} given or corrected by a person overwritten: {shown}{more}."
        return (
            f"{values} given or corrected by a person kept: {shown}{more}; "
            "overwrite=True (--overwrite) replaces them."
        )
