"""Keep what a summary counts among all samples, so that the next query counts its own alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_VALUES = 1000
"""Distinct values of a facet up to which the counts among all samples are kept."""

Row = dict[str, Any]
"""What a statement has counted; see `summary.summary`."""


@dataclass(frozen=True)
class Overall:
    """Counts among all samples of the columns of a summary, at one version of the tables."""

    n: int
    facets: tuple[Row, ...]
    """Of each facet: `values`, `distinct` and `without` (those without a value), by value."""
    histograms: tuple[Row, ...]
    """Of each histogram: `counts` by slot, `scale`, `nulls` and `odd`."""


def kept(row: Row, n_facets: int, n_histograms: int) -> Overall | None:
    """Return what a statement has counted among all samples; None where values are too many.

    Args:
        row: its figures, of up to `MOST_VALUES` values of each facet.
        n_facets: its facets, which come first.
        n_histograms: its histograms.
    """
    if any(row[f"d{i}"]["d"] > MOST_VALUES for i in range(n_facets)):
        return None
    facets = tuple(
        {
            "values": {v["v"]: v["o"] for v in row[f"v{i}"] or ()},
            "distinct": row[f"d{i}"]["d"],
            "without": {v["e"]: v["o"] for v in row[f"e{i}"] or ()},
        }
        for i in range(n_facets)
    )
    histograms = tuple(
        {
            "counts": {c["slot"]: c["o"] for c in row[f"counts{i}"] or ()},
            "scale": row[f"scale{i}"],
            "nulls": row[f"nulls{i}"]["o"],
            "odd": row[f"odd{i}"]["o"],
        }
        for i in range(n_facets, n_facets + n_histograms)
    )
    return Overall(row["overall"], facets, histograms)


def cut(row: Row, n_facets: int, most: int) -> Row:
    """Return the figures with the `most` most frequent values of each facet."""
    cut: Row = {}
    for i in range(n_facets):
        values = sorted(row[f"v{i}"] or (), key=lambda v: (-v["n"], -v["o"], v["v"]))
        cut[f"v{i}"] = values[:most]
    return row | cut


def joined(inside: Row, overall: Overall) -> Row:
    """Return the figures of a query, from what was counted inside it and among all samples."""
    row: Row = {"n": inside["n"], "overall": overall.n}
    for i, facet in enumerate(overall.facets):
        values = {v["v"]: v["n"] for v in inside[f"v{i}"] or ()}
        without = {v["e"]: v["n"] for v in inside[f"e{i}"] or ()}
        row[f"v{i}"] = _counted("v", values, facet["values"])
        row[f"e{i}"] = _counted("e", without, facet["without"])
        row[f"d{i}"] = {"d": facet["distinct"], "n": sum(values.values())}
    for i, histogram in enumerate(overall.histograms, len(overall.facets)):
        counts = {c["slot"]: c["n"] for c in inside[f"counts{i}"] or ()}
        row[f"counts{i}"] = _counted("slot", counts, histogram["counts"])
        row[f"scale{i}"] = histogram["scale"]
        for name in ("nulls", "odd"):
            row[f"{name}{i}"] = {"n": inside[f"{name}{i}"]["n"], "o": histogram[name]}
    return row


def _counted(
    name: str, inside: Mapping[object, int], overall: Mapping[object, int]
) -> Sequence[Row]:
    return [{name: value, "n": inside.get(value, 0), "o": o} for value, o in overall.items()]
