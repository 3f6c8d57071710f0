"""What the doctor says of one thing that is wrong."""

from __future__ import annotations

from dataclasses import dataclass

from slicedb.schema import spoken

WAY_BACK = "bring its folder back from a backup, or `reset` to a commit whose files are whole"
DAMAGE = ("damaged files", "changed files", "lost manifests", "lost tables")
"""Problems after which what a table says cannot be relied on."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    table: str
    problem: str
    """fragments, deleted rows, stray files, orphans, duplicates, stale truths, stale pictures, lost
    images, lost versions, missing pins, stray pins, cut-off checkout, cut-off creation, damaged
    files, lost manifests or stale caches; looked for by `deep`: changed files, changed pins, lost
    tables, lost commits, unrecorded files, changed images, wrong keys and damaged rows."""
    n: int
    advice: str
    mended: bool = False

    @property
    def remedy(self) -> str:
        """What `mend` does about it, "" where it does nothing."""
        return _REMEDIES.get(self.problem, "")

    def __str__(self) -> str:
        state = "mended" if self.mended else self.advice
        return f"{spoken(self.table)}: {self.n:,} {self.problem} ({state})"


_REMEDIES = {
    "fragments": "merge small files",
    "deleted rows": "write the table without deleted rows",
    "stray files": "remove files that no version names",
    "orphans": "delete rows that belong to no sample",
    "stale truths": "derive loss and correctness again",
    "missing pins": "pin the versions again",
    "stray pins": "release versions that nothing asks for",
    "stale caches": "remove caches of versions that are gone",
    "unrecorded files": "write down checksums, since all of it can be read",
}
