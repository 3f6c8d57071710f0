"""One self-contained HTML page: verdicts, heat map, confusion, reliability, cost, worst samples."""

from __future__ import annotations

import html
from importlib import resources
from typing import Any

from slicedb.report import sections
from slicedb.report.tables import headline

Part = tuple[str, str, str]
"""Anchor, title, and the function's name in `sections`."""

PARTS: tuple[Part, ...] = (
    ("warnings", "Warnings", "warnings"),
    ("verdicts", "Verdicts", "verdicts"),
    ("slices", "Slices and models", "heat_map"),
    ("confusion", "Confusion", "confusion"),
    ("reliability", "Reliability", "reliability"),
    ("cost", "Cost", "cost"),
    ("worst", "Worst samples", "gallery"),
    ("history", "History", "history"),
    ("facts", "What it rests on", "facts"),
)
"""The sections in their order; one without anything to show is left out."""

_HALF = ("reliability", "cost")
"""Sections that stand beside each other where the window is wide."""


def to_html(run: Any) -> str:
    """Return one page that opens offline: inline styles, SVG and script, nothing from elsewhere."""
    facts = {**run.facts, **(run.more() if run.more is not None else {})}
    made = [(anchor, title, getattr(sections, name)(run, facts)) for anchor, title, name in PARTS]
    made = [(anchor, title, inside) for anchor, title, inside in made if inside]
    links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title, _ in made)
    body = "\n".join(
        f'<section id="{anchor}"{_width(anchor, made)}><h2>{title}</h2>{inside}</section>'
        for anchor, title, inside in made
    )
    title = html.escape(headline(run))
    about = (
        f"{run.ran_at}, bounds each hold at {run.confidence:.0%}, correction {run.correction}, "
        f"run {run.run}"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{asset('page.css')}</style></head><body>"
        f'<header class="{"ok" if run.ok else "bad"}"><h1>{title}</h1><p>{html.escape(about)}</p>'
        f"<nav>{links}</nav></header>\n<main>{body}</main>"
        f'<div id="tip" role="status"></div><script>{asset("page.js")}</script></body></html>\n'
    )


def _width(anchor: str, made: list[Part]) -> str:
    both = {a for a, _, _ in made} >= set(_HALF)
    return ' class="half"' if anchor in _HALF and both else ""


def asset(name: str) -> str:
    """Return the text of a file in `assets`."""
    return (resources.files("slicedb.report") / "assets" / name).read_text(encoding="utf-8")
