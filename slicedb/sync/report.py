"""Say what a sync brought, and what that changed: members of slices, and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slicedb.commits import SliceMove
from slicedb.ingest import IngestReport
from slicedb.runs import Runs
from slicedb.show.tabular import Record

Verdicts = Mapping[tuple[str, str, str], str]
"""(model, slice, expectation) to the verdict of the last run."""


@dataclass(frozen=True)
class Turn:
    """A test whose verdict is another than before."""

    model: str
    slice: str
    check: str
    before: str
    after: str

    @property
    def is_worse(self) -> bool:
        """Whether it passed and does not any more, or fails and did not."""
        return self.before == "PASS" or self.after == "FAIL"

    def __str__(self) -> str:
        return (
            f"test {self.slice}: {self.check} turned from {self.before} to {self.after} "
            f"({self.model})"
        )


@dataclass(frozen=True)
class SyncReport(Record):
    """The outcome of a sync; `str(report)` is the summary a user reads."""

    sources: tuple[IngestReport, ...]
    """What was read of each source, and what vanished from it."""
    slices: tuple[SliceMove, ...] = ()
    """Live slices whose members are others now."""
    steps: tuple[str, ...] = ()
    """What ran afterwards, a line each."""
    turned: tuple[Turn, ...] = ()
    """Tests whose verdict is another than in the run before; of the step `test`."""

    @property
    def is_worse(self) -> bool:
        """Whether a test turned for the worse; the command line then exits with 1."""
        return any(turn.is_worse for turn in self.turned)

    def __str__(self) -> str:
        lines = []
        for one in self.sources:
            lines += [f"{one.source}" if len(self.sources) > 1 else "", str(one)]
        lines += [*self.steps, *map(str, self.slices), *map(str, self.turned)]
        if not self.slices:
            lines.append("No live slice has other members than before.")
        return "\n".join(line for line in lines if line)


def verdicts_of(runs: Runs) -> Verdicts:
    """Return the last verdict of every test of every model."""
    return {
        (point.model, trend.slice, trend.check): point.verdict
        for trend in runs.trends()
        for point in trend.points
    }


def turned(before: Verdicts, after: Verdicts) -> tuple[Turn, ...]:
    """Return the tests that were there before and have another verdict now."""
    return tuple(
        Turn(test[0], test[1], test[2], before[test], verdict)
        for test, verdict in after.items()
        if test in before and before[test] != verdict
    )
