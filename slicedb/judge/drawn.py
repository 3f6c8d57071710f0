"""Draw judgements where there is HTML: heat maps of values, rails of intervals, shaded matrices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from slicedb import metrics as m
from slicedb.show import charts, numbers
from slicedb.show.heat import Tile, heat, share_of
from slicedb.show.html import Html, element, table
from slicedb.show.numbers import count

MOST_CLASSES = 40
"""Classes up to which a whole matrix is drawn."""

MOST_RAILS = 200
"""Rows that are drawn on a rail each."""


def values(rows: Sequence[Mapping[str, Any]], models: Sequence[str]) -> Html:
    """Return a heat map of each metric by slice and model, and below it every value on its rail.

    Args:
        rows: slice, model, metric, of, value, low, high, n, reason.
        models: in the order of their columns.
    """
    by_metric: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_metric.setdefault(row["metric"], []).append(row)
    parts = [_heat_of(metric, of, models) for metric, of in by_metric.items() if len(of) > 1]
    spans = {metric: _span(of) for metric, of in by_metric.items()}
    rails = [_rail_of(row, spans[row["metric"]]) for row in rows[:MOST_RAILS]]
    left = len(rows) - len(rails)
    more = element("p", f"{count(left, 'more row')} in to_pandas()") if left else Html()
    has_boxes = any(row["boxes"] is not None for row in rows)
    head = ["slice", "metric", "model", "value", "interval", "", "images" if has_boxes else "n"]
    align = "<<<><<>"
    if has_boxes:
        head, align = [*head, "boxes"], f"{align}>"
        rails = [[*cells, row["boxes"]] for cells, row in zip(rails, rows)]
    maps = element("div", *parts, class_="beside") if parts else Html()
    return Html("".join([maps, table(head, rails, align=align), more]))


def _heat_of(metric: str, rows: Sequence[Mapping[str, Any]], models: Sequence[str]) -> Html:
    known = [r["value"] for r in rows if not math.isnan(r["value"])]
    ends = (min(known), max(known)) if known else (0.0, 1.0)
    rises = m.find(metric).rises
    cells: dict[str, dict[str, Tile]] = {}
    for r in rows:
        title = r["slice"] if r["of"] is None else f"{r['slice']}, {r['of']}"
        share = share_of(r["value"], *ends)
        tip = r["reason"] or f"{numbers.interval(r['low'], r['high'])}\nn = {r['n']:,}"
        text = "–" if math.isnan(r["value"]) else f"{r['value']:.3f}"
        tile = Tile(text, share if rises else 1 - share, f"{title}, {r['model']}\n{tip}")
        cells.setdefault(title, {})[r["model"]] = tile
    blank = Tile("", math.nan)
    lines = [(title, [of.get(each, blank) for each in models]) for title, of in cells.items()]
    return heat(metric, models, lines)


def _span(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    marks = [row[end] for row in rows for end in ("value", "low", "high")]
    known = [mark for mark in marks if mark == mark]
    return charts.span_of(known, bool(known) and min(known) >= 0 and max(known) <= 1)


def _rail_of(row: Mapping[str, Any], span: tuple[float, float]) -> list[object]:
    value, low, high = row["value"], row["low"], row["high"]
    shown = f"undefined: {row['reason']}" if math.isnan(value) else f"{value:.4g}"
    rail = Html(charts.interval(value, low, high, math.nan, span))
    named = row["metric"] if row["of"] is None else f"{row['metric']} of {row['of']}"
    ends = numbers.interval(low, high)
    return [row["slice"], named, row["model"], shown, rail, ends, f"{row['n']:,}"]


def differences(
    head: Sequence[str], cells: Sequence[Sequence[str]], rows: Sequence[Mapping[str, Any]]
) -> Html:
    """Return a comparison with each difference on a rail whose dashed line is no difference."""
    marks = [row[end] for row in rows for end in ("difference", "low", "high")]
    span = charts.span_of([*(mark for mark in marks if mark == mark), 0.0], False)
    at = list(head).index("interval")
    lines = []
    for texts, row in zip(cells, rows):
        rail = Html(charts.interval(row["difference"], row["low"], row["high"], 0.0, span))
        lines.append([*texts[:at], rail, *texts[at:]])
    return table([*head[:at], "", *head[at:]], lines, align="<" + ">" * (at - 1) + "<>>>")


def matrix(
    classes: Sequence[str],
    counts: npt.NDArray[np.int64],
    queries: Mapping[tuple[int, int], str] | None = None,
) -> Html:
    """Return a confusion matrix whose cells are shaded by their share of the row."""
    lines = []
    for i, name in enumerate(classes):
        total = int(counts[i].sum())
        tiles: list[object] = []
        for j, n in enumerate(counts[i].tolist()):
            share = math.sqrt(n / total) if n else math.nan
            tip = f"{name} called {classes[j]}: {n:,} of {total:,}"
            query = (queries or {}).get((i, j), "")
            tip += f"\n{query}" if n and query else ""
            tiles.append(Tile(f"{n:,}" if n else "", share, tip, i != j))
        hit = f"{counts[i, i] / total:.3f}" if total else "–"
        lines.append((name, [*tiles, f"{total:,}", hit]))
    return heat("truth \\ predicted", [*classes, "n", "right"], lines)


def enough(head: Sequence[str], cells: Sequence[Sequence[str]]) -> Html:
    """Return a table of sample sizes in which yes and no have their colours."""
    words = {"yes": "PASS", "no": "FAIL"}
    lines = [
        [element("b", c, class_=words[c]) if c in words else c for c in line] for line in cells
    ]
    return table(head, lines, align="<" + ">" * (len(head) - 1))
