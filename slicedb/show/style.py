"""Style results in a notebook, whose page is light or dark and not ours."""

from __future__ import annotations

from slicedb.show.html import Html

NOTEBOOK = Html(
    "<style>"
    ".slicedb{--line:rgba(128,128,128,.35);--soft:#808a97;--ink:currentColor;--card:transparent;"
    "--pass:#1f8a54;--fail:#d2453a;--open:#b97f12;--mark:211 74% 50%;--bad:12 78% 52%;"
    "font-variant-numeric:tabular-nums}"
    ".slicedb table{border-collapse:collapse;margin:.4rem 0}"
    ".slicedb td,.slicedb th{text-align:left;overflow-wrap:break-word;padding:.2rem .5rem;"
    "border-bottom:1px solid var(--line)}"
    ".slicedb td.n,.slicedb th.n{text-align:right}.slicedb p{white-space:pre-wrap}"
    ".slicedb .heat td,.slicedb .heat thead th{text-align:center;min-width:3rem}"
    ".slicedb .heat th:first-child{text-align:left}"
    ".slicedb .wide{overflow-x:auto}"
    ".slicedb svg{max-width:100%;height:auto}.slicedb svg.inline{vertical-align:middle;"
    "max-width:none}.slicedb svg text{fill:var(--soft);font-size:12px}"
    ".slicedb .axis{stroke:var(--line);fill:none}"
    ".slicedb .grid{stroke:var(--line);stroke-dasharray:2 4}"
    ".slicedb .curve{fill:none;stroke:hsl(var(--mark));stroke-width:2}"
    ".slicedb .thin{fill:none;stroke:var(--soft);stroke-width:1.2;stroke-dasharray:4 3}"
    ".slicedb .dot{fill:hsl(var(--mark))}.slicedb .bar{fill:hsl(var(--mark)/.35)}"
    ".slicedb .whisker{stroke:hsl(var(--mark));stroke-width:1.4}"
    ".slicedb .iv{stroke:currentColor;stroke-width:2.2}.slicedb .at{fill:currentColor}"
    ".slicedb .bound{stroke:var(--soft);stroke-width:1.4;stroke-dasharray:3 2}"
    ".slicedb .rail{stroke:var(--line)}"
    ".slicedb .beside{display:flex;flex-wrap:wrap;gap:1rem;margin:.5rem 0}"
    ".slicedb .PASS{color:var(--pass)}.slicedb .FAIL{color:var(--fail)}"
    ".slicedb .INCONCLUSIVE{color:var(--open)}.slicedb .soft{color:var(--soft)}"
    ".slicedb .cards{display:flex;flex-wrap:wrap;gap:8px;font-size:11px}"
    ".slicedb .cards img{max-width:100%;display:block}"
    "</style>"
)
"""Notebooks align every cell to the right and know none of our classes unless they are told."""
