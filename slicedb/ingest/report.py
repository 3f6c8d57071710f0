"""Report what an ingest did."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from slicedb.show import numbers
from slicedb.show.tabular import Record


@dataclass(frozen=True)
class IngestReport(Record):
    """The outcome of one ingest; `str(report)` is the summary a user reads.

    Every image of the source is one of added, changed, unchanged or duplicates.
    """

    source: str
    """Absolute path of what was ingested."""
    added: int = 0
    """Samples that are new."""
    changed: int = 0
    """Samples whose image or whose row in the source is another than last time."""
    unchanged: int = 0
    """Samples recognised as they were."""
    missing: int = 0
    """Samples that came from this source and are no longer in it."""
    deleted: int = 0
    """Missing samples that were removed, on request."""
    same_bytes: int = 0
    """Of the unchanged: files that were read again, since the listing had other words for them."""
    moved: int = 0
    """Of the unchanged: samples whose file has another name now; they keep their ids. Of `sync`,
    as the next three."""
    vanished: int = 0
    """Samples whose file is gone since the last time."""
    hidden: int = 0
    """Those of the vanished whose pictures were left where they lay; queries leave them out."""
    back: int = 0
    """Samples whose file was gone and is there again."""
    duplicates: int = 0
    """Images left out because another one has the same content: when ids are hashes, or on
    request."""
    quarantined: int = 0
    """Images of the source that are broken, those known from earlier runs included."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Quarantined images by reason, the most frequent first."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Files passed over, by kind."""
    notes: tuple[str, ...] = ()
    """What the user should know, one sentence each."""
    seconds: float = 0.0
    """Wall time."""

    def noting(self, notes: Iterable[str]) -> IngestReport:
        """Return the report with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    @property
    def total(self) -> int:
        """Images in the source."""
        return self.added + self.changed + self.unchanged + self.duplicates

    @property
    def broken_share(self) -> float:
        """Quarantined images as a share of all, in [0, 1]; 0 when there are none."""
        return self.quarantined / self.total if self.total else 0.0

    def _followed(self) -> list[str]:
        lines = []
        if self.moved:
            lines.append(f"{self.moved:,} moved; they keep their ids, labels and predictions.")
        if self.same_bytes:
            lines.append(f"{self.same_bytes:,} read again and found to hold the same bytes.")
        if self.vanished:
            have = numbers.verb(self.hidden, "has", "have")
            left = f"; {self.hidden:,} {have} no copy and left the queries"
            status = left if self.hidden else ""
            lines.append(
                f"{self.vanished:,} vanished{status}. To see them: vanished_at IS NOT NULL"
            )
        if self.back:
            lines.append(f"{self.back:,} that had vanished are back.")
        return lines

    def __str__(self) -> str:
        rate = self.total / self.seconds if self.seconds else 0.0
        lines = [
            f"{numbers.count(self.total, 'image')} in {self.seconds:.1f} s ({rate:,.0f}/s): "
            f"{self.added:,} added, {self.changed:,} changed, "
            f"{self.unchanged:,} unchanged, {self.missing:,} missing."
        ]
        lines += self._followed()
        if self.duplicates:
            lines.append(f"{self.duplicates:,} left out: the same content under another name.")
        if self.deleted:
            lines.append(f"{numbers.count(self.deleted, 'missing sample')} removed.")
        if self.quarantined:
            lines.append(
                f"{self.quarantined:,} quarantined: {_counts(self.reasons)}. "
                "To see them: status <> 'ok'"
            )
        if self.skipped:
            lines.append(f"Passed over: {_counts(self.skipped)}.")
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])


def _counts(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    # A kind is a plural ("images elsewhere in the folder"), an ending, or one word for both.
    one = [re.sub("^images ", "image ", kind) if n == 1 else kind for kind, n in ordered[:8]]
    shown = [f"{n:,} {kind}" for kind, (_, n) in zip(one, ordered)]
    rest = sum(n for _, n in ordered[8:])
    return ", ".join([*shown, numbers.count(rest, "other")] if rest else shown)
