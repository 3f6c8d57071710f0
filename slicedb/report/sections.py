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
from slicedb.runs.history import Trend
from slicedb.show import charts
from slicedb.show.charts import tip
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


def _heads(columns: Sequence[tuple[str, str, str]]) -> str:
    return "".join(
        f'<th class="sort{" n" if first else ""}" data-key="{key}" data-first="{first}">'
        f"{_e(title)}</th>"
        for key, title, first in columns
    )


def warnings(run: SuiteRun, figures: Figures) -> str:
    """Return what speaks against trusting the verdicts."""
    return "".join(f"<p><b>Warning:</b> {_e(w)}</p>" for w in run.warnings)


# --- verdicts -------------------------------------------------------------------------------------


def verdicts(run: SuiteRun, figures: Figures) -> str:
    """Return the table of expectations; it filters, sorts, and opens row by row."""
    if not run.results:
        return "<p>No expectations.</p>"
    spans = _spans(run.results)
    order = sorted(run.results, key=lambda r: ORDER[r.verdict])
    bodies = "".join(_result(r, spans[_kind(r)], run.queries) for r in order)
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
        f'<div class="wide"><table id="verdicts"><thead><tr>{_heads(_COLUMNS)}</tr></thead>'
        f"{bodies}</table></div>"
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


