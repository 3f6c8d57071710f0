"""Tests: how each expectation stands, how it fared over the runs, and a suite that is run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Request

from slicedb import sql
from slicedb.errors import CheckError
from slicedb.judge import Verdict
from slicedb.runs import Standing, standings
from slicedb.runs.history import LAST
from slicedb.show import charts, curves, numbers
from slicedb.show.html import Html
from slicedb.web.jobs import word

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.progress import Cancel
    from slicedb.report import Report
    from slicedb.web.site import Site

VERDICTS: tuple[Verdict, ...] = ("FAIL", "INCONCLUSIVE", "PASS")
"""In the order in which they are shown."""
_RUNS = 12
"""Runs that are listed."""


def add(site: Site) -> None:
    """Register the page and the job."""
    site.jobs.add("test", _test, title=_title)

    @site.page("/tests", "Tests", "tests.html")
    async def tests(request: Request) -> dict[str, object]:
        return await site.ask(request, _shown)


def _title(options: Mapping[str, object]) -> str:
    suite, model = options.get("suite"), options.get("model")
    what = f"suite {suite}" if suite else "all expectations"
    return f"test {model}: {what}" if model else f"test {what}"


def _test(db: Database, options: Mapping[str, object], watch: Cancel) -> dict[str, object]:
    """Run a suite that is registered; what a reader sends names no file."""
    report: Report = db.test(
        _source(db, word(options, "suite")),
        model=word(options, "model"),
        baseline=word(options, "baseline"),
        predict=options.get("predict") is not False,
        progress=watch,
    )
    return {
        "run": report.run,
        "ok": report.ok,
        "counts": {verdict: report.count(verdict) for verdict in VERDICTS},
        "errors": {broken.name: broken.message for broken in report.broken},
        "warnings": list(report.warnings),
    }


def _source(db: Database, suite: str | None) -> Path | list[str] | None:
    """Return the folder of a suite, or the slices that came from it where it is not there now."""
    if suite is None:
        return None
    members = [s for s in db.slices.list() if s.suite == suite and s.expect]
    if not members:
        raise CheckError(f"No slice of a suite '{suite}' has an expectation.")
    folder = _folder(members[0].path)
    return folder or [s.name for s in members]


def _folder(path: str) -> Path | None:
    """Return the folder of a slice's file, if the file is still there."""
    file = Path(path)
    return file.parent if path and file.is_file() else None


def _shown(db: Database) -> dict[str, object]:
    registered = db.slices.list()
    scopes = {s.name: f"in_slice({sql.string(s.name)})" for s in registered}
    tests = standings(db.store, scopes, LAST)
    spans = _spans(tests)
    with_checks = [s for s in registered if s.expect]
    suites = sorted({s.suite for s in with_checks if s.suite})
    runs = [_run(row) for row in db.runs.list("test").slice(0, _RUNS).to_pylist()]
    models = sorted({*(m.name for m in db.models.list()), *_predicted(db)})
    return {
        "tests": [_test_of(one, spans[_kind(one)]) for one in tests],
        "counts": {v: sum(one.last.verdict == v for one in tests) for v in VERDICTS},
        "runs": runs,
        "errors": runs[0]["errors"] if runs else {},
        "suites": suites,
        "n_slices": len(with_checks),
        "n_expectations": sum(len(s.expect) for s in with_checks),
        "models": models,
        "chosen": str(runs[0]["model"]) if runs else (models[0] if models else ""),
        "baseline": runs[0]["baseline"] if runs else None,
    }


def _predicted(db: Database) -> list[str]:
    from slicedb.predictions.tables import models_of

    return list(models_of(db.store))


def _run(row: Mapping[str, object]) -> dict[str, object]:
    about = json.loads(str(row["summary"] or "{}"))
    return {
        "id": row["id"],
        "ran_at": f"{row['ran_at']:%Y-%m-%d %H:%M}",
        "model": row["what"],
        "baseline": about.get("baseline"),
        "by": about.get("by", ""),
        "ok": about.get("ok"),
        "counts": {v: about.get(v.lower(), 0) for v in VERDICTS},
        "errors": about.get("errors", {}),
    }


def _kind(one: Standing) -> str:
    """Return which tests share a rail."""
    return f"{one.metric} {'difference' if one.baseline else ''}"


def _spans(tests: Sequence[Standing]) -> dict[str, tuple[float, float]]:
    marks: dict[str, list[float]] = {}
    for one in tests:
        at = one.last
        marks.setdefault(_kind(one), []).extend((at.value, at.low, at.high, one.bound))
    return {kind: charts.span_of(some, False) for kind, some in marks.items()}


def _test_of(one: Standing, span: tuple[float, float]) -> dict[str, object]:
    at = one.last
    is_exact = one.metric in ("count", "share")
    rail = "" if is_exact else charts.interval(at.value, at.low, at.high, one.bound, span)
    digits = ".0f" if one.metric == "count" else "+.3f" if one.baseline else ".3f"
    return {
        "name": one.name,
        "slice": one.trend.slice,
        "check": one.trend.check,
        "verdict": at.verdict,
        "model": at.model,
        "baseline": one.baseline,
        "value": "undefined" if math.isnan(at.value) else format(at.value, digits),
        "interval": "" if is_exact else numbers.interval(at.low, at.high, digits),
        "n": at.n,
        "left_out": one.left_out,
        "ran_at": f"{at.ran_at:%Y-%m-%d %H:%M}",
        "message": one.message,
        "worst": one.worst,
        "verdicts": one.trend.verdicts,
        "status": one.trend.status,
        "direction": one.trend.direction,
        "rail": Html(rail),
        "trend": Html(_trend(one)),
    }


def _trend(one: Standing) -> str:
    if len(one.trend.points) < 2:
        return ""
    down = f"{one.metric} - that of the baseline" if one.baseline else one.metric
    return curves.trend(one.trend.drawn(), one.name, down, one.bound)
