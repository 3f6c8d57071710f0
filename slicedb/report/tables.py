"""Reports for people: text for a terminal, Markdown for a pull request, a table for a notebook."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import Any

_MARKS = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "❔"}
_HEADER = ("verdict", "slice", "expectation", "value", "interval", "n")


def cells(r: Any) -> tuple[str, str, str, str, str, str]:
    """Return verdict, slice, expectation, value, interval and n of a result, as text."""
    against = r.baseline is not None
    digits = ".0f" if r.check.startswith("count") else "+.3f" if against else ".3f"
    value = "undefined" if math.isnan(r.value) else format(r.value, digits)
    exact = math.isnan(r.low) or r.check.startswith(("count", "share"))
    spread = "" if exact else f"[{format(r.low, digits)}, {format(r.high, digits)}]"
    return r.verdict, r.slice, r.check, value, spread, f"{r.n:,}"


def headline(run: Any) -> str:
    """Return one line: how many of each verdict, and against what."""
    parts = [f"{run.count(v)} {v}" for v in ("FAIL", "INCONCLUSIVE", "PASS") if run.count(v)]
    against = f" against {run.baseline}" if run.baseline else ""
    return f"{run.model}{against}: {', '.join(parts) or 'no expectations'}"


def to_text(run: Any) -> str:
    """Return aligned columns, then the worst samples of what fails."""
    rows = [cells(r) for r in run.results]
    widths = [max(len(row[i]) for row in [_HEADER, *rows]) for i in range(len(_HEADER))]
    lines = [_line(_HEADER, widths), _line(["-" * w for w in widths], widths)]
    for row, r in zip(rows, run.results):
        lines.append(_line(row, widths))
        if r.verdict == "INCONCLUSIVE" or run.is_failure(r):
            lines.append(f"  {' ' * widths[0]}{r.message}")
        if run.is_failure(r) and r.worst_ids:
            lines.append(f"  {' ' * widths[0]}worst: {', '.join(r.worst_ids)}")
    note = f"in brackets: bounds that each hold at {run.confidence:.0%}"
    return "\n".join([*lines, note, *(f"warning: {w}" for w in run.warnings), headline(run)])


def _line(row: Iterable[str], widths: list[int]) -> str:
    return "  ".join(
        c.rjust(w) if i in (3, 5) else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths))
    ).rstrip()


def to_markdown(run: Any) -> str:
    """Return a headline, a table with failures first, and the worst samples folded away."""
    order = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}
    results = sorted(run.results, key=lambda r: order[r.verdict])
    mark = "✅" if run.ok else "❌"
    lines = [f"### {mark} {_escape(headline(run))}", ""]
    lines += ["| | slice | expectation | value | interval | n |", "|---|---|---|--:|---|--:|"]
    for r in results:
        verdict, *rest = cells(r)
        lines.append(f"| {_MARKS[verdict]} {verdict} | {' | '.join(_escape(c) for c in rest)} |")
    for r in results:
        if r.verdict == "PASS":
            continue
        lines += ["", f"<details><summary>{html.escape(r.title)}</summary>", "", _escape(r.message)]
        lines += [f"- `{i}`" for i in r.worst_ids] + ["", "</details>"]
    lines += [line for w in run.warnings for line in ("", f"> ⚠️ {_escape(w)}")]
    bounds = f"Bounds each hold at {run.confidence:.0%}; run `{run.run}`."
    return "\n".join([*lines, "", bounds, ""])


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def to_html_table(run: Any) -> str:
    """Return the results as an HTML table."""
    head = "".join(f"<th>{c}</th>" for c in (*_HEADER, "message"))
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in (*cells(r), r.message))}</tr>"
        for r in run.results
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<p>{html.escape(headline(run))}</p>{table}"
