"""The sections of a page; each returns its HTML, "" where it has nothing to show."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TypeAlias

from slicedb import metrics, sql, stats
from slicedb.judge import Result, SuiteRun
from slicedb.judge.confusion import cell_query
from slicedb.report.figures import Card, Figures, HeatMap
from slicedb.report.tables import ORDER, cells
from slicedb.show import charts, numbers, style
from slicedb.show.html import Attribute, Cell, Html, element, table, td, th
from slicedb.show.html import escape as _e

Section: TypeAlias = Callable[[SuiteRun, Figures], str]

MOST_CLASSES = 60
"""Classes up to which the whole confusion matrix is drawn; beyond, the confused pairs."""

MOST_PAIRS = 40

_COLUMNS = (
    ("verdict", "verdict", ""),
    ("slice", "slice", ""),
    ("check", "expectation", ""),
    ("value", "value", "down"),
    ("margin", "interval and bound", ""),
    ("n", "n", "down"),
)


def _heads(columns: Sequence[tuple[str, str, str]]) -> list[Cell]:
    """Return heads that sort: the key of the data, the title, and the direction they begin with."""
    return [
        th(title, class_=f"sort{' n' if first else ''}", data_key=key, data_first=first)
        for key, title, first in columns
    ]


def _wide(
    head: Sequence[object], rows: Sequence[Sequence[object]], **attributes: Attribute
) -> Html:
    """Return a table in a box that scrolls sideways where the window is narrow."""
    return element("div", table(head, rows, align="", **attributes), class_="wide")


def warnings(run: SuiteRun, figures: Figures) -> str:
    """Return what could not be judged, and what speaks against trusting the verdicts."""
    errors = (f"<p><b>Error:</b> {_e(b.name)}: {_e(b.short)}</p>" for b in run.broken)
    return "".join([*errors, *(f"<p><b>Warning:</b> {_e(w)}</p>" for w in run.warnings)])


# --- verdicts -------------------------------------------------------------------------------------


def verdicts(run: SuiteRun, figures: Figures) -> str:
    """Return the table of expectations; it filters, sorts, and opens row by row."""
    if not run.results:
        return "<p>No expectations.</p>"
    spans = _spans(run.results)
    order = sorted(run.results, key=lambda r: ORDER[r.verdict])
    bodies = [_result(r, spans[_kind(r)], run.queries) for r in order]
    buttons = "".join(
        f'<button data-show="{v}" aria-pressed="true" class="{v}">{run.count(v)} {v}</button>'
        for v in ORDER
        if run.count(v)
    )
    return (
        '<p class="about">A row opens with its reason, its query and its worst samples. On a rail: '
        "the value, its interval, and the bound as a dashed line.</p>"
        f'<div class="controls">{buttons}<input type="search" id="search" '
        'placeholder="filter by slice, expectation, message" aria-label="filter"></div>'
        f"{_wide(_heads(_COLUMNS), bodies, id='verdicts')}"
    )


def _kind(r: Result) -> tuple[str, bool]:
    """Return which results share a rail, and whether it ends at 0 and 1."""
    if r.baseline is not None:
        return f"difference of {'shares' if r.is_share else r.metric}", False
    return "share" if r.is_share else r.metric, r.is_share


def _spans(results: Sequence[Result]) -> dict[tuple[str, bool], tuple[float, float]]:
    marks: dict[tuple[str, bool], list[float]] = {}
    for r in results:
        marks.setdefault(_kind(r), []).extend((r.value, r.low, r.high, r.bound))
    return {kind: charts.span_of(some, kind[1]) for kind, some in marks.items()}


def _result(r: Result, span: tuple[float, float], queries: Mapping[str, str]) -> Html:
    """Return the rows of a result: what it is, and what opens below."""
    verdict, name, check, value, spread, n = cells(r)
    drawn = Html(charts.interval(r.value, r.low, r.high, r.bound, span) if spread else "")
    margin = "" if math.isnan(r.value) or math.isnan(r.bound) else r.value - r.bound
    row = (
        td(element("b", verdict, class_=f"chip {verdict}")),
        td(name, class_="text"),
        td(check, class_="text"),
        td(value, class_="n"),
        td(drawn, class_=verdict),
        td(n, class_="n"),
    )
    more = td(Html(_opened(r, queries.get(r.slice))), colspan=len(row))
    return element(
        "tbody",
        element("tr", *row, class_="row", tabindex=0),
        element("tr", more, class_="more", hidden=True),
        data_verdict=verdict,
        data_slice=name.lower(),
        data_check=check.lower(),
        data_value="" if math.isnan(r.value) else r.value,
        data_margin=margin,
        data_n=r.n,
        data_text=f"{verdict} {name} {check} {r.message}".lower(),
    )


def _opened(r: Result, text: str | None) -> str:
    parts = [f"<p>{_e(r.message)}</p>"] if r.message else []
    if text:
        parts.append(_query(text))
    if r.worst_ids:
        items = "".join(f"<li><code>{_e(i)}</code></li>" for i in r.worst_ids)
        parts.append(f"<p>Worst samples:</p><ol>{items}</ol>")
    return "".join(parts)


def _query(text: str) -> str:
    return (
        f'<div class="query"><pre>{_e(text)}</pre>'
        f'<button data-copy="{_e(text)}">Copy</button></div>'
    )


# --- slice x model --------------------------------------------------------------------------------


def heat_map(run: SuiteRun, figures: Figures) -> str:
    """Return accuracy by slice and model; hovering tells value, interval and n."""
    grid = figures.heat_map
    if grid is None or not grid.slices:
        return ""
    title = "Accuracy" if grid.metric == "accuracy" else grid.metric
    values = [tile.value for column in grid.tiles for tile in column if not math.isnan(tile.value)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    head = _heads([("slice", "slice", "")] + [(f"m{k}", m, "") for k, m in enumerate(grid.models)])
    rows = []
    for i, name in enumerate(grid.slices):
        tiles = [_tile(grid, i, k, (low, high)) for k in range(len(grid.models))]
        keys: dict[str, Attribute] = {
            f"data_m{k}": "" if math.isnan(column[i].value) else column[i].value
            for k, column in enumerate(grid.tiles)
        }
        head_of_row = th(name, title=name)
        rows.append(element("tr", head_of_row, *tiles, data_slice=name.lower(), **keys))
    scale = (
        f'<div class="scale">{low:.3f}<i></i>{high:.3f}<span>▼ ▲ below or above '
        f"{_e(grid.models[1])} by more than either interval</span></div>"
        if len(grid.models) > 1
        else f'<div class="scale">{low:.3f}<i></i>{high:.3f}</div>'
    )
    return (
        f'<p class="about">{_e(title)}: a stronger colour is higher, a click on a model sorts.</p>'
        f"{_wide(head, rows, class_='heat')}{scale}"
    )


def _tile(grid: HeatMap, i: int, k: int, ends: tuple[float, float]) -> Cell:
    """Return the tile of slice i and model k; the second model is what others are held against."""
    name, model = grid.slices[i], grid.models[k]
    value, low, high, n = grid.tiles[k][i]
    if math.isnan(value):
        about = f"{name}, {model}: undefined, no sample has both a label and a prediction"
        return td("–", class_="none", tabindex=0, data_tip=about)
    about = f"{name}, {model}\n{grid.metric} {value:.4f} [{low:.4f}, {high:.4f}]\nn = {n:,.0f}"
    mark = Html()
    if k != 1 and len(grid.models) > 1:
        other = grid.tiles[1][i]
        if not math.isnan(other.value):
            about += f"\n{value - other.value:+.4f} against {grid.models[1]}"
            if high < other.low or low > other.high:
                below = high < other.low
                way = "down" if below == metrics.find(grid.metric).rises else "up"
                mark = element("span", "▼" if below else "▲", class_=way)
    share = (value - ends[0]) / (ends[1] - ends[0]) if ends[1] > ends[0] else 0.5
    text = f"{value:.3f}{' ' if mark else ''}"
    return td(text, mark, class_=style.shade(share), tabindex=0, data_tip=about)


# --- confusion ------------------------------------------------------------------------------------


def confusion(run: SuiteRun, figures: Figures) -> str:
    """Return the confusion matrix; a cell shows the query of its samples."""
    matrix, classes = figures.confusion, figures.classes
    if not matrix or not any(map(any, matrix)):
        return ""
    scope, judged = _scope(run), run.aligned.get(run.model)
    truth = "label" if judged is None else judged.label
    where = (
        '<div class="query" id="cell-query"><pre>A click on a cell shows the query of its samples.'
        "</pre><button hidden>Copy</button></div>"
    )
    about = (
        f"{_e(run.model)}: rows are the truth, columns the prediction, over all slices tested"
        f"{' (their holdout shares)' if any(s.slice.holdout for s in run.scopes) else ''}."
    )
    drawn = (
        _matrix(run.model, matrix, classes, scope, truth)
        if len(classes) <= MOST_CLASSES
        else _pairs(run.model, matrix, classes, scope, truth)
    )
    return f'<p class="about">{about}</p>{drawn}{where}'


def _matrix(
    model: str,
    matrix: Sequence[Sequence[int]],
    classes: Sequence[str],
    scope: str,
    truth: str,
) -> str:
    turn = "turn" if max(map(len, classes)) > 6 or len(classes) > 8 else ""
    heads = [th(element("span", c), class_=turn) for c in classes]
    rows = []
    for i, (name, counts) in enumerate(zip(classes, matrix)):
        total = sum(counts)
        tiles = []
        for j, n in enumerate(counts):
            share = n / total if total else 0.0
            tiles.append(
                td(
                    n or "",
                    role="button",
                    tabindex=0,
                    class_=style.shade(math.sqrt(share), bad=i != j) if n else None,
                    data_tip=f"{name} called {classes[j]}\n{n:,} of {total:,} ({share:.1%})",
                    data_count=n or "",
                    data_share=f"{share:.0%}" if n else "",
                    data_query=_cell_query(model, name, classes[j], scope, truth),
                )
            )
        hit = f"{counts[i] / total:.3f}" if total else "–"
        ends = (td(f"{total:,}", class_="none"), td(hit, class_="none"))
        rows.append((th(name, title=name), *tiles, *ends))
    shown = _wide([th(), *heads, th("n"), th("right")], rows, class_="heat", id="confusion")
    return (
        f'<div class="controls"><button id="as-shares">Show shares of the row</button></div>{shown}'
    )


def _pairs(
    model: str,
    matrix: Sequence[Sequence[int]],
    classes: Sequence[str],
    scope: str,
    truth: str,
) -> str:
    off = [
        (n, i, j) for i, counts in enumerate(matrix) for j, n in enumerate(counts) if n and i != j
    ]
    off.sort(key=lambda pair: -pair[0])
    rows = []
    for n, i, j in off[:MOST_PAIRS]:
        query = _cell_query(model, classes[i], classes[j], scope, truth)
        count = td(f"{n:,}", role="button", tabindex=0, class_="n", data_query=query)
        rows.append((td(classes[i], class_="text"), td(classes[j], class_="text"), count))
    return (
        f'<p class="about">The {min(len(off), MOST_PAIRS)} most frequent of {len(off):,} confused '
        f"pairs of {numbers.count(len(classes), 'class', 'classes')}.</p>"
        f"{_wide(['truth', 'called', 'n'], rows, class_='heat')}"
    )


def _cell_query(model: str, label: str, prediction: str, scope: str, truth: str) -> str:
    return f"{scope}{cell_query(model, label, prediction, truth)}"


def _scope(run: SuiteRun) -> str:
    """Return the predicate of the slices tested, with the AND that follows it."""
    names = [f"in_slice({sql.string(name)})" for name in run.queries]
    if not names or len(names) > 30:
        return ""
    return f"{names[0]} AND " if len(names) == 1 else f"({' OR '.join(names)}) AND "


# --- reliability and cost -------------------------------------------------------------------------


def reliability(run: SuiteRun, figures: Figures) -> str:
    """Return the reliability diagram with its counts."""
    bins = figures.bins
    if not sum(n for n, _, _ in bins):
        return ""
    ends = [stats.wilson(right, n) if n else (math.nan, math.nan) for n, _, right in bins]
    drawn, error = charts.reliability(bins, [(float(low), float(high)) for low, high in ends])
    return (
        f'<p class="about">Expected calibration error {error:.3f}. Below the diagonal '
        f"{_e(run.model)} is more sure than right; the bars count the samples.</p>{drawn}"
    )


def cost(run: SuiteRun, figures: Figures) -> str:
    """Return the cost of answering only the surest, with the price of asking a person to drag."""
    curve = figures.cost
    if curve is None or not curve.coverage:
        return ""
    size = 280
    data = {**asdict(curve), "box": size, "most": charts.most_of(curve.risk)}
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    rows = [
        (p["policy"], f"{p['cost']:.4f}", f"{p['low']:.4f} to {p['high']:.4f}")
        for p in curve.policies
    ]
    policies = _wide(["decision", "cost per sample", "interval"], rows) if rows else ""
    return (
        '<p class="about">A mistake costs 1. Dashed: the mean cost of what is answered, the surest '
        "first. Line: with the rest given to a person, at the price below.</p>"
        f"{charts.cost(curve.coverage, curve.risk, size)}"
        '<label class="slider">asking costs <b id="price-said"></b><input type="range" id="price" '
        'min="0" max="0.5" step="0.01" value="0.1"></label><p class="about" id="cost-said"></p>'
        f'{policies}<script type="application/json" id="cost-data">{text}</script>'
    )


# --- worst samples --------------------------------------------------------------------------------


def gallery(run: SuiteRun, figures: Figures) -> str:
    """Return thumbnails of the worst samples, with what the model looked at where it is known."""
    if not figures.gallery:
        return ""
    has_maps = any(card.cam for card in figures.gallery)
    button = (
        '<div class="controls"><button id="looked">Show what the model looked at</button></div>'
        if has_maps
        else ""
    )
    about = "Wrong samples of expectations that do not pass, the highest loss first; against a "
    about += "baseline those it had right."
    about += " Under the pointer: the stored class activation map." if has_maps else ""
    return (
        f'<p class="about">{about}</p>{button}<div class="cards" id="gallery">'
        f"{''.join(map(_card, figures.gallery))}</div>"
    )


def _card(card: Card) -> str:
    picture = f'<img alt="{_e(card.id)}" src="{card.src}">' if card.src else "no picture"
    if card.cam:
        picture += f'<img class="cam" alt="class activation map" src="{card.cam}">'
    sure = "" if card.confidence is None else f" ({card.confidence:.2f})"
    label, prediction = _e(str(card.label)), _e(str(card.prediction))
    return (
        f'<figure><div class="frame">{picture}</div><figcaption><b>{label}</b> called '
        f"{prediction}{sure}<br><code>{_e(card.id)}</code><br>"
        f'<span class="soft">{_e(", ".join(card.slices))}</span></figcaption></figure>'
    )


# --- history and provenance -----------------------------------------------------------------------


def history(run: SuiteRun, figures: Figures) -> str:
    """Return each test over its runs; flips by chance are marked as such."""
    trends = [t for t in figures.trends if len(t.points) > 1]
    if not trends:
        return ""
    rows = [
        (
            td(t.slice, class_="text"),
            td(t.check, class_="text"),
            Html(charts.line(t.drawn())),
            t.direction,
            td(t.flips, class_="n"),
            t.status,
        )
        for t in trends
    ]
    head = ["slice", "expectation", "value over the runs", "trend", "flips", "status"]
    return (
        '<p class="about">The oldest run first. Flaky by chance: the verdict flips while the value '
        f"stays within its interval; up and down: beyond it.</p>{_wide(head, rows, class_='full')}"
    )


def provenance(run: SuiteRun, figures: Figures) -> str:
    """Return versions, fingerprints and query texts."""
    about = run.provenance
    queries = "".join(f"<dt>{_e(name)}</dt><dd>{_query(t)}</dd>" for name, t in run.queries.items())
    tables = ", ".join(f"{table} {version}" for table, version in about.tables.items())
    prints = ", ".join(f"{m} {f[:16]}" for m, f in about.fingerprints.items() if f)
    software = ", ".join(f"{p} {v}" for p, v in json.loads(about.software).items())
    lines = [("Table versions", tables), ("Fingerprints", prints), ("Software", software)]
    return "".join(f'<p class="about">{k}: {_e(v)}</p>' for k, v in lines if v) + (
        f"<details><summary>Query texts</summary><dl>{queries}</dl></details>" if queries else ""
    )
