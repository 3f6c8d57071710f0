"""One self-contained HTML page: verdicts, heat map, confusion, reliability, worst samples."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

from slicedb.report.tables import cells, headline


def to_html(run: Any) -> str:
    """Return one page that opens offline: inline styles, SVG and a few lines of JavaScript."""
    parts = (_warnings, _verdicts, _heat_map, _confusion, _reliability, _facts)
    body = "\n".join(part(run) for part in parts)
    title = html.escape(headline(run))
    state = "ok" if run.ok else "bad"
    return (
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f"<meta name='viewport' content='width=device-width'><title>{title}</title>"
        f"<style>{_STYLE}</style></head><body><header class='{state}'><h1>{title}</h1>"
        f"<p>{html.escape(run.ran_at)}, bounds each hold at {run.confidence:.0%}, "
        f"correction {html.escape(run.correction)}, run {html.escape(run.run)}</p></header>\n"
        f"<main>{body}</main><script>{_SCRIPT}</script></body></html>\n"
    )


def _warnings(run: Any) -> str:
    lines = "".join(f"<p><b>Warning:</b> {html.escape(w)}</p>" for w in run.warnings)
    return f"<section id='warnings'>{lines}</section>" if lines else ""


def _verdicts(run: Any) -> str:
    rows = []
    for r in run.results:
        verdict, *rest = cells(r)
        worst = "".join(f"<li><code>{html.escape(i)}</code></li>" for i in r.worst_ids)
        more = f"<p>{html.escape(r.message)}</p>" + (f"<ol>{worst}</ol>" if worst else "")
        inside = "".join(f"<td>{html.escape(c)}</td>" for c in rest)
        rows.append(
            f"<tr data-verdict='{verdict}' class='row'><td><b class='{verdict}'>{verdict}</b></td>"
            f"{inside}</tr><tr class='more' hidden><td colspan='6'>{more}</td></tr>"
        )
    buttons = "".join(
        f"<button data-show='{v}'>{v} {run.count(v)}</button>"
        for v in ("FAIL", "INCONCLUSIVE", "PASS")
    )
    head = "".join(
        f"<th>{c}</th>" for c in ("verdict", "slice", "expectation", "value", "interval", "n")
    )
    return (
        f"<section><h2>Verdicts</h2><p>{buttons} A row opens with its reason and worst samples."
        f"</p><table id='verdicts'><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></section>"
    )


def _heat_map(run: Any) -> str:
    grid = run.facts.get("grid") or {}
    if not grid.get("slices"):
        return ""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in grid["models"])
    metric = grid.get("metric", "accuracy")
    title = "Accuracy" if metric == "accuracy" else html.escape(metric)
    rows = []
    for i, name in enumerate(grid["slices"]):
        tiles = "".join(_tile(column[i]) for column in grid["cells"])
        rows.append(f"<tr><th>{html.escape(name)}</th>{tiles}</tr>")
    return (
        f"<section><h2>{title} by slice and model</h2><table class='heat'>"
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></section>"
    )


def _tile(cell: Sequence[float]) -> str:
    value, low, high, n = cell
    if math.isnan(value):
        return "<td class='none'>undefined</td>"
    hover = f"{low:.3f} to {high:.3f}, n = {n:,.0f}"
    return f"<td style='{_shade(value)}' title='{hover}'>{value:.3f}</td>"


def _shade(value: float) -> str:
    """Return the style of a tile: red at 0, green at 1."""
    share = min(max(value, 0.0), 1.0)
    return f"background:hsl({120 * share**2:.0f} 55% 50% / .45)"


def _confusion(run: Any) -> str:
    matrix, classes = run.facts.get("confusion") or [], run.facts.get("classes") or []
    if not matrix or len(classes) > 60:
        return ""
    head = "".join(f"<th class='up'><span>{html.escape(c)}</span></th>" for c in classes)
    rows = []
    for i, (name, counts) in enumerate(zip(classes, matrix)):
        total = sum(counts) or 1
        tiles = []
        for j, n in enumerate(counts):
            colour = "150 50%" if i == j else "10 75%"
            shade = f"background:hsl({colour} 50% / {math.sqrt(n / total) * 0.8:.2f})"
            hover = f"{html.escape(name, quote=True)} called {html.escape(classes[j], quote=True)}"
            tiles.append(f"<td style='{shade}' title=\"{hover}: {n:,}\">{n or ''}</td>")
        rows.append(f"<tr><th>{html.escape(name)}</th>{''.join(tiles)}</tr>")
    return (
        f"<section><h2>Confusion of {html.escape(run.model)}</h2><p>Rows are the truth, columns "
        f"the prediction, over all slices tested.</p><table class='heat'><thead><tr><th></th>{head}"
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></section>"
    )


def _reliability(run: Any) -> str:
    bins = run.facts.get("calibration") or []
    total = sum(n for n, _, _ in bins)
    if not total:
        return ""
    size, marks, error = 260, [], 0.0
    for n, confidence, right in bins:
        if n:
            x, y = confidence / n * size, size - right / n * size
            hover = f"confidence {confidence / n:.3f}, accuracy {right / n:.3f}, n = {n:,.0f}"
            radius = 3 + 12 * math.sqrt(n / total)
            where = f"cx='{x:.1f}' cy='{y:.1f}' r='{radius:.1f}'"
            marks.append(f"<circle {where}><title>{hover}</title></circle>")
            error += abs(confidence - right) / total
    return (
        f"<section><h2>Reliability of {html.escape(run.model)}</h2><p>Expected calibration error "
        f"{error:.3f}; below the line it is more sure than right.</p>"
        f"<svg viewBox='-40 -10 {size + 60} {size + 50}' width='{size + 60}' role='img' "
        f"aria-label='reliability diagram'><rect width='{size}' height='{size}'/>"
        f"<line x1='0' y1='{size}' x2='{size}' y2='0'/>{''.join(marks)}"
        f"<text x='{size / 2}' y='{size + 28}' text-anchor='middle'>confidence</text>"
        f"<text x='{-size / 2}' y='-14' text-anchor='middle' transform='rotate(-90)'>"
        "accuracy</text>"
        "</svg></section>"
    )


def _facts(run: Any) -> str:
    queries = "".join(
        f"<dt>{html.escape(name)}</dt><dd><pre>{html.escape(text)}</pre></dd>"
        for name, text in (run.facts.get("queries") or {}).items()
    )
    tables = ", ".join(f"{t} {v}" for t, v in (run.facts.get("tables") or {}).items())
    return (
        f"<section><h2>What it rests on</h2><p>Table versions: {html.escape(tables)}</p>"
        f"<p>Software: {html.escape(str(run.facts.get('software', '')))}</p>"
        f"<details><summary>Query texts</summary><dl>{queries}</dl></details></section>"
    )


_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881}
body{font:15px/1.5 system-ui,sans-serif;margin:0;background:Canvas;color:CanvasText}
header{padding:1rem 2rem;border-left:8px solid}header.ok{border-color:#2a9d5c}
header.bad{border-color:#d2402e}h1{font-size:1.3rem;margin:0}header p{margin:0;opacity:.7}
main{padding:0 2rem 3rem}h2{font-size:1.1rem;margin:2rem 0 .3rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:left}
.heat td{text-align:right;min-width:2.6rem}.none{opacity:.5}.row{cursor:pointer}
.row:hover{background:var(--soft)}.PASS{color:#2a9d5c}.FAIL{color:#d2402e}.INCONCLUSIVE{color:#b07d10}
.up span{writing-mode:vertical-rl;transform:rotate(180deg)}button{margin-right:.4rem}
button.off{opacity:.4}rect{fill:none;stroke:var(--line)}line{stroke:var(--line)}
circle{fill:#3b7dd8;opacity:.75}text{fill:currentColor;font-size:12px}pre{white-space:pre-wrap}
"""

_SCRIPT = """
const rows=[...document.querySelectorAll('#verdicts .row')],off=new Set();
for(const r of rows)r.onclick=()=>{const m=r.nextElementSibling;m.hidden=!m.hidden};
for(const b of document.querySelectorAll('button'))b.onclick=()=>{
const v=b.dataset.show;off.has(v)?off.delete(v):off.add(v);b.classList.toggle('off');
for(const r of rows){const h=off.has(r.dataset.verdict);r.hidden=h;
if(h)r.nextElementSibling.hidden=true}};
"""
