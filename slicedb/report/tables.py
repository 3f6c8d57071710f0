"""Write reports for people: a terminal, a pull request, a notebook."""

from __future__ import annotations

import math
import re

from slicedb.judge import Result, SuiteRun, Verdict
from slicedb.show import numbers, text
from slicedb.show.html import escape

_MARKS = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "❔"}
ORDER: dict[Verdict, int] = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}
"""Where results stand in a list, by verdict."""

_HEADER = ("verdict", "slice", "expectation", "value", "interval", "n")


def cells(r: Result) -> tuple[Verdict, str, str, str, str, str]:
    """Return verdict, slice, expectation, value, interval and n of a result, as text."""
    form = ".0f" if r.metric == "count" else ".3f" if r.baseline is None else "+.3f"
    value = "undefined" if math.isnan(r.value) else format(r.value, form)
    spread = "" if r.metric in ("count", "share") else numbers.interval(r.low, r.high, form)
    return r.verdict, r.slice, r.check, value, spread, f"{r.n:,}"


def headline(run: SuiteRun) -> str:
    """Return one line: how many of each verdict, and against what."""
    parts = [f"{len(run.broken)} ERROR"] if run.broken else []
    parts += [f"{run.count(v)} {v}" for v in ORDER if run.count(v)]
    against = f" against {run.baseline}" if run.baseline else ""
    truth = f" (truth: {run.truth})" if run.truth else ""
    return f"{run.model}{against}{truth}: {', '.join(parts) or 'no expectations'}"


def bounds(run: SuiteRun) -> str:
    """Return what the bounds and the verdicts of a run hold for.

    >>> bounds(SuiteRun((), "m", sequential=True, guard="pass"))
    'each hold at 95% over all looks; false PASS is controlled over the suite, too'
    """
    over = " over all looks" if run.sequential else ""
    guard = "; false PASS is controlled over the suite, too" if run.guard == "pass" else ""
    return f"each hold at {run.confidence:.0%}{over}{guard}"


def looked(run: SuiteRun) -> str:
    """Return how often the expectations were judged, "" the first time."""
    again = [r for r in run.results if r.looks > 1]
    if not again:
        return ""
    most = max(again, key=lambda r: r.looks)
    models = ", ".join(f"{name} {n:,}" for name, n in sorted(most.looked_at.items()))
    text = f"looks: {len(again):,} of {numbers.count(len(run.results), 'expectation')} "
    text += f"{numbers.verb(len(again), 'was', 'were')} judged before, "
    text += f"'{most.title}' is at its look {most.looks:,} ({models})"
    if run.sequential:
        return f"{text}; every verdict counts them"
    lucky = [r for r in again if r.luck > 0]
    if lucky:
        best = max(lucky, key=lambda r: r.luck)
        text += (
            f"; by luck alone the best of {numbers.count(best.candidates, 'equal candidate')} "
            f"looks up to {best.luck:.2g} better ('{best.title}')"
        )
    return f"{text}; each verdict holds for one look, `sequential` makes it hold for all"


def to_text(run: SuiteRun) -> str:
    """Return aligned columns; below what does not pass its reason, and the worst samples."""
    head, rule, *lines = text.lines(_HEADER, [cells(r) for r in run.results], align="<<<><>")
    indent = " " * (rule.index(" ") + 2)
    shown = [head, rule]
    for line, r in zip(lines, run.results):
        shown.append(line)
        if r.verdict == "INCONCLUSIVE" or run.is_failure(r):
            shown.append(indent + text.clean(r.message))
        if run.is_failure(r) and r.worst_ids:
            shown.append(f"{indent}worst: {', '.join(map(text.clean, r.worst_ids))}")
    errors = [f"ERROR {b.name}: {text.clean(b.message, keep=chr(10))}" for b in run.broken]
    notes = [
        f"in brackets: bounds that {bounds(run)}",
        *filter(None, [looked(run)]),
        *run.about_truth,
    ]
    last = [*notes, *(f"warning: {w}" for w in run.warnings), headline(run)]
    return "\n".join([*shown, *errors, *map(text.clean, last)])


def to_markdown(run: SuiteRun) -> str:
    """Return a headline, a table with failures first, and the worst samples folded away."""
    results = sorted(run.results, key=lambda r: ORDER[r.verdict])
    mark = "✅" if run.ok else "❌"
    lines = [f"### {mark} {_escape(headline(run))}", ""]
    lines += ["| | slice | expectation | value | interval | n |", "|---|---|---|--:|---|--:|"]
    for r in results:
        verdict, *rest = cells(r)
        lines.append(f"| {_MARKS[verdict]} {verdict} | {' | '.join(_escape(c) for c in rest)} |")
    for b in run.broken:
        lines.append(f"| 💥 ERROR | {_escape(b.name)} | {_escape(b.short)} | | | |")
    for r in results:
        if r.verdict == "PASS":
            continue
        lines += ["", f"<details><summary>{escape(r.title)}</summary>", "", _escape(r.message)]
        lines += [f"- {_code(i)}" for i in r.worst_ids] + ["", "</details>"]
    lines += [line for w in run.warnings for line in ("", f"> ⚠️ {_escape(w)}")]
    lines += ["", _escape(looked(run))] if looked(run) else []
    lines += [line for said in run.about_truth for line in ("", _escape(said))]
    return "\n".join([*lines, "", f"Bounds {bounds(run)}; run `{run.run}`.", ""])


def _code(name: str) -> str:
    """Return a name as a code span that it cannot leave, whatever backticks it has."""
    shown = text.clean(name)
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"`{shown}`" if fence == "`" else f"{fence} {shown} {fence}"


def _escape(words: str) -> str:
    return (
        text.clean(words)
        .replace("\\", "\\\\")
        .replace("|", "\\|")
        .replace("<", "&lt;")
        .replace("\n", " ")
    )