def _result(r: Result, span: tuple[float, float], queries: Mapping[str, str]) -> str:
    verdict, name, check, value, spread, n = cells(r)
    drawn = charts.interval(r.value, r.low, r.high, r.bound, span) if spread else ""
    margin = "" if math.isnan(r.value) or math.isnan(r.bound) else r.value - r.bound
    keys = {
        "verdict": ORDER[verdict],
        "slice": name.lower(),
        "check": check.lower(),
        "value": "" if math.isnan(r.value) else r.value,
        "margin": margin,
        "n": r.n,
    }
    data = "".join(f' data-{k}="{_e(str(v))}"' for k, v in keys.items() if k != "verdict")
    text = _e(f"{verdict} {name} {check} {r.message}".lower())
    more = _opened(r, queries.get(r.slice))
    return (
        f'<tbody data-verdict="{verdict}"{data} data-text="{text}">'
        f'<tr class="row" tabindex="0"><td><b class="chip {verdict}">{verdict}</b></td>'
        f'<td class="text">{_e(name)}</td><td class="text">{_e(check)}</td>'
        f'<td class="n">{_e(value)}</td><td class="{verdict}">{drawn}</td>'
        f'<td class="n">{_e(n)}</td></tr>'
        f'<tr class="more" hidden><td colspan="6">{more}</td></tr></tbody>'
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
        keys = f' data-slice="{_e(name.lower())}"'
        for k, column in enumerate(grid.tiles):
            keys += f' data-m{k}="{"" if math.isnan(column[i].value) else column[i].value}"'
        rows.append(f'<tr{keys}><th title="{_e(name)}">{_e(name)}</th>{"".join(tiles)}</tr>')
    scale = (
        f'<div class="scale">{low:.3f}<i></i>{high:.3f}<span>▼ ▲ below or above '
        f"{_e(grid.models[1])} by more than either interval</span></div>"
        if len(grid.models) > 1
        else f'<div class="scale">{low:.3f}<i></i>{high:.3f}</div>'
    )
    return (
        f'<p class="about">{_e(title)}: a stronger colour is higher, a click on a model sorts.</p>'
        f'<div class="wide"><table class="heat"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{scale}"
    )


def _tile(grid: HeatMap, i: int, k: int, ends: tuple[float, float]) -> str:
    """Return the tile of slice i and model k; the second model is what others are held against."""
    name, model = grid.slices[i], grid.models[k]
    value, low, high, n = grid.tiles[k][i]
    if math.isnan(value):
        about = f"{name}, {model}: undefined, no sample has both a label and a prediction"
        return f'<td class="none" tabindex="0" {tip(about)}>–</td>'
    about = f"{name}, {model}\n{grid.metric} {value:.4f} [{low:.4f}, {high:.4f}]\nn = {n:,.0f}"
    mark = ""
    if k != 1 and len(grid.models) > 1:
        other = grid.tiles[1][i]
        if not math.isnan(other.value):
            about += f"\n{value - other.value:+.4f} against {grid.models[1]}"
            if high < other.low or low > other.high:
                below = high < other.low
                way = "down" if below == metrics.find(grid.metric).rises else "up"
                mark = f' <span class="{way}">{"▼" if below else "▲"}</span>'
    share = (value - ends[0]) / (ends[1] - ends[0]) if ends[1] > ends[0] else 0.5
    style = f"background:hsl(var(--mark)/{0.05 + 0.7 * share:.2f})"
    return f'<td style="{style}" tabindex="0" {tip(about)}>{value:.3f}{mark}</td>'


# --- confusion ------------------------------------------------------------------------------------


def confusion(run: SuiteRun, figures: Figures) -> str:
    """Return the confusion matrix; a cell shows the query of its samples."""
    matrix, classes = figures.confusion, figures.classes
    if not matrix or not any(map(any, matrix)):
        return ""
    scope = _scope(run)
    where = (
        '<div class="query" id="cell-query"><pre>A click on a cell shows the query of its samples.'
        "</pre><button hidden>Copy</button></div>"
    )
    about = (
        f"{_e(run.model)}: rows are the truth, columns the prediction, over all slices tested"
        f"{' (their holdout shares)' if any(s.slice.holdout for s in run.scopes) else ''}."
    )
    table = (
        _matrix(run.model, matrix, classes, scope)
        if len(classes) <= MOST_CLASSES
        else _pairs(run.model, matrix, classes, scope)
    )
    return f'<p class="about">{about}</p>{table}{where}'


def _matrix(model: str, matrix: Sequence[Sequence[int]], classes: Sequence[str], scope: str) -> str:
    turn = "turn" if max(map(len, classes)) > 6 or len(classes) > 8 else ""
    head = "".join(f'<th class="{turn}"><span>{_e(c)}</span></th>' for c in classes)
    rows = []
    for i, (name, counts) in enumerate(zip(classes, matrix)):
        total = sum(counts)
        tiles = []
        for j, n in enumerate(counts):
            share = n / total if total else 0.0
            colour = "var(--mark)" if i == j else "var(--bad)"
            style = f"background:hsl({colour}/{0.75 * math.sqrt(share):.2f})"
            about = f"{name} called {classes[j]}\n{n:,} of {total:,} ({share:.1%})"
            tiles.append(
                f'<td role="button" tabindex="0" style="{style}" {tip(about)} '
                f'data-count="{n or ""}" data-share="{f"{share:.0%}" if n else ""}" '
                f'data-query="{_e(_cell_query(model, name, classes[j], scope))}">{n or ""}</td>'
            )
        hit = f"{counts[i] / total:.3f}" if total else "–"
        rows.append(
            f'<tr><th title="{_e(name)}">{_e(name)}</th>{"".join(tiles)}'
            f'<td class="none">{total:,}</td><td class="none">{hit}</td></tr>'
        )
    return (
        '<div class="controls"><button id="as-shares">Show shares of the row</button></div>'
        f'<div class="wide"><table class="heat" id="confusion"><thead><tr><th></th>{head}'
        f"<th>n</th><th>right</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _pairs(model: str, matrix: Sequence[Sequence[int]], classes: Sequence[str], scope: str) -> str:
    off = [
        (n, i, j) for i, counts in enumerate(matrix) for j, n in enumerate(counts) if n and i != j
    ]
    off.sort(key=lambda pair: -pair[0])
    rows = "".join(
        f'<tr><td class="text">{_e(classes[i])}</td><td class="text">{_e(classes[j])}</td>'
        f'<td role="button" tabindex="0" class="n" '
        f'data-query="{_e(_cell_query(model, classes[i], classes[j], scope))}">{n:,}</td></tr>'
        for n, i, j in off[:MOST_PAIRS]
    )
    return (
        f'<p class="about">The {min(len(off), MOST_PAIRS)} most frequent of {len(off):,} confused '
        f'pairs of {len(classes):,} classes.</p><div class="wide"><table class="heat"><thead><tr>'
        f"<th>truth</th><th>called</th><th>n</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _cell_query(model: str, label: str, prediction: str, scope: str) -> str:
    return f"{scope}{cell_query(model, label, prediction)}"


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
    rows = "".join(
        f'<tr><td>{_e(p["policy"])}</td><td class="n">{p["cost"]:.4f}</td>'
        f'<td class="n">{p["low"]:.4f} to {p["high"]:.4f}</td></tr>'
        for p in curve.policies
    )
    table = (
        '<div class="wide"><table><thead><tr><th>decision</th><th>cost a sample</th>'
        f"<th>interval</th></tr></thead><tbody>{rows}</tbody></table></div>"
        if rows
        else ""
    )
    return (
        '<p class="about">A mistake costs 1. Dashed: the mean cost of what is answered, the surest '
        "first. Line: with the rest given to a person, at the price below.</p>"
        f"{charts.cost(curve.coverage, curve.risk, size)}"
        '<label class="slider">asking costs <b id="price-said"></b><input type="range" id="price" '
        'min="0" max="0.5" step="0.01" value="0.1"></label><p class="about" id="cost-said"></p>'
        f'{table}<script type="application/json" id="cost-data">{text}</script>'
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
    """Return each test over its runs; flips by chance are told apart."""
    trends = [t for t in figures.trends if len(t.points) > 1]
    if not trends:
        return ""
    rows = "".join(
        f'<tr><td class="text">{_e(t.slice)}</td><td class="text">{_e(t.check)}</td>'
        f"<td>{charts.line(_points(t))}</td><td>{_e(t.direction)}</td>"
        f'<td class="n">{t.flips}</td><td>{_e(t.status)}</td></tr>'
        for t in trends
    )
    return (
        '<p class="about">The oldest run first. Flaky by chance: the verdict flips while the value '
        "stays within its interval; up and down: beyond it.</p>"
        '<div class="wide"><table class="full"><thead><tr><th>slice</th><th>expectation</th>'
        "<th>value over the runs</th><th>trend</th><th>flips</th><th>status</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _points(trend: Trend) -> list[charts.Point]:
    return [
        {
            "ran_at": f"{p.ran_at:%Y-%m-%d %H:%M}",
            "model": p.model,
            "verdict": p.verdict,
            "value": None if math.isnan(p.value) else p.value,
            "low": None if math.isnan(p.low) else p.low,
            "high": None if math.isnan(p.high) else p.high,
        }
        for p in trend.points
    ]


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
