"""Show a suite's run as text, JSON, Markdown, JUnit XML, or one HTML page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slicedb.judge import SuiteRun
from slicedb.report import machine, tables
from slicedb.runs import record
from slicedb.runs.looks import LIMIT
from slicedb.show.tabular import Tabular
from slicedb.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

    from slicedb.report.figures import Figures


@dataclass(frozen=True)
class Report(SuiteRun, Tabular):
    """A suite's run, with what shows it."""

    figures: Callable[[], Figures] | None = field(default=None, compare=False)
    """Makes what only the page draws: confusion, thumbnails, costs, history."""

    def to_arrow(self) -> pa.Table:
        """Return one row per result."""
        import pyarrow as pa

        return pa.Table.from_pylist([vars(r) for r in self.results])

    def __str__(self) -> str:
        return tables.to_text(self)

    def to_json(self) -> str:
        """Return the whole run as JSON."""
        return machine.to_json(self)

    def to_markdown(self) -> str:
        """Return tables for a pull request."""
        return tables.to_markdown(self)

    def to_junit(self) -> str:
        """Return JUnit XML, one test case per expectation."""
        return machine.to_junit(self)

    def to_html(self) -> str:
        """Return one self-contained page that opens offline."""
        from slicedb.report.page import to_html

        return to_html(self, None if self.figures is None else self.figures())

    def _repr_html_(self) -> str:
        from slicedb.report.notebook import parts
        from slicedb.show.tabular import notebook

        return notebook(parts(self, self.figures))


def report_of(
    store: Store, run: SuiteRun, *, write: bool = True, looks: int | None = None
) -> Report:
    """Return the report of a run, and store it in `runs` and `tests`; see `Database.test`."""

    def figures() -> Figures:
        from slicedb.report.figures import figures_of

        return figures_of(store, run)

    written = record(store, run, LIMIT if looks is None else looks) if write else run
    return Report(**vars(written), figures=figures)
