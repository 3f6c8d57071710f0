"""What one pass with several models did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa

from slicedb.predictions.compute import PredictReport
from slicedb.show.numbers import count
from slicedb.show.tabular import Part, Tabular


class PredictReports(Tabular, Mapping[str, PredictReport]):
    """What a prediction run of several models did, by the name of the model.

    Args:
        reports: of each model.
        pictures: how many pictures were read and decoded, each once for all models.
        seconds: of the whole pass.
        notes: what is to be known of it.
    """

    def __init__(
        self,
        reports: Mapping[str, PredictReport],
        pictures: int,
        seconds: float,
        notes: Sequence[str] = (),
    ) -> None:
        self._reports = dict(reports)
        self.pictures = pictures
        self.seconds = seconds
        self.notes = tuple(notes)

    def __getitem__(self, model: str) -> PredictReport:
        return self._reports[model]

    def __iter__(self) -> Iterator[str]:
        return iter(self._reports)

    def __len__(self) -> int:
        return len(self._reports)

    def noting(self, note: str) -> PredictReports:
        """Return the same with one more note."""
        return PredictReports(self._reports, self.pictures, self.seconds, (*self.notes, note))

    def to_arrow(self) -> pa.Table:
        """Return one row for each model, with a column for each field of its report."""
        rows = [report.to_arrow() for report in self.values()]
        return pa.concat_tables(rows, promote_options="permissive")

    def parts(self) -> Iterable[Part]:
        """Yield what was done with each model, and how many pictures were decoded for it."""
        for report in self.values():
            yield str(report)
        seen = sum(report.predicted + report.failed + report.gone for report in self.values())
        if self.pictures and seen > self.pictures:
            yield (
                f"one pass over {count(self.pictures, 'picture')}, "
                f"{self.pictures / self.seconds:,.0f} pictures/s"
            )
        yield from self.notes
