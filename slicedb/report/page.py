"""Write one self-contained HTML page: verdicts, heat map, confusion, reliability, worst samples."""

from __future__ import annotations

from importlib import resources

from slicedb.judge import SuiteRun
from slicedb.report import sections
from slicedb.report.figures import Figures
from slicedb.report.tables import bounds, headline, looked
from slicedb.show import html, style

_Section = tuple[str, str, str]
"""Anchor, title and HTML of a section."""

SECTIONS: tuple[tuple[str, str, sections.Section], ...] = (
    ("warnings", "Warnings", sections.warnings),
    ("verdicts", "Verdicts", sections.verdicts),
    ("slices", "Slices and models", sections.heat_map),
    ("confusion", "Confusion", sections.confusion),
    ("reliability", "Reliability", sections.reliability),
    ("cost", "Cost", sections.cost),
    ("worst", "Worst samples", sections.gallery),
    ("history", "History", sections.history),
    ("facts", "What it rests on", sections.provenance),
)
"""The sections in their order; one without anything to show is left out."""

_HALF = ("reliability", "cost")
"""Sections that stand beside each other where the window is wide."""


def to_html(run: SuiteRun, figures: Figures | None = None) -> str:
    """Return one page that opens offline: inline styles, SVG and script, nothing from elsewhere."""
    drawn = figures or Figures()
    made = [(anchor, title, show(run, drawn)) for anchor, title, show in SECTIONS]
    made = [part for part in made if part[2]]
    links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title, _ in made)
    body = "\n".join(
        f'<section id="{anchor}"{_width(anchor, made)}><h2>{title}</h2>{inside}</section>'
        for anchor, title, inside in made
    )
    title = html.escape(headline(run))
    at = run.ran_at[:19] + run.ran_at[-6:]  # to the second, with the zone
    about = f"{at}, bounds {bounds(run)}, correction {run.correction}, run {run.run}"
    looks = "".join(html.element("p", line) for line in (looked(run), *run.about_truth) if line)
    header = (
        f'<header class="{"ok" if run.ok else "bad"}"><h1>{title}</h1><p>{html.escape(about)}</p>'
        f"{looks}<nav>{links}</nav></header>\n<main>{body}</main>"
        '<div id="tip" role="status"></div>'
    )
    css = style.themes() + style.rules() + asset("page.css")
    return html.page(headline(run), header, css=css, script=asset("page.js"))


def _width(anchor: str, made: list[_Section]) -> str:
    both = {a for a, _, _ in made} >= set(_HALF)
    return ' class="half"' if anchor in _HALF and both else ""


def asset(name: str) -> str:
    """Return the text of a file in `assets`."""
    return (resources.files("slicedb.report") / "assets" / name).read_text(encoding="utf-8")
