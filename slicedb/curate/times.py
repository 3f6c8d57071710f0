"""Cut samples by time: earlier ones to train on, later ones to test on, with a gap between."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import sql
from slicedb.curate.cells import Cells
from slicedb.errors import CheckError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

GAP = "gap"
"""The part of samples that lie too near to a cut, or whose group lies on both sides of it."""

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SLACK = 0.02
"""How far a cut may move, as a share of all samples, to make the parts alike."""


@dataclass(frozen=True, eq=False)
class Times:
    """When each sample was taken."""

    column: str
    values: Floats
    """float64 (n,): microseconds since 1970, or numbers as they are."""
    is_time: bool

    def gap(self, text: str | float | None) -> float:
        """Return a length such as "7d" in the unit of the values.

        Raises:
            CheckError: it is no length, or one of time beside numbers.
        """
        if text is None:
            return 0.0
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(text))
        unit = match[2] if match else ""
        if match is None or (unit and unit not in _UNITS) or bool(unit) != self.is_time:
            known = f"a number and one of {', '.join(_UNITS)}, such as 7d"
            raise CheckError(
                f"{text!r} is no gap between values of '{self.column}'.",
                f"give {known if self.is_time else 'a number, since the column holds numbers'}.",
            )
        return float(match[1]) * (_UNITS[unit] * 1e6 if unit else 1)

    def written(self, value: float) -> str:
        """Return a value as SQL has it."""
        if self.is_time:
            return f"TIMESTAMP '{str(np.datetime64(int(value), 'us')).replace('T', ' ')}'"
        return f"{value:.17g}"


def times_of(rows: pa.Table, column: str) -> Times:
    """Read a column of times, dates, numbers, or texts in the form of ISO 8601.

    Raises:
        CheckError: it is NULL somewhere, or no time.
    """
    values = rows[column].combine_chunks()
    if values.null_count:
        raise CheckError(
            f"The time column '{column}' is NULL for {values.null_count:,} of {len(values):,} "
            "samples.",
            f'leave them out with on="{sql.name(column)} IS NOT NULL", or attach their times.',
        )
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return Times(column, numbers, is_time=False)
    try:
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            values = values.cast(pa.timestamp("us"))
        moments = values.cast(pa.timestamp("us"), safe=False)
    except pa.ArrowException as error:
        raise CheckError(
            f"The column '{column}' ({kind}) holds no times: {str(error).splitlines()[0]}",
            "name a column of times, dates or numbers, or of texts such as 2026-11-28 12:00:00.",
        ) from error
    micros = moments.cast(pa.int64()).to_numpy(zero_copy_only=False).astype(np.float64)
    return Times(column, micros, is_time=True)


def cuts_of(times: Times, shares: Floats, cells: Cells) -> Floats:
    """Return float64 (p - 1,): the first value of every part but the first.

    A cut lies where the asked share ends. Where values are to be balanced, it moves by up to two
    per cent of the samples to the place where the parts are most alike.
    """
    order = np.argsort(times.values, kind="stable")
    ordered = times.values[order]
    n = len(ordered)
    places = []
    for edge in np.cumsum(shares)[:-1]:
        wanted = round(edge * n)
        slack = max(1, int(_SLACK * n)) if len(cells) > 1 else 0
        near = np.arange(max(1, wanted - slack), min(n - 1, wanted + slack) + 1)
        starts = near[ordered[near] != ordered[near - 1]]  # no moment is divided
        if not len(starts):
            every = np.flatnonzero(np.diff(ordered)) + 1
            if not len(every):
                raise CheckError(
                    f"Every sample has the same value of '{times.column}'.",
                    "split by something else.",
                )
            starts = every[[int(np.abs(every - wanted).argmin())]]
        places.append(int(starts[_most_alike(starts, order, cells, wanted)]))
    return ordered[places]


def _most_alike(starts: Ints, order: Ints, cells: Cells, wanted: int) -> int:
    """Return which cut leaves the earlier samples most like all samples."""
    if len(cells) == 1 or len(starts) == 1:
        return int(np.abs(starts - wanted).argmin())
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    deviation = np.zeros(len(starts))
    for cell in range(1, len(cells)):
        at = np.sort(rank[cells.sample[cells.cell == cell]])
        before = np.searchsorted(at, starts)
        deviation += (before / starts - len(at) / len(order)) ** 2
    return int(deviation.argmin())


def parts_by_time(times: Times, cuts: Floats, gap: float) -> Ints:
    """Return int64 (n,): the part of each sample, -1 where it lies in the gap before a cut."""
    part = np.searchsorted(cuts, times.values, side="right")
    if gap:
        ahead = np.append(cuts, np.inf)[part]
        part = np.where(times.values >= ahead - gap, -1, part)
    return part.astype(np.int64)


def undivided(part: Ints, unit: Ints, n_parts: int) -> Ints:
    """Return the parts with every unit in one: where it has most samples, the others in none."""
    n_units = int(unit.max(initial=-1)) + 1
    inside = part >= 0
    counts = np.bincount(unit[inside] * n_parts + part[inside], minlength=n_units * n_parts)
    # The later part wins a tie: what is tested on is scarcer.
    main = n_parts - 1 - counts.reshape(n_units, n_parts)[:, ::-1].argmax(axis=1)
    return np.where(part == main[unit], part, -1)
