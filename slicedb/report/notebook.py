"""Show a suite's run in a notebook: verdicts with rails, heat map, confusion, worst samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from slicedb import metrics, stats
from slicedb.judge import Result, SuiteRun
from slicedb.judge.drawn import MOST_CLASSES, matrix
from slicedb.report.figures import Card, Figures, HeatMap
from slicedb.report.tables import ORDER, cells, headline
from slicedb.show import charts, numbers
from slicedb.show.heat import Tile, heat, share_of
from slicedb.show.html import Html, element, escape, table
from slicedb.show.style import width
from slicedb.show.tabular import Figure, Part

_CARDS = 24
_SIDE = 160


def parts(run: SuiteRun, figures: Callable[[], Figures] | None) -> Iterable[Part]:
    """Yield what a notebook shows of a run, in its order.

    Args:
        figures: makes what only pictures show; None leaves it out.
    """
    yield headline(run)
    yield from run.about_truth
    yield from (f"ERROR {b.name}: {b.short}" for b in run.broken)
    yield from (f"warning: {w}" for w in run.warnings)
    yield Figure(lambda: verdicts(run.results))
    if figures is None:
        return
    drawn = figures()
    if drawn.heat_map is not None and drawn.heat_map.slices:
        grid = drawn.heat_map
        yield Figure(lambda: heat_map(grid))
    if drawn.confusion and len(drawn.classes) <= MOST_CLASSES:
        yield Figure(lambda: matrix(drawn.classes, np.array(drawn.confusion, np.int64)))
    if any(n for n, _, _ in drawn.bins) or drawn.cost is not None:
        yield Figure(lambda: curves(drawn))
    if drawn.gallery:
        yield "worst samples of what does not pass"
        yield Figure(lambda: gallery(drawn.gallery[:_CARDS]))


def verdicts(results: Iterable[Result]) -> Html:
    """Return the table of results, failures first, each value with its bound on a rail."""
    rows = []
    for r in sorted(results, key=lambda r: ORDER[r.verdict]):
        verdict, name, check, value, spread, n = cells(r)
        marks = [m for m in (r.value, r.low, r.high, r.bound) if not math.isnan(m)]
        span = charts.span_of(marks, r.is_share and r.baseline is None)
        rail = Html(charts.interval(r.value, r.low, r.high, r.bound, span) if spread else "")
        chip = element("b", verdict, class_=verdict)
        drawn = element("span", rail, class_=verdict)
        rows.append([chip, name, check, value, drawn, spread, n, r.message])
    head = ["verdict", "slice", "expectation", "value", "", "interval", "n", "message"]
    return table(head, rows, align="<<<><<><")


def heat_map(grid: HeatMap) -> Html:
    """Return the metric of every slice and model."""
    known = [t.value for column in grid.tiles for t in column if not math.isnan(t.value)]
    ends = (min(known), max(known)) if known else (0.0, 1.0)
    rises = metrics.find(grid.metric).rises
    rows = []
    for i, name in enumerate(grid.slices):
        tiles = []
        for column, model in zip(grid.tiles, grid.models):
            value, low, high, n = column[i]
            share = share_of(value, *ends)
            tip = f"{name}, {model}\n{numbers.interval(low, high)}\nn = {n:,.0f}"
            text = "–" if math.isnan(value) else f"{value:.3f}"
            tiles.append(Tile(text, share if rises else 1 - share, tip))
        rows.append((name, tiles))
    return heat(grid.metric, grid.models, rows)


def curves(drawn: Figures) -> Html:
    """Return reliability and cost beside each other, where they are known."""
    shown = []
    if any(n for n, _, _ in drawn.bins):
        nothing = (math.nan, math.nan)
        ends = [stats.wilson(right, n) if n else nothing for n, _, right in drawn.bins]
        svg, error = charts.reliability(drawn.bins, [(float(a), float(b)) for a, b in ends])
        shown.append(element("div", element("p", f"calibration error {error:.3f}"), Html(svg)))
    if drawn.cost is not None and drawn.cost.coverage:
        svg = charts.cost(drawn.cost.coverage, drawn.cost.risk, live=False)
        shown.append(element("div", element("p", "cost of answering the surest"), Html(svg)))
    return element("div", *shown, class_="beside")


def gallery(cards: Iterable[Card]) -> Html:
    """Return pictures of wrong samples with truth and prediction."""
    shown = []
    for card in cards:
        sure = "" if card.confidence is None else f" ({card.confidence:.2f})"
        picture = f'<img alt="{escape(card.id)}" src="{card.src}">' if card.src else "no picture"
        lines = (f"{card.label} called {card.prediction}{sure}", card.id, ", ".join(card.slices))
        shown.append(
            element(
                "div",
                Html(picture),
                *(element("div", line, dir="auto") for line in lines),
                class_=width(_SIDE),
            )
        )
    return element("div", *shown, class_="cards")
