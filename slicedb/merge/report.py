"""What merging another database did."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from slicedb.show import numbers
from slicedb.show.tabular import Record


@dataclass(frozen=True)
class MergeReport(Record):
    """What merging another database did."""

    other: str
    """Where the other database lies."""
    samples: int
    """Samples that the other has."""
    added: int
    """Samples that are new."""
    unchanged: int
    """Samples that are the same here and there."""
    filled: int
    """Samples that got a value, or a tag, which only the other had."""
    differing: int
    """Samples, and rows of predictions or vectors, of which both sides have another value."""
    side: str = ""
    """Whose value holds there: ours or theirs."""
    examples: tuple[str, ...] = ()
    """The first of these samples."""
    columns: tuple[str, ...] = ()
    """Columns of samples that are new."""
    models: Mapping[str, int] = field(default_factory=dict)
    """Predictions that are new, by model; 0 where it was registered alone."""
    embeddings: Mapping[str, int] = field(default_factory=dict)
    """Vectors that are new, by embedding."""
    slices: tuple[str, ...] = ()
    """Slices that are new, with all their versions."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What the other has and this one does not get, by kind."""
    commit: str = ""
    """The commit that was made; "" where there was nothing to commit."""
    seconds: float = 0.0

    def __str__(self) -> str:
        lines = [
            f"{self.other}: {numbers.count(self.samples, 'sample')}, {self.added:,} added, "
            f"{self.filled:,} completed, {self.unchanged:,} unchanged ({self.seconds:.1f} s)"
        ]
        if self.differing:
            few = ", ".join(repr(name) for name in self.examples[:3])
            whose = {"ours": "as here", "theirs": "as in the other"}[self.side]
            differing = numbers.count(self.differing, "difference")
            lines.append(f"{differing} between the two, now {whose}: {few}.")
        lines += [f"New columns: {', '.join(self.columns)}."] if self.columns else []
        for what, new in (("Predictions", self.models), ("Vectors", self.embeddings)):
            if new:
                lines.append(f"{what}: {', '.join(f'{n:,} of {name}' for name, n in new.items())}.")
        if self.slices:
            lines.append(f"Slices: {', '.join(self.slices)}.")
        if self.left_out:
            kinds = ", ".join(_counted(n, kind) for kind, n in self.left_out.items())
            lines.append(f"Left in the other: {kinds}.")
        if self.commit:
            lines.append(f"Commit {self.commit}; `slicedb diff` with the one before shows it.")
        return "\n  ".join(lines)


def _counted(n: int, kind: str) -> str:
    """Return a number with the kind that it counts, whose plural is in its first words.

    >>> _counted(1, "commits"), _counted(2, "recorded runs"), _counted(1, "decisions of `clean`")
    ('1 commit', '2 recorded runs', '1 decision of `clean`')
    """
    if n == 1:
        kind = re.sub(r"^(recorded )?(\w+?|Grad-CAM map)s\b", r"\1\2", kind)
    return f"{n:,} {kind}"
